# SPDX-License-Identifier: MIT
"""Looking on while a statement runs: status.json with its timing and notices,
and wait, which ends when the statement does."""

import contextlib
import json
import shlex
import signal
import socket

import pytest

from clients import wait_for
from doors import Door
from jobs import ask, job
from programs import Terminal
from proxy import Proxy
from readers import SOON, program, said

PARTS = ["queue", "credentials", "dial", "tls", "login", "first_row", "rows"]


def status(m, conn="db", session=""):
    return json.loads(m.read(conn, session, "status.json"))


def timing_of(m, sql, conn=None):
    """Of a statement, which is to succeed."""
    script = 'echo "$SQL" >"$C/query.sql" && cat "$C/status.json"'
    asked = m.sh(script, conn, shell="bash", env={"SQL": sql}).check()
    return json.loads(asked.out)["timing"]


def timing_in(line):
    """Of status.json."""
    return json.loads("{" + line.strip().rstrip(",") + "}")["timing"]


def measured(timing):
    """The parts that are there, after a look at what they are."""
    assert list(timing) == PARTS
    assert all(v is None or 0 <= v < 60000 for v in timing.values()), timing
    return [name for name, v in timing.items() if v is not None]


@contextlib.contextmanager
def session(m, name="s", conn="db"):
    """A session that several shells share: its directory, for $S."""
    m.sh(f'mkdir "$C/sessions/{name}"', conn).check()
    yield {"S": str(m.path(conn, "sessions", name))}


# ----------------------------------------------------------------- timing


# What a statement had no part in is null: a file has no credential and no TLS,
# a session that is kept no login, an INSERT no rows.
def test_timing_has_what_has_happened(mount, engine):
    m = mount(db=engine.spec())
    script = (
        'for q in "create table t (a int);" "insert into t values (1);"'
        ' "select a from t;"; do echo "$q" >"$C/query.sql";'
        ' grep timing "$C/status.json"; done'
    )

    lines = m.sh(script).check().lines

    login = ["dial", "login"]
    if engine.name != "sqlite":
        login.insert(0, "credentials")
    assert [measured(timing_in(line)) for line in lines] == [
        ["queue", *login, "first_row"],
        ["queue", "first_row"],
        ["queue", "first_row", "rows"],
    ]


def test_timing_of_a_login_with_tls(mount, server):
    m = mount(db=server.spec(tcp=True))

    timing = timing_of(m, "select 1 as a;")

    assert measured(timing) == PARTS


# The server thinks before it sends a row: that is no login, and no reading.
def test_first_row_is_the_servers_time(mount, server):
    m = mount(db=server.spec())

    timing = timing_of(m, server.slow.replace("600", "0.3") + ";")

    assert timing["first_row"] >= 300
    assert timing["rows"] < timing["first_row"]


# What ends without a row has been waited for until its end, also a failure; what
# was never sent has not.
def test_timing_of_failures(mount, server):
    m = mount(db=server.spec(), bad=server.spec(init_sql="selec"))
    script = 'echo "selec;" >"$C/query.sql"; cat "$C/status.json"'

    seen = [json.loads(m.sh(script, conn).out) for conn in ["db", "bad"]]

    assert [measured(s["timing"]) for s in seen] == [
        ["queue", "credentials", "dial", "login", "first_row"],
        ["queue", "credentials", "dial"],
    ]


# While it runs the parts come one by one.
def test_timing_while_it_runs(mount, server, gate):
    g = gate(opened=0, steps=2)
    m = mount(db=server.spec(), settings=SOON)
    with session(m) as env:
        writer = m.start_sh(f'echo {shlex.quote(g.query)} >"$S/query.sql"', env=env)
        g.wait_until_running()
        before = status(m, "db", "sessions/s")

        g.open(1)
        writer.wait().check()
        between = wait_for(
            lambda: (s := status(m, "db", "sessions/s"))["rows"] and s, "rows"
        )
        g.open()
        assert m.sh('cat "$S/wait"', env=env).check().out == "done\n"
        after = status(m, "db", "sessions/s")

    login = ["queue", "credentials", "dial", "login"]
    assert measured(before["timing"]) == login
    assert measured(between["timing"]) == [*login, "first_row"]
    assert measured(after["timing"]) == PARTS[:3] + PARTS[4:]
    assert after["timing"]["first_row"] == between["timing"]["first_row"]
    assert sum(after["timing"][p] for p in ["first_row", "rows"]) <= (
        after["elapsed_ms"] + 2
    )


