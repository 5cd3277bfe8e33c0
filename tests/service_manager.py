# SPDX-License-Identifier: MIT
"""systemd, as pid 1 of namespaces of its own, with the unit that is installed.

It sees the files of the real machine but for /dev, /run and /etc/default, which
are its own, as are its processes, mounts, cgroups and network. Nothing of it is
left when it ends, however it ends.
"""

import json
import pathlib
import re
import shutil
import subprocess

import clients
import mount as mounts
from clients import wait_for

UNIT = mounts.BUILD / "connfs@.service"
UNITS = pathlib.Path("/lib/systemd/system")
JOURNAL = ["systemd-journald.service", "systemd-journald.socket"]
TARGETS = ["sysinit", "basic", "sockets", "shutdown", "umount", "default"]

BOOT = r"""
cgroup=$1 units=$2
echo 0 >"$cgroup/cgroup.procs"
exec unshare --cgroup --mount --uts --ipc --net --pid --fork --kill-child \
    --mount-proc sh -euc '
mkdir -m 755 "$1/dev"
mount -t tmpfs -o mode=755 dev "$1/dev"
mkdir "$1/dev/shm" "$1/dev/pts"
for node in null zero full random urandom tty fuse autofs; do
    cp -a "/dev/$node" "$1/dev/$node"
done
: >"$1/dev/console"
mount --move "$1/dev" /dev
mount -t tmpfs -o mode=755 run /run
mount -o bind,ro /etc /etc
mount -t tmpfs -o mode=755 default /etc/default
mount -o bind,ro /proc/sys /proc/sys
mount -t overlay sbin -o "lowerdir=$1/sbin:/usr/sbin" /usr/sbin
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/systemd/journald.conf.d
printf "%s\n" "[Journal]" Storage=volatile ReadKMsg=no Audit=no \
    RateLimitBurst=0 >/run/systemd/journald.conf.d/test.conf
exec env -i PATH="$PATH" container=test SYSTEMD_UNIT_PATH="$1" \
    SYSTEMD_GENERATOR_PATH="$1/none" SYSTEMD_ENVIRONMENT_GENERATOR_PATH="$1/none" \
    /lib/systemd/systemd --system --log-target=null --show-status=no
' sh "$units"
"""


def cgroup_root():
    """Where the hierarchy of cgroup2 is mounted."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            return pathlib.Path(line.split()[4])
    raise AssertionError("no cgroup2")


def escape(path):
    """The instance for a mount point, as the shell of an operator has it."""
    argv = ["systemd-escape", "--path", str(path)]
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout.decode()[:-1]


class Manager:
    """Made by the fixture `manager`, which ends it."""

    def __init__(self, where):
        self.dir = pathlib.Path(where)
        self.units = self.dir / "units"
        self.cgroup = cgroup_root() / f"connfs-{self.dir.parent.name}"
        self._unshare = None
        self.pid = None

    def start(self):
        self.units.mkdir(parents=True)
        for name in TARGETS:
            self.write_unit(f"{name}.target", "[Unit]\nDefaultDependencies=no\n")
        wants = "[Unit]\nRequires=basic.target systemd-journald.service\n"
        self.write_unit("default.target", wants)
        self.install()
        for name in JOURNAL:
            shutil.copy(UNITS / name, self.units)
        self.cgroup.mkdir()
        argv = ["setpriv", "--pdeathsig", "KILL", "sh", "-euc", BOOT, "sh"]
        self._unshare = subprocess.Popen(
            [*argv, self.cgroup, self.units],
            stdin=subprocess.DEVNULL,
            env={"PATH": clients.PATH},
            cwd="/",
        )
        self.pid = wait_for(self._child, "systemd is started")
        wait_for(
            lambda: self.sh("systemctl is-system-running").rc == 0, "systemd runs", 20
        )
        env = mounts.sanitizer_env(self.dir / "sanitizer")
        # Looking for leaks takes ptrace(2), which the unit forbids.
        env["ASAN_OPTIONS"] += ":detect_leaks=0"
        self.systemctl("set-environment", *(f"{k}={v}" for k, v in env.items())).check()
        return self

    def install(self):
        """The programs and the unit of this build."""
        sbin = self.units / "sbin"
        sbin.mkdir()
        shutil.copy(mounts.ROOT / "mount-helpers/mount.connfs", sbin)
        (sbin / "connfs").symlink_to(mounts.BINARY)
        start = rf"\1{mounts.BINARY}"
        unit = re.sub(r"(?m)^(ExecStart=)\S+", start, UNIT.read_text())
        self.write_unit("connfs@.service", unit)

    def _child(self):
        assert self._unshare.poll() is None, "the namespaces cannot be made"
        for pid, status in clients.all_status():
            if status["PPid"] == str(self._unshare.pid) and status["Name"] == "systemd":
                return pid
        return None

    def stop(self):
        """Ends all of it at once."""
        self._unshare.kill()
        self._unshare.wait()
        events = self.cgroup / "cgroup.events"
        wait_for(lambda: "populated 0" in events.read_text(), "all of it ends", 20)
        directories = [d for d in self.cgroup.rglob("*") if d.is_dir()]
        for directory in [*reversed(sorted(directories)), self.cgroup]:
            directory.rmdir()
        reports = mounts.sanitizer_reports(self.dir / "sanitizer")
        assert not reports, f"sanitizer: {reports}"

    def write_unit(self, name, text):
        path = self.units / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    # Programs beside it, as a client of the real machine

    def argv(self, *argv):
        where = ["nsenter", "-t", str(self.pid), "-m", "-p", "-C", "-u", "-i", "-n"]
        return [*where, *map(str, argv)]

    def start_client(self, *argv, **how):
        return clients.start(self.argv(*argv), **how)

    def run(self, *argv, timeout=20, **how):
        return self.start_client(*argv, **how).wait(timeout)

    def sh(self, script, *args, **how):
        return self.run("sh", "-c", script, "sh", *args, **how)

    def systemctl(self, *words, **how):
        return self.run("systemctl", *words, **how)

    def show(self, unit, *properties):
        """{property: text}"""
        said = self.systemctl("show", unit, f"-p{','.join(properties)}").check()
        return dict(line.split("=", 1) for line in said.lines)

    def main_pid(self, unit):
        """On the real machine; None: it has none."""
        inner = self.show(unit, "MainPID")["MainPID"]
        for pid, status in clients.all_status():
            words = status.get("NSpid", "").split()
            if words[-1:] == [inner] and len(words) > 1 and self._mine(pid):
                return pid
        return None

    def _mine(self, pid):
        try:
            text = pathlib.Path(f"/proc/{pid}/cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return f"/{self.cgroup.name}/" in text

    def journal(self, unit):
        """[(priority, text)] of what the unit's processes have logged."""
        self.run("journalctl", "--sync").check()
        said = self.run("journalctl", f"_SYSTEMD_UNIT={unit}", "-o", "json").check()
        entries = [json.loads(line) for line in said.lines]
        return [(int(e["PRIORITY"]), e["MESSAGE"]) for e in entries]


