# SPDX-License-Identifier: MIT
"""SQLite runs inside the daemon: no statement may get at the daemon's files,
its memory or its life."""

import contextlib
import hashlib
import json
import os
import pathlib
import sqlite3

import pytest

import servers
from clients import SCALE, wait_for

SECRET = "the-password-of-another-connection"


def bash(m, script, conn=None, **how):
    return m.sh(script, conn, shell="bash", **how)


def run(m, sql, conn="db", **how):
    """Runs sql; (errno text of the write, text of error)."""
    script = 'cat >"$C/query.sql"; cat "$C/error"'
    ran = bash(m, script, conn, stdin=sql, **how)
    return ran.err.strip().rpartition(": ")[2], ran.out


@pytest.fixture
def file(test_dir):
    where = test_dir / "data"
    where.mkdir()
    return servers.Sqlite(where / "test.db")


@pytest.fixture
def treasure(test_dir):
    """A file of root's that holds a secret, as a database and as text."""
    path = test_dir / "treasure.db"
    other = servers.Sqlite(path)
    other.script(f"create table t (a); insert into t values ('{SECRET}')")
    path.chmod(0o600)
    return path


def fingerprint(*directories):
    """Names and contents of all that is there."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for where in directories
        for path in sorted(where.rglob("*"))
        if path.is_file()
    }


# Statements


ESCAPES = {
    "attach": "ATTACH '{treasure}' AS x;",
    "attach by URI": "ATTACH 'file:{treasure}?mode=ro' AS x;",
    "attach an expression": "ATTACH '{treasure}' || '' AS x;",
    "attach a new file": "ATTACH '{dir}/new.db' AS x;",
    "attach in disguise": "/* */ attach\n database '{treasure}' as x;",
    "vacuum into": "VACUUM INTO '{dir}/copy.db';",
    "vacuum into an expression": "VACUUM INTO '{dir}' || '/copy.db';",
    "vacuum main into": "VACUUM main INTO '{dir}/copy.db';",
    "load_extension": "SELECT load_extension('{dir}/x.so');",
    "load_extension entry": "SELECT load_extension('libc.so.6', 'puts');",
    "readfile": "SELECT readfile('{treasure}');",
    "writefile": "SELECT writefile('{dir}/new', 'x');",
    "edit": "SELECT edit('x', 'touch {dir}/new');",
    "fsdir": "SELECT * FROM fsdir('/');",
    "csv module": "CREATE VIRTUAL TABLE t USING csv(filename='{treasure}');",
    "zipfile": "CREATE VIRTUAL TABLE t USING zipfile('{treasure}');",
    "tokenizer": "SELECT fts3_tokenizer('x', x'0000000000000000');",
    "temp directory": "PRAGMA temp_store_directory = '{dir}';",
    "data directory": "PRAGMA data_store_directory = '{dir}';",
    "heap limit": "PRAGMA hard_heap_limit = 1;",
    "trust": "PRAGMA trusted_schema = on;",
}


# Each is refused with words, an errno that is no accident, and no file is
# made, changed or shown.
@pytest.mark.parametrize("name", ESCAPES)
def test_a_statement_cannot_reach_another_file(mount, file, treasure, test_dir, name):
    m = mount(db=file.spec())
    data = test_dir / "data"
    before = fingerprint(data)
    sql = ESCAPES[name].format(treasure=treasure, dir=data)

    said, text = run(m, sql)

    assert said in ("Permission denied", "Invalid argument")
    assert SECRET not in text
    assert fingerprint(data) == before
    assert m.query("select 1 as a;", "db").out == "a\n1\n"


# What stays in memory is harmless, and VACUUM needs an ATTACH of its own.
def test_what_stays_inside_is_allowed(mount, file):
    m = mount(db=file.spec())

    memory = "ATTACH ':memory:' AS m; CREATE TABLE m.t (a);"
    for sql in [memory, "VACUUM;", "ATTACH '' AS e;"]:
        assert run(m, sql) == ("", "")


# Journal modes that would put files elsewhere, or schema tricks.
def test_defensive_switches_hold(mount, file):
    file.script("create table t (a); insert into t values (1)")
    m = mount(db=file.spec())

    writes = run(
        m,
        "PRAGMA writable_schema = on;"
        " UPDATE sqlite_schema SET sql = 'garbage' WHERE name = 't';",
    )
    shadow = run(
        m,
        "CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f_data VALUES (1, x'00');",
    )
    run(m, "PRAGMA journal_mode = OFF;")

    assert writes[0] == "Invalid argument"
    assert shadow[0] == "Invalid argument"
    assert m.query("PRAGMA journal_mode;", "db").out == "journal_mode\ndelete\n"
    assert file.sql("select a from t") == [("1",)]


# A file from elsewhere may hold a schema that does something when it is read:
# its views and triggers may use harmless functions only.
def test_a_hostile_schema_runs_nothing(mount, file, test_dir):
    file.script(
        "create table t (a);"
        "create view v as select load_extension('/tmp/x.so') as a;"
        "create view w as select fts3_tokenizer('simple') as a;"
        f"create trigger tr after insert on t begin"
        f" select load_extension('{test_dir}/x.so'); end;"
    )
    m = mount(db=file.spec())

    for sql in ["select * from v;", "select * from w;", "insert into t values (1);"]:
        said, text = run(m, sql)
        assert said in ("Permission denied", "Invalid argument")
        assert "load_extension" in text or "fts3_tokenizer" in text or "unsafe" in text
    assert file.sql("select count(*) from t") == [("0",)]


BOMBS = {
    "randomblob": "select randomblob(2000000000);",
    "zeroblob": "select length(zeroblob(2147483647));",
    "hex": "select length(hex(zeroblob(130000000)));",
    "printf": "select printf('%.*c', 200000000, 'x');",
    "replace": (
        "select length(replace(hex(zeroblob(60000)), '0', hex(zeroblob(60000))));"
    ),
    "group_concat": (
        "with recursive s(n) as (select 1 union all select n + 1 from s"
        " limit 1000) select length(group_concat(zeroblob(1000000), '')) from s;"
    ),
    "deep expression": "select " + "(" * 5000 + "1" + ")" * 5000 + ";",
    "deep json": "select json_extract('" + "[" * 100000 + "', '$');",
    "deep select": "select * from " + "(select * from " * 500 + "t" + ")" * 500 + ";",
    "many columns": "select " + ",".join(["1"] * 40000) + ";",
    "a large sort": (
        "with recursive s(n) as (select 1 union all select n + 1 from s limit 300)"
        " select length(b) from (select randomblob(1000000) as b from s order by b)"
        " limit 1;"
    ),
}


# The statement fails, with a reason; the daemon neither ends nor swells.
@pytest.mark.parametrize("name", BOMBS)
def test_what_asks_for_too_much_fails_alone(mount, file, name):
    m = mount(db=file.spec())

    said, text = run(m, BOMBS[name], timeout=50)

    allowed = {
        "File too large",
        "Invalid argument",
        "Cannot allocate memory",
        "Input/output error",
        "",
    }
    assert said in allowed
    assert (said == "") == (text == "")
    assert m.query("select 1 as a;", "db").out == "a\n1\n"
    assert m.status["VmHWM"] < 500 * 1024 * SCALE


# A statement too deep to be parsed must not overflow a worker's small stack.
@pytest.mark.parametrize("depth", [90, 900, 9000])
def test_deep_nesting_does_not_end_the_daemon(mount, file, depth):
    m = mount(db=file.spec())

    run(m, "select " + "abs(" * depth + "1" + ")" * depth + ";")
    run(m, "select " + "case when 1 then " * depth + "1" + " end" * depth + ";")
    run(m, "select 1 where " + "not " * depth + "1;")
    run(m, "select " + "+".join(["1"] * depth) + ";")

    assert m.query("select 1 as a;", "db").out == "a\n1\n"


def test_triggers_that_call_each_other_end(mount, file):
    file.script(
        "pragma recursive_triggers = on; create table t (a);"
        "create trigger x after insert on t"
        " begin insert into t values (new.a + 1); end;"
    )
    m = mount(db=file.spec())

    said, text = run(m, "pragma recursive_triggers = on; insert into t values (1);")

    assert said == "Input/output error" or said == "Invalid argument"
    assert "too many levels of trigger recursion" in text
    assert file.sql("select count(*) from t") == [("0",)]


# A wrong `host`


def wrong_hosts(test_dir, m_config):
    """What stands in `host`, what comes of a statement."""
    data = test_dir / "data"
    (data / "dir").mkdir()
    (data / "text").write_text(f"password: {SECRET}\n" * 100)
    os.mkfifo(data / "fifo")
    return {
        "missing": (data / "none.db", "No route to host", "No such file or directory"),
        "a directory": (data / "dir", "No route to host", "is not a regular file"),
        "a FIFO": (data / "fifo", "No route to host", "is not a regular file"),
        "a device": ("/dev/zero", "No route to host", "is not a regular file"),
        "a text": (data / "text", None, "file is not a database"),
        "the specs": (m_config / "connfs.json", None, "file is not a database"),
        "below a file": (data / "text/x", "No route to host", "Not a directory"),
        "/proc": ("/proc/self/environ", None, None),
    }


# It never hangs, creates nothing, changes nothing, and quotes no content.
@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        "a directory",
        "a FIFO",
        "a device",
        "a text",
        "the specs",
        "below a file",
        "/proc",
    ],
)
def test_a_wrong_host_shows_and_harms_nothing(mount, file, test_dir, kind):
    config = test_dir / "mount0/config"
    host, errno_text, why = wrong_hosts(test_dir, config)[kind]
    m = mount(
        db=file.spec(host=str(host)),
        other={
            "type": "postgres",
            "enabled": True,
            "host": "/nowhere",
            "user": "u",
            "database": "d",
            "password_plain": SECRET,
        },
    )
    before = fingerprint(test_dir / "data", config)

    said, text = run(m, "create table t (a); insert into t values (1);")

    assert said != ""
    assert errno_text is None or said == errno_text
    assert why is None or why in text
    assert SECRET not in text
    assert fingerprint(test_dir / "data", config) == before


# host is a path from the root, whatever is in it.
@pytest.mark.parametrize(
    "host", ["test.db", "../test.db", "file:/etc/passwd", ":memory:", ""]
)
def test_a_host_that_is_no_absolute_path_is_a_spec_error(
    connfs, test_dir, file, host
):
    path = test_dir / "spec.json"
    path.write_text(json.dumps({"conn_id": "db", **file.spec(host=host)}))
    path.chmod(0o600)

    checked = connfs("--check", path)

    why = "must not be empty" if host == "" else "must be the absolute path of the file"
    assert checked.out == f"BAD  {path}: db: host: {why}\n"


# Names that mean something to SQLite's URIs are names.
@pytest.mark.parametrize("name", ["a?mode=memory", "a%20b.db", "file:x", "-wal"])
def test_special_characters_in_host_are_a_name(mount, test_dir, name):
    file = servers.Sqlite(test_dir / name)
    file.script("create table t (a); insert into t values (5)")
    m = mount(db=file.spec())

    assert m.query("select a from t;", "db").out == "a\n5\n"
    run(m, "insert into t values (6);")
    assert file.sql("select a from t") == [("5",), ("6",)]


# A symbolic link is followed, as by any program; what it leads to is a
# database, or nothing happens.
def test_a_link_leads_to_the_database(mount, file, test_dir):
    link = test_dir / "link.db"
    link.symlink_to(file.path)
    m = mount(db=file.spec(host=str(link)))

    assert run(m, "create table t (a);") == ("", "")
    assert file.sql("select count(*) from t") == [("0",)]
    assert sorted(p.name for p in test_dir.glob("*.db*")) == ["link.db"]


# Read-only


def test_read_only_refuses_every_way_to_write(mount, file):
    file.script("create table t (a); insert into t values (1)")
    m = mount(db=file.spec(read_only=True))
    before = fingerprint(file.path.parent)

    for sql in [
        "insert into t values (2);",
        "create table u (a);",
        "drop table t;",
        "pragma user_version = 7;",
        "pragma query_only = off; insert into t values (2);",
        "vacuum;",
        "reindex; delete from t;",
    ]:
        said, text = run(m, sql)
        assert said == "Permission denied", (sql, said, text)
    run(m, "pragma journal_mode = wal;")
    assert fingerprint(file.path.parent) == before
    assert m.query("select a from t;", "db").out == "a\n1\n"


# Locks


@contextlib.contextmanager
def locked(path):
    """Another process's write lock."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("begin exclusive")
        yield
        db.execute("rollback")


