# SPDX-License-Identifier: MIT
"""Text in, statements out: design 3, rules 1 to 4."""

import errno

import pytest

from programs import run_text


@pytest.fixture
def table(mount, engine):
    """A mount db of a database with table t (n integer), and the engine."""
    engine.sql("create table t (n integer)")
    return mount(db=engine.spec()), engine


def rows(engine):
    return [row[0] for row in engine.sql("select n from t order by n")]


# The child's exit flushes a text that its parent goes on with.
@pytest.mark.parametrize(
    "script",
    [
        '{ echo "select 1"; /bin/echo "as a, 2 as b"; } > $C/query.sql',
        '{ /bin/echo "select 1"; echo "as a, 2 as b"; } > $C/query.sql',
        '{ /bin/echo "select 1"; /bin/echo "as a, 2 as b"; } > $C/query.sql',
        '(/bin/echo "select 1"; (true); echo "as a, 2 as b") > $C/query.sql',
        '{ echo "select 1"; (true); /bin/true; echo "as a, 2 as b"; } > $C/query.sql',
    ],
)
def test_a_child_that_ends_does_not_end_the_text(mount, engine, script):
    m = mount(db=engine.spec())

    result = m.sh(script + " && cat $C/result.csv $C/query.sql")

    assert result.check().out == "a,b\n1,2\nselect 1\nas a, 2 as b;\n"


# The text is one, however it is cut.
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pieces_of_any_size_are_one_text(mount, engine, size):
    m = mount(db=engine.spec())
    text = "select 'é;€ 😀' as a; select 2 as b /* ; */ , ';' as c; -- end;\n"
    data = text.encode()

    outcome = run_text(
        m, *(data[i : i + size] for i in range(0, len(data), size))
    )

    assert outcome.csv == "b,c\n2,;\n"
    assert outcome.status["result_sets"] == 2


# Each statement commits by itself, as in psql: those before the one that
# fails have happened, those after it have not.
def test_first_failure_ends_the_script(table):
    m, engine = table

    outcome = run_text(
        m,
        "insert into t values (1); insert into t values (2);",
        "insert into t values (3); insert into nowhere values (4);"
        "insert into t values (5);",
        "insert into t values (6);",
        "select 1;",
    )

    assert outcome.writes == ["ok", "EINVAL", "EINVAL", "EINVAL"]
    assert outcome.close == "ok"
    assert outcome.result == "EINVAL"
    assert "nowhere" in outcome.error.splitlines()[0]
    assert rows(engine) == ["1", "2", "3"]


# The failure is the script's, not the conversation's.
def test_a_failed_script_does_not_spoil_the_next(mount, engine):
    m = mount(db=engine.spec())

    result = m.sh(
        "echo 'selec 1;' > $C/query.sql\n"
        "echo 'select 2 as a;' > $C/query.sql && cat $C/result.csv $C/error"
    )

    assert (result.rc, result.out) == (0, "a\n2\n")


# A shell's echo reports a failed write, which is what `set -e` goes by.
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_sees_the_failure(mount, engine, shell):
    m = mount(db=engine.spec())

    result = m.sh("set -e; echo 'selec 1;' > $C/query.sql; echo on", shell=shell)

    assert (result.rc, result.out) == (1, "")
    assert "echo" in result.err


# Without semicolon the statement runs at close, of which cat has a report.
def test_a_failure_at_close_is_reported(mount, engine):
    m = mount(db=engine.spec())

    outcome = run_text(m, "selec 1")

    assert (outcome.writes, outcome.close) == (["ok"], "EINVAL")
    assert outcome.result == "EINVAL"


def test_statement_without_rows_leaves_result_empty(mount, engine):
    m = mount(db=engine.spec())

    outcome = run_text(
        m,
        "select 1 as a;",
    )
    assert outcome.csv == "a\n1\n"
    outcome = run_text(m, "create table t (n integer); insert into t values (1), (2);")

    assert outcome.csv == ""
    status = outcome.status
    assert status["state"] == "done"
    assert status["complete"] is True
    assert status["command"] == "INSERT 0 2"
    assert status["rows_affected"] == 2
    assert status["result_sets"] == 0
    assert (status["rows"], status["columns"]) == (0, [])


# result.csv is the script's own from its first statement on.
def test_a_script_empties_the_result_of_the_one_before(table):
    m, _ = table

    result = m.sh(
        "echo 'select 1 as a;' > $C/query.sql; cat $C/result.csv\n"
        "echo 'insert into t values (1);' > $C/query.sql; cat $C/result.csv\n"
        "stat -c %s $C/result.csv; ls $C/results | wc -l"
    )

    assert result.check().out == "a\n1\n0\n0\n"


def test_a_query_without_rows_gives_the_header(table):
    m, _ = table

    outcome = run_text(m, 'select n, n as "b,c" from t;')

    assert outcome.csv == 'n,"b,c"\n'
    assert outcome.status["rows"] == 0


# A statement without a result set adds none and takes none away.
def test_results_are_numbered(table):
    m, _ = table

    result = m.sh(
        "echo 'select 1 as a; insert into t values (7); select n from t;"
        " delete from t;' > $C/query.sql\n"
        "cd $C/results && ls *.csv && cat 1.csv 2.csv ../result.csv; cat 3.csv"
    )

    assert result.out == "1.csv\n2.csv\na\n1\nn\n7\nn\n7\n"
    assert "No such file" in result.err


