# SPDX-License-Identifier: MIT
"""params.json: whose parameters a statement takes."""

import pytest

import servers
from clients import wait_for
from doors import Door
from params import marks, run

OTHER = 1000


@pytest.fixture
def db(mount, engine):
    """A mount db of an empty database, and the engine."""
    return mount(db=engine.spec()), engine


@pytest.fixture
def lite(mount, test_dir):
    """A mount of an SQLite file."""
    return mount(db=servers.Sqlite(test_dir / "test.db").spec())


def test_separate_processes_of_one_shell(db):
    m, engine = db

    got = m.sh(
        "/bin/echo '[\"x\"]' >\"$C/params.json\" &&"
        ' cat "$C/params.json" && /bin/echo "$Q" >"$C/query.sql" &&'
        ' cat "$C/params.json" "$C/result.csv"',
        env={"Q": f"select {marks(engine, 1)};"},
    ).check()

    assert got.lines == ['["x"]', "c1", "x"]


@pytest.mark.parametrize("echo", ["echo", "/bin/echo"])
def test_each_job_of_xargs_gets_its_own(db, echo):
    m, engine = db
    job = (
        f'{echo} "[$0]" >"$C/params.json" &&'
        f' {echo} "$Q" >"$C/query.sql" && tail -n 1 "$C/result.csv" |'
        f' sed "s/^/$0 /" && {echo} "select 0 as none;" >"$C/query.sql"'
    )

    got = m.sh(
        'seq 200 | xargs -P8 -n1 sh -c "$J"',
        env={"J": job, "Q": f"select {marks(engine, 1, 'int')};"},
        timeout=120,
    ).check()

    assert sorted(got.lines) == sorted(f"{n} {n}" for n in range(1, 201))


# What a job that still runs has written is not its parent's to use.
def test_a_shell_does_not_get_those_of_its_running_job(db, test_dir):
    m, engine = db
    job, door = Door(test_dir / "job"), Door(test_dir / "door")

    shell = m.start_sh(
        "(echo '[\"job\"]' >\"$C/params.json\"; read -r go <\"$JOB\";"
        ' echo "$Q" >"$C/query.sql"; tail -n 1 "$C/result.csv") &'
        ' read -r go <"$DOOR"; cat "$C/params.json"; echo "select 2;"'
        ' >"$C/query.sql"; tail -n 1 "$C/result.csv"; wait',
        env={
            "Q": f"select {marks(engine, 1)};",
            "JOB": str(job),
            "DOOR": str(door),
        },
    )
    job.reached()
    door.open()
    wait_for(lambda: shell.stdout, "the shell has run its statement")
    job.open()

    assert shell.wait().check().lines == ["2", "job"]


def test_a_child_uses_those_of_its_parent(db):
    m, engine = db

    got = m.sh(
        "echo '[\"x\"]' >\"$C/params.json\";"
        ' sh -c \'echo "$Q" >"$C/query.sql"; tail -n 1 "$C/result.csv"; true\'',
        env={"Q": f"select {marks(engine, 1)};"},
    ).check()

    assert got.lines == ["x"]


def test_a_child_with_its_own_leaves_those_of_its_parent(db):
    m, engine = db

    got = m.sh(
        "echo '[\"parent\"]' >\"$C/params.json\";"
        " sh -c 'echo \"[\\\"child\\\"]\" >\"$C/params.json\";"
        ' echo "$Q" >"$C/query.sql"; tail -n 1 "$C/result.csv"\';'
        ' echo "$Q" >"$C/query.sql"; tail -n 1 "$C/result.csv"',
        env={"Q": f"select {marks(engine, 1)};"},
    ).check()

    assert got.lines == ["child", "parent"]


# Of several by one shell the last counts, whoever wrote it for the shell.
def test_the_last_ones_replace_those_before(db):
    m, engine = db

    got = m.sh(
        "echo '[\"first\"]' >\"$C/params.json\";"
        " /bin/echo '[\"second\"]' >\"$C/params.json\";"
        " /bin/echo '[\"third\"]' >\"$C/params.json\";"
        ' cat "$C/params.json"; echo "$Q" >"$C/query.sql";'
        ' tail -n 1 "$C/result.csv"; cat "$C/params.json"',
        env={"Q": f"select {marks(engine, 1)};"},
    ).check()

    assert got.lines == ['["third"]', "third"]


