# SPDX-License-Identifier: MIT
"""The mount point: what connfs mounts upon, what it refuses, and what is there
when it is not mounted."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess

import pytest

import clients
import servers
from clients import SCALE, wait_for
from mount import BINARY, abort_connection, connection_of, daemons_of, unmount_and_wait

NOBODY = 65534


@pytest.fixture
def bare(test_dir):
    """A directory that connfs prepares; gone when the test ends."""
    where = test_dir / "bare"
    where.mkdir(mode=0o755)
    yield where
    while connection_of(where):
        abort_connection(where)
        subprocess.run(["umount", "-l", where], check=True)
    clients.kill_all(daemons_of(where))
    if where.exists():
        subprocess.run(["chattr", "-R", "-f", "-i", where])


@pytest.fixture
def specs(source, test_dir):
    """A SOURCE with the connection db."""
    spec = servers.Sqlite(test_dir / "a.db").spec()
    return source({"conn_id": "db", **spec})


@contextlib.contextmanager
def open_directory(where):
    fd = os.open(where, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def run(script, *args):
    """With $1, $2, ..; so that a path is one word."""
    argv = ["sh", "-c", script, "sh", *map(str, args)]
    return clients.start(argv).wait()


def immutable(where):
    flags = run('lsattr -d "$1"', where).check().out.split()[0]
    return "i" in flags


def looks(where):
    """All that preparing would change."""
    stat = where.stat()
    return oct(stat.st_mode), stat.st_uid, sorted(os.listdir(where)), immutable(where)


def mount_once(connfs, specs, where):
    connfs(specs, where).check()
    unmount_and_wait(where)


# Not mounted


# A job that runs before the mount must not write into the directory, and call
# that success: not even as root.
@pytest.mark.parametrize(
    "write",
    [
        'echo "select 1;" >"$1/query.sql"',
        'mkdir "$1/db"',
        'cp /etc/hostname "$1/"',
        'mv "$1/NOT-MOUNTED" "$1/db"',
        'echo >"$1/NOT-MOUNTED"',
        'rm -f "$1/NOT-MOUNTED"',
        'rmdir "$1"',
    ],
)
def test_the_bare_directory_refuses_what_root_writes(connfs, specs, bare, write):
    mount_once(connfs, specs, bare)

    written = run(write, bare)

    assert written.rc != 0
    assert "Operation not permitted" in written.err
    assert looks(bare) == ("0o40555", 0, ["NOT-MOUNTED"], True)


def test_the_bare_directory_says_why(connfs, specs, bare):
    mount_once(connfs, specs, bare)

    shown = run('ls "$1"; cat "$1/NOT-MOUNTED"', bare).check().lines

    assert shown[:2] == ["NOT-MOUNTED", "NOT MOUNTED"]
    for command in [
        "systemctl status 'connfs@*'",
        "journalctl -t connfs",
        f"connfs -o allow_other {specs} {bare}",
        f"connfs --ready {bare} --wait 30s",
        f"chattr -R -i {bare} && rm -r {bare}",
    ]:
        assert f"    {command}" in shown


# It is a mount point as before: nothing of this shows when connfs is mounted.
def test_a_prepared_directory_is_mounted_upon_again(connfs, specs, bare):
    mount_once(connfs, specs, bare)

    connfs(specs, bare).check()

    assert run('ls "$1"', bare).check().lines == ["README", "db"]
    unmount_and_wait(bare)
    assert looks(bare) == ("0o40555", 0, ["NOT-MOUNTED"], True)


# Whoever wants the directory gone does what the notice says.
@pytest.mark.parametrize("name", ["plain", "it's a (mount) point"])
def test_the_notice_says_how_to_remove_the_directory(connfs, specs, bare, name):
    where = bare / name
    where.mkdir()
    mount_once(connfs, specs, where)
    notice = (where / "NOT-MOUNTED").read_text().splitlines()
    (command,) = [line for line in notice if "chattr" in line]

    run(command).check()

    assert not where.exists()


# What is mounted there may be another SOURCE by now.
def test_the_notice_is_that_of_the_last_mount(connfs, specs, source, bare):
    mount_once(connfs, specs, bare)
    other = shutil.copy(specs, specs.with_name("other.json"))
    mount_once(connfs, other, bare)

    notice = (bare / "NOT-MOUNTED").read_text()

    assert f"    connfs -o allow_other {other} {bare}\n" in notice
    assert str(specs) not in notice
    assert looks(bare) == ("0o40555", 0, ["NOT-MOUNTED"], True)


def put_file(where):
    (where / "mine").touch()


def put_own_notice(where):
    (where / "NOT-MOUNTED").write_text("not mounted: ask me first\n")


def put_directory(where):
    (where / "NOT-MOUNTED").mkdir()


def put_link(where):
    (where / "NOT-MOUNTED").symlink_to("/etc/hostname")


# A directory that somebody uses for something else must not be lost to it.
@pytest.mark.parametrize(
    "change",
    [
        lambda where: os.chown(where, NOBODY, NOBODY),
        lambda where: where.chmod(0o775),
        lambda where: where.chmod(0o1777),
        put_file,
        put_own_notice,
        put_directory,
        put_link,
    ],
    ids=["another's", "group", "everybody", "file", "notice", "directory", "link"],
)
def test_a_directory_that_is_not_bare_is_left_alone(connfs, specs, bare, change):
    change(bare)
    before = looks(bare)

    mount_once(connfs, specs, bare)

    assert looks(bare) == before


MOUNTED = """
set -e
mount -t "$1" none "$2"
"$3" "$4" "$2"
umount "$2"
ls "$2"
umount "$2"
"""


# A volume that is mounted there is another's, who has to be able to remove it
# again: an emptyDir of Kubernetes, for one.
@pytest.mark.parametrize("kind", ["tmpfs", "ramfs"])
def test_a_volume_at_the_mount_point_is_left_alone(specs, bare, kind):
    argv = ["unshare", "--mount", "sh", "-c", MOUNTED, "sh", kind, bare, BINARY, specs]

    ran = clients.start(list(map(str, argv))).wait().check()
    wait_for(lambda: not daemons_of(bare), "the daemon ends")

    assert ran.out == ""
    assert looks(bare) == ("0o40755", 0, [], False)


ELSEWHERE = """
set -e
mount -t ramfs none "$1"
mkdir "$1/conn"
[ "$4" = rw ] || mount -o "remount,$4" none "$1"
"$2" "$3" "$1/conn"
cat "$1/conn/.connfs/ready"
umount "$1/conn"
stat -c %a "$1/conn"
ls "$1/conn"
umount "$1"
"""


# Where it cannot be done, or not all of it, that is no reason not to mount.
@pytest.mark.parametrize(
    "how, left", [("rw", ["555", "NOT-MOUNTED"]), ("ro", ["755"])]
)
def test_without_immutable_files_the_rest_is_done(specs, bare, how, left):
    argv = ["unshare", "--mount", "sh", "-c", ELSEWHERE, "sh", bare, BINARY, specs, how]

    ran = clients.start(list(map(str, argv))).wait().check()
    wait_for(lambda: not daemons_of(bare / "conn"), "the daemon ends")

    assert ran.lines == ["ready", *left]


# A root directory of its own: nothing is tried with the real /mnt.
SHARED = """
set -e
mount -t tmpfs -o mode=755 none "$1"
cd "$1"
mkdir -m 755 mnt conn usr etc proc dev tmp
for directory in usr etc proc dev tmp; do mount --bind "/$directory" $directory; done
mount --bind /dev/fuse dev/fuse
ln -s usr/bin usr/sbin usr/lib usr/lib64 .
for where in /mnt /conn; do
  chroot . "$2" "$3" $where
  umount .$where
  ls -A .$where
