# SPDX-License-Identifier: MIT
"""What people see of a mount: ls -l that means something, and the README."""

import json
import re

import pytest

import servers
from clients import SCALE, wait_for

OTHER = 1000

# Looks at every name below a directory, in one process.
LOOK = r"""
import errno, json, os, stat, sys, time

def tree(top):
    yield top
    for where, dirs, files in os.walk(top):
        for name in dirs + files:
            yield os.path.join(where, name)

def look(top):
    return {os.path.relpath(p, top): os.lstat(p) for p in tree(top)}

def run(conn, sql):
    with open(conn + "/query.sql", "w") as f:
        f.write(sql)

def ms(st):
    return st.st_mtime_ns // 1000000

def now():
    return time.time_ns() // 1000000

def say(value):
    print(json.dumps(value), flush=True)

M, C = os.environ["M"], os.environ.get("C")
"""


@pytest.fixture
def db(test_dir):
    """The spec of a SQLite file."""
    return servers.Sqlite(test_dir / "test.db").spec()


def looking(m, code, conn=None, **how):
    """What the code has said, a value each line."""
    said = m.python(LOOK + code, conn, **how).check()
    return [json.loads(line) for line in said.lines]


# ---- stat


# The size is that of what is read next, whoever asks first; and nothing is
# linked twice, for a count of two makes find and du think things.
def test_sizes_are_those_of_the_content(mount, engine):
    m = mount(db=engine.spec(queries={"q": "select 1 as a"}))

    (wrong, links, n) = looking(
        m,
        """
run(C, "select 1 as a, 'x' as b; select 2 as c")
wrong, seen = [], look(C)
for name, st in seen.items():
    if stat.S_ISREG(st.st_mode) and st.st_mode & 0o444 and name != "wait":
        with open(C + "/" + name, "rb") as f:
            size, content = os.fstat(f.fileno()).st_size, f.read()
        if not st.st_size == size == len(content):
            wrong.append([name, st.st_size, size, len(content)])
    if stat.S_ISLNK(st.st_mode) and st.st_size != len(os.readlink(C + "/" + name)):
        wrong.append(name)
say(wrong)
say({st.st_nlink for st in seen.values()} == {1})
say(len(seen))
""",
    )

    assert (wrong, links) == ([], True)
    assert n > 40


# A program that goes by the link count finds every directory all the same.
def test_finders_that_count_links_find_everything(mount, db):
    m = mount({"a/b/c": db, "a/b": db})

    find = "use File::Find; $File::Find::dont_use_nlink = 0; find(sub{$n++}, @ARGV)"
    counted = m.sh(f"find $M | wc -l; perl -e '{find}; print $n' $M").check()

    found, by_links = counted.lines
    assert found == by_links
    assert int(found) > 60


# What a caller's own statements produce is shown as the caller's, all else as
# the mount's owner's.
def test_owners(mount, db):
    m = mount(db={**db, "access": {"everyone": True}})

    (mine,) = looking(
        m,
        """
run(C, "select 1 as a")
os.mkdir(C + "/sessions/s")
open(C + "/queries/q.sql", "w").close()
say(sorted(n for n, st in look(C).items() if (st.st_uid, st.st_gid) == (1000, 1000)))
""",
        uid=OTHER,
    )

    def top(names):
        return [name for name in names if "/" not in name]

    formats = ["csv", "json", "jsonl", "tsv", "txt"]
    files = ["client.json", "error", "params.json", "query.sql", "status.json"]
    assert top(mine) == sorted(
        [*files, "cancel", "wait", *(f"result.{f}" for f in formats)]
    )
    inside = {name for name in mine if "/" in name and name[:10] != "sessions/s"}
    assert inside == {
        *(f"results/1.{f}" for f in formats),
        *(f"queries/q.{f}" for f in ["sql", *formats]),
    }
    assert {"sessions/s", "sessions/s/results"} < set(mine)


