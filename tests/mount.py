# SPDX-License-Identifier: MIT
"""A connfs daemon with its mount, for one test.

Nothing here or in a test looks into the mount: clients.py says why.
"""

import json
import os
import pathlib
import re
import signal
import subprocess

import clients
from clients import SCALE, wait_for

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("CONNFS_BUILD", ROOT / "build/test"))
BINARY = BUILD / "connfs"

# Found in a daemon's log, one of these fails the test, whatever it asserts.
ALARMS = re.compile(
    r"Sanitizer|runtime error:|[Aa]ssert|SUMMARY:|core dumped|Segmentation"
    r"|corrupted|double free|free\(\)|malloc\(\)|realloc\(\)|munmap_chunk"
    r"|stack smashing|buffer overflow|terminated by|fuse: (reading|writing) device"
)

FUSECTL = pathlib.Path("/sys/fs/fuse/connections")


class DaemonEnded(Exception):
    """The daemon ended before there was a mount."""

    def __init__(self, rc, log):
        super().__init__(f"connfs ended with status {rc}:\n{log}")
        self.rc = rc
        self.log = log


def sanitizer_env(log_path):
    """Reports go to files log_path.<pid>, also from a daemon without stderr."""
    common = f"log_path={log_path}:abort_on_error=1:handle_abort=0"
    address = f"{common}:detect_leaks=1:strict_string_checks=1"
    address += ":detect_stack_use_after_return=1:check_initialization_order=1"
    address += ":verify_asan_link_order=0"  # a clock may be preloaded
    undefined = f"{common}:halt_on_error=1:print_stacktrace=1"
    thread = f"history_size=4:log_path={log_path}"
    return {
        "ASAN_OPTIONS": address,
        "UBSAN_OPTIONS": undefined,
        "TSAN_OPTIONS": thread,
    }


def sanitizer_reports(log_path):
    found = sorted(log_path.parent.glob(log_path.name + ".*"))
    return "".join(f.read_text(errors="replace") for f in found)


def connection_of(mnt, pid="self"):
    """(type, FUSE connection number) of what is mounted there, or None. pid: of
    whom the mounts are looked at."""
    with open(f"/proc/{pid}/mountinfo") as f:
        for line in f:
            left, _, right = line.partition(" - ")
            fields = left.split()
            where = re.sub(
                r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), fields[4]
            )
            if where == str(mnt):
                return right.split()[0], int(fields[2].split(":")[1])
    return None


def control_of(mnt, pid="self"):
    """The kernel's files about the connection of a mount, or None."""
    found = connection_of(mnt, pid)
    if not found:
        return None
    if not any(FUSECTL.iterdir()):
        subprocess.run(["mount", "-t", "fusectl", "fusectl", FUSECTL], check=True)
    return FUSECTL / str(found[1])


def abort_connection(mnt, pid="self"):
    """Fails all requests of the mount, answered or not."""
    try:
        # Held, or it may end meanwhile, and its number be that of another mount.
        held = os.open(f"/proc/{pid}/root{mnt}", os.O_PATH)
    except (FileNotFoundError, ProcessLookupError):
        return
    try:
        control = control_of(mnt, pid)
        if control:
            (control / "abort").write_text("1")
    except FileNotFoundError:
        pass
    finally:
        os.close(held)


def keep_bare(mnt):
    """With a file of ours in it connfs does not make a directory immutable, which
    nobody could remove after the test."""
    (mnt / "keep").touch()


def daemons_of(mnt):
    """Pids of connfs daemons that were started for this mountpoint."""
    found = []
    for pid, status in clients.all_status():
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if status["Name"] == "connfs" and str(mnt).encode() in words:
            found.append(int(pid))
    return found


def unmount_and_wait(mnt):
    """umount(8); returns when the daemon in the background has gone as well."""
    clients.sh('umount "$M"', env={"M": str(mnt)}).check()
    wait_for(lambda: not daemons_of(mnt), "the daemon ends")


