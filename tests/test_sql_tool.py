# SPDX-License-Identifier: MIT
"""sql: the executable of each connection. What it prints and how it fails; how
it ends is in test_sql_tool_life.py."""

import csv
import hashlib
import io
import random
import re

import pytest

import engines
from csv_values import NASTY
from mount import ROOT

ALICE = 20001

EVERYONE = {"everyone": True}

# Whose `busybox sh` takes its own cat for cat.
SHELLS = ["dash", "bash", "busybox sh"]

FORMATS = ["csv", "tsv", "json", "jsonl", "txt"]


# So large are 400000 numbers not.
SMALL = {"spool_memory": 65536, "spool_disk": 1048576}


def said(m, script, **how):
    """What a script says in which $SQL is sql: the same in every shell."""
    results = [
        m.sh(script, env={"SQL": f'{sh} {m.path("db", "sql")}'}, **how)
        for sh in SHELLS
    ]
    told = {(r.rc, r.stdout, r.stderr) for r in results}
    assert len(told) == 1, results
    return results[0]


@pytest.fixture
def db(mount, engine):
    """A mount db of an empty database."""
    return mount(db=engine.spec(access=EVERYONE))


def sessions(m, **how):
    return m.sh('ls -A "$C/sessions"', **how).check().lines


def test_it_prints_the_rows_of_its_argument(db):
    assert said(db, '$SQL "select 1 as a, 2 as b"').check().out == "a,b\n1,2\n"
    assert db.sh('"$C/sql" "select 1 as a"').check().out == "a\n1\n"
    assert sessions(db) == []


# With or without semicolon, of any number of lines; a terminal does the same.
def test_it_reads_standard_input(db):
    text = "select 1 as a -- one\n;\n\nselect 2 as a\n"

    assert said(db, "$SQL", stdin=text).check().out == "a\n1\na\n2\n"


# As the value of a variable, which is what jobs are given.
def test_a_variable_may_hold_it(db):
    script = '$LAVA_CONN_DB "select 1 as a" && echo "select 2 as a;" | $LAVA_CONN_DB'

    result = db.sh(script, env={"LAVA_CONN_DB": str(db.path("db", "sql"))})

    assert result.check().out == "a\n1\na\n2\n"


@pytest.mark.parametrize("how", ["-f {}", "-f{}"])
def test_it_prints_every_format(db, engine, how):
    query = engine.series(3, "n, 'a b' as t, null as x")

    for form in FORMATS:
        written = db.sh(
            f'echo "$Q;" >"$C/query.sql" && cat "$C/result.{form}"', env={"Q": query}
        )
        printed = said(db, f'$SQL {how.format(form)} "{query}"')

        assert printed.check().stdout == written.check().stdout


# What has no rows to show prints nothing; zero rows are a header.
def test_all_result_sets_come_in_order(db):
    text = """
    create temporary table t (n int);
    select 1 as a;
    insert into t values (1), (2);
    select n from t where n > 2;
    select 'x' as b, 'y' as c;
    """

    assert said(db, "$SQL", stdin=text).check().out == "a\n1\nn\nb,c\nx,y\n"


# Far more than a conversation keeps: the script waits for its reader.
def test_a_script_may_have_any_number_of_result_sets(db):
    text = "".join(f"select {i} as n;\n" for i in range(130))

    result = said(db, "$SQL", stdin=text)

    assert result.check().lines == [x for i in range(130) for x in ("n", f"{i}")]


def test_nothing_to_run_is_no_failure(db):
    result = said(db, '$SQL "" && $SQL " -- nothing" && $SQL </dev/null; echo $?')

    assert result.check().out == "0\n"


PARAMETER = {
    "postgres": "select $1::text as a, $2::text as b, $3::text as c",
    "mariadb": "select ? as a, ? as b, ? as c",
    "sqlite": "select ? as a, ? as b, ? as c",
}


def texts(n):
    """Of any characters but NUL, many of them those that JSON escapes."""
    chosen = random.Random(n)
    some = [*map(chr, range(1, 128)), '"', "\\", "\n", "é", "日", "\U0001f600"]
    return "".join(chosen.choices(some, k=n))


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def rows_of(result):
    return list(csv.reader(io.StringIO(result.check().stdout.decode(), newline="")))


# Whatever it is, it arrives as it is, from every shell: each has bytes that mean
# something to itself.
@pytest.mark.parametrize("shell", SHELLS)
def test_values_arrive_as_they_are(mount, test_dir, shell):
    check_values(mount, engines.SqliteEngine(test_dir / "test.db"), shell)


