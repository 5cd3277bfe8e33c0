# SPDX-License-Identifier: MIT
"""What values of each type are in each format: JSON with the server's own
digits, TSV as COPY writes it."""

import contextlib
import itertools
import random
import sqlite3
import subprocess

import pytest

import pg_types
from csv_values import copy_of, literal
from engines import SqliteEngine
from format_values import Digits, parse, quoted, read_formats
from pg_types import OWN_TYPES, array_types, every_type
from servers import Sqlite

DEEP = "[" * 100 + "]" * 100

# Values of PostgreSQL, and what they are in JSON.
POSTGRES = {
    "int2": ("'-32768'::int2", "-32768"),
    "int4": ("2147483647", "2147483647"),
    "int8": ("9223372036854775807", "9223372036854775807"),
    "beyond a double": ("'-9007199254740993'::int8", "-9007199254740993"),
    "oid": ("4294967295::oid", "4294967295"),
    "float4": ("'3.4028235e38'::float4", "3.4028235e+38"),
    "float8": ("0.1::float8 + 0.2", "0.30000000000000004"),
    "large float8": ("1e20::float8", "1e+20"),
    "small float8": ("1e-5::float8", "1e-05"),
    "minus zero": ("'-0'::float8", "-0"),
    "nan": ("'NaN'::float8", '"NaN"'),
    "infinity": ("'Infinity'::float4", '"Infinity"'),
    "minus infinity": ("'-Infinity'::float8", '"-Infinity"'),
    "numeric": ("-1.50", "-1.50"),
    "40 digits": (
        "1234567890123456789012345678901234567890",
        "1234567890123456789012345678901234567890",
    ),
    "40 decimals": (
        "0.1234567890123456789012345678901234567890",
        "0.1234567890123456789012345678901234567890",
    ),
    "401 digits": ("1e400::numeric", "1" + "0" * 400),
    "numeric nan": ("'NaN'::numeric", '"NaN"'),
    "numeric infinity": ("'-Infinity'::numeric", '"-Infinity"'),
    "true": ("true", "true"),
    "false": ("1 > 2", "false"),
    "null": ("null", "null"),
    "null number": ("null::int", "null"),
    "null bool": ("null::bool", "null"),
    "null json": ("null::json", "null"),
    "json": ("""'{"b": [1, "x,y"], "a": null, "b": 2}'::json""",) + (
        '{"b": [1, "x,y"], "a": null, "b": 2}',
    ),
    "json of lines": (r"""E'{\n\t"a":\r\n 1 }'::json""", '{  "a":   1 }'),
    "json number": ("' 1.500 '::json", " 1.500 "),
    "json text": (r"""'"\u00e9\n\""'::json""", r'"\u00e9\n\""'),
    "json null": ("'null'::json", "null"),
    "json digits": (
        "'[12345678901234567890.10, -0, 1E400]'::json",
        "[12345678901234567890.10, -0, 1E400]",
    ),
    "deep json": (f"'{DEEP}'::json", DEEP),
    "jsonb": ("""'{"b":1,"a":[true,"é"]}'::jsonb""", '{"a": [true, "é"], "b": 1}'),
    "jsonb digits": ("'12345678901234567890.10'::jsonb", "12345678901234567890.10"),
    "text": ("""'a"b\\c'::text""", r'"a\"b\\c"'),
    "controls": (r"E'\x01\b\f\n\r\t\x1f\x7f'", '"\\u0001\\b\\f\\n\\r\\t\\u001f\x7f"'),
    "unicode": ("'é日\U0001f600\u2028'", '"é日\U0001f600\u2028"'),
    "empty": ("''", '""'),
    "text of a number": ("'7'::text", '"7"'),
    "text of null": ("'null'::varchar", '"null"'),
    "text of json": ("'[1]'::text", '"[1]"'),
    "char": ("""'t'::"char\"""", '"t"'),
    "array": ("array[1, null, 3]", '"{1,NULL,3}"'),
    "array of json": ("""array['{"a":1}'::jsonb]""", r'"{\"{\\\"a\\\": 1}\"}"'),
    "bytea": (r"'\x00ff5c'::bytea", r'"\\x00ff5c"'),
    "money": ("'1.50'::money", '"$1.50"'),
    "xid": ("'1'::xid", '"1"'),
    "bit": ("B'101'", '"101"'),
    "date": ("'2024-02-29'::date", '"2024-02-29"'),
    "timestamptz": (
        "'2024-02-29 12:34:56.789+00'::timestamptz",
        '"2024-02-29 12:34:56.789+00"',
    ),
    "interval": ("'1 day 2 hours'::interval", '"1 day 02:00:00"'),
    "uuid": (
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
        '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"',
    ),
    "range": ("'[1,5)'::int4range", '"[1,5)"'),
    "row": ("(1, 'a')", '"(1,a)"'),
}