# With one session for two jobs the second one waits, and what it is given is
# reset: PostgreSQL's for the name alone, MariaDB's by a login of its own.
def test_queue_is_the_wait_for_a_session(mount, server, test_dir):
    m = mount(db=server.spec(max_connections=1))
    first, second = Door(test_dir / "first"), Door(test_dir / "second")
    begin = 'echo "begin;" >"$C/query.sql"'
    end = f'read x <{first}; echo "rollback;" >"$C/query.sql"; read x <{second}'
    holder = m.start_sh(f"{begin}; {end}", env=job(1))
    first.reached()
    waiter = m.start_sh(
        ask("select 1 as a;", 'grep timing "$C/status.json"'), env=job(2)
    )
    look = 'grep -w queued "$M/.connfs/statements" | cut -f6'
    wait_for(lambda: int(m.sh(look).out or 0) >= 300, "it queues for long")

    first.open()
    timing = timing_in(waiter.wait().lines[-1])
    second.open()
    holder.wait()

    parts = {"postgres": [], "mariadb": ["credentials", "login"]}[server.name]
    assert measured(timing) == ["queue", *parts, "first_row", "rows"]
    assert timing["queue"] >= 300


@contextlib.contextmanager
def full_listener():
    """A port that takes no connection: its queue is full."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    while True:
        s = socket.socket()
        s.settimeout(0.2)
        waiting.append(s)
        try:
            s.connect(listener.getsockname())
        except TimeoutError:
            break
    for s in waiting:
        s.close()
    yield listener


# The time until somebody takes the connection is dial's; the kernel tries again
# after a second.
def test_dial_is_the_wait_for_a_connection(mount, server):
    with full_listener() as listener:
        port = listener.getsockname()[1]
        m = mount(db=server.spec(tcp=True, port=port))
        client = m.start_sh(
            'echo "select 1 as a;" >"$C/query.sql" && cat "$C/status.json"'
        )
        client.wait_parked()
        proxy = Proxy(server.port, listener)
        try:
            timing = json.loads(client.wait().check().out)["timing"]
        finally:
            proxy.close()
    assert measured(timing) == PARTS
    assert timing["dial"] >= 900


# ------------------------------------------------------- while it runs


# Each look is a fresh one.
def test_status_goes_on_while_it_runs(mount, engine):
    m = mount(db=engine.spec(), settings=SOON)
    with session(m) as env:
        m.sh(f'echo "{engine.endless};" >"$S/query.sql"', env=env).check()

        def later(than):
            seen = status(m, "db", "sessions/s")
            ahead = all(seen[k] > than[k] for k in ["rows", "bytes", "elapsed_ms"])
            return ahead and seen

        first = status(m, "db", "sessions/s")
        second = wait_for(lambda: later(first), "it goes on")
        m.sh('echo 1 >"$S/cancel"', env=env).check()
        m.sh('cat "$S/wait"', env=env)

    assert (second["state"], second["complete"]) == ("streaming", False)
    assert status(m, "db", "sessions/s")["state"] == "cancelled"


# watch(1) is the progress bar.
def test_watch_shows_the_progress(mount, server, gate):
    g = gate(steps=2)
    m = mount(db=server.spec(), settings=SOON)
    command = (
        'bash -c \'echo "$SQL" >"$C/query.sql"; watch -n 0.1 cat "$C/status.json"\''
    )
    with Terminal(m, f"SQL={shlex.quote(g.query)} {command}") as terminal:
        terminal.wait_for('"rows": 3')
        assert "done" not in terminal.screen

        g.open()

        terminal.wait_for("done")
        terminal.type("\x03")


# A notice is seen when it comes, and not with the end.
@pytest.mark.parametrize("server", ["postgres"], indirect=True)
def test_notices_are_seen_while_it_runs(mount, server, gate):
    g = gate(opened=0)
    m = mount(db=server.spec())
    with session(m) as env:
        m.start_sh(f'echo {shlex.quote(g.query)} >"$S/query.sql"', env=env)

        seen = wait_for(
            lambda: (s := status(m, "db", "sessions/s")).get("notices") and s,
            "a notice",
        )
        g.open()

    assert seen["state"] in ("running", "streaming")
    assert seen["notices"] == ["NOTICE:  gate 1 is closed"]


# An event loop that is told of changes only is told of all: that there are more
# rows, and that there is the end.
def test_edge_triggered_epoll_on_a_result(mount, server, gate):
    g = gate(steps=3)
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_python(program(f"""
run({g.query!r} + ";")
fd = os.open(RESULT, os.O_RDONLY | os.O_NONBLOCK)
p = select.epoll()
p.register(fd, select.EPOLLIN | select.EPOLLET)
data, piece = b"", b"?"
while piece:
    try:
        piece = os.read(fd, 65536)
        data += piece
    except BlockingIOError:
        say("lines", data.count(b"\\n"))
        assert p.poll(20)
