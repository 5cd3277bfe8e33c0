# SPDX-License-Identifier: MIT
"""What may stand in a text and what may not: dumps, client commands, limits,
junk, COPY. Design 3, rules 1 and 8."""

import os

import pytest

import servers
from clients import sh
from programs import run_text

SCHEMA = r"""
create table kinds (id integer primary key, name text not null);
create table things (id integer primary key, kind integer references kinds (id),
    text_ text, amount numeric(12,4));
"""

# What tempts a splitter: quotes, semicolons, comments, backslashes, newlines.
VALUES = [
    "plain",
    "it''s; -- no comment",
    "/* not a comment; */",
    'a "quoted" name;',
    "back\\slash;\\",
    "two\nlines;\nthree",
    "$$; $tag$",
    "é€😀",
    "",
]


def fill(run, backslash="\\"):
    run(SCHEMA)
    run("insert into kinds values (1, 'one'), (2, 'two');")
    for n, value in enumerate(VALUES * 5):
        value = value.replace("\\", backslash)
        run(f"insert into things values ({n}, {n % 2 + 1}, '{value}', {n}.25);")


def in_pieces(text, how):
    if how == "lines":
        return text.splitlines(keepends=True)
    return [text[i : i + how] for i in range(0, len(text), how)]


# A whole dump is one text; how a program cuts it into writes must not matter.
# Statements are numbered: the one after it tells how many there were.
@pytest.mark.parametrize("how", [1, "lines", 128 * 1024])
def test_a_dump_of_sqlite_makes_the_same_database(mount, test_dir, how):
    source, target = (servers.Sqlite(test_dir / f"{n}.db") for n in ["a", "b"])
    fill(source.script)
    source.script(
        "create view v as select 1 as a;"
        "create trigger tr after insert on kinds begin"
        " update kinds set name = 'x;y' where id = new.id;"
        " delete from things where id = -1; end;"
    )
    dump = sh(f"sqlite3 {source.path} .dump").check().stdout
    m = mount(db=target.spec())

    outcome = run_text(m, *in_pieces(dump, how))

    assert set(outcome.writes) == {"ok"}
    assert outcome.status["state"] == "done"
    # PRAGMA, BEGIN, 2 tables, the rows, the view, the trigger, COMMIT.
    assert outcome.status["id"] == 4 + 2 + 5 * len(VALUES) + 3
    assert sh(f"sqlite3 {target.path} .dump").check().stdout == dump


def dump_of(pg, database, *options):
    argv = ["-h", pg.host, "-p", str(pg.port), "-U", "postgres", *options]
    dump = sh(f'{servers.PG_BIN}/pg_dump {" ".join(argv)} {database}').check().stdout
    # Made anew for each dump since 15.14.
    lines = dump.splitlines(keepends=True)
    return b"".join(s for s in lines if not s.startswith((b"\\restrict", b"\\unres")))


@pytest.mark.parametrize("how", [1, "lines", 128 * 1024])
def test_a_dump_of_postgres_makes_the_same_database(mount, pg, database, how):
    source = pg.create_database(database + "_source")
    fill(lambda text: pg.sql(text, database=source, user="app"))
    pg.sql(
        "create function f(a int) returns int language plpgsql as $$"
        " begin -- it's; \n return a; end; $$;"
        " create function g(a int) returns int begin atomic select 1; select 2; end;"
        " create view v as select ';' as a; comment on view v is 'it''s; a view';",
        database=source,
        user="app",
    )
    dump = dump_of(pg, source, "--inserts")
    marked = b"\\restrict x1;y\n" + dump + b"\\unrestrict x1;y\n"
    m = mount(db=pg.spec(database=database))

    outcome = run_text(m, *in_pieces(marked, how))

    assert (set(outcome.writes), outcome.error) == ({"ok"}, "")
    assert outcome.status["id"] == count_statements(pg, dump)
    assert dump_of(pg, database, "--inserts") == dump
    pg.sql(f"drop database {source}", database="postgres")