class Mount:
    """Made by the fixture of the same name, which says what the arguments are."""

    def __init__(
        self,
        where,
        specs,
        settings=None,
        files=None,
        options=(),
        env=None,
        flags=(),
    ):
        self.dir = pathlib.Path(where)
        # Pure: a test that tried to look in would have no method for it.
        self.mnt = pathlib.PurePosixPath(where) / "mnt"
        self.config = self.dir / "config"
        self.spool = self.dir / "spool"
        self.log_file = self.dir / "log"
        self.specs = dict(specs)
        self.settings = {"spool_dir": str(self.spool), **(settings or {})}
        self.options = ["allow_other", *options]
        self.env = dict(env or {})
        self.flags = list(flags)
        self.secrets = set()
        self.process = None
        self._clients = []
        self._hung = False

        for path, mode in [
            (self.dir, 0o755),
            (self.dir / "mnt", 0o755),
            (self.config, 0o700),
            (self.spool, 0o700),
        ]:
            path.mkdir(mode=mode, exist_ok=True)
        keep_bare(self.dir / "mnt")
        for name, content in (files or {}).items():
            self.write_config(name, content)
        self.write_specs()

    # Where it is mounted: here, or on a machine of its own

    seen_from = "self"  # a process that has the mount

    def entering(self, argv):
        """How a program is started that has it."""
        return argv

    def _connection(self):
        return connection_of(self.mnt, self.seen_from)

    # Configuration

    def write_config(self, name, content, mode=0o600):
        """A file of SOURCE as it stands, or as JSON when it is not text."""
        path = self.config / name
        text = content if isinstance(content, str) else json.dumps(content, indent=1)
        path.write_text(text)
        path.chmod(mode)

    def write_specs(self):
        """self.settings and self.specs to SOURCE; restart() or reload() next."""
        connections = []
        for conn_id, spec in self.specs.items():
            connections.append({"conn_id": conn_id, **spec})
            self.secrets.add(spec.get("password_plain", ""))
        self.secrets.discard("")
        self.write_config(
            "connfs.json", {"settings": self.settings, "connections": connections}
        )

    def reload(self):
        """Writes the specs and has the daemon read them again (SIGHUP)."""
        self.write_specs()
        self.process.send_signal(signal.SIGHUP)

    # Life of the daemon

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        return self.log_file.read_text(errors="replace")

    @property
    def status(self):
        """/proc/<pid>/status of the daemon; kB and counts as int."""
        fields = clients.status_of(self.pid)
        return {
            k: int(v.split()[0]) if re.fullmatch(r"\d+( kB)?", v) else v
            for k, v in fields.items()
        }

    def start(self):
        """Returns when it has logged that it is; DaemonEnded when it will not be."""
        env = {"PATH": clients.PATH, "LANG": "C.UTF-8", "TZ": "UTC"}
        env.update(sanitizer_env(self.dir / "sanitizer"))
        env.update(self.env)
        argv = [str(BINARY), "-f", *self.flags, "-o", ",".join(self.options)]
        argv += [str(self.config), str(self.mnt)]
        with open(self.log_file, "ab") as log:
            before = log.tell()
            # It ends with the thread that started it, however that ends.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM"]
                + clients.DEFAULT_SIGNALS
                + self.entering(argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=env,
                start_new_session=True,
            )
        wait_for(lambda: self._mounted_or_ended(before), "the mount appears", 20)
        if self.process.poll() is not None:
            problems = self._remains()
            assert not problems, "; ".join(problems)
            raise DaemonEnded(self.process.returncode, self.log)
        return self

    def _mounted_or_ended(self, before):
        said = self.log_file.read_bytes()[before:]
        return b" mounted, " in said or self.process.poll() is not None

    def restart(self):
        """A clean end, held to the same standard as every end; and anew."""
        self.stop()
        self.start()

    def unmount(self, *options):
        """umount(8) on the mount: its exit status, None when it hangs."""
        try:
            return subprocess.run(
                self.entering(["umount", *options, str(self.mnt)]),
                stdin=subprocess.DEVNULL,
                timeout=15 * SCALE,
            ).returncode
        except subprocess.TimeoutExpired:
            return None

    def stop(self):
        """Unmounts, and holds the process to a clean exit and a clean log."""
        problems = self._end()
        problems += self._remains()
        assert not problems, "at the end of the mount: " + "; ".join(problems)

    def _end(self):
        problems = self._end_clients()
        if self._connection() and not self._hung:
            try:
                wait_for(lambda: self.unmount() == 0, "umount succeeds", 5)
            except AssertionError as e:
                problems.append(str(e))
        try:
            rc = clients.wait_end(self.process, 10 * SCALE)
            if rc != 0:
                problems.append(f"exit status {rc}")
        except subprocess.TimeoutExpired:
            problems.append(f"the daemon runs on\n{clients.where_is(self.pid, True)}")
        if problems or self._hung:
            self._force()
        return problems

    def _end_clients(self):
        problems = []
        started = clients.processes_of_sessions(c.pid for c in self._clients)
        clients.kill_all(pid for pid, _ in started)
        for client in self._clients:
            try:
                client.wait(10)
            except AssertionError as e:
                problems.append(str(e))
        self._clients.clear()
        return problems

    def _force(self):
        abort_connection(self.mnt, self.seen_from)
        self.unmount("-l")
        self.process.kill()
        self.process.wait(20)

    def _remains(self):
        """What should not be there once the daemon has ended."""
        problems = []
        log = self.log
        print(f"--- log of {self.dir.name}\n{log}")
        reports = sanitizer_reports(self.dir / "sanitizer")
        if reports:
            problems.append(f"sanitizer: {reports}")
        if ALARMS.search(log):
            problems.append(f"alarm in the log: {ALARMS.search(log).group(0)}")
        if any(secret in log for secret in self.secrets):
            problems.append("a secret in the log")
        stray = clients.processes_of_sessions([self.pid])
        if stray:
            problems.append(f"processes left: {stray}")
        left = os.listdir(self.spool)
        if left:
            problems.append(f"left in spool_dir: {left}")
        return problems

    def _on_hang(self):
        """For the report of a client that hangs; ends all waiting for good."""
        self._hung = True
        report = f"--- daemon\n{clients.where_is(self.pid, True)}\n--- log\n{self.log}"
        abort_connection(self.mnt, self.seen_from)
        return report

    # Clients

    def path(self, *names):
        return self.mnt.joinpath(*names)

    def _how(self, conn, how):
        if conn is None and len(self.specs) == 1:
            conn = next(iter(self.specs))
        env = {"M": str(self.mnt), **(how.pop("env", None) or {})}
        if conn is not None:
            env["C"] = str(self.path(conn))
        return {"env": env, "on_hang": self._on_hang, **how}

    def start_client(self, argv, conn=None, **how):
        """A program in the background: the Client.

        $M is the mount and $C the connection conn in it, by default the only
        one.
        """
        client = clients.start(self.entering(argv), **self._how(conn, how))
        self._clients.append(client)
        return client

    def start_sh(self, script, conn=None, shell="sh", **how):
        return self.start_client([shell, "-c", script], conn, **how)

    def sh(self, script, conn=None, shell="sh", timeout=20, **how):
        """A script, run to its end: the Result."""
        return self.start_sh(script, conn, shell, **how).wait(timeout)

    def start_python(self, code, conn=None, **how):
        return self.start_client(["/usr/bin/python3", "-c", code], conn, **how)

    def python(self, code, conn=None, timeout=20, **how):
        return self.start_python(code, conn, **how).wait(timeout)

    def start_container(self, script, root, userns=False, new_session=False, **how):
        """A script in a container of its own; the mount is /conn there."""
        argv = clients.container_argv(script, root, self.mnt, userns, new_session)
        return self.start_client(argv, **how)

    def container(self, script, root, timeout=20, **how):
        return self.start_container(script, root, **how).wait(timeout)

    def query(self, sql, conn=None, **how):
        """Writes sql to query.sql and reads result.csv, in one session."""
        script = 'cat >"$C/query.sql" && cat "$C/result.csv"'
        return self.sh(script, conn, stdin=sql, **how)

    def read(self, *names, **how):
        """Content of a file in the mount, text; names below the mount."""
        script = 'exec cat "$M/$F"'
        env = {"F": "/".join(names)}
        return self.sh(script, env=env, **how).check().out


def run(*args, env=None, timeout=20, log_path=None, **how):
    """connfs with these arguments, run to its end: the Result.

    For what does not mount: --help, --check, and failures.
    """
    full = {**sanitizer_env(log_path), **(env or {})} if log_path else env
    argv = [str(BINARY), *map(str, args)]
    result = clients.start(argv, env=full, **how).wait(timeout)
    if log_path:
        assert not sanitizer_reports(log_path)
    return result
