# SPDX-License-Identifier: MIT
"""Machines for containers: each a mount namespace with a root directory of its
own, so that a test can use /conn, /etc/connfs and podman as a document says,
and nothing of it is on the real machine or left there.

It has the programs, the processes and the /tmp of the real one; /etc is a copy,
/conn, /dev/shm, /run, /srv and /var are empty, and everybody may use /dev/fuse.
All its mounts are shared, as systemd has it. podman has runc, and images of
busybox to run without a network.
"""

import io
import json
import os
import pathlib
import re
import subprocess
import tarfile

import clients
import mount as mounts
from clients import wait_for

JOB = 21001  # the user "job", whom a test may be in there
DEBIAN = "/srv/debian"  # a root directory: this Debian's /usr, read-only
BUSYBOX = "/srv/busybox"  # and one with nothing but busybox
PROGRAMS = "/srv/programs"  # what is tested: any user may go there
IMAGE = "docker.io/library/busybox"

BOOT = r"""
mount --make-rprivate /
mount -t tmpfs -o mode=755 machine "$1"
cd "$1"
for entry in /*; do
    case $entry in
    /conn | /etc | /run | /srv | /var | /mnt | /old_root) continue ;;
    /dev | /proc | /sys) how=--rbind ;;
    *) how=--bind ;;
    esac
    if [ -L "$entry" ]; then
        cp -a "$entry" ".$entry"
    elif [ -d "$entry" ]; then
        mkdir ".$entry"
        mount $how "$entry" ".$entry"
    fi
done
mkdir -p conn mnt old run srv/programs var/lib var/tmp
chmod 1777 var/tmp
mount --bind "$2" srv/programs
mknod -m 666 run/fuse c 10 229
mount --bind run/fuse dev/fuse
mount -t tmpfs -o mode=1777 shm dev/shm
cp -a /etc etc
pivot_root . old
umount -l /old
rmdir /old
mount --make-rshared /
echo booted
exec sleep infinity
"""

# Limits: a container shall not ask for more than a machine may give.
PODMAN = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""

STORAGE = """
[storage]
driver = "vfs"
graphroot = "/var/lib/containers"
runroot = "/run/containers"
rootless_storage_path = "$HOME/containers"
"""

# Control groups are the real machine's. Root's containers have theirs below one
# that is this machine's alone.
WRAPPER = """#!/bin/sh
parent={parent}
[ "$(id -u)" = 0 ] || parent=
for word do
    shift
    set -- "$@" "$word"
    if [ "$parent" ] && [ "$word" = run ]; then
        set -- "$@" --cgroup-parent "$parent"
        parent=
    fi
done
exec /usr/bin/podman "$@"
"""

ACCEPT = {"default": [{"type": "insecureAcceptAnything"}]}