# And of MariaDB. A ZEROFILL may have more digits than JSON's numbers can.
MARIADB = {
    "tinyint": ("cast(-128 as int)", "-128"),
    "bigint": ("-9223372036854775808", "-9223372036854775808"),
    "bigint unsigned": ("18446744073709551615", "18446744073709551615"),
    "beyond a double": ("9007199254740993", "9007199254740993"),
    "decimal": ("cast(-1.5 as decimal(40, 20))", "-1.50000000000000000000"),
    "40 digits": (
        "1234567890123456789012345678901234567890",
        "1234567890123456789012345678901234567890",
    ),
    "double": ("0.1e0 + 0.2e0", "0.30000000000000004"),
    "large double": ("1e20", "1e+20"),
    "small double": ("1e-5", "1e-05"),
    "float": ("cast(0.5 as float)", "0.5"),
    "large float": ("cast(1e20 as float)", "1e20"),
    "true": ("true", "1"),
    "null": ("null", "null"),
    "text": (r"""'a"b\\c'""", r'"a\"b\\c"'),
    "controls": (r"'\0\b\n\r\t'", r'"\u0000\b\n\r\t"'),
    "unicode": ("'é日\U0001f600'", '"é日\U0001f600"'),
    "empty": ("''", '""'),
    "text of a number": ("'7'", '"7"'),
    "bytes": ("x'00ff5c'", r'"\\x00ff5c"'),
    "bit": ("b'101'", r'"\\x05"'),
    "date": ("date'2024-02-29'", '"2024-02-29"'),
    "time": ("time'01:02:03'", '"01:02:03"'),
    "json": ("json_object('b', 1, 'a', json_array(true, 'é'))",)
    + ('{"b": 1, "a": [true, "é"]}',),
    "json of a part": ("""json_extract('["a"]', '$[0]')""", '"a"'),
    "text of a part": ("json_value('[7]', '$[0]')", '"7"'),
    "zerofill": ("z", '"00042"'),
    "filled": ("f", "12345"),
    "year": ("y", "2024"),
    "no year": ("ny", '"0000"'),
    "json column": ("j", '{"a":   [1.50, 1E400],  "a": null}'),
    "no json": ("nj", '"{no"'),
    "enum": ("e", '"1"'),
    "blob": ("b", r'"\\x5b315d"'),
}
MARIADB_TABLE = [
    """create table t (z int(5) zerofill, f int(5) zerofill, y year, ny year, j json,
        nj json, e enum('1'), b blob)""",
    r"""set check_constraint_checks = 0; insert into t values (42, 12345, 2024, 0,
        '{"a":\r\n\t[1.50, 1E400], \n"a": null}', '{no', '1', '[1]')""",
]