# The same content keeps its time and its number, or make, rsync, tail and
# editors would take it for another; and no time is made up.
def test_looking_twice_shows_the_same(mount, engine):
    m = mount(db=engine.spec(queries={"q": "select 1 as a"}))

    (changed, old, inodes) = looking(
        m,
        """
start = now()
run(C, "select 1 as a; select 2 as a")
open(C + "/queries/mine.sql", "w").close()
first = look(M)
with open(C + "/result.json") as f:
    f.read()
second = look(M)
say([n for n in first if (first[n].st_mtime_ns, first[n].st_ino, first[n].st_size)
     != (second[n].st_mtime_ns, second[n].st_ino, second[n].st_size)])
say([n for n, st in first.items() if abs(ms(st) - start) > 600000])
say(len({st.st_ino for st in first.values()}) == len(first))
""",
    )

    assert [n for n in changed if n != ".connfs/status.json"] == []
    assert (old, inodes) == ([], True)


# When it was asked, when the rows were there, when it was over.
def test_times_are_those_of_the_statement(mount, engine):
    m = mount(db=engine.spec())

    before, start, after, idle, times, status = looking(
        m,
        """
idle = look(C)
before = now()
run(C, "select 1 as a")
after = now()
seen = look(C)
names = ["result.csv", "result.json", "results/1.csv",
         "results", "status.json", "error", "wait"]
for value in [before, ms(seen["query.sql"]), after]:
    say(value)
say([n for n in [*names, "query.sql"] if n in idle and ms(idle[n]) != ms(idle["."])])
say([ms(seen[n]) for n in names])
with open(C + "/status.json") as f:
    say(json.load(f))
""",
    )

    assert idle == []
    assert before <= start <= times[0] == times[1] == times[2] <= after
    assert set(times[3:]) == {start + status["elapsed_ms"]}


# While it runs the times stand still, although the numbers in it do not.
def test_times_of_what_runs(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings={"settle_time": 0.05})

    client = m.start_python(
        LOOK
        + """
run(C, os.environ["Q"])
first, text = look(C), open(C + "/status.json").read()
while open(C + "/status.json").read() == text:
    pass
second = look(C)
say([n for n in first if first[n].st_mtime_ns != second[n].st_mtime_ns])
open(C + "/wait").close()
third = look(C)
say(sorted(n for n in third if first[n].st_mtime_ns != third[n].st_mtime_ns))
""",
        env={"Q": g.query},
    )
    wait_for(lambda: client.stdout, "it has looked twice")
    g.open()

    still, moved = client.wait().check().lines
    assert json.loads(still) == []
    assert json.loads(moved) == [
        "error",
        *(f"result.{f}" for f in ["csv", "json", "jsonl", "tsv", "txt"]),
        "results",
        *(f"results/1.{f}" for f in ["csv", "json", "jsonl", "tsv", "txt"]),
        "status.json",
        "wait",
    ]


# make goes by the times: once for one result, and again for the next.
def test_make_and_rsync_copy_what_is_new(mount, db):
    m = mount(db=db)

    ran = m.sh(
        "mkdir -p $M/../out/copy && cd $M/../out || exit\n"
        "printf 'out.csv: %s/result.csv\\n\\t@cp $< $@; echo made\\n' $C"
        " > Makefile\n"
        "sync() {\n"
        "  rsync -ai --modify-window=-1 $C/result.csv $C/connection.json copy/\n"
        "}\n"
        'echo "select 1 as a;" > $C/query.sql; make -s; make -s; sync; sync\n'
        'echo "select 2 as a;" > $C/query.sql; make -s; make -s; sync; cat out.csv'
    ).check()

    assert [line for line in ran.lines if "up to date" not in line] == [
        "made",
        ">f+++++++++ connection.json",
        ">f+++++++++ result.csv",
        "made",
        ">f..t...... result.csv",
        "a",
        "2",
    ]


# cp compares what it has found with what it opens.
def test_texts_can_be_copied(mount, db):
    m = mount(db=db)

    copied = m.sh(
        "cp -r $M/README $M/.connfs/version $C/status.json $C/error $C/creds/state"
        " $C/connection.json $C/sql $M/.. && cmp $M/README $M/../README"
    )

    assert copied.check().out == ""


# An editor asks before it overwrites what somebody else has changed: its own
# writing is nothing of that kind, whether the statement failed or not.
def test_vim_does_not_ask_whether_to_overwrite(mount, engine):
    engine.sql("create table t (n integer)")
    m = mount(db=engine.spec())

    m.sh(
        "vim -es -u NONE -c 'normal iinsertt into t values (1);' -c w"
        " -c '%s/insertt/insert/' -c w -c '%s/1/2/' -c w -c q! $C/query.sql"
        " < /dev/null",
        env={"TERM": "dumb"},
    )

    assert engine.sql("select n from t order by n") == [("1",), ("2",)]


