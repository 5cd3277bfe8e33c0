# SPDX-License-Identifier: MIT
"""What the private servers of the tests have in common."""

import atexit
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile

import certificates
from clients import wait_for

# The one user without rights that the packages of the tests bring along.
USER = "postgres"


def quote(value):
    """An SQL string literal, but for backslashes."""
    return "'" + str(value).replace("'", "''") + "'"


class Server:
    """One database server in a temporary directory. start() it, stop() it.

    Has a database "app" that belongs to the login "app". A kind of server says
    how it is installed, started and asked: NAME, STOP, _install(), _argv(),
    _ready(), sql(), _open_shell(), _rows(), _add_user(), create_database(),
    spec() and activity().
    """

    NAME = None
    STOP = signal.SIGTERM  # asks it to end at once, in good order

    def __init__(self, **conf):
        self.conf = {**self.CONF, **conf}
        self.base = None
        self.port = None
        self.process = None
        self.passwords = {}
        self._shell = None

    @property
    def ca(self):
        return str(self.base / "tls/ca.crt")

    @property
    def other_ca(self):
        """A CA that has not signed this server's certificate."""
        return str(self.base / "tls/other.crt")

    def start(self):
        """Makes its files and launches it; call once."""
        name = f"connfs-{self.NAME.lower()}-"
        self.base = pathlib.Path(tempfile.mkdtemp(prefix=name, dir="/tmp"))
        atexit.register(self.stop)
        self.base.chmod(0o755)
        for name, mode in [("data", 0o700), ("socket", 0o755), ("tls", 0o755)]:
            (self.base / name).mkdir(mode=mode)
        certificates.make(self.base / "tls")
        (self.base / "log").touch()
        user = pwd.getpwnam(USER)
        for path in [self.base, *self.base.rglob("*")]:
            os.chown(path, user.pw_uid, user.pw_gid)
        self._install()
        self.launch()
        self.create_user("app")
        self.create_database("app")
        return self

    def _run(self, *argv):
        """A program of the server's package, run by the server's user."""
        done = subprocess.run(
            argv,
            user=USER,
            group=USER,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{argv[0]} ends with {done.returncode}: {done.stdout}")

    def launch(self):
        """Starts the server on its files; also after stop_server() or kill()."""
        for attempt in range(5):
            if self.port is None or attempt > 0:
                with socket.socket() as s:
                    s.bind(("127.0.0.1", 0))
                    self.port = s.getsockname()[1]
            # It dies with the thread that started it, however that ends.
            with open(self.base / "log", "ab") as log:
                self.process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", self.STOP.name[3:], "--reuid", USER]
                    + ["--regid", USER, "--init-groups", *self._argv()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    start_new_session=True,
                )
            wait_for(
                lambda: self.process.poll() is not None or self._ready(),
                f"{self.NAME} starts",
                60,
            )
            if self.process.poll() is None:
                return
        raise RuntimeError(f"{self.NAME} does not start:\n{self.log}")

    def stop_server(self, how=None):
        """Ends it (how: by that signal); its files stay for launch()."""
        if self.process is None:
            return
        ways = [(how or self.STOP, 20), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)]
        for number, patience in ways:
            self.process.send_signal(number)
            try:
                self.process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        self.process = None
        if self._shell:
            self._shell.close()

    def admin(self, text):
        """sql() by the administrator, in no database of the tests."""
        if not (self._shell and self._shell.running):
            self._shell = self._open_shell()
        return self._rows(self._shell.run(text))

    def stop(self):
        """Ends the server and removes its files. May be called again."""
        atexit.unregister(self.stop)
        self.stop_server()
        if self.base:
            shutil.rmtree(self.base, ignore_errors=True)

    def create_user(self, name, password=None, options=""):
        """A login; returns its password."""
        password = password or secrets.token_urlsafe(18)
        self.passwords[name] = password
        self._add_user(name, password, options)
        return password

    def _read(self, name):
        return (self.base / name).read_text(errors="replace")

    def wait_until_running(self, text, count=1, timeout=20):
        def enough():
            found = self.running(text)
            return found if len(found) >= count else None

        return wait_for(enough, f"{count} statements with {text!r} run", timeout)

    def wait_until_gone(self, text, timeout=20):
        wait_for(lambda: not self.running(text), f"{text!r} ends there", timeout)

    def wait_until_idle(self, timeout=20):
        """Until connfs has no session left here."""
        wait_for(lambda: not self.activity(), "all sessions end there", timeout)
