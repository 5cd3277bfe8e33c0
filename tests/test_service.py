# SPDX-License-Identifier: MIT
"""connfs@.service under systemd: start, status, reload, watchdog, end."""

import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

import clients
import servers
from clients import SCALE, wait_for
from mount import BINARY, ROOT, daemons_of
from service_manager import UNIT, Manager, Service, escape

ENDLESS = """with recursive c(n) as (select 1 union all select n + 1 from c)
select count(*) from c;"""


@pytest.fixture
def manager(test_dir):
    where = test_dir / "manager"
    where.mkdir()
    made = Manager(where)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def db(test_dir):
    """The spec of a SQLite file."""
    return servers.Sqlite(test_dir / "test.db").spec()


@pytest.fixture
def service(manager, db):
    return Service(manager, {"a": db})


def mount_namespace(pid):
    return os.readlink(f"/proc/{pid}/ns/mnt")


# systemctl start returns when the mount can be used, in the namespace of the
# machine, and the status says how it stands. A backslash of the instance is
# none in the name of its file in /etc/default.
@pytest.mark.parametrize("name", ["mnt", "my-conn", "a b"])
def test_start(manager, db, name):
    specs = {"a": db, "b": db, "off": {**db, "enabled": False}}
    service = Service(manager, specs, name)

    service.start()

    assert service.mounts == 1
    assert service.query("select 1 as x").check().out == "x\n1\n"
    assert service.get("StatusText") == "2 connections"
    assert mount_namespace(service.pid) == mount_namespace(manager.pid)
    service.systemctl("stop").check()
    assert service.mounts == 0
    assert service.get("Result") == "success"


def test_status_names_what_was_refused(manager, db):
    service = Service(manager, {"a": db, "b": {**db, "type": "none"}}).start()

    text = "1 connection, 1 spec refused: see .connfs/errors"
    assert service.get("StatusText") == text


# Under the journal each line has its own priority, and the name is journald's.
def test_journal_has_priorities(manager, db):
    service = Service(manager, {"a": db, "b": {**db, "type": "none"}}).start()

    config = service.config / "connfs.json"
    assert service.journal == [
        (4, f'warning: {config}: b: type: unknown "none"'),
        (6, "mounted, 1 connections"),
    ]


# And what libfuse says, in one line.
def test_journal_says_why_it_cannot_mount(service):
    service.configure("Environment=OPTIONS=allow_othr")

    assert service.systemctl("start").rc != 0

    assert service.journal == [(3, "error: fuse: unknown option(s): `-o allow_othr'")]


# It returns when SOURCE has been read.
def test_reload(service, db):
    service.start()

    service.write_specs({"a": db, "b": db})
    service.systemctl("reload").check()

    assert service.sh('ls "$M"').check().lines == ["README", "a", "b"]
    assert service.get("StatusText") == "2 connections"
    assert service.get("ActiveState") == "active"


# And fails when something in it is wrong, while the service goes on.
@pytest.mark.parametrize(
    "wrong, status",
    [
        (
            {"settings": {"nonsense": 1}},
            "1 connection, SOURCE could not be read again: see .connfs/errors",
        ),
        ({"type": "none"}, "1 connection, 1 spec refused: see .connfs/errors"),
    ],
)
def test_broken_reload_keeps_the_old_and_says_so(service, db, wrong, status):
    service.start()

    if "settings" in wrong:
        service.write_specs({"a": db}, **wrong)
    else:
        service.write_specs({"a": {**db, **wrong}})
    failed = service.systemctl("reload")

    assert failed.rc == 1
    service.wait_until("StatusText", status)
    assert service.get("ActiveState") == "active"
    assert service.query("select 1 as x").check().out == "x\n1\n"
    service.write_specs({"a": db})
    service.systemctl("reload").check()
    service.wait_until("StatusText", "1 connection")


# A daemon whose loop does not turn is killed and replaced; who waits for it
# gets an error, and the mount works again.
def test_watchdog(service):
    service.configure("WatchdogSec=1s", "TimeoutAbortSec=500ms")
    service.start()
    fed = service.get("WatchdogTimestampMonotonic")
    wait_for(
        lambda: service.get("WatchdogTimestampMonotonic") != fed, "the watchdog is fed"
    )
    old = service.pid

    os.kill(old, signal.SIGSTOP)
    waiting = service.start_client('ls "$M/a"')

    service.wait_until("NRestarts", "1", 20)
    service.wait_until("ActiveState", "active")
    assert waiting.wait().rc != 0
    assert service.pid != old
    assert service.mounts == 1
    assert service.query("select 1 as x").check().out == "x\n1\n"


def test_killed_daemon_is_replaced(service):
    service.start()
    old = service.pid

    os.kill(old, signal.SIGKILL)

    service.wait_until("NRestarts", "1", 20)
    service.wait_until("ActiveState", "active")
    assert service.mounts == 1
    assert service.query("select 1 as x").check().out == "x\n1\n"


# What a killed daemon leaves is taken away, also when none follows it.
def test_killed_daemon_leaves_no_mount(service):
    service.configure("Restart=no")
    service.start()

    os.kill(service.pid, signal.SIGKILL)

    service.wait_until("ActiveState", "failed")
    assert service.mounts == 0


# The mount of another daemon is neither covered nor taken away.
def test_mount_of_another_daemon_stays(service, manager):
    other = manager.start_client(BINARY, "-f", service.config, service.mnt)
    wait_for(lambda: service.mounts == 1, "the other is mounted")
    service.configure("Restart=no")

    assert service.systemctl("start", timeout=30).rc != 0

    assert service.get("ExecMainStatus") == "2"
    assert service.mounts == 1
    assert service.query("select 1 as x").check().out == "x\n1\n"
    service.sh('umount "$M"').check()
    assert other.wait().rc == 0