def test_values_arrive_at_every_engine(mount, engine):
    check_values(mount, engine, SHELLS[0])


def check_values(mount, engine, shell):
    m = mount(db=engine.spec())
    some = [v for v in NASTY if v is not None and len(v) < 100]
    some += [texts(n) for n in (1, 10, 100, 999, 1000, 1001, 5000)]
    some += ["".join(map(chr, range(0x80, 0x800))), "\n" * 3000, "x" * 100000]
    some += [" ", "$HOME `id` $(id)", "-f", "--"]
    some += [""] * (-len(some) % 3)
    script = "".join(
        f"$SQL {quoted(PARAMETER[engine.name])} -- "
        + " ".join(map(quoted, some[i : i + 3]))
        + "\n"
        for i in range(0, len(some), 3)
    )

    # Too long for an argument of sh -c.
    env = {"SQL": f'{shell} {m.path("db", "sql")}'}
    result = m.sh(". /dev/stdin", stdin=script, env=env)

    rows = rows_of(result)
    assert [v for row in rows[1::2] for v in row] == some


# They are those of the first statement, also of one on standard input.
def test_values_go_with_standard_input(db, engine):
    text = PARAMETER[engine.name] + "; select 1 as n;"

    result = said(db, "$SQL -- 1 '' \"a'b\"", stdin=text)

    assert result.check().out == "a,b,c\n1,\"\",a'b\nn\n1\n"


def test_values_that_cannot_be_bound_are_a_failure(db):
    bad = said(db, "$SQL 'select 1' -- \"$(printf 'a\\377')\"")
    many = said(db, "$SQL 'select 1' -- a b")

    assert (bad.rc, bad.out) == (1, "")
    assert "params.json" in bad.err
    assert (many.rc, many.out) == (1, "")
    assert many.err.startswith("ERROR:")


# The text is that of the file `error`, and nothing else.
def test_a_failure_is_told_on_standard_error(db):
    query = "select 1 as a;\nselec 2;\nselect 3 as a;\n"
    seen = db.sh('cat >"$C/query.sql" 2>/dev/null; cat "$C/error"', stdin=query)

    for result in [said(db, "$SQL", stdin=query), said(db, f'$SQL "{query}"')]:
        assert (result.rc, result.out) == (1, "a\n1\n")
        assert result.err == seen.check().out
        assert "line 2" in result.err.lower()
    assert sessions(db) == []


# Rows of a result that was cut are no success.
def test_a_failure_behind_rows_is_one(mount, server):
    m = mount(db=server.spec())
    query = server.series(300000, server.number_until(200000, "n"))

    result = m.sh(f'"$C/sql" "{query}"')

    assert result.rc == 1
    assert len(result.lines) > 1000
    assert result.err.startswith("ERROR:")


def test_a_script_may_hold_a_transaction(mount, engine):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec())
    count = "select count(*) as n from t;"

    script = f"begin; insert into t values (1); {count} rollback; {count}"
    assert said(m, "$SQL", stdin=script).check().lines == ["n", "1", "n", "0"]
    # What is left open when it ends is rolled back.
    said(m, '$SQL "begin; insert into t values (1);"').check()
    said(m, '$SQL "begin; insert into t values (2); commit"').check()

    assert m.sh(f'"$C/sql" "{count}"').check().lines == ["n", str(len(SHELLS))]


def test_a_large_result_is_whole(db, engine):
    query = engine.series(200000)

    result = said(db, f'$SQL "{query}" | md5sum; $SQL -f jsonl "{query}" | wc -l')

    numbers = "n\n" + "".join(f"{i + 1}\n" for i in range(200000))
    assert result.check().lines == [md5(numbers), "200000"]


def md5(text):
    return hashlib.md5(text.encode()).hexdigest() + "  -"


# One behind the other, each larger than memory holds.
def test_large_results_wait_for_their_reader(mount, engine):
    m = mount(db=engine.spec(), settings=SMALL)
    query = engine.series(400000)

    result = m.sh(f'"$C/sql" "{query}; {query}; select 1 as a" | md5sum')

    numbers = "n\n" + "".join(f"{i + 1}\n" for i in range(400000))
    assert result.check().lines == [md5(numbers + numbers + "a\n1\n")]


# It needs a result whole.
def test_busybox_is_told_of_what_it_cannot_read(mount, engine):
    m = mount(db=engine.spec(), settings=SMALL)

    result = m.sh(f'busybox sh "$C/sql" "{engine.series(400000)}"')

    assert result.rc == 1
    assert "EFBIG" in result.err


