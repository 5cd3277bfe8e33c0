# SPDX-License-Identifier: MIT
"""results/, and those who only look around."""

import pytest

from clients import wait_for
from engines import SqliteEngine
from readers import SOON


# results/ has each result set of the script, by number.
def test_results_has_each_result_set_of_a_script(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'cat >"$C/query.sql"; cd "$C/results"; ls *.csv; ls | wc -l;'
        ' for f in 1 2 3; do cat $f.csv; done;'
        ' stat -c %s 1.csv 2.csv 3.csv; cat ../result.csv; cat 4.csv',
        stdin="select 1 as a; create table t (a int); select 'x,y' as b;\n"
        "insert into t values (1); select a from t where a = 2;",
    )

    listing = "1.csv\n2.csv\n3.csv\n15\n"
    content = 'a\n1\nb\n"x,y"\na\n'
    assert got.out == listing + content + "4\n8\n2\na\n"
    assert got.err == "cat: 4.csv: No such file or directory\n"


# Those of the script before go when another script starts.
def test_results_begin_anew_with_each_script(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'echo "select 1 as a; select 2 as a; select 3 as a;" >"$C/query.sql";'
        ' cd "$C/results"; ls *.csv; echo "select 4 as a;" >"$C/query.sql"; ls *.csv;'
        ' cat "$C/results/1.csv"; echo "create table t (a int);" >"$C/query.sql";'
        ' ls "$C/results"; wc -c <"$C/result.csv"'
    ).check()

    assert got.lines == ["1.csv", "2.csv", "3.csv", "1.csv", "a", "4", "0"]


# The last 100 are kept, under the numbers they have in the script.
def test_results_has_the_last_100(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'cat >"$C/query.sql"; cd "$C/results"; ls *.csv | sort -n | tr "\\n" " "; echo;'
        ' cat 6.csv 105.csv ../result.csv; cat 5.csv 106.csv 0.csv 06.csv x.csv',
        stdin="".join(f"select {i} as a;\n" for i in range(1, 106)),
    )

    assert got.lines[0].split() == [f"{i}.csv" for i in range(6, 106)]
    assert got.lines[1:] == ["a", "6", "a", "105", "a", "105"]
    assert got.err.count("No such file or directory") == 5


# result.csv is the last so far, while the script still runs.
def test_results_so_far_can_be_read_while_the_script_runs(mount, server, gate):
    g = gate(opened=0)
    m = mount(db=server.spec())
    client = m.start_sh(
        'echo "select 1 as a; select 2 as b; select $G as c;" >"$C/query.sql" &'
        ' until [ -e "$C/results/2.csv" ]; do :; done; cat "$C/results/1.csv";'
        ' cat "$C/results/2.csv"; ls "$C/results" | grep csv; echo read; wait;'
        ' cat "$C/results/3.csv" "$C/result.csv"',
        env={"G": g.call(1)},
    )
    wait_for(lambda: b"read\n" in client.stdout, "the first two are read")
    assert len(g.running()) == 1

    g.open()

    assert client.wait().check().out == (
        "a\n1\nb\n2\n1.csv\n2.csv\nread\nc\n1\nc\n1\n"
    )


# The results before a failure are good, and can be read by number.
def test_results_before_a_failure_stay(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'echo "select 1 as a; selec 2;" >"$C/query.sql"; cat "$C/results/1.csv";'
        ' ls "$C/results" | grep csv; cat "$C/result.csv"'
    )

    assert got.out == "a\n1\n1.csv\n"
    assert got.err.endswith("result.csv: Invalid argument\n")


LOOKS = [
    'ls -laR "$M"',
    'find "$M" -ls',
    'find "$M" -type f -size +0 -print',
    'du -a --apparent-size "$M"',
    'stat "$C"/* "$C"/results "$C"/creds/*',
    'df "$M"; stat -f "$C/result.csv"',
    'test -e "$C/result.csv" && test -r "$C/result.csv" && test ! -s "$C/result.csv"',
    'cd "$C" && pwd -P && ls ..',
    'busybox find "$M"; busybox ls -lR "$M"',
    '/usr/bin/python3 -c \'import os; list(os.walk(os.environ["M"]))\'',
]


# Looking around never connects, and ends: the server is not even there. (The
# test's time limit is the rule's other half.)
@pytest.mark.parametrize("how", LOOKS)
def test_looking_around_never_connects(mount, server, how):
    unreachable = {"host": "192.0.2.1", "port": 5432}
    before = server.logins()
    m = mount(db=server.spec(), far=server.spec(**unreachable))

    got = m.sh(how, conn="db").check()
    got_far = m.sh(how, conn="far").check()

    assert got.elapsed < 5 and got_far.elapsed < 5
    assert server.logins() == before


# Not even when there is a result, or one that runs.
def test_looking_around_does_not_disturb_what_runs(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_sh(
        'echo "$Q;" >"$C/query.sql"; ls -lR "$C" >/dev/null; find "$C" -size +0'
        ' >/dev/null; du "$C" >/dev/null; stat -f "$C" >/dev/null; echo looked;'
        ' cat "$C/result.csv"',
        env={"Q": g.query},
    )
    wait_for(lambda: b"looked" in client.stdout, "it has looked around")
    assert len(g.running()) == 1

    g.open()

    assert client.wait().check().stdout == b"looked\n" + g.csv()


def test_results_of_sqlite_survive_a_change_of_the_file(mount, test_dir):
    engine = SqliteEngine(test_dir / "test.db")
    engine.file.script("create table t as " + engine.series(5))
    m = mount(db=engine.spec())

    got = m.sh(
        'echo "select n from t;" >"$C/query.sql";'
        ' echo "delete from t;" >"$C/query.sql";'
        ' wc -c <"$C/result.csv"; echo "select n from t;" >"$C/query.sql";'
        ' cat "$C/result.csv"'
    ).check()

    assert got.lines == ["0", "n"]
