# SPDX-License-Identifier: MIT
"""connfs --ready: for start-up probes, which must be right and must end."""

import os
import select
import shutil
import signal
import socket
import subprocess
import time

import pytest

import clients
import mount as mounts
from clients import SCALE, wait_for
from mount import BINARY, ROOT, daemons_of, unmount_and_wait

ALICE = 20001


def ready(*args, **how):
    """connfs --ready with these arguments, run to its end: the Result."""
    return clients.start([str(BINARY), "--ready", *map(str, args)], **how).wait()


def not_ready(result):
    """Why, after making sure that it is one line and status 2."""
    assert (result.rc, result.out) == (2, ""), result
    (line,) = result.err.splitlines()
    return line.removeprefix("connfs: error: ")


@pytest.fixture
def specs(source, sqlite):
    return source({"conn_id": "db", **sqlite.spec()})


@pytest.fixture
def listener():
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def silent_spec(listener):
    return {
        "type": "postgres",
        "enabled": True,
        "host": "127.0.0.1",
        "port": listener.getsockname()[1],
        "user": "u",
        "database": "d",
        "password_plain": "p",
    }


# The command line


@pytest.mark.parametrize(
    "argv, why",
    [
        ([], "MOUNTPOINT is missing"),
        (["/mnt", "db", "more"], "too many arguments"),
        (["/mnt", "--wait"], "unknown option or missing value: --wait"),
        (["/mnt", "--nonsense"], "unknown option or missing value: --nonsense"),
        (
            ["/mnt", "--wait", "soon"],
            '--wait soon: must be seconds, or a text like "15m" (ms s m h d w)',
        ),
        (["/mnt", ""], "CONN must not be empty"),
        (["/mnt", "a//b"], "CONN has nothing before or between slashes"),
    ],
)
def test_a_command_line_without_sense_is_a_usage_error(argv, why):
    ended = ready(*argv)

    assert (ended.rc, ended.out) == (1, "")
    assert ended.err == f"connfs: error: {why}; see connfs --help\n"


@pytest.mark.parametrize(
    "argv",
    [
        ["--wait", "1m", "{mnt}", "db"],
        ["{mnt}", "--wait=1m", "db"],
        ["{mnt}", "db", "--wait", "90"],
        ["{mnt}", "--wait", "1500 ms"],
        ["--", "{mnt}"],
    ],
)
def test_options_stand_anywhere(mount, sqlite, argv):
    m = mount(db=sqlite.spec())

    ready(*[word.format(mnt=m.mnt) for word in argv]).check()


# The mount


# A probe that dialled would be an outage of its own when the database is slow.
def test_a_mount_is_ready_whatever_its_databases_are(mount, listener):
    m = mount(db=silent_spec(listener))

    ready(m.mnt).check()

    assert select.select([listener], [], [], 0)[0] == []


def test_any_user_may_ask(mount, sqlite, test_dir):
    m = mount(db=sqlite.spec())
    program = shutil.copy(BINARY, test_dir / "connfs")

    asked = clients.start([str(program), "--ready", str(m.mnt)], uid=ALICE).wait()

    assert asked.check().out == ""


# Where the mount is that of the host, by another name, and pids are others.
@pytest.mark.parametrize("userns", [False, True])
def test_a_container_is_told_of_the_mount_it_has(mount, sqlite, userns):
    m = mount(db=sqlite.spec(access={"everyone": True}))
    container = ["bwrap", "--die-with-parent", "--unshare-pid", "--ro-bind", "/", "/"]
    container += ["--unshare-user"] if userns else []
    container += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/mnt"]
    container += ["--bind", str(m.mnt), "/mnt/conn"]
    argv = [*container, str(BINARY), "--ready"]

    clients.start([*argv, "/mnt/conn", "db"]).wait().check()
    other = clients.start([*argv, "/mnt"]).wait()

    assert not_ready(other) == "/mnt: not mounted: tmpfs is, of type tmpfs"


# What is there instead is what one would look for next.
def test_what_is_not_mounted_is_said(mount, sqlite, test_dir):
    m = mount(db=sqlite.spec())
    plain = test_dir / "plain"
    plain.mkdir()
    (plain / "file").touch()

    file = not_ready(ready(plain / "file"))
    missing = not_ready(ready(plain / "missing"))
    directory = not_ready(ready(plain))
    below = not_ready(ready(m.path("db")))

    assert file == f"{plain}/file: Not a directory"
    assert missing == f"{plain}/missing: No such file or directory"
    assert directory.startswith(f"{plain}: not mounted: it is a directory on /")
    assert below == f"{m.mnt}/db: not a mount point, but below the one of {m.mnt}"