def count_statements(pg, dump):
    """As psql sends them."""
    database = pg.create_database(f"t{os.urandom(6).hex()}")
    mark = "connfs-tests: LOG:  statement: "
    before = pg.log.count(mark)
    pg.psql(text=dump, database=database)
    count = pg.log.count(mark) - before
    pg.sql(f"drop database {database}", database="postgres")
    return count


# What a dump of MariaDB has beside tables.
MARIADB_OBJECTS = r"""
create table bytes (id int primary key, b blob, v varbinary(9), bits bit(9),
    e enum('a;b', 'c') not null, d double, p point, j json);
insert into bytes values
    (1, x'00ff273b5c0a', 'a;\\', b'100000001', 'a;b', 1.5e-7, point(1, 2),
        '{"a": ";"}'),
    (2, null, '', null, 'c', null, null, null);
create view v as select ';' as a, id from bytes;
delimiter //
create procedure p(in a int, out b text)
begin
    -- it's;
    declare i int default 0;
    declare exit handler for sqlexception begin set b = ';'; end;
    outer_: while i < a do
        set i = i + 1;
        case i when 3 then leave outer_; else set b = concat('it''s;', i); end case;
        if b = "\";" then iterate outer_; elseif b is null then select 1; end if;
        repeat set i = i + 1; until i > 2 end repeat;
    end while;
end//
create function f(a int) returns int deterministic return a + 1//
create trigger tr before insert on kinds for each row
begin
    set new.name = concat(new.name, ';');
    if new.id < 0 then signal sqlstate '45000' set message_text = 'no; never'; end if;
end//
create event ev on schedule every 1 day starts '2030-01-01 00:00:00' disable do
begin
    delete from things where id = -1; # ; it's
    delete from things where id = -2;
end//
"""


@pytest.mark.parametrize("how", [1, "lines", 128 * 1024])
def test_a_dump_of_mariadb_makes_the_same_database(
    mount, mariadb, mariadb_database, how
):
    source = mariadb.create_database(mariadb_database + "s")
    fill(lambda text: mariadb.sql(text, source, "app"), backslash=r"\\")
    mariadb.sql(MARIADB_OBJECTS, source, "app")
    dump = mariadb.dump(source, "--skip-dump-date")
    m = mount(db=mariadb.spec(database=mariadb_database))

    outcome = run_text(m, *in_pieces(dump, how))

    assert (set(outcome.writes), outcome.error) == ({"ok"}, "")
    copy = mariadb.dump(mariadb_database, "--skip-dump-date")
    assert copy.replace(mariadb_database.encode(), source.encode()) == dump
    assert outcome.status["id"] == count_statements_of_mariadb(mariadb, dump)
    mariadb.drop_database(source)


def count_statements_of_mariadb(mariadb, dump):
    """As its own client sends them."""
    database = mariadb.create_database(f"t{os.urandom(6).hex()}")
    mark = "Query\t"
    before = mariadb.log.count(mark)
    mariadb.client("mariadb", database, text=dump)
    count = mariadb.log.count(mark) - before
    mariadb.drop_database(database)
    return count


# Dumps without --inserts need a channel for their rows.
def test_copy_from_stdin_is_not_possible(mount, pg, database):
    pg.sql("create table t (n integer)", database=database, user="app")
    m = mount(db=pg.spec(database=database))

    outcome = run_text(m, "copy t from stdin;\n", "1\n2\n\\.\n")

    assert outcome.writes == ["EOPNOTSUPP", "EOPNOTSUPP"]
    assert "COPY .. FROM STDIN" in outcome.error
    assert run_text(m, "select count(*) as n from t;").csv == "n\n0\n"


