# SPDX-License-Identifier: MIT
"""SOURCE is read again, by SIGHUP and .connfs/reload, while the mount is in use."""

import json
import signal

import pytest

import servers
from clients import SCALE, threads_of, wait_for, waits_for
from locks import TableLock
from mount import connection_of
from reloading import ask, names, reload, reloads, slow_source, status


@pytest.fixture
def db(test_dir):
    """The spec of a SQLite file."""
    return servers.Sqlite(test_dir / "test.db").spec()


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
    m = mount(db=db)
    m.specs["more"] = db

    with slow_source(m, mount(db=db)):
        m.reload()
        wait_for(lambda: waits_for_fuse(m.pid), "the reader waits")
        assert m.query("select 1 as x;", "db").out == "x\n1\n"
        assert names(m) == ["README", "db"]

    wait_for(lambda: reloads(m) > 0, "SOURCE is read again")
    assert names(m) == ["README", "db", "more"]


# Nor does the end of the daemon wait for it longer than it may.
def test_the_daemon_ends_while_source_is_read(mount, db):
    m = mount(db=db)

    with slow_source(m, mount(db=db)):
        m.reload()
        wait_for(lambda: waits_for_fuse(m.pid), "the reader waits")
        m.process.send_signal(signal.SIGTERM)
        wait_for(lambda: connection_of(m.mnt) is None, "the mount is gone", 5)

    assert m.process.wait(5 * SCALE) == 0


# ---- .connfs/reload ----


# Only the owner sees it, and can write to it and nothing else; the write returns
# when it is done.
def test_a_write_to_reload_returns_when_source_has_been_read(mount, db):
    m = mount(db=db)
    assert m.sh('stat -c "%A %s" "$M/.connfs/reload"').out == "--w------- 0\n"
    assert "reload" in m.sh('ls "$M/.connfs"').out
    assert "reload" not in m.sh('ls "$M/.connfs"', uid=1000).check().out

    for i in range(20):
        m.specs = {f"c{i}": db}
        m.write_specs()
        script = 'echo now >"$M/.connfs/reload" && ls "$M"'
        assert m.sh(script, "none").check().lines == ["README", f"c{i}"]

    assert status(m)["reloads"] == 20
    assert "Permission denied" in m.sh('cat "$M/.connfs/reload"', "none").err
    stranger = m.sh('stat "$M/.connfs/reload"', "none", uid=1000)
    assert "No such file or directory" in stranger.err


# Nor by a descriptor that the owner has opened.
def test_reload_by_the_descriptor_of_another_user(mount, db):
    m = mount(db=db)

    ended = m.python(
        "import os\n"
        "fd = os.open(os.environ['M'] + '/.connfs/reload', os.O_WRONLY)\n"
        "path = os.open(os.environ['M'] + '/.connfs/reload', os.O_PATH)\n"
        "os.setuid(1000)\n"
        "for attempt in [lambda: os.write(fd, b'x'),\n"
        "                lambda: os.open(f'/proc/self/fd/{path}', os.O_WRONLY)]:\n"
        "    try:\n"
        "        attempt()\n"
        "    except OSError as e:\n"
        "        print(e.strerror)\n"
    )

    assert ended.check().lines == ["Permission denied"] * 2
    assert reloads(m) == 0


# One that is under way may have missed the change: a thousand that ask meanwhile
# wait for one more, all for the same.
def test_writes_during_a_reading_wait_for_one_more(mount, db):
    m = mount(db=db)
    with slow_source(m, mount(db=db)):
        first = m.start_sh('echo now >"$M/.connfs/reload"', shell="bash")
        wait_for(lambda: waits_for_fuse(m.pid), "the reader waits")
        (m.config / "slow.json").unlink()
        m.specs["more"] = db
        m.write_specs()
        rest = m.start_python(
            "import os, threading\n"
            "m = os.environ['M']\n"
            "def ask():\n"
            "    with open(m + '/.connfs/reload', 'w') as f: f.write('now')\n"
            "many = [threading.Thread(target=ask) for _ in range(200)]\n"
            "for t in many: t.start()\n"
            "for t in many: t.join()\n"
            "print(sorted(os.listdir(m)))\n",
            "none",
        )
        rest.wait_parked(200)
        assert first.running

    # The first one was read as it was then, with a file that is no JSON.
    assert "Invalid argument" in first.wait().err
    assert rest.wait().check().lines == [str([".connfs", "README", "db", "more"])]
    assert status(m)["reloads"] == 2


# Who waits can go, or is told; the reading goes on, and so does the mount.
def test_the_wait_for_a_reading_can_end(mount, db):
    m = mount(db=db)
    ask = (
        "import os\n"
        "fd = os.open(os.environ['M'] + '/.connfs/reload', os.O_WRONLY)\n"
        "try:\n"
        "    os.write(fd, b'now')\n"
        "except OSError as e:\n"
        "    print(e.strerror)\n"
    )
    with slow_source(m, mount(db=db)):
        waiting = [m.start_python(ask) for _ in range(3)]
        for client in waiting:
            client.wait_parked()
        waiting[0].signal(signal.SIGTERM)
        assert waiting[0].wait().rc == -signal.SIGTERM
        assert m.query("select 1 as x;", "db").out == "x\n1\n"
        m.process.send_signal(signal.SIGTERM)
        for client in waiting[1:]:
            assert client.wait().out == "Transport endpoint is not connected\n"