# And of SQLite, where it is each value that has a type, and no column.
SQLITE = {
    "integer": ("-9223372036854775808", "-9223372036854775808"),
    "beyond a double": ("9007199254740993", "9007199254740993"),
    "real": ("0.1 + 0.2", "0.30000000000000004"),
    "whole real": ("2.0", "2"),
    "large real": ("1e20", "1e+20"),
    "minus zero": ("-0.0", "-0"),
    "infinity": ("9e999", '"Infinity"'),
    "minus infinity": ("-9e999", '"-Infinity"'),
    "true": ("true", "1"),
    "null": ("null", "null"),
    "text": ("""'a"b\\c'""", r'"a\"b\\c"'),
    "controls": (
        "char(1, 8, 12, 10, 13, 9, 31, 127)",
        '"\\u0001\\b\\f\\n\\r\\t\\u001f\x7f"',
    ),
    "nul": ("cast(x'610062' as text)", r'"a\u0000b"'),
    "unicode": ("'é日\U0001f600'", '"é日\U0001f600"'),
    "empty": ("''", '""'),
    "text of a number": ("'007'", '"007"'),
    "text of an integer": ("'7'", '"7"'),
    "text of minus": ("'-1'", '"-1"'),
    "blob": ("x'00ff5c'", r'"\\x00ff5c"'),
    "no utf-8": ("cast(x'c3' as text)", r'"\\xc3"'),
    "json function": ("json('[1]')", '"[1]"'),
    "integer column": ("i", '"seven"'),
    "text column": ("s", '"7"'),
    "bool column": ("b", "1"),
    "json column": ("j", '{"a":   [1.50, 1E400]}'),
    "json number": ("jn", "1.5"),
    "json text of a number": ("jt", "7"),
    "json string": ("js", '"a\\"b"'),
    "no json": ("nj", '"hello"'),
    "json blob": ("jb", r'"\\x5b315d"'),
}
SQLITE_TABLE = [
    """create table t (i integer, s text, b boolean, j json, jn Json, jt JSON, js json,
        nj json, jb json)""",
    r"""insert into t values ('seven', 7, true,
        '{"a":' || char(13, 10, 9) || '[1.50, 1E400]}', 1.5, '7', '"a\"b"', 'hello',
        x'5b315d')""",
]

TABLES = {"postgres": [], "mariadb": MARIADB_TABLE, "sqlite": SQLITE_TABLE}
VALUES = {"postgres": POSTGRES, "mariadb": MARIADB, "sqlite": SQLITE}


NODE = """
const [json, jsonl] = ["json", "jsonl"].map(f => fs.readFileSync(`out.${f}`, "utf8"));
const lines = jsonl.split("\\n").slice(0, -1).map(JSON.parse);
assert.deepEqual(JSON.parse(json), lines);
console.log(lines.length);
"""


def check_readers(where, count):
    """jq and node read both kinds of JSON, that many rows."""
    commands = [
        ["jq", "length", "out.json"],
        ["jq", "--slurp", "length", "out.jsonl"],
        ["node", "-e", NODE],
    ]
    for argv in commands:
        assert subprocess.check_output(argv, cwd=where) == f"{count}\n".encode()


# A number keeps the server's digits and is a string only where JSON has no such
# number; JSON is embedded, on one line; all else is a string.
def test_values_are_in_json_what_they_are(mount, engine, test_dir):
    for statement in TABLES[engine.name]:
        engine.sql(statement)
    values = VALUES[engine.name]
    quote = "`" if engine.name == "mariadb" else '"'
    columns = ", ".join(
        f"{value} as {quote}{name}{quote}" for name, (value, _) in values.items()
    )
    table = " from t" if TABLES[engine.name] else ""
    m = mount(db=engine.spec())

    got = read_formats(m, f"select {columns}{table};", test_dir)

    inside = ",".join(f"{quoted(name)}:{value}" for name, (_, value) in values.items())
    (line,) = got.check_alike().lines
    assert line.split(',"') == f"{{{inside}}}".split(',"')
    check_readers(test_dir, 1)


@pytest.fixture
def types_db(pg, database):
    yield from pg_types.types_database(pg, database)


# Byte-identical to COPY (query) TO STDOUT (FORMAT text, HEADER); and JSON has
# what CSV has, for every type PostgreSQL has.
def test_every_type_of_postgres_in_all_formats(mount, pg, types_db, test_dir):
    m = mount(db=pg.spec(database=types_db))
    queries = {"built in": every_type(array_types(pg)), **OWN_TYPES}

    for query in queries.values():
        got = read_formats(m, query + ";", test_dir).check_alike()
        assert got["tsv"] == copy_of(pg, types_db, query, form="text")
        check_readers(test_dir, len(got.lines))