# COPY makes its own bytes, which are not CSV unless it is asked for that.
@pytest.mark.parametrize("options", ["", "(format csv)", "(format binary)"])
def test_copy_to_stdout_is_one_result_unchanged(mount, pg, database, options):
    m = mount(db=pg.spec(database=database))
    copy = (
        "copy (select n, null as a, E'x\\ty' as b from generate_series(1, 3) as n)"
        f" to stdout {options}"
    )
    expected = pg.psql("-c", copy, database=database)

    outcome = run_text(m, copy + ";")

    assert outcome.content == expected
    assert outcome.status["command"] == "COPY 3"
    assert outcome.status["result_sets"] == 1


COMMANDS = {
    "postgres": ["\\d", "\\dt+ t\n", "\\q", "\\copy t from 'x'\n", "\\connect db\n"],
    "mariadb": ["\\s", "\\G\n", "\\q", "\\. x\n", "\\! ls\n"],
    "sqlite": [".tables\n", ".schema t\n", ".quit\n", ".read x\n"],
}


# They are commands of the shells and no SQL: say so, before the server does
# in words that nobody understands.
def test_commands_of_the_database_shells_are_refused(mount, engine):
    m = mount(db=engine.spec())

    for command in COMMANDS[engine.name]:
        outcome = run_text(m, "select 1;\n" + command)

        assert (outcome.writes + [outcome.close]).count("EINVAL") == 1, command
        assert outcome.result == "EINVAL"
        assert command.split()[0] in outcome.error.splitlines()[0]


# The limit is the statement's, not the text's.
def test_sixteen_mib_run_and_one_byte_more_is_efbig(mount, engine):
    m = mount(db=engine.spec())
    mib = 1024 * 1024
    head, tail = "select length('", "') as n"
    filler = "x" * (16 * mib - len(head) - len(tail))

    outcome = run_text(m, head + filler + tail + ";")
    assert outcome.csv == f"n\n{len(filler)}\n"

    outcome = run_text(m, "select 1; " + head + filler + "x" + tail, ";")
    assert (outcome.writes, outcome.result) == (["EFBIG", "EFBIG"], "EFBIG")
    assert "16 MiB" in outcome.error
    assert run_text(m, "select 5 as a;").csv == "a\n5\n"


# As much as ever comes without a semicolon, it is not collected.
def test_text_without_end_is_efbig(mount, engine):
    m = mount(db=engine.spec())

    result = m.sh(
        "head -c 40000000 /dev/zero | tr '\\0' 'x' > $C/query.sql; head -1 $C/error",
        shell="bash",
    )

    assert "File too large" in result.err
    assert result.out == "ERROR:  a statement of more than 16 MiB\n"
    assert m.query("select 5 as a;").check().out == "a\n5\n"


# Where the first byte is that does not belong there.
JUNK = [
    (b"select 1;\n\nselect \x00;\n", "NUL byte in line 3, column 8"),
    (b"select '\xc3\xa4', '\xff';", "byte 0xff in line 1, column 14"),
    (b"select '\xc3';", "byte 0xc3 in line 1, column 9"),
    (b"select '\xed\xa0\x80';", "byte 0xed in line 1, column 9"),
    (b"select '\xc0\xaf';", "byte 0xc0 in line 1, column 9"),
]


@pytest.mark.parametrize("text, where", JUNK)
@pytest.mark.parametrize("size", [1, 1000])
def test_text_that_is_not_utf8_is_refused(mount, engine, text, where, size):
    m = mount(db=engine.spec())

    outcome = run_text(m, *in_pieces(text, size))

    assert "EINVAL" in outcome.writes
    assert outcome.result == "EINVAL"
    assert where in outcome.error
    assert run_text(m, "select 5 as a;").csv == "a\n5\n"


# Whatever is written there, the mount goes on serving.
def test_junk_does_not_hurt(mount, engine):
    m = mount(db=engine.spec())

    for size in [1, 100, 5000, 1000000]:
        outcome = run_text(m, os.urandom(size) + b"\n;\n")
        assert outcome.result in ("EINVAL", "ENODATA", "EFBIG"), outcome

    assert run_text(m, "select 5 as a;").csv == "a\n5\n"


