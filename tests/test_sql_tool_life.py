# SPDX-License-Identifier: MIT
"""How sql streams and how it ends; and the sessions that are made by writing
their names."""

import os
import signal

import pytest

import engines
from clients import wait_for
from doors import Door

ALICE = 20001
BOB = 20002

EVERYONE = {"everyone": True}

SHELLS = ["dash", "bash", "busybox sh"]

# How it gets its text. The third keeps its standard input open.
WAYS = {
    "argument": 'exec $SQL "$Q"',
    "input": 'echo "$Q" >"$T"; exec $SQL <"$T"',
    "open input": 'exec 9<>"$DOOR"; echo "$Q;" >&9; exec $SQL <&9',
}


@pytest.fixture
def db(mount, engine):
    return mount(db=engine.spec(access=EVERYONE))


@pytest.fixture
def start(test_dir):
    """start(m, query, way, shell): sql runs as the client's own process."""
    door = Door(test_dir / "door")

    def start(m, query, way="argument", shell="dash"):
        env = {
            "SQL": f'{shell} {m.path("db", "sql")}',
            "Q": query,
            "T": str(test_dir / "text"),
            "DOOR": str(door),
        }
        return m.start_sh(WAYS[way], env=env)

    return start


def sessions(m):
    return m.sh('ls -A "$C/sessions"').check().lines


def statements(m):
    return m.read(".connfs", "statements").splitlines()[1:]


def runs(m):
    wait_for(lambda: "\trunning\t" in "".join(statements(m)), "it runs")


def nothing_is_left(m, client):
    wait_for(lambda: not client.processes(), "its processes end")
    wait_for(lambda: not sessions(m), "its session ends")
    wait_for(lambda: not statements(m), "its statement ends")


# The first row is there while the server has not made the second.
@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_rows_come_as_they_are_made(mount, server, gate, start, shell):
    g = gate()
    m = mount(db=server.spec())
    client = start(m, g.query, shell=shell)

    wait_for(lambda: client.stdout.count(b"\n") >= 3, "the first rows", 20)
    assert client.running
    g.open()

    assert client.wait().check().stdout == g.csv()


# Ctrl-C goes to all processes of a terminal, the others to one.
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_end_it_and_its_statement(db, engine, start, way, name):
    number = getattr(signal, name)
    for shell in SHELLS:
        client = start(db, engine.slow, way, shell)
        runs(db)

        if number == signal.SIGINT:
            client.signal(number)
        else:
            os.kill(client.pid, number)

        result = client.wait()
        assert (result.rc, result.out, result.err) == (1, "", "")
        # Nothing of it outlives it, not for a moment.
        assert client.processes() == []
        assert sessions(db) == []
        wait_for(lambda: not statements(db), "its statement ends")


# Also at the server.
@pytest.mark.parametrize("shell", SHELLS)
def test_a_signal_cancels_at_the_server(mount, server, start, shell):
    m = mount(db=server.spec())
    client = start(m, server.slow, shell=shell)
    server.wait_until_running("sleep(600")

    os.kill(client.pid, signal.SIGTERM)

    assert client.wait().rc == 1
    server.wait_until_gone("sleep(600")


# Its session goes with the process that made it, as soon as that is seen.
@pytest.mark.parametrize("way", ["argument", "input"])
def test_a_killed_one_leaves_nothing(db, engine, start, way):
    client = start(db, engine.slow, way)
    runs(db)

    os.kill(client.pid, signal.SIGKILL)

    assert client.wait().rc == -signal.SIGKILL
    nothing_is_left(db, client)


# Who wants no more is nobody's failure, and nothing runs on for it.
def test_a_reader_that_leaves_ends_it(db, engine):
    script = f"""
    for sql in "dash $C/sql" "bash $C/sql"; do
        $sql "{engine.endless}" | head -n 2
    done
    """

    result = db.sh(script, shell="bash")

    assert result.check().lines == ["n", "1"] * 2
    assert sessions(db) == []
    wait_for(lambda: not statements(db), "the statement ends")


# Each statement as it comes: a pipe, or somebody who types.
def test_statements_run_as_they_come(db, test_dir):
    door = Door(test_dir / "statements")
    client = db.start_sh('exec "$C/sql" <"$DOOR"', env={"DOOR": str(door)})
    wait_for(door._somebody_reads, "it reads")
    fd = door._fd
    for i in range(3):
        os.write(fd, f"select {i} as n;\n".encode())
        wait_for(lambda: client.stdout.endswith(f"n\n{i}\n".encode()), "its row")
    os.write(fd, b"select 3 as n")
    os.close(fd)

    assert client.wait().check().lines == [x for i in range(4) for x in ("n", f"{i}")]


