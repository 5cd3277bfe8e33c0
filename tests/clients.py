# SPDX-License-Identifier: MIT
"""Programs that touch a mount, so that the test itself never does.

A read that the filesystem does not answer cannot be killed, and whoever waits
for it hangs as well. So everything that looks into a mount is a child process
with a time limit; its output goes to files, which the test can look at while
the child runs. Each client is a Unix session of its own unless told otherwise.
"""

import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

# Sanitizers make everything slower: all limits grow by this factor.
SCALE = float(os.environ.get("CONNFS_TIME_SCALE", "1"))

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Whoever runs the tests in the background ignores SIGINT, and so would they.
DEFAULT_SIGNALS = ["env", "--default-signal=HUP,INT,QUIT,PIPE,TERM,CHLD"]

# Where the kernel keeps a thread that waits for an answer of FUSE; in poll(2).
REQUEST = "request_wait_answer"
POLL = "poll_schedule_timeout"


def wait_for(condition, what, timeout=10):
    """Polls until condition() is true and returns its value."""
    __tracebackhide__ = True
    deadline = time.monotonic() + timeout * SCALE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout * SCALE:g} s: {what}"
        time.sleep(0.01)


def wait_end(process, timeout):
    """Popen.wait(), which with a timeout looks at growing intervals, at once."""
    if process.poll() is None:
        fd = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if not poll.poll(timeout * 1000):
                raise subprocess.TimeoutExpired(process.args, timeout)
        finally:
            os.close(fd)
    return process.wait()


class Result:
    """What a client that has ended left behind."""

    def __init__(self, stdout, stderr, rc, elapsed):
        self.stdout = stdout
        self.stderr = stderr
        self.rc = rc  # -N: ended by signal N
        self.elapsed = elapsed  # seconds

    @property
    def out(self):
        return self.stdout.decode()

    @property
    def err(self):
        return self.stderr.decode(errors="replace")

    @property
    def lines(self):
        return self.out.splitlines()

    def check(self):
        """Itself, after making sure that it succeeded in silence."""
        assert (self.rc, self.err) == (0, ""), self
        return self

    def __repr__(self):
        return (
            f"Result(rc={self.rc}, elapsed={self.elapsed:.3f},"
            f" stdout={self.stdout[:2000]!r}, stderr={self.stderr[:2000]!r})"
        )


class Client:
    """A child process that runs. See start()."""

    def __init__(self, argv, stdin, on_hang, env, uid, gid, groups, new_session):
        self.on_hang = on_hang
        self._stdout = tempfile.TemporaryFile()
        self._stderr = tempfile.TemporaryFile()
        self._session = new_session
        self._result = None
        ids = {}
        if uid is not None:
            gid = uid if gid is None else gid
            ids = {"user": uid, "group": gid, "extra_groups": groups}
        with tempfile.TemporaryFile() as source:
            source.write(stdin.encode() if isinstance(stdin, str) else stdin)
            source.seek(0)
            self._started = time.monotonic()
            self.process = subprocess.Popen(
                DEFAULT_SIGNALS + argv,
                stdin=source,
                stdout=self._stdout,
                stderr=self._stderr,
                cwd="/",
                env=env,
                umask=0o022,
                start_new_session=new_session,
                **ids,
            )

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self._result is None and self.process.poll() is None

    @property
    def stdout(self):
        """What it has written until now, bytes."""
        return self._result.stdout if self._result else content(self._stdout)

    @property
    def stderr(self):
        return self._result.stderr if self._result else content(self._stderr)

    def processes(self):
        """Pids of the client and of all that it started, if they still live."""
        if not self._session:
            return [self.pid] if self.running else []
        return [pid for pid, _ in processes_of_sessions([self.pid])]

    def waiting(self, where=REQUEST):
        """Its threads that wait for an answer of FUSE, and for which one: how
        often a thread has slept tells one request from the next."""
        return {
            (tid, times_slept(f"/proc/{pid}/task/{tid}"))
            for pid in self.processes()
            for tid in threads_of(pid)
            if waits_for(f"/proc/{pid}/task/{tid}").startswith(where)
        }

    def parked(self):
        """True when one of its processes waits for an answer of FUSE."""
        return bool(self.waiting())

    def wait_parked(self, n=1):
        """Until n of its threads each wait in one request for longer than any
        passing one takes (the environment of a caller is read for up to 50 ms)."""
        seen = {}

        def stays():
            now = time.monotonic()
            waiting = self.waiting()
            for request in [r for r in seen if r not in waiting]:
                del seen[request]
            for request in waiting:
                seen.setdefault(request, now)
            return sum(now - since > 0.08 * SCALE for since in seen.values()) >= n

        wait_for(lambda: stays() or not self.running, "the client blocks")
        assert self.running, f"did not block: {self.wait()}"

    def signal(self, number):
        """To the whole process group, as a terminal does it."""
        if self._session:
            os.killpg(self.pid, number)
        else:
            self.process.send_signal(number)

    def kill(self):
        """SIGKILL to all of it; returns at once."""
        kill_all(self.processes())

    def wait(self, timeout=20):
        """Its Result. A client that does not end fails the test."""
        __tracebackhide__ = True
        if not self._result:
            try:
                wait_end(self.process, timeout * SCALE)
            except subprocess.TimeoutExpired:
                raise AssertionError(self._hung(timeout * SCALE)) from None
            self._finish()
        return self._result

    def _finish(self):
        elapsed = time.monotonic() - self._started
        rc = self.process.returncode
        self._result = Result(self.stdout, self.stderr, rc, elapsed)
        self._stdout.close()
        self._stderr.close()

    def _hung(self, timeout):
        """Ends it by all means; says where it was."""
        report = [f"client {self.pid} still runs after {timeout:g} s"]
        report += [where_is(pid) for pid in self.processes()]
        if self.on_hang:
            report.append(self.on_hang())
        self.kill()
        try:
            wait_end(self.process, 5)
        except subprocess.TimeoutExpired:
            report.append("it does not even end by SIGKILL")
        self._finish()
        return "\n".join([*report, f"{self._result}"])


