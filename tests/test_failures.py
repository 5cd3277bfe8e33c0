# SPDX-License-Identifier: MIT
"""What went wrong, as an errno, in `error` and in status.json: design 5."""

import contextlib
import sqlite3

import pytest

import servers
from clients import wait_for
from programs import run_text

TABLES = """
create table t (n integer primary key, m integer not null check (m > 0),
    s varchar(3) references t2 (s));
insert into t2 values ('abc');
insert into t values (1, 1, 'abc');
"""


@pytest.fixture
def tables(mount, engine):
    engine.sql("create table t2 (s varchar(3) primary key)")
    for text in TABLES.strip().split(";")[:-1]:
        engine.sql(text)
    return mount(db=engine.spec(init_sql=INIT[engine.name]))


INIT = {"postgres": None, "sqlite": "pragma foreign_keys = on"}

# Statement, errno, and the code of PostgreSQL and of SQLite.
BOTH = [
    ("selec 1", "EINVAL", "42601", "SQLITE_ERROR"),
    ("select 1 from", "EINVAL", "42601", "SQLITE_ERROR"),
    ("select * from nowhere", "EINVAL", "42P01", "SQLITE_ERROR"),
    ("select nothing from t", "EINVAL", "42703", "SQLITE_ERROR"),
    ("select nothing(1)", "EINVAL", "42883", "SQLITE_ERROR"),
    ("create table t (n integer)", "EINVAL", "42P07", "SQLITE_ERROR"),
    ("insert into t values (1, 1, 'abc')", "EEXIST", "23505",
     "SQLITE_CONSTRAINT_PRIMARYKEY"),
    ("insert into t values (2, null, 'abc')", "EEXIST", "23502",
     "SQLITE_CONSTRAINT_NOTNULL"),
    ("insert into t values (2, 0, 'abc')", "EEXIST", "23514",
     "SQLITE_CONSTRAINT_CHECK"),
    ("insert into t values (2, 2, 'xyz')", "EEXIST", "23503",
     "SQLITE_CONSTRAINT_FOREIGNKEY"),
]

# What only PostgreSQL has, or says in its own way.
POSTGRES = [
    ("select 1 / 0", "EINVAL", "22012"),
    ("select 'x'::integer", "EINVAL", "22P02"),
    ("insert into t values (2, 2, 'four')", "EINVAL", "22001"),
    ("select n, sum(m) from t", "EINVAL", "42803"),
    ("select * from pg_authid", "EACCES", "42501"),
    ("create database other", "EACCES", "42501"),
    ("set default_transaction_read_only = on; insert into t2 values ('x')",
     "EACCES", "25006"),
    ("set statement_timeout = 20; select pg_sleep(60)", "ETIMEDOUT", "57014"),
    ("do $$ begin raise query_canceled; end $$", "ECANCELED", "57014"),
    ("do $$ begin raise lock_not_available; end $$", "EAGAIN", "55P03"),
    ("do $$ begin raise serialization_failure; end $$", "EAGAIN", "40001"),
    ("do $$ begin raise deadlock_detected; end $$", "EAGAIN", "40P01"),
    ("do $$ begin raise too_many_connections; end $$", "EAGAIN", "53300"),
    ("do $$ begin raise exception 'mine'; end $$", "EIO", "P0001"),
    ("do $$ begin raise internal_error; end $$", "EIO", "XX000"),
    ("copy t2 from stdin", "EOPNOTSUPP", None),
    ("select repeat('x', 2000000000)", "EFBIG", "54000"),
]

SQLITE = [
    ("select abs(-9223372036854775808)", "EINVAL", "SQLITE_ERROR"),
    ("insert into sqlite_master values (1, 2, 3, 4, 5)", "EINVAL", "SQLITE_ERROR"),
    ("attach '/tmp/x' as x", "EACCES", "SQLITE_AUTH"),
    ("select zeroblob(2000000000)", "EFBIG", "SQLITE_TOOBIG"),
    ("insert into t (n, m) values ('x', 1)", "EINVAL", "SQLITE_MISMATCH"),
    ("begin; begin", "EINVAL", "SQLITE_ERROR"),
]


