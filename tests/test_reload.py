# SPDX-License-Identifier: MIT
"""SIGHUP: SOURCE is read again while the mount is in use."""

import json
import signal

import pytest

import servers
from clients import SCALE, threads_of, wait_for, waits_for
from locks import TableLock
from mount import connection_of


@pytest.fixture
def db(test_dir):
    """The spec of a SQLite file."""
    return servers.Sqlite(test_dir / "test.db").spec()


def reloads(m):
    """How often SOURCE was read again."""
    return m.log.count(" again: ")


def reload(m, write=True):
    """Returns when the daemon has read SOURCE again, well or badly."""
    before = reloads(m)
    if write:
        m.write_specs()
    m.process.send_signal(signal.SIGHUP)
    wait_for(lambda: reloads(m) > before, "SOURCE is read again")


def names(m, **how):
    return m.sh('ls "$M"', **how).check().lines


def waits_for_fuse(pid):
    """A thread of the process waits for the answer of a FUSE daemon."""
    return any(
        waits_for(f"/proc/{pid}/task/{tid}") == "request_wait_answer"
        for tid in threads_of(pid)
    )


def test_added_and_removed_connections_appear_at_once(mount, db):
    m = mount({"a": db, "b/c": db})

    m.specs = {"a": db, "b/d": db, "e": db}
    reload(m)

    assert names(m) == ["README", "a", "b", "e"]
    assert m.sh('ls "$M/b"').check().lines == ["d"]
    assert m.query("select 1 as x;", "b/d").out == "x\n1\n"
    for gone in ["b/c", "b/c/query.sql"]:
        assert "No such file or directory" in m.sh(f'stat "$M/{gone}"').err


# What was removed can come back, under the same name and directory.
def test_a_removed_connection_can_come_back(mount, db, test_dir):
    m = mount(db=db)
    assert m.query("select 1 as x;", "db").out == "x\n1\n"

    m.specs = {}
    reload(m)
    assert names(m) == ["README"]
    other = servers.Sqlite(test_dir / "other.db")
    other.script("create table t (x); insert into t values (7)")
    m.specs = {"db": other.spec()}
    reload(m)

    assert names(m) == ["README", "db"]
    assert m.query("select x from t;", "db").out == "x\n7\n"


def test_disabling_a_connection_removes_it(mount, db):
    m = mount(db=db, other=db)

    m.specs["db"] = {**db, "enabled": False}
    reload(m)

    assert names(m) == ["README", "other"]
    refused = m.sh('echo "select 1;" >"$M/db/query.sql"')
    assert refused.rc != 0


# access counts from the next look on, for those who came in before as well.
def test_changed_access_counts_at_once(mount, db):
    uid = 1000
    m = mount(db={**db, "access": {"users": [uid]}})
    shell = m.start_python(
        "import os, sys\n"
        "c = os.environ['C']\n"
        "def ask():\n"
        "    try:\n"
        "        open(c + '/query.sql', 'w').write('select 1 as x;')\n"
        "        print(open(c + '/result.csv').read().split(), flush=True)\n"
        "    except OSError as e:\n"
        "        print(e.strerror, flush=True)\n"
        "ask()\n"
        "while not os.path.exists(os.environ['GO']): pass\n"
        "ask()\n",
        uid=uid,
        env={"GO": str(m.dir / "go")},
    )
    wait_for(lambda: b"\n" in shell.stdout, "the first answer")

    m.specs["db"] = db
    reload(m)
    (m.dir / "go").touch()

    answers = shell.wait().lines
    assert answers[0] == "['x', '1']"
    assert answers[1] in ("No such file or directory", "Permission denied")
    assert names(m, uid=uid) == ["README"]


# The old one keeps working, and the owner can read why it is still there.
@pytest.mark.parametrize(
    "text, why",
    [
        ('{"connections": [}', ":1:18: unexpected token"),
        ('{"settings": {"x": 1}}', ': settings: unknown key "x"'),
    ],
)
def test_a_broken_source_keeps_the_old_one(mount, db, test_dir, text, why):
    m = mount(db=db)
    source = m.config / "connfs.json"
    good = source.read_text()
    assert m.query("select 1 as x;").out == "x\n1\n"
    bad_settings = "settings" in text

    source.write_text(text)
    reload(m, write=False)

    if bad_settings:
        assert names(m) == ["README", "db"]
        assert m.query("select 1 as x;").out == "x\n1\n"
        assert m.read(".connfs", "errors") == (
            f"{m.config}: not read again: {source}{why}\n"
        )
    else:
        # One file of a directory: that one's specs are gone, and it says why.
        assert m.read(".connfs", "errors") == f"{source}{why}\n"
    source.write_text(good)
    reload(m, write=False)
    assert m.read(".connfs", "errors") == ""
    assert m.query("select 1 as x;", "db").out == "x\n1\n"


# A SOURCE that others can write to by now is not believed.
def test_an_unsafe_source_keeps_the_old_one(mount, db):
    m = mount(db=db)
    m.config.chmod(0o777)

    m.specs = {}
    reload(m)

    assert names(m) == ["README", "db"]
    assert "can be written by others" in m.read(".connfs", "errors")
    m.config.chmod(0o700)


DATABASE = {"postgres": "current_database()", "mariadb": "database()"}


# A statement under way ends as it began; what follows is under the new spec.
def test_a_statement_in_flight_ends_under_the_old_spec(mount, server):
    server.sql("create table t (a int)")
    m = mount(db=server.spec())
    script = (
        f'echo "select {DATABASE[server.name]} as d, (select count(*) from t) as n;"'
        ' >"$C/query.sql"; cat "$C/result.csv";'
        f' echo "select {DATABASE[server.name]} as d;" >"$C/query.sql";'
        ' cat "$C/result.csv"'
    )
    with TableLock(server) as lock:
        client = m.start_sh(script)
        server.wait_until_running("count(*) from t")
        m.specs["db"] = server.spec(database="app")
        reload(m)
        assert client.running
        lock.release()

    lines = client.wait().check().lines
    assert lines == ["d,n", f"{server.database},0", "d", "app"]


