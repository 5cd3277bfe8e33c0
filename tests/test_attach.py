# SPDX-License-Identifier: MIT
"""connfs attach and detach: a mount put into containers that run."""

import json
import os

import pytest

import clients
import mount as mounts

from attaching import QUERY, SEEN, USER, USERNS, Container, bwrap, refused
from clients import wait_for

EVERYONE = {"everyone": True}
SHOW = f"{SEEN}; cat /conn/db/client.json; exec {QUERY}"


@pytest.fixture
def m(mount, sqlite):
    """Connections db, for everyone, and own, for the owner."""
    return mount(db=sqlite.spec(access=EVERYONE), own=sqlite.spec())


KINDS = {
    "root": ([], 0),
    "root of a user namespace": (USERNS, 0),
    "rootless": (USERNS, USER),
}


# It runs, and then sees /conn; the daemon sees who it is on this host.
@pytest.mark.parametrize("kind", KINDS)
def test_a_running_container_sees_it_at_once(m, busybox, attach, kind):
    options, uid = KINDS[kind]
    c = Container(m, bwrap(busybox, *options), SHOW, uid=uid)
    namespaces = {name: c.namespace(name) for name in ["mnt", "pid", "user"]}

    attach(m, c).check()

    client, _, rows = c.wait().check().out.partition("\n}\n")
    client = json.loads(client + "}")
    assert rows == "a\n1\n"
    assert (client["uid"], client["gid"], client["sid"]) == (uid, uid, c.client.pid)
    assert {f"{k}_ns": v for k, v in namespaces.items()}.items() <= client.items()
    assert client["owner"] is False


# unshare is a container too; its root directory is this host's.
def test_unshare_sees_it(m, attach, test_dir):
    place = test_dir / "place"
    place.mkdir()
    argv = ["unshare", "-Urmp", "--fork", "--kill-child", "--mount-proc"]
    script = SHOW.replace("/conn", str(place))
    c = Container(m, argv, script, uid=USER)

    attach(m, c, place).check()

    assert c.wait().check().out.endswith("\n}\na\n1\n")
    assert os.listdir(place) == []


# Each sees what it may and what is its own; root of one is nobody in another.
def test_containers_are_strangers(m, busybox, attach):
    first = Container(m, bwrap(busybox))
    second = Container(m, bwrap(busybox))
    third = Container(m, bwrap(busybox, *USERNS))
    for c in [first, second, third]:
        attach(m, c).check()
    mine = """
        ls /conn; cd /conn/db; mkdir sessions/$N
        echo "create temp table t as select '$N' as a;" >sessions/$N/query.sql
        echo "select * from t;" >sessions/$N/query.sql
        ls sessions; cat sessions/$N/result.csv; cat result.csv
    """

    for name, c in [("x", first), ("y", second), ("z", third)]:
        result = c.sh(f"N={name}; {mine}")

        assert result.lines == ["README", "db", name, "a", name]
        assert result.err == "cat: can't open 'result.csv': No data available\n"
    assert m.sh('ls "$M"; ls "$M/db/sessions"').check().lines == ["README", "db", "own"]


# Where the image has no such directory; and nothing is left of it.
@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_directory_comes_and_goes(m, busybox, attach, detach, kind):
    options, uid = KINDS[kind]
    c = Container(m, bwrap(busybox, *options), uid=uid)

    attach(m, c).check()
    detach(c).check()

    assert c.sh("ls -d /conn").err == "ls: /conn: No such file or directory\n"
    attach(m, c).check()
    look = "umount /conn && stat -c '%a %u %g' /conn"
    assert c.sh(look).check().out == "555 0 0\n"


# Whatever is left out of the modes of what root makes otherwise.
def test_the_umask_does_not_count(m, busybox, attach):
    c = Container(m, bwrap(busybox))
    script = f'umask 077; {mounts.BINARY} attach --from "$M" --at /conn {c.pid}'

    m.sh(script).check()

    assert c.sh("umount /conn && stat -c %a /conn").check().out == "555\n"


# One that was there stays: it is not as attach makes them, or not empty.
@pytest.mark.parametrize(
    "make",
    [
        "mkdir /conn",
        "mkdir /conn && touch /conn/x && chmod 555 /conn",
        "mkdir /conn && chmod 555 /conn && chown 5 /conn",
    ],
)
def test_a_directory_that_was_there_stays(m, busybox, attach, detach, make):
    c = Container(m, bwrap(busybox))
    c.sh(make).check()

    attach(m, c).check()
    detach(c).check()

    assert c.sh("ls -d /conn").check().out == "/conn\n"
    assert c.connfs_mounts() == []