# Characters that some format escapes, or looks as if it should.
ALPHABET = "\\\t\n\r\b\f\v\"',N. {}[]:1-x\x01\x1f\x7f\x80é日\u2028\U0001f600"


def random_text(chance):
    return "".join(chance.choices(ALPHABET, k=chance.choice([0, 1, 2, 9, 40])))


def random_number(chance):
    digits = str(chance.randrange(10 ** chance.randrange(1, 40)))
    return chance.choice(["", "-"]) + digits + chance.choice(["", ".0", ".10", "e7"])


def random_row(chance, i):
    """As PostgreSQL reads it."""
    cells = [
        str(chance.randrange(-(2**63), 2**63)),
        random_number(chance),
        f"'{chance.uniform(-1e20, 1e20) ** chance.choice([1, -3])!r}'",
        chance.choice(["true", "false"]),
        literal(random_text(chance)),
        f"to_jsonb({literal(random_text(chance))}::text)",
    ]
    cells = ["null" if chance.random() < 0.1 else cell for cell in cells]
    return f"({', '.join([str(i), *cells])})"


# COPY again, and the server's own JSON.
def test_random_rows_are_as_postgres_writes_them(mount, pg, database, test_dir):
    chance = random.Random(5)
    rows = ",\n".join(random_row(chance, i) for i in range(1000))
    pg.sql(
        f"""create table t (i int, "b i" int8, "n\\" numeric, "f\t" float8, "l\n" bool,
            "t""x" text, "é" jsonb); insert into t values {rows}""",
        database,
        "app",
    )
    m = mount(db=pg.spec(database=database))

    got = read_formats(m, "select * from t order by i;", test_dir).check_alike()

    query = "select {} from t order by i"
    assert got["tsv"] == copy_of(pg, database, query.format("*"), form="text")
    text = query.format("row_to_json(t)")
    theirs = pg.psql("-At", text=text, database=database, user="app")
    assert got.objects == [parse(line) for line in theirs.decode().split("\n")[:-1]]
    check_readers(test_dir, 1000)


# Where the client of MariaDB prints what we do: it has no word for NULL that is
# not a text as well, and leaves more as it is.
def test_tsv_is_what_the_client_of_mariadb_prints(
    mount, mariadb, mariadb_database, test_dir
):
    mariadb.sql(
        r"""create table t (i int, d decimal(9,3), t text, s date, y year, j json);
        insert into t values (1, 1.5, 'a\tb\nc\\d', '2024-02-29', 2024, '[1, 2]'),
            (-2, 0, '', '2024-03-01', 1999, '{"a": "b"}'),
            (3, -7, 'é"\'日,', '2024-03-01', 1999, 'null')""",
        mariadb_database,
        "app",
    )
    m = mount(db=mariadb.spec(database=mariadb_database))
    query = "select * from t order by i"
    client = mariadb.client_argv("mariadb", "--batch", "-e", query, mariadb_database)

    got = read_formats(m, f"{query};", test_dir).check_alike()

    assert got["tsv"] == subprocess.check_output(client)


# Where SQLite's shell knows JSON as well. It prints other digits of a REAL.
def test_json_is_what_the_shell_of_sqlite_prints(mount, test_dir):
    path = test_dir / "test.db"
    chance = random.Random(6)
    rows = [
        (i, chance.choice([i, str(i), i / 4, None, random_text(chance)]))
        for i in range(500)
    ]
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("create table t (i integer, v)")
        db.executemany("insert into t values (?, ?)", rows)
        db.commit()
    m = mount(db=Sqlite(path).spec())
    query = "select typeof(v) as kind, i, v from t order by i"

    got = read_formats(m, f"{query};", test_dir).check_alike()

    def values(rows):
        for (_, kind), i, (_, v) in rows:
            yield kind, i, float(v.text) if kind == "real" else v

    theirs = parse(subprocess.check_output(["sqlite3", "-json", path, query]))
    assert list(values(got.objects)) == list(values(theirs))
    check_readers(test_dir, 500)


def series(count, expression):
    """A query of SQLite's with that of the numbers from 1 on."""
    numbers = f"select 1 union all select n + 1 from s limit {count}"
    return f"with recursive s(n) as ({numbers}) select {expression} as v from s;"