def check_failure(m, text, code, state):
    outcome = run_text(m, text + ";", "select 1;")

    assert outcome.writes == [code, code]
    assert outcome.close == "ok"
    assert outcome.result == code
    assert outcome.error.endswith(f"ERRNO:  {code}\n")
    assert outcome.status["sqlstate"] == state
    assert outcome.status["state"] == (
        "cancelled" if code == "ECANCELED" else "failed"
    )
    assert outcome.status["complete"] is False
    said = f"ERROR:  {state}: " if state else "ERROR:  "
    assert outcome.error.startswith(said)
    message = outcome.error.splitlines()[0].removeprefix(said)
    assert outcome.status["message"].startswith(message)
    return outcome


# The writer and whoever opens the result get the same errno, and `error` has
# the server's words.
@pytest.mark.parametrize("text, code, postgres, sqlite", BOTH)
def test_errno_of_a_failure(tables, engine, text, code, postgres, sqlite):
    check_failure(tables, text, code, postgres if engine.name == "postgres" else sqlite)


@pytest.fixture
def pg_tables(mount, pg, database):
    text = "create table t2 (s varchar(3) primary key);" + TABLES
    pg.sql(text, database=database, user="app")
    return mount(db=pg.spec(database=database))


@pytest.mark.parametrize("text, code, state", POSTGRES)
def test_errno_of_a_failure_of_postgres(pg_tables, text, code, state):
    check_failure(pg_tables, text, code, state)


@pytest.fixture
def sqlite(test_dir):
    return servers.Sqlite(test_dir / "test.db")


@pytest.mark.parametrize("text, code, state", SQLITE)
def test_errno_of_a_failure_of_sqlite(mount, sqlite, text, code, state):
    sqlite.script("create table t2 (s varchar(3) primary key);" + TABLES)
    m = mount(db=sqlite.spec())

    check_failure(m, text, code, state)


# A read-only connection refuses, whatever the role may do.
def test_read_only_connection_refuses_to_write(mount, engine):
    engine.sql("create table t (n integer)")
    m = mount(db=engine.spec(read_only=True))

    outcome = check_failure(
        m,
        "insert into t values (1)",
        "EACCES",
        "25006" if engine.name == "postgres" else "SQLITE_READONLY",
    )

    assert "read" in outcome.error
    assert engine.sql("select n from t") == []
    assert run_text(m, "select 5 as a;").csv == "a\n5\n"


def test_mount_option_ro_makes_every_connection_read_only(mount, engine):
    engine.sql("create table t (n integer)")
    m = mount(db=engine.spec(), options=["ro"])

    outcome = run_text(m, "insert into t values (1);")

    assert outcome.writes == ["EACCES"]
    assert engine.sql("select n from t") == []


# Another session holds the lock: EAGAIN, for it may be tried again.
def test_a_locked_sqlite_file_is_eagain(mount, sqlite):
    sqlite.script("create table t (n integer)")
    m = mount(db=sqlite.spec(init_sql="pragma busy_timeout = 100"))
    with contextlib.closing(sqlite3.connect(sqlite.path)) as other:
        other.execute("begin immediate")

        outcome = run_text(m, "insert into t values (1);")

    assert outcome.writes == ["EAGAIN"]
    assert outcome.result == "EAGAIN"
    assert outcome.status["sqlstate"] == "SQLITE_BUSY"
    assert "locked" in outcome.error


# Two transactions that lock each other's rows: one of them is told.
def test_a_real_deadlock_is_eagain(mount, pg, database):
    pg.sql(
        "create table t (n integer, m integer); insert into t values (1, 0), (2, 0)",
        database=database,
        user="app",
    )
    m = mount(db=pg.spec(database=database))
    script = (
        "echo 'begin; update t set m = 1 where n = {0};' > $C/query.sql\n"
        "echo locked; read go\n"
        "echo 'update t set m = 1 where n = {1};' > $C/query.sql"
        ' && echo "commit;" > $C/query.sql && echo done || head -1 $C/error\n'
    )
    go = "while ! [ -e {0} ]; do sleep 0.01; done\n"
    flag = m.dir / "go"
    both = [
        m.start_sh(script.format(*order).replace("read go\n", go.format(flag)))
        for order in [(1, 2), (2, 1)]
    ]
    for client in both:
        wait_for(lambda c=client: c.stdout == b"locked\n", "it has its lock")

    flag.touch()
    ends = sorted(client.wait().lines[1] for client in both)

    assert ends == ["ERROR:  40P01: deadlock detected", "done"]
    assert pg.sql("select sum(m) from t", database=database) == [("2",)]