# Removing it would take away what others have mounted on the same directory.
def test_a_directory_of_two_containers_stays(m, busybox, test_dir, attach, detach):
    root = test_dir / "root"
    root.mkdir()
    argv = bwrap(busybox, at_root=["--bind", root, "/"])
    first, second = Container(m, argv), Container(m, argv)
    attach(m, first).check()
    attach(m, second).check()

    detach(first).check()

    assert (root / "conn").exists()
    assert second.sh(QUERY).check().out == "a\n1\n"
    detach(second).check()
    assert not (root / "conn").exists()


# Whoever reads a result reads it to its end.
def test_detaching_leaves_readers_alone(m, busybox, sqlite, attach, detach):
    script = f"""{SEEN}
    echo "{sqlite.series(300000)};" >/conn/db/query.sql
    exec 3</conn/db/result.csv
    read header <&3; echo $header
    while [ ! -e /tmp/go ]; do sleep 0.01; done
    exec wc -l <&3
    """
    c = Container(m, bwrap(busybox), script)
    attach(m, c).check()
    wait_for(lambda: c.client.stdout == b"up\nn\n", "it reads")

    detach(c).check()

    assert c.connfs_mounts() == []
    c.sh("touch /tmp/go").check()
    assert c.wait().check().lines == ["n", "300000"]


def ended(daemon):
    return clients.wait_end(daemon.process, 10 * clients.SCALE)


# When the daemon ends, as it does when its mount on the host does, that of the
# container is dead; the next is put in its place, not on it.
def test_a_dead_mount_is_replaced(m, busybox, attach, detach):
    c = Container(m, bwrap(busybox))
    attach(m, c).check()
    m.unmount()
    assert ended(m) == 0
    dead = c.sh("cat /conn/README")
    assert dead.err.endswith(": Transport endpoint is not connected\n")
    assert refused(attach(m, c), f"{m.mnt}: no connfs is mounted there")
    m.start()

    attach(m, c).check()

    assert c.connfs_mounts() == ["/conn"]
    assert c.sh(QUERY).check().out == "a\n1\n"
    m.process.terminate()
    assert ended(m) == 0
    detach(c).check()
    assert c.connfs_mounts() == []
    m.start()


# The daemon has ended and its mount is still there: nothing to attach.
def test_a_dead_mount_is_not_attached(m, busybox, attach):
    c = Container(m, bwrap(busybox))
    m.process.kill()
    ended(m)

    assert refused(attach(m, c), f"{m.mnt}: its daemon has ended")
    m.unmount("-l")
    m.start()


def test_it_is_attached_once(m, busybox, attach):
    c = Container(m, bwrap(busybox))
    attach(m, c).check()

    assert refused(attach(m, c), "/conn: a connfs is there")
    assert refused(attach(m, c, "/tmp"), "/tmp: something else is mounted there")
    assert c.connfs_mounts() == ["/conn"]


def test_only_connfs_is_detached(m, busybox, detach):
    c = Container(m, bwrap(busybox, "--dir", "/conn"))
    before = c.mounts()

    for place in ["/tmp", "/conn", "/nowhere"]:
        reason = f"{place}: no connfs is mounted there"
        assert refused(detach(c, place), reason, "detach")
    assert c.mounts() == before


# Each says what is wrong, with the place as it was given.
@pytest.mark.parametrize(
    "place, reason",
    [
        ("/bin/busybox", "not a directory"),
        ("/tmp/none/conn", "the directory it is in is missing"),
        ("/link", "there is a symbolic link on the way"),
        ("/link/conn", "there is a symbolic link on the way"),
        ("/tmp/..", "not an absolute path of a directory"),
        ("/", "not an absolute path of a directory"),
        ("/tmp/conn", "no such directory; make it in the image"),
        ("/proc/conn", "in a file system of the kernel"),
    ],
)
def test_places_that_do_not_do(m, busybox, attach, place, reason):
    c = Container(m, bwrap(busybox, "--symlink", "/tmp", "/link"))

    assert refused(attach(m, c, place), f"{place}: {reason}")
    assert c.connfs_mounts() == []


