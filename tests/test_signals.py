# SPDX-License-Identifier: MIT
"""Signals that do not end a process leave its requests alone; and who may end
a text, when processes share the open file. Design 3, rule 3 and Signals."""

import pathlib
import signal

import pytest

import clients
from clients import SCALE, wait_for
from locks import TableLock
from programs import run_text


@pytest.fixture
def table(mount, server):
    """A mount db of a database with table t (n integer); and what is in it."""
    server.sql("create table t (n integer)")
    m = mount(db=server.spec())

    def rows():
        return [int(n) for (n,) in server.sql("select n from t")]

    return m, rows


# PEP 475: Python repeats a write that was interrupted by a handled signal. An
# EINTR for each of a hundred signals would be a hundred INSERTs.
def test_a_timer_every_10_ms_does_not_repeat_an_insert(table, server):
    m, rows = table

    result = m.python(
        f"""
import os, signal
ticks = []
signal.signal(signal.SIGALRM, lambda *args: ticks.append(1))
fd = os.open(os.environ["C"] + "/query.sql", os.O_WRONLY | os.O_TRUNC)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
written = os.write(fd, b"{server.slow_insert(0.8)};")
signal.setitimer(signal.ITIMER_REAL, 0)
os.close(fd)
print(written, len(ticks) > 0)
"""
    )

    assert result.check().out == f"{len(server.slow_insert(0.8)) + 1} True\n"
    assert rows() == [1]


# The same without semicolon: close() is not repeated, but its FLUSH must not
# come back early either.
def test_a_timer_does_not_disturb_a_close(table, server):
    m, rows = table

    m.python(
        f"""
import os, signal
signal.signal(signal.SIGALRM, lambda *args: None)
fd = os.open(os.environ["C"] + "/query.sql", os.O_WRONLY | os.O_TRUNC)
os.write(fd, b"{server.slow_insert(0.5)}")
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
os.close(fd)
signal.setitimer(signal.ITIMER_REAL, 0)
"""
    ).check()

    assert rows() == [1]


# A handler of the process makes SIGINT, SIGTERM, ... signals as any other:
# it goes on living, so its statement does.
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGQUIT"])
def test_a_handled_signal_is_not_an_end(table, server, name):
    m, rows = table
    with TableLock(server) as lock:
        writer = m.start_python(
            f"""
import os, signal
signal.signal(signal.{name}, lambda *args: print("handled", flush=True))
fd = os.open(os.environ["C"] + "/query.sql", os.O_WRONLY | os.O_TRUNC)
os.write(fd, b"insert into t values (1);")
os.close(fd)
"""
        )
        server.wait_until_running("insert into t")
        writer.wait_parked()

        for _ in range(3):
            writer.signal(getattr(signal, name))
        writer.wait_parked()
        lock.release()

    assert set(writer.wait().check().lines) == {"handled"}
    assert rows() == [1]


HARMLESS = ["SIGCHLD", "SIGWINCH", "SIGURG", "SIGCONT", "SIGSTOP", "SIGTSTP"]


def disturb(client, name):
    for _ in range(3):
        client.signal(getattr(signal, name))
    client.signal(signal.SIGCONT)


# A resized terminal or a child that ends is no reason to give up; a stopped
# job goes on with `fg`.
@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_parked_write_stays(table, server, name, shell):
    m, rows = table
    with TableLock(server) as lock:
        writer = m.start_sh(
            "echo 'insert into t values (1);' > $C/query.sql", shell=shell
        )
        server.wait_until_running("insert into t")
        writer.wait_parked()

        disturb(writer, name)
        writer.wait_parked()
        lock.release()

    writer.wait().check()
    assert rows() == [1]


# cat waits in its open, and later in a read: both stay.
@pytest.mark.parametrize("name", HARMLESS)
def test_a_parked_reader_stays(mount, name):
    m = mount(
        db={"type": "fake", "enabled": True},
        settings={"settle_time": 0},
    )
    reader = m.start_sh(
        f"echo 'rows 2 delay_ms {int(400 * SCALE)};' > $C/query.sql;"
        " exec cat $C/result.csv"
    )
    wait_for(lambda: reader.stdout, "the first row")
    reader.wait_parked()

    disturb(reader, name)

    assert reader.wait().check().out == "c1\n1\n2\n"


# bash's echo reports EINTR, and bash gets a SIGCHLD whenever a job ends.
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_end_of_a_background_child_cancels_nothing(table, server, shell):
    m, rows = table

    result = m.sh(
        "sleep 0.1 & sleep 0.2 & (sleep 0.3; exit 1) &\n"
        f"echo '{server.slow_insert(0.5)};' > $C/query.sql && echo fine; wait",
        shell=shell,
    )

    assert result.check().out == "fine\n"
    assert rows() == [1]


# The children share the open file of their parent, as shells make it.
def test_the_end_of_a_child_with_the_file_open_cancels_nothing(table, server):
    m, rows = table

    m.sh(
        "{ sleep 0.1 & sleep 0.2 & echo '" + server.slow_insert(0.4) + "'; } "
        "> $C/query.sql; wait"
    ).check()

    assert rows() == [1]


