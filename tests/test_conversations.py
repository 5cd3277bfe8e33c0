# SPDX-License-Identifier: MIT
"""Who shares what: shells, their jobs, users and containers."""

import json
import os
import pathlib
import shlex

import pytest

import clients
from clients import SCALE, wait_for
from doors import Door

ALICE = 20001
BOB = 20002

EVERYONE = {"everyone": True}

# All that a session can see of what it did with a connection.
LOOK = """
cd "$C"
cat result.csv 2>/dev/null; echo "result: $?"
cat query.sql
ls results | grep csv
ls -A | grep scratch
grep '"state"' status.json
sed -n 2,99p ../.connfs/statements
cat error
"""

NOTHING_SEEN = ["result: 1", '  "state": "idle",']

HINT = "No statement has been run here in this session."

# What somebody leaves there: rows, text, a scratch file, a failed statement
# before, and one that runs.
LEAVE = """
cd "$C"
echo "select 'private' as secret;" >query.sql
cat result.csv
echo "private" >.scratch
"""


def in_container(script, root, m, test_dir, userns=False):
    """The argv of a container that also has the test's directory, at its path."""
    argv = clients.container_argv(script, root, m.mnt, userns)
    return argv[:-3] + ["--bind", str(test_dir), "/tmp/doors"] + argv[-3:]


@pytest.fixture
def two(mount, engine, busybox, test_dir):
    """two(kind, a, b): two clients that must be nothing to each other.

    a is started and has come to its door before b is, and both end after
    that. Their scripts get $C and $DOOR.
    """

    def make(kind, a, b):
        m = mount(db=engine.spec(access=EVERYONE))
        doors = [Door(test_dir / name) for name in "ab"]

        def start(script, door, uid):
            if "container" in kind:
                env = "C=/conn/db; M=/conn; DOOR=/tmp/doors/" + door.path[-1] + "\n"
                argv = in_container(
                    env + script, busybox, m, test_dir, "user namespace" in kind
                )
            else:
                argv = ["sh", "-c", script]
            how = {"uid": uid} if kind == "users" else {}
            return m.start_client(argv, env={"DOOR": str(door)}, **how)

        first = start(a, doors[0], ALICE)
        doors[0].reached()
        second = start(b, doors[1], BOB)
        doors[1].reached()
        doors[0].open()
        doors[1].open()
        return first.wait(), second.wait()

    return make


KINDS = ["shells", "users", "containers", "containers with a user namespace"]


# Rows, text, state, error, scratch files and running statements are seen in the
# session they are of, and in no other.
@pytest.mark.parametrize("kind", KINDS)
def test_strangers_see_nothing_of_each_other(two, kind):
    door = '\nread x <"$DOOR"\n'

    a, b = two(kind, LEAVE + door + LOOK, LOOK + door)

    assert b.lines[:2] == NOTHING_SEEN
    assert b.lines[2] == HINT
    assert "private" not in b.out
    assert a.lines == [
        *["secret", "private", "secret", "private", "result: 0"],
        *["select 'private' as secret;", "1.csv", ".scratch", '  "state": "done",'],
    ]


# Both work at the same time; each goes on with what it had.
@pytest.mark.parametrize("kind", KINDS)
def test_strangers_do_not_disturb_each_other(two, kind):
    script = """
    cd "$C"
    echo "select 'NAME' as n;" >query.sql
    read x <"$DOOR"
    cat result.csv
    echo "selec NAME;" >query.sql
    cat error | head -n 1
    echo "select 'NAME again' as n;" >query.sql && cat result.csv
    """

    a, b = two(kind, script.replace("NAME", "A"), script.replace("NAME", "B"))

    assert (a.lines[1], a.lines[-1]) == ("A", "A again")
    assert (b.lines[1], b.lines[-1]) == ("B", "B again")


