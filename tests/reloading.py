# SPDX-License-Identifier: MIT
"""What the tests of reloads share."""

import contextlib
import json
import signal

from clients import wait_for


def reloads(m):
    """How often SOURCE was read again."""
    return m.log.count(" again: ")


def reload(m, write=True):
    """Returns when the daemon has read SOURCE again, well or badly."""
    before = reloads(m)
    if write:
        m.write_specs()
    m.process.send_signal(signal.SIGHUP)
    wait_for(lambda: reloads(m) > before, "SOURCE is read again")


@contextlib.contextmanager
def slow_source(m, stopped):
    """Whoever reads SOURCE of m waits meanwhile: a file of it is in another
    mount, whose daemon is stopped."""
    (m.config / "slow.json").symlink_to(stopped.path("README"))
    stopped.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        stopped.process.send_signal(signal.SIGCONT)


def ask(m):
    """A write to .connfs/reload: the Result."""
    return m.sh('echo now >"$M/.connfs/reload"', shell="bash")  # dash knows no errno


def names(m, **how):
    return m.sh('ls "$M"', **how).check().lines


def status(m):
    """.connfs/status.json"""
    return json.loads(m.read(".connfs", "status.json"))
