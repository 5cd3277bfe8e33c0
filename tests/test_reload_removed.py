# SPDX-License-Identifier: MIT
"""What a connection has begun when a reload takes it away."""

import signal

import pytest

import engines
from clients import wait_for
from locks import TableLock
from reloading import names, reload, status

# Waits for the lock on t, and tells that it has happened.
INSERT = "insert into u select count(*) from t"
WRITER = f'echo "{INSERT};" >"$C/query.sql" && echo written'
RUNS = "insert into u select"
GONE = "No such file or directory"


def make_tables(server):
    server.sql("create table t (a int)")
    server.sql("create table u (a int)")
    return server


@pytest.fixture
def held(mount, pg, database):
    """A mount of one connection, on a table u and a locked one t: the mount, the
    lock and the engine."""
    server = make_tables(engines.PostgresEngine(pg, database))
    with TableLock(server) as lock:
        yield mount(db=server.spec()), lock, server


def remove(m):
    m.removed = dict(m.specs)
    m.specs.clear()
    reload(m)


def bring_back(m):
    m.specs.update(m.removed)
    reload(m)


def statements(m):
    """The lines of .connfs/statements, as lists."""
    lines = m.read(".connfs", "statements").splitlines()[1:]
    return [line.split("\t") for line in lines]


def start(m, script, **how):
    return m.start_sh(script, "db", shell="bash", **how)


def wait_until_left(m):
    wait_for(lambda: status(m)["conversations"] == 0, "nothing is left of it")
    assert status(m)["database_sessions"] == 0


# The directory goes at once; the writer is told what came of its statement.
def test_a_statement_runs_to_its_end(mount, server):
    make_tables(server)
    m = mount(db=server.spec())
    with TableLock(server) as lock:
        client = start(m, WRITER)
        server.wait_until_running(RUNS)

        remove(m)

        assert names(m) == ["README"]
        assert status(m)["connections"] == 0
        for attempt in ['ls "$C"', 'cat "$C/error"', 'echo "x;" >"$C/query.sql"']:
            assert GONE in m.sh(attempt, "db", shell="bash").err
        assert [s[1] for s in statements(m)] == ["db"]
        assert client.running
        lock.release()
    assert client.wait().check().out == "written\n"
    assert server.sql("select count(*) from u") == [("1",)]
    wait_until_left(m)


# Somebody has to be able to end it: by its number, and by the end of the daemon.
@pytest.mark.parametrize("how", ["cancel", "kill", "term"])
def test_what_runs_on_can_be_ended(held, how):
    m, _, server = held
    client = start(m, WRITER)
    server.wait_until_running(RUNS)
    remove(m)

    if how == "cancel":
        ((number, *_),) = statements(m)
        m.sh(f'echo {number} >"$M/.connfs/cancel"').check()
        assert "Operation canceled" in client.wait().err
    elif how == "kill":
        client.signal(signal.SIGINT)
        assert client.wait().rc != 0
    else:
        m.process.send_signal(signal.SIGTERM)
        assert "not connected" in client.wait().err
    server.wait_until_gone(RUNS)


# A reader that waits, and one that has the result open, get all of it.
def test_readers_read_to_the_end(held):
    m, lock, server = held
    select = "select count(*) as n from t"
    client = start(
        m,
        f'echo "{select};" >"$C/query.sql" & until [ -e "$GO" ]; do :; done;'
        ' cat "$C/result.csv"; wait $! && echo written',
        env={"GO": str(m.dir / "go")},
    )
    server.wait_until_running(select)
    (m.dir / "go").touch()
    client.wait_parked(2)  # the reader, too

    remove(m)
    lock.release()

    assert client.wait().check().out == "n\n0\nwritten\n"
    wait_until_left(m)


# Also when the rows are more than fit the spool, and have yet to come.
def test_rows_that_are_to_come_are_read(mount, sqlite):
    settings = {"spool_memory": "64KiB", "spool_disk": 0}
    m = mount({"db": sqlite.spec()}, settings=settings)
    client = start(
        m,
        f'echo "{sqlite.series(300000)};" >"$C/query.sql"; exec 3<"$C/result.csv";'
        ' echo open; until [ -e "$GO" ]; do :; done; tail -n 1 <&3',
        env={"GO": str(m.dir / "go")},
    )
    wait_for(lambda: client.stdout == b"open\n", "the result is open")

    remove(m)
    (m.dir / "go").touch()

    assert client.wait().check().lines == ["open", "300000"]
    wait_until_left(m)


