# SPDX-License-Identifier: MIT
"""Ending a statement: Ctrl-C, kill, the cancel files. Design 3, Signals and
Cancelling, and 4.5."""

import os
import signal

import pytest

import clients
from clients import wait_for
from programs import Terminal, run_text


@pytest.fixture
def table(mount, server):
    """A mount db of a database with table t (n integer); and what is in it."""
    server.sql("create table t (n integer)")
    m = mount(db=server.spec())

    def rows():
        return [int(n) for (n,) in server.sql("select n from t")]

    return m, rows


WRITERS = {
    "sh echo": ("sh", "echo '{};' > $C/query.sql; echo rc=$? >&2"),
    "bash echo": ("bash", "echo '{};' > $C/query.sql; echo rc=$? >&2"),
    "/bin/echo": ("sh", "exec /bin/echo '{};' > $C/query.sql"),
    "cat": ("sh", "echo '{}' | cat > $C/query.sql"),
    "cp": ("sh", "echo '{};' > $T; exec cp $T $C/query.sql"),
    "close": ("sh", "echo '{}' > $C/query.sql"),
    "python": (
        "sh",
        'exec /usr/bin/python3 -c "import os, pathlib;'
        " pathlib.Path(os.environ['C'] + '/query.sql').write_text('{};')\"",
    ),
    "node": (
        "sh",
        "exec node -e \"require('fs').writeFileSync(process.env.C + '/query.sql',"
        " '{};')\"",
    ),
}


