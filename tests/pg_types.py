# SPDX-License-Identifier: MIT
"""Values of every type PostgreSQL has, as columns of a query."""

from csv_values import NASTY, literal

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


def types_database(pg, database):
    """For a fixture: that database, with what the samples need."""
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
    "fixed lengths": """select 'ab'::char(5), ''::char(3), 'abc'::varchar(2),
        B'10'::bit(2)""",
    "scales": "select 1.5::numeric(10, 4), '1 day'::interval day, now()::date = now()",
    "rows of catalogs": "select a from pg_am a order by oid",
    "information_schema": """select 'YES'::information_schema.yes_or_no,
        'a,b'::information_schema.sql_identifier,
        1::information_schema.cardinal_number""",
    "set-returning": "select generate_series(1, 3), unnest(array['a', null, ''])",
    "pseudo-types": "select null::void, null::record, null::anyarray, null::cstring",
}
