# SPDX-License-Identifier: MIT
"""How the daemon starts, in the foreground and in the background, and ends."""

import os
import pathlib
import shutil
import signal

import pytest

import clients
import servers
from clients import SCALE, wait_for
from mount import BINARY, DaemonEnded, connection_of, daemons_of, unmount_and_wait

NOBODY = 65534


def file_spec(conn_id="demo", **fields):
    return {
        "conn_id": conn_id,
        "type": "sqlite3",
        "enabled": True,
        "host": "/srv/nowhere.db",
        **fields,
    }


# The caller may use the mount at once; nothing of the daemon holds on to the
# caller's terminal, directory or pipes.
def test_the_command_returns_when_the_mount_is_usable(connfs, source, mountpoint):
    started = connfs(source(file_spec()), mountpoint).check()

    assert started.out == ""
    ready = clients.sh('cat "$M/.connfs/ready"', env={"M": str(mountpoint)}).check()
    assert ready.out == "ready\n"
    unmount_and_wait(mountpoint)


def test_the_daemon_lets_go_of_its_caller(connfs, source, mountpoint):
    connfs(source(file_spec()), mountpoint).check()

    (pid,) = daemons_of(mountpoint)
    proc = pathlib.Path(f"/proc/{pid}")
    status = clients.status_of(pid)
    files = [os.readlink(proc / "fd" / str(fd)) for fd in range(3)]
    cwd = os.readlink(proc / "cwd")
    unmount_and_wait(mountpoint)

    assert status["NSsid"].split()[0] == str(pid)
    assert status["NSpgid"].split()[0] == str(pid)
    assert cwd == "/"
    assert files == ["/dev/null"] * 3


# A relative path means something else once the daemon is in /.
def test_relative_paths_are_taken_from_where_connfs_starts(source, mountpoint):
    path = source(file_spec())
    script = 'cd "$D" && "$B" connfs.json mnt'
    env = {"D": str(path.parent), "B": str(BINARY)}

    clients.sh(script, env=env).check()

    where = {"M": str(mountpoint)}
    listed = clients.sh('ls "$M"', env=where).check()
    assert listed.lines == ["README", "demo"]
    clients.sh('umount "$M"', env=where).check()
    wait_for(lambda: not daemons_of("mnt"), "the daemon ends")


# The parent waits for INIT: a failed mount is not found out later.
@pytest.mark.parametrize("foreground", [True, False])
@pytest.mark.parametrize(
    "kind, why",
    [("missing", "No such file or directory"), ("a file", "Not a directory")],
)
def test_a_failed_mount_is_told_by_the_command(
    connfs, source, test_dir, kind, why, foreground
):
    mnt = test_dir / "there"
    if kind == "a file":
        mnt.touch()
    how = ["-f"] if foreground else []

    ended = connfs(*how, source(file_spec()), mnt)

    assert (ended.rc, ended.out) == (2, "")
    assert str(mnt) in ended.err
    assert why in ended.err
    assert not daemons_of(mnt)


@pytest.fixture
def binary_for_all(test_dir):
    """A copy that other users can run, wherever the build directory is."""
    return shutil.copy(BINARY, test_dir / "connfs")


# Whether it is the device, the mountpoint or fusermount3 that says no.
@pytest.mark.parametrize("foreground", [True, False])
def test_a_mount_that_is_not_permitted_is_told(
    source, mountpoint, binary_for_all, foreground
):
    path = source(file_spec(), mode=0o644)
    argv = [binary_for_all, *(["-f"] if foreground else []), path, mountpoint]

    # No capability to look into itself for leaks: it cannot be traced.
    ended = clients.start(
        list(map(str, argv)), uid=NOBODY, env={"ASAN_OPTIONS": "detect_leaks=0"}
    ).wait()

    assert ended.rc == 2, ended
    assert ended.err != ""
    assert connection_of(mountpoint) is None


