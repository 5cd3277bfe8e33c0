# SPDX-License-Identifier: MIT
"""Control groups of one test, and clients that are in them."""

import os
import pathlib
import re

from clients import wait_for

# Enters the group that $G is, as root, and becomes uid $U, if that is given.
ENTER = """
echo $$ >"$G/cgroup.procs" || exit
[ -z "$U" ] || set -- setpriv --reuid="$U" --regid="$U" --clear-groups "$@"
exec "$@"
"""


def hierarchy(version):
    """Where cgroup2, or the hierarchy of version 1 that systemd names, is
    mounted as a whole; None when it is not."""
    with open("/proc/self/mountinfo") as f:
        for line in f:
            left, _, right = line.partition(" - ")
            kind, _, options = right.split()
            if left.split()[3] == "/" and (
                kind == "cgroup2"
                if version == 2
                else kind == "cgroup" and "name=systemd" in options.split(",")
            ):
                return pathlib.Path(left.split()[4])
    return None


class Group:
    """A directory of a hierarchy; path is what /proc/<pid>/cgroup says."""

    def __init__(self, root, path):
        self.root = root
        self.path = path
        self.dir = root / path[1:]
        self.dir.mkdir(exist_ok=True)

    def below(self, names):
        """The group of these names, made on the way."""
        group = self
        for name in names.split("/"):
            group = Group(self.root, f"{group.path}/{name}")
        return group

    def label(self, name, value):
        os.setxattr(self.dir, f"user.connfs.{name}", value.encode())

    def give_to(self, uid):
        """Delegates it, as a service manager does."""
        for name in ["", "cgroup.procs", "cgroup.threads", "tasks"]:
            if (self.dir / name).exists():
                os.chown(self.dir / name, uid, uid)

    def argv(self, argv, uid=None):
        """To run a program in the group; a client that root starts."""
        user = "" if uid is None else str(uid)
        words = ["env", f"G={self.dir}", f"U={user}", "sh", "-c", ENTER, "sh"]
        return words + list(argv)

    def start_sh(self, m, script, uid=None, **how):
        return m.start_client(self.argv(["sh", "-c", script], uid), **how)

    def sh(self, m, script, uid=None, **how):
        return self.start_sh(m, script, uid, **how).wait()

    def start_python(self, m, code, uid=None, **how):
        argv = ["/usr/bin/python3", "-c", code]
        return m.start_client(self.argv(argv, uid), **how)

    def remove(self):
        """With all that is below; who is still in there ends soon."""
        for path, _, _ in os.walk(self.dir, topdown=False):
            wait_for(lambda path=path: removed(path), f"{path} is empty")


def removed(path):
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


# Those that this system has; cgroup2 it has to have.
VERSIONS = [2, 1] if hierarchy(1) else [2]


def of_test(version, test_dir):
    """The Group that is all of a test's own."""
    root = hierarchy(version)
    name = re.sub(r"\W", "", test_dir.name[-16:])
    return Group(root, f"/connfs-test-{os.getpid()}-{name}")