def assert_lines(data, expected):
    """As ==, but says in short what is wrong with very many lines."""
    pairs = itertools.zip_longest(data.decode().split("\n"), [*expected, ""])
    assert next((pair for pair in pairs if pair[0] != pair[1]), None) is None


# Columns that have numbers and texts in turn: each value is what it is, however
# often that changes, as long as not too many look like the other kind.
def test_numbers_among_words(mount, test_dir):
    m = mount(db=SqliteEngine(test_dir / "test.db").spec())
    count = 600000
    expression = "case when n % 1000 = 0 then '7' when n % 2 then n else 'n' || n end"

    got = read_formats(m, series(count, expression), test_dir, formats=["jsonl"])

    numbers = range(1, count + 1)
    cells = ('"7"' if n % 1000 == 0 else n if n % 2 else f'"n{n}"' for n in numbers)
    assert_lines(got["jsonl"], (f'{{"v":{cell}}}' for cell in cells))


# JSON that would say the wrong thing fails, and the other formats are whole.
def test_numbers_among_texts_of_numbers_are_too_large_for_json(mount, test_dir):
    m = mount(db=SqliteEngine(test_dir / "test.db").spec())
    count = 270000
    sql = series(count, "case when n % 2 then n else '' || n end")
    others = ["csv", "tsv", "txt"]
    script = 'for f in json jsonl; do cat "$C/result.$f" && echo "$f is there"; done'

    got = read_formats(m, sql, test_dir, formats=others, then=script)

    for name in ["csv", "tsv"]:
        assert_lines(got[name], ["v", *map(str, range(1, count + 1))])
    assert got["txt"].decode().endswith(f"({count} rows)\n")
    assert "is there" not in got.told.out
    assert got.told.err.count("File too large") == 2


NAMES = ["a", "b", "a", "a_2", "A", "a", '"q"', "l\nm", "é"]
KEYS = ["a", "b", "a_3", "a_2", "A", "a_4", '"q"', "l\nm", "é"]


# Columns keep their order, and their names, but for those that come twice.
def test_keys_of_json(mount, engine, test_dir):
    quote = "`" if engine.name == "mariadb" else '"'
    columns = ", ".join(
        f"{i} as {quote}{name.replace(quote, 2 * quote)}{quote}"
        for i, name in enumerate(NAMES)
    )
    m = mount(db=engine.spec())

    got = read_formats(m, f"select {columns};", test_dir)

    numbers = [Digits(str(i)) for i in range(len(KEYS))]
    assert got.objects == [list(zip(KEYS, numbers))]


# NULL is not the empty text, in any format; and no rows are no rows.
def test_null_empty_and_nothing(mount, engine, test_dir):
    engine.sql("create table t (i int, v varchar(9))")
    engine.sql("insert into t values (1, ''), (2, null), (3, 'NULL'), (4, 'N')")
    m = mount(db=engine.spec())

    got = read_formats(m, "select v, 1 as n from t order by i;", test_dir)
    none = read_formats(m, "select v from t where i > 9;", test_dir)

    assert got["csv"] == b'v,n\n"",1\n,1\nNULL,1\nN,1\n'
    assert got["tsv"] == b"v\tn\n\t1\n\\N\t1\nNULL\t1\nN\t1\n"
    assert [row[0][1] for row in got.objects] == ["", None, "NULL", "N"]
    assert none.contents == {
        "csv": b"v\n",
        "tsv": b"v\n",
        "jsonl": b"",
        "json": b"[]\n",
        "txt": b" v\n---\n(0 rows)\n",
    }


# Only PostgreSQL has such rows.
def test_rows_without_columns(mount, pg, database, test_dir):
    m = mount(db=pg.spec(database=database))

    got = read_formats(m, "select from generate_series(1, 2);", test_dir)

    assert got.contents == {
        "csv": b"\n\n\n",
        "tsv": b"\n\n\n",
        "jsonl": b"{}\n{}\n",
        "json": b"[\n{},\n{}\n]\n",
        "txt": b"--\n(2 rows)\n",
    }
