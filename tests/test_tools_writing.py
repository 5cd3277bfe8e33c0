# SPDX-License-Identifier: MIT
"""The programs people write files with, on query.sql.

Each has to have a statement run exactly once, and to report one that fails by
its exit status or in words, or not to write at all and to say so. Those that
cannot report it are told apart by what they did not do: then the result says
it. docs/tools.md says which of these it is.
"""

import itertools

import pytest

import engines
from tools_page import Table, reason
from tools_stage import database, mounted, require, tried
from tools_writers import WRITING

PAGE = Table(
    "writing", WRITING, ["statements", "a mistake, with `;`", "a mistake, without"]
)

# A statement is written in one piece, whatever its size.
BIG = "two\nlines; of '' " * 70000


def scripts(tag):
    """{name: (text, the tags of the rows it makes)}."""

    def insert(name, end=";\n"):
        return f"insert into w (tag) values ('{tag}.{name}'){end}"

    return {
        "one": (insert("one"), ["one"]),
        "open": (insert("open", "\n"), ["open"]),
        "several": (
            insert("a") + "insert into w (tag)\nvalues\n  ('" + f"{tag}.b" + "');\n"
            + insert("c", " ; ") + insert("d"),
            ["a", "b", "c", "d"],
        ),
        "big": (
            f"insert into w (tag, pad) values ('{tag}.big',\n'{BIG}');\n",
            ["big"],
        ),
        "mistake": (insert("before") + "selec 1;\n" + insert("after"), ["before"]),
        "open mistake": ("selec 2\n", []),
    }


# Prints for each script its name, the exit status of the program, and that of
# reading the result; what the program said goes to a file.
RUN = """
mkdir "$C" || exit
Q=$C/query.sql
export Q TEXT
for name in one open several big mistake "open mistake"; do
    TEXT=$T/$name.sql
    (eval "$WAY") >"$T/$name.said" 2>&1 </dev/null
    status=$?
    cat "$C/result.csv" >"$T/result" 2>&1
    echo "$name:$status:$?"
done
"""


class Done:
    """What came of one script: rc and err of the program, and `read`, the exit
    status of reading the result afterwards."""

    def __init__(self, room, name, rc, read):
        self.rc = int(rc)
        self.read = int(read)
        self.err = (room / f"{name}.said").read_text(errors="replace")

    @property
    def loud(self):
        return self.rc != 0 or self.err != ""

    def __repr__(self):
        return f"Done(rc={self.rc}, read={self.read}, err={self.err!r})"


@pytest.fixture(scope="module")
def databases(session_dir, pg, mariadb):
    """{name: an engine with a table w}. The servers do not log the statements,
    of which each is a megabyte."""
    with database(pg) as in_pg, database(mariadb) as in_mariadb:
        quiet = f"alter database {in_pg} set log_statement = 'none'"
        pg.sql(quiet, database="postgres")
        mariadb.sql("set global general_log = off")
        path = session_dir / "tools.db"
        found = {
            "postgres": engines.PostgresEngine(pg, in_pg),
            "mariadb": engines.MariadbEngine(mariadb, in_mariadb),
            "sqlite": engines.SqliteEngine(path),
        }
        for engine in found.values():
            engine.sql(f"create table w (tag varchar(100), pad {engine.text})")
        yield found
        mariadb.sql("set global general_log = on")
        path.unlink()


@pytest.fixture(scope="module")
def run(session_dir, databases, go_tool, java_tool):
    """run(engine, name) has a program write the scripts: (the tags of the rows,
    {script: Done})."""
    specs = {name: engine.spec() for name, engine in databases.items()}
    numbers = itertools.count(1)

    def write(m, engine, name):
        tag = f"w{next(numbers)}"
        room = m.dir / tag
        room.mkdir()
        for script, (text, _) in scripts(tag).items():
            (room / f"{script}.sql").write_text(text)
        env = {"T": str(room), "WAY": WRITING[name].script}
        env.update(GO=go_tool, JAVA=java_tool)
        session = f"{engine}/sessions/{tag}"
        got = m.sh(RUN, session, shell="bash", env=env).check()
        done = [line.split(":") for line in got.lines]
        sql = f"select tag from w where tag like '{tag}.%' order by tag"
        rows = [row[0].partition(".")[2] for row in databases[engine].sql(sql)]
        return rows, {name: Done(room, name, *more) for name, *more in done}

    with mounted(session_dir / "tools-writing", specs) as m:
        yield lambda engine, name: write(m, engine, name)


def ran(rows, done):
    """What became of the statements that are right: all or none."""
    right = {name: tags for name, (_, tags) in scripts("").items() if "mis" not in name}
    if all(not done[name].loud and done[name].read == 0 for name in right):
        assert rows == sorted(sum(right.values(), ["before"])), done
        return "each runs once"
    assert all(done[name].loud for name in right) and rows == [], (rows, done)
    return f"fails: {reason(done['one'])}"


def told(done):
    """What became of a mistake. Whoever reads the result hears of it anyway."""
    assert done.read != 0, done
    return "reported" if done.loud else "the result tells"


# What becomes of a text does not hang on the engine; how it is cut does, and
# that is looked at elsewhere. So each has its share, and all have the usual.
USUAL = ["sh echo", "bash printf", "busybox cp", "cat >", "cp", "python with"]
CASES = [
    (engine, name)
    for i, name in enumerate(tried(WRITING))
    for j, engine in enumerate(engines.ALL)
    if name in USUAL or i % len(engines.ALL) == j
]


@pytest.mark.parametrize(("engine", "name"), CASES)
def test_writing(run, engine, name):
    require(WRITING[name])

    rows, done = run(engine, name)

    found = [ran(rows, done), told(done["mistake"]), told(done["open mistake"])]
    for column, outcome in zip(PAGE.columns, found):
        PAGE.check(name, column, outcome)


def test_the_page_has_a_row_for_each():
    assert list(PAGE.rows()) == list(WRITING)