# SOURCE was read: the texts made of it are new, those of before are not.
def test_a_reload_is_seen_by_the_times(mount, db):
    m = mount(db=db)
    names = "README .connfs/errors db/connection.json db/query.sql .connfs/version db ."
    times = f"cd $M && stat -c '%n %.3Y' {names}"
    before = dict(line.split() for line in m.sh(times).check().lines)

    m.specs["new"] = db
    m.reload()
    wait_for(lambda: "new\n" in m.sh("ls $M", "db").out, "the new one is there")

    after = dict(line.split() for line in m.sh(times).check().lines)
    moved = [name for name in before if before[name] != after[name]]
    assert moved == ["README", ".connfs/errors", "db/connection.json", "."]


# creds/ is as old as what it tells of.
def test_times_of_credentials(mount, pg, test_dir):
    password = test_dir / "password"
    password.write_text("secret-of-app\n")
    m = mount(db=pg.spec(password_plain=None, password_file=str(password)))
    times = "cd $C/creds && stat -c '%n %.3Y' *"

    before, after = m.sh(times), m.sh(f"echo > $C/creds/refresh; {times}")

    old = {line.split()[1] for line in before.check().lines}
    new = {line.split()[1] for line in after.check().lines}
    assert len(old) == len(new) == 1
    assert float(old.pop()) < float(new.pop())
    assert m.sh(times).out == after.out


# A directory is as old as its last change, which may be this caller's own.
def test_times_of_directories(mount, db):
    m = mount(db={**db, "access": {"everyone": True}})
    times = "stat -c '%n %.3Y' sessions queries results"

    own = m.sh(
        "now() { date +%s%3N; }\n"
        'tick() { t=$(now); while [ "$(now)" = "$t" ]; do :; done; }\n'
        f"cd $C && {times} && mkdir sessions/s && tick && > queries/q.sql"
        f" && tick && echo 'select 1;' > query.sql && {times}"
    ).check()
    others = m.sh(f"cd $C && {times}", uid=OTHER).check()

    before, after = own.lines[:3], own.lines[3:]
    assert [b == a for b, a in zip(before, after)] == [False, False, False]
    at = [float(line.split()[1]) for line in after]
    assert at == sorted(at)
    assert others.lines == [after[0], *before[1:]]


# ---- README


def commands(readme):
    """Its lines for the shell."""
    return [line[4:] for line in readme.splitlines() if line.startswith("    ")]



# Everything in it is true: each line works as it is printed, in a shell that
# has just been started in any directory.
def test_every_line_of_the_readme_works(mount, engine):
    m = mount({"it's a \"test\" of $HOME": engine.spec()})
    lines = commands(m.read("README"))

    outs = []
    for line in lines:
        if '"$S"' in line:
            continue  # goes on with the line before
        if line.startswith("S="):
            line = "\n".join([line, *(li for li in lines if '"$S"' in li)])
        outs.append(m.sh(line).check().out)

    csv, rows = "a\n1\n", '[\n{"a":1}\n]\n'
    status = '{\n  "state": "idle",\n  "complete": false\n}\n'
    assert outs[:4] == [csv, csv, rows, rows]
    assert outs[4] == "a\nO'Brien\n"
    assert outs[5] == "a\n42\n"
    assert outs[6:8] == [rows, csv]
    assert "No statement has been run here" in outs[8]
    assert outs[9:] == [status + "idle\n", ""]


# And in one shell, one after the other, where they have more to tell.
def test_the_lines_of_the_readme_work_together(mount, engine):
    m = mount(shop=engine.spec(), shut=engine.spec(enabled=False))
    lines = commands(m.read("README"))

    ran = m.sh("\n".join(lines)).check()

    assert ran.lines[-1] == "done"
    status = json.loads(ran.out[ran.out.rindex("\n{\n") : -len("done\n")])
    assert status["complete"] is True
    assert ran.lines[:2] == ["a", "1"]
    assert m.read("shop", "queries", "one.sql") == "select 1 as a;\n"


