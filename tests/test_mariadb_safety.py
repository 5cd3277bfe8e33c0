# SPDX-License-Identifier: MIT
"""What a MySQL or MariaDB server cannot have of connfs: files, and a password
as it is. Design 8."""

import pytest

from fake_mysql import OK, FakeMysql, error, switch_to
from programs import run_text

SECRET = b"S3cret-of-the-fake"


def the_users(text):
    return b"marked" in text


# LOCAL INFILE is the server's word: any statement can be answered with it.
@pytest.mark.parametrize("name", ["file", "missing", "pipe"])
def test_a_server_that_asks_for_a_local_file_gets_none(mount, test_dir, name):
    (test_dir / "file").write_text("what is the daemon's")
    path = {"pipe": "/proc/self/environ"}.get(name, str(test_dir / name))
    answers = []

    def ask_for_file(connection, text):
        if the_users(text):
            connection.send(b"\xfb" + path.encode())
            answers.append(connection.receive())
            connection.send(error(4166, b"no file came"))
        else:
            connection.send(OK)

    with FakeMysql(query=ask_for_file) as server:
        m = mount(db=server.spec(), env={"FILE": "what is the daemon's"})
        outcome = run_text(m, "select 'marked';")

        assert outcome.writes == ["EOPNOTSUPP"]
        assert set(answers) <= {b""}
        assert b"what is the daemon's" not in server.seen


# A statement that says LOCAL itself is refused as well, by a real server.
def test_load_data_local_is_not_possible(mount, mariadb, mariadb_database, test_dir):
    path = test_dir / "data"
    path.write_text("1\n")
    path.chmod(0o644)
    mariadb.sql("create table t (n int)", mariadb_database, "app")
    m = mount(db=mariadb.spec(database=mariadb_database))

    outcome = run_text(m, f"load data local infile '{path}' into table t;")

    assert (outcome.writes, outcome.result) == (["EOPNOTSUPP"], "EOPNOTSUPP")
    assert mariadb.sql("select n from t", mariadb_database) == []


# Whoever is on the way can ask for it: the password as it is, or encrypted
# with a key that he sends.
@pytest.mark.parametrize(
    "plugin",
    ["mysql_clear_password", "dialog", "sha256_password", "caching_sha2_password"],
)
@pytest.mark.parametrize("sslmode", [None, "prefer", "disable"])
def test_a_password_is_never_sent_as_it_is(mount, plugin, sslmode):
    def ask(connection):
        connection.send(switch_to(plugin.encode()))
        connection.receive()
        # Full authentication of caching_sha2_password, or a prompt.
        connection.send(b"\x01\x04")
        connection.receive()
        connection.send(OK)

    with FakeMysql(login=ask) as server:
        fields = {} if sslmode is None else {"sslmode": sslmode}
        m = mount(db=server.spec(**fields))
        outcome = run_text(m, "select 1;")

        assert (outcome.writes, outcome.result) == (["EACCES"], "EACCES")
        assert plugin in outcome.error
        assert SECRET not in server.seen
        assert SECRET.decode() not in str(outcome)


# Native passwords are proven and not told.
def test_a_native_password_is_proven(mount):
    def ask(connection):
        connection.send(switch_to(b"mysql_native_password"))
        assert len(connection.receive()) == 20
        connection.send(OK)

    with FakeMysql(login=ask) as server:
        m = mount(db=server.spec())
        outcome = run_text(m, "do 1;")

        assert outcome.writes == ["ok"]
        assert SECRET not in server.seen


# No TLS, no word: not even who wants to come in.
@pytest.mark.parametrize("fields", [{"ssl": True}, {"sslmode": "require"}], ids=str)
def test_nothing_is_said_to_a_server_without_tls(mount, fields):
    with FakeMysql() as server:
        m = mount(db=server.spec(**fields))
        outcome = run_text(m, "select 1;")

        assert outcome.writes == ["EHOSTUNREACH"]
        assert "TLS" in outcome.error or "SSL" in outcome.error
        assert SECRET not in server.seen
        assert b"select 1" not in server.seen


# Whatever it says: `error` and status.json are UTF-8.
@pytest.mark.parametrize(
    "text",
    [
        b"caf\xe9 \xff\xfe \xc3",
        b"\xed\xa0\x80 \xc0\xaf",
        b"a\x1b[31mred\x07\x00 b",
        b"\xc3\xa9" * 600,
        b"",
    ],
)
@pytest.mark.parametrize("when", ["login", "query"])
def test_errors_of_a_server_become_utf8(mount, text, when):
    def refuse(connection, statement=b"marked"):
        connection.send(error(1064, text, b"42\xff00") if the_users(statement) else OK)

    with FakeMysql(**{when: refuse}) as server:
        m = mount(db=server.spec())
        outcome = run_text(m, "select 'marked';")

        assert outcome.writes == ["EINVAL"] or outcome.writes == ["EACCES"]
        assert outcome.status["message"].isprintable()
        assert outcome.error.startswith("ERROR:  ")


# A server that breaks off, or talks nonsense, costs a statement and no more.
@pytest.mark.parametrize(
    "answer, errno",
    [
        (b"\x02", "ENOTCONN"),  # two columns, and then nothing
        (b"\xfe", "ENOTCONN"),
        (b"\xfc\xff\xff", "ENOTCONN"),
        (b"\x01\x03def", "ENOTCONN"),
        (b"\xfd\xff\xff\xff", "ENOTCONN"),
        (b"\xff", "EIO"),
        (b"\x00", "EIO"),
    ],
)
def test_nonsense_ends_the_statement(mount, answer, errno):
    def talk(connection, text):
        if the_users(text):
            connection.send(answer)
            connection._client.shutdown(2)
        else:
            connection.send(OK)

    with FakeMysql(query=talk) as server:
        m = mount(db=server.spec())
        outcome = run_text(m, "select 'marked';")
        again = run_text(m, "do 1;")

        assert outcome.writes == [errno]
        assert (again.writes, again.error) == (["ok"], "")
