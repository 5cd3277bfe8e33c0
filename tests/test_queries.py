# SPDX-License-Identifier: MIT
"""queries/: a saved query is a file NAME.sql, and NAME.csv and the other
formats run it anew at each open."""

import errno
import signal
import stat

import pytest

from clients import wait_for
from doors import Door

ALICE = 20001
BOB = 20002

EVERYONE = {"everyone": True}
FORMATS = ["csv", "tsv", "jsonl", "json", "txt"]


@pytest.fixture
def table(mount, engine):
    """A mount db of a database with an empty table t (n integer); $Q is its
    queries/, and the spec has a query `of_spec`."""
    engine.sql("create table t (n integer)")
    return mount(
        db=engine.spec(
            access=EVERYONE, queries={"of_spec": "select count(*) as n from t"}
        )
    )


def sh(m, script, **how):
    return m.sh('Q="$C/queries"\n' + script, **how)


def start_sh(m, script, **how):
    return m.start_sh('Q="$C/queries"\n' + script, **how)


def count(engine):
    return int(engine.sql("select count(*) from t")[0][0])


def test_each_open_runs_it_afresh(table, engine):
    ask = "cat $Q/x.csv"
    first = sh(table, f'echo "select count(*) as n from t;" >$Q/x.sql && {ask}')
    engine.sql("insert into t values (1)")

    again = sh(table, ask)

    assert first.check().lines == ["n", "0"]
    assert again.check().lines == ["n", "1"]


# One execution an open: what two have open at once are rows of different times.
def test_opens_at_once_each_see_their_own_rows(table, test_dir, engine):
    door = Door(test_dir / "door")
    reader = start_sh(
        table,
        'echo "select count(*) as n from t" >$Q/x.sql; exec 3<$Q/x.csv\n'
        f"read x <{door}; exec 4<$Q/x.csv; cat <&4; cat <&3",
    )
    door.reached()
    engine.sql("insert into t values (1)")
    door.open()

    assert reader.wait().check().lines == ["n", "1", "n", "0"]


@pytest.mark.parametrize("made", ["by its maker", "in the spec"])
def test_all_formats_are_links_to_what_runs(table, made):
    name = "x" if made == "by its maker" else "of_spec"
    code = (
        "import os\n"
        "q = os.environ['C'] + '/queries/'\n"
        f"if {name!r} == 'x':\n"
        "    with open(q + 'x.sql', 'w') as f: f.write('select 1 as n')\n"
        "print(*sorted(n for n in os.listdir(q) if n.split('.')[0] == "
        f"{name!r}))\n"
        f"for f in {FORMATS}:\n"
        f"    p = q + {name!r} + '.' + f\n"
        "    print(os.readlink(p), oct(os.lstat(p).st_mode),\n"
        "          oct(os.stat(p).st_mode), os.stat(p).st_size)\n"
        "print(os.path.exists(q + '.run'), '.run' in os.listdir(q))\n"
    )

    lines = table.python(code).check().lines

    files = sorted([f"{name}.{f}" for f in FORMATS] + [f"{name}.sql"])
    assert lines == [
        " ".join(files),
        *[
            f".run/{name}.{f} {oct(stat.S_IFLNK | 0o777)} "
            f"{oct(stat.S_IFREG | 0o444)} 0"
            for f in FORMATS
        ],
        "True False",
    ]


# From the one text, in each format as result.* has it.
def test_each_format_can_be_read(table):
    result = sh(
        table,
        "echo 'select 1 as a' >$Q/x.sql\n"
        f"for f in {' '.join(FORMATS)}; do cat $Q/x.$f; done",
    )

    assert result.check().out == (
        'a\n1\na\n1\n{"a":1}\n[\n{"a":1}\n]\n a\n---\n 1\n(1 row)\n'
    )


@pytest.mark.parametrize(
    "text, content",
    [
        ("select 1 as a", "a\n1\n"),
        ("select 1 as a;", "a\n1\n"),
        ("select 1 as a; select 2 as b;\n\n", "b\n2\n"),
        ("select 1 as a; insert into t values (5)", "a\n1\n"),
        ("select n from t", "n\n"),
        ("insert into t values (5);", ""),
        ("-- nothing\n", ""),
        ("", ""),
    ],
)
def test_the_last_result_set_is_what_is_read(table, text, content):
    result = sh(table, 'cat >$Q/x.sql && cat "$Q/x.csv"', stdin=text)

    assert result.check().out == content


