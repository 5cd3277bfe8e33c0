# SPDX-License-Identifier: MIT
"""Editors on saved queries, and what they leave beside them."""

import pytest

from programs import Terminal
from servers import Sqlite

DUMB = {"TERM": "dumb"}


@pytest.fixture
def m(mount, engine):
    """A mount db; $Q is queries/ of it, and x.sql says `select 1 as a`."""
    m = mount(db=engine.spec())
    m.sh('echo "select 1 as a;" >"$C/queries/x.sql"').check()
    return m


def sh(m, script, **how):
    return m.sh('Q="$C/queries"\n' + script, env=DUMB, **how)


def shown(m, name="x"):
    """What stands there besides x.csv and the like, and the rows."""
    result = sh(
        m,
        f"ls -A $Q | grep -v '[.]csv$\\|[.]tsv$\\|[.]json$\\|[.]jsonl$\\|[.]txt$'\n"
        f"cat $Q/{name}.csv",
    )
    return result.check().lines


@pytest.mark.parametrize(
    "options",
    [
        "set nobackup",
        "set backup | set backupcopy=yes | set backupskip=",
        "set backup | set backupcopy=no | set backupskip=",
        "set nowritebackup",
        "set backup | set patchmode=.orig | set backupskip=",
    ],
)
@pytest.mark.parametrize("mode", ["-es", "-e"])
def test_vim_changes_one(m, options, mode):
    keep = [f"x.sql{s}" for s in ["~", ".orig"] if s == "~" or "patch" in options]

    sh(
        m,
        f"vim {mode} -u NONE -c '{options}' -c '%s/1/2/' -c wq $Q/x.sql </dev/null",
    )

    lines = shown(m)
    assert lines[-2:] == ["a", "2"]
    assert lines[0] == "x.sql"
    assert set(lines[1:-2]) <= set(keep)


def test_vim_makes_one_and_writes_again(m):
    sh(
        m,
        "vim -es -u NONE -c 'normal iselect 5 as b' -c w -c '%s/5/6/' -c w -c q"
        " $Q/y.sql </dev/null",
    )

    assert shown(m, "y") == ["x.sql", "y.sql", "b", "6"]


# Its swap file is there while it edits, and has no results.
def test_vim_sees_that_somebody_else_edits_it(m):
    with Terminal(m, "vim -u NONE -N $C/queries/x.sql") as t:
        t.wait_for("select 1 as a")

        names = sh(m, "ls -A $Q").check().lines
        t.type(":q!\r")

        assert t.client.wait().rc == 0
    assert [n for n in names if n.startswith(".")] == [".x.sql.swp"]
    assert shown(m) == ["x.sql", "a", "1"]


def test_nano_changes_one(m):
    with Terminal(m, "nano -I -B $C/queries/x.sql") as t:
        t.wait_for("select 1 as a")
        t.type("-- two\r")
        t.type("\x0f")
        t.wait_for("File Name to Write")
        t.type("\r")
        t.wait_for("Wrote 2 lines")
        t.type("\x18")

        assert t.client.wait().rc == 0

    assert sh(m, "cat $Q/x.sql").check().lines == ["-- two", "select 1 as a;"]
    assert shown(m) == ["x.sql", "x.sql~", "a", "1"]


@pytest.mark.parametrize(
    "edit",
    [
        "sed -i s/1/2/ $Q/x.sql",
        "cd $Q && sed -i s/1/2/ x.sql",
        "perl -pi -e s/1/2/ $Q/x.sql",
        "busybox sed -i s/1/2/ $Q/x.sql",
        "echo 'select 2 as a' | tee $Q/x.sql >/dev/null",
        "echo 'select 2 as a' >$Q/.new && mv $Q/.new $Q/x.sql",
        "echo 'select 2 as a' >$T && cp $T $Q/x.sql",
        "echo 'select 2 as a' >$T && mv $T $Q/x.sql",
        "echo 'select 2 as a' >$T && install $T $Q/x.sql",
        "echo 'select 2 as a' >$T && rsync $T $Q/x.sql",
        "echo 'select 2 as a' >$T && rsync --inplace $T $Q/x.sql",
        "echo 'select 2 as a' >$T && dd if=$T of=$Q/x.sql status=none",
        "echo 'select 2 as a' >$T && tar -cf - -C ${T%/*} ${T##*/}"
        " | tar -xf - -C $Q --transform s/.*/x.sql/",
    ],
)
def test_programs_change_one(mount, test_dir, edit):
    m = mount(db=Sqlite(test_dir / "test.db").spec())
    script = f'echo "select 1 as a;" >$Q/x.sql; {edit}'

    m.sh(
        'Q="$C/queries"\n' + script, env={"T": str(test_dir / "new"), **DUMB}
    ).check()

    assert shown(m) == ["x.sql", "a", "2"]


# What sed -i did to the text counts from the next open on; what is open goes on.
def test_an_edit_does_not_disturb_who_reads(m):
    result = sh(
        m,
        "exec 3<$Q/x.csv; sed -i s/1/2/ $Q/x.sql; cat $Q/x.csv; cat <&3; exec 3<&-\n"
        "exec 3<$Q/x.csv; rm $Q/x.sql; cat <&3",
    )

    assert result.check().lines == ["a", "2", "a", "1", "a", "2"]
