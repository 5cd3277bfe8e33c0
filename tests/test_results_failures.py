# SPDX-License-Identifier: MIT
"""How a result ends that is not whole, or not there any more."""

import pytest

from clients import wait_for
from readers import SOON, digest, numbers, program, said


def divide(m, server, gate):
    gate.open()  # and the server fails at a row behind it


def cancel(m, server, gate):
    m.sh(
        """awk -F'\\t' '$5 == "streaming" { print $1 }' "$M/.connfs/statements" """
        '>"$M/.connfs/cancel"'
    ).check()


def terminate(m, server, gate):
    (pid,) = gate.running()
    server.end_sessions(f"pid = {pid}")


FAILURES = {
    "of the statement": (divide, "EIO"),
    "by a cancellation": (cancel, "ECANCELED"),
    "of the connection": (terminate, "EIO"),
}


# After a failure the next READ fails: a cut result never ends as if it were
# whole. Rows that came before are delivered.
@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_after_rows_is_not_a_clean_end(mount, server, gate, kind):
    fail, errno = FAILURES[kind]
    g = gate(rows=3)
    m = mount(db=server.spec(), settings=SOON)
    query = g.query_of(server.number_until(5, "i"))
    client = m.start_python(program(f"""
run({query!r} + ";")
fd = os.open(RESULT, os.O_RDONLY)
rows = os.read(fd, 65536).count(b"\\n")
say("reading")
try:
    while piece := os.read(fd, 65536):
        rows += piece.count(b"\\n")
    say("clean end")
except OSError as e:
    say(errno.errorcode[e.errno])
say(code(os.read, fd, 1), rows in (4, 5))
say(code(open, RESULT) != "OK")
status = open(C + "/status.json").read()
say('"complete": false' in status, '"complete": true' in status)
"""))
    said(client, "reading")
    client.wait_parked()

    fail(m, server, g)

    got = client.wait().check()
    assert got.lines == ["reading", errno, f"{errno} True", "True", "True False"]


# The rows before the failure are all there when they were not read before.
def test_rows_before_a_failure_are_delivered(mount, server, gate):
    g = gate(steps=2, rows=1000)
    m = mount(db=server.spec(), settings=SOON)
    query = g.query_of(server.number_until(1500, "i"))
    client = m.start_python(program(f"""
run({query!r} + ";")
fd = os.open(RESULT, os.O_RDONLY)
say("open")
sys.stdin.read()
while '"failed"' not in open(C + "/status.json").read():
    pass
data = b""
try:
    while piece := os.read(fd, 100):
        data += piece
except OSError as e:
    say(errno.errorcode[e.errno], data.count(b"\\n"))
"""))
    said(client, "open")
    g.open()

    assert client.wait().check().lines == ["open", "EIO 1500"]


# A shell that sees a cut result has to see it in the exit status.
def test_cat_of_a_result_that_fails_reports_it(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    query = g.query_of(server.number_until(6, "i"))
    client = m.start_sh(
        'echo "$Q;" >"$C/query.sql" && cat "$C/result.csv"', env={"Q": query}
    )
    wait_for(lambda: client.stdout.count(b"\n") == 4, "the first rows")

    g.open()

    got = client.wait()
    assert (got.rc, "Input/output error" in got.err) == (1, True)


# What was read once and given up cannot be read again.
def test_a_result_larger_than_the_spool_is_read_once(mount, engine):
    settings = {"spool_memory": "64KiB", "spool_disk": 0}
    m = mount(db=engine.spec(), settings=settings)

    got = m.sh(
        'cat >"$C/query.sql" && md5sum <"$C/result.csv" && cat "$C/result.csv"',
        stdin=engine.series(100000) + ";",
    )

    assert got.out.split()[0] == digest(numbers(100000))
    assert got.rc == 1
    assert got.err.endswith("result.csv: Stale file handle\n")


# A second reader that comes while the first is past the beginning, likewise.
def test_a_late_reader_of_what_is_given_up_gets_estale(mount, engine):
    settings = {"spool_memory": "64KiB", "spool_disk": 0}
    m = mount(db=engine.spec(), settings=settings)

    got = m.python(program(f"""
run({engine.series(100000)!r} + ";")
fd = os.open(RESULT, os.O_RDONLY)
data = b""
while len(data) < 200000:
    data += os.read(fd, 4096)
say(code(open, RESULT))
say(len(data + read_all(fd)))
""")).check()

    assert got.lines == ["ESTALE", str(len(numbers(100000)))]


# A name that was looked up before a script ran names the result of then.
def test_opening_an_outdated_node_gives_estale(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(program("""
run("select 1 as a;")
old = os.open(RESULT, os.O_PATH)
run("select 2 as a;")
say(code(open, f"/proc/self/fd/{old}"))
say(open(RESULT).read(), end="")
""")).check()

    assert got.lines == ["ESTALE", "a", "2"]


# A session that has run nothing has no data, and is told how to share.
@pytest.mark.parametrize("name", ["result.csv"])
def test_a_session_that_ran_nothing_gets_enodata_and_a_hint(mount, engine, name):
    m = mount(db=engine.spec())
    m.query("select 1 as a;").check()

    got = m.python(program(f"""
say(code(open, C + "/{name}"))
say(open(C + "/error").read())
"""))

    assert got.lines[0] == "ENODATA"
    assert "cron" in got.out and "docker exec" in got.out
