# SPDX-License-Identifier: MIT
"""oci-hook, as runtimes call it: a container has connfs from its first moment."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import clients
import mount as mounts
from attaching import QUERY

EVERYONE = {"everyone": True}
HOOK = mounts.BUILD / "oci-hook"

# Where the real hierarchies are of two kinds, which crun does not support.
UNIFIED = """
mount --make-rprivate / && umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup /sys/fs/cgroup && exec "$@"
"""
RUNTIMES = {
    "runc": ["runc"],
    "crun": ["unshare", "-m", "sh", "-c", UNIFIED, "sh", "crun"],
}
USER = 100000


@pytest.fixture
def m(mount, sqlite):
    return mount(db=sqlite.spec(access=EVERYONE))


class Bundle:
    """A container that is not made yet, without /conn; runc's own example but
    for what cannot be had everywhere."""

    def __init__(self, where, busybox, m, script):
        self.dir = pathlib.Path(where)
        self.mount = m
        self.id = os.urandom(32).hex()
        shutil.copytree(busybox, self.dir / "root", symlinks=True)
        (self.dir / "root/conn").rmdir()
        subprocess.run(["runc", "spec"], cwd=self.dir, check=True)
        self.config = json.loads((self.dir / "config.json").read_text())
        self.config["root"] = {"path": "root", "readonly": True}
        self.config["process"].update(terminal=False, args=["sh", "-c", script])
        self.config["process"].pop("rlimits")
        self.config["linux"].pop("resources")
        self.annotate("/conn")
        argv = ["oci-hook", "--from", str(m.mnt)]
        self.config["hooks"] = {"createRuntime": [{"path": str(HOOK), "args": argv}]}

    def annotate(self, place):
        self.config["annotations"] = {"connfs": place}

    def write(self):
        (self.dir / "config.json").write_text(json.dumps(self.config))

    def run(self, runtime="runc"):
        """The container, from its beginning to its end: the Result."""
        self.write()
        argv = [*RUNTIMES[runtime], "--root", str(self.dir.parent / "state"), "run"]
        argv += ["--bundle", str(self.dir), self.id]
        return self.mount.start_client(argv).wait()

    def hook(self, pid, *words):
        """The hook alone, with the state of such a container."""
        self.write()
        state = {"ociVersion": "1.0.2", "id": self.id, "status": "creating"}
        state |= {"pid": pid, "bundle": str(self.dir)}
        state |= {"annotations": self.config.get("annotations")}
        return hook(json.dumps(state), *words)


def hook(state, *words):
    return clients.start([str(HOOK), *words], stdin=state).wait()


@pytest.fixture
def bundle(test_dir, busybox, m):
    def make(script):
        where = test_dir / "bundle"
        where.mkdir()
        return Bundle(where, busybox, m, script)

    return make


# The missing directory is made also in a root that will be read-only.
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_annotated_container_has_it(bundle, runtime):
    b = bundle(f"cat /conn/db/client.json; {QUERY}; touch /conn/x /x")

    result = b.run(runtime)

    client, _, rows = result.out.partition("\n}\n")
    client = json.loads(client + "}")
    assert rows == "a\n1\n"
    assert (client["uid"], client["owner"]) == (0, False)
    assert client["container"] == b.id
    assert result.err.count("\n") == 2


# Its directory belongs to it.
def test_one_with_a_user_namespace_has_it(bundle):
    b = bundle(f"{QUERY}; umount /conn; stat -c '%a %u %g' /conn")
    subprocess.run(["chown", "-R", f"{USER}:{USER}", b.dir / "root"], check=True)
    ids = [{"containerID": 0, "hostID": USER, "size": 1000}]
    b.config["linux"].update(uidMappings=ids, gidMappings=ids)
    b.config["linux"]["namespaces"].append({"type": "user"})
    for mounted in b.config["mounts"]:
        options = mounted.get("options", [])
        mounted["options"] = [o for o in options if not o.startswith("gid=")]
    everything = b.config["process"]["capabilities"]
    for name in everything:
        everything[name] = ["CAP_SYS_ADMIN"]

    assert b.run().check().out == "a\n1\n555 0 0\n"


def test_without_the_annotation_there_is_nothing(bundle):
    b = bundle("ls -d /conn")
    b.config["annotations"] = {"other": "/conn"}

    assert b.run().err == "ls: /conn: No such file or directory\n"
    del b.config["annotations"]
    assert b.hook(1).check().out == ""


# What cannot be attached is no container without it, but none.
@pytest.mark.parametrize(
    "place, reason",
    [
        ("conn", "annotation connfs: not an absolute path"),
        ("/bin/sh", "/bin/sh: there is a symbolic link on the way"),
        ("/proc", "/proc: something else is mounted there"),
        ("/proc/self/attr", "/proc/self/attr: there is a symbolic link on the way"),
        ("/proc/1/attr", "/proc/1/attr: in a file system of the kernel"),
        ("/sys/fs", "/sys/fs: in a file system of the kernel"),
        ("/../conn/x", "/../conn/x: the directory it is in is missing"),
    ],
)
def test_a_failure_fails_the_container(bundle, place, reason):
    b = bundle("echo it runs")
    b.annotate(place)

    result = b.run()

    assert (result.rc, result.out) == (1, "")
    assert f"connfs: error: {reason}\\n" in result.err


def test_no_connfs_fails_the_container(bundle, m):
    b = bundle("echo it runs")
    argv = b.config["hooks"]["createRuntime"][0]["args"]
    argv[-1] = str(m.dir)

    result = b.run()

    assert (result.rc, result.out) == (1, "")
    assert f"{m.dir}: no connfs is mounted there" in result.err


# Input that no runtime gives, which names what is wrong.
@pytest.mark.parametrize(
    "state, reason",
    [
        ("", "state: line 1: '[' or '{' expected near end of file"),
        ('{"a": 1', "state: line 1: '}' expected near end of file"),
        (" " * (17 << 20), "state: too large"),
        ('{"annotations": {"connfs": 1}}', "annotation connfs: not an absolute path"),
        ('{"annotations": {"connfs": "/c"}}', "state: no pid or no bundle"),
        (
            '{"annotations": {"connfs": "/c"}, "pid": 1, "bundle": "/none"}',
            "/none/config.json: No such file or directory",
        ),
    ],
)
def test_broken_input(state, reason):
    result = hook(state)

    assert (result.rc, result.out) == (1, "")
    assert result.err == f"connfs: error: {reason}\n"


def test_what_is_not_input_is_cannot(bundle):
    b = bundle("")
    gone = clients.start(["true"])
    gone.wait()

    assert hook("[]").check().out == ""
    assert b.hook(gone.pid).rc == 2
    assert b.hook(os.getpid()).rc == 2
    del b.config["root"]["path"]
    result = b.hook(os.getpid())
    assert (result.rc, result.err.endswith(": no root.path\n")) == (1, True)
    assert hook("[]", "word").rc == 1


# Every start of a container waits for it.
def test_it_needs_few_libraries():
    done = subprocess.run(["ldd", HOOK], capture_output=True, text=True, check=True)
    found = set(re.findall(r"lib(\w+)\.so", done.stdout))

    assert found - {"asan", "ubsan", "tsan", "m", "gcc_s", "stdc"} == {"c", "jansson"}


# What podman and CRI-O read.
def test_the_hook_is_declared():
    declared = json.loads((mounts.BUILD / "connfs.json").read_text())

    assert declared["version"] == "1.0.0"
    assert declared["stages"] == ["createRuntime"]
    assert declared["hook"]["path"].endswith("/libexec/connfs/oci-hook")
    (annotation, value), = declared["when"]["annotations"].items()
    assert re.search(annotation, "connfs") and re.search(value, "/conn")
    assert not re.search(annotation, "connfs2")
