# SPDX-License-Identifier: MIT
"""What a service manager is told, and what nobody else is."""

import os
import signal
import socket
import time

import pytest

import clients
import mount as mounts
import servers
from clients import SCALE

REFUSED = "1 connection, SOURCE could not be read again: see .connfs/errors"


class Manager:
    """A socket that is told."""

    def __init__(self, where):
        self.name = str(where)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.name)
        self._socket.settimeout(10 * SCALE)

    def hear(self):
        """The next message, as a dict."""
        text = self._socket.recv(4096).decode()
        return dict(line.split("=", 1) for line in text.splitlines())

    def hear_now(self):
        """All that has come and was not heard yet, as texts."""
        said = []
        self._socket.setblocking(False)
        try:
            while True:
                said.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            self._socket.settimeout(10 * SCALE)
        return said

    def fill(self):
        """Until there is no room for another message."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                while True:
                    sender.sendto(b"X=1", self.name)
            except BlockingIOError:
                pass

    def close(self):
        self._socket.close()


@pytest.fixture
def manager(test_dir):
    made = Manager(test_dir / "manager")
    yield made
    made.close()


@pytest.fixture
def db(test_dir):
    """The spec of a SQLite file."""
    return servers.Sqlite(test_dir / "test.db").spec()


def monotonic_us():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_life_of_a_daemon(mount, db, manager):
    m = mount({"a": db}, env={"NOTIFY_SOCKET": manager.name})
    assert manager.hear() == {"READY": "1", "STATUS": "1 connection"}

    before = monotonic_us()
    m.specs["b"] = db
    m.reload()
    reading = manager.hear()
    assert before <= int(reading.pop("MONOTONIC_USEC")) <= monotonic_us()
    assert reading == {"RELOADING": "1", "STATUS": "reading SOURCE again"}
    assert manager.hear() == {"READY": "1", "STATUS": "2 connections"}

    m.process.send_signal(signal.SIGTERM)
    ending = {"STOPPING": "1", "STATUS": "ending: cancelling statements"}
    assert manager.hear() == ending
    assert clients.wait_end(m.process, 10 * SCALE) == 0


# Also a reload that fails ends, for the manager.
def test_broken_reload(mount, db, manager):
    m = mount({"a": db}, env={"NOTIFY_SOCKET": manager.name})
    assert manager.hear()["READY"] == "1"

    m.settings["nonsense"] = 1
    m.reload()

    assert manager.hear()["RELOADING"] == "1"
    assert manager.hear() == {"READY": "1", "STATUS": REFUSED}


# The loop neither waits for a manager that is busy, nor is the start lost.
def test_manager_without_room(mount, db, manager):
    manager.fill()
    m = mount({"a": db}, env={"NOTIFY_SOCKET": manager.name})
    assert m.query("select 1 as x").check().out == "x\n1\n"
    assert set(manager.hear_now()) == {"X=1"}

    assert manager.hear() == {"READY": "1", "STATUS": "1 connection"}


# Only for the process that the manager has started, and at twice the pace.
def test_watchdog(test_dir, db, manager):
    env = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "1000000"}
    m = mounts.Mount(test_dir, {"a": db}, env=env).start()
    assert manager.hear()["READY"] == "1"
    began = time.monotonic()

    for _ in range(3):
        assert manager.hear() == {"WATCHDOG": "1"}

    assert 0.9 < time.monotonic() - began < 1.8 * SCALE
    m.stop()


def test_watchdog_of_another_process(mount, db, manager):
    env = {"WATCHDOG_USEC": "2000", "WATCHDOG_PID": "1"}
    m = mount({"a": db}, env={"NOTIFY_SOCKET": manager.name, **env})
    assert manager.hear()["READY"] == "1"

    m.query("select 1").check()

    assert manager.hear_now() == []


# A daemon in the background is part of what something else runs: it must not
# call that ready.
def test_daemon_in_the_background_says_nothing(test_dir, db, manager):
    m = mounts.Mount(test_dir, {"a": db})
    env = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "2000"}

    mounts.run(m.config, m.mnt, env=env, log_path=test_dir / "sanitizer").check()
    mounts.unmount_and_wait(m.mnt)

    assert manager.hear_now() == []


# A program that gives a password cannot speak for the daemon.
def test_programs_do_not_know_the_manager(mount, test_dir, manager):
    seen = test_dir / "seen"
    command = ["/bin/sh", "-c", f"env >{seen}; echo secret"]
    spec = {"type": "postgres", "enabled": True, "host": "127.0.0.1", "port": 1}
    spec |= {"user": "u", "database": "d", "password_command": command}
    env = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "9000000", "KEPT": "1"}
    m = mount({"a": spec}, env={**env, "WATCHDOG_PID": str(os.getpid())})

    assert m.query("select 1").rc != 0

    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert "KEPT" in names
    assert not names & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}


# Lines carry a priority only for the journal itself: the variable may have come
# down from a service to something with another stderr.
@pytest.mark.parametrize("own", [True, False])
def test_priorities_are_for_the_journal(test_dir, own):
    log = test_dir / "log"
    with open(log, "wb") as stderr:
        stream = os.fstat(stderr.fileno())
        name = f"{stream.st_dev}:{stream.st_ino + (not own)}"
        script = f'exec "$1" /nonexistent /tmp 2>{log}'
        argv = ["sh", "-c", script, "sh", str(mounts.BINARY)]
        result = clients.start(argv, env={"JOURNAL_STREAM": name}).wait()

    error = "error: SOURCE /nonexistent: /nonexistent: No such file or directory\n"
    assert result.rc == 1
    assert log.read_text() == ("<3>" if own else "connfs: ") + error