# It waits for more text no longer than for the statement that fails.
def test_a_failure_ends_it_at_once(db, start):
    client = start(db, "select 1 as a; selec 2", "open input")

    result = client.wait()

    assert (result.rc, result.out) == (1, "a\n1\n")
    assert result.err.startswith("ERROR:")
    nothing_is_left(db, client)


# A session of its own needs no room that others do not give back.
def test_it_waits_for_a_free_session(mount, server):
    m = mount(db=server.spec(max_connections=1, access=EVERYONE))

    result = m.sh(
        'echo "select 1;" >"$C/query.sql"; seq 5 |'
        ' xargs -P5 -I{} "$C/sql" "select {} as n" | grep -v n | sort'
    )

    assert result.check().out == "1\n2\n3\n4\n5\n"


# What stood inside of a connection is not there for who stays in it, either.
def test_a_connection_that_was_taken_away_shows_nothing(mount, engine, test_dir):
    m = mount(db=engine.spec(), other=engine.spec())
    door = Door(test_dir / "door")
    client = m.start_sh(
        'cd "$C/$D" && read x <"$DOOR"\n'
        "ls -A; for f in ../sessions/.new ../sessions/.end refresh token; do\n"
        "    echo s >$f; done",
        conn="db",
        shell="bash",
        env={"DOOR": str(door), "D": "creds"},
    )
    door.reached()

    del m.specs["db"]
    m.reload()
    wait_for(lambda: "db" not in m.sh('ls "$M"').check().lines, "it is gone")
    door.open()

    result = client.wait()
    assert (result.rc, result.out) == (1, "")
    assert result.err.count("No such file") >= 4


# What it has sent goes on when the connection is taken away; the end is told.
def test_the_end_of_the_connection_is_survived(mount, engine, start):
    m = mount(db=engine.spec(), other=engine.spec())
    client = start(m, engine.slow)
    runs(m)

    del m.specs["db"]
    m.reload()
    gone = '[ ! -e "$M/db" ] && sed -n "2s/\t.*//p" "$M/.connfs/statements"'
    wait_for(lambda: m.sh(gone).rc == 0, "the connection is gone")
    assert client.running
    m.sh(f'{gone} >"$M/.connfs/cancel"').check()

    result = client.wait()
    assert (result.rc, result.out) == (1, "")
    assert "ERRNO:  ECANCELED\n" in result.err
    assert client.processes() == []


NEW = 'N="$C/sessions/.new"; E="$C/sessions/.end"; S="$C/sessions/s"\n'


def sh(m, script, **how):
    return m.sh(NEW + script, **how)


# For callers that have no mkdir and rmdir.
def test_a_session_is_made_by_writing_its_name(db):
    result = sh(
        db,
        'echo s >"$N"; stat -c "%A %u" $S; echo "select 1 as a;" >$S/query.sql\n'
        'cat $S/result.csv; ls -A "$C/sessions"; echo s >"$E"; ls -A "$C/sessions"',
        uid=ALICE,
    )

    assert result.check().lines == [f"drwx------ {ALICE}", "a", "1", "s"]


# A transaction in it is rolled back.
def test_it_ends_with_the_process_that_made_it(mount, engine):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec(access=EVERYONE))
    script = NEW + (
        'echo s >"$N"; echo "begin; insert into t values (1);" >$S/query.sql\n'
        # Its children may use it, and do not keep it.
        'cat $S/status.json >/dev/null; sleep 600 <"$S/query.sql" & read x\n'
    )
    maker = m.start_client(["bash", "-c", script], stdin="")

    assert maker.wait().rc in (0, 1)
    wait_for(lambda: not sessions(m), "it ends")
    count = 'echo "select count(*) as n from t;" >"$C/query.sql"; cat "$C/result.csv"'
    assert m.sh(count).check().out == "n\n0\n"


# While it lives, others of its user may use it.
def test_it_lives_as_long(db, test_dir):
    door = Door(test_dir / "door")
    maker = db.start_sh(NEW + 'echo s >"$N"; read x <"$DOOR"', env={"DOOR": str(door)})
    door.reached()

    used = sh(db, 'echo "select 1 as a;" >$S/query.sql && cat $S/result.csv')

    assert used.check().out == "a\n1\n"
    door.open()
    maker.wait().check()
    wait_for(lambda: not sessions(db), "it ends")