# PostgreSQL's rule depends on a setting of the session, which any statement
# may change; SET takes effect for the text that follows.
@pytest.mark.parametrize("cut", ["|", "|\n", "\n|", "|\n|", " ", "/* ; */"])
def test_backslashes_go_by_the_session(mount, pg, database, cut):
    m = mount(db=pg.spec(database=database))
    off = "SET Standard_Conforming_Strings = off;"
    text = "select 'a\\';b' as a;"

    outcome = run_text(m, *(off + cut + text).split("|"))

    assert outcome.csv == "a\na';b\n"


# Nor is MariaDB's splitting always the same: what a backslash and what a double
# quote is goes by sql_mode.
@pytest.mark.parametrize(
    "mode, text, expected",
    [
        ("NO_BACKSLASH_ESCAPES", "select 'a\\' as a;", "a\na\\\n"),
        ("", "select 'a\\';b' as a;", "a\na';b\n"),
        ("ANSI_QUOTES", 'select 1 as "a\\";', "a\\\n1\n"),
        ("", 'select "a\\";" as a;', 'a\n"a"";"\n'),
    ],
)
@pytest.mark.parametrize("cut", ["|", "|\n", " "])
def test_quotes_go_by_the_sql_mode(
    mount, mariadb, mariadb_database, mode, text, expected, cut
):
    m = mount(db=mariadb.spec(database=mariadb_database))

    outcome = run_text(m, *f"set sql_mode = '{mode}';{cut}{text}".split("|"))

    assert outcome.csv == expected


# DELIMITER is a line of the client's, and all scripts of dumps have it.
@pytest.mark.parametrize("size", [1, 1000])
def test_delimiter_says_what_ends_a_statement(mount, mariadb, mariadb_database, size):
    m = mount(db=mariadb.spec(database=mariadb_database))
    text = (
        "delimiter //\ncreate procedure p()\nbegin\n select 1 as a;\n"
        " select ';' as b;\nend//\nDELIMITER ;\ncall p();\n"
    )

    outcome = run_text(m, *in_pieces(text, size))

    assert (outcome.error, outcome.csv) == ("", "b\n;\n")
    assert (outcome.status["id"], outcome.status["result_sets"]) == (2, 2)


# A statement's own semicolons are no end of it.
NESTED = {
    "postgres": [
        "do $body$ begin perform 1; perform ';'; end $body$",
        "create function f() returns int begin atomic select 1; select 2; end",
        "create rule r as on insert to t do also (delete from t; delete from t)",
        "select ';' as \";\" /* ; /* ; */ ; */ -- ;\n",
        "select E'\\';' as a",
    ],
    "mariadb": [
        "create procedure p() begin select 1; if 1 then select 2; end if; end",
        "create function f(a int) returns int begin declare i int default 0;"
        " while i < a do set i = i + 1; end while;"
        " case i when 1 then return 1; else return i; end case; end",
        "create trigger r before insert on t for each row begin set new.n = 1;"
        " set @a = ';'; end",
        "create event e on schedule every 1 day disable do begin delete from t;"
        " delete from t; end",
        "begin not atomic select 1; select 2; end",
        "select ';' as `;` # ;\n",
        "select 'a\\';b' as \"a;\" /* ; */ -- ;\n",
    ],
    "sqlite": [
        "create trigger r after insert on t begin delete from t; select 1; end",
        "create temp trigger r2 after insert on t begin select ';'; end",
        "select ';' as [;], `;`, \";\" from (select 1 as `;`) -- ;\n",
    ],
}


def test_semicolons_inside_a_statement(mount, engine):
    engine.sql("create table t (n integer)")
    m = mount(db=engine.spec())

    for n, text in enumerate(NESTED[engine.name]):
        outcome = run_text(m, *(text + ";"))

        assert (outcome.error, outcome.status["state"]) == ("", "done"), text
        assert outcome.status["id"] == n + 1
