# SPDX-License-Identifier: MIT
"""Editors on query.sql, and the files that they make beside it: design 2 and
rule 3 of section 3."""

import pytest

from clients import wait_for
from programs import Terminal


@pytest.fixture
def table(mount, engine):
    """A mount db of a database with table t (n integer), and what is in it."""
    engine.sql("create table t (n integer)")
    m = mount(db=engine.spec())
    return m, lambda: [row[0] for row in engine.sql("select n from t order by n")]


# vim makes a swap file, truncates, writes, syncs, changes the mode.
def test_vim_writes_and_runs(table):
    m, rows = table

    m.sh(
        "vim -es -u NONE -c 'normal iinsert into t values (1);' -c wq $C/query.sql"
        " < /dev/null; ls -A $C > $M/../names",
        env={"TERM": "dumb"},
    )

    assert rows() == ["1"]
    names = (m.dir / "names").read_text().splitlines()
    assert not [n for n in names if n.startswith(".") or n.endswith("~")]


# Whoever writes twice wants it twice, and each time from the first line.
def test_vim_writes_again_and_again(table):
    m, rows = table

    m.sh(
        "vim -es -u NONE -c 'normal iinsert into t values (1)' -c w"
        " -c '%s/1/2/' -c w! -c q $C/query.sql < /dev/null",
        env={"TERM": "dumb"},
    )

    assert rows() == ["1", "2"]


@pytest.mark.parametrize(
    "options",
    ["set backup", "set backupcopy=yes", "set backupcopy=no", "set nowritebackup"],
)
def test_vim_with_backups_runs_once(table, options):
    m, rows = table

    m.sh(
        "echo 'insert into t values (1);' > $C/query.sql;"
        f" vim -es -u NONE -c '{options}' -c '%s/1/2/' -c wq! $C/query.sql < /dev/null",
        env={"TERM": "dumb"},
    )

    assert rows() == ["1", "2"]


# A failed write is an error message and a buffer that is still modified.
def test_vim_reports_a_failure(table):
    m, rows = table

    result = m.sh(
        "vim -es -u NONE -V1 -c 'normal iselec 1;' -c w -c 'echo &modified' -c q!"
        " $C/query.sql < /dev/null; head -1 $C/error",
        env={"TERM": "dumb"},
    )

    assert "until the file is successfully written!\r\n1" in result.err
    assert "syntax" in result.out
    assert rows() == []


def test_nano_writes_and_runs(table):
    m, rows = table
    with Terminal(m, "nano -I $C/query.sql") as t:
        t.wait_for("nano")
        t.type("insert into t values (5);\x0f")
        t.wait_for("File Name to Write")
        t.type("\r")
        t.wait_for("Wrote 1 line")
        t.type("\x18")

        assert t.client.wait().rc == 0

    assert rows() == ["5"]


# sed -i makes a new file and renames it onto query.sql: that is when it runs.
@pytest.mark.parametrize("semicolon", [";", ""])
def test_sed_in_place_edits_the_last_statement(table, semicolon):
    m, rows = table

    m.sh(
        f"echo 'insert into t values (1){semicolon}' > $C/query.sql;"
        " sed -i s/1/2/ $C/query.sql; ls -A $C | grep -c ^sed"
    )

    assert rows() == ["1", "2"]


# The rename is the last that anybody hears of.
def test_a_rename_onto_query_sql_reports_the_failure(table):
    m, rows = table

    result = m.sh(
        "echo 'insert into t values (1);' > $C/query.sql;"
        " sed -i s/insert/insect/ $C/query.sql; echo $?; head -1 $C/error;"
        " ls $C | wc -l"
    )

    assert "Invalid argument" in result.err
    assert int(result.lines[0]) != 0
    assert "insect" in result.lines[1]
    assert rows() == ["1"]