ERRORS = {
    "EEXIST": ["s", ".new", ".end", ".", ".."],
    "EINVAL": ["", "\n", "a/b", "a\nb", "a\tb", "a\0b"],
    "ENAMETOOLONG": ["x" * 256],
}


def write(name, words):
    """A Python program that writes each, and prints what came of it."""
    return f"""
import errno, os
for word in {words!r}:
    fd = os.open(os.environ["C"] + "/sessions/{name}", os.O_WRONLY)
    try:
        os.write(fd, word.encode())
        print("OK")
    except OSError as e:
        print(errno.errorcode[e.errno])
    os.close(fd)
"""


def test_names_are_refused_as_by_mkdir(db):
    db.sh('mkdir "$C/sessions/s"', uid=ALICE).check()

    for error, words in ERRORS.items():
        # A write of nothing is none.
        words = [w for w in words if w]
        told = db.python(write(".new", words), uid=BOB).check().lines
        assert told == [error] * len(words), words
    told = db.python(write(".end", ["s", "none", ".."]), uid=BOB).check().lines
    assert told == ["ENOENT", "ENOENT", "EEXIST"][:2] + ["ENOENT"]
    assert db.sh('rmdir "$C/sessions/s"', uid=ALICE).check().out == ""


def test_a_user_has_only_so_many(db):
    words = [f"s{i}" for i in range(1001)]

    told = db.python(write(".new", words), uid=ALICE).check().lines

    assert told == ["OK"] * 1000 + ["EDQUOT"]


# They are not listed, cannot be read, and are not for those who may not use
# the connection.
def test_who_may_write_there(mount, engine):
    m = mount(db=engine.spec(access={"users": [ALICE]}))

    for name in [".new", ".sql", ".end"]:
        there = f'test -e "$C/sessions/{name}"'
        assert m.sh(there, uid=ALICE).rc == 0
        assert m.sh(there, uid=BOB).rc == 1
        assert m.sh(f'cat "$C/sessions/{name}"', uid=ALICE).rc == 1
    assert m.sh('ls -A "$C/sessions"', uid=ALICE).check().out == ""


# Elsewhere what has not come is not there.
def test_only_its_own_results_are_waited_for(db):
    result = sh(db, 'echo s >"$N"; cat $S/results/1.csv; mkdir "$C/sessions/t"\n'
                    'cat "$C/sessions/t/results/1.csv" "$C/results/1.csv"')

    assert result.rc == 1
    assert result.err.count("No such file") == 3


BY_HAND = 'S="$C/sessions/s"; echo s >"$C/sessions/.sql" || exit 9\n'


# Who writes by busybox reads by it, elsewhere; here the reader is looked at.
def test_what_cannot_be_held_streams_past_a_writer(mount, server, test_dir):
    small = {"spool_memory": 65536, "spool_disk": 1048576}
    m = mount(db=server.spec(), settings=small)
    door = Door(test_dir / "door")
    query = server.series(3000000)
    client = m.start_sh(
        BY_HAND + 'busybox sh -c \'echo "$Q;" >"$0/query.sql"\' "$S" &\n'
        'cat "$S/results/1.csv" | { read x <"$DOOR"; tail -n 1; }; wait $!',
        env={"Q": query, "DOOR": str(door)},
    )

    wait_for(lambda: server.held(query), "nobody takes the rows", 20)
    door.open()

    assert client.wait().check().out == "3000000\n"


# A statement with more result sets than are kept: those that are lost are not
# taken for the end.
def test_lost_results_are_told(mount, mariadb, mariadb_database):
    engine = engines.MariadbEngine(mariadb, mariadb_database)
    m = mount(db=engine.spec())
    make = "create procedure p() for i in 1..150 do select i as n; end for;"
    m.query(f"delimiter //\n{make}//\n").check()

    result = m.sh(
        BY_HAND + 'echo "call p();" >"$S/query.sql"\n'
        'cat "$S/results/50.csv"; cat "$S/results/51.csv" "$S/results/150.csv"\n'
        'test -e "$S/results/50.csv" && test ! -e "$S/results/151.csv"; echo $?'
    )

    assert result.lines == ["n", "51", "n", "150", "0"]
    assert "Stale file handle" in result.err