def test_a_real_serialization_failure_is_eagain(mount, pg, database):
    pg.sql(
        "create table t (n integer); insert into t values (1)",
        database=database,
        user="app",
    )
    m = mount(db=pg.spec(database=database))
    flag = m.dir / "go"
    client = m.start_sh(
        "echo 'begin isolation level serializable; select * from t;' > $C/query.sql\n"
        f"echo begun; while ! [ -e {flag} ]; do sleep 0.01; done\n"
        "bash -c 'echo \"update t set n = 3;\" > $C/query.sql'; cat $C/error"
    )
    wait_for(lambda: client.stdout, "the transaction has begun")
    pg.sql("update t set n = 2", database=database, user="app")

    flag.touch()
    result = client.wait()

    assert "Resource temporarily unavailable" in result.err
    assert result.lines[1].startswith("ERROR:  40001: could not serialize access")


# The pool of the server is full, not the user's statement wrong.
def test_too_many_connections_is_eagain(mount, pg):
    pg.create_user("crowded")
    pg.sql("alter role crowded connection limit 1")
    m = mount(db=pg.spec(user="crowded"))
    flag = m.dir / "go"
    first = m.start_sh(
        "echo 'select 1;' > $C/query.sql; echo in;"
        f" while ! [ -e {flag} ]; do sleep 0.01; done"
    )
    wait_for(lambda: first.stdout, "the first one is in")

    outcome = run_text(m, "select 1;")

    flag.touch()
    first.wait().check()
    assert outcome.writes == ["EAGAIN"]
    assert outcome.result == "EAGAIN"
    assert outcome.status["sqlstate"] == "53300"
    assert 'too many connections for role "crowded"' in outcome.error


# connfs's own timer, and the server's that it sets: one errno.
def test_statement_timeout_is_etimedout(mount, engine):
    m = mount(db=engine.spec(statement_timeout=0.3))

    outcome = run_text(m, engine.slow + ";")

    assert outcome.writes == ["ETIMEDOUT"]
    assert outcome.result == "ETIMEDOUT"
    assert outcome.status["state"] == "failed"
    assert 300 <= outcome.status["elapsed_ms"] < 5000
    assert "timeout" in outcome.error
    assert run_text(m, "select 5 as a;").csv == "a\n5\n"


# The reader of a result that comes to its end too early is told.
def test_statement_timeout_cuts_a_result_loudly(mount, engine):
    m = mount(
        db=engine.spec(statement_timeout=1),
        settings={"settle_time": 0.1, "spool_memory": 65536, "spool_disk": 0},
    )

    result = m.sh(
        f"echo '{engine.endless};' > $C/query.sql && cat $C/result.csv > /dev/null"
    )

    assert result.rc == 1
    assert "Connection timed out" in result.err


# A row over max_row is refused, never cut.
def test_a_row_over_max_row_is_efbig(mount, engine):
    m = mount(db=engine.spec(), settings={"max_row": 100000})
    wide = {
        "postgres": "select repeat('x', {}) as a",
        "sqlite": "select printf('%.{}c', 'x') as a",
    }[engine.name]

    outcome = run_text(m, wide.format(100001) + ";")

    assert outcome.writes == ["EFBIG"]
    assert outcome.result == "EFBIG"
    assert "max_row" in outcome.error or "100000" in outcome.error
    assert run_text(m, wide.format(90000) + ";").csv == "a\n" + 90000 * "x" + "\n"


# Nothing has run: there is nothing to be seen, and `error` says how to share.
def test_a_session_that_ran_nothing_has_no_result(mount, engine):
    m = mount(db=engine.spec())

    outcome = run_text(m, "")

    assert outcome.result == "ENODATA"
    assert outcome.status == {"state": "idle", "complete": False}
    assert outcome.query == ""
    assert "docker exec" in outcome.error


def test_error_is_empty_after_success(mount, engine):
    m = mount(db=engine.spec())

    result = m.sh(
        "echo 'selec 1;' > $C/query.sql 2> /dev/null; wc -l < $C/error;"
        " echo 'select 1;' > $C/query.sql; wc -c < $C/error",
        shell="bash",
    )

    assert result.lines == ["5", "0"]
