# SPDX-License-Identifier: MIT
"""connfs attach and detach on containers that want to gain by it."""

import os
import pathlib

import pytest

import clients
import mount as mounts
from attaching import QUERY, USER, USERNS, Container, bwrap, refused

EVERYONE = {"everyone": True}


@pytest.fixture
def m(mount, sqlite):
    return mount(db=sqlite.spec(access=EVERYONE))


def host_root(*options):
    """A container with all of this host, to read, and a /tmp of its own."""
    argv = ["bwrap", "--die-with-parent", "--unshare-pid", "--ro-bind", "/", "/"]
    return argv + ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", *options]


def mounts_of(m, pid):
    """Where what the daemon serves is mounted, as that process sees it."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    dev = next(x.split()[2] for x in lines if x.split()[4] == str(m.mnt))
    lines = pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    return [x.split()[4] for x in lines if x.split()[2] == dev]


def own(m, container):
    """Without the one that came with this host's root directory."""
    return [w for w in mounts_of(m, container.pid) if w != str(m.mnt)]


SWAP = """
import ctypes, os, sys
one, other = sys.argv[1:]
for name in ["a", "a/conn", "outside", "outside/conn"]:
    os.mkdir("/tmp/" + name)
os.symlink("/tmp/outside", other)
libc = ctypes.CDLL(None)
print("changing", flush=True)
while True:
    libc.renameat2(-100, one.encode(), -100, other.encode(), 2)
"""


# Whatever is swapped for the place, or for what it is in, while it is looked
# for: the mount is on one of the container's own directories, or nowhere.
@pytest.mark.parametrize("swap", ["/tmp/a/conn /tmp/a/link", "/tmp/a /tmp/link"])
def test_a_place_that_changes_all_the_time(m, attach, swap):
    c = Container(m, host_root(*USERNS), f"exec /usr/bin/python3 -c '{SWAP}' {swap}")
    clients.wait_for(lambda: b"changing" in c.client.stdout, "it changes names")
    seen = set()

    for _ in range(40):
        result = attach(m, c, "/tmp/a/conn")
        seen.add(result.err)
        found = own(m, c)
        assert len(found) == (result.rc == 0)
        assert [w for w in found if "outside" in w] == []
        assert mounts_of(m, "self") == [str(m.mnt)]
        while own(m, c):
            c.sh("umount /tmp/a/conn || umount /tmp/a/link || umount /tmp/link/conn")

    link = "/tmp/a/conn: there is a symbolic link on the way"
    assert seen == {"", f"connfs: error: attach: {link}\n"}


# Its root directory is one of this host's, which it may not write to itself:
# neither does attach.
@pytest.mark.parametrize("place", ["/conn", "/own/conn"])
def test_no_directory_is_made_for_who_may_not(m, test_dir, busybox, attach, place):
    root = test_dir / "root"
    for name in ["bin", "dev", "proc", "tmp", "own"]:
        (root / name).mkdir(parents=True)
    os.chown(root / "own", USER, USER)
    argv = bwrap(busybox, *USERNS, at_root=["--bind", root, "/"])
    c = Container(m, argv, uid=USER)
    before = sorted(root.rglob("*"))

    reason = f"{place}: no such directory; make it in the image"
    assert refused(attach(m, c, place), reason)
    assert sorted(root.rglob("*")) == before


# Nor does detach remove one that attach cannot have made.
def test_no_directory_is_removed_for_who_may_not(m, test_dir, busybox, attach, detach):
    root = test_dir / "root"
    for name in ["bin", "conn", "dev", "proc", "tmp"]:
        (root / name).mkdir(parents=True)
    (root / "conn").chmod(0o555)
    argv = bwrap(busybox, *USERNS, at_root=["--bind", root, "/"])
    c = Container(m, argv, uid=USER)
    attach(m, c).check()

    detach(c).check()

    assert c.connfs_mounts() == []
    assert (root / "conn").exists()


# Magic links lead out of a root directory without a name; and not here.
@pytest.mark.parametrize("link", ["root", "cwd", "fd/7"])
def test_magic_links_lead_nowhere(m, busybox, attach, link):
    c = Container(m, bwrap(busybox), "exec 7</tmp; exec sleep infinity")
    place = f"/proc/2/{link}/conn"

    reason = f"{place}: there is a symbolic link on the way"
    assert refused(attach(m, c, place), reason)
    assert c.connfs_mounts() == []