say(len(data))
"""))
    said(client, "lines 4")
    g.open(2)
    said(client, "lines 7")

    g.open()

    assert client.wait().check().lines[-1] == str(len(g.csv()))


# ----------------------------------------------------------------- wait


def test_wait_where_nothing_was_run(mount, engine):
    m = mount(db=engine.spec())
    with session(m) as env:
        script = 'cat "$C/wait" "$S/wait"; stat -c "%s %A" "$C/wait"'

        assert m.sh(script, env=env).check().out == "idle\nidle\n0 -r--r--r--\n"


# It ends with the last statement of the text, and as often as it is asked.
def test_wait_ends_with_the_script(mount, server, gate):
    g = gate(opened=0)
    m = mount(db=server.spec(), settings=SOON)
    with session(m) as env:
        text = f"select 1 as a; {g.query}; select 2 as b;"
        writer = m.start_sh(f'echo {shlex.quote(text)} >"$S/query.sql"', env=env)
        g.wait_until_running()
        waiters = [m.start_sh('cat "$S/wait"', env=env) for _ in range(3)]
        for waiter in waiters:
            waiter.wait_parked()
        assert [w.stdout for w in waiters] == [b"", b"", b""]

        g.open()

        assert [w.wait().check().out for w in waiters] == ["done\n"] * 3
        writer.wait().check()
        again = m.sh('cat "$S/wait"; cat "$S/result.csv"; head -n 1 "$S/wait"', env=env)
        assert again.check().out == "done\nb\n2\ndone\n"


# A failure after rows has told no WRITE of it: wait does.
def test_wait_fails_as_the_statement_did(mount, engine):
    m = mount(db=engine.spec(), settings={"settle_time": 0.0})
    with session(m) as env:
        m.sh(f'echo "{engine.endless};" >"$S/query.sql"', env=env).check()
        waiter = m.start_sh('cat "$S/wait"', env=env)
        waiter.wait_parked()

        m.sh('echo 1 >"$S/cancel"', env=env).check()

        ended = waiter.wait()
        assert (ended.rc, ended.out) == (1, "")
        assert "Operation canceled" in ended.err
        assert "Operation canceled" in m.sh('cat "$S/wait"', env=env).err
    refused = m.sh('echo "selec;" >"$C/query.sql"; cat "$C/wait"', shell="bash")
    assert refused.err.count("Invalid argument") == 2


# Who waits has no say in what runs, and be it alone: here no writer waits.
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("read", [False, True])
def test_the_end_of_a_waiter_cancels_nothing(mount, server, gate, number, read):
    g = gate(opened=0)
    m = mount(db=server.spec(), settings=SOON)
    how = "O_RDONLY | os.O_NONBLOCK" if read else "O_RDONLY"
    with session(m) as env:
        m.start_python(
            program(f"""