def start(
    argv,
    *,
    uid=None,
    gid=None,
    groups=(),
    env=None,
    stdin=b"",
    new_session=True,
    on_hang=None,
):
    """Starts a program and returns the Client. gid is uid's when left out."""
    full = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/", **(env or {})}
    groups = list(groups)
    return Client(list(argv), stdin, on_hang, full, uid, gid, groups, new_session)


def sh(script, *, shell="sh", timeout=20, **how):
    """Runs a script to its end: the Result. how: as for start()."""
    return start([shell, "-c", script], **how).wait(timeout)


def python(code, *, timeout=20, **how):
    return start(["/usr/bin/python3", "-c", code], **how).wait(timeout)


def container_argv(script, root, mnt, userns=False, new_session=False):
    """A program that runs script as root of a busybox-only container.

    It has pid, mount, ipc and uts namespaces of its own, and a user namespace
    if asked for; the mount is bound at /conn. new_session as docker does it,
    which calls setsid inside.
    """
    bwrap = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc"]
    bwrap += ["--unshare-uts"]
    bwrap += ["--unshare-user", "--uid", "0", "--gid", "0"] if userns else []
    bwrap += ["--new-session"] if new_session else []
    bwrap += ["--ro-bind", str(root), "/", "--proc", "/proc", "--dev", "/dev"]
    bwrap += ["--tmpfs", "/tmp", "--bind", str(mnt), "/conn"]
    return bwrap + ["/bin/sh", "-c", script]


def busybox_root(where):
    """Makes a root directory with nothing but Debian's static busybox."""
    root = pathlib.Path(where)
    for name in ["bin", "conn", "dev", "proc", "tmp"]:
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    subprocess.run(
        ["chroot", root, "/bin/busybox", "--install", "-s", "/bin"], check=True
    )
    return root


def content(file):
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)


def kill_all(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def processes_of_sessions(sids):
    """(pid, name) of what lives in these Unix sessions."""
    wanted = set(sids)
    found = ((pid, status_of(pid)) for pid in all_pids() if sid_of(pid) in wanted)
    return [
        (pid, status["Name"])
        for pid, status in found
        if status and status["State"][0] not in "ZX"
    ]


def all_pids():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def sid_of(pid):
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def all_status():
    """(pid, {field: text}) of every process, from /proc/<pid>/status alone.

    stat, environ and others block while their process is inside an exec that
    waits for FUSE.
    """
    for pid in all_pids():
        status = status_of(pid)
        if status:
            yield pid, status


def status_of(pid):
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {k: v.strip() for k, _, v in (line.partition(":") for line in lines)}


def threads_of(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return []


def times_slept(task):
    """Its voluntary context switches; None when it has gone."""
    try:
        with open(f"{task}/status") as status:
            for line in status:
                if line.startswith("voluntary_ctxt_switches"):
                    return int(line.split()[1])
    except OSError:
        pass
    return None


def waits_for(task):
    """The kernel function a thread sleeps in."""
    try:
        return pathlib.Path(f"{task}/wchan").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def where_is(pid, in_user_space=False):
    """Where all threads of a process are, for the report of a hang.

    in_user_space needs gdb, which could not stop what FUSE holds.
    """
    script = (
        "for t in /proc/$0/task/*; do"
        ' echo "$t $(grep -h -e ^Name -e ^State $t/status | tr "\\n" " ")'
        ' $(cat $t/wchan)"; cat $t/stack; done'
    )
    if in_user_space and shutil.which("gdb"):
        script += "; gdb -p $0 -batch -ex 'thread apply all backtrace' 2>&1"
    try:
        done = subprocess.run(
            ["timeout", "-s", "KILL", "30", "sh", "-c", script, str(pid)],
            capture_output=True,
            timeout=35,
        )
        return done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired:
        return f"process {pid} cannot even be looked at"
