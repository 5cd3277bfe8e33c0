# SPDX-License-Identifier: MIT
"""sessions/: a directory that a caller makes is a session of its own."""

import os
import pathlib

import pytest

from clients import wait_for
from doors import Door

ALICE = 20001
BOB = 20002

EVERYONE = {"everyone": True}

# A transaction that inserts a row, left open.
OPEN_INSERT = 'echo "begin; insert into t values (1);" >$S/query.sql'
COUNT = 'echo "select count(*) as n from t;" >%s/query.sql && cat %s/result.csv'


def count(where):
    return COUNT % (where, where)


@pytest.fixture
def table(mount, engine):
    """A mount of a database with an empty table t; $S is sessions/s."""
    engine.sql("create table t (n int)")
    return mount(db=engine.spec(access=EVERYONE))


def sh(m, script, **how):
    return m.sh('S="$C/sessions/s"\n' + script, **how)


def start_sh(m, script, **how):
    return m.start_sh('S="$C/sessions/s"\n' + script, **how)


# The same files as beside it, but for what is the connection's alone.
def test_a_session_has_the_files_of_a_connection(table):
    names = sh(table, 'mkdir $S && ls $S && ls "$C/sessions"').check().lines

    files = [
        *["cancel", "client.json", "connection.json", "error", "params.json"],
        *["query.sql", "result.csv", "result.json", "result.jsonl", "result.tsv"],
        *["result.txt", "results", "status.json", "wait"],
    ]
    assert names == [*files, "s"]


def test_it_belongs_to_its_maker(table):
    shown = sh(table, "mkdir $S && stat -c '%A %u' $S $S/results", uid=ALICE)

    assert shown.check().lines == [f"drwx------ {ALICE}"] * 2


def test_its_results_are_its_own(table):
    result = sh(
        table,
        'mkdir $S; echo "select 1 as a;" >"$C/query.sql"\n'
        'echo "select 2 as b; select 3 as c;" >$S/query.sql\n'
        'cat "$C/result.csv" $S/result.csv $S/results/1.csv\n'
        'ls "$C/results" | grep csv\n'
        "cat $S/query.sql; grep -o 'done' $S/status.json",
    )

    assert result.check().lines == [
        *["a", "1", "c", "3", "b", "2", "1.csv", "select 3 as c;", "done"]
    ]


# Others see what it has committed, and nothing before.
def test_a_transaction_lives_in_it(table):
    result = sh(
        table,
        f'mkdir $S; {OPEN_INSERT}; {count("$S")}; {count("$C")}\n'
        f'echo "commit;" >$S/query.sql; {count("$C")}',
    )

    assert result.check().lines == ["n", "1", "n", "0", "n", "1"]


def test_a_temporary_table_lives_in_it(table):
    result = sh(
        table,
        'mkdir $S; echo "create temporary table mine (n int);" >$S/query.sql\n'
        'echo "select * from mine;" >$S/query.sql; cat $S/result.csv\n'
        'echo "select * from mine;" >"$C/query.sql"',
        shell="bash",
    )

    assert result.out == "n\n"
    assert "Invalid argument" in result.err


# It is found by its name: by other shells of the user, too, after its maker
# has ended.
def test_it_survives_the_process_that_made_it(table):
    sh(table, f"mkdir $S; {OPEN_INSERT}", uid=ALICE).check()

    seen = sh(table, f'{count("$S")}; {count("$C")}', uid=ALICE)

    assert seen.check().lines == ["n", "1", "n", "0"]


# What it showed last is shown to whoever of its owner's looks first.
def test_another_shell_reads_its_result(table):
    sh(table, 'mkdir $S; echo "select 7 as n;" >$S/query.sql').check()

    assert sh(table, "cat $S/result.csv").check().lines == ["n", "7"]


def test_mktemp_makes_one(table):
    result = sh(
        table,
        'D=$(mktemp -d "$C/sessions/XXXXXX"); echo "select 1 as n;" >$D/query.sql\n'
        'cat $D/result.csv; rmdir $D; ls "$C/sessions"',
    )

    assert result.check().out == "n\n1\n"


def test_rmdir_rolls_back(table, engine):
    sh(table, f"mkdir $S; {OPEN_INSERT}; rmdir $S").check()

    assert sh(table, f'{count("$C")}; ls "$C/sessions"').check().lines == ["n", "0"]


# The names are one namespace, and all else of it is hidden from others.
@pytest.mark.parametrize("who", ["another user", "a container"])
def test_others_cannot_see_into_it(table, busybox, who):
    sh(table, f"mkdir $S; {OPEN_INSERT}", uid=ALICE).check()
    look = (
        'S=$C/sessions/s; ls -A $C/sessions; mkdir $S 2>&1 | grep -o "File exists"\n'
        "for f in $S $S/query.sql $S/result.csv $S/results; do\n"
        "  stat $f >/dev/null 2>&1 && echo seen $f; ls $f 2>/dev/null\n"
        "done; cat $S/query.sql 2>/dev/null; rmdir $S 2>/dev/null && echo removed\n"
        '(echo "select 1;" >$S/query.sql) 2>/dev/null && echo written; true'
    )

    if who == "another user":
        seen = table.sh(look, uid=BOB)
    else:
        seen = table.container("C=/conn/db\n" + look, busybox)

    assert seen.check().lines == ["File exists"]