class Machine:
    """Made by machine(), which ends it."""

    def __init__(self, where):
        self.dir = pathlib.Path(where)
        self.dir.mkdir()
        argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount"]
        argv += ["sh", "-euc", BOOT, "sh", self.dir, mounts.BUILD]
        self._keeper = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd="/")
        said = self._keeper.stdout.readline()
        self._keeper.stdout.close()
        assert said == b"booted\n", said
        self._users()
        self._roots()

    @property
    def pid(self):
        """Of a process in it."""
        return self._keeper.pid

    @property
    def cgroup(self):
        """The parent of its containers' control groups."""
        return f"/connfs-tests-{self.pid}"

    @property
    def env(self):
        return {
            "PATH": f"/srv/bin:{PROGRAMS}:{clients.PATH}",
            "XDG_RUNTIME_DIR": "/run",
            **mounts.sanitizer_env(self.dir.parent / "sanitizer"),
        }

    @property
    def job_env(self):
        return {
            **self.env,
            "HOME": "/var/lib/job",
            "USER": "job",
            "XDG_RUNTIME_DIR": f"/run/user/{JOB}",
        }

    def argv(self, *argv):
        """A program, in the machine."""
        return ["nsenter", "-t", str(self.pid), "-m", *map(str, argv)]

    def job_argv(self, *argv):
        """And as the user "job"."""
        ids = ["--reuid", str(JOB), "--regid", str(JOB), "--clear-groups"]
        return self.argv("setpriv", *ids, *argv)

    def start(self, script, job=False, env=None, **how):
        """A script in the background: the Client. In bash, which is a user's."""
        argv = self.job_argv if job else self.argv
        env = {**(self.job_env if job else self.env), **(env or {})}
        return clients.start(argv("bash", "-c", script), env=env, **how)

    def sh(self, script, job=False, timeout=30, **how):
        return without_warnings(self.start(script, job, **how).wait(timeout))

    def write(self, path, content, mode=0o644):
        """A file there."""
        text = content if isinstance(content, str) else json.dumps(content)
        script = 'mkdir -p "${P%/*}" && cat >"$P" && chmod "$MODE" "$P"'
        env = {"P": path, "MODE": f"{mode:o}"}
        self.sh(script, env=env, stdin=text).check()

    def mounted(self, path):
        """(type, FUSE connection) of what is mounted there, or None."""
        return mounts.connection_of(path, self.pid)

    def daemons_of(self, path):
        """Pids of the connfs daemons of this mount point."""
        mine = {pid for pid, _ in self._processes()}
        return mine & set(mounts.daemons_of(path))

    def _users(self):
        self.sh(
            f"""
            echo job:x:{JOB}:{JOB}::/var/lib/job:/bin/sh >>/etc/passwd
            echo job:x:{JOB}: >>/etc/group
            echo job:{JOB}0000:65536 | tee /etc/subuid >/etc/subgid
            install -d -o {JOB} -g {JOB} /var/lib/job /run/user/{JOB}
            """
        ).check()

    def _roots(self):
        self.sh(
            f"""
            set -e
            mkdir -p {BUSYBOX}/bin {DEBIAN}/usr {DEBIAN}/etc
            for root in {BUSYBOX} {DEBIAN}; do
                (cd $root && mkdir conn dev mnt proc sys tmp)
            done
            cp /bin/busybox {BUSYBOX}/bin
            chroot {BUSYBOX} /bin/busybox --install -s /bin
            cp -a /bin /lib /lib64 /sbin {DEBIAN}
            cp /etc/passwd /etc/group /etc/nsswitch.conf {DEBIAN}/etc
            cp -a /etc/ld.so.c* /etc/alternatives {DEBIAN}/etc
            # runc makes the mount that a root directory is in private: it
            # shall be one of its own, as it is with other storage.
            mount --bind {DEBIAN} {DEBIAN}
            mount --bind /usr {DEBIAN}/usr
            mount -o remount,bind,ro {DEBIAN}/usr
            """
        ).check()

    def with_podman(self):
        """Itself, with the image and what podman wants to be told."""
        self.sh("rm -rf /etc/containers").check()
        self.write("/etc/containers/containers.conf", PODMAN)
        self.write("/etc/containers/storage.conf", STORAGE)
        self.write("/etc/containers/policy.json", ACCEPT)
        self.write("/srv/bin/podman", WRAPPER.format(parent=self.cgroup), 0o755)
        self.podman_import()
        return self

    def podman_import(self, job=False):
        """The image, for root or for the user."""
        script = f"podman import --quiet - {IMAGE}"
        done = self.sh(script, job, stdin=busybox_image())
        assert done.rc == 0, done

    def runc_config(self, bundle, root, mounts_more=(), script="exec sleep infinity"):
        """Writes a runc bundle with that root directory."""
        self.sh("mkdir -p $B && cd $B && runc spec", env={"B": bundle}).check()
        spec = json.loads(self.sh("cat $B/config.json", env={"B": bundle}).out)
        spec["root"] = {"path": root, "readonly": True}
        spec["process"]["terminal"] = False
        spec["process"]["args"] = ["/bin/sh", "-c", script]
        spec["process"].pop("rlimits", None)
        spec["mounts"] += list(mounts_more)
        self.write(f"{bundle}/config.json", spec)

    def end(self):
        """Nothing of it is left. What still ran in it: (pid, name)."""
        self._end_containers()
        left = self._processes()
        clients.kill_all(pid for pid, _ in left)
        wait_for(lambda: not self._processes(), "its processes end")
        self._keeper.kill()
        self._keeper.wait()
        self._remove_cgroups()
        self.dir.rmdir()
        return left

    def _remove_cgroups(self):
        """podman leaves the parent, and one for its helpers in it."""
        cgroups = pathlib.Path("/sys/fs/cgroup")
        for parent in [*cgroups.glob(f"*{self.cgroup}"), cgroups / self.cgroup[1:]]:
            if parent.is_dir():
                for child in parent.glob("*/"):
                    child.rmdir()
                parent.rmdir()

    def _end_containers(self):
        for job, where in [
            (False, "/var/lib/containers"),
            (True, "/var/lib/job/containers"),
        ]:
            script = (
                'if test -e "$D"; then podman rm --all --force --time 0 --ignore'
                " && podman system migrate; fi"
            )
            done = self.sh(script, job, env={"D": where}, timeout=60)
            assert done.rc == 0, done

    def _processes(self):
        """What has its mount namespace, but for the process that keeps it."""
        mine = os.stat(f"/proc/{self.pid}/ns/mnt").st_ino
        found = []
        for pid, status in clients.all_status():
            try:
                if os.stat(f"/proc/{pid}/ns/mnt").st_ino == mine and pid != self.pid:
                    found.append((pid, status["Name"]))
            except OSError:
                pass  # it has ended
        return found


def without_warnings(result):
    """The Result of a runtime: runc warns of a control group that it removes at
    the second attempt only, when the machine is busy."""
    warning = rb'^time="[^"]*" level=warning .*\n'
    result.stderr = re.sub(warning, b"", result.stderr, flags=re.M)
    return result


class MachineMount(mounts.Mount):
    """A daemon with its mount at /conn of a machine, or elsewhere there."""

    def __init__(self, machine, where, specs, at="/conn", **how):
        super().__init__(where, specs, **how)
        self.machine = machine
        self.seen_from = machine.pid
        self.mnt = pathlib.PurePosixPath(at)
        machine.sh('mkdir -p "$AT"', env={"AT": at}).check()

    def entering(self, argv):
        return self.machine.argv(*argv)


def busybox_image():
    """A tar file of busybox, and a link for each of its names."""
    names = subprocess.run(["busybox", "--list"], capture_output=True, check=True)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ["bin", "conn", "dev", "etc", "proc", "sys", "tmp"]:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add("/bin/busybox", "bin/busybox")
        for name in names.stdout.decode().split():
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            if name != "busybox":
                tar.addfile(entry)
    return out.getvalue()
