# SPDX-License-Identifier: MIT
"""connfs-job, as root or as an ordinary user, and what it leaves behind."""

import json
import os
import random
import shutil
import time

import clients
import mount as mounts
from clients import wait_for
from servers import Sqlite

USER = 21002

# In a mount namespace of its own, where everybody may use /dev/fuse.
AS_USER = f"""
mount -t tmpfs -o mode=755 none "$D/dev" &&
mknod -m "${{FUSE_MODE-666}}" "$D/dev/fuse" c 10 229 &&
mount --bind "$D/dev/fuse" /dev/fuse && umount -l "$D/dev" &&
exec setpriv --reuid {USER} --regid {USER} --clear-groups "$@"
"""


class Job:
    """One SOURCE with the connection "demo", and a directory to mount at."""

    def __init__(self, where, uid=0):
        self.dir = where
        self.uid = uid
        self.at = where / "at"
        self.source = where / "source"
        self.programs = mounts.BUILD
        self._clients = []
        for path in [where, self.at, self.source, where / "dev"]:
            path.mkdir()
        self.db = Sqlite(where / "demo.db")
        self.write_specs(demo=self.db.spec())
        if uid:
            self._copy_programs()
            for path in [where, self.at, self.source, self.db.path]:
                os.chown(path, uid, uid)

    def _copy_programs(self):
        """To where other users find them, wherever the build directory is."""
        self.programs = self.dir / "bin"
        self.programs.mkdir()
        for name in ["connfs", "connfs-job"]:
            shutil.copy(mounts.BUILD / name, self.programs)

    def write_specs(self, more_specs=None, **specs):
        specs = {**(more_specs or {}), **specs}
        found = [{"conn_id": name, **spec} for name, spec in specs.items()]
        path = self.source / "connfs.json"
        path.write_text(json.dumps(found))
        path.chmod(0o600)
        os.chown(path, self.uid, self.uid)

    def argv(self, *argv, options=()):
        """connfs-job for that command, as who the job is."""
        return self.as_user(*self.program_argv(*argv, options=options))

    def program_argv(self, *argv, options=()):
        where = ["--source", self.source, "--at", self.at]
        return [self.programs / "connfs-job", *where, *options, "--", *argv]

    def bare_argv(self, *argv):
        """With nothing but these arguments."""
        return self.as_user(self.programs / "connfs-job", *argv)

    def as_user(self, *argv):
        """Any command line, as who the job is."""
        argv = [str(word) for word in argv]
        if self.uid:
            return ["unshare", "--mount", "sh", "-c", AS_USER, "sh", *argv]
        return argv

    def labels(self, **labels):
        """The options that give them."""
        return [f"--label={name}={conn_id}" for name, conn_id in labels.items()]

    def run(self, argv, env=None, **how):
        """A command line in the background: the Client, whose pid is the job's.

        $D is a directory of the test and $M the one that is mounted at.
        """
        full = {"D": str(self.dir), "M": str(self.at), "HOME": str(self.dir)}
        full.update(mounts.sanitizer_env(self.dir / "sanitizer"))
        if self.uid:  # cannot be traced, and so not be looked at for leaks
            full["ASAN_OPTIONS"] += ":detect_leaks=0"
        full.update(env or {})
        self._clients.append(clients.start(argv, env=full, **how))
        return self._clients[-1]

    def start(self, script, options=(), **how):
        """A job in the background."""
        return self.run(self.argv("sh", "-c", script, options=options), **how)

    def sh(self, script, options=(), timeout=20, **how):
        return self.start(script, options, **how).wait(timeout)

    def fifo(self, name):
        """A door in $D: whoever reads it waits until it is written to."""
        path = self.dir / name
        os.mkfifo(path)
        os.chown(path, self.uid, self.uid)
        return path

    def wait_for_file(self, name):
        """Until a job has made it; its text."""
        path = self.dir / name
        wait_for(lambda: path.exists() and path.read_text(), f"there is {name}")
        return path.read_text()

    @property
    def daemons(self):
        return mounts.daemons_of(self.at)

    def wait_gone(self):
        """Until the daemon has ended, which looks by itself."""
        wait_for(lambda: not self.daemons, "the daemon ends")

    def end(self):
        """Holds it to leaving nothing."""
        for client in self._clients:
            client.kill()
            client.wait()
        try:
            self.wait_gone()
        finally:
            clients.kill_all(self.daemons)
        assert mounts.connection_of(self.at) is None
        assert os.listdir(self.at) == []
        assert not mounts.sanitizer_reports(self.dir / "sanitizer")


def storm(job, number, killed, at_once, longest):
    """Runs jobs, so many of which are killed within `longest` seconds of their
    start: before there is a mount, or while they use it or sleep."""
    chance = random.Random(number)
    doomed = set(chance.sample(range(number), killed))
    script = 'cd "$M/demo" && echo "select $N as n;" >query.sql && cat result.csv'
    running = []
    for n in range(number):
        more = "; exec sleep 1000" if n in doomed else ""
        running.append((n, job.start(script + more, env={"N": str(n)})))
        if n in doomed:
            # Any moment will do: nothing that follows depends on which.
            time.sleep(chance.uniform(0, longest))
            running[-1][1].kill()
        if len(running) == at_once or n == number - 1:
            for of, client in running:
                result = client.wait()
                if of in doomed:
                    assert result.rc == -9
                else:
                    assert result.check().out == f"n\n{of}\n"
            running.clear()