# Somebody else's lock is waited for, and then it is EAGAIN: try again.
@pytest.mark.parametrize(
    "first", ["", "pragma busy_timeout = 300;"], ids=["login", "statement"]
)
def test_a_locked_database_is_eagain(mount, file, first):
    file.script("create table t (a)")
    m = mount(db=file.spec(connect_timeout="300ms"))
    client = m.start_sh(
        f'echo "{first}" >"$C/query.sql"; echo begun;'
        ' until [ -e "$GO" ]; do :; done;'
        ' echo "insert into t values (1);" >"$C/query.sql"; cat "$C/error"',
        shell="bash",
        env={"GO": str(m.dir / "go")},
    )
    wait_for(lambda: client.stdout == b"begun\n", "the client begins")

    with locked(file.path):
        (m.dir / "go").touch()
        ended = client.wait()

    assert "Resource temporarily unavailable" in ended.err
    assert "database is locked" in ended.out
    assert run(m, "insert into t values (1);") == ("", "")


# Who waits for a lock gets it when it is free: no failure is to be seen.
def test_a_lock_that_is_released_in_time_is_no_failure(mount, file):
    file.script("create table t (a)")
    m = mount(db=file.spec())

    with locked(file.path):
        client = m.start_sh('echo "insert into t values (1);" >"$C/query.sql"')
        client.wait_parked()

    client.wait().check()
    assert file.sql("select count(*) from t") == [("1",)]