# It is nobody else's conversation: nothing of it shows beside query.sql.
def test_it_leaves_the_conversation_alone(table):
    result = sh(
        table,
        "echo 'select 7 as own;' >$C/query.sql; echo 'select 1 as a' >$Q/x.sql\n"
        "cat $Q/x.csv $C/result.csv $C/query.sql; cat $C/error; ls $C/results/1.csv",
    )

    assert result.check().lines == [
        *["a", "1", "own", "7", "select 7 as own;"],
        str(table.path("db", "results", "1.csv")),
    ]


# What it leaves open ends with the close.
def test_the_close_rolls_back(table, engine):
    result = sh(
        table,
        'echo "begin; insert into t values (1); select count(*) as n from t"'
        " >$Q/x.sql; cat $Q/x.csv; cat $Q/x.csv",
    )

    assert result.check().lines == ["n", "1", "n", "1"]
    wait_for(lambda: count(engine) == 0, "the rollback")


MARK = {"postgres": "$1", "mariadb": "?", "sqlite": "?"}


# What waits in params.json is for the next statement, which this one is.
def test_parameters_are_for_its_first_statement(table, engine):
    mark = MARK[engine.name]
    result = sh(
        table,
        f"echo 'insert into t values ({mark}); select n from t;' >$Q/x.sql\n"
        "echo '[41]' >$C/params.json; cat $Q/x.csv; cat $C/params.json\n"
        "cat $Q/x.csv 2>/dev/null || echo none left",
    )

    assert result.check().lines[:2] == ["n", "41"]
    if engine.name != "sqlite":  # there NULL stands for what is not given
        assert result.lines[2:] == ["none left"]


# What is complete when open() returns is read at any place.
def test_a_complete_result_has_its_size(table, test_dir):
    code = (
        "import os, shutil, sys\n"
        "q = os.environ['C'] + '/queries/'\n"
        "with open(q + 'x.sql', 'w') as f: f.write('select 1 as a')\n"
        "for name in ['x.csv', 'x.json']:\n"
        "    with open(q + name) as f:\n"
        "        print(os.fstat(f.fileno()).st_size, os.pread(f.fileno(), 9, 2))\n"
        "        f.seek(0, 2)\n"
        "        print(f.tell())\n"
        "    print(open(shutil.copyfile(q + name, os.environ['TO'])).read(), end='')\n"
        "    print(os.stat(q + name).st_size)\n"
    )
    tools = "head -n1 $Q/x.csv; tail -n1 $Q/x.csv; tac $Q/x.csv; tail -c2 $Q/x.csv"

    read = table.python(code, env={"TO": str(test_dir / "copy")}).check().out
    shown = sh(table, tools).check().lines

    csv, json = "a\n1\n", '[\n{"a":1}\n]\n'
    assert read == (
        f"4 {csv[2:].encode()}\n4\n{csv}0\n"
        f"12 {json[2:11].encode()}\n12\n{json}0\n"
    )
    assert shown == ["a", "1", "1", "a", "1"]


# /dev/stdin opens again what is open: it does not run twice.
def test_dev_stdin_is_the_same_rows(table, engine):
    result = sh(
        table,
        "echo 'insert into t values (1); select count(*) as n from t' >$Q/x.sql\n"
        "cat /dev/stdin <$Q/x.csv; head -n1 $Q/x.csv | cat - /dev/stdin",
    )

    assert result.check().lines == ["n", "1", "n"]
    assert count(engine) == 2


# ---- failures ----


def test_a_failure_is_the_opens(table):
    result = sh(
        table, 'echo "selec 1" >$Q/x.sql; cat $Q/x.csv; head -1 $C/error', shell="bash"
    )

    assert result.err.endswith("x.csv: Invalid argument\n")
    assert "syntax" in result.out


# `error` tells of the last that failed here: which query, and when.
def test_error_names_the_query(table):
    result = sh(
        table,
        "echo 'select 1 as a;' >$C/query.sql; echo 'select * from nowhere' >$Q/x.sql\n"
        "cat $Q/x.csv 2>/dev/null; cat $C/error",
    )

    assert "nowhere" in result.lines[0]
    assert result.lines[-1].startswith("QUERY:  queries/x.sql, run at 2")