def test_many_at_once_never_meet(mount, engine):
    m = mount(db=engine.spec(access=EVERYONE, max_connections=4))

    result = m.sh(
        'seq 40 | xargs -P20 -I{} sh -c \'r=$("$C/sql" "select {} as n" | tail -n1);'
        " echo $r-{}'",
    )

    assert sorted(result.check().lines) == sorted(f"{i}-{i}" for i in range(1, 41))
    assert sessions(m) == []


def test_it_knows_its_directory(db):
    script = """
    cd "$C" && ./sql "select 1 as a" && sh sql "select 2 as a"
    PATH=$C:$PATH && cd / && sql "select 3 as a"
    """

    assert db.sh(script).check().lines == ["a", "1", "a", "2", "a", "3"]


# A link to the directory is a name of it; one to sql has lost it.
def test_links_to_it(db, test_dir):
    script = """
    ln -s "$C" shop && ./shop/sql "select 1 as a"
    ln -s "$C/sql" link && ./link "select 1 as a"; echo $?
    cp "$C/sql" copy && ./copy "select 1 as a"; echo $?
    """

    result = db.sh(f'cd "{test_dir}"' + script)

    assert result.lines == ["a", "1", "1", "1"]
    assert result.err.count("does not stand in the directory of a connection") == 2


def test_wrong_usage_is_told(db):
    for words in ["-x", "-f", "-f xml", "a b", '"select 1" "select 2"', "--format csv"]:
        result = said(db, f"$SQL {words} </dev/null")

        assert (result.rc, result.out) == (1, "")
        assert result.err.startswith("sql: ")
        assert "usage: sql" in result.err
    for words in ["-h", "--help"]:
        assert said(db, f"$SQL {words}").check().out.startswith("usage: sql")


# SQL that begins with a comment is no option.
def test_sql_may_begin_with_a_dash(db):
    assert said(db, '$SQL "-- one\nselect 1 as a"').check().out == "a\n1\n"


# What could not be read or written is not passed over.
def test_other_failures_are_told(db):
    for words in ['"select 1" >/dev/full', '"select 1" >&-', "</", "<&-"]:
        result = said_roughly(db, f"$SQL {words}")

        assert result.rc == 1
        assert result.err != ""
    assert sessions(db) == []


def said_roughly(m, script):
    return m.sh(script, env={"SQL": f'dash {m.path("db", "sql")}'})


def test_who_may_not_use_the_connection_finds_none(mount, engine):
    m = mount(db=engine.spec(access={"users": [ALICE]}))

    assert m.sh('"$C/sql" "select 1 as a"', uid=ALICE).check().out == "a\n1\n"
    refused = m.sh('"$C/sql" "select 1 as a"', uid=ALICE + 1)

    assert (refused.rc, refused.out) == (127, "")


def test_a_read_only_connection_reads(mount, engine):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec(), options=["ro"])

    assert said(m, '$SQL "select 1 as a"').check().out == "a\n1\n"
    refused = said(m, '$SQL "insert into t values (1)"')

    assert (refused.rc, refused.out) == (1, "")
    assert "EACCES" in refused.err


# Whoever looks at what there is sees a file like others.
def test_it_is_listed(db):
    listed = db.sh('stat -c "%A %s" "$C/sql"; wc -c <"$C/sql"').check().out.split()

    assert listed[0] == "-r-xr-xr-x"
    assert listed[1] == listed[2]
    assert db.sh('ls -A "$C/sessions"; : >"$C/sql"').rc != 0


def test_it_is_one_for_each_who_opens_it(db):
    script = 'cat "$C/sql" | md5sum; cat "$C/sql" | md5sum'

    assert len(set(db.sh(script).check().lines)) == 2


# What docs/sql.md shows first.
def test_the_examples_of_its_page_run(mount, pg, database):
    pg.sql(
        "create table orders (id int, day date);"
        "insert into orders values (1, '2019-05-01'), (2, '2025-05-01');"
        "create table customers (name text);"
        "insert into customers values ('O''Brien'), ('Smith')",
        *[database, "app"],
    )
    m = mount(shop=pg.spec(database=database))
    page = (ROOT / "docs/sql.md").read_text()
    commands = "".join(re.findall(r"^    .*\n", page, re.M)[:4])

    result = m.sh(commands.replace("/conn/", f"{m.mnt}/"))

    assert result.check().lines == [
        *["id,day", "1,2019-05-01", "2,2025-05-01", "count", "2"],
        *["[", '{"id":1,"day":"2019-05-01"}', "]", "name", "O'Brien"],
    ]