# Programs that start others while they have written half of a text.
SPAWNING = {
    "python subprocess": (
        "python3",
        """
import os, subprocess
f = open(os.environ["C"] + "/query.sql", "w")
f.write("delete from t"); f.flush()
subprocess.run(["true"])
subprocess.run(["true"], pass_fds=[f.fileno()])
f.write(" where n = 1"); f.close()
""",
    ),
    "python fork": (
        "python3",
        """
import os
f = open(os.environ["C"] + "/query.sql", "w")
f.write("delete from t"); f.flush()
if os.fork() == 0:
    os.close(f.fileno())
    os._exit(0)
os.wait()
f.write(" where n = 1"); f.close()
""",
    ),
    "python child writes": (
        "python3",
        """
import os, subprocess
fd = os.open(os.environ["C"] + "/query.sql", os.O_WRONLY)
os.write(fd, b"delete from t")
subprocess.run(["/bin/echo", " where n ="], stdout=fd)
os.write(fd, b" 1"); os.close(fd)
""",
    ),
    "python system": (
        "python3",
        """
import os
fd = os.open(os.environ["C"] + "/query.sql", os.O_WRONLY)
os.set_inheritable(fd, True)
os.write(fd, b"delete from t")
os.system("true; /bin/true")
os.write(fd, b" where n = 1"); os.close(fd)
""",
    ),
    "perl system": (
        "perl",
        """
$^F = 99;
open(Q, ">", "$ENV{C}/query.sql") or die;
syswrite(Q, "delete from t"); system("/bin/true"); `/bin/true; true`;
syswrite(Q, " where n = 1"); close(Q) or die;
""",
    ),
    "node spawn": (
        "node",
        """
const fs = require("fs"), child = require("child_process");
const fd = fs.openSync(process.env.C + "/query.sql", "w");
fs.writeSync(fd, "delete from t");
child.spawnSync("/bin/true");
child.spawnSync("/bin/true", [], {stdio: ["ignore", "ignore", "ignore", fd]});
child.execSync("true; /bin/true");
fs.writeSync(fd, " where n = 1"); fs.closeSync(fd);
""",
    ),
    "sh": (
        "sh",
        '{ echo "delete from t"; /bin/true; echo "where n = 1"; } > $C/query.sql',
    ),
    "bash": (
        "bash",
        '{ echo "delete from t"; /bin/true; x=$(/bin/true); echo "where n = 1"; }'
        " > $C/query.sql",
    ),
}


# Exec closes and flushes what the child inherited, before the parent has
# finished the text: half a DELETE would empty the table. And the FLUSH comes
# under locks which /proc/<pid>/* waits for: looking there hangs the mount.
@pytest.mark.parametrize("how", SPAWNING)
def test_a_child_runs_nothing_early(table, server, how):
    m, rows = table
    server.sql("insert into t values (1), (2)")
    program, code = SPAWNING[how]
    option = "-c" if program in ("python3", "sh", "bash") else "-e"

    m.start_client([program, option, code]).wait().check()

    assert rows() == [2]
    assert m.sh("cat $M/.connfs/version").check().rc == 0


def check_nothing_ran(m, rows):
    """Statements are numbered: this one would be the second."""
    assert run_text(m, "select 5 as a;").status["id"] == 1
    assert rows() == [1, 2]


# A process that ends in the middle of a text was not able to say what it
# wanted; one that exits has said all it had to say.
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT", "SIGSEGV"])
def test_a_killed_writer_runs_no_half_statement(table, server, name):
    m, rows = table
    number = getattr(signal, name)
    server.sql("insert into t values (1), (2)")
    program = (
        'open(Q, ">", "$ENV{C}/query.sql") or die;'
        ' syswrite(Q, "delete from t "); syswrite(STDOUT, "half\\n"); sleep(600)'
    )
    writer = m.start_sh('ulimit -c 0; exec perl -e "$P"', env={"P": program})
    wait_for(lambda: writer.stdout, "half of it is written")

    writer.signal(number)

    assert writer.wait().rc == -number
    check_nothing_ran(m, rows)


def has_written(client, name, size):
    """One of the client's processes of this name has written that much."""
    for pid, comm in clients.processes_of_sessions([client.pid]):
        if comm == name:
            io = pathlib.Path(f"/proc/{pid}/io").read_text()
            return int(io.split("wchar:")[1].split()[0]) >= size
    return False


# Ctrl-C in `generate | cat > query.sql` ends both at once.
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_pipeline_runs_no_half_statement(table, server, number):
    m, rows = table
    server.sql("insert into t values (1), (2)")
    writer = m.start_sh(
        "{ echo 'delete from t'; exec sleep 600; } | cat > $C/query.sql", shell="bash"
    )
    half = len("delete from t\n")
    wait_for(lambda: has_written(writer, "cat", half), "half of it is written")

    writer.signal(number)

    assert writer.wait().rc == -number
    wait_for(lambda: not writer.processes(), "cat has ended")
    check_nothing_ran(m, rows)


@pytest.mark.parametrize(
    "end",
    ["sys.exit(0)", "sys.exit(3)", "os._exit(0)", "raise Exception", "pass"],
)
def test_a_writer_that_exits_without_close_runs_its_text(table, end):
    m, rows = table

    m.python(
        f"""
import os, sys
fd = os.open(os.environ["C"] + "/query.sql", os.O_WRONLY)
os.write(fd, b"insert into t values (7)")
{end}
"""
    )

    wait_for(rows, "the INSERT has run")
    assert rows() == [7]