# A database session, with its temporary tables, is of one conversation.
@pytest.mark.parametrize("kind", KINDS)
def test_strangers_have_no_database_session_in_common(two, kind):
    make = """
    cd "$C"
    echo "create temporary table mine as select 'NAME' as n;" >query.sql
    read x <"$DOOR"
    echo "select n from mine;" >query.sql && cat result.csv
    """

    a, b = two(kind, make.replace("NAME", "A"), make.replace("NAME", "B"))

    assert a.check().lines == ["n", "A"]
    assert b.check().lines == ["n", "B"]


# .connfs/statements lists the caller's own; the owner of the mount sees all.
@pytest.mark.parametrize("kind", ["users", "containers"])
def test_running_statements_are_listed_for_those_they_are_of(
    mount, engine, busybox, test_dir, kind
):
    m = mount(db=engine.spec(access=EVERYONE))

    def start(script, uid):
        if kind == "users":
            return m.start_sh(script, uid=uid)
        argv = in_container("C=/conn/db; M=/conn\n" + script, busybox, m, test_dir)
        return m.start_client(argv)

    writer = start(f'echo "{engine.slow};" >"$C/query.sql"', ALICE)
    wait_for(
        lambda: [s[4] for s in statements(m)] == ["running"],
        "it is listed for the owner",
    )
    stranger = start('cat "$M/.connfs/statements"', BOB).wait().check()
    shown = statements(m)

    assert len(stranger.lines) == 1
    assert stranger.lines[0].startswith("id\tconnection\tuid\t")
    assert shown[0][1:3] == ["db", str(ALICE) if kind == "users" else "0"]
    assert shown[0][4] == "running"
    assert shown[0][-1] == engine.slow
    assert writer.running


def statements(m, **how):
    text = m.sh('cat "$M/.connfs/statements"', **how).check().out
    return [line.split("\t") for line in text.splitlines()[1:]]


# A stranger cannot cancel by number; whoever is of the same uid can, from
# another terminal, and so can the owner.
def test_cancelling_by_number_is_for_ones_own(mount, engine):
    m = mount(db=engine.spec(access=EVERYONE))
    write = f'echo "{engine.slow};" >"$C/query.sql"'

    for canceller in [{"uid": ALICE}, {}]:
        writer = m.start_sh(write, uid=ALICE, shell="bash")
        number = wait_for(lambda: statements(m, uid=ALICE), "it is listed")[0][0]
        cancel = f'echo {number} >"$M/.connfs/cancel"'

        refused = m.sh(cancel, uid=BOB, shell="bash")
        assert "No such process" in refused.err
        assert writer.running
        m.sh(cancel, **canceller).check()

        assert "Operation canceled" in writer.wait().err


# Two `docker exec`: the second has run nothing and is told so, with a hint.
def test_a_session_that_has_run_nothing_is_told_so(mount, engine):
    m = mount(db=engine.spec())
    script = """
    setsid -w sh -c 'echo "select 1 as a;" >"$C/query.sql"' || exit 9
    setsid -w sh -c 'cat "$C/result.csv"'
    echo $?
    setsid -w sh -c 'cat "$C/error"'
    """

    done = m.sh(script)

    assert done.err.endswith("result.csv: No data available\n")
    assert done.lines[:2] == ["1", HINT]
    assert "sh -c" in done.out


# A shell and its children share, whoever writes and whoever reads.
@pytest.mark.parametrize(
    "script",
    [
        'echo "select 7 as n;" >"$C/query.sql"; cat "$C/result.csv"',
        "sh -c 'echo \"select 7 as n;\" >\"$C/query.sql\"'; cat \"$C/result.csv\"",
        'echo "select 7 as n;" >"$C/query.sql"; sh -c \'sh -c "cat $C/result.csv"; :\'',
        'echo "select 7 as n;" | cat >"$C/query.sql"; cat "$C/result.csv" | cat',
        'echo "select 7 as n;" | tee "$C/query.sql" >/dev/null; (cat "$C/result.csv")',
        'cd "$C"; (echo "select 7 as n;" >query.sql) && echo "$(cat result.csv)"',
        '{ echo "select 7 as n;" >"$C/query.sql"; } & wait; cat "$C/result.csv"',
        'echo "select 7 as n;" >"$C/query.sql"; exec cat "$C/result.csv"',
        'perl -e \'open F, ">", "$ENV{C}/query.sql"; print F "select 7 as n;"; close F;'
        ' exec "cat", "$ENV{C}/result.csv"\'',
    ],
)
def test_a_shell_and_its_children_share(mount, engine, script):
    m = mount(db=engine.spec())

    assert m.sh(script).check().out == "n\n7\n"