# Whatever came last counts: a statement or a saved query.
@pytest.mark.parametrize(
    "then, shown",
    [
        ('echo "select 1 as a;" >$C/query.sql', ""),
        ('echo "selec 2;" >$C/query.sql', "selec 2"),
        ("cat $Q/of_spec.csv >/dev/null", "No statement has been run here"),
        ("true", "queries/x.sql"),
    ],
)
def test_error_shows_the_newer_failure(table, then, shown):
    result = sh(
        table,
        f"echo 'select * from nowhere' >$Q/x.sql; cat $Q/x.csv; {then}; cat $C/error",
    )

    if shown:
        assert shown in result.out
    else:
        assert result.out == ""


# The same text hangs at the file, for who does not know where `error` is.
def test_the_failure_is_an_attribute(table):
    code = (
        "import os\n"
        "q = os.environ['C'] + '/queries/'\n"
        "for name in ['x', 'y']:\n"
        "    with open(q + name + '.sql', 'w') as f: f.write('select * from nowhere')\n"
        "try:\n"
        "    open(q + 'x.csv')\n"
        "except OSError as e:\n"
        "    print(e.errno)\n"
        "print(os.getxattr(q + 'x.csv', 'user.connfs.error').decode())\n"
        "try:\n"
        "    os.getxattr(q + 'y.csv', 'user.connfs.error')\n"
        "except OSError as e:\n"
        "    print(e.errno)\n"
    )

    lines = table.python(code).check().lines

    assert lines[0] == str(errno.EINVAL)
    assert "nowhere" in lines[1]
    assert lines[-1] == str(errno.ENODATA)


# Rows that have been given out cannot be taken back: the read fails.
def test_a_failure_after_rows_ends_the_read(mount, server):
    m = mount(db=server.spec(), settings={"settle_time": 0})
    text = server.series(200000, server.number_until(150000, "n"))
    result = sh(
        m,
        'cat >$Q/x.sql; cat $Q/x.csv >/dev/null || tail -1 "$C/error"',
        stdin=text,
    )

    assert "x.csv: Input/output error" in result.err
    assert result.out.startswith("QUERY:  queries/x.sql, run at")


def test_others_do_not_see_the_failure(table):
    sh(table, 'echo "select * from nowhere" >$Q/x.sql', uid=ALICE).check()
    failed = sh(table, "cat $Q/x.csv; cat $C/error", uid=ALICE)

    other = sh(table, "cat $C/error", uid=BOB).check()
    next_shell = sh(table, "cat $C/error", uid=ALICE).check()

    assert "nowhere" in failed.out
    assert "nowhere" not in other.out + next_shell.out


def test_a_read_only_connection_stays_read_only(mount, engine):
    engine.sql("create table t (n integer)")
    m = mount(db=engine.spec(read_only=True))

    result = sh(m, "echo 'insert into t values (1)' >$Q/x.sql; cat $Q/x.csv")

    assert "Permission denied" in result.err
    assert count(engine) == 0


# Programs that take a file of size 0 for empty are told, instead of being
# given nothing.
@pytest.mark.parametrize("program", ["cat", "cp", "head"])
def test_busybox_is_refused(table, busybox, program):
    argument = "/tmp/copy" if program == "cp" else ""
    result = table.container(
        f"cd /conn/db/queries; echo 'select 1 as a' >x.sql; {program} x.csv {argument}",
        busybox,
    )

    assert (result.out, result.rc) == ("", 1)
    assert "Operation not supported" in result.err or "not supported" in result.err


@pytest.mark.parametrize("how", [">$Q/x.csv", ">>$Q/x.csv", "<>$Q/x.csv"])
def test_a_result_cannot_be_written(table, how):
    result = sh(table, f'echo "select 1" >$Q/x.sql; echo 1 {how}')

    assert result.rc != 0
    assert "Permission denied" in result.err


# ---- waiting, and its end ----


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_who_waits_and_the_statement(mount, server, number):
    m = mount(db=server.spec())
    reader = start_sh(
        m, f'echo "{server.slow}" >$Q/x.sql; exec cat $Q/x.csv', shell="bash"
    )
    server.wait_until_running("sleep(600)")

    reader.signal(number)

    assert reader.wait().rc == -number
    server.wait_until_gone("sleep(600)")


