# SPDX-License-Identifier: MIT
"""What comparable file systems get wrong, and what their users ask for, as far
as no other file looks at it."""

import hashlib

import pytest

import engines
from clients import wait_for
from readers import SOON, digest, program, said
from servers import Sqlite

# What gives rows, and does not begin with SELECT.
ROWS = {
    "postgres": [
        ("with x as (select 1 as a) select a from x", "a\n1\n"),
        ("values (1), (2)", "column1\n1\n2\n"),
        ("table t", "n\n7\n"),
        ("insert into t values (8) returning n", "n\n8\n"),
        ("update t set n = 9 where n = 7 returning n", "n\n9\n"),
        ("delete from t where n = 7 returning n", "n\n7\n"),
        ("(select 1 as a)", "a\n1\n"),
        ("/* why */ -- and how\nselect 1 as a", "a\n1\n"),
        ("show standard_conforming_strings", "standard_conforming_strings\non\n"),
        ("explain (costs off) select 1", "QUERY PLAN\nResult\n"),
    ],
    "mariadb": [
        ("with x as (select 1 as a) select a from x", "a\n1\n"),
        ("values (1), (2)", "1\n1\n2\n"),
        ("insert into t values (8) returning n", "n\n8\n"),
        ("delete from t where n = 7 returning n", "n\n7\n"),
        ("(select 1 as a)", "a\n1\n"),
        ("/* why */ # and how\nselect 1 as a", "a\n1\n"),
        ("describe t", "Field,Type,Null,Key,Default,Extra\nn,int(11),YES,\"\",,\"\"\n"),
        ("show variables like 'lower_case_file_system'",
         "Variable_name,Value\nlower_case_file_system,OFF\n"),
        ("check table t", "Table,Op,Msg_type,Msg_text\n{db}.t,check,status,OK\n"),
    ],
    "sqlite": [
        ("with x as (select 1 as a) select a from x", "a\n1\n"),
        ("values (1), (2)", "column1\n1\n2\n"),
        ("insert into t values (8) returning n", "n\n8\n"),
        ("update t set n = 9 where n = 7 returning n", "n\n9\n"),
        ("delete from t where n = 7 returning n", "n\n7\n"),
        ("/* why */ -- and how\nselect 1 as a", "a\n1\n"),
        ("pragma user_version", "user_version\n1\n"),
    ],
}


@pytest.fixture
def table(mount, engine):
    """A mount db of a database with a table t (n integer) that holds 7."""
    engine.sql("create table t (n integer)")
    engine.sql("insert into t values (7)")
    return mount(db=engine.spec()), engine


# A list of words that give rows is never complete.
def test_whatever_gives_rows_has_a_result(table):
    m, engine = table

    for sql, expected in ROWS[engine.name]:
        got = m.query(f"begin; {sql};").check()
        database = getattr(engine, "database", "")
        assert got.out == expected.replace("{db}", database), sql


# Ten thousand rows, four KiB, a megabyte: others end there, in silence.
@pytest.mark.parametrize(
    "reader", ["cat", "dd bs=5000 status=none if=/dev/stdin <", "tail -n +1"]
)
def test_a_large_result_is_what_copy_gives(mount, pg, database, reader):
    query = (
        "select i as n, repeat('x', i % 97) as pad, case when i % 3 > 0 then"
        " 'a,' || i end as c, '' as d from generate_series(1, 170000) i"
    )
    m = mount(db=pg.spec(database=database))
    expected = pg.copy_csv(query, database=database, user="app")
    assert len(expected) > 10 << 20

    got = m.sh(
        f'printf "%s;" "$Q" >"$C/query.sql" && {reader} "$C/result.csv" | md5sum',
        env={"Q": query},
    )

    assert got.check().out == f"{hashlib.md5(expected).hexdigest()}  -\n"


TALKERS = {
    "postgres": "do $$ begin raise notice 'hello'; raise warning 'there'; end $$;"
    " select 7 as n",
    "mariadb": "select 1 / 0 as n union select 7",
}