# Nothing that another start would mend.
def test_wrong_source_is_not_tried_again(manager, db):
    service = Service(manager, {"a": db}, settings={"nonsense": 1})

    assert service.systemctl("start").rc != 0

    assert service.get("ActiveState") == "failed"
    assert service.get("NRestarts") == "0"
    assert service.get("ExecMainStatus") == "1"


# With files open, and readers that wait for rows, a stop takes 5 s at most,
# and leaves nobody behind who cannot be killed.
def test_stop_while_in_use(service):
    service.start()
    holder = service.start_client('exec 3<"$M/README"; echo held; exec sleep 1000')
    wait_for(lambda: holder.stdout == b"held\n", "a file is open")
    script = f'echo "{ENDLESS}" >"$M/a/query.sql"; cat "$M/a/result.csv"'
    readers = [service.start_client(script) for _ in range(3)]
    for reader in readers:
        reader.wait_parked()

    stopped = service.systemctl("stop").check()

    assert stopped.elapsed < 5 * SCALE
    assert service.get("Result") == "success"
    assert service.get("ExecMainStatus") == "0"
    assert service.mounts == 0
    for reader in readers:
        assert reader.wait().rc != 0
    assert clients.status_of(holder.pid)["State"][0] == "S"
    holder.kill()
    holder.wait()


# The unit's limits leave the bare mount point to be made to refuse writes.
def test_bare_mount_point(service):
    (service.mnt / "keep").unlink()
    try:
        service.start()
        service.systemctl("stop").check()

        assert sorted(os.listdir(service.mnt)) == ["NOT-MOUNTED"]
        flags = service.sh('lsattr -d "$M"').check().out.split()[0]
        assert "i" in flags
    finally:
        service.sh('chattr -R -i "$M"')


# The unit's limits, and that what needs a capability works under them: a
# caller of another user is known, a file of another user is written.
def test_hardened(service, test_dir):
    theirs = test_dir / "theirs"
    theirs.mkdir(mode=0o700)
    spec = servers.Sqlite(theirs / "a.db").spec(access={"everyone": True})
    for path in [theirs / "a.db", theirs]:
        os.chown(path, 21001, 21001)
    service.write_specs({"a": spec})
    service.start()
    status = clients.status_of(service.pid)

    script = 'exe=$(readlink /proc/$$/exe); echo "$exe" >&2; cat "$M/a/client.json"'
    client = service.sh(f"{script}", user=21001)
    written = service.query(
        "pragma journal_mode=wal; create table t(x int); select 1 as x;", user=21001
    )

    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert status["CapEff"] == status["CapBnd"]
    limits = pathlib.Path(f"/proc/{service.pid}/limits").read_text()
    assert "Max core file size        0                    0  " in limits
    assert '"exe": "/usr/bin/cat"' in client.out
    assert written.check().out == "x\n1\n"
    owners = {p.name: p.stat().st_uid for p in theirs.iterdir()}
    assert set(owners) == {"a.db", "a.db-shm", "a.db-wal"}
    assert set(owners.values()) == {21001}


# systemd knows every word of the unit, and what it thinks of it is in the
# documentation.
def test_unit_is_verified(test_dir):
    unit = test_dir / "connfs@conn.service"
    text = re.sub(r"(?m)^(ExecStart=)\S+", rf"\1{BINARY}", UNIT.read_text())
    unit.write_text(text)
    unit.chmod(0o644)

    verified = clients.start(["systemd-analyze", "verify", "--man=no", unit]).wait()
    argv = ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit]
    judged = clients.start(argv).wait().check()

    assert (verified.rc, verified.out, verified.err) == (0, "", "")
    score = re.search(r"exposure level for connfs@conn.service: (\S+)", judged.out)[1]
    docs = (ROOT / "docs/systemd.md").read_text()
    assert f"an exposure level of {score}" in docs


# The line of fstab that the documentation offers: mounted at the first access.
def test_automount(manager, db):
    mnt = manager.dir / "mnt"
    config = manager.dir / "config"
    for path, mode in [(mnt, 0o755), (config, 0o700)]:
        path.mkdir(mode)
    (mnt / "keep").touch()
    (config / "a.json").write_text(json.dumps({"conn_id": "a", **db}))
    fstab = manager.dir / "fstab"
    options = "allow_other,nofail,x-systemd.automount"
    fstab.write_text(f"{config} {mnt} connfs {options} 0 0\n")
    generator = "/lib/systemd/system-generators/systemd-fstab-generator"
    where = [manager.units] * 3
    subprocess.run([generator, *where], env={"SYSTEMD_FSTAB": fstab}, check=True)
    manager.systemctl("daemon-reload").check()
    unit = escape(mnt)
    manager.systemctl("start", f"{unit}.automount").check()
    assert manager.show(f"{unit}.mount", "ActiveState")["ActiveState"] == "inactive"

    script = 'cd "$1/a" && echo "select 1 as x;" >query.sql && cat result.csv'
    assert manager.sh(script, mnt).check().out == "x\n1\n"

    assert manager.show(f"{unit}.mount", "ActiveState")["ActiveState"] == "active"
    manager.systemctl("stop", f"{unit}.automount", f"{unit}.mount").check()
    state = manager.show(f"{unit}.mount", "ActiveState", "Result")
    assert state == {"ActiveState": "inactive", "Result": "success"}
    wait_for(lambda: not daemons_of(mnt), "the daemon ends")
