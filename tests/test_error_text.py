# SPDX-License-Identifier: MIT
"""The text of `error`, and the fields of status.json: design 5."""

import re

import pytest

import servers
from programs import run_text


@pytest.fixture
def sqlite(test_dir):
    return servers.Sqlite(test_dir / "test.db")


@pytest.fixture
def shop(mount, pg, database):
    """A mount db of a PostgreSQL database with a table t."""
    pg.sql(
        "create table t (id integer primary key, name text)",
        database=database,
        user="app",
    )
    return mount(db=pg.spec(database=database))


def test_the_servers_words_are_all_there(shop):
    outcome = run_text(shop, "insert into t values (1, 'a'); insert into t values (1);")

    assert outcome.error == (
        'ERROR:  23505: duplicate key value violates unique constraint "t_pkey"\n'
        "DETAIL:  Key (id)=(1) already exists.\n"
        "ERRNO:  EEXIST\n"
    )


def test_hint_and_position(shop):
    outcome = run_text(shop, "select nam from t;")

    assert outcome.error == (
        'ERROR:  42703: column "nam" does not exist\n'
        "LINE 1, column 8:\n"
        "  select nam from t\n"
        "         ^\n"
        'HINT:  Perhaps you meant to reference the column "t.name".\n'
        "ERRNO:  EINVAL\n"
    )


def test_context_of_a_function(shop):
    outcome = run_text(
        shop,
        "do $$ begin\n perform 1 / 0;\n end $$;",
    )

    assert outcome.error.startswith("ERROR:  22012: division by zero\n")
    assert 'CONTEXT:  SQL statement "SELECT 1 / 0"\n' in outcome.error
    assert outcome.error.endswith("ERRNO:  EINVAL\n")


REFUSALS = {
    "postgres": ("3D000", 'database "nowhere" does not exist'),
    "mariadb": (
        "42000",
        "Access denied for user 'app'@'%' to database 'nowhere'",
    ),
}


def test_severity_of_a_refused_login(mount, server):
    m = mount(db=server.spec(database="nowhere"))

    outcome = run_text(m, "select 1;")

    code, message = REFUSALS[server.name]
    assert code in outcome.error and message in outcome.error


# Line and column are those of the user's own text, not of the statement.
POSITIONS = [
    ("select 1;\n\n  select nowhere from t;\n", 3, 10, "select nowhere from t", 7),
    ("select 1; select nowhere;", 1, 18, "select nowhere", 7),
    ("-- é\nselect 'ä€😀', nowhere;", 2, 15, "select 'ä€😀', nowhere", 14),
    ("select\n1,\n\tnowhere\n;", 3, 2, "\tnowhere", 0),
    ("select 1; select\n  1, 2,\nnowhere", 3, 1, "nowhere", 0),
    ("/* 1\n2 */ select nowhere;", 2, 13, "2 */ select nowhere", 12),
]


# Characters are counted and not bytes, and the caret stands under the place,
# tabs included.
@pytest.mark.parametrize("text, line, column, quoted, indent", POSITIONS)
@pytest.mark.parametrize("size", [1, 1000])
def test_position_in_the_users_text(shop, text, line, column, quoted, indent, size):
    data = text.encode()
    pieces = [data[i : i + size] for i in range(0, len(data), size)]

    outcome = run_text(shop, *pieces)

    lines = outcome.error.split("\n")
    assert lines[0] == 'ERROR:  42703: column "nowhere" does not exist'
    assert lines[1] == f"LINE {line}, column {column}:"
    assert lines[2] == "  " + quoted
    assert lines[3].endswith("^")
    assert len(lines[3]) == 2 + (1 if "\t" in quoted else indent) + 1
    assert lines[3][:-1].strip() == ""
    assert ("\t" in lines[3]) == ("\t" in quoted)


# MariaDB says where for what its parser does not understand, and quotes the text
# from there on.
MARIADB_POSITIONS = [
    ("select 1;\n\n  selec 2 from t;\n", 3, 3, "selec 2 from t", 0),
    ("select 1; select 1 from from t;", 1, 25, "select 1 from from t", 14),
    ("-- é\nselect 'ä€😀' 'x' y z;", 2, 20, "select 'ä€😀' 'x' y z", 19),
    ("select\n1,\n\tfrom t\n;", 3, 2, "\tfrom t", 0),
]


@pytest.mark.parametrize("text, line, column, quoted, indent", MARIADB_POSITIONS)
@pytest.mark.parametrize("size", [1, 1000])
def test_position_on_mariadb(
    mount, mariadb, mariadb_database, text, line, column, quoted, indent, size
):
    m = mount(db=mariadb.spec(database=mariadb_database))
    data = text.encode()

    outcome = run_text(m, *(data[i : i + size] for i in range(0, len(data), size)))

    lines = outcome.error.split("\n")
    assert lines[0].startswith("ERROR:  1064 (42000): You have an error in your SQL")
    assert lines[1] == f"LINE {line}, column {column}:"
    assert lines[2] == "  " + quoted
    assert lines[3] == "  " + ("\t" if "\t" in quoted else " " * indent) + "^"


# It may quote half a character: what is shown is UTF-8 all the same.
def test_a_text_that_the_server_cuts_within_a_character(
    mount, mariadb, mariadb_database
):
    m = mount(db=mariadb.spec(database=mariadb_database))

    for n in range(4):
        outcome = run_text(m, f"select 1 fro '{'x' * n}{'€😀' * 60}';")

        assert outcome.error.startswith("ERROR:  1064 (42000): You have an error")
        assert outcome.status["message"].startswith("You have an error")


