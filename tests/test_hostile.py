# SPDX-License-Identifier: MIT
"""Callers that try to hold up the mount: nobody but themselves may suffer."""

import os
import re
import signal
import subprocess

import pytest

import clients
import mount as mounts
import servers
from clients import SCALE, wait_for
from doors import Door

HERE = os.path.dirname(os.path.abspath(__file__))
EVERYONE = {"everyone": True}


@pytest.fixture
def db(test_dir):
    file = servers.Sqlite(test_dir / "test.db")
    file.script("create table t (n int); insert into t values (1)")
    return file


class Silent:
    """The mount of silent_fuse.py."""

    def __init__(self, where):
        self.where = where
        where.mkdir()
        self.out = where.with_suffix(".out")
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen(
                ["/usr/bin/python3", f"{HERE}/silent_fuse.py", str(where)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                cwd="/",
            )
        wait_for(lambda: "mounted" in self.said(), "the silent mount appears")

    def said(self):
        return self.out.read_text().split()

    def stop(self):
        """Whoever waits there gets an error."""
        mounts.abort_connection(self.where)
        subprocess.run(["umount", "-l", str(self.where)], check=True, timeout=10)
        assert self.process.wait(10) == 0


@pytest.fixture
def silent(test_dir):
    made = Silent(test_dir / "silent")
    yield made
    made.stop()


@pytest.fixture(scope="session")
def locked_caller(session_dir):
    """The program of locked_caller.c."""
    program = session_dir / "locked_caller"
    subprocess.run(
        ["cc", "-pthread", "-o", program, HERE + "/locked_caller.c"], check=True
    )
    yield program
    program.unlink()


@pytest.fixture
def locked(locked_caller, silent, test_dir):
    """locked(mount, number): a caller whose memory is locked by another mount."""

    def start(m, number):
        doors = [Door(test_dir / f"door{number}-{i}") for i in range(3)]
        client = m.start_client(
            [str(locked_caller), str(silent.where / "file"), str(m.path("db"))]
            + [str(number), *map(str, doors)],
            env={"LAVA_REALM": "prod", "LAVA_JOB_ID": "42"},
        )
        wait_for(lambda: "READ" in silent.said(), "a page is locked")
        doors[0].open()
        wait_for(lambda: maps(client), "its memory is locked")
        doors[1].open()
        doors[2].reached()
        return client

    return start


def maps(client):
    """Its second thread is where it stays."""
    return any(
        (status["Name"], status["State"][0]) == ("mapper", "D")
        for tid in clients.threads_of(client.pid)
        if (status := clients.status_of(f"{client.pid}/task/{tid}"))
    )


# The caller itself is served, without a job name, and so is everybody else.
def test_a_caller_whose_memory_is_locked(mount, pg, database, locked):
    m = mount(db=pg.spec(database=database))

    client = locked(m, 7)

    assert client.stdout == b"n\n7\n"
    assert [row[2] for row in pg.activity()] == ["connfs-root-locked_caller"]
    env = {"LAVA_REALM": "prod", "LAVA_JOB_ID": "43"}
    named = m.query("show application_name;", env=env, timeout=5).check()
    assert named.lines[1] == "lv-prod-43"


# More of them than threads that read environments: only the names are lost.
def test_many_callers_whose_memory_is_locked(mount, db, locked):
    m = mount(db=db.spec(max_connections=30))

    all_of_them = [locked(m, n) for n in range(20)]

    said = [client.stdout.decode() for client in all_of_them]
    assert said == [f"n\n{n}\n" for n in range(20)]
    for n in range(20):
        done = m.query(f"select {n} as n;", timeout=5).check()
        assert done.out == f"n\n{n}\n"
        assert done.elapsed < 2 * SCALE
    assert m.status["Threads"] < 50


# The end of the daemon is not held up by them either.
def test_the_daemon_ends_while_a_callers_memory_is_locked(
    mount, db, locked, test_dir
):
    # A thread that hangs cannot be stopped, as the search for leaks would.
    env = mounts.sanitizer_env(test_dir / "mount0/sanitizer")
    env["ASAN_OPTIONS"] += ":detect_leaks=0"
    m = mount(db=db.spec(), env=env)
    client = locked(m, 7)

    m.process.terminate()

    assert m.process.wait(5 * SCALE) == 0
    assert client.running


# exec closes query.sql: that FLUSH runs the statement, and until it is answered
# the kernel holds a lock of the process that reading its /proc files waits for.
# Neither others nor relatives of the process may be held up by it.
def test_exec_with_query_sql_open_does_not_freeze_the_mount(mount, server, test_dir):
    m = mount(db=server.spec(access=EVERYONE))
    door = Door(test_dir / "door")
    code = """
import os
C = os.environ["C"]
if os.fork() == 0:
    # A child of the one that is inside exec, in its session.
    open(os.environ["DOOR"]).readline()
    print(open(C + "/client.json").read().count("sid"), flush=True)
    open(C + "/cancel", "w").write("1")
    os._exit(0)
fd = os.open(C + "/query.sql", os.O_WRONLY | os.O_CLOEXEC)
os.write(fd, os.environb[b"SLOW"])
os.execv("/bin/echo", ["echo", "went on"])
"""
    client = m.start_python(code, env={"DOOR": str(door), "SLOW": server.slow})
    server.wait_until_running("sleep(600")

    for uid in [None, 20001]:
        done = m.query("select 5 as n;", uid=uid, timeout=5).check()
        assert done.out == "n\n5\n"

    door.open()
    assert client.wait(10).lines == ["1", "went on"]


# The same when another filesystem holds the exec for ever, of which connfs
# knows nothing: its relatives are served.
def test_a_relative_that_is_inside_exec_for_ever(mount, db, silent, test_dir):
    m = mount(db=db.spec())
    code = """
import os
C = os.environ["C"]
child = os.fork()
if child == 0:
    open(os.environ["DOOR"]).readline()
    with open(C + "/query.sql", "w") as f:
        f.write("select 6 as n;")
    print(open(C + "/result.csv").read(), end="", flush=True)
    print(open(C + "/status.json").read().count("done"), flush=True)
    os._exit(0)
os.open(os.environ["SILENT"], os.O_RDONLY | os.O_CLOEXEC)
os.execv("/bin/true", ["true"])
"""
    door = Door(test_dir / "door")
    env = {"SILENT": str(silent.where / "file"), "DOOR": str(door)}
    client = m.start_python(code, env=env)
    wait_for(lambda: "FLUSH" in silent.said(), "the parent is inside exec")

    door.open()

    wait_for(lambda: client.stdout == b"n\n6\n1\n", "the child is served")
    assert m.query("select 5 as n;", timeout=5).check().out == "n\n5\n"


# A stopped caller keeps what it waits for and holds up nobody.
def test_a_stopped_caller_holds_up_nobody(mount, engine):
    m = mount(db=engine.spec(access=EVERYONE, max_connections=3))
    client = m.start_sh(f'echo "{engine.slow};" >"$C/query.sql"', shell="bash")
    client.wait_parked()

    client.signal(signal.SIGSTOP)
    for uid in [None, 20001]:
        done = m.query(engine.series(2) + ";", uid=uid, timeout=5).check()
        assert done.out == "n\n1\n2\n"
    client.wait_parked()
    client.signal(signal.SIGCONT)
    client.wait_parked()
    client.signal(signal.SIGTERM)

    assert client.wait(10).rc == -signal.SIGTERM


# A reader that is stopped in the middle, or never reads on, costs its own
# statement its pace, and others nothing.
def test_a_stopped_reader_holds_up_nobody(mount, engine):
    m = mount(
        db=engine.spec(max_connections=3),
        settings={"spool_memory": "64K", "spool_disk": 0},
    )
    client = m.start_sh(
        f'echo "{engine.endless};" >"$C/query.sql"; exec cat "$C/result.csv" >/dev/null'
    )
    wait_for(lambda: clients.status_of(client.pid)["Name"] == "cat", "it reads")
    client.signal(signal.SIGSTOP)
    wait_for(lambda: clients.status_of(client.pid)["State"][0] == "T", "it stops")

    for _ in range(3):
        done = m.query(engine.series(2) + ";", timeout=5).check()
        assert done.out == "n\n1\n2\n"
    assert m.status["VmRSS"] < 48 * 1024 * SCALE


# One process opens query.sql a thousand times; each is a script of its own.
def test_a_thousand_open_scripts(mount, engine):
    m = mount(db=engine.spec(access=EVERYONE))
    code = """
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 2000))
C = os.environ["C"]
fds = [os.open(C + "/query.sql", os.O_WRONLY) for _ in range(1000)]
open(os.environ["DOOR"]).readline()
for n, fd in enumerate(fds):
    os.write(fd, f"select {n} as n;".encode())
    if n % 100 == 99:
        print(open(C + "/result.csv").read().split()[1])
for fd in fds:
    os.close(fd)
"""
    door = Door(m.dir / "door")
    client = m.start_python(code, env={"DOOR": str(door)})
    door.reached()

    others = m.query("select 5 as n;", uid=20001, timeout=5).check()
    threads = m.status["Threads"]
    door.open()

    assert others.out == "n\n5\n"
    assert threads < 10
    assert client.wait().check().lines == [str(n) for n in range(99, 1000, 100)]


# Processes that come and go by the hundred leave nothing behind: descriptors
# (each process seen is held by one) and memory of the daemon stay bounded.
def test_hundreds_of_short_sessions_leave_nothing(mount, db):
    m = mount(db=db.spec(), settings={"idle_timeout": 0.2})
    script = """
    for i in $(seq 300); do
        setsid -w sh -c 'echo "select 1 as n;" >"$C/query.sql"; cat "$C/result.csv"'
    done | sort | uniq -c
    """

    assert m.sh(script, timeout=40).check().out.split() == ["300", "1", "300", "n"]

    wait_for(
        lambda: '"conversations": 0' in m.read(".connfs", "status.json"),
        "the conversations end",
    )
    assert m.status["VmRSS"] < 48 * 1024 * SCALE
    assert len(os.listdir(f"/proc/{m.pid}/fd")) < 1200
    assert m.status["Threads"] < 10


# Names that nobody has to understand, only to refuse.
def test_odd_names_are_refused(mount, db):
    m = mount(db=db.spec())
    code = r"""
import errno, os
C = os.fsencode(os.environ["C"])
def tell(name):
    try:
        os.stat(C + b"/" + name)
        print("there")
    except OSError as e:
        print(errno.errorcode[e.errno])
for name in [b"\xff\xfe", b"a\nb", b"%2e", b"x" * 255, b"results/0.csv",
             b"results/01.csv", b"results/-1.csv", b"results/9" + b"9" * 30 + b".csv",
             b"QUERY.SQL", b"query.sql\x01"]:
    tell(name)
"""

    assert m.python(code).check().lines == ["ENOENT"] * 10


# After kill -9 nobody stays in state D, whatever the request was parked in.
@pytest.mark.parametrize(
    "script",
    [
        'echo "SLOW;" >"$C/query.sql"',
        'printf "SLOW" >"$C/query.sql"',
        'exec 3>"$C/query.sql"; printf "SLOW" >&3; exec sync -d /dev/fd/3',
        'echo "SLOW" >"$C/.new"; mv "$C/.new" "$C/query.sql"',
        '(echo "SLOW;" >"$C/query.sql") & until cat "$C/result.csv"; do :; done',
        'echo "STALLING;" >"$C/query.sql"; exec 3<"$C/result.csv"; cat <&3 >/dev/null',
    ],
    ids=["write", "flush", "fsync", "rename", "open", "read"],
)
def test_kill_9_ends_every_parked_caller(mount, engine, script):
    m = mount(db=engine.spec())
    text = script.replace("SLOW", engine.slow).replace("STALLING", engine.stalling)
    client = m.start_sh(text)
    # Only now is the last process of the script in its last request.
    wait_for(
        lambda: re.search(
            r"\t(running|streaming)\t", m.sh('cat "$M/.connfs/statements"').out
        ),
        "the statement runs",
    )
    client.wait_parked()
    killed = client.processes()

    clients.kill_all(killed)

    wait_for(lambda: not client.processes(), "all of it is gone", 5)
    assert client.wait(5).rc == -signal.SIGKILL
    assert m.query(engine.series(1) + ";").check().out == "n\n1\n"