def numbers(lines, n):
    """What n jobs print that each get their own number."""
    return sorted(lines) == sorted(["n"] * n + [str(i) for i in range(1, n + 1)])


# The jobs of one shell run side by side on one connection; each sees its own.
def test_xargs_jobs_each_get_their_own(mount, engine):
    m = mount(db=engine.spec())
    job = 'echo "select {} as n;" >query.sql && cat result.csv'

    done = m.sh(f'cd "$C" && seq 200 | xargs -P8 -I{{}} sh -c {shlex.quote(job)}')

    assert numbers(done.check().lines, 200)


def test_make_jobs_each_get_their_own(mount, engine, test_dir):
    m = mount(db=engine.spec())
    (test_dir / "Makefile").write_text(
        "all: $(shell seq 60) ; @:\n"
        "%:\n"
        '\t@echo "select $@ as n;" >$(C)/query.sql && cat $(C)/result.csv\n'
    )

    done = m.sh(f"make -s -j8 -f {test_dir}/Makefile")

    assert numbers(done.check().lines, 60)


def test_background_jobs_each_get_their_own(mount, engine):
    m = mount(db=engine.spec())
    script = """
    cd "$C"
    for i in $(seq 40); do
        { echo "select $i as n;" >query.sql && cat result.csv; } &
    done
    wait
    """

    assert numbers(m.sh(script).check().lines, 40)


def test_pool_workers_each_get_their_own(mount, engine):
    m = mount(db=engine.spec())
    code = """
import multiprocessing, os, pathlib
C = pathlib.Path(os.environ["C"])
def job(n):
    (C / "query.sql").write_text(f"select {n} as n;")
    return (C / "result.csv").read_text()
if __name__ == "__main__":
    with multiprocessing.Pool(8) as pool:
        print("".join(pool.map(job, range(1, 101), chunksize=1)), end="")
"""

    assert numbers(m.python(code).check().lines, 100)


# The job that is many processes deep is still one's own.
def test_a_deep_chain_of_processes_gets_its_own(mount, engine):
    m = mount(db=engine.spec())
    script = """
    if [ "$1" -gt 0 ]; then sh -c "$DEEP" sh $(($1 - 1)) $2; exit; fi
    echo "select $2 as n;" >"$C/query.sql" && sh -c 'sh -c "cat $C/result.csv"; :'
    """
    start = 'for i in $(seq 8); do sh -c "$DEEP" sh 30 $i & done; wait'

    assert numbers(m.sh(start, env={"DEEP": script}).check().lines, 8)


# An older job's result is there while its shell lives, whatever its neighbours
# of the same session have run since.
def test_an_older_jobs_result_stays_while_its_shell_lives(mount, engine, test_dir):
    m = mount(db=engine.spec())
    old, start, end = [Door(test_dir / name) for name in ["old", "start", "end"]]
    script = f"""
    cd "$C"
    sh -c 'echo "select 1 as n;" >query.sql; read x <{old}; cat result.csv' &
    read x <{start}
    for i in 2 3 4; do
        sh -c "echo 'select $i as n;' >query.sql; cat result.csv"
    done
    read x <{end}
    wait
    cat result.csv
    """
    client = m.start_sh(script)
    old.reached()

    start.open()
    end.reached()
    old.open()
    end.open()

    assert client.wait().check().lines == [
        *["n", "2", "n", "3", "n", "4", "n", "1"],
        *["n", "4"],
    ]


