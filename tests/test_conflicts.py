# SPDX-License-Identifier: MIT
"""A statement that meets an earlier one of its conversation, and when a WRITE
returns: design 3, rules 2 and 5."""

import pytest

from clients import wait_for

FAKE = {"type": "fake", "enabled": True}

# Little room, so that a result soon waits for its reader.
TIGHT = {"spool_memory": 65536, "spool_memory_total": 65536, "spool_disk": 0}

# A result that no spool holds.
LARGE = "rows 100000 width 1000;"


def test_a_parked_write_is_ebusy_for_the_next(mount, engine):
    m = mount(db=engine.spec())

    result = m.python(
        """
import errno, os, threading
query = os.environ["C"] + "/query.sql"

def run(text):
    try:
        with open(query, "w") as f:
            f.write(text)
    except OSError as e:
        return errno.errorcode[e.errno]
    return "ok"

first = []
t = threading.Thread(target=lambda: first.append(run(os.environ["SLOW"] + ";")))
t.start()
while "running" not in open(os.environ["C"] + "/status.json").read():
    pass
print(run("select 1;"))
print(open(os.environ["C"] + "/error").readline(), end="")
print("running" in open(os.environ["C"] + "/status.json").read())
open(os.environ["C"] + "/cancel", "w").write("x")
t.join()
print(*first)
print(run("select 1;"))
""",
        env={"SLOW": engine.slow},
    )

    lines = result.check().lines
    assert lines[0] == "EBUSY"
    assert "is still running" in lines[1]
    assert lines[2:] == ["True", "ECANCELED", "ok"]


# The jobs of one shell each have a text of their own: they take turns.
def test_jobs_of_a_shell_wait_for_each_other(mount, engine):
    m = mount(db=engine.spec())
    job = "sh -c 'echo \"select $0 as n;\" > $C/query.sql && cat $C/result.csv' $i"

    result = m.sh(f"for i in 1 2 3 4 5 6; do {job} & done; wait")

    assert result.check().lines.count("n") == 6
    assert sorted(result.lines)[:6] == list("123456")


# A reader holds the result and is behind: neither is it to lose its rows, nor
# the new statement to wait for it without end.
def test_a_reader_that_is_behind_is_ebusy(mount):
    m = mount(db=FAKE, settings=TIGHT)

    result = m.sh(
        f"echo '{LARGE}' > $C/query.sql\n"
        "exec 3< $C/result.csv; read -r x <&3; echo $x\n"
        "echo one > $C/query.sql; bash -c 'echo \"one;\" > $C/query.sql'\n"
        "head -1 $C/error; cat <&3 | tail -1 | tr -d x\n"
        "exec 3<&-; echo 'one;' > $C/query.sql; tail -1 $C/result.csv"
    )

    assert result.lines[0] == "c1"
    assert result.lines[1].startswith("ERROR:  the result of statement ")
    assert result.lines[2:] == ["100000", "1"]
    assert "Device or resource busy" in result.err


# Refused, the script has never been: the reader's statement is still the last.
def test_a_refused_script_leaves_the_results(mount):
    m = mount(db=FAKE, settings=TIGHT)

    result = m.sh(
        f"echo '{LARGE}' > $C/query.sql\n"
        "exec 3< $C/result.csv; read -r x <&3; echo $x\n"
        "bash -c 'echo \"one;\" > $C/query.sql' 2> /dev/null\n"
        "cat $C/query.sql; grep -o '\"state\": \"[a-z]*\"' $C/status.json"
    )

    assert result.check().lines == ["c1", LARGE, '"state": "streaming"']


# Nobody has it open, and it changes nothing: it makes room.
def test_a_result_nobody_reads_is_replaced(mount, server):
    m = mount(db=server.spec(), settings=TIGHT)

    result = m.sh(
        f"echo '{server.endless};' > $C/query.sql\n"
        "echo 'select 2 as b;' > $C/query.sql; cat $C/result.csv"
    )

    assert result.check().out == "b\n2\n"
    server.wait_until_gone("1000000000")


# One that may write is never cut off: it is EBUSY, whoever reads or not.
def test_a_statement_that_writes_is_never_replaced(mount, engine):
    engine.sql("create table t (n integer)")
    m = mount(db=engine.spec(), settings=TIGHT)

    result = m.sh(
        f"echo 'insert into t {engine.series(50000)} returning n;' > $C/query.sql\n"
        "bash -c 'echo \"select 2 as b;\" > $C/query.sql'\n"
        "cat $C/result.csv | wc -l\n"
        "echo 'select count(*) as c from t;' > $C/query.sql; cat $C/result.csv"
    )

    assert "Device or resource busy" in result.err
    assert result.lines == ["50001", "c", "50000"]


# In a transaction a cancelled SELECT costs more than its rows.
def test_a_statement_in_a_transaction_is_never_replaced(mount, engine):
    m = mount(db=engine.spec(), settings=TIGHT)

    result = m.sh(
        "echo 'begin;' > $C/query.sql\n"
        f"echo '{engine.series(50000)};' > $C/query.sql\n"
        "bash -c 'echo \"select 2 as b;\" > $C/query.sql'\n"
        "cat $C/result.csv | wc -l; echo 'commit;' > $C/query.sql"
    )

    assert "Device or resource busy" in result.err
    assert (result.rc, result.lines) == (0, ["50001"])