# Where its mounts are this host's as well, there is no own place.
def test_shared_mounts_are_refused(m, test_dir, busybox):
    script = """
    mount -t tmpfs shared "$T" && mount --make-shared "$T" && mkdir "$T/conn"
    unshare -m --propagation unchanged sh -c 'echo up; exec sleep infinity' &
    pid=$!
    mine=$(readlink /proc/self/ns/mnt)
    while [ "$(readlink /proc/$pid/ns/mnt)" = "$mine" ]; do sleep 0.01; done
    "$CONNFS" attach --from "$M" --at "$T/conn" $pid; echo $?
    nsenter -t $pid -m mount --make-private "$T"
    "$CONNFS" attach --from "$M" --at "$T/conn" $pid; echo $?
    grep -c " $T/conn " /proc/self/mountinfo /proc/$pid/mountinfo | sed 's/.*://'
    kill $pid
    """
    place = test_dir / "shared"
    place.mkdir()
    env = {"T": str(place), "CONNFS": str(mounts.BINARY)}

    result = m.start_client(["unshare", "-m", "sh", "-c", script], env=env).wait()

    assert result.lines == ["up", "2", "0", "0", "1"]
    reason = "what is mounted there would appear outside of the container, as the"
    assert result.err.startswith(f"connfs: error: attach: {place}/conn: {reason}")


# The copy is no peer of the host's mount: what is mounted on it stays there.
def test_the_copy_is_private(m, busybox):
    c = Container(m, bwrap(busybox))
    script = f"""
    mount --make-shared "$M"
    "$CONNFS" attach --from "$M" --at /conn {c.pid}
    """
    env = {"CONNFS": str(mounts.BINARY)}
    m.start_client(["unshare", "-m", "sh", "-c", script], env=env).wait().check()

    lines = pathlib.Path(f"/proc/{c.pid}/mountinfo").read_text().splitlines()
    found = [x.partition(" - ")[0].split()[6:] for x in lines if " /conn " in x]
    assert found == [[]]


# Its root can take its own mount off, and do nothing to the others'.
def test_only_its_own_mount_can_be_unmounted(m, busybox, attach):
    one = Container(m, bwrap(busybox, *USERNS))
    two = Container(m, bwrap(busybox, *USERNS))
    attach(m, one).check()
    attach(m, two).check()

    forced = one.sh("umount -f /conn")
    one.sh("umount /conn").check()

    assert forced.err == "umount: can't unmount /conn: Operation not permitted\n"
    assert one.connfs_mounts() == []
    assert two.sh(QUERY).check().out == "a\n1\n"
    assert m.sh('"$C/sql" "select 1 as a"').check().out == "a\n1\n"


FUSE = """
import ctypes, os, struct, sys
fd = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
where = sys.argv[1].encode()
assert ctypes.CDLL(None).mount(b"x", where, b"fuse.connfs", 6, options) == 0
unique = struct.unpack_from("<IIQ", os.read(fd, 1 << 20))[2]
init = struct.pack("<IIIIHHIIHHI28x", 7, 31, 65536, 0, 0, 0, 65536, 1, 0, 0, 0)
os.write(fd, struct.pack("<IiQ", 16 + len(init), 0, unique) + init)
print("mounted", flush=True)
while True:
    print(os.read(fd, 1 << 20)[4:8], flush=True)
"""


# A file system of its own that never answers keeps nobody waiting: it is not
# even asked.
@pytest.mark.parametrize("below", ["", "/conn"])
def test_a_file_system_that_never_answers(m, test_dir, attach, below):
    place = test_dir / "place"
    place.mkdir()
    argv = ["unshare", "-Urmp", "--fork", "--kill-child", "--mount-proc"]
    c = Container(m, argv, f"exec /usr/bin/python3 -c '{FUSE}' {place}")
    clients.wait_for(lambda: b"mounted" in c.client.stdout, "it is mounted")

    result = attach(m, c, f"{place}{below}")

    why = "Permission denied" if below else "a connfs is there"
    assert refused(result, f"{place}{below}: {why}")
    assert c.client.stdout == b"up\nmounted\n"


# A container that ends meanwhile is an error, or had it mounted; never more.
def test_containers_that_end_meanwhile(m, busybox, attach):
    seen = set()
    for _ in range(20):
        c = Container(m, bwrap(busybox))
        c.client.kill()
        result = attach(m, c)
        seen.add(result.err.replace(str(c.pid), "N").partition("attach: ")[2])
        assert result.rc == (2 if result.err else 0)

    ended = {"process N has ended\n", "process N: No such process\n"}
    assert seen <= ended | {""}
    assert mounts_of(m, "self") == [str(m.mnt)]