# In a mount namespace of its own, where everybody may use /dev/fuse.
UNPRIVILEGED = """
set -e
mount -t tmpfs -o mode=755 none "$D/dev"
mknod -m 666 "$D/dev/fuse" c 10 229
mount --bind "$D/dev/fuse" /dev/fuse
chown 65534:65534 "$D/mnt"
as="setpriv --reuid 65534 --regid 65534 --clear-groups"
$as "$D/connfs" "$D/connfs.json" "$D/mnt"
$as cat "$D/mnt/.connfs/ready" "$D/mnt/.connfs/errors"
pid=$($as sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p' "$D/mnt/.connfs/status.json")
stat -c "owner %u" "/proc/$pid/environ"
for file in auxv environ maps mem pagemap smaps stack syscall; do
  if $as head -c 1 "/proc/$pid/$file" 2>"$D/said"; then echo "$file is readable"; fi
done
$as sh -c 'cd "$D/mnt/demo"; echo "select 42 as a;" >query.sql; cat result.csv'
$as fusermount3 -u "$D/mnt"
"""


# The mount's owner is whoever mounts; root is not needed. The process is not
# dumpable: its files in /proc are root's, so other programs of the same user
# cannot look for passwords in it.
def test_any_user_who_may_use_the_device_can_mount(
    source, test_dir, binary_for_all
):
    for name in ["dev", "mnt"]:
        (test_dir / name).mkdir()
    db = test_dir / "data"
    db.mkdir()
    servers.Sqlite(db / "a.db")
    for path in [db, db / "a.db"]:
        os.chown(path, NOBODY, NOBODY)
    specs = source(file_spec(host=str(db / "a.db")))
    os.chown(specs, NOBODY, NOBODY)
    test_dir.chmod(0o755)

    ran = clients.start(
        ["unshare", "--mount", "sh", "-c", UNPRIVILEGED],
        env={"D": str(test_dir), "ASAN_OPTIONS": "detect_leaks=0"},
    ).wait()
    if ran.rc != 0:
        clients.kill_all(daemons_of(test_dir / "mnt"))

    assert (ran.out, ran.err, ran.rc) == ("ready\nowner 0\na\n42\n", "", 0)
    wait_for(lambda: not daemons_of(test_dir / "mnt"), "the daemon ends")


# What the kernel says to those who list mounts. A comma in the name must not
# become an option.
@pytest.mark.parametrize("name", ["connfs.json", "a,suid,b.json"])
def test_mountinfo_shows_type_and_source(connfs, source, mountpoint, name):
    path = source(file_spec(), name)
    connfs("-o", "allow_other", path, mountpoint).check()

    with open("/proc/self/mountinfo") as f:
        (line,) = [li for li in f if f" {mountpoint} " in li]
    unmount_and_wait(mountpoint)

    left, _, right = line.partition(" - ")
    fstype, shown_source, options = right.split()
    assert (fstype, shown_source) == ("fuse.connfs", str(path))
    assert "allow_other" in options.split(",")
    assert {"nosuid", "nodev"} <= set(left.split()[5].split(","))


# Without allow_other the kernel lets nobody else in, whatever `access` says.
def test_without_allow_other_the_mount_is_its_owners(connfs, source, mountpoint):
    connfs(source(file_spec(access={"everyone": True})), mountpoint).check()

    refused = clients.sh('ls "$M"', uid=NOBODY, env={"M": str(mountpoint)})
    unmount_and_wait(mountpoint)

    assert refused.rc != 0
    assert "Permission denied" in refused.err


# A bad spec does not take the others down, and its reason can be read.
def test_a_mount_comes_up_without_its_bad_specs(mount, test_dir):
    good = servers.Sqlite(test_dir / "a.db").spec()

    m = mount(good=good, bad={**good, "enabled": "yes"})

    where = m.config / "connfs.json"
    assert m.read(".connfs", "errors") == (
        f"{where}: bad: enabled: must be true or false, without quotes\n"
    )
    assert m.sh('ls "$M"').check().lines == ["README", "good"]
    assert f"warning: {where}: bad: enabled: must be" in m.log