# Root is no exception: it is somebody else's session.
def test_the_mounts_owner_does_not_see_into_it(table):
    sh(table, "mkdir $S", uid=ALICE).check()

    assert sh(table, 'ls "$C/sessions"; ls $S').lines == []


# The kernel uses the number of a pid namespace again once nothing holds it (what
# connfs knows of processes does, until it has seen many more): who is in a later
# one of that number is somebody else, and what an ended one has left ends.
def test_a_later_container_does_not_inherit(mount, server):
    server.sql("create table t (n int)")
    m = mount(db=server.spec(access=EVERYONE))
    script = f"cd $C/sessions; ls; S=s$N; mkdir $S; {OPEN_INSERT}; ls"
    argv = ["unshare", "-pf", "sh", "-c", "sh -c \"$SCRIPT\"; true"]
    seen = []

    for n in range(3):
        client = m.start_client(argv, env={"SCRIPT": script, "N": str(n)})
        seen.append(client.wait().check().lines)
        m.sh('for i in $(seq 150); do cat "$M/README"; done >/dev/null').check()

    assert seen == [["s0"], ["s1"], ["s2"]]
    server.wait_until_idle()
    assert m.query("select count(*) as n from t;").check().out == "n\n0\n"


# The kernel has one directory entry for all: who looks at what is not theirs
# must not take it from those inside.
def test_pwd_works_while_others_look(table, test_dir):
    door = Door(test_dir / "door")
    inside = start_sh(
        table, f"mkdir $S; cd $S; read x <{door}; /bin/pwd; ls -d .", uid=ALICE
    )
    door.reached()

    sh(table, "ls -l $S; cd $S; mkdir $S", uid=BOB)
    door.open()

    assert inside.wait().check().lines == [str(table.path("db", "sessions", "s")), "."]


def test_rmdir_cancels_what_runs(mount, pg, database):
    m = mount(db=pg.spec(database=database))
    writer = start_sh(
        m, 'mkdir $S; echo "select pg_sleep(60);" >$S/query.sql', shell="bash"
    )
    pg.wait_until_running("pg_sleep")

    sh(m, "rmdir $S").check()

    assert "Operation canceled" in writer.wait().err
    pg.wait_until_gone("pg_sleep")
    wait_for(lambda: not pg.activity(f"datname = '{database}'"), "the logout")


# Its cancel file is about its statement, and `error` tells of it.
def test_cancel_and_error_are_of_the_session(mount, pg, database):
    m = mount(db=pg.spec(database=database))
    writer = start_sh(
        m,
        'mkdir $S; echo "select pg_sleep(60);" >$S/query.sql; cat $S/error\n'
        'cat "$C/error"',
    )
    pg.wait_until_running("pg_sleep")

    sh(m, "echo >$S/cancel").check()

    lines = writer.wait().lines
    assert lines[0] == "ERROR:  57014: canceling statement due to user request"
    assert "No statement has been run here in this session." in lines


# Left alone for session_timeout, with an open transaction: rolled back.
def test_an_abandoned_session_is_rolled_back(mount, engine):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec(), settings={"session_timeout": 0.3})
    sh(m, f"mkdir $S; {OPEN_INSERT}").check()

    wait_for(lambda: sh(m, 'ls "$C/sessions"').lines == [], "its end")

    assert sh(m, count("$C")).check().lines == ["n", "0"]


# A file that is open, or a statement that runs, is use.
def test_a_used_session_does_not_end(mount, pg, database, test_dir):
    m = mount(db=pg.spec(database=database), settings={"session_timeout": 0.3})
    door = Door(test_dir / "door")
    user = start_sh(
        m,
        f'mkdir $S; exec 4>$S/query.sql; read x <{door}; echo "select 1 as n;" >&4\n'
        'cat $S/result.csv; echo "select pg_sleep(1);" >&4; ls "$C/sessions"',
    )
    door.reached()
    other = 'mkdir "$C/sessions/short"; while ls "$C/sessions/short"; do :; done'

    m.sh(other)
    door.open()

    assert user.wait().check().lines == ["n", "1", "s"]


def test_its_name_can_be_used_again(table):
    again = f'mkdir $S; {OPEN_INSERT}; rmdir $S; mkdir $S; {count("$S")}; cat $S/error'

    assert sh(table, again).check().lines == ["n", "0"]


def test_who_is_inside_when_it_ends_finds_nothing(table):
    left = sh(
        table,
        'mkdir $S; cd $S; rmdir "$C/sessions/s"; ls; cat result.csv; '
        "echo 'select 1;' >query.sql",
    )

    assert left.out == "" and left.rc != 0


