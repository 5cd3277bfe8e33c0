# SPDX-License-Identifier: MIT
"""CSV: PostgreSQL's, byte for byte, and the same rules for the other engines."""

import csv
import io
import random
import sqlite3
import struct

import pytest

import engines
from csv_values import NASTY, copy_of
from mariadb import literal

@pytest.fixture
def sqlite(test_dir):
    return engines.SqliteEngine(test_dir / "test.db")


# Sessions are always UTF-8, whatever a script asks for.
def test_client_encoding_stays_utf8(mount, pg, database):
    m = mount(db=pg.spec(database=database))

    got = m.sh(
        "echo \"set client_encoding = 'latin1';\" >$C/query.sql\n"
        "echo \"begin; select 'é€' as a;\" >$C/query.sql; cat $C/result.csv\n"
        "echo \"set client_encoding = 'latin1'; select x;\" >$C/query.sql\n"
        "echo \"rollback; select 'é€' as a;\" >$C/query.sql; cat $C/result.csv"
    )

    assert got.out == "a\né€\n" * 2


COLUMN_NAMES = [
    "a",
    "",
    "a b",
    "a,b",
    'a"b',
    "a\nb",
    "a\rb",
    " a ",
    "\\.",
    "é",
    "NULL",
    "1",
    "a" * 63,
]


def identifier(name):
    return '"' + name.replace('"', '""') + '"'


# Names are cells of the header: the rules of quoting are the same for them.
@pytest.mark.parametrize("name", [n for n in COLUMN_NAMES if n])
def test_a_column_name_alone_in_its_header_is_quoted_as_copy_does(
    mount, pg, database, name
):
    m = mount(db=pg.spec(database=database))
    query = f"select 1 as {identifier(name)}"

    got = m.query(query + ";").check().stdout

    assert got == copy_of(pg, database, query)


def test_column_names_are_quoted_as_copy_does(mount, pg, database):
    m = mount(db=pg.spec(database=database))
    names = [n for n in COLUMN_NAMES if n]
    query = "select " + ", ".join(f"1 as {identifier(n)}" for n in names)

    got = m.query(query + ";").check().stdout

    assert got == copy_of(pg, database, query)


def test_duplicate_and_missing_column_names_stay_as_they_are(mount, pg, database):
    m = mount(db=pg.spec(database=database))
    query = "select 1 as a, 2 as a, 3, 4, lower('X'), lower('Y')"

    got = m.query(query + ";").check().stdout

    assert got == copy_of(pg, database, query)
    assert got.startswith(b"a,a,?column?,?column?,lower,lower\n")


# `select;` is a query too: a header of no columns, and a row of none.
@pytest.mark.parametrize("query", ["select", "select from generate_series(1, 3)"])
def test_no_columns_are_printed_as_copy_does(mount, pg, database, query):
    m = mount(db=pg.spec(database=database))

    got = m.query(query + ";").check().stdout

    assert got == copy_of(pg, database, query)


def test_no_rows_give_the_header_line(mount, engine):
    m = mount(db=engine.spec())

    got = m.query("select 1 as a, 'x' as \"b,c\" where 1 = 0;").check()

    assert got.out == 'a,"b,c"\n'


# 1600 columns are the most a PostgreSQL table can have, 1664 a select list;
# each value here needs room for quotes.
@pytest.mark.parametrize("width", [1600, 1664])
def test_wide_rows_are_printed_as_copy_does(mount, pg, database, width):
    m = mount(db=pg.spec(database=database))
    cells = ", ".join(f"repeat('a\",', i) as \"c,{n}\"" for n in range(width))
    query = f"select {cells} from generate_series(0, 40, 20) i"

    got = m.query(query + ";").check().stdout

    assert got == copy_of(pg, database, query)


# The values of NASTY, alone in their row and among others: alone, an empty
# line and `\.` would be taken for something else.
@pytest.mark.parametrize("query", ["select v from nasty order by i",
                                   "select i, v, v as w from nasty order by i"])
def test_texts_are_quoted_alike_by_all_engines(mount, pg, engine, database, query):
    rows = [(i, v) for i, v in enumerate(NASTY)]
    text = {"postgres": sql_text, "mariadb": literal, "sqlite": sql_text}[engine.name]
    values = ",".join(f"({i}, {'null' if v is None else text(v)})" for i, v in rows)
    engine.sql(f"create table nasty (i int, v {engine.text})")
    engine.sql(f"insert into nasty values {values}")
    m = mount(db=engine.spec())

    got = m.query(query + ";").check().stdout

    assert got == reference(rows, query.count(",") + 1)


def sql_text(value):
    return "'" + value.replace("'", "''") + "'"


def cell(value, alone):
    """The rules of COPY, once more, in a few words."""
    if value is None:
        return ""
    if value == "" or (alone and value == "\\."):
        return f'"{value}"'
    if any(c in value for c in ',"\r\n'):
        return '"' + value.replace('"', '""') + '"'
    return value