TIMEOUT_SET = """
mount --bind "$D/seconds" /proc/sys/fs/fuse/max_request_timeout &&
"$B" "$D/connfs.json" "$D/mnt" && umount "$D/mnt"
"""


# The kernel would end the whole mount over one statement that takes longer.
@pytest.mark.parametrize("seconds", ["0", "30"])
def test_a_kernel_that_aborts_slow_requests_is_warned_of(
    source, mountpoint, test_dir, seconds
):
    (test_dir / "seconds").write_text(seconds + "\n")
    source(file_spec())
    env = {"D": str(test_dir), "B": str(BINARY)}

    ran = clients.start(
        ["unshare", "--mount", "sh", "-c", TIMEOUT_SET], env=env
    ).wait()
    wait_for(lambda: not daemons_of(mountpoint), "the daemon ends")

    assert ran.rc == 0
    warned = "fs.fuse.max_request_timeout is 30 s" in ran.err
    assert warned == (seconds == "30")


# The end


def ends_within(m, seconds):
    """The daemon's exit status."""
    return m.process.wait(seconds * SCALE)


@pytest.mark.parametrize("how", ["umount", "fusermount3 -u"])
def test_unmounting_ends_the_daemon_with_0(mount, test_dir, how):
    m = mount(db=servers.Sqlite(test_dir / "a.db").spec())
    assert m.query("select 1 as a;").out == "a\n1\n"

    m.sh(f'{how} "$M"').check()

    assert ends_within(m, 5) == 0
    assert connection_of(m.mnt) is None


# A signal may come as soon as there is something to end: the mount must not be
# left behind, nor a reload kill the daemon.
@pytest.mark.parametrize("attempt", range(10))
def test_a_signal_right_after_the_mount_is_taken(mount, test_dir, attempt):
    m = mount(db=servers.Sqlite(test_dir / "a.db").spec())

    m.process.send_signal(signal.SIGHUP)
    m.process.send_signal(signal.SIGTERM)

    assert ends_within(m, 5) == 0
    assert connection_of(m.mnt) is None


# With a statement that would run for ever and its reader waiting: both end.
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_daemon_with_0_whatever_runs(mount, engine, number):
    m = mount(db=engine.spec())
    client = m.start_sh(f'echo "{engine.slow};" >"$C/query.sql"; cat "$C/result.csv"')
    client.wait_parked()

    m.process.send_signal(number)

    assert ends_within(m, 5) == 0
    assert connection_of(m.mnt) is None
    assert client.wait(5).rc != 0


# Open transactions are rolled back, not left to the server's timeouts.
def test_the_end_rolls_back_and_logs_out(mount, pg, database):
    pg.sql("create table t (a int)", database, "app")
    m = mount(db=pg.spec(database=database))
    client = m.start_sh(
        'echo "begin; insert into t values (1); select 1;" >"$C/query.sql";'
        ' cat "$C/result.csv"; exec sleep 600'
    )
    mine = f"datname = '{database}'"
    wait_for(
        lambda: [a[1] for a in pg.activity(mine)] == ["idle in transaction"],
        "the transaction is open",
    )

    m.process.send_signal(signal.SIGTERM)

    assert ends_within(m, 5) == 0
    wait_for(lambda: not pg.activity(mine), "the session has logged out")
    assert pg.sql("select count(*) from t", database) == [("0",)]
    assert client.running


# A daemon that cannot start says so at once, also to those in the foreground.
def test_a_foreground_daemon_with_a_bad_source_ends_with_1(mount):
    with pytest.raises(DaemonEnded) as e:
        mount(files={"settings.json": {"settings": {"max_row": -1}}})

    assert e.value.rc == 1
    assert "settings.json: settings: max_row: must be bytes" in e.value.log
