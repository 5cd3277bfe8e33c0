# SPDX-License-Identifier: MIT
"""Containers without connfs, to which one is attached while they run."""

import os
import pathlib

import clients
from clients import wait_for

USER = 21002  # nobody's

# What a container's script waits for.
SEEN = "until [ -e /conn/README ]; do sleep 0.01; done"
QUERY = "/conn/db/sql 'select 1 as a'"


def bwrap(root, *options, at_root=()):
    """What starts a program in a container with /bin of this root directory. Its
    own root is a tmpfs that it can write to, without /conn, unless options say
    otherwise: at_root is for its root, and comes first."""
    argv = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", *at_root]
    argv += ["--ro-bind", f"{root}/bin", "/bin", "--proc", "/proc", "--dev", "/dev"]
    return argv + ["--tmpfs", "/tmp", *options]


USERNS = ["--unshare-user", "--uid", "0", "--gid", "0"]


class Container:
    """A script that runs in one: argv is what starts programs in it."""

    def __init__(self, mount, argv, script="exec sleep infinity", **how):
        up = [*map(str, argv), "/bin/sh", "-c", f"echo up; {script}"]
        self.mount = mount
        self.client = mount.start_client(up, **how)
        wait_for(lambda: self.client.stdout or not self.client.running, "it is up")
        assert self.client.running, self.client.wait()
        self.pid = next(filter(self._is_inside, self.client.processes()))

    def _is_inside(self, pid):
        """Not one of bwrap's own, outside."""
        return len(clients.status_of(pid).get("NSpid", "").split()) > 1

    def sh(self, script, timeout=20):
        """A further script in it, as its root, like docker exec: the Result."""
        argv = ["nsenter", "--all", "--target", str(self.pid), "/bin/sh", "-c", script]
        return self.mount.start_client(argv).wait(timeout)

    def wait(self, timeout=20):
        """Until its script has ended: the Result, without the first line."""
        result = self.client.wait(timeout)
        result.stdout = result.stdout.removeprefix(b"up\n")
        return result

    def mounts(self):
        """(where, type) of what is mounted in it."""
        lines = pathlib.Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()
        return [(x.split()[4], x.partition(" - ")[2].split()[0]) for x in lines]

    def connfs_mounts(self):
        return [where for where, kind in self.mounts() if kind == "fuse.connfs"]

    def namespace(self, name):
        return os.stat(f"/proc/{self.pid}/ns/{name}").st_ino


def refused(result, reason, command="attach"):
    """True: it said why, and 2 is its exit status."""
    assert (result.rc, result.err) == (2, f"connfs: error: {command}: {reason}\n")
    return True