def reference(rows, n_cols):
    if n_cols == 1:
        lines = ["v"] + [cell(v, True) for _, v in rows]
    else:
        lines = ["i,v,w"]
        lines += [f"{i},{cell(v, False)},{cell(v, False)}" for i, v in rows]
    return "".join(line + "\n" for line in lines).encode()


def random_text(rng):
    alphabet = rng.choice(['ab,"\n\r\\. ', "abcdefghij", 'aé日\U0001f600"', ",", '"\n'])
    # Lengths around the steps in which the encoder looks at a cell.
    length = rng.choice([0, 1, 2, rng.randrange(70), rng.choice([15, 16, 17, 32])])
    if rng.random() < 0.003:
        length = rng.randrange(60000, 70000)
    return "".join(rng.choices(alphabet, k=length))


def random_rows(rng, count, width):
    return [
        [None if rng.random() < 0.1 else random_text(rng) for _ in range(width)]
        for _ in range(count)
    ]


def load_postgres(pg, database, width, rows):
    columns = ", ".join(f"c{i} text" for i in range(width))
    out = io.StringIO()
    for i, row in enumerate(rows):
        cells = [str(i)] + ["\\N" if v is None else escape(v) for v in row]
        out.write("\t".join(cells) + "\n")
    pg.psql(
        text=f"create table r (i int, {columns}); copy r from stdin;\n"
        f"{out.getvalue()}\\.\n",
        database=database,
        user="app",
    )


def escape(value):
    """For COPY's text format."""
    for char, code in [("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")]:
        value = value.replace(char, code)
    return value


# Whatever the texts are: connfs and COPY agree, and a CSV reader gets back
# what was put in. One width makes rows of a single column.
@pytest.mark.parametrize("width", [1, 2, 7])
@pytest.mark.parametrize("kind", engines.ALL)
def test_random_texts_are_printed_as_copy_does(
    mount, pg, database, request, test_dir, kind, width
):
    rng = random.Random(f"{width}")
    rows = random_rows(rng, 4000, width)
    load_postgres(pg, database, width, rows)
    columns = ", ".join(f"c{i}" for i in range(width))
    query = f"select {columns} from r order by i"
    spec = pg.spec(database=database)
    if kind == "sqlite":
        spec = sqlite_of_rows(test_dir / "rows.db", width, rows)
    elif kind == "mariadb":
        spec = mariadb_of_rows(request, width, rows)
    m = mount(db=spec)

    got = m.query(query + ";").check().stdout

    assert got == copy_of(pg, database, query)
    read = list(csv.reader(io.StringIO(got.decode(), newline="")))[1:]
    # A line of nothing is a NULL that stands alone; csv has no cell for it.
    assert read == [[v or "" for v in row] if row != [None] else [] for row in rows]


def mariadb_of_rows(request, width, rows):
    server = request.getfixturevalue("mariadb")
    where = request.getfixturevalue("mariadb_database")
    columns = ", ".join(f"c{i} mediumtext" for i in range(width))
    values = (
        ",".join([str(i)] + ["null" if v is None else literal(v) for v in row])
        for i, row in enumerate(rows)
    )
    server.sql(
        f"create table r (i int primary key, {columns});"
        f"insert into r values ({'),('.join(values)});",
        where,
        "app",
    )
    return server.spec(database=where)


def sqlite_of_rows(path, width, rows):
    db = sqlite3.connect(path)
    db.execute("create table r (i, " + ", ".join(f"c{i}" for i in range(width)) + ")")
    marks = ", ".join("?" * (width + 1))
    db.executemany(
        f"insert into r values ({marks})", [[i, *row] for i, row in enumerate(rows)]
    )
    db.commit()
    db.close()
    return {"type": "sqlite3", "enabled": True, "host": str(path)}


def random_doubles(rng):
    """Of all sizes, and those that are hard to print."""
    # Not -0.0: SQLite's file format has no sign for it.
    values = [0.0, 1.0, -1.5, 0.1, 1e15, 1e16, 123456789012345678.0, 1e22, 1e23]
    values += [5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e-5, 1e-4]
    values += [float(n) for n in range(-1000, 1000)]
    values += [float(10**n) for n in range(0, 309)] + [10.0**-n for n in range(0, 324)]
    values += [2.0**n for n in range(-1074, 1024)]
    for _ in range(10000):
        (value,) = struct.unpack("<d", struct.pack("<Q", rng.getrandbits(64)))
        values.append(value)
        values.append(round(rng.uniform(-1e6, 1e6), rng.randrange(6)))
    finite = [v for v in values if v == v and abs(v) != float("inf")]
    return finite + [float("inf"), float("-inf")]


# SQLite's doubles have the shortest digits that read back to the same number,
# in PostgreSQL's form: compared with what PostgreSQL itself prints.
def test_doubles_of_sqlite_are_printed_as_postgres_does(mount, pg, database, test_dir):
    values = random_doubles(random.Random("doubles"))
    text = "".join(f"{i}\t{v!r}\n" for i, v in enumerate(values))
    pg.psql(
        text=f"create table d (i int, v float8); copy d from stdin;\n{text}\\.\n",
        database=database,
        user="app",
    )
    with sqlite3.connect(test_dir / "d.db") as db:
        db.execute("create table d (i integer, v real)")
        db.executemany("insert into d values (?, ?)", enumerate(values))
    db.close()
    m = mount(db={"type": "sqlite3", "enabled": True, "host": str(test_dir / "d.db")})

    got = m.query("select v from d order by i;").check().stdout

    assert got == copy_of(pg, database, "select v from d order by i")