done
"""


# Mounting at /mnt for once must not take it from those who mount there, too.
def test_directories_of_everybody_are_left_alone(specs, bare, test_dir):
    program = shutil.copy(BINARY, test_dir / "connfs")
    argv = ["unshare", "--mount", "sh", "-c", SHARED, "sh", bare, program, specs]

    ran = clients.start(list(map(str, argv))).wait().check()
    wait_for(lambda: not daemons_of(specs), "the daemons end")

    assert ran.lines == ["NOT-MOUNTED"]


# Already mounted


# Two mounts on one point would be two daemons, of which one is never seen.
def test_a_second_connfs_is_refused(connfs, specs, mountpoint):
    connfs(specs, mountpoint).check()

    second = connfs("-f", specs, mountpoint)

    assert (second.rc, second.out) == (2, "")
    assert second.err == (
        f"connfs: error: MOUNTPOINT {mountpoint}: a connfs is mounted there already,"
        f" of {specs}; umount {mountpoint} ends it\n"
    )
    assert run('cat "$1/.connfs/ready"', mountpoint).check().out == "ready\n"
    unmount_and_wait(mountpoint)


# Whoever comes second by a thousandth of a second, too.
def test_of_several_that_start_at_once_one_mounts(specs, mountpoint):
    argv = [str(BINARY), str(specs), str(mountpoint)]

    started = [clients.start(argv) for _ in range(5)]

    assert sorted(s.wait().rc for s in started) == [0, 2, 2, 2, 2]
    assert len(daemons_of(mountpoint)) == 1
    unmount_and_wait(mountpoint)


# They take turns by a lock, which anybody can take: it holds nobody up for long.
def test_a_lock_that_is_held_delays_the_mount_only(connfs, specs, mountpoint):
    with open_directory(mountpoint.parent) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)
        started = connfs(specs, mountpoint).check()

    assert 3 <= started.elapsed < 5 * SCALE
    unmount_and_wait(mountpoint)


def kill_daemon(where):
    """What is mounted there stays, and is dead."""
    for pid in daemons_of(where):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not daemons_of(where), "the daemon is gone")


# What is left of a daemon that was killed is in nobody's way, by whatever name
# the mount point goes.
@pytest.mark.parametrize("name", ["{}/mnt", "{}/mnt/", "./mnt", "mnt//", "link"])
def test_a_dead_mount_is_replaced(connfs, specs, mountpoint, name):
    (mountpoint.parent / "link").symlink_to("mnt")
    connfs(specs, mountpoint).check()
    kill_daemon(mountpoint)

    script = 'cd "$1" && exec "$2" "$3" "$4"'
    where = mountpoint.parent
    again = run(script, where, BINARY, specs, name.format(where))

    assert (again.rc, again.out) == (0, "")
    assert again.err == (
        f"connfs: unmounted {mountpoint}: the connfs there, of {specs}, has ended\n"
    )
    assert run('cat "$1/.connfs/ready"', mountpoint).check().out == "ready\n"
    run('umount "$1"', mountpoint).check()
    assert connection_of(mountpoint) is None


def test_dead_mounts_upon_each_other_are_replaced(connfs, specs, mountpoint):
    connfs(specs, mountpoint).check()
    run('mount --bind "$1" "$1" && mount --bind "$1" "$1"', mountpoint).check()
    kill_daemon(mountpoint)

    again = connfs(specs, mountpoint)

    assert again.rc == 0
    assert again.err.count(" has ended\n") == 3
    unmount_and_wait(mountpoint)
    assert connection_of(mountpoint) is None


# One that hangs is not waited for, and who waits for it is nobody who matters.
def test_a_connfs_that_does_not_answer_is_refused(connfs, specs, mountpoint):
    connfs(specs, mountpoint).check()
    (daemon,) = daemons_of(mountpoint)
    number = connection_of(mountpoint)[1]

    os.kill(daemon, signal.SIGSTOP)
    second = connfs(specs, mountpoint)
    os.kill(daemon, signal.SIGCONT)

    assert (second.rc, second.out) == (2, "")
    assert second.err == (
        f"connfs: error: MOUNTPOINT {mountpoint}: the connfs there, of {specs}, does"
        f" not answer; as root, echo 1 >/sys/fs/fuse/connections/{number}/abort"
        " ends it\n"
    )
    wait_for(lambda: daemons_of(mountpoint) == [daemon], "who asked has gone")
    unmount_and_wait(mountpoint)


def test_an_aborted_mount_is_replaced(connfs, specs, mountpoint):
    connfs(specs, mountpoint).check()
    abort_connection(mountpoint)

    again = connfs(specs, mountpoint)

    assert again.rc == 0
    assert run('cat "$1/.connfs/ready"', mountpoint).check().out == "ready\n"
    unmount_and_wait(mountpoint)


# As mount(8) does it: what is below is there again afterwards.
def test_other_file_systems_are_mounted_upon(connfs, specs, mountpoint):
    run('mount -t tmpfs none "$1" && touch "$1/below"', mountpoint).check()
    try:
        connfs(specs, mountpoint).check()
        unmount_and_wait(mountpoint)

        assert run('ls "$1"', mountpoint).check().lines == ["below"]
    finally:
        run('umount "$1"', mountpoint).check()


# Without privileges

USER = """
set -e
mount -t tmpfs -o mode=755 none "$D/dev"
mknod -m 666 "$D/dev/fuse" c 10 229
mount --bind "$D/dev/fuse" /dev/fuse
as="setpriv --reuid 65534 --regid 65534 --clear-groups"
die() {
  for pid in $(pgrep -f "^$D/connfs $D/connfs.json $D/mnt"); do kill -KILL $pid; done
  while $as stat "$D/mnt" >/dev/null 2>&1; do :; done
}
"""


@pytest.fixture
def as_user(specs, mountpoint, test_dir):
    """as_user(script): where $as runs a program as NOBODY, who may mount at
    $D/mnt; "die" leaves a dead mount there."""
    (test_dir / "dev").mkdir()
    shutil.copy(BINARY, test_dir / "connfs")
    for path in [specs, mountpoint]:
        os.chown(path, NOBODY, NOBODY)
    # No capability to look into itself for leaks: it cannot be traced.
    env = {"D": str(test_dir), "ASAN_OPTIONS": "detect_leaks=0"}

    def run(script):
        argv = ["unshare", "--mount", "sh", "-c", USER + script]
        ran = clients.start(argv, env=env).wait()
        wait_for(lambda: not daemons_of(mountpoint), "the daemon ends")
        return ran

    return run


def test_a_user_replaces_a_dead_mount_of_their_own(as_user):
    ran = as_user(
        """