# For whoever watches the mount: when it was, and whether all was well.
def test_status_tells_of_the_last_reading(mount, db):
    m = mount(db=db)
    first = status(m)
    assert (first["source_ok"], first["reloads"]) == (True, 0)
    assert first["source_read_at"] >= first["started_at"]

    m.config.chmod(0o777)
    assert "Invalid argument" in ask(m).err

    second = status(m)
    assert (second["source_ok"], second["reloads"]) == (False, 1)
    assert second["source_read_at"] > first["source_read_at"]
    m.config.chmod(0o700)
    ask(m).check()
    assert status(m)["source_ok"] is True


# A name that the kernel has looked up is looked at again, also from inside.
def test_changes_are_seen_from_inside_the_tree(mount, db):
    m = mount({"a": db, "b/c": db})
    inside = m.start_sh(
        'cd "$M"; ls; cat b/c/connection.json >/dev/null; cd b; echo in;'
        ' until [ -e "$GO" ]; do :; done; ls; ls ..; cat ../new/connection.json'
        " >/dev/null && cd c",
        "none",
        env={"GO": str(m.dir / "go")},
    )
    wait_for(lambda: inside.stdout.endswith(b"in\n"), "it is inside")

    m.specs = {"a": db, "b/d": db, "new": db}
    m.write_specs()
    ask(m).check()
    (m.dir / "go").touch()

    ended = inside.wait()
    assert ended.lines == ["README", "a", "b", "in", "d", "README", "a", "b", "new"]
    assert ended.rc != 0


# ---- what is as it was ----


# Neither credentials nor sessions of others are lost when one spec changes.
def test_what_is_unchanged_keeps_its_credential(mount, pg, test_dir):
    counter = test_dir / "count"
    counter.touch()
    script = 'echo x >>"$0"; echo "$1"'
    command = ["/bin/sh", "-c", script, str(counter), pg.passwords["app"]]
    spec = pg.spec(password_plain=None, password_command=command)
    m = mount(kept=spec, changed=spec)
    client = m.start_sh(
        "one() { echo 'select 1;' >\"$M/$1/query.sql\"; }; one kept; one changed;"
        ' echo ready; until [ -e "$GO" ]; do :; done; one kept; one changed',
        "none",
        env={"GO": str(m.dir / "go")},
    )
    wait_for(lambda: client.stdout == b"ready\n", "both have logged in")
    assert counter.read_text() == "x\n" * 2
    before = pg.activity("application_name like 'connfs-%'")

    # The order of the keys says nothing.
    m.specs["kept"] = dict(reversed(spec.items()))
    m.specs["changed"] = {**spec, "statement_timeout": "10m"}
    m.write_specs()
    ask(m).check()
    (m.dir / "go").touch()

    client.wait().check()
    assert counter.read_text() == "x\n" * 3
    after = pg.activity("application_name like 'connfs-%'")
    assert len({row[0] for row in before} & {row[0] for row in after}) == 1


# Names mean whom they mean by now, and settings are part of what uses them.
def test_a_changed_setting_changes_its_specs(mount, pg):
    m = mount(db=pg.spec())
    m.sh('echo "select 1;" >"$C/query.sql"').check()
    assert json.loads(m.read("db", "connection.json"))["max_connections"] == 10

    m.settings["max_connections"] = 3
    m.write_specs()
    ask(m).check()

    assert json.loads(m.read("db", "connection.json"))["max_connections"] == 3


# ---- Kubernetes ----


# A ConfigMap is links to a directory that is exchanged as a whole.
def test_a_source_that_is_a_swapped_directory(mount, db):
    m = mount(db=db)
    (m.config / "connfs.json").unlink()
    m.config.chmod(0o755)

    def publish(version, **specs):
        where = m.config / f"..{version}"
        where.mkdir(mode=0o755)
        for conn_id, spec in specs.items():
            file = where / f"{conn_id}.json"
            file.write_text(json.dumps({"conn_id": conn_id, **spec}))
            file.chmod(0o644)
            link = m.config / file.name
            if not link.is_symlink():
                link.symlink_to(f"..data/{file.name}")
        (m.config / "..data_tmp").symlink_to(where.name)
        (m.config / "..data_tmp").rename(m.config / "..data")
        for link in m.config.glob("*.json"):
            if link.stem not in specs:
                link.unlink()

    publish("2024_01", a=db, b=db)
    ask(m).check()
    assert names(m) == ["README", "a", "b"]

    publish("2024_02", a={**db, "description": "second"}, c=db)
    ask(m).check()

    assert names(m) == ["README", "a", "c"]
    assert json.loads(m.read("a", "connection.json"))["description"] == "second"