# What is on top counts: a tmpfs hides the mount.
def test_what_is_mounted_upon_it_is_said(connfs, specs, mountpoint):
    connfs(specs, mountpoint).check()
    subprocess.run(["mount", "-t", "tmpfs", "none", mountpoint], check=True)

    hidden = ready(mountpoint)
    subprocess.run(["umount", mountpoint], check=True)

    assert not_ready(hidden) == f"{mountpoint}: not mounted: none is, of type tmpfs"
    ready(mountpoint).check()
    unmount_and_wait(mountpoint)


def test_a_dead_mount_is_not_ready(connfs, specs, mountpoint):
    connfs(specs, mountpoint).check()
    (daemon,) = daemons_of(mountpoint)
    os.kill(daemon, signal.SIGKILL)
    wait_for(lambda: not daemons_of(mountpoint), "the daemon is gone")

    assert not_ready(ready(mountpoint)) == (
        f"{mountpoint}: the connfs there, of {specs}, has ended:"
        " Transport endpoint is not connected"
    )


# The kernel does not let root in either, and root may not be the owner.
def test_a_mount_for_another_user_is_not_ready(connfs, specs, mountpoint, test_dir):
    connfs(specs, mountpoint).check()
    program = shutil.copy(BINARY, test_dir / "connfs")

    asked = clients.start([str(program), "--ready", str(mountpoint)], uid=ALICE).wait()
    unmount_and_wait(mountpoint)

    assert not_ready(asked) == (
        f"{mountpoint}: mounted, but without allow_other, and by another user:"
        " Permission denied"
    )


# A probe that hangs is one more thing that hangs. It may leave a process that
# waits, which ends as soon as the kernel lets it.
@pytest.mark.parametrize("conn", [[], ["db"]])
def test_a_mount_that_hangs_does_not_hold_the_probe(mount, sqlite, conn):
    m = mount(db=sqlite.spec())

    m.process.send_signal(signal.SIGSTOP)
    try:
        asked = ready(m.mnt, *conn, "--wait", "1")
    finally:
        m.process.send_signal(signal.SIGCONT)

    assert not_ready(asked) == f"{m.mnt}: the connfs there does not answer within 1 s"
    assert asked.elapsed < 4 * SCALE
    wait_for(lambda: daemons_of(m.mnt) == [m.pid], "who asked has gone")


@pytest.fixture
def silent_connfs(mountpoint):
    """A mount of connfs whose daemon takes all requests and answers none: not
    even SIGKILL ends who waits for that."""
    argv = ["/usr/bin/python3", f"{ROOT}/tests/silent_fuse.py", mountpoint, "connfs"]
    daemon = clients.start(list(map(str, argv)))
    wait_for(lambda: daemon.stdout == b"mounted\n", "it is mounted")
    yield mountpoint
    mounts.abort_connection(mountpoint)
    subprocess.run(["umount", "-l", mountpoint], check=True)
    daemon.wait()


# Nor does whoever reads what it says wait for what it has left behind.
@pytest.mark.parametrize(
    "command",
    ['"$B" --ready "$M" --wait 1', '"$B" --ready "$M" db --wait 1', '"$B" "$S" "$M"'],
)
def test_nobody_waits_for_what_is_left_behind(silent_connfs, specs, command):
    env = {"B": str(BINARY), "M": str(silent_connfs), "S": str(specs)}
    argv = ["sh", "-c", f'said=$({command} 2>&1); echo "$?, $said"']

    asked = clients.start(argv, env=env, on_hang=lambda: "").wait()

    assert asked.check().out.startswith("2, connfs: error: ")
    assert "does not answer" in asked.out
    left = daemons_of(silent_connfs)
    assert len(left) == 1, "as long as the kernel holds it"
    mounts.abort_connection(silent_connfs)
    wait_for(lambda: not daemons_of(silent_connfs), "it has gone")


# Waiting