# Rows on their way into the spool: it will be over soon, so wait for it.
def test_a_statement_whose_rows_are_spooled_is_waited_for(mount):
    m = mount(db=FAKE, settings={"settle_time": 0})

    result = m.sh(
        "echo 'rows 20 delay_ms 20;' > $C/query.sql\n"
        "exec 3< $C/result.csv; read -r x <&3; echo $x\n"
        "echo 'one;' > $C/query.sql; cat $C/result.csv; cat <&3 | tail -1"
    )

    assert result.check().lines == ["c1", "?column?", "1", "20"]


# Small results are whole by the time the writer goes on, so that every tool
# sees their size.
def test_a_small_result_is_whole_when_the_write_returns(mount):
    m = mount(db=FAKE)

    result = m.sh("echo 'rows 5 delay_ms 20;' > $C/query.sql; stat -c %s $C/result.csv")

    assert result.check().out == "13\n"


# Rows that keep coming do not keep the writer for ever.
def test_a_write_returns_after_settle_time(mount):
    m = mount(db=FAKE, settings={"settle_time": 0.3})

    result = m.sh(
        "echo 'rows 1000000 delay_ms 10;' > $C/query.sql\n"
        "grep -o '\"state\": \"[a-z]*\"' $C/status.json; stat -c %s $C/result.csv"
    )

    assert result.check().lines == ['"state": "streaming"', "0"]
    assert 0.3 <= result.elapsed < 5


# Before the first row there is nothing to go on with: it is waited for.
def test_a_write_waits_for_the_first_row(mount):
    m = mount(db=FAKE, settings={"settle_time": 0})
    writer = m.start_sh("echo 'wait;' > $C/query.sql")
    wait_for(lambda: "running" in m.read(".connfs", "statements"), "it runs")
    writer.wait_parked()

    m.sh("tail -1 $M/.connfs/statements | cut -f 1 > $M/.connfs/cancel").check()

    assert writer.wait().rc == 1


# A full spool does not empty before the writer goes on to read it.
def test_a_write_returns_when_the_spool_is_full(mount):
    m = mount(db=FAKE, settings={"settle_time": 600, **TIGHT})

    result = m.sh(f"echo '{LARGE}' > $C/query.sql; cat $C/result.csv | wc -c")

    assert result.check().out == f"{3 + 100000 * 1001}\n"
    assert result.elapsed < 30


def test_a_write_returns_when_spool_memory_is_full(mount):
    m = mount(db=FAKE, settings={"settle_time": 600, "spool_memory": 65536})

    result = m.sh(
        "echo 'rows 1000000000 width 1000;' > $C/query.sql;"
        " awk '{ print; exit }' $C/result.csv"
    )

    assert result.check().out == "c1\n"


# busybox copies what stat says, and takes 0 for empty: its result is whole
# before it is let on.
@pytest.mark.parametrize(
    "reader", ["cat $C/result.csv", "cp $C/result.csv /proc/self/fd/1"]
)
def test_busybox_waits_for_the_whole_result(mount, reader):
    m = mount(db=FAKE, settings={"settle_time": 0.05})

    result = m.start_client(
        ["busybox", "sh", "-c"]
        + [f"echo 'rows 30 delay_ms 10;' > $C/query.sql && {reader}"]
    ).wait()

    assert result.check().out == "c1\n" + "".join(f"{n}\n" for n in range(1, 31))


# It could not be shown to busybox but as an empty file: say so instead.
def test_busybox_is_told_of_a_result_that_cannot_be_held(mount):
    m = mount(db=FAKE, settings=TIGHT)

    result = m.start_client(
        ["busybox", "sh", "-c", f"echo '{LARGE}' > $C/query.sql; cat $C/error"]
    ).wait()

    assert "File too large" in result.err
    assert "larger than the spool" in result.out


# Two results, the first of which nobody can read before the second is there.
def test_a_large_result_in_the_middle_of_a_script_is_enospc(mount):
    m = mount(db=FAKE, settings=TIGHT)

    result = m.sh(
        f"echo '{LARGE} one;' > $C/query.sql; cat $C/error", shell="bash"
    )

    assert "No space left on device" in result.err
    assert "larger than the spool and nobody reads it" in result.out


# A statement that waits for a database session waits at most queue_timeout.
def test_queue_timeout_is_eagain_and_says_who_holds_the_sessions(mount, engine):
    m = mount(
        db=engine.spec(max_connections=1),
        settings={"queue_timeout": 0.3},
    )
    flag = m.dir / "go"
    holder = m.start_sh(
        "echo 'begin;' > $C/query.sql; echo begun;"
        f" while ! [ -e {flag} ]; do sleep 0.01; done"
    )
    wait_for(lambda: holder.stdout, "the transaction has begun")

    result = m.sh("echo 'select 1;' > $C/query.sql; cat $C/error", shell="bash")

    flag.touch()
    holder.wait().check()
    assert "Resource temporarily unavailable" in result.err
    assert "no database session became free" in result.out
    assert f"session {holder.pid}" in result.out
    assert "idle in a transaction" in result.out
    assert 0.3 <= result.elapsed < 5


# The session of a conversation that has nothing in it goes to who waits.
def test_an_idle_session_goes_to_who_waits(mount, engine):
    m = mount(db=engine.spec(max_connections=1))
    flag = m.dir / "go"
    holder = m.start_sh(
        "echo 'select 1;' > $C/query.sql; echo done;"
        f" while ! [ -e {flag} ]; do sleep 0.01; done;"
        " echo 'select 3 as a;' > $C/query.sql; cat $C/result.csv"
    )
    wait_for(lambda: holder.stdout, "it has had its session")

    result = m.query("select 2 as b;")
    flag.touch()

    assert result.check().out == "b\n2\n"
    assert holder.wait().check().out == "done\na\n3\n"