# A finished result that somebody has open is whole to its end.
def test_an_open_finished_result_survives(mount, sqlite):
    m = mount(db=sqlite.spec())
    client = start(
        m,
        'echo "select 1 as x;" >"$C/query.sql"; exec 3<"$C/result.csv"; echo open;'
        ' until [ -e "$GO" ]; do :; done; cat <&3',
        env={"GO": str(m.dir / "go")},
    )
    wait_for(lambda: client.stdout == b"open\n", "the result is open")

    remove(m)
    (m.dir / "go").touch()

    assert client.wait().check().out == "open\nx\n1\n"
    wait_until_left(m)


# A stream is an open file: its rows are read, and what is sent next is refused.
def test_a_stream_is_read_to_the_end(mount, sqlite):
    m = mount(db=sqlite.spec())
    client = m.start_python(
        "import os\n"
        "db = os.open(os.environ['C'] + '/query.sql', os.O_RDWR)\n"
        f"os.write(db, b'{sqlite.series(100000)};')\n"
        "print('sent', flush=True)\n"
        "while not os.path.exists(os.environ['GO']): pass\n"
        "n = last = 0\n"
        "while piece := os.read(db, 1 << 20):\n"
        "    n, last = n + piece.count(b'\\n'), piece[-7:]\n"
        "print(n, last)\n"
        "try:\n"
        "    os.write(db, b'select 1;')\n"
        "except OSError as e:\n"
        "    print(e.strerror)\n",
        env={"GO": str(m.dir / "go")},
    )
    wait_for(lambda: client.stdout == b"sent\n", "rows are there")

    remove(m)
    wait_for(lambda: status(m)["database_sessions"] == 0, "the session is closed")
    (m.dir / "go").touch()

    assert client.wait().check().lines == ["sent", "100001 b'100000\\n'", GONE]
    wait_until_left(m)


# sql opens its results one by one: it gets all of what it has sent.
def test_sql_at_work_prints_its_rows(held):
    m, lock, server = held
    select = "select count(*) as n from t"
    client = start(m, f'"$C/sql" "{select}" && echo done')
    server.wait_until_running(select)

    remove(m)
    assert names(m) == ["README"]
    assert GONE in m.sh('stat "$C"', "db").err
    lock.release()

    assert client.wait().check().out == "n\n0\ndone\n"
    wait_until_left(m)


# Also those that it has not opened when all has run.
def test_sql_prints_what_it_has_not_opened_yet(mount, sqlite):
    m = mount(db=sqlite.spec())
    text = f"{sqlite.series(50000)}; select 7 as z;"
    client = start(
        m,
        f'"$C/sql" "{text}" | {{ read x; echo $x; until [ -e "$GO" ]; do :; done;'
        " tail -n 3; }",
        env={"GO": str(m.dir / "go")},
    )
    wait_for(lambda: client.stdout == b"n\n" and not statements(m), "all has run")

    remove(m)
    (m.dir / "go").touch()

    assert client.wait().check().lines == ["n", "50000", "z", "7"]
    wait_until_left(m)


# Its session's directory is out of reach; what runs in it is ended all the same.
def test_sql_at_work_can_be_interrupted(held):
    m, _, server = held
    client = start(m, '"$C/sql" "select count(*) as n from t"')
    server.wait_until_running("select count(*) as n")
    remove(m)

    client.signal(signal.SIGINT)

    assert client.wait().rc != 0
    server.wait_until_gone("select count(*) as n")


# What has not begun does not: it fails, and does not wait for what runs.
def test_what_waits_for_its_turn_fails(held):
    m, lock, server = held
    m.specs["db"] = server.spec(max_connections=1)
    reload(m)
    first = start(m, WRITER)
    server.wait_until_running(RUNS)
    second = start(m, 'echo "insert into u values (7);" >"$C/query.sql"')
    wait_for(lambda: len(statements(m)) == 2, "the second is queued")

    remove(m)

    assert GONE in second.wait().err
    assert first.running
    lock.release()
    assert first.wait().check().out == "written\n"
    assert server.sql("select a from u") == [("0",)]