def test_warnings_of_mariadb_are_kept(mount, mariadb, mariadb_database):
    m = mount(db=mariadb.spec(database=mariadb_database))

    dropped = run_text(m, "drop table if exists nowhere;")
    divided = run_text(m, "select 1 / 0 as a;")

    assert dropped.status["notices"] == [
        f"NOTE:  Unknown table '{mariadb_database}.nowhere' (1051)"
    ]
    assert divided.csv == "a\n\n"
    assert divided.status["notices"] == ["WARNING:  Division by 0 (1365)"]


def test_position_on_sqlite(mount, sqlite):
    m = mount(db=sqlite.spec())

    outcome = run_text(m, "select 1;\n select 'é', nowhere;\n")

    assert outcome.error == (
        "ERROR:  SQLITE_ERROR: no such column: nowhere\n"
        "LINE 2, column 14:\n"
        "  select 'é', nowhere\n"
        "              ^\n"
        "ERRNO:  EINVAL\n"
    )


FIELDS = [
    "state", "id", "statement", "started_at", "elapsed_ms", "timing", "rows",
    "bytes", "complete", "command", "rows_affected", "result_sets", "columns",
    "notices", "sqlstate", "message", "server_pid", "application_name",
]  # fmt: skip


COLUMN_TYPES = {"postgres": ["int4", "text"], "mariadb": ["int", "text"]}


def test_status_of_a_query(mount, server):
    server.sql("create table t (id integer primary key, name text)")
    m = mount(db=server.spec())

    outcome = run_text(m, "select 1; select id, name as a_b from t t1;")

    status = outcome.status
    assert list(status) == FIELDS
    assert status["state"] == "done"
    assert status["statement"] == "select id, name as a_b from t t1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", status["started_at"])
    assert (status["rows"], status["bytes"]) == (0, len("id,a_b\n"))
    assert status["complete"] is True
    assert status["command"] == "SELECT 0"
    assert status["result_sets"] == 2
    types = COLUMN_TYPES[server.name]
    assert status["columns"] == [
        {"name": "id", "type": types[0]},
        {"name": "a_b", "type": types[1]},
    ]
    assert (status["sqlstate"], status["message"]) == (None, None)
    assert status["application_name"] == "connfs-root-python3"
    (session,) = server.activity()
    assert (session[0], session[2]) == (
        str(status["server_pid"]),
        "connfs-root-python3",
    )


def test_status_of_an_update(table):
    m, name = table

    status = run_text(m, "update t set n = n + 1 where n < 3;").status

    assert (status["state"], status["complete"]) == ("done", True)
    assert (status["command"], status["rows_affected"]) == ("UPDATE 2", 2)
    assert (status["rows"], status["bytes"], status["columns"]) == (0, 0, [])


@pytest.fixture
def table(mount, engine):
    engine.sql("create table t (n integer)")
    engine.sql("insert into t values (1), (2), (3)")
    return mount(db=engine.spec()), engine.name


def test_rows_and_bytes_of_a_result(table):
    m, _ = table

    outcome = run_text(m, "select n from t;")

    assert (outcome.status["rows"], outcome.status["bytes"]) == (3, 8)
    assert outcome.csv == "n\n1\n2\n3\n"


def test_notices_are_kept(shop):
    outcome = run_text(
        shop,
        "do $$ begin raise notice 'one'; raise warning 'two \"x\"'; end $$;",
    )

    assert outcome.status["notices"] == ["NOTICE:  one", 'WARNING:  two "x"']


# The states a statement goes through, as seen from beside it.
def test_states_of_a_statement(mount):
    m = mount(db={"type": "fake", "enabled": True}, settings={"settle_time": 0})
    state = 'grep -o \'"state": "[a-z]*"\' $C/status.json'

    result = m.sh(
        f"{state}; echo 'rows 1000000 delay_ms 5;' > $C/query.sql; {state}\n"
        f"cat $C/result.csv > /dev/null 2>&1 & echo > $C/cancel; wait; {state}\n"
        f"echo 'one;' > $C/query.sql; {state}\n"
        f"echo 'no;' > $C/query.sql 2> /dev/null; {state}",
        shell="bash",
    )

    states = ["idle", "streaming", "cancelled", "done", "failed"]
    assert result.check().lines == [f'"state": "{s}"' for s in states]


# Progress can be followed, and a result that is cut is never called complete.
def test_a_failure_after_rows_is_told_in_status(mount):
    m = mount(db={"type": "fake", "enabled": True})

    outcome = run_text(m, "fail 40P01 after 3;")

    assert outcome.writes == ["EAGAIN"]
    assert outcome.result == "EAGAIN"
    assert outcome.status["state"] == "failed"
    assert outcome.status["complete"] is False
    assert outcome.status["sqlstate"] == "40P01"


# status.json's message is one line that is safe to log.
def test_message_in_status_is_one_clean_line(shop):
    outcome = run_text(
        shop, "do $$ begin raise exception E'a\\x1b[31mred\\x07\\nline 2'; end $$;"
    )

    assert outcome.status["message"].isprintable()
    assert outcome.status["message"].startswith("a")
    assert outcome.status["sqlstate"] == "P0001"