def test_a_read_only_root_needs_the_directory(m, busybox, test_dir, attach):
    root = test_dir / "root"
    for name in ["bin", "proc", "dev", "tmp"]:
        (root / name).mkdir(parents=True)
    c = Container(m, bwrap(busybox, at_root=["--ro-bind", root, "/"]))

    reason = "/conn: the file system is read-only; make the directory in the image"
    assert refused(attach(m, c), reason)
    (root / "conn").mkdir()
    attach(m, c).check()
    assert c.sh(QUERY).check().out == "a\n1\n"


def test_processes_that_are_no_container(m, connfs):
    def attach(pid):
        return connfs("attach", "--from", m.mnt, "--at", "/conn", pid)

    me = os.getpid()
    reason = f"process {me} has this mount namespace: it is in no container"
    assert refused(attach(me), reason)
    ended = m.start_sh("exit")
    wait_for(lambda: b"Z" in state_of(ended.pid), "it is a zombie")
    assert refused(attach(ended.pid), f"process {ended.pid} has ended")
    ended.wait()
    assert refused(attach(ended.pid), f"process {ended.pid}: No such process")


def state_of(pid):
    with open(f"/proc/{pid}/stat", "rb") as f:
        return f.read().rpartition(b")")[2].split()[0]


def test_what_is_attached_must_be_a_connfs(m, busybox, connfs):
    c = Container(m, bwrap(busybox))

    def attach(source):
        return connfs("attach", "--from", source, "--at", "/conn", c.pid)

    assert refused(attach("/proc"), "/proc: no connfs is mounted there")
    inside = m.path("db")
    assert refused(attach(inside), f"{inside}: no connfs is mounted there")
    assert refused(attach("/nowhere"), "/nowhere: No such file or directory")


# Of a mount for its owner alone a container would have nothing.
def test_it_takes_allow_other(mount, sqlite, busybox, attach):
    m = mount(db=sqlite.spec(access=EVERYONE))
    m.stop()
    m.options.remove("allow_other")
    m.start()
    c = Container(m, bwrap(busybox))

    reason = "mounted without -o allow_other, so that no container could use it"
    assert refused(attach(m, c), f"{m.mnt}: {reason}")


def test_it_takes_root(m, busybox, connfs):
    c = Container(m, bwrap(busybox))
    command = ["attach", "--from", m.mnt, "--at", "/conn", c.pid]

    reason = f"process {c.pid} is not ours to look into: this needs root"
    assert refused(connfs(*command, uid=USER), reason)


# In a mount namespace of the test's own, as others are mounted in this one. They
# may go while they are unmounted: who removes the mount point unmounts it here, too.
def test_without_from_it_is_the_only_one(mount, sqlite, busybox):
    spec = sqlite.spec(access=EVERYONE)
    one, two = mount(db=spec), mount(db=spec)
    c = Container(one, bwrap(busybox))
    script = f"""
    mount --bind "$ONE" "$ONE/../config" && mount --bind "$TWO" "$TWO/../config"
    awk '/ fuse.connfs /{{print $5}}' /proc/self/mountinfo | while read -r m; do
        case $m in */config) ;; *) umount -l "$m" 2>/dev/null ;; esac
    done
    attach="{mounts.BINARY} attach --at /conn {c.pid}"
    $attach; umount -l "$TWO/../config"; $attach; umount -l "$ONE/../config"; $attach
    """
    env = {"ONE": str(one.mnt), "TWO": str(two.mnt)}

    result = one.start_client(["unshare", "-m", "sh", "-c", script], env=env).wait()

    several = "more than one connfs is mounted here: name one with --from MOUNTPOINT"
    assert result.err.splitlines() == [
        f"connfs: error: attach: {several}",
        "connfs: error: attach: no connfs is mounted here",
    ]
    assert c.sh(QUERY).check().out == "a\n1\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--at", "/conn"],
        ["--at", "conn", "1"],
        ["--at", "/conn", "0"],
        ["--at", "/conn", "1x"],
        ["--at", "/conn", "1", "2"],
        ["--on", "/conn", "1"],
        ["1"],
    ],
)
def test_usage(connfs, words):
    for command in ["attach", "detach"]:
        result = connfs(command, *words)

        assert (result.rc, result.out) == (1, "")
        assert f"connfs: error: {command}: " in result.err


def test_detach_has_no_from(connfs):
    assert connfs("detach", "--from", "/conn", "--at", "/conn", "1").rc == 1