# The shell's builtin echo waits in the shell itself, cat is a child; both are
# in the foreground process group, which Ctrl-C goes to.
# node catches SIGTERM, so that one cannot be told from a signal it lives on with.
@pytest.mark.parametrize(
    "writer, number",
    [
        (writer, number)
        for writer in WRITERS
        for number in [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
        if (writer, number) != ("node", signal.SIGTERM)
    ],
)
def test_ending_the_writer_cancels_at_the_server(table, server, writer, number):
    m, rows = table
    shell, script = WRITERS[writer]
    # Not as an argument: another process may show the text, too.
    text = script.replace("{}", server.slow_insert())
    client = m.start_sh(text, shell=shell, env={"T": str(m.dir / "text")})
    server.wait_until_running("sleep(600")
    client.wait_parked()

    client.signal(number)

    result = client.wait()
    assert result.rc != 0
    assert "rc=0" not in result.err
    server.wait_until_gone("sleep(600")
    assert rows() == []


# A hangup ends what was started from a terminal.
def test_a_hangup_cancels_at_the_server(table, server):
    m, rows = table
    client = m.start_sh(f"echo '{server.slow_insert()};' > $C/query.sql")
    server.wait_until_running("sleep(600")
    client.wait_parked()

    client.signal(signal.SIGHUP)

    assert client.wait().rc == -signal.SIGHUP
    server.wait_until_gone("sleep(600")
    assert rows() == []


# An interactive bash catches SIGINT: a prompt comes back, and with it whoever
# pressed Ctrl-C means it.
@pytest.mark.parametrize(
    "command",
    ["echo '{};' > $C/query.sql", "cat <<< '{};' > $C/query.sql"],
)
def test_ctrl_c_at_a_prompt_cancels_at_the_server(table, server, command):
    m, rows = table
    with Terminal(m, "bash --norc --noprofile -i") as t:
        t.type(command.replace("{}", server.slow_insert()) + "\n")
        server.wait_until_running("sleep(600")

        t.type("\x03")
        server.wait_until_gone("sleep(600")
        t.type("echo 'select 6*7 as a;' > $C/query.sql; cat $C/result.csv; exit 5\n")
        result = t.client.wait()

    assert result.rc == 5
    assert "a\r\n42\r\n" in result.out
    assert rows() == []


# Python's own SIGINT handler raises KeyboardInterrupt, and the write is not
# repeated.
def test_keyboard_interrupt_cancels(table, server):
    m, rows = table
    client = m.start_python(
        f"""
import os
try:
    open(os.environ["C"] + "/query.sql", "wb", 0).write(b"{server.slow_insert()};")
except KeyboardInterrupt:
    print("interrupted")
"""
    )
    server.wait_until_running("sleep(600")
    client.wait_parked()

    client.signal(signal.SIGINT)

    assert client.wait().check().out == "interrupted\n"
    server.wait_until_gone("sleep(600")
    assert rows() == []


# EINTR is a promise that the statement did not happen, success that it did:
# whenever the signal comes, before, at or after the end.
def test_an_interrupted_write_tells_the_truth(table, server):
    m, rows = table

    result = m.start_client(
        [
            "perl",
            "-e",
            r"""
use Time::HiRes qw(sleep);
$SIG{INT} = sub {};
$SIG{CHLD} = "IGNORE";
for my $i (1 .. 40) {
    open(my $q, ">", "$ENV{C}/query.sql") or die;
    my $me = $$;
    if (fork() == 0) {
        close($q);
        sleep(0.002 * $i);
        kill("INT", $me);
        require POSIX;
        POSIX::_exit(0);
    }
    my $n = syswrite($q, $ENV{SQL} =~ s/VALUE/$i/r);
    print $i, " ", defined($n) ? "ok" : $!{EINTR} ? "EINTR" : $!, "\n";
    close($q);
    wait();
}
""",
        ],
        env={"SQL": server.slow_insert(0.04, "VALUE") + ";"},
    ).wait(40)

    ends = dict(line.split(" ", 1) for line in result.check().lines)
    assert len(ends) == 40
    assert set(ends.values()) <= {"ok", "EINTR"}
    assert "EINTR" in ends.values()
    happened = [int(i) for i, end in ends.items() if end == "ok"]
    assert sorted(rows()) == happened


# The reader is the only one who waits, there is not a row yet, and nothing is
# changed by it: nobody wants it any more.
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ending_the_only_reader_cancels_a_query_without_rows(table, server, number):
    m, _ = table
    client = m.start_python(
        """
import os
fd = os.open(os.environ["C"] + "/query.sql", os.O_WRONLY)
os.write(fd, os.environb[b"SLOW"])
open(os.environ["C"] + "/result.csv").read()
""",
        env={"SLOW": server.slow},
    )
    server.wait_until_running("sleep(600")
    client.wait_parked()

    client.signal(number)

    assert client.wait().rc == -number
    server.wait_until_gone("sleep(600")


# It is the writer's statement: a reader that gives up takes nothing from it.
def test_ending_a_reader_leaves_a_statement_its_writer_waits_for(table, server):
    m, rows = table
    writer = m.start_sh(
        "trap '' INT\n"
        f"echo '{server.slow_insert(1)};' > $C/query.sql &\n"
        "until grep -q running $C/status.json; do :; done\n"
        "cat $C/result.csv & echo $!; wait"
    )
    wait_for(lambda: writer.stdout, "the pid of cat")
    cat = int(writer.stdout)
    wait_for(
        lambda: clients.waits_for(f"/proc/{cat}") == "request_wait_answer", "cat waits"
    )

    os.kill(cat, signal.SIGTERM)

    assert writer.wait().rc == 0
    assert rows() == [1]


# A reader that leaves a stream early lets the server stop.
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ending_the_reader_of_a_stream_stops_the_server(table, server, number):
    m, _ = table
    client = m.start_sh(
        f"echo '{server.endless};' > $C/query.sql\n"
        "echo reading; exec cat $C/result.csv > /dev/null"
    )
    wait_for(lambda: client.stdout, "cat reads")
    assert server.running("1000000000")

    client.signal(number)

    assert client.wait().rc == -number
    server.wait_until_gone("1000000000")


# The cancel file is the conversation's own.
def test_cancel_file_ends_the_statement(mount, engine):
    m = mount(db=engine.spec())
    client = m.start_sh(
        f"bash -c 'echo \"{engine.slow};\" > $C/query.sql; echo write $?' 2>&1 &\n"
        "until grep -q running $C/status.json; do :; done\n"
        "echo > $C/cancel; wait\n"
        "cat $C/result.csv; head -1 $C/error; grep state $C/status.json",
    )

    result = client.wait()

    lines = result.lines
    assert "Operation canceled" in lines[0]
    assert lines[1] == "write 1"
    assert "Operation canceled" in result.err
    assert lines[2].startswith("ERROR:  ")
    assert lines[3] == '  "state": "cancelled",'


# A result that is being read ends with the errno, not as if it were whole.
def test_cancel_file_ends_a_stream_loudly(mount, engine):
    m = mount(db=engine.spec(), settings={"settle_time": 0, "spool_disk": 0})

    result = m.sh(
        f"echo '{engine.endless};' > $C/query.sql\n"
        "cat $C/result.csv > /dev/null & echo > $C/cancel; wait $!"
    )

    assert result.rc == 1
    assert "Operation canceled" in result.err


def test_cancel_file_without_a_statement_is_fine(mount, engine):
    m = mount(db=engine.spec())

    result = m.sh(
        "echo > $C/cancel; echo 'select 1 as a;' > $C/query.sql;"
        " echo now > $C/cancel; cat $C/result.csv"
    )

    assert result.check().out == "a\n1\n"


# What follows in the script is not run either.
def test_cancel_ends_the_whole_script(table, server):
    m, rows = table
    client = m.start_sh(
        f"echo '{server.slow}; insert into t values (1);' > $C/query.sql &"
        " until grep -q running $C/status.json; do :; done;"
        " echo > $C/cancel; wait"
    )

    client.wait()

    server.wait_until_gone("sleep(600")
    assert run_text(m, "select count(*) as n from t;").csv == "n\n0\n"
    assert rows() == []


def statements(m, **how):
    """.connfs/statements without its heading, as lists of fields."""
    lines = m.read(".connfs", "statements", **how).splitlines()
    assert lines[0] == "id\tconnection\tuid\tpid\tstate\telapsed_ms\trows\tstatement"
    return [line.split("\t") for line in lines[1:]]


@pytest.fixture
def alices(mount, server):
    """A statement that uid 1000 runs, in a mount of root."""
    m = mount(db=server.spec(access={"users": [1000, 1001]}))
    client = m.start_sh(
        f"echo '{server.slow};' > $C/query.sql || echo failed", uid=1000
    )
    server.wait_until_running("sleep(600")
    client.wait_parked()
    return m, client


# From another terminal, by number.
@pytest.mark.parametrize("uid", [1000, 0])
def test_own_statements_are_listed_and_cancelled(alices, server, uid):
    m, client = alices

    (fields,) = statements(m, uid=uid)
    assert fields[1:3] == ["db", "1000"]
    assert (fields[4], fields[6:]) == ("running", ["0", server.slow])
    m.sh("echo $ID > $M/.connfs/cancel", env={"ID": fields[0]}, uid=uid).check()

    assert client.wait().out == "failed\n"
    server.wait_until_gone("sleep(600")
    assert statements(m, uid=uid) == []


# Only the mount's owner sees those of others; for the rest they do not exist.
def test_statements_of_another_uid_are_out_of_reach(alices, server):
    m, client = alices
    (fields,) = statements(m)

    assert statements(m, uid=1001) == []
    result = m.sh(
        "echo $ID > $M/.connfs/cancel", "db", "bash", env={"ID": fields[0]}, uid=1001
    )

    assert (result.rc, client.running) == (1, True)
    assert "No such process" in result.err
    assert len(server.running("sleep(600")) == 1


@pytest.mark.parametrize(
    "word, message",
    [("x", "Invalid"), ("1x", "Invalid"), ("99999", "No such process"), ("-1", "")],
)
def test_a_wrong_number_cancels_nothing(alices, server, word, message):
    m, client = alices

    result = m.sh(
        "printf %s $W > $M/.connfs/cancel", None, "bash", env={"W": word}
    )

    assert (result.rc, client.running) == (1, True)
    assert message in result.err
    assert len(server.running("sleep(600")) == 1


@pytest.fixture
def queued(mount, server):
    """A statement that waits for the only database session, of which another
    conversation has an open transaction."""
    m = mount(db=server.spec(max_connections=1))
    flag = m.dir / "go"
    holder = m.start_sh(
        "echo 'begin;' > $C/query.sql; echo begun;"
        f" while ! [ -e {flag} ]; do sleep 0.01; done"
    )
    wait_for(lambda: holder.stdout, "the transaction has begun")
    client = m.start_sh(
        "bash -c 'echo \"select 77 as never_sent;\" > $C/query.sql';"
        " cat $C/result.csv; cat $C/error"
    )
    client.wait_parked()
    yield m, client
    flag.touch()
    holder.wait().check()


# What was not sent yet is not sent any more.
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_ends_a_queued_statement(queued, server, number):
    m, client = queued
    (fields,) = statements(m)
    assert (fields[4], fields[7]) == ("queued", "select 77 as never_sent")

    client.signal(number)

    assert client.wait().rc == -number
    wait_for(lambda: not statements(m), "it is gone")
    assert "select 77 as never_sent" not in server.log


def test_a_queued_statement_can_be_cancelled(queued, server):
    m, client = queued
    (fields,) = statements(m)

    m.sh(f"echo {fields[0]} > $M/.connfs/cancel").check()

    result = client.wait()
    assert result.err.count("Operation canceled") == 2
    assert "cancelled" in result.out
    assert "select 77 as never_sent" not in server.log


# The last resort: a server that does not react is left alone, and nobody
# pretends to know what it does.
def test_a_deaf_server_is_left_after_five_seconds(mount):
    m = mount(db={"type": "fake", "enabled": True})
    client = m.start_sh(
        "bash -c 'echo \"deaf;\" > $C/query.sql'; cat $C/result.csv; cat $C/error;"
        " echo 'one;' > $C/query.sql; cat $C/result.csv"
    )
    client.wait_parked()
    wait_for(lambda: statements(m), "it runs")

    m.sh(f"echo {statements(m)[0][0]} > $M/.connfs/cancel").check()

    result = client.wait()
    assert result.err.count("Operation canceled") == 2
    assert "it may still be working on the statement" in result.out
    assert result.out.endswith("?column?\n1\n")
    assert 5 <= result.elapsed < 10


# Whoever is ended by a signal is not told EINTR then: nobody knows.
def test_an_unknown_outcome_is_eio(mount):
    m = mount(db={"type": "fake", "enabled": True})
    client = m.start_client(
        [
            "perl",
            "-e",
            '$SIG{INT} = sub {}; open(Q, ">", "$ENV{C}/query.sql") or die;'
            ' syswrite(Q, "deaf;"); print "$!\\n";',
        ]
    )
    client.wait_parked()
    wait_for(lambda: statements(m), "it runs")

    client.signal(signal.SIGINT)

    assert client.wait().check().out == "Input/output error\n"
