# SPDX-License-Identifier: MIT
"""CSV of every type MariaDB has: PostgreSQL's rules for quoting, NULL and the
empty string; binary data as \\x and hex; doubles in PostgreSQL's form."""

import pytest

TEXT_TYPES = ["char(9)", "varchar(9)", "tinytext", "text", "mediumtext", "longtext"]
BYTE_TYPES = ["varbinary(9)", "tinyblob", "blob", "mediumblob", "longblob"]

# Of each type values, in SQL, and their cells.
TYPES = {
    **{
        kind: [
            ("''", '""'),
            ("'a b'", "a b"),
            ("'a,b'", '"a,b"'),
            ("'a\"b'", '"a""b"'),
            (r"'a\nb'", '"a\nb"'),
            (r"'a\rb'", '"a\rb"'),
            (r"'\\n'", "\\n"),
            ("'NULL'", "NULL"),
            ("'é日\U0001f600'", "é日\U0001f600"),
        ]
        for kind in TEXT_TYPES
    },
    "char(5) character set latin1": [("'é'", "é")],
    "varchar(5) character set utf16": [("'é\U0001f600'", "é\U0001f600")],
    **{
        kind: [
            ("''", "\\x"),
            ("'a,b'", "\\x612c62"),
            ("x'00ff275c0a'", "\\x00ff275c0a"),
        ]
        for kind in BYTE_TYPES
    },
    "binary(3)": [("x'00ff'", "\\x00ff00")],
    "bit(1)": [("b'1'", "\\x01"), ("b'0'", "\\x00")],
    "bit(9)": [("b'100000001'", "\\x0101")],
    "tinyint": [("-128", "-128"), ("127", "127")],
    "tinyint unsigned": [("255", "255")],
    "bool": [("true", "1"), ("false", "0")],
    "smallint": [("-32768", "-32768")],
    "mediumint": [("-8388608", "-8388608")],
    "int": [("-2147483648", "-2147483648"), ("0", "0")],
    "int(5) zerofill": [("42", "00042")],
    "bigint": [("-9223372036854775808", "-9223372036854775808")],
    "bigint unsigned": [("18446744073709551615", "18446744073709551615")],
    "decimal(30,10)": [
        ("0", "0.0000000000"),
        ("-12345678901234567890.5", "-12345678901234567890.5000000000"),
    ],
    "float": [
        ("0.1", "0.1"),
        ("16777216", "16777200"),
        ("1e20", "1e20"),
        ("-0.5", "-0.5"),
    ],
    "double": [
        ("0", "0"),
        ("0.1", "0.1"),
        ("100", "100"),
        ("1e15", "1e+15"),
        ("123456789012345680", "1.2345678901234568e+17"),
        ("1e-5", "1e-05"),
        ("0.0001", "0.0001"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("-2.5", "-2.5"),
    ],
    "double(10,3)": [("1.5", "1.5"), ("1234567.125", "1234567.125")],
    "date": [("'2024-02-29'", "2024-02-29"), ("'0000-00-00'", "0000-00-00")],
    "time": [("'-838:59:59'", "-838:59:59"), ("'00:00:00'", "00:00:00")],
    "time(6)": [("'1:2:3.45'", "01:02:03.450000")],
    "datetime": [("'2024-02-29 23:59:59'", "2024-02-29 23:59:59")],
    "datetime(3)": [("'2024-02-29 23:59:59.5'", "2024-02-29 23:59:59.500")],
    "timestamp null": [("'2024-02-29 23:59:59'", "2024-02-29 23:59:59")],
    "year": [("2024", "2024")],
    "enum('a,b','c','')": [("'a,b'", '"a,b"'), ("'c'", "c"), ("''", '""')],
    "set('a','b','c')": [("'a,c'", '"a,c"'), ("''", '""')],
    "json": [("'{\"a\": \"b,c\"}'", '"{""a"": ""b,c""}"'), ("'[1, 2]'", '"[1, 2]"')],
    "uuid": [("'123e4567-e89b-12d3-a456-426655440000'",
              "123e4567-e89b-12d3-a456-426655440000")],
    "inet4": [("'192.0.2.1'", "192.0.2.1")],
    "inet6": [("'2001:db8::1'", "2001:db8::1")],
    "point": [("point(1, 2)",
               "\\x000000000101000000000000000000f03f0000000000000040")],
}


# Each among others, and NULL is empty whatever the type is.
@pytest.mark.parametrize("kind", TYPES)
def test_values_of_mariadb(mount, mariadb, mariadb_database, kind):
    values = TYPES[kind]
    rows = ",".join(f"({i}, {value})" for i, (value, _) in enumerate(values))
    mariadb.sql(
        f"set sql_mode = ''; create table t (i int primary key, v {kind});"
        f"insert into t values {rows}, (999, null);",
        mariadb_database,
        "app",
    )
    m = mount(db=mariadb.spec(database=mariadb_database))

    got = m.query("select i, v, i as w from t order by i;").check()

    lines = [f"{i},{cell},{i}\n" for i, (_, cell) in enumerate(values)]
    assert got.stdout.decode() == "i,v,w\n" + "".join(lines) + "999,,999\n"


# What no table is needed for.
EXPRESSIONS = {
    "null": ("null", ""),
    "a number": ("1", "1"),
    "an exact one": ("1.50", "1.50"),
    "a double": ("1e0", "1"),
    "a division": ("1 / 3", "0.3333"),
    "a text": ("'a,b'", '"a,b"'),
    "hex": ("x'61'", "\\x61"),
    "bits": ("b'101'", "\\x05"),
    "bytes": ("cast('a' as binary)", "\\x61"),
    "a comparison": ("1 < 2", "1"),
    "json": ("json_object('a', 1)", '"{""a"": 1}"'),
    "a text with NUL": (r"'a\0b'", "a\0b"),
    "a time": ("timestamp '2024-02-29 01:02:03'", "2024-02-29 01:02:03"),
}


@pytest.mark.parametrize("kind", EXPRESSIONS)
def test_expressions_of_mariadb(mount, mariadb, mariadb_database, kind):
    value, expected = EXPRESSIONS[kind]
    m = mount(db=mariadb.spec(database=mariadb_database))

    got = m.query(f"select {value} as v, 1 as n;").check()

    assert got.stdout.decode() == f"v,n\n{expected},1\n"


# Alone in its line `\.` would end a COPY, and nothing would be a NULL.
@pytest.mark.parametrize(
    "value, line", [(r"'\\.'", '"\\."'), ("''", '""'), ("null", "")]
)
def test_a_value_alone_in_its_row(mount, mariadb, mariadb_database, value, line):
    m = mount(db=mariadb.spec(database=mariadb_database))

    got = m.query(f"select {value} as v;").check()

    assert got.out == f"v\n{line}\n"


# Names are cells of the header; MariaDB can have 4096 of them.
def test_column_names_of_mariadb_are_quoted_by_the_same_rules(
    mount, mariadb, mariadb_database
):
    m = mount(db=mariadb.spec(database=mariadb_database))
    names = ["a", "a", "a,b", 'a"b', "a\nb", "\\.", "é", "1"]
    columns = ", ".join(f"1 as `{n}`" for n in names)

    got = m.query(f"select {columns};").check()

    assert got.out == 'a,a,"a,b","a""b","a\nb",\\.,é,1\n1,1,1,1,1,1,1,1\n'


def test_wide_rows_of_mariadb(mount, mariadb, mariadb_database):
    m = mount(db=mariadb.spec(database=mariadb_database))
    columns = ", ".join(f"'a,{n}' as c{n}" for n in range(4096))

    got = m.query(f"select {columns};").check()

    header = ",".join(f"c{n}" for n in range(4096))
    assert got.out == header + "\n" + ",".join(f'"a,{n}"' for n in range(4096)) + "\n"


# Sessions are always UTF-8, whatever a script asks for.
@pytest.mark.parametrize(
    "setting",
    [
        "set names latin1",
        "set character_set_results = latin1",
        "set character_set_client = latin1",
        "set character_set_results = null",
    ],
)
def test_results_stay_utf8(mount, mariadb, mariadb_database, setting):
    mariadb.sql(
        "create table t (v varchar(9) character set latin1);"
        "insert into t values ('é')",
        mariadb_database,
        "app",
    )
    m = mount(db=mariadb.spec(database=mariadb_database))

    got = m.sh(
        f"echo '{setting};' > $C/query.sql\n"
        "echo \"select v, 'é' as w from t;\" > $C/query.sql; cat $C/result.csv"
    )

    assert got.check().out == "v,w\né,é\n"