# And MariaDB's, which prints up to 17 digits of its own.
def test_doubles_of_mariadb_are_printed_as_postgres_does(
    mount, pg, database, mariadb, mariadb_database
):
    values = random_doubles(random.Random("doubles"))
    values = [v for v in values if abs(v) != float("inf")]
    text = "".join(f"{i}\t{v!r}\n" for i, v in enumerate(values))
    pg.psql(
        text=f"create table d (i int, v float8); copy d from stdin;\n{text}\\.\n",
        database=database,
        user="app",
    )
    rows = ",".join(f"({i},{v!r})" for i, v in enumerate(values))
    mariadb.sql(
        f"create table d (i int primary key, v double); insert into d values {rows};",
        mariadb_database,
        "app",
    )
    m = mount(db=mariadb.spec(database=mariadb_database))

    got = m.query("select v from d order by i;").check().stdout

    assert got == copy_of(pg, database, "select v from d order by i")


# Any value may stand in any column of SQLite. Blobs are \x and hex, and so is
# text that is not UTF-8: the file is. A NUL is a character like any other.
SQLITE_VALUES = {
    "null": ("null", b""),
    "an empty text": ("''", b'""'),
    "the smallest integer": ("-9223372036854775808", b"-9223372036854775808"),
    "the largest integer": ("9223372036854775807", b"9223372036854775807"),
    "an integer too large": ("9223372036854775808", b"9.223372036854776e+18"),
    "a double": ("1.0", b"1"),
    "a boolean": ("true", b"1"),
    "infinity": ("9e999", b"Infinity"),
    "a blob": ("x'00ff2c'", b"\\x00ff2c"),
    "an empty blob": ("x''", b"\\x"),
    "zeroblob": ("zeroblob(3)", b"\\x000000"),
    "a text with NUL": ("'a' || char(0) || 'b'", b"a\x00b"),
    "a text with NUL and comma": ("'a' || char(0) || ',b'", b'"a\x00,b"'),
    "a text that is no UTF-8": ("cast(x'61ff2c' as text)", b"\\x61ff2c"),
    "a text with a surrogate": ("cast(x'eda080' as text)", b"\\xeda080"),
    "a text too long in UTF-8": ("cast(x'c080' as text)", b"\\xc080"),
    "a text cut in UTF-8": ("cast(x'61c3' as text)", b"\\x61c3"),
    "json": ("json_object('a', 'b,c')", b'"{""a"":""b,c""}"'),
}


@pytest.mark.parametrize("kind", SQLITE_VALUES)
def test_values_of_sqlite(mount, sqlite, kind):
    value, expected = SQLITE_VALUES[kind]
    m = mount(db=sqlite.spec())

    got = m.query(f"select {value} as v, 1 as n;").check()

    assert got.stdout == b"v,n\n" + expected + b",1\n"


def test_column_names_of_sqlite_are_quoted_by_the_same_rules(mount, sqlite):
    m = mount(db=sqlite.spec())
    names = ["a", "a", "", "a,b", 'a"b', "a\nb", " a ", "\\.", "é"]
    columns = ", ".join(f"1 as {identifier(n)}" for n in names)

    got = m.query(f"select {columns};").check()

    assert got.out == 'a,a,"","a,b","a""b","a\nb", a ,\\.,é\n1,1,1,1,1,1,1,1,1\n'


@pytest.mark.parametrize("name", ["", "\\."])
def test_a_strange_name_alone_in_its_header_is_quoted(mount, sqlite, name):
    m = mount(db=sqlite.spec())

    got = m.query(f"select 1 as {identifier(name)};").check()

    assert got.out == f'"{name}"\n1\n'


# SQLite can have 2000 columns.
def test_wide_rows_of_sqlite(mount, sqlite):
    m = mount(db=sqlite.spec())
    columns = ", ".join(f"'a,{n}' as c{n}" for n in range(2000))

    got = m.query(f"select {columns};").check()

    header = ",".join(f"c{n}" for n in range(2000))
    assert got.out == header + "\n" + ",".join(f'"a,{n}"' for n in range(2000)) + "\n"


# COPY .. TO STDOUT is one result set, its bytes unchanged.
@pytest.mark.parametrize(
    "options",
    ["", "(format csv)", "(format csv, header, delimiter ';', quote '''')",
     "(format binary)", "(delimiter '|', null 'nil')"],
)
def test_copy_to_stdout_comes_unchanged(mount, pg, database, options):
    m = mount(db=pg.spec(database=database))
    copy = "copy (select i, null, 'a;|''' || i from generate_series(1, 5000) i)"
    copy += f" to stdout {options}"

    got = m.query(copy + ";").check().stdout

    assert got == pg.psql("-c", copy, database=database)
