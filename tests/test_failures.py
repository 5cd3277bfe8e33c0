# SPDX-License-Identifier: MIT
"""What went wrong, as an errno, in `error` and in status.json: design 5."""

import contextlib
import re
import sqlite3

import pytest

import servers
from clients import wait_for
from engines import MariadbEngine
from locks import TableLock
from programs import run_text

TABLES = """
create table t2 (s varchar(3) primary key);
create table t (n integer primary key, m integer not null check (m > 0),
    s varchar(3) references t2 (s));
insert into t2 values ('abc');
insert into t values (1, 1, 'abc');
"""


@pytest.fixture
def tables(mount, engine):
    for text in TABLES.strip().split(";")[:-1]:
        engine.sql(text)
    return mount(db=engine.spec(init_sql=INIT.get(engine.name)))


INIT = {"sqlite": "pragma foreign_keys = on"}

# Statement, errno, and the code of each engine.
ALL = [
    ("selec 1", "EINVAL", "42601", "1064 (42000)", "SQLITE_ERROR"),
    ("select 1 from", "EINVAL", "42601", "1064 (42000)", "SQLITE_ERROR"),
    ("select * from nowhere", "EINVAL", "42P01", "1146 (42S02)", "SQLITE_ERROR"),
    ("select nothing from t", "EINVAL", "42703", "1054 (42S22)", "SQLITE_ERROR"),
    ("select nothing(1)", "EINVAL", "42883", "1305 (42000)", "SQLITE_ERROR"),
    ("create table t (n integer)", "EINVAL", "42P07", "1050 (42S01)", "SQLITE_ERROR"),
    ("insert into t values (1, 1, 'abc')", "EEXIST", "23505", "1062 (23000)",
     "SQLITE_CONSTRAINT_PRIMARYKEY"),
    ("insert into t values (2, null, 'abc')", "EEXIST", "23502", "1048 (23000)",
     "SQLITE_CONSTRAINT_NOTNULL"),
    ("insert into t values (2, 0, 'abc')", "EEXIST", "23514", "4025 (23000)",
     "SQLITE_CONSTRAINT_CHECK"),
    ("insert into t values (2, 2, 'xyz')", "EEXIST", "23503", "1452 (23000)",
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

MARIADB = [
    ("insert into t (n, m) values (2, 1 / 0)", "EINVAL", "1365 (22012)"),
    ("insert into t (n, m) values ('x', 1)", "EINVAL", "1366 (22007)"),
    ("insert into t values (2, 2, 'four')", "EINVAL", "1406 (22001)"),
    ("insert into t (n, m) values (5000000000, 1)", "EINVAL", "1264 (22003)"),
    ("select 9223372036854775807 + 1", "EINVAL", "1690 (22003)"),
    ("select * from mysql.user", "EACCES", "1142 (42000)"),
    ("create database other", "EACCES", "1044 (42000)"),
    ("use mysql", "EACCES", "1044 (42000)"),
    ("drop table nowhere", "EINVAL", "1051 (42S02)"),
    ("set transaction read only; start transaction; insert into t2 values ('x')",
     "EACCES", "1792 (25006)"),
    ("set max_statement_time = 0.02; select sleep(600)", "ETIMEDOUT",
     "1969 (70100)"),
    ("signal sqlstate '45000' set message_text = 'mine'", "EIO", "1644 (45000)"),
    ("signal sqlstate '40001' set message_text = 'mine'", "EAGAIN", "1644 (40001)"),
    ("signal sqlstate '23000' set message_text = 'mine'", "EEXIST", "1644 (23000)"),
    ("load data local infile '/etc/hostname' into table t2", "EOPNOTSUPP",
     "4166 (HY000)"),
    ("load data infile '/etc/hostname' into table t2", "EACCES", "1045 (28000)"),
    ("select 1 into outfile '/tmp/connfs-out'", "EACCES", "1227 (42000)"),
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
@pytest.mark.parametrize("text, code, on_postgres, on_mariadb, on_sqlite", ALL)
def test_errno_of_a_failure(
    tables, engine, text, code, on_postgres, on_mariadb, on_sqlite
):
    states = {"postgres": on_postgres, "mariadb": on_mariadb, "sqlite": on_sqlite}
    check_failure(tables, text, code, states[engine.name])


OWN = {"postgres": POSTGRES, "mariadb": MARIADB, "sqlite": SQLITE}


@pytest.mark.parametrize(
    "engine, text, code, state",
    [(kind, *case) for kind, cases in OWN.items() for case in cases],
    indirect=["engine"],
)
def test_errno_of_a_failure_that_is_an_engines_own(tables, text, code, state):
    check_failure(tables, text, code, state)


@pytest.fixture
def sqlite(test_dir):
    return servers.Sqlite(test_dir / "test.db")


# A read-only connection refuses, whatever the role may do.
def test_read_only_connection_refuses_to_write(mount, engine):
    engine.sql("create table t (n integer)")
    m = mount(db=engine.spec(read_only=True))

    state = {
        "postgres": "25006",
        "mariadb": "1792 (25006)",
        "sqlite": "SQLITE_READONLY",
    }[engine.name]
    outcome = check_failure(m, "insert into t values (1)", "EACCES", state)

    assert "read" in outcome.error.lower()
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
def test_a_real_deadlock_is_eagain(mount, server):
    server.sql("create table t (n integer primary key, m integer)")
    server.sql("insert into t values (1, 0), (2, 0)")
    m = mount(db=server.spec())
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

    said = {
        "postgres": "ERROR:  40P01: deadlock detected",
        "mariadb": "ERROR:  1213 (40001): Deadlock found when trying to get lock; try"
        " restarting transaction",
    }
    assert ends == [said[server.name], "done"]
    assert server.sql("select sum(m) from t") == [("2",)]


# Somebody else's lock is not waited for without end.
def test_a_lock_that_is_waited_for_too_long_is_eagain(mount, mariadb, mariadb_database):
    engine = MariadbEngine(mariadb, mariadb_database)
    engine.sql("create table t (n integer primary key)")
    m = mount(db=engine.spec())
    with TableLock(engine):
        outcome = run_text(m, "set lock_wait_timeout = 1; select * from t;")

    assert outcome.writes == ["EAGAIN"]
    assert "Lock wait timeout exceeded" in outcome.error


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
@pytest.mark.parametrize(
    "server, limit, state, said",
    [
        (
            "postgres",
            "alter role crowded connection limit 1",
            "53300",
            'too many connections for role "crowded"',
        ),
        (
            "mariadb",
            "alter user crowded with max_user_connections 1",
            "42000",
            "has exceeded the 'max_user_connections' resource",
        ),
    ],
    indirect=["server"],
)
def test_too_many_connections_is_eagain(mount, server, limit, state, said):
    if "crowded" not in server.passwords:
        server.create_user("crowded")
    server.create_database("crowd", owner="crowded")
    server.server.sql(limit)
    m = mount(db=server.server.spec(user="crowded", database="crowd"))
    flag = m.dir / "go"
    first = m.start_sh(
        "echo 'select 1;' > $C/query.sql; echo in;"
        f" while ! [ -e {flag} ]; do sleep 0.01; done"
    )
    wait_for(lambda: first.stdout, "the first one is in")

    outcome = run_text(m, "select 1;")

    flag.touch()
    first.wait().check()
    server.wait_until_idle()
    server.server.drop_database("crowd")
    assert outcome.writes == ["EAGAIN"]
    assert outcome.result == "EAGAIN"
    assert outcome.status["sqlstate"] == state
    assert said in outcome.error


# connfs's own timer, and the server's that it sets: one errno.
def test_statement_timeout_is_etimedout(mount, engine):
    m = mount(db=engine.spec(statement_timeout=0.3))

    outcome = run_text(m, engine.slow + ";")

    assert outcome.writes == ["ETIMEDOUT"]
    assert outcome.result == "ETIMEDOUT"
    assert outcome.status["state"] == "failed"
    assert 300 <= outcome.status["elapsed_ms"] < 5000
    assert re.search("timeout|max_statement_time", outcome.error)
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

    outcome = run_text(m, f"select {engine.repeat(100001)} as a;")

    assert outcome.writes == ["EFBIG"]
    assert outcome.result == "EFBIG"
    assert "max_row" in outcome.error or "100000" in outcome.error
    fits = run_text(m, f"select {engine.repeat(90000)} as a;")
    assert fits.csv == "a\n" + 90000 * "x" + "\n"


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