def test_the_last_hundred_results_are_kept(mount, engine):
    m = mount(db=engine.spec())
    text = "".join(f"select {n} as n;" for n in range(1, 106))

    result = m.sh(
        "cat > $C/query.sql; ls -v $C/results | grep csv; cat $C/results/6.csv"
        " $C/results/105.csv $C/result.csv",
        stdin=text,
    )

    names = [f"{n}.csv" for n in range(6, 106)]
    assert result.check().lines == names + ["n", "6", "n", "105", "n", "105"]


# Nothing to run is no script: the last result stays.
@pytest.mark.parametrize(
    "nothing",
    [
        ": > $C/query.sql",
        ": >> $C/query.sql",
        "touch $C/query.sql",
        "truncate -s 0 $C/query.sql",
        "echo > $C/query.sql",
        "printf ' \\t\\r\\n\\n' > $C/query.sql",
        "echo ' ; ;; ' > $C/query.sql",
        "echo '-- select 9;' > $C/query.sql",
        "echo '/* select 9; */' > $C/query.sql",
        "cat /dev/null > $C/query.sql",
        "cp /dev/null $C/query.sql",
        "chmod 644 $C/query.sql",
    ],
)
def test_text_without_a_statement_runs_nothing(mount, engine, nothing):
    m = mount(db=engine.spec())

    result = m.sh(
        "echo 'select 1 as a;' > $C/query.sql\n"
        f"{nothing}\n"
        "cat $C/result.csv $C/query.sql; grep '\"id\"' $C/status.json",
    )

    assert result.check().out == 'a\n1\nselect 1 as a;\n  "id": 1,\n'


# Rule 4 says when result.csv empties: a script starts with its first statement.
def test_an_open_file_without_a_statement_leaves_the_result(mount, engine):
    m = mount(db=engine.spec())

    result = m.python(
        """
import os, subprocess
conn = os.environ["C"]
open(conn + "/query.sql", "w").write("select 1 as a;")
fd = os.open(conn + "/query.sql", os.O_WRONLY | os.O_TRUNC)
os.write(fd, b"select")
subprocess.run(["cat", conn + "/result.csv"])
os.write(fd, b" 2 as b;")
subprocess.run(["cat", conn + "/result.csv"])
"""
    )

    assert result.check().out == "a\n1\nb\n2\n"


def test_query_sql_reads_as_the_last_statement(mount, engine):
    m = mount(db=engine.spec())

    result = m.sh(
        "cat $C/query.sql; printf 'select 1;\\n  select\\n2 ;\\n' > $C/query.sql\n"
        "cat $C/query.sql"
    )

    assert result.check().out == "select\n2;\n"


# O_TRUNC takes back what has not run, and so does ftruncate (vim does it).
def test_truncating_forgets_unfinished_text(table):
    m, engine = table

    m.python(
        """
import os
fd = os.open(os.environ["C"] + "/query.sql", os.O_WRONLY)
os.write(fd, b"delete from t where ")
os.ftruncate(fd, 0)
os.write(fd, b"insert into t values (1)")
os.close(fd)
"""
    ).check()

    assert rows(engine) == ["1"]


# FSYNC runs what stands there, as FLUSH does, and tells what came of it.
def test_fsync_runs_the_text(table):
    m, engine = table

    result = m.python(
        """
import os
fd = os.open(os.environ["C"] + "/query.sql", os.O_WRONLY)
os.write(fd, b"insert into t values (1)")
os.fsync(fd)
os.fsync(fd)
os.write(fd, b"insert into nowhere values (1)")
try:
    os.fsync(fd)
except OSError as e:
    print(e.errno)
"""
    )

    assert result.check().out == f"{errno.EINVAL}\n"
    assert rows(engine) == ["1"]


# Who asks for the result has said all there is to say.
def test_opening_a_result_runs_ones_own_text(mount, engine):
    m = mount(db=engine.spec())

    result = m.python(
        """
import os
query = open(os.environ["C"] + "/query.sql", "w")
query.write("select 3 as a")
query.flush()
print(open(os.environ["C"] + "/result.csv").read(), end="")
query.write("select 4 as a")
query.flush()
print(open(os.environ["C"] + "/result.csv").read(), end="")
"""
    )

    assert result.check().out == "a\n3\na\n4\n"


# A transaction lives in the conversation's session, over several scripts, and
# nobody else sees into it.
def test_a_transaction_spans_scripts(table):
    m, engine = table

    result = m.sh(
        "echo 'begin;' > $C/query.sql\n"
        "echo 'insert into t values (1);' > $C/query.sql\n"
        "echo 'select count(*) as n from t;' > $C/query.sql; cat $C/result.csv\n"
        "setsid -w sh -c 'echo \"select count(*) as n from t;\" > $C/query.sql;"
        " cat $C/result.csv'\n"
        "echo 'rollback;' > $C/query.sql\n"
        "echo 'select count(*) as n from t;' > $C/query.sql; cat $C/result.csv\n"
    )

    assert result.check().out == "n\n1\nn\n0\nn\n0\n"
    assert rows(engine) == []


# One session per conversation: what SET or a temporary table leaves behind is
# there for the next script.
def test_settings_last_for_the_conversation(mount, engine):
    m = mount(db=engine.spec())

    result = m.sh(
        "echo 'create temporary table mine as select 5 as n;' > $C/query.sql\n"
        "echo 'select * from mine;' > $C/query.sql; cat $C/result.csv\n"
        "setsid -w bash -c 'echo \"select * from mine;\" > $C/query.sql; :'"
    )

    assert (result.rc, result.out) == (0, "n\n5\n")
    assert "Invalid argument" in result.err