# Whoever only reads is told at once, and in the way that Ctrl-C is known by.
def test_ctrl_c_in_python_is_a_keyboard_interrupt(mount, server):
    m = mount(db=server.spec(queries={"x": server.slow}))
    client = m.start_python("import os; open(os.environ['C'] + '/queries/x.csv')")
    server.wait_until_running("sleep(600)")

    client.signal(signal.SIGINT)

    assert client.wait().err.endswith("\nKeyboardInterrupt\n")
    server.wait_until_gone("sleep(600)")


# A handler that returns has open() called again: nothing may be done twice.
def test_a_caught_signal_does_not_run_an_insert_twice(mount, server, test_dir):
    server.sql("create table t (n integer)")
    m = mount(db=server.spec())
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGINT, lambda *_: None)\n"
        "q = os.environ['C'] + '/queries/'\n"
        "with open(q + 'x.sql', 'w') as f: f.write(os.environ['TEXT'])\n"
        "try:\n"
        "    open(q + 'x.csv')\n"
        "    print('open')\n"
        "except OSError as e:\n"
        "    print(e.errno)\n"
    )
    text = f"insert into t values (1); {server.slow}; insert into t values (2)"
    client = m.start_python(code, env={"TEXT": text})
    server.wait_until_running("sleep(600)")

    client.signal(signal.SIGINT)

    assert client.wait().check().out == f"{errno.ECANCELED}\n"
    assert server.sql("select n from t") == [("1",)]


def test_the_close_cancels_what_still_runs(mount, server):
    m = mount(db=server.spec(), settings={"spool_memory": "64KiB", "spool_disk": 0})

    sh(m, f'echo "{server.endless}" >$Q/x.sql; read x <$Q/x.csv').check()

    server.wait_until_gone(server.endless)


# Nobody waits with it for the end of the mount.
def test_the_mount_ends_while_an_open_waits(mount, server):
    m = mount(db=server.spec())
    start_sh(m, f'echo "{server.slow}" >$Q/x.sql; cat $Q/x.csv')
    server.wait_until_running("sleep(600)")

    m.stop()

    server.wait_until_gone("sleep(600)")
    m.start()


# An open file holds a session of the pool only as long as there is need.
def test_it_takes_part_in_the_pool(mount, server):
    m = mount(
        db=server.spec(max_connections=1),
        settings={"queue_timeout": 0.2, "spool_memory": "64KiB", "spool_disk": 0},
    )
    result = sh(
        m,
        f'echo "{server.endless}" >$Q/long.sql; echo "select 1 as a" >$Q/x.sql\n'
        "exec 3<$Q/long.csv; cat $Q/x.csv; head -1 $C/error; exec 3<&-; cat $Q/x.csv\n"
        "exec 4<$Q/x.csv; cat $Q/x.csv; cat <&4",
    )

    assert "x.csv: Resource temporarily unavailable" in result.err
    assert "no database session became free" in result.lines[0]
    assert result.lines[1:] == ["a", "1"] * 3


# It says who is calling, as every statement.
def test_the_database_is_told_whose_it_is(mount, pg):
    m = mount(db=pg.spec())
    result = sh(
        m,
        "echo \"select current_setting('application_name') as n\" >$Q/x.sql\n"
        "cat $Q/x.csv",
        env={"LAVA_REALM": "test", "LAVA_JOB_ID": "job7"},
    )

    assert result.check().lines == ["n", "lv-test-job7"]


# open() waits, as of every file; what O_NONBLOCK is for is the read.
def test_nonblocking_reads_do_not_wait(mount, pg):
    m = mount(db=pg.spec(), settings={"settle_time": 0})
    # Two rows that are sent at once, and then none for ten minutes.
    text = (
        "select repeat('x', 40000) as n, pg_sleep(case when i > 2 then 600 end)"
        " from generate_series(1, 3) i"
    )
    code = (
        "import os, select\n"
        "q = os.environ['C'] + '/queries/'\n"
        "with open(q + 'x.sql', 'w') as f: f.write(os.environ['TEXT'])\n"
        "fd = os.open(q + 'x.csv', os.O_RDONLY | os.O_NONBLOCK)\n"
        "got = 0\n"
        "while got < 40000:\n"
        "    select.select([fd], [], [])\n"
        "    got += len(os.read(fd, 65536))\n"
        "try:\n"
        "    os.read(fd, 1)\n"
        "except BlockingIOError:\n"
        "    print('later')\n"
    )

    assert m.python(code, env={"TEXT": text}).check().out == "later\n"