@pytest.mark.parametrize(
    "command",
    [
        "cp $T $C/new.sql; mv $C/new.sql $C/query.sql",
        "cp $T $C/new.sql; mv -f $C/new.sql $C/query.sql; ! test -e $C/new.sql",
        "cat $T > $C/.tmp && exec mv -T $C/.tmp $C/query.sql",
    ],
)
def test_a_file_moved_onto_query_sql_runs_once(table, command):
    m, rows = table
    text = m.dir / "text"
    text.write_text("insert into t values (1);\ninsert into t values (2)")

    m.sh(command, env={"T": str(text)})

    assert rows() == ["1", "2"]


# mv from another file system removes the target first, which query.sql does not
# allow: it says so, and nothing runs.
def test_mv_from_another_file_system_fails_loudly(table):
    m, rows = table
    text = m.dir / "text"
    text.write_text("insert into t values (1);\n")

    result = m.sh("mv $T $C/query.sql", env={"T": str(text)})

    assert result.rc == 1
    assert "Permission denied" in result.err
    assert text.exists()
    assert rows() == []


# What an editor keeps there is nobody else's business, nor is it run.
def test_scratch_files_are_private_to_the_conversation(table):
    m, rows = table

    result = m.sh(
        "echo 'insert into t values (1);' > $C/mine; cat $C/mine; ls $C | grep mine\n"
        "setsid -w sh -c 'ls $C; cat $C/mine' | grep mine; stat -c %a $C/mine"
    )

    assert result.lines == ["insert into t values (1);", "mine", "600"]
    assert "No such file" in result.err
    assert rows() == []


def test_scratch_files_are_ordinary_files(table):
    m, _ = table

    result = m.sh(
        "cd $C; echo one > a; echo two >> a; cat a; stat -c %s a\n"
        "printf XX | dd of=a conv=notrunc bs=1 seek=2 status=none; cat a\n"
        "truncate -s 3 a; od -c a | head -1; mv a b; cat b; cp b c; cmp b c\n"
        "rm b c; ls | grep -c '^[abc]$'"
    )

    assert result.out == (
        "one\ntwo\n8\nonXXtwo\n0000000   o   n   X\nonX" + "0\n"
    )
    assert result.err == ""


# The fixed names stand for something.
@pytest.mark.parametrize(
    "command",
    [
        "rm -f $C/query.sql",
        "rm -f $C/result.csv",
        "mv $C/query.sql $C/x",
        "mv $C/result.csv $C/x",
        "echo > $C/x; mv $C/x $C/result.csv",
        "echo > $C/x; mv $C/x $C/error",
        "echo > $C/result.csv",
        "echo > $C/error",
        "echo > $C/results/x",
        "echo > $C/creds/x",
        "mkdir $C/x",
        "ln -s x $C/x",
        "echo > $M/x",
        "echo > $M/.connfs/x",
    ],
)
def test_what_connfs_made_cannot_be_replaced(table, command):
    m, _ = table

    result = m.sh(command)

    assert result.rc != 0
    assert result.err != ""
    query = m.query("select 1 as a;")
    assert query.check().out == "a\n1\n"


# They live in the daemon's memory.
def test_scratch_files_are_limited(table):
    m, _ = table

    result = m.sh(
        "cd $C; head -c 17000000 /dev/zero > big; stat -c %s big; rm big\n"
        "i=0; while [ $i -lt 40 ]; do (: > f$i) || break; i=$((i+1)); done; echo $i",
        shell="bash",
    )

    assert int(result.lines[0]) <= 16 * 1024 * 1024 + 4096
    assert result.lines[1:] == ["32"]
    assert "File too large" in result.err
    assert "Disk quota exceeded" in result.err
    assert m.query("select 1 as a;").check().out == "a\n1\n"


# What was left there goes with the session.
def test_scratch_files_end_with_the_conversation(table):
    m, _ = table
    flag = m.dir / "go"
    client = m.start_sh(
        f"echo one > $C/mine; echo made; while ! [ -e {flag} ]; do sleep 0.01; done"
    )
    wait_for(lambda: client.stdout, "the file is made")
    before = m.read(".connfs", "status.json")

    flag.touch()
    client.wait().check()

    assert '"conversations": 1' in before
    wait_for(
        lambda: '"conversations": 0' in m.read(".connfs", "status.json"),
        "the conversation ends",
    )