class Service:
    """connfs@.service for one mount point, in a manager that runs."""

    def __init__(self, manager, specs, name="mnt", settings=None):
        self.manager = manager
        self.mnt = manager.dir / name
        self.config = manager.dir / "config"
        self.instance = escape(self.mnt)
        self.unit = f"connfs@{self.instance}.service"
        self.mnt.mkdir()
        (self.mnt / "keep").touch()  # so that the directory stays as it is
        self.config.mkdir(mode=0o700)
        self.write_specs(specs, settings)
        # What systemd takes for a pattern is without its backslashes.
        where = f"/etc/default/connfs-{self.instance}".replace("\\", "")
        text = f"SOURCE={self.config}\n"
        manager.sh('cat >"$1"', where, stdin=text).check()

    def write_specs(self, specs, settings=None):
        connections = [{"conn_id": k, **v} for k, v in specs.items()]
        text = json.dumps({"settings": settings or {}, "connections": connections})
        (self.config / "connfs.json").write_text(text)

    def configure(self, *lines):
        """A drop-in with these lines of [Service]."""
        text = "\n".join(["[Service]", *lines, ""])
        self.manager.write_unit("connfs@.service.d/test.conf", text)
        self.manager.systemctl("daemon-reload").check()

    def systemctl(self, verb, **how):
        return self.manager.systemctl(verb, self.unit, **how)

    def start(self):
        self.systemctl("start", timeout=30).check()
        return self

    def get(self, name):
        return self.manager.show(self.unit, name)[name]

    def wait_until(self, name, value, timeout=10):
        wait_for(lambda: self.get(name) == value, f"{name} is {value}", timeout)

    @property
    def pid(self):
        return self.manager.main_pid(self.unit)

    @property
    def journal(self):
        return self.manager.journal(self.unit)

    @property
    def mounts(self):
        """Of connfs, at the mount point: how many."""
        text = pathlib.Path(f"/proc/{self.manager.pid}/mountinfo").read_text()
        lines = [line.split() for line in text.splitlines() if "fuse.connfs" in line]
        return sum(line[4] == str(self.mnt).replace(" ", r"\040") for line in lines)

    def start_client(self, script, user=None, **how):
        """$M is the mount point."""
        argv = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        argv = (argv if user else []) + ["sh", "-c", script]
        return self.manager.start_client(*argv, env={"M": str(self.mnt)}, **how)

    def sh(self, script, timeout=20, **how):
        return self.start_client(script, **how).wait(timeout)

    def query(self, sql, conn="a", **how):
        script = f'cat >"$M/{conn}/query.sql" && cat "$M/{conn}/result.csv"'
        return self.sh(script, stdin=sql, **how)