def test_another_shell_neither_sees_nor_uses_them(db):
    m, engine = db
    writer = m.start_sh("echo '[\"x\"]' >\"$C/params.json\"; echo; exec sleep 600")
    wait_for(lambda: writer.stdout, "the parameters are written")

    (step,) = run(m, (None, "select 1;"))

    assert (step.pending, step.rows) == ("", [["1"]])


def test_another_user_neither_sees_nor_uses_them(mount, engine):
    m = mount(db=engine.spec(access={"everyone": True}))
    writer = m.start_sh("echo '[\"x\"]' >\"$C/params.json\"; echo; exec sleep 600")
    wait_for(lambda: writer.stdout, "the parameters are written")

    (step,) = run(m, (None, "select 1;"), uid=OTHER)

    assert (step.pending, step.rows) == ("", [["1"]])


# A set-uid program that inherits a descriptor does not speak for its owner.
def test_write_by_another_uid_is_refused(lite):
    got = lite.python(
        "import errno, os\n"
        "fd = os.open(os.environ['C'] + '/params.json', os.O_WRONLY)\n"
        f"os.setresuid({OTHER}, {OTHER}, 0)\n"
        "try:\n"
        "    os.write(fd, b'[1]')\n"
        "except OSError as e:\n"
        "    print(errno.errorcode[e.errno])\n"
        "os.setresuid(0, 0, 0)\n"
        "print(repr(open(os.environ['C'] + '/params.json').read()))\n"
    ).check()

    assert got.lines == ["EACCES", "''"]


def test_they_do_not_outlive_the_shell(db):
    m, engine = db
    m.sh("echo '[\"x\"]' >\"$C/params.json\"").check()

    (step,) = run(m, (None, "select 1;"))

    assert (step.pending, step.rows) == ("", [["1"]])


# 64 living processes that do not use what they wrote are enough.
def test_too_many_writers_are_refused(lite):
    got = lite.python(
        "import errno, os, subprocess, sys\n"
        "held = []\n"
        "for i in range(66):\n"
        "    child = subprocess.Popen(\n"
        "        ['sh', '-c', 'echo \"[1]\" >\"$C/params.json\" && echo ok;'\n"
        "         ' read -r line; cat \"$C/error\"'],\n"
        "        stdin=subprocess.PIPE, stdout=subprocess.PIPE,\n"
        "        stderr=subprocess.DEVNULL, text=True)\n"
        "    held.append(child)\n"
        "    if i < 64:\n"
        "        assert child.stdout.readline() == 'ok\\n', i\n"
        "print(held[-1].communicate()[0])\n"
        "for child in held[:-1]:\n"
        "    child.communicate()\n",
        timeout=60,
    ).check()

    assert "params.json: those of 64 processes are waiting" in got.out
    assert "ERRNO:  EDQUOT" in got.out


def test_sessions_have_their_own(lite):
    got = lite.sh(
        'mkdir "$C/sessions/a" && echo "[1]" >"$C/sessions/a/params.json" &&'
        ' cat "$C/params.json" "$C/sessions/a/params.json" &&'
        ' echo "select 2" >"$C/query.sql" && tail -n 1 "$C/result.csv" &&'
        ' setsid sh -c \'echo "select ?" >"$C/sessions/a/query.sql" &&'
        ' tail -n 1 "$C/sessions/a/result.csv"\' &&'
        ' rmdir "$C/sessions/a"'
    ).check()

    assert got.lines == ["[1]", "2", "1"]


def test_an_exchange_takes_none(lite):
    got = lite.python(
        "import os\n"
        "C = os.environ['C']\n"
        "with open(C + '/params.json', 'w') as f:\n"
        "    f.write('[1]')\n"
        "with open(C + '/query.sql', 'r+b', buffering=0) as x:\n"
        "    x.write(b'select 2 as n;')\n"
        "    print(x.read(100))\n"
        "print(open(C + '/params.json').read())\n"
    ).check()

    assert got.lines == ["b'n\\n2\\n'", "[1]"]
