# SPDX-License-Identifier: MIT
"""CSV: PostgreSQL's, byte for byte, and the same rules for the other engines."""

import csv
import io
import random
import sqlite3
import struct

import pytest

from clients import wait_for

MIB = 1024 * 1024

# Texts that CSV has to think about, or looks as if it had to.
NASTY = [
    None,
    "",
    " ",
    " leading",
    "trailing ",
    "\ttab\t",
    ",",
    '"',
    '""',
    'a"b',
    "a,b",
    "\n",
    "\r",
    "\r\n",
    "line 1\nline 2\n",
    "\\.",
    "\\",
    "\\N",
    "\\n",
    "NULL",
    "'",
    ";",
    "é",
    "日本語",
    "\U0001f600,\U0001f600",
    "e\u0301",
    "\ufeff",
    "\u2028",
    "\x01\x1f\x7f",
    "x" * 15,
    "x" * 15 + ",",
    "x" * 16,
    "x" * 16 + '"',
    "x" * 31 + "\n",
    "x" * 70000,
    '"' * 40000,
    "x" * 70000 + ",",
]

# Values of every built-in type that can be written as text. With the arrays of
# them, which the test makes, and MADE, that is every type there is.
SAMPLES = {
    "bool": ["true", "false"],
    "bytea": ["", "\\x00ff2c220a", "a\\\\b", "\\\\."],
    "char": ["a", ",", '"', "\n", "", "\\377"],
    "name": ["app", 'a "b", c', ""],
    "int2": ["-32768", "0", "32767"],
    "int4": ["-2147483648", "0", "2147483647"],
    "int8": ["-9223372036854775808", "0", "9223372036854775807"],
    "int2vector": ["1 2 3", "", "7"],
    "oid": ["0", "4294967295"],
    "oidvector": ["1 2 3", "", "7"],
    "regproc": ["now", "-"],
    "regprocedure": ["lower(text)", "substring(text, int4, int4)", "-"],
    "regoper": ["||/", "0"],
    "regoperator": ["+(int4,int4)", "!!(NONE,tsquery)", "0"],
    "regclass": ["pg_class", '"quo""ted, table"', "-"],
    "regcollation": ['"C"', '"POSIX"'],
    "regtype": ["int4", "numeric(3,1)", "timestamp with time zone", "-"],
    "regconfig": ["english", "simple"],
    "regdictionary": ["simple"],
    "regnamespace": ["pg_catalog"],
    "regrole": ["app", "pg_monitor"],
    "text": [t for t in NASTY if t is not None],
    "bpchar": ["ab ", " ", "a,b", ""],
    "varchar": ["ab ", "", "a,b"],
    "tid": ["(0,1)", "(4294967295,65535)"],
    "xid": ["0", "4294967295"],
    "cid": ["0", "4294967295"],
    "xid8": ["0", "18446744073709551615"],
    "json": ['{"a": [1, "x,y"], "b": null}', "[]", '"\\u00e9"', " null "],
    "jsonb": ['{"b": 1, "a": "x\\"y"}', "[1, 2]", '"s"', "null", "1.50"],
    "jsonpath": ["$.a[*] ? (@ > 1)", 'strict $."b c"'],
    "xml": ['<a b="c">d, e</a>', "text", "<a/>\n<b/>"],
    "point": ["(1.5,-2)", "(Infinity,NaN)"],
    "lseg": ["[(0,0),(1,1)]"],
    "path": ["((0,0),(1,1))", "[(0,0),(1,1)]"],
    "box": ["(2,2),(0,0)"],
    "polygon": ["((0,0),(1,1),(1,0))"],
    "line": ["{1,-1,0}"],
    "circle": ["<(1,2),3>"],
    "float4": ["0", "-0", "1.1", "3.4028235e38", "1e-45", "NaN", "Infinity",
               "-Infinity", "1e15", "1e16", "123456.79"],
    "float8": ["0", "-0", "0.1", "1.7976931348623157e308", "5e-324", "NaN",
               "Infinity", "-Infinity", "1e15", "1e16", "1e-5", "1e22",
               "0.30000000000000004", "123456789012345680"],
    "numeric": ["0", "0.00", "-1.50", "NaN", "Infinity", "-Infinity",
                "1e400", "1e-400", "123456789012345678901234567890.123456789"],
    "money": ["0", "-1234567.89", "92233720368547758.07"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "inet": ["192.168.0.1", "192.168.0.1/24", "::1", "2001:db8::/32"],
    "cidr": ["192.168.0.0/24", "2001:db8::/32"],
    "date": ["2024-02-29", "0044-03-15 BC", "infinity", "-infinity",
             "5874897-12-31", "4713-11-24 BC"],
    "time": ["00:00:00", "24:00:00", "12:34:56.789012"],
    "timetz": ["00:00:00+00", "12:34:56.789012-15:59:59"],
    "timestamp": ["2024-02-29 12:34:56.789012", "0044-03-15 00:00:00 BC",
                  "infinity", "-infinity", "294276-12-31 23:59:59.999999"],
    "timestamptz": ["2024-02-29 12:34:56.789012+02", "0044-03-15 00:00:00 BC",
                    "infinity", "-infinity", "294276-12-31 23:59:59.999999+00"],
    "interval": ["0", "1 year 2 mons -3 days 04:05:06.789", "-1 mons",
                 "178000000 years", "-00:00:01"],
    "bit": ["1", "0"],
    "varbit": ["", "10110"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "refcursor": ["cursor, 1"],
    "aclitem": ["app=r/app", '"quo""ted"=arw*/app'],
    "txid_snapshot": ["10:20:10,14,15"],
    "pg_snapshot": ["10:20:10,14,15"],
    "pg_lsn": ["0/0", "FFFFFFFF/FFFFFFFF"],
    "tsvector": ["'a':1A,2B 'b,c':3 'd''e' '\"'", ""],
    "tsquery": ["'a' & !'b' <-> 'c,d'", "a:*A | b", ""],
    "int4range": ["[1,5)", "empty", "(,)", "(,5)"],
    "int8range": ["[1,5)", "(1,)"],
    "numrange": ["[1.5,2.50]", "(,NaN]"],
    "daterange": ["[2024-01-01,2024-02-01)", "(,infinity)"],
    "tsrange": ["[2024-01-01 00:00,2024-01-02 12:30)", "(,)"],
    "tstzrange": ["[2024-01-01 00:00+00,2024-01-02 12:30+00)", "empty"],
    "int4multirange": ["{}", "{[1,2),[5,9)}"],
    "int8multirange": ["{[1,2)}"],
    "nummultirange": ["{[1.5,2.5],(7,)}"],
    "datemultirange": ["{[2024-01-01,2024-02-01)}"],
    "tsmultirange": ["{[2024-01-01 00:00,2024-01-02 12:30)}"],
    "tstzmultirange": ["{[2024-01-01 00:00+00,2024-01-02 12:30+00)}"],
}

# Types without a text form to put in: what the server makes of its own.
MADE = {
    "pg_node_tree": "(select ev_action from pg_rewrite order by oid limit 1)",
    "pg_ndistinct": "(select ndistinct from statistics)",
    "pg_dependencies": "(select dependencies from statistics)",
    "pg_mcv_list": "(select mcv from statistics)",
    "gtsvector": "null::gtsvector",
    "pg_brin_bloom_summary": "null::pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary": "null::pg_brin_minmax_multi_summary",
}

# Things the sample types need, and types of the test's own.
PREPARE = """
create role "quo""ted";
create table "quo""ted, table" (a int, b int);
insert into "quo""ted, table" select i % 7, i % 7 from generate_series(1, 500) i;
create statistics s (ndistinct, dependencies, mcv) on a, b from "quo""ted, table";
analyze "quo""ted, table";
create table statistics as
    select stxdndistinct as ndistinct, stxddependencies as dependencies,
        stxdmcv as mcv from pg_statistic_ext_data;
create type mood as enum ('sad', 'o,k', '"', '');
create domain short as varchar(5) check (value <> 'bad');
create type pair as (a int, "b c" text);
create type floatrange as range (subtype = float8);
create domain pairs as pair[];
grant select on all tables in schema public to app;
"""

UNDO = 'drop role "quo""ted"'  # roles are shared by all databases


def copy_of(pg, database, query, settings=""):
    """What COPY gives for the query, behind those SETs; of any length."""
    copy = f"{settings}\ncopy ({query}) to stdout (format csv, header);"
    return pg.psql(text=copy, database=database, user="app")


def literal(text):
    """As PostgreSQL reads it whatever its settings are."""
    quoted = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{quoted}'"


@pytest.fixture
def types_db(pg, database):
    pg.sql(PREPARE, database=database)
    yield database
    pg.sql(UNDO, database=database)


def built_in_types(pg):
    """Names of all types a column of a result can have, arrays left out."""
    rows = pg.sql(
        "select typname from pg_type t where typnamespace = 'pg_catalog'::regnamespace"
        " and typtype in ('b', 'r', 'm')"
        " and not exists (select from pg_type e where e.typarray = t.oid)"
    )
    return {name for (name,) in rows}


def array_types(pg):
    rows = pg.sql(
        "select e.typname from pg_type a join pg_type e on a.typelem = e.oid"
        " where a.typnamespace = 'pg_catalog'::regnamespace"
        " and a.typcategory = 'A' and e.typtype in ('b', 'r', 'm')"
        " and a.oid = e.typarray"
    )
    return {name for (name,) in rows}


def every_type(arrays):
    """A query with one column of each type and each array type."""
    depth = max(len(v) for v in SAMPLES.values())
    rows = []
    for i in range(depth + 1):
        cells = []
        for name, values in SAMPLES.items():
            typed = "float4" if name == "float4" else name
            quoted = f'pg_catalog."{typed}"'
            value = literal(values[i]) if i < len(values) else "null"
            cells.append(f'{value}::{quoted} as "{name}"')
            if name in arrays and i == 0:
                members = ", ".join(f"{literal(v)}::{quoted}" for v in values[:20])
                cells.append(f'array[{members}, null] as "{name}[]"')
            elif name in arrays:
                empty = f"array[]::{quoted}[]" if i == 1 else f"null::{quoted}[]"
                cells.append(f'{empty} as "{name}[]"')
        for name, value in MADE.items():
            cells.append(f'{value if i == 0 else "null::" + name} as "{name}"')
        rows.append("select " + ", ".join(cells))
    return " union all ".join(rows)


# The rule: byte-identical to COPY (query) TO STDOUT (FORMAT csv, HEADER), for
# every type PostgreSQL has.
def test_every_built_in_type_is_printed_as_copy_does(mount, pg, types_db):
    m = mount(db=pg.spec(database=types_db))
    query = every_type(array_types(pg))

    assert built_in_types(pg) == SAMPLES.keys() | MADE.keys()
    got = m.query(query + ";").check().stdout

    assert got == copy_of(pg, types_db, query)


OWN_TYPES = {
    "enums": "select unnest(enum_range(null::mood)), array['o,k', '\"']::mood[]",
    "domains": "select 'a,b'::short, ''::short, array['a,b', null, '']::short[]",
    "records": """select row(), row(1), row(1, 'a,b', null, ''), row(row(1, '"'), 2),
        array[row(1, 'x'), row(2, '')]""",
    "composites": """select (1, 'a "b", c')::pair, (null, null)::pair, (2, '')::pair,
        array[(1, ',')::pair, null], array[(3, 'x')::pair]::pairs""",
    "own ranges": "select floatrange(1.5, 'infinity'), '{[1,2),(3,]}'::floatmultirange",
    "void": "select pg_sleep(0), pg_sleep(0) is null as n",
    "cstring": "select textin('a,b')::text, 'a,b'::cstring, ''::cstring",
    "unknown": "select 'a,b'::unknown, null::unknown, ''::unknown",
    "many dimensions": "select '[0:1][2:3]={{1,2},{3,4}}'::int[], '{}'::text[][]",
    "fixed lengths": "select 'ab'::char(5), ''::char(3), 'abc'::varchar(2), B'10'::bit(2)",
    "scales": "select 1.5::numeric(10, 4), '1 day'::interval day, now()::date = now()",
    "rows of catalogs": "select a from pg_am a order by oid",
    "information_schema": """select 'YES'::information_schema.yes_or_no,
        'a,b'::information_schema.sql_identifier, 1::information_schema.cardinal_number""",
    "set-returning": "select generate_series(1, 3), unnest(array['a', null, ''])",
    "pseudo-types": "select null::void, null::record, null::anyarray, null::cstring",
}


@pytest.mark.parametrize("kind", OWN_TYPES)
def test_types_of_a_users_own_are_printed_as_copy_does(mount, pg, types_db, kind):
    m = mount(db=pg.spec(database=types_db))
    query = OWN_TYPES[kind]

    got = m.query(query + ";").check().stdout

    assert got == copy_of(pg, types_db, query)


SETTINGS = {
    "SQL dates": "set datestyle = 'SQL, DMY'; set intervalstyle = 'sql_standard';",
    "Postgres dates": "set datestyle = 'Postgres'; set intervalstyle = 'postgres_verbose';",
    "German dates": "set datestyle = 'German'; set intervalstyle = 'iso_8601';",
    "a zone name with a comma": """set datestyle = 'Postgres'; set timezone = '<a,b>5';""",
    "a zone name with a quote": """set datestyle = 'SQL'; set timezone = '<a"b>5';""",
    "escaped bytes": "set bytea_output = 'escape';",
    "few digits": "set extra_float_digits = -15;",
    "all digits": "set extra_float_digits = 3;",
    "quoted identifiers": "set quote_all_identifiers = on;",
    "base64 in xml": "set xmlbinary = 'hex'; set xmloption = 'document';",
    "backslashes": "set standard_conforming_strings = off;",
}


# A SET of the session counts, for the columns as for COPY: types whose text
# never needs quoting by default (timestamptz) may need it then.
@pytest.mark.parametrize("name", SETTINGS)
def test_output_settings_of_the_session_count(mount, pg, types_db, name):
    m = mount(db=pg.spec(database=types_db))
    query = every_type(array_types(pg)).replace("<a/>\\n<b/>", "<a/>")
    if "xml" in name:
        query = "select xmlelement(name a, '\\x00ff'::bytea), '<a/>'::xml as x"
    settings = SETTINGS[name]

    got = m.query(f"{settings}\n{query};").check().stdout

    assert got == copy_of(pg, types_db, query, settings)


# Sessions are always UTF-8, whatever a script asks for.
def test_client_encoding_stays_utf8(mount, pg, database):
    m = mount(db=pg.spec(database=database))

    m.query("set client_encoding = 'latin1';\nselect 'é' as a;")
    again = m.query("select 'é€' as a;").check()

    assert again.out == "a\né€\n"


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
    values = ",".join(
        f"({i}, {'null' if v is None else sql_text(v)})" for i, v in rows
    )
    make = f"create table nasty (i int, v text); insert into nasty values {values};"
    engine_script(engine, make)
    m = mount(db=engine.spec())

    got = m.query(query + ";").check().stdout

    assert got == reference(rows, query.count(",") + 1)


def sql_text(value):
    return "'" + value.replace("'", "''") + "'"


def engine_script(engine, text):
    if engine.name == "sqlite":
        engine.file.script(text)
    else:
        engine.server.psql(text=text, database=engine.database, user="app")


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
@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_random_texts_are_printed_as_copy_does(
    mount, pg, database, test_dir, kind, width
):
    rng = random.Random(f"{width}")
    rows = random_rows(rng, 4000, width)
    load_postgres(pg, database, width, rows)
    columns = ", ".join(f"c{i}" for i in range(width))
    query = f"select {columns} from r order by i"
    spec = pg.spec(database=database)
    if kind == "sqlite":
        spec = sqlite_of_rows(test_dir / "rows.db", width, rows)
    m = mount(db=spec)

    got = m.query(query + ";").check().stdout

    assert got == copy_of(pg, database, query)
    read = list(csv.reader(io.StringIO(got.decode(), newline="")))[1:]
    # A line of nothing is a NULL that stands alone; csv has no cell for it.
    assert read == [[v or "" for v in row] if row != [None] else [] for row in rows]


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
def test_values_of_sqlite(mount, engine_of_sqlite, kind):
    value, expected = SQLITE_VALUES[kind]
    m = mount(db=engine_of_sqlite.spec())

    got = m.query(f"select {value} as v, 1 as n;").check()

    assert got.stdout == b"v,n\n" + expected + b",1\n"


@pytest.fixture
def engine_of_sqlite(test_dir):
    import servers

    return servers.SqliteEngine(test_dir / "test.db")


def test_column_names_of_sqlite_are_quoted_by_the_same_rules(mount, engine_of_sqlite):
    m = mount(db=engine_of_sqlite.spec())
    names = ["a", "a", "", "a,b", 'a"b', "a\nb", " a ", "\\.", "é"]
    columns = ", ".join(f"1 as {identifier(n)}" for n in names)

    got = m.query(f"select {columns};").check()

    assert got.out == 'a,a,"","a,b","a""b","a\nb", a ,\\.,é\n1,1,1,1,1,1,1,1,1\n'


@pytest.mark.parametrize("name", ["", "\\."])
def test_a_strange_name_alone_in_its_header_is_quoted(mount, engine_of_sqlite, name):
    m = mount(db=engine_of_sqlite.spec())

    got = m.query(f"select 1 as {identifier(name)};").check()

    assert got.out == f'"{name}"\n1\n'


# SQLite can have 2000 columns.
def test_wide_rows_of_sqlite(mount, engine_of_sqlite):
    m = mount(db=engine_of_sqlite.spec())
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
    copy = f"copy (select i, null, 'a;|''' || i from generate_series(1, 5000) i)"
    copy += f" to stdout {options}"

    got = m.query(copy + ";").check().stdout

    assert got == pg.psql("-c", copy, database=database)


BIG = 60 * MIB

BIG_CELLS = {
    # One that is copied, one whose every byte is doubled, one that turns out
    # to need quotes at its very end.
    "plain": (f"repeat('x', {BIG})", "x", False, ""),
    "quotes": (f"repeat('\"', {BIG})", '""', True, ""),
    "a comma last": (f"repeat('x', {BIG}) || ','", "x", True, ","),
}


def digest_of_big(kind):
    """What md5sum says of the CSV with that cell alone."""
    import hashlib

    _, unit, quoted, tail = BIG_CELLS[kind]
    quote = '"' if quoted else ""
    digest = hashlib.md5(f"v\n{quote}".encode())
    for _ in range(60):
        digest.update((unit * MIB).encode())
    digest.update(f"{tail}{quote}\n".encode())
    return digest.hexdigest()


# A row is held whole, once: the memory of the daemon for a cell of 60 MiB is
# that cell, the spool, and little else; and it is given back.
@pytest.mark.parametrize("kind", BIG_CELLS)
def test_a_cell_of_60_mib_passes_whole(mount, pg, database, kind):
    m = mount(db=pg.spec(database=database))
    before = m.status["VmRSS"]

    got = m.sh(
        'cat >"$C/query.sql" && md5sum <"$C/result.csv"',
        stdin=f"select {BIG_CELLS[kind][0]} as v;",
        timeout=60,
    ).check()

    assert got.out.split()[0] == digest_of_big(kind)
    peak = m.status["VmHWM"] - before
    print(f"{kind}: peak {peak} kB over the {before} kB before")
    if not sanitized():
        assert peak < (BIG + 16 * MIB) / 1024
        wait_for(
            lambda: m.status["VmRSS"] - before < 20 * 1024,
            "the memory of the cell is given back",
        )


def sanitized():
    import clients

    return clients.SCALE > 1


def test_a_blob_of_30_mib_of_sqlite_passes_whole(mount, engine_of_sqlite):
    m = mount(db=engine_of_sqlite.spec())

    got = m.sh(
        'cat >"$C/query.sql" && tr -d 0 <"$C/result.csv"; wc -c <"$C/result.csv"',
        stdin=f"select zeroblob({30 * MIB}) as v;",
        timeout=60,
    ).check()

    assert got.lines == ["v", "\\x", str(len("v\n\\x\n") + 60 * MIB)]


# max_row is 64 MiB by default. The row is refused, never cut, and the session
# lives on, with its state.
@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_a_row_over_max_row_is_refused(mount, pg, database, engine_of_sqlite, kind):
    spec = pg.spec(database=database)
    value = f"repeat('x', {65 * MIB})"
    if kind == "sqlite":
        spec = engine_of_sqlite.spec()
        value = f"replace(hex(zeroblob({33 * MIB})), '00', 'xx')"
    m = mount(db=spec)

    got = m.sh(
        'echo "create temp table t as select 7 as a;" >"$C/query.sql" || exit\n'
        'cat >"$C/query.sql"; echo $?; cat "$C/result.csv"; echo $?\n'
        'grep -c max_row "$C/error" || cat "$C/error"\n'
        'echo "select a from t;" >"$C/query.sql"; cat "$C/result.csv"',
        stdin=f"select {value} as v;",
        timeout=60,
    )

    assert "File too large" in got.err
    assert got.lines[:2] == ["1", "1"]
    assert got.lines[-2:] == ["a", "7"]


# A failure after the first rows is no clean end, and says what it was.
def test_a_row_over_max_row_after_others_ends_the_result_with_an_error(
    mount, engine
):
    m = mount(db=engine.spec(), settings={"max_row": 1000, "settle_time": 60})
    values = {"postgres": "repeat('x', n * 100)", "sqlite": "hex(zeroblob(n * 50))"}
    query = engine.series(20).replace("select n from", f"select {values[engine.name]} from")

    got = m.query(query + ";")

    assert got.rc != 0
    assert got.stdout == b""
    assert "File too large" in got.err


# Exactly max_row bytes of cells pass; one more does not.
@pytest.mark.parametrize("length, rc", [(1000, 0), (1001, 1)])
def test_max_row_is_the_exact_limit(mount, engine, length, rc):
    m = mount(db=engine.spec(), settings={"max_row": 1000})

    got = m.query(f"select '{'x' * length}' as v;")

    assert got.rc == rc
    assert got.out == ("v\n" + "x" * length + "\n" if rc == 0 else "")


# Cells that together are large, each with its own need of quotes.
def test_a_row_of_many_large_cells_is_printed_as_copy_does(mount, pg, database):
    m = mount(db=pg.spec(database=database))
    units = ["x", '"', ",", "é", "\\n", "ab\"", " "]
    cells = [f"repeat(E'{u}', {100_000 + 7919 * i})" for i, u in enumerate(units * 3)]
    query = "select " + ", ".join(cells) + ", '', null, '\\.' from generate_series(1, 2)"

    got = m.query(query + ";").check().stdout

    assert got == copy_of(pg, database, query)