def test_a_wal_database_is_read_and_written(mount, file):
    file.script("pragma journal_mode = wal")
    file.script("create table t (a); insert into t values (1)")
    m = mount(db=file.spec())

    with contextlib.closing(sqlite3.connect(file.path)) as other:
        other.execute("insert into t values (2)")
        other.commit()
        assert m.query("select a from t;", "db").out == "a\n1\n2\n"
        assert run(m, "insert into t values (3);") == ("", "")
        assert other.execute("select count(*) from t").fetchall() == [(3,)]


# Sessions are separate: a transaction of one is not seen by the other, and
# both can use the file.
def test_conversations_share_a_file(mount, file):
    file.script("create table t (a)")
    m = mount(db=file.spec())
    script = (
        'for i in 1 2 3 4 5 6 7 8 9 10; do echo "insert into t values ($i);"'
        ' >"$C/query.sql" || exit 1; done; echo done; exec sleep 600'
    )

    clients = [m.start_sh(script, shell="bash") for _ in range(8)]
    wait_for(
        lambda: all(c.stdout == b"done\n" or not c.running for c in clients),
        "all have written",
        30,
    )

    assert [c.stderr for c in clients] == [b""] * 8
    assert file.sql("select count(*), sum(a) from t") == [("80", "440")]


# The journal is beside the file and goes; no other trace is left.
def test_nothing_is_left_beside_the_file(mount, file):
    m = mount(db=file.spec())
    run(m, "create table t (a); insert into t values (randomblob(100000));")
    run(m, "begin; insert into t values (1);")
    m.stop()

    assert [p.name for p in pathlib.Path(file.path.parent).iterdir()] == ["test.db"]
    assert file.sql("select count(*) from t") == [("1",)]
