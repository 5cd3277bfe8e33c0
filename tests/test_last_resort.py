# SPDX-License-Identifier: MIT
"""Cancelling at a server that does not answer any more: within 5 s the line is
cut, and nobody hangs."""

import signal
import time

import pytest

from clients import SCALE, wait_for
from proxy import Proxy

# The server's time to confirm, and then the worker's to come back.
PATIENCE = 5.5


@pytest.fixture
def proxy(server):
    made = Proxy(server.port)
    yield made
    made.close()


@pytest.fixture
def behind(mount, server, proxy):
    """The mount of a database behind the proxy."""
    return mount(db=server.spec(tcp=True, port=proxy.port))


def cancel_all(m):
    """From another terminal."""
    m.sh(
        'for i in $(sed 1d "$M/.connfs/statements" | cut -f1); do'
        ' echo $i >"$M/.connfs/cancel"; done'
    ).check()


def start_slow(m, server, proxy):
    """A writer whose statement runs, behind a proxy that has fallen silent."""
    client = m.start_sh(
        f'echo "{server.slow};" >"$C/query.sql"; cat "$C/error"', shell="bash"
    )
    server.wait_until_running(server.slow)
    client.wait_parked()
    proxy.go_silent()
    return client


def test_cancelling_a_silent_server_ends(behind, server, proxy):
    writer = start_slow(behind, server, proxy)
    began = time.monotonic()

    cancel_all(behind)

    result = writer.wait()
    took = time.monotonic() - began
    assert "Operation canceled" in result.err
    assert "it may still be working on the statement" in result.out
    assert 5 <= took < PATIENCE + 2 * SCALE


# Ctrl-C of a shell's echo: SIGINT counts, and the shell gets its prompt back.
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_writer_ends(behind, server, proxy, number):
    writer = start_slow(behind, server, proxy)

    writer.signal(number)

    assert writer.wait(PATIENCE + 2).rc != 0


# The place in the pool is free again, and the next statement finds a server.
def test_the_session_is_replaced(mount, server, proxy):
    m = mount(db=server.spec(tcp=True, port=proxy.port, max_connections=1))
    writer = start_slow(m, server, proxy)
    cancel_all(m)
    writer.wait()

    proxy.speak()

    result = m.sh('echo "select 7 as n;" >"$C/query.sql" && cat "$C/result.csv"')
    assert result.check().lines == ["n", "7"]


# A reader has the rows that came, and then the end of it: never a clean one.
def test_a_result_that_falls_silent_is_cut_loudly(mount, server, proxy):
    m = mount(
        db=server.spec(tcp=True, port=proxy.port),
        settings={"spool_memory": "1MiB", "spool_disk": 0, "settle_time": 0},
    )
    reader = m.start_sh(
        f'echo "{server.endless};" >"$C/query.sql"; exec cat "$C/result.csv" | '
        "(head -c 100000 | wc -c >&2; cat >/dev/null)",
        shell="bash",
    )
    wait_for(lambda: reader.stderr.startswith(b"100000"), "rows come")
    proxy.go_silent()

    cancel_all(m)

    result = reader.wait(PATIENCE + 5)
    assert "Operation canceled" in result.err or "Input/output error" in result.err


# The mount does not wait for it either.
def test_the_daemon_ends_although_its_server_is_silent(behind, server, proxy):
    writer = start_slow(behind, server, proxy)

    behind.process.send_signal(signal.SIGTERM)

    assert behind.process.wait(5 * SCALE) == 0
    writer.wait()