# A name that was looked up before the next statement must not open its rows.
def test_an_outdated_file_answers_estale(mount, engine):
    m = mount(db=engine.spec())
    code = """
import errno, os
C = os.environ["C"]
def run(text):
    with open(C + "/query.sql", "w") as f:
        f.write(text)
run("select 1 as n;")
fd = os.open(C + "/result.csv", os.O_PATH)
print(open(f"/proc/self/fd/{fd}").read().split())
run("select 2 as n;")
try:
    print(open(f"/proc/self/fd/{fd}").read().split())
except OSError as e:
    print(errno.errorcode[e.errno])
print(open(C + "/result.csv").read().split())
"""

    assert m.python(code).check().lines == ["['n', '1']", "ESTALE", "['n', '2']"]


# An open reader is not disturbed by what its own shell runs next.
def test_an_open_result_is_pinned(mount, engine):
    m = mount(db=engine.spec())
    script = """
    cd "$C"
    echo "select 1 as n;" >query.sql
    exec 4<result.csv
    echo "select 2 as n;" >query.sql
    cat <&4
    cat result.csv
    """

    assert m.sh(script).check().lines == ["n", "1", "n", "2"]


def counts(m):
    """Of the mount's status.json: conversations and database sessions."""
    status = json.loads(m.read(".connfs", "status.json"))
    return status["conversations"], status["database_sessions"]


# It ends with the last process of its session, and takes all with it: the
# database session and what was open there, spool file and memory.
def test_a_conversation_ends_with_its_last_process(mount, server):
    server.sql("create table t (n integer)")
    m = mount(db=server.spec())
    big = server.series(20000, f"{server.repeat(1000)} as x")
    script = f"""
    echo "begin; insert into t values (1);" >"$C/query.sql"
    echo "{big};" >"$C/query.sql"
    wc -c <"$C/result.csv"
    """

    done = m.sh(script).check()
    server.wait_until_idle()

    assert done.out == f"{2 + 20000 * 1001}\n"
    wait_for(lambda: counts(m) == (0, 0), "the conversation ends")
    assert spool_files(m) == []
    assert server.sql("select n from t") == []
    assert m.status["VmRSS"] < 48 * 1024 * SCALE


def spool_files(m):
    """The unlinked files that the daemon holds in spool_dir."""
    found = []
    for fd in pathlib.Path(f"/proc/{m.pid}/fd").iterdir():
        try:
            target = os.readlink(fd)
        except FileNotFoundError:
            continue
        if target.startswith(str(m.spool)):
            found.append(target)
    return found


# While it lives the spool file is there, so the look above is a real one.
def test_a_large_result_lies_in_spool_dir(mount, engine, test_dir):
    m = mount(db=engine.spec())
    door = Door(test_dir / "door")
    big = engine.series(50000, f"{engine.repeat(1000)} as x")
    client = m.start_sh(
        f'echo "{big};" >"$C/query.sql"; wc -c <"$C/result.csv"; read x <{door}'
    )
    door.reached()

    assert len(spool_files(m)) == 1
    door.open()
    client.wait().check()
    wait_for(lambda: not spool_files(m), "the spool file goes")


# The leader is gone, a child of the session lives: it goes on.
def test_a_conversation_outlives_the_leader_of_its_session(mount, server, test_dir):
    m = mount(db=server.spec())
    door = Door(test_dir / "door")
    child = f"""
    read x <{door}
    cd "$C"
    cat result.csv
    echo "select n from mine;" >query.sql && cat result.csv
    """
    script = f"""
    (
    {child}
    ) >{test_dir}/out 2>&1 &
    echo "create temporary table mine as select 7 as n; select 8 as m;" >"$C/query.sql"
    """

    leader = m.start_sh(script)
    leader.wait().check()
    door.reached()
    # Sessions that ended are looked for once a second: this one has been seen.
    m.query("select 1;").check()
    wait_for(lambda: counts(m) == (1, 1), "the other conversation ends")
    door.open()
    server.wait_until_idle()

    assert (test_dir / "out").read_text() == "m\n8\nn\n7\n"


