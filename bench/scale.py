# SPDX-License-Identifier: MIT
"""bench/run --scale: many connections, and many readers that wait."""

import pathlib
import statistics
import subprocess
import time

from clients import wait_for
from mount import Mount, control_of
from servers import Postgres

SPECS, FILES = 10_000, 20
SESSIONS, READERS = 100, 20  # of each session
LISTINGS = 11
LOOK = 0.3  # seconds
STATEMENT = "select pg_sleep(3600);"


def status(m):
    return f"| {m.status['VmRSS'] / 1024:.1f} | {m.status['Threads']} |"


def row(what, seconds, m):
    print(f"| {what} | {seconds:.3f} {status(m)}", flush=True)


def specs(server):
    """Files of SOURCE; the one connection that is used is "used"."""
    made = [
        {"conn_id": f"shop{number:05}", **server.spec(description=f"shop {number}")}
        for number in range(SPECS - 1)
    ]
    made.append({"conn_id": "used", **server.spec(max_connections=SESSIONS)})
    size = SPECS // FILES
    return {
        f"{i:02}.json": {"connections": made[i * size : (i + 1) * size]}
        for i in range(FILES)
    }


def listing(build, m):
    """Seconds of `ls` on the mount."""
    measured = subprocess.check_output([build / "measure", "ls", str(m.mnt)])
    return float(measured.split()[0])


def parked(m):
    """Requests that the daemon has not answered."""
    return int((control_of(m.mnt) / "waiting").read_text())


def cpu_ticks(m):
    after_name = pathlib.Path(f"/proc/{m.pid}/stat").read_text().rpartition(")")[2]
    return sum(map(int, after_name.split()[11:13]))


def settled(m, everybody):
    """All wait, and the daemon has nothing to do: those that still look for
    their file would be waiting as well, but not for long."""
    before = cpu_ticks(m)
    time.sleep(LOOK)
    return parked(m) == everybody and cpu_ticks(m) - before <= 1


def block_readers(build, server, m, stack):
    """(process, seconds): sessions that run a statement, and their readers."""
    files = [str(m.path("used", name)) for name in ["query.sql", "result.csv"]]
    counts = [str(SESSIONS), str(READERS)]
    start = time.monotonic()
    process = subprocess.Popen(
        [build / "readers", *files, STATEMENT, *counts], stdin=subprocess.PIPE
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    server.wait_until_running("pg_sleep", SESSIONS, timeout=60)
    process.stdin.write(b"\n")
    process.stdin.flush()
    everybody = SESSIONS * (READERS + 1)
    wait_for(lambda: settled(m, everybody), f"{everybody} wait", 300)
    return process, time.monotonic() - start - LOOK


def run(build, where, stack, stop):
    """Prints its table; what has to be ended is put on the stack."""
    server = Postgres(log_statement="none")
    stack.callback(server.stop)
    server.start()
    m = Mount(where, {}, files=specs(server))
    begun = time.monotonic()
    m.start()
    stack.callback(stop, m)
    readers = SESSIONS * READERS
    print(f"\n### {SPECS} connections, {readers} readers on {SESSIONS} sessions\n")
    print("| | seconds | daemon MiB | threads |")
    print("|---|--:|--:|--:|")
    row(f"mounted with {SPECS} connections", time.monotonic() - begun, m)
    first = listing(build, m)
    row("first `ls`", first, m)
    often = statistics.median(listing(build, m) for _ in range(LISTINGS))
    row(f"`ls`, median of {LISTINGS}", often, m)
    process, seconds = block_readers(build, server, m, stack)
    row(f"{readers} readers wait on {SESSIONS} sessions", seconds, m)
    blocked = statistics.median(listing(build, m) for _ in range(LISTINGS))
    row(f"`ls` meanwhile, median of {LISTINGS}", blocked, m)
    start = time.monotonic()
    process.kill()
    wait_for(lambda: parked(m) == 0 and not server.running("pg_sleep"), "the end", 60)
    row("readers killed, statements cancelled", time.monotonic() - start, m)