S = os.environ["S"]
fd = os.open(S + "/query.sql", os.O_WRONLY)
os.write(fd, {g.query.encode()!r})
assert code(os.open, S + "/result.csv", os.O_RDONLY | os.O_NONBLOCK) == "EAGAIN"
time.sleep(600)
"""),
            env=env,
        )
        g.wait_until_running()
        waiter = m.start_python(
            f"""
import os, signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
fd = os.open(os.environ["S"] + "/wait", os.{how})
os.set_blocking(fd, True)
os.read(fd, 100)
""",
            env=env,
        )
        waiter.wait_parked()

        waiter.signal(number)

        assert waiter.wait(5).rc == -number
        assert status(m, "db", "sessions/s")["state"] == "running"
        g.open()
        assert m.sh('cat "$S/wait"', env=env).check().out == "done\n"


# An event loop opens it with O_NONBLOCK and is told.
@pytest.mark.parametrize("fails", [False, True])
def test_poll_tells_of_the_end(mount, server, gate, fails):
    g = gate(opened=0)
    m = mount(db=server.spec())
    with session(m) as env:
        writer = m.start_sh(f'echo {shlex.quote(g.query)} >"$S/query.sql"', env=env)
        g.wait_until_running()
        client = m.start_python(
            program("""
fd = os.open(os.environ["S"] + "/wait", os.O_RDONLY | os.O_NONBLOCK)
p, e, t = select.poll(), select.epoll(), select.epoll()
p.register(fd, select.POLLIN)
e.register(fd, select.EPOLLIN)
t.register(fd, select.EPOLLIN | select.EPOLLET)
say(p.poll(0), e.poll(0), t.poll(0), code(os.read, fd, 1))
say(p.poll(20000) == [(fd, select.POLLIN)], len(e.poll(20)), len(t.poll(20)))
say(code(os.read, fd, 100))
os.set_blocking(fd, True)
say(code(os.read, fd, 100))
"""),
            env=env,
        )
        said(client, "EAGAIN")

        if fails:
            m.sh('echo 1 >"$S/cancel"', env=env).check()
        else:
            g.open()

        end = "ECANCELED" if fails else "OK"
        assert client.wait().check().lines == [
            "[] [] [] EAGAIN", "True 1 1", end, end
        ]
        writer.wait()


# What waits for a session runs, too, as far as its writer is concerned; and a
# session that ends under a waiter has an end.
def test_wait_for_what_is_queued_or_ended(mount, server):
    m = mount(db=server.spec(max_connections=1))
    with session(m, "a") as a, session(m, "b") as b:
        m.sh('echo "begin;" >"$S/query.sql"', env=a).check()
        writer = m.start_sh('echo "select 1 as a;" >"$S/query.sql"', env=b)
        wait_for(
            lambda: status(m, "db", "sessions/b")["state"] == "queued", "it queues"
        )
        waiter = m.start_sh('cat "$S/wait"', env=b)
        waiter.wait_parked()

        m.sh('echo "rollback;" >"$S/query.sql"', env=a).check()

        assert waiter.wait().check().out == "done\n"
        writer.wait().check()

        slow = m.start_sh(f'echo "{server.slow};" >"$S/query.sql"', env=a)
        server.wait_until_running(server.slow)
        waiter = m.start_sh('cat "$S/wait"', env=a)
        waiter.wait_parked()
        m.sh('rmdir "$C/sessions/a"').check()
        assert "Operation canceled" in waiter.wait().err
        slow.wait()


# busybox takes a file of size 0 for empty: it prints nothing, but it waits.
def test_wait_in_a_container_of_busybox(mount, server, gate, busybox):
    g = gate(opened=0)
    m = mount(db=server.spec(access={"everyone": True}))
    client = m.start_container(
        f"cd /conn/db; (echo {shlex.quote(g.query)} >query.sql) &"
        " while ! grep -q running status.json; do :; done;"
        " cat wait; echo $?; wait; echo 'selec;' >query.sql; cat wait; echo $?",
        busybox,
    )
    g.wait_until_running()
    client.wait_parked()
    assert client.stdout == b""

    g.open()

    assert client.wait().lines == ["0", "1"]