def test_without_wait_it_looks_once(mountpoint):
    asked = ready(mountpoint)

    assert "not mounted" in not_ready(asked)
    assert asked.elapsed < 1 * SCALE


def test_it_waits_for_no_longer_than_it_is_told(mountpoint):
    asked = ready(mountpoint, "--wait", "300ms")

    assert "not mounted" in not_ready(asked)
    assert 0.3 <= asked.elapsed < 2 * SCALE


# It is woken by the mount, and does not just look now and then.
def test_it_waits_until_it_is_mounted(connfs, specs, mountpoint):
    waiting = clients.start([str(BINARY), "--ready", str(mountpoint), "--wait", "1m"])
    wait_for(lambda: waiting.waiting(clients.POLL), "it waits")

    connfs(specs, mountpoint).check()
    mounted = time.monotonic()

    waiting.wait().check()
    assert time.monotonic() - mounted < 2 * SCALE
    unmount_and_wait(mountpoint)


def test_it_waits_until_a_connection_is_there(mount, sqlite):
    m = mount(first=sqlite.spec())
    argv = [str(BINARY), "--ready", str(m.mnt), "second", "--wait", "1m"]
    waiting = clients.start(argv)
    wait_for(lambda: waiting.waiting(clients.POLL), "it waits")

    m.specs["second"] = sqlite.spec()
    m.reload()

    waiting.wait().check()


# A connection


def test_a_connection_that_answers_is_ready(mount, engine):
    m = mount({"shop/prod": engine.spec(), "sql": engine.spec()})

    asked = [ready(m.mnt, conn) for conn in ["shop/prod", "sql", "%73ql"]]

    assert [a.check().out for a in asked] == ["", "", ""]


# Nobody's conversation shows it, not even that of who asks.
def test_asking_leaves_no_trace(mount, sqlite):
    m = mount(db=sqlite.spec())

    shown = m.sh(
        'echo "select 5 as a;" >"$C/query.sql"; "$B" --ready "$M" db;'
        ' cat "$C/result.csv"',
        env={"B": str(BINARY)},
    )

    assert shown.check().out == "a\n5\n"


def test_a_connection_that_is_not_there_is_not_ready(mount, sqlite, test_dir):
    m = mount(db=sqlite.spec())
    program = str(shutil.copy(BINARY, test_dir / "connfs"))

    missing = ready(m.mnt, "nodb")
    hidden = clients.start([program, "--ready", str(m.mnt), "db"], uid=ALICE).wait()

    why = "no such connection, or none that this user may use"
    assert not_ready(missing) == f"{m.mnt}: nodb: {why}"
    assert not_ready(hidden) == f"{m.mnt}: db: {why}"


# In the server's words, which say more than a number.
def test_a_refused_login_is_told_in_the_servers_words(mount, pg):
    m = mount(db=pg.spec(password_plain="wrong"))

    why = not_ready(ready(m.mnt, "db"))

    assert why.startswith(f"{m.mnt}: db: select 1: ")
    assert 'password authentication failed for user "app"' in why


def test_a_server_that_is_down_is_told(mount, listener):
    spec = silent_spec(listener)
    listener.close()
    m = mount(db=spec)

    why = not_ready(ready(m.mnt, "db"))

    assert why.startswith(f"{m.mnt}: db: select 1: ")
    assert "Connection refused" in why


def statements(m):
    return m.read(".connfs", "statements").count("select 1")


# The login that is under way ends with the probe, which may be killed: by
# Kubernetes, for one, when its timeoutSeconds are over.
@pytest.mark.parametrize("killed", [False, True])
def test_a_server_that_says_nothing_does_not_hold_the_probe(mount, listener, killed):
    m = mount(db={**silent_spec(listener), "connect_timeout": "1h"})
    argv = [str(BINARY), "--ready", str(m.mnt), "db", "--wait", "1m" if killed else "1"]

    asking = clients.start(argv)
    wait_for(lambda: statements(m) == 1, "it asks")
    if killed:
        os.kill(asking.pid, signal.SIGKILL)
        assert asking.wait().rc == -signal.SIGKILL
    else:
        why = f"{m.mnt}: db: no answer to select 1 within 1 s"
        assert not_ready(asking.wait()) == why

    wait_for(lambda: statements(m) == 0, "the statement is cancelled")
    wait_for(lambda: daemons_of(m.mnt) == [m.pid], "who asked has gone")
