# SPDX-License-Identifier: MIT
"""bench/run --jobs: what a mount of its own costs a job, and what it leaves."""

import os
import pathlib
import statistics
import subprocess
import time

from clients import PATH, all_status, wait_for
from job_mounts import USER, Job, storm
from mount import Mount, connection_of
from servers import Postgres

ROUNDS = 41
JOBS, KILLED, AT_ONCE = 500, 100, 4
LONGEST = 0.04  # seconds until one is killed
SHARE, MORE = 1.5, 0.060  # the aim: so many times as long, and so many seconds

FILES = 'echo "select 1 as a;" >"$C/query.sql" && cat "$C/result.csv"'

# What makes a user of root is no part of what is measured.
START = ["sh", "-c", 'date +%s%N; exec "$@"', "sh"]


def first_row(argv, env):
    """Seconds from where a program starts to the first row it writes."""
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE) as process:
        start, header, row = (process.stdout.readline() for _ in range(3))
        end = time.time_ns()
    assert (header, row, process.returncode) == (b"a\n", b"1\n", 0), argv
    return (end - int(start)) / 1e9


def contenders(conn, m, client, jobs):
    """{name: (argv, env)}; the first is what the jobs are measured by."""
    argv, env = client
    base = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/"}
    found = {
        "no mount, the engine's own client": ([*START, *argv], env),
        "a mount that is there": (
            [*START, "sh", "-c", FILES],
            {**base, "C": str(m.path(conn))},
        ),
    }
    for name, job in jobs.items():
        env = {**base, "D": str(job.dir), "C": str(job.at / conn)}
        program = job.program_argv("sh", "-c", FILES)
        found[name] = (job.as_user(*START, *program), env)
    return found


def measure_start(title, tasks, say):
    seconds = {name: [] for name in tasks}
    for number in range(ROUNDS):
        if number % 10 == 0:
            say(f"{title}, round {number + 1} of {ROUNDS}")
        for name, (argv, env) in tasks.items():
            seconds[name].append(first_row(argv, env))

    print(f"\n### {title}: from the start of a program to its first row\n")
    print("| | ms, median | min | max |")
    print("|---|--:|--:|--:|")
    for name, all_of in seconds.items():
        row = [statistics.median(all_of), min(all_of), max(all_of)]
        print(f"| {name} | " + " | ".join(f"{1000 * s:.1f}" for s in row) + " |")
    medians = [statistics.median(all_of) for all_of in seconds.values()]
    aim = SHARE * medians[0] + MORE
    print(
        f"\nThe slower of the two jobs: {1000 * max(medians[2:]):.1f} ms;"
        f" {SHARE} x without a mount + {1000 * MORE:.0f} ms: {1000 * aim:.1f} ms"
    )


def mounts_at(path):
    """In every mount namespace that a process is in."""
    found = set()
    for pid, _ in all_status():
        try:
            text = pathlib.Path(f"/proc/{pid}/mountinfo").read_text()
        except OSError:
            continue  # it has just ended
        found |= {line for line in text.splitlines() if f" {path} " in line}
    return found


def measure_left(name, job, say):
    """Jobs, a part of which is killed at some moment; what is left of them."""
    say(f"{JOBS} jobs, {name}")
    start = time.monotonic()
    storm(job, JOBS, KILLED, AT_ONCE, LONGEST)
    ended = time.monotonic()
    wait_for(lambda: not job.daemons, "the last daemon ends")
    settled = time.monotonic() - ended
    left = [p for p in job.dir.rglob("*") if p.is_socket()] + os.listdir(job.at)
    assert connection_of(job.at) is None and not left, left
    print(
        f"| {name} | {ended - start:.1f} | {settled * 1000:.0f}"
        f" | {len(job.daemons)} | {len(mounts_at(job.at))} | {len(left)} |"
    )


def run(where, stack, stop, say):
    server = Postgres(log_statement="none")
    stack.callback(server.stop)
    server.start()
    jobs = {
        "a job of root": Job(where / "root"),
        "a job of a user": Job(where / "user", USER),
    }
    for job in jobs.values():
        stack.callback(job.end)
    where.chmod(0o755)
    specs = {"sqlite": jobs["a job of root"].db.spec(), "pg": server.spec()}
    for job in jobs.values():
        job.write_specs(sqlite=job.db.spec(), demo=job.db.spec(), pg=server.spec())
    m = Mount(where / "mount", specs)
    stack.callback(stop, m)
    m.start()

    sql = "select 1 as a"
    path = {"PATH": PATH}
    lite = ["sqlite3", "-csv", "-header", str(jobs["a job of root"].db.path), sql]
    measure_start("SQLite", contenders("sqlite", m, (lite, path), jobs), say)
    psql = server.psql_argv("--csv", "-c", sql, user="app")
    env = {**path, "PGPASSWORD": server.passwords["app"]}
    measure_start("PostgreSQL", contenders("pg", m, (psql, env), jobs), say)

    print(f"\n### {JOBS} jobs, {KILLED} of them killed, {AT_ONCE} at once\n")
    print(
        "| | seconds | ms until the last daemon has ended"
        " | daemons left | mounts left | files left |"
    )
    print("|---|--:|--:|--:|--:|--:|")
    for name, job in jobs.items():
        measure_left(name, job, say)