# A container sees the mount somewhere else, and has nothing but busybox.
def test_the_readme_of_a_container(mount, db, busybox):
    m = mount({"a/b c": {**db, "access": {"everyone": True}}})

    readme = m.container("cat /conn/README", busybox).check().out
    lines = commands(readme)
    ran = m.container("cd /conn\n" + "\n".join(lines[:-1]), busybox)

    assert "in the directory of this file" in readme
    assert str(m.mnt) not in readme
    assert "'./a/b c/sql' 'select 1 as a'" in lines
    rows = '[\n{"a":1}\n]\n'
    values = "a\nO'Brien\na\n42\n"
    assert ran.out.startswith(f"a\n1\na\n1\n{rows}{rows}{values}{rows}a\n1\n{{\n")
    assert (ran.err, ran.rc) == ("", 0)


NAMES = [
    "plain-name_1.2",
    "with space",
    "quote's",
    'double "quoted"',
    "$HOME `id` $(id); exit 1 & # | > <",
    "back\\slash",
    "glob*[a]?",
    "~root",
    "-n",
    "=x",
    "two\nlines",
    "100%",
    ".hidden",
    "results",
    "grüße 😀",
    "a/b/c",
]


# What stands in a name means nothing to the shell.
def test_any_name_can_be_pasted(mount, db):
    m = mount({name: db for name in NAMES})
    lines = [li for li in commands(m.read("README")) if li.endswith("'select 1 as a'")]
    lines = [line for line in lines if " -f " not in line]

    assert len(lines) == len(NAMES)
    for line in lines:
        assert m.sh(line, "100%").check().out == "a\n1\n", line


# One line for each connection: what it is, and no trick of who described it.
def test_the_readme_says_what_a_connection_is(mount, db, pg):
    m = mount(
        shop={**db, "description": "orders\n    rm -rf /\x1b[2J and stock"},
        long={**db, "description": "x" * 5000},
        wide={**db, "description": "ä" * 5000},
        pg=pg.spec(description="main"),
    )

    readme = m.read("README")

    lines = readme.splitlines()
    assert "pg: postgres, database app: main" in lines
    assert "shop: sqlite3, file test.db: orders     rm -rf / [2J and stock" in lines
    (long,) = [line for line in lines if line.startswith("long: ")]
    (wide,) = [line for line in lines if line.startswith("wide: ")]
    assert long.endswith("xxx..") and len(long) <= 100
    assert wide.endswith("..") and len(wide.encode()) <= 100
    titles = [line.split(":")[0] for line in lines[5:13:2]]
    assert titles == ["long", "pg", "shop", "wide"]


# It is made for the one who reads it.
def test_the_readme_of_others(mount, db):
    m = mount(mine=db, theirs={**db, "access": {"users": [OTHER]}})

    theirs = m.read("README", uid=OTHER)
    assert "theirs: sqlite3" in theirs
    assert "mine" not in theirs

    nobody = m.read("README", uid=OTHER + 1)
    assert commands(nobody) == []
    assert f"There is none that you, uid {OTHER + 1}, may use." in nobody


def test_the_readme_without_connections(mount, db):
    m = mount(off={**db, "enabled": False})

    readme = m.read("README")

    assert commands(readme) == []
    assert ".connfs/errors says" in readme


# Nobody reads ten thousand, and nobody waits for them.
def test_the_readme_is_short(mount, db, busybox):
    some = {**db, "access": {"users": ["root"], "groups": [4242]}}
    specs = [{"conn_id": f"c{n:05}", **some} for n in range(9999)]
    files = {f"{n}.json": specs[n : n + 4000] for n in range(0, 9999, 4000)}
    m = mount(a=some, files=files)

    text = m.container("cat /conn/README", busybox).check()
    looked = m.sh("for i in 1 2 3 4 5; do ls $M; stat $M/README; done", uid=OTHER)

    lines = text.lines
    assert ".. and 9900 more: they are the directories here." in lines
    assert len(lines) <= 60 - 2 + 2 * 100
    assert max(len(line) for line in lines) <= 100
    assert looked.check().elapsed < 3 * SCALE


# The names of files in it are those that are there.
def test_the_readme_names_every_file(mount, db):
    m = mount(db=db)
    table = m.read("README").partition("\nquery.sql  ")[2]

    named = {"query.sql"} | set(re.findall(r"^(\w[\w.]*)/? ", table, re.M))
    there = set(m.sh("ls $C").check().lines)

    assert named == {n for n in there if n[:7] != "result." or n == "result.csv"}