# Progress and warnings in the middle of the rows spoil them.
def test_what_the_server_has_to_say_is_not_in_the_result(mount, server):
    m = mount(db=server.spec())
    expected = {"postgres": "n\n7\n", "mariadb": 'n\n""\n7.0000\n'}

    got = m.query(TALKERS[server.name] + ";").check()

    assert got.out == expected[server.name].replace('""', "")


# A database that a script has changed to is that of the next one.
def test_use_lasts(mount, mariadb, mariadb_database):
    m = mount(db=engines.MariadbEngine(mariadb, mariadb_database).spec())

    got = m.sh(
        'echo "use information_schema;" >"$C/query.sql"\n'
        'echo "select database() as d;" >"$C/query.sql"; cat "$C/result.csv"'
    )

    assert got.check().out == "d\ninformation_schema\n"


# Elsewhere the tables are directories, and go with them.
def test_rm_removes_nothing_that_matters(table):
    m, engine = table

    got = m.sh('rm -rf "$C" "$M"/* "$C/results" "$C/sessions"; echo $?')

    assert got.err != "" and got.lines == ["1"]
    assert engine.sql("select n from t") == [("7",)]
    assert m.query("select n from t;").check().out == "n\n7\n"


# Elsewhere a file that is only looked at makes a session, which nobody ends.
def test_whoever_only_reads_leaves_nothing_behind(mount, test_dir):
    m = mount(db=Sqlite(test_dir / "test.db").spec())

    m.sh(
        'cd "$C"; cat query.sql status.json error client.json connection.json'
        " creds/state wait >/dev/null; ls sessions results queries"
    ).check()

    wait_for(
        lambda: '"conversations": 0' in m.read(".connfs", "status.json"),
        "the conversation ends",
    )


# What goes by the size reads nothing of a file that has none yet: close() is
# the last chance to say so. Whoever has read or polled it, and whoever opened
# it for a child, has not gone by the size.
def test_close_tells_who_has_not_read_a_running_result(mount, server, gate):
    g = gate(rows=100)
    m = mount(db=server.spec(), settings=SOON)

    client = m.start_python(
        program(f"""
import subprocess
run({g.query + ";"!r})
fd = os.open(RESULT, os.O_RDONLY)
say(code(os.close, fd))
fd = os.open(RESULT, os.O_RDONLY)
os.read(fd, 1)
say(code(os.close, fd))
fd = os.open(RESULT, os.O_RDONLY)
poll = select.poll()
poll.register(fd, select.POLLIN)
poll.poll()
say(code(os.close, fd))
f = open(RESULT)
r, w = os.pipe()
child = subprocess.Popen(["sh", "-c", f"read go <&{{r}}; exec cat"], stdin=f,
                         stdout=subprocess.PIPE, pass_fds=[r])
say(code(f.close), "so far")
os.write(w, b"\\n")
say(hashlib.md5(child.stdout.read()).hexdigest())
say(code(os.close, os.open(RESULT, os.O_RDONLY)))
""")
    )
    said(client, "so far")
    g.open()

    lines = client.wait().check().lines
    assert lines == ["EAGAIN", "OK", "OK", "OK so far", digest(g.csv()), "OK"]


# It opens the file as it is, and truncates it afterwards.
def test_sort_writes_what_it_has_sorted(mount, test_dir):
    db = Sqlite(test_dir / "test.db")
    db.script("create table t (n integer)")
    m = mount(db=db.spec())

    m.sh(
        "printf 'insert into t values (%s);\\n' 2 1 >$M/../text;"
        " sort -o $C/query.sql $M/../text"
    ).check()

    assert db.sql("select n from t order by rowid") == [("1",), ("2",)]


# What has the size and time of the last statement it takes for the same.
def test_rsync_runs_a_statement_again_when_told_so(mount, test_dir):
    db = Sqlite(test_dir / "test.db")
    db.script("create table t (n integer)")
    m = mount(db=db.spec())

    m.sh(
        "echo 'insert into t values (1);' >$M/../text\n"
        "for n in 1 2; do rsync -I $M/../text $C/query.sql; done"
    ).check()

    assert db.sql("select n from t") == [("1",), ("1",)]