# Of a script only what runs goes on; its open transaction is rolled back.
@pytest.mark.parametrize("begin, count", [("", "1"), ("begin;", "0")])
def test_the_rest_of_a_script_fails(held, begin, count):
    m, lock, server = held
    client = start(
        m,
        f'exec 3>"$C/query.sql"; echo "{begin}" >&3; echo "{INSERT};" >&3 && echo one;'
        ' echo "insert into u values (7);" >&3; echo "commit;" >&3; exec 3>&-',
    )
    server.wait_until_running(RUNS)

    remove(m)
    lock.release()

    ended = client.wait()
    assert ended.out == "one\n"
    assert ended.err.count(GONE) == 2
    wait_until_left(m)
    assert server.sql("select count(*) from u") == [(count,)]


# An idle session ends at once, and what it has not committed is rolled back.
def test_idle_sessions_are_closed(mount, server):
    server.sql("create table u (a int)")
    m = mount(db=server.spec())
    client = start(
        m,
        'echo "begin; insert into u values (1);" >"$C/query.sql"; echo begun;'
        ' until [ -e "$GO" ]; do :; done',
        env={"GO": str(m.dir / "go")},
    )
    wait_for(lambda: client.stdout == b"begun\n", "the transaction is open")

    remove(m)

    wait_until_left(m)
    assert client.running
    assert server.sql("select count(*) from u") == [("0",)]
    (m.dir / "go").touch()
    client.wait().check()


# It is another connection: what ran before goes on beside it.
def test_a_connection_that_comes_back_is_a_new_one(held):
    m, lock, server = held
    client = start(
        m,
        'mkdir "$C/sessions/s"; cd "$C/sessions/s";'
        f' echo "{INSERT};" >query.sql && echo written',
    )
    server.wait_until_running(RUNS)
    remove(m)

    bring_back(m)

    assert names(m) == ["README", "db"]
    assert m.query("select 5 as a;", "db").out == "a\n5\n"
    again = 'mkdir "$C/sessions/s" && ls "$C/sessions" && rmdir "$C/sessions/s"'
    assert m.sh(again, "db").check().out == "s\n"
    assert client.running
    remove(m)
    bring_back(m)
    lock.release()
    assert client.wait().check().out == "written\n"
    assert server.sql("select count(*) from u") == [("1",)]
    assert m.query("select 6 as a;", "db").out == "a\n6\n"


# Its rows are for nobody: a statement that only reads ends, and one that writes
# goes on to its end.
@pytest.mark.parametrize("writes", [False, True])
def test_rows_that_nobody_can_read_hold_nothing(mount, sqlite, writes):
    sqlite.sql("create table u (n)")
    text = f"insert into u {sqlite.series(60000)} returning n" if writes else ""
    text = text or sqlite.endless
    settings = {"spool_memory": "64KiB", "spool_disk": 0}
    m = mount({"db": sqlite.spec()}, settings=settings)
    client = start(
        m,
        f'echo "{text};" >"$C/query.sql"; echo sent; until [ -e "$GO" ]; do :; done',
        env={"GO": str(m.dir / "go")},
    )
    wait_for(lambda: client.stdout == b"sent\n", "the spool is full")
    assert len(statements(m)) == 1

    remove(m)

    wait_until_left(m)
    assert client.running
    (m.dir / "go").touch()
    client.wait().check()
    rows = 60000 if writes else 0
    assert sqlite.sql("select count(*) from u") == [(str(rows),)]


# With another dialect nothing of what conversations know would be right.
def test_another_dialect_is_another_connection(mount, sqlite, pg):
    m = mount(db=sqlite.spec())
    client = start(
        m,
        'exec 3>"$C/query.sql"; echo open; until [ -e "$GO" ]; do :; done;'
        ' echo "select 1;" >&3',
        env={"GO": str(m.dir / "go")},
    )
    wait_for(lambda: client.stdout == b"open\n", "a script is open")

    m.specs["db"] = pg.spec()
    reload(m)
    (m.dir / "go").touch()

    assert GONE in client.wait().err
    assert m.query("select 'a$b' || $$;$$ as x;").out == "x\na$b;\n"