# A changed password is used by the next login, without a restart.
def test_a_changed_password_counts_for_the_next_login(mount, server):
    m = mount(db=server.spec(password_plain="wrong"))
    m.secrets.add(server.passwords["app"])
    refused = m.sh('echo "select 1;" >"$C/query.sql"', shell="bash")
    assert "Permission denied" in refused.err
    assert m.read("db", "creds", "state") == "failed\n"

    m.specs["db"] = server.spec()
    reload(m)

    assert m.read("db", "creds", "state") == "valid\n"
    assert m.query("select 5 as a;").out == "a\n5\n"


# An idle session of the same conversation is not what the new spec says.
def test_an_idle_session_does_not_outlive_its_spec(mount, server):
    m = mount(db=server.spec())
    ask = f'echo "select {DATABASE[server.name]} as d;" >"$C/query.sql"'
    ask += '; cat "$C/result.csv"'
    client = m.start_sh(
        f'{ask}; until [ -e "$GO" ]; do :; done; {ask}',
        env={"GO": str(m.dir / "go")},
    )
    wait_for(lambda: client.stdout.count(b"\n") == 2, "the first answer")

    m.specs["db"] = server.spec(database="app")
    reload(m)
    (m.dir / "go").touch()

    assert client.wait().check().lines == ["d", server.database, "d", "app"]


# But an open transaction is worth more than a new spec: it would be lost.
def test_an_open_transaction_survives_a_reload(mount, server):
    server.sql("create table t (a int)")
    m = mount(db=server.spec())
    client = m.start_sh(
        'echo "begin; insert into t values (1);" >"$C/query.sql"; echo begun;'
        ' until [ -e "$GO" ]; do :; done; echo "commit;" >"$C/query.sql"',
        env={"GO": str(m.dir / "go")},
    )
    wait_for(lambda: client.stdout == b"begun\n", "the transaction is open")

    m.specs["db"] = server.spec(database="app")
    reload(m)
    (m.dir / "go").touch()

    client.wait().check()
    assert server.sql("select count(*) from t") == [("1",)]


# The directory of a removed connection is empty; who reads gets a clear errno,
# not rows, and the statement is cancelled at the server.
def test_open_files_of_a_removed_connection(mount, server):
    m = mount(db=server.spec())
    client = m.start_sh(
        f'echo "{server.slow};" >"$C/query.sql"; cat "$C/result.csv"',
        shell="bash",
    )
    server.wait_until_running("sleep(600)")

    m.specs = {}
    reload(m)

    ended = client.wait(10)
    assert ended.rc != 0
    assert ended.out == ""
    server.wait_until_gone("sleep(600)")
    assert names(m) == ["README"]


# A finished result that somebody has open is whole to its end.
def test_an_open_finished_result_survives_its_connection(mount, db):
    m = mount(db=db)
    client = m.start_sh(
        'echo "select 1 as x;" >"$C/query.sql"; exec 3<"$C/result.csv"; echo open;'
        ' until [ -e "$GO" ]; do :; done; cat <&3',
        env={"GO": str(m.dir / "go")},
    )
    wait_for(lambda: client.stdout == b"open\n", "the result is open")

    m.specs = {}
    reload(m)
    (m.dir / "go").touch()

    ended = client.wait()
    assert (ended.out, ended.rc) in [("open\nx\n1\n", 0), ("open\n", 1)]
    assert ended.rc == 0 or ended.err.strip()


# Signals that come while SOURCE is read count as one more, not as none.
def test_many_signals_end_with_the_newest_source(mount, db):
    m = mount(db=db)

    for i in range(30):
        m.specs = {f"c{i}": db}
        m.reload()

    wait_for(lambda: names(m) == ["README", "c29"], "the newest is read")
    # -f is used again as it was given; the mount itself does not change.
    assert json.loads(m.read(".connfs", "status.json"))["connections"] == 1


# Reading SOURCE may wait, for a disk or for whoever knows user names: nobody
# who uses the mount waits with it. Here it waits for a mount that is stopped.
def test_the_mount_serves_while_source_is_read(mount, db):
    stopped = mount(db=db)
    m = mount(db=db)
    (m.config / "slow.json").symlink_to(stopped.path("README"))
    m.specs["more"] = db

    stopped.process.send_signal(signal.SIGSTOP)
    try:
        m.reload()
        wait_for(lambda: waits_for_fuse(m.pid), "the reader waits")
        assert m.query("select 1 as x;", "db").out == "x\n1\n"
        assert names(m) == ["README", "db"]
    finally:
        stopped.process.send_signal(signal.SIGCONT)

    wait_for(lambda: reloads(m) > 0, "SOURCE is read again")
    assert names(m) == ["README", "db", "more"]


# Nor does the end of the daemon wait for it longer than it may.
def test_the_daemon_ends_while_source_is_read(mount, db):
    stopped = mount(db=db)
    m = mount(db=db)
    (m.config / "slow.json").symlink_to(stopped.path("README"))

    stopped.process.send_signal(signal.SIGSTOP)
    try:
        m.reload()
        wait_for(lambda: waits_for_fuse(m.pid), "the reader waits")
        m.process.send_signal(signal.SIGTERM)
        wait_for(lambda: connection_of(m.mnt) is None, "the mount is gone", 5)
    finally:
        stopped.process.send_signal(signal.SIGCONT)

    assert m.process.wait(5 * SCALE) == 0