$as "$D/connfs" "$D/connfs.json" "$D/mnt"; die
$as "$D/connfs" "$D/connfs.json" "$D/mnt" 2>"$D/said"
$as cat "$D/mnt/.connfs/ready"
grep -c " $D/mnt " /proc/self/mountinfo
$as fusermount3 -u "$D/mnt"
"""
    )

    assert ran.check().lines == ["ready", "1"]


# The kernel does not ask the daemon for root when it was mounted without
# allow_other; so it is asked for the one who may ask.
def test_root_replaces_the_dead_mount_of_a_user(as_user):
    ran = as_user(
        """
$as "$D/connfs" "$D/connfs.json" "$D/mnt"
chown 0 "$D/connfs.json"
"$D/connfs" "$D/connfs.json" "$D/mnt" 2>/dev/null || echo "refused $?"; die
"$D/connfs" "$D/connfs.json" "$D/mnt" 2>/dev/null
cat "$D/mnt/.connfs/ready"
grep -c " $D/mnt " /proc/self/mountinfo
umount "$D/mnt"
"""
    )

    assert ran.check().lines == ["refused 2", "ready", "1"]


APPARMOR = """
mount -t tmpfs none /etc/apparmor.d; mount -t tmpfs none /srv
[ "$WITH" = no ] || touch /etc/apparmor.d/fusermount3
mkdir /srv/conn
$as "$D/connfs" "$D/connfs.json" /srv/conn 2>"$D/said" || echo "status $?"
"""


# The kernel's "Permission denied" does not say whose permission: on a machine
# with that profile it is most likely AppArmor's.
@pytest.mark.parametrize("profile", ["yes", "no"])
def test_a_refused_mount_names_the_apparmor_profile(as_user, test_dir, profile):
    ran = as_user(f"WITH={profile}\n" + APPARMOR)

    said = (test_dir / "said").read_text()
    assert ran.check().lines == ["status 2"]
    assert ("AppArmor's profile fusermount3" in said) == (profile == "yes")
    assert ("share/connfs/apparmor/fusermount3" in said) == (profile == "yes")