# A file that was opened before the end says so.
def test_an_open_file_of_an_ended_session_fails(table):
    result = sh(
        table,
        'mkdir $S; exec 4>$S/query.sql; rmdir $S; echo "select 1;" >&4',
        shell="bash",
    )

    assert "not connected" in result.err


@pytest.mark.parametrize(
    "command",
    [
        "mkdir $C/x",
        "mkdir $C/results/x",
        "mkdir $C/creds/x",
        "mkdir $M/x",
        "mkdir $S/x",
        "rmdir $S/results",
        "rmdir $C/sessions",
        "rmdir $C",
        "mv $S $C/sessions/x",
        "mv $S/query.sql $S/x",
        "rm $S/query.sql",
        "mkdir \"$C/sessions/$(printf 'a\\nb')\"",
        "touch $C/sessions/x",
    ],
)
def test_nothing_else_can_be_made_or_removed(table, command):
    result = sh(table, f"mkdir $S; {command}")

    assert result.rc == 1
    assert sh(table, 'ls "$C/sessions"').lines == ["s"]


# One user's sessions are limited, and those of others are not less for it.
def test_sessions_are_limited(table):
    fill = 'cd "$C/sessions"; i=0; while mkdir $i; do i=$((i+1)); done; ls | wc -l'

    full = table.sh(fill, uid=ALICE)

    assert full.out == "1000\n"
    assert "quota" in full.err
    sh(table, "mkdir $S", uid=BOB).check()


def test_editors_work_in_it(table):
    result = sh(
        table,
        'mkdir $S; echo "select 1 as n;" >$S/query.sql; sed -i s/1/2/ $S/query.sql\n'
        "cat $S/result.csv; ls -A $S | grep sed",
    )

    assert result.out == "n\n2\n"


def test_it_ends_with_the_connection(mount, engine):
    m = mount(db=engine.spec(), other=engine.spec())
    sh(m, 'mkdir $S; echo "select 1;" >$S/query.sql', conn="db").check()
    m.specs.pop("db")

    m.reload()

    wait_for(lambda: not m.sh('ls "$M"').lines.count("db"), "the connection goes")
    assert m.sh('ls "$M/db/sessions"').rc != 0


def spool_files(m):
    """Unlinked files the daemon holds."""
    found = []
    for fd in pathlib.Path(f"/proc/{m.pid}/fd").iterdir():
        try:
            target = os.readlink(fd)
        except FileNotFoundError:
            continue
        if target.endswith("(deleted)"):
            found.append(target)
    return found


# kill -9 of a job in a transaction, with a large result half read.
def test_a_killed_job_leaves_nothing_behind(mount, pg, database, test_dir):
    pg.sql("create table t (n int)", database, "app")
    m = mount(
        db=pg.spec(database=database),
        settings={"spool_memory": "1MiB", "spool_disk": "64MiB"},
    )
    door = Door(test_dir / "door")
    job = m.start_sh(
        'echo "begin; insert into t values (1);" >"$C/query.sql"\n'
        'echo "select repeat(md5(i::text), 100) from generate_series(1, 10000) i;"'
        ' >"$C/query.sql"; exec 3<"$C/result.csv"; read x <&3; read y <' + f"{door}"
    )
    door.reached()
    assert spool_files(m)

    job.kill()

    job.wait()
    wait_for(lambda: not spool_files(m), "the spool file goes")
    wait_for(
        lambda: not pg.activity(f"datname = '{database}'"), "the connection goes"
    )
    assert pg.sql("select count(*) from t", database) == [("0",)]


# A session that a killed job had made is there for the next one, until it has
# been unused for session_timeout.
def test_a_killed_jobs_session_can_be_taken_up(table, test_dir):
    door = Door(test_dir / "door")
    job = start_sh(table, f"mkdir $S; {OPEN_INSERT}; read x <{door}")
    door.reached()

    job.kill()

    job.wait()
    taken = sh(table, f'{count("$S")}; echo "rollback;" >$S/query.sql')
    assert taken.check().lines == ["n", "1"]


# Two processes of the same user share it, one statement at a time.
def test_two_shells_share_a_session(table):
    sh(table, "mkdir $S").check()
    insert = 'echo "insert into t values (1);" >$S/query.sql\n' * 5

    writers = [start_sh(table, insert) for _ in range(4)]

    for writer in writers:
        writer.wait().check()
    assert sh(table, count("$S")).check().lines == ["n", "20"]


# In one transaction, that is: all of them are gone with it.
def test_what_several_shells_wrote_is_one_transaction(table):
    sh(table, f"mkdir $S; {OPEN_INSERT}").check()
    sh(table, 'echo "insert into t values (2);" >$S/query.sql').check()

    sh(table, 'echo "rollback;" >$S/query.sql').check()

    assert sh(table, count("$C")).check().lines == ["n", "0"]