# A container shares the Unix session of who started it, which lives on: what
# it did ends with the container all the same.
def test_a_conversation_ends_with_its_container(mount, server, busybox, test_dir):
    m = mount(db=server.spec(access=EVERYONE))
    door = Door(test_dir / "door")
    inner = 'echo "create temporary table t (n int);" >/conn/db/query.sql'
    container = shlex.join(in_container(inner, busybox, m, test_dir))
    launcher = m.start_sh(f"{container}; read x <{door}")
    door.reached()

    server.wait_until_idle()
    wait_for(lambda: counts(m) == (0, 0), "the conversation ends")

    door.open()
    launcher.wait().check()


# Two containers that one shell starts have its session and uid 0 in common,
# and nothing of connfs.
def test_containers_of_one_shell_are_strangers(mount, engine, busybox, test_dir):
    m = mount(db=engine.spec(access=EVERYONE))
    first, second = Door(test_dir / "first"), Door(test_dir / "second")
    a = 'C=/conn/db\n' + LEAVE + "read x </tmp/doors/first; cat result.csv"
    b = 'C=/conn/db\n' + LOOK + "read x </tmp/doors/second"
    a = shlex.join(in_container(a, busybox, m, test_dir))
    b = shlex.join(in_container(b, busybox, m, test_dir))
    script = f"{a} >{test_dir}/a & read x <$GO; {b} >{test_dir}/b; wait"
    go = Door(test_dir / "go")

    launcher = m.start_sh(script, env={"GO": str(go)})
    first.reached()
    go.open()
    second.open()
    first.open()
    launcher.wait().check()

    assert (test_dir / "a").read_text() == "secret\nprivate\nsecret\nprivate\n"
    seen = (test_dir / "b").read_text().splitlines()
    assert seen[:3] == NOTHING_SEEN + [HINT]
    assert "private" not in "".join(seen)


# The launcher of a container is a stranger to it as well.
def test_a_container_and_its_launcher_are_strangers(mount, engine, busybox, test_dir):
    m = mount(db=engine.spec(access=EVERYONE))
    inner = shlex.join(in_container("cat /conn/db/result.csv", busybox, m, test_dir))

    done = m.sh(f'echo "select 1 as n;" >"$C/query.sql"; {inner}; cat "$C/result.csv"')

    assert done.out == "n\n1\n"
    assert "No data available" in done.err


# Another uid within one session (su, sudo, setpriv) is another conversation.
def test_another_user_in_the_same_session_is_a_stranger(mount, engine):
    m = mount(db=engine.spec(access=EVERYONE))
    become = f"setpriv --reuid {ALICE} --regid {ALICE} --clear-groups"
    script = f"""
    echo "select 1 as n;" >"$C/query.sql"
    {become} cat "$C/result.csv"
    {become} sh -c 'echo "select 2 as n;" >"$C/query.sql"; cat "$C/result.csv"'
    cat "$C/result.csv"
    """

    done = m.sh(script)

    assert done.lines == ["n", "2", "n", "1"]
    assert done.err.endswith("No data available\n")


# Two connections know nothing of each other's statements.
def test_each_connection_has_its_own_result(mount, engine):
    m = mount(a=engine.spec(), b=engine.spec())
    script = """
    echo "select 1 as n;" >"$M/a/query.sql"
    echo "select 2 as n;" >"$M/b/query.sql"
    cat "$M/a/result.csv" "$M/b/result.csv"
    """

    assert m.sh(script).check().lines == ["n", "1", "n", "2"]


# Scratch files are of the conversation: seen by its jobs, by nobody else, and
# gone with it.
def test_scratch_files_are_of_the_conversation(mount, engine):
    m = mount(db=engine.spec())
    script = """
    cd "$C"
    echo text >.scratch
    sh -c 'cat .scratch; ls -A | grep -c scratch'
    setsid -w sh -c 'cat .scratch; ls -A | grep -c scratch'
    setsid -w sh -c 'echo other >.scratch; cat .scratch'
    cat .scratch
    """

    done = m.sh(script)

    assert done.lines == ["text", "1", "0", "other", "text"]
    assert done.err == "cat: .scratch: No such file or directory\n"
    wait_for(lambda: counts(m) == (0, 0), "the conversations end")
