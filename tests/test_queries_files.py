# SPDX-License-Identifier: MIT
"""The files of queries/: whose they are, what may be made, and who reads them
without meaning to."""

import pytest

import servers
from clients import wait_for
from strangers import reopened
from test_reload import reload

ALICE = 20001
BOB = 20002

EVERYONE = {"everyone": True}


@pytest.fixture
def db(test_dir):
    """An SQLite file with an empty table t (n int)."""
    file = servers.Sqlite(test_dir / "test.db")
    file.script("create table t (n int)")
    return file


@pytest.fixture
def m(mount, db):
    """$Q is queries/ of the connection; its spec has a query `of_spec`."""
    return mount(
        db=db.spec(
            access=EVERYONE,
            queries={"of_spec": "insert into t values (9) returning n"},
        )
    )


OF_SPEC = [f"of_spec.{f}" for f in ["csv", "json", "jsonl", "sql", "tsv", "txt"]]


def sh(m, script, **how):
    return m.sh('Q="$C/queries"\n' + script, **how)


def names(m, **how):
    """What stands there that is not the spec's."""
    shown = sh(m, "ls -A $Q", **how).check().lines
    return [name for name in shown if name not in OF_SPEC]


def of(*stems):
    """The names that a saved query has."""
    suffixes = ["csv", "json", "jsonl", "sql", "tsv", "txt"]
    return [f"{stem}.{suffix}" for stem in stems for suffix in suffixes]


# ---- whose they are ----


def test_it_outlives_the_session_that_made_it(m):
    sh(m, "echo 'select 1 as a' >$Q/x.sql", uid=ALICE).check()

    shown = sh(m, "cat $Q/x.sql $Q/x.csv; stat -c '%u %a' $Q/x.sql", uid=ALICE)

    assert shown.check().lines == ["select 1 as a", "a", "1", f"{ALICE} 600"]


# Each has its own, of the same name too; the owner of the mount is no exception.
def test_others_do_not_see_it(m):
    sh(m, "echo 'select 1 as a' >$Q/x.sql", uid=ALICE).check()
    look = (
        "ls -A $Q; for f in x.sql x.csv .run/x.csv; do cat $Q/$f; done 2>/dev/null\n"
        "rm $Q/x.sql 2>/dev/null; mv $Q/x.sql $Q/y.sql 2>/dev/null; true"
    )

    for uid in [BOB, 0]:
        assert sh(m, look, uid=uid).check().lines == OF_SPEC
    mine = sh(m, "echo 'select 2 as b' >$Q/x.sql; cat $Q/x.csv", uid=BOB)

    assert mine.check().lines == ["b", "2"]
    assert sh(m, "cat $Q/x.csv", uid=ALICE).check().lines == ["a", "1"]


# Root of two containers is two callers, and neither is the host's.
def test_containers_do_not_see_each_others(m, busybox):
    sh(m, "echo 'select 1 as a' >$Q/host.sql").check()
    script = (
        "cd /conn/db/queries; echo 'select 1' >{0}.sql; echo >/tmp/made\n"
        "while ! [ -e one.sql ] && ! [ -e two.sql ]; do :; done\n"
        "ls | grep sql; read x"
    )

    made = [m.start_container(script.format(n), busybox) for n in ["one", "two"]]

    outs = [client.wait().out.split() for client in made]
    assert outs == [["of_spec.sql", "one.sql"], ["of_spec.sql", "two.sql"]]
    assert names(m) == of("host")


# Not even by a descriptor that names it and was handed on.
@pytest.mark.parametrize("name", ["x.sql", ".run/x.csv"])
def test_another_uid_does_not_open_it(m, name):
    code = reopened("{C}/queries/" + name, "select 'secret' as s", "{C}/queries/x.sql")

    assert m.python(code).check().lines == ["ESTALE", "ok"]


# The kernel uses the number of a pid namespace again once nothing holds it (what
# connfs knows of processes does, until it has seen many more): who is in a later
# one of that number is somebody else.
def test_a_later_container_does_not_inherit(m):
    script = "cd $C/queries; ls | grep -v of_spec; echo 'select 1' >x$$.sql"
    argv = ["unshare", "-pf", "sh", "-c", 'sh -c "$LOOK"; sh -c "$LOOK"']
    seen = []

    for _ in range(3):
        seen.append(m.start_client(argv, env={"LOOK": script}).wait().check().lines)
        m.sh('for i in $(seq 150); do cat "$M/README"; done >/dev/null').check()

    assert seen == [of("x2")] * 3


def test_it_goes_with_the_mount(m):
    sh(m, "echo 'select 1' >$Q/x.sql").check()

    m.restart()

    assert names(m) == []


def test_it_survives_a_reload(m):
    sh(m, "echo 'select 1 as a' >$Q/x.sql").check()

    reload(m)

    assert sh(m, "cat $Q/x.csv").check().lines == ["a", "1"]


def test_it_goes_with_the_connection(m):
    sh(m, "echo 'select 1' >$Q/x.sql").check()
    spec = m.specs.pop("db")
    reload(m)
    m.specs["db"] = spec
    reload(m)

    assert names(m) == []


# Who may not use the connection finds nothing.
def test_without_access_there_is_nothing(mount, db):
    m = mount(db=db.spec(queries={"of_spec": "select 1"}))

    seen = sh(m, "ls $Q; cat $Q/of_spec.sql; cat $Q/.run/of_spec.csv", uid=ALICE)

    assert seen.out == ""
    assert seen.err.count("No such file or directory") == 3


# ---- the spec's ----


def test_those_of_the_spec_are_for_all_who_may_use_it(m):
    for uid in [ALICE, 0]:
        shown = sh(m, "stat -c '%a %u' $Q/of_spec.sql; cat $Q/of_spec.sql", uid=uid)
        assert shown.check().lines == [
            "444 0",
            "insert into t values (9) returning n",
        ]
        assert sh(m, "cat $Q/of_spec.csv", uid=uid).check().lines == ["n", "9"]


@pytest.mark.parametrize(
    "command",
    [
        "echo 'select 1' >$Q/of_spec.sql",
        "echo 'select 1' >>$Q/of_spec.sql",
        "rm -f $Q/of_spec.sql",
        "mv $Q/of_spec.sql $Q/y.sql",
        "echo 'select 1' >$Q/x.sql; mv $Q/x.sql $Q/of_spec.sql",
        "truncate -s 0 $Q/of_spec.sql",
        "sed -i s/9/8/ $Q/of_spec.sql",
    ],
)
def test_those_of_the_spec_cannot_be_changed(m, command):
    result = sh(m, command)

    assert result.rc != 0
    assert "Permission denied" in result.err
    assert "values (9)" in sh(m, "cat $Q/of_spec.sql").check().out


# And go before a caller's own of that name, which comes back with them gone.
def test_a_reload_changes_those_of_the_spec(m):
    sh(m, "echo 'select 1 as own' >$Q/x.sql").check()

    m.specs["db"]["queries"] = {"x": "select 2 as theirs", "y": "select 3 as y;\n"}
    reload(m)

    assert sh(m, "ls $Q").check().lines == of("x", "y")
    assert sh(m, "cat $Q/x.csv $Q/y.csv").check().lines == ["theirs", "2", "y", "3"]
    assert "Permission denied" in sh(m, "rm -f $Q/x.sql").err
    m.specs["db"].pop("queries")
    reload(m)
    assert sh(m, "ls $Q; cat $Q/x.csv").check().lines == [*of("x"), "own", "1"]


def test_connection_json_names_them(mount, db):
    m = mount(db=db.spec(queries={"b": "select 1", "a": "select 2"}))

    text = m.read("db", "connection.json")

    assert '"queries": [\n    "a",\n    "b"\n  ]' in text
    assert "select" not in text


@pytest.mark.parametrize(
    "queries, why",
    [
        ([], "queries: must be an object of texts"),
        ({"": "x"}, 'queries: "": a name must not be empty'),
        ({"a/b": "x"}, "queries: \"a/b\": a name must not hold a '/'"),
        ({".a": "x"}, 'queries: ".a": a name must not begin with a dot'),
        (
            {"a\tb": "x"},
            'queries: "a b": a name must not hold control characters',
        ),
        ({"a.sql": "x"}, 'queries: "a.sql": the name of its file without ".sql"'),
        (
            {"a" * 250: "x"},
            f'queries: "{"a" * 100}": a name is at most 249 bytes long',
        ),
        ({"a": 1}, 'queries: "a": must be a string'),
        ({"a": " \n"}, 'queries: "a": must not be empty'),
        ({str(i): "x" for i in range(1001)}, "queries: there are over 1000"),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value)[:20],
)
def test_a_bad_one_is_told_by_check(connfs, source, db, queries, why):
    path = source({"conn_id": "shop", **db.spec(queries=queries)})

    checked = connfs("--check", path)

    assert checked.rc == 1
    assert f"{path}: shop: {why}" in checked.out + checked.err


def test_the_longest_name_has_all_its_files(mount, db):
    name = "ä" * 124 + "x"
    m = mount(db=db.spec(queries={name: "select 1 as a"}))

    shown = sh(m, 'ls $Q; cat "$Q"/*.jsonl').check().lines

    assert shown == [*of(name), '{"a":1}']


# ---- what may be made ----


def test_files_are_ordinary_files(m):
    result = sh(
        m,
        "cd $Q; echo one >a.sql; echo two >>a.sql; cat a.sql; stat -c %s a.sql\n"
        "truncate -s 3 a.sql; cat a.sql; echo; cp a.sql b.sql; cmp a.sql b.sql\n"
        "mv a.sql c.sql; chmod 640 c.sql; touch c.sql; mv -n c.sql b.sql; ls *.sql\n"
        "mv c.sql b.sql; rm b.sql; ls",
    )

    assert result.check().lines == [
        *["one", "two", "8", "one", "b.sql", "c.sql", "of_spec.sql"],
        *OF_SPEC,
    ]


def test_the_links_follow_a_rename(m):
    sh(m, "echo 'select 1 as a' >$Q/a.sql; mv $Q/a.sql $Q/b.sql").check()

    assert names(m) == of("b")
    assert sh(m, "cat $Q/b.csv").check().lines == ["a", "1"]
    assert "No such file" in sh(m, "cat $Q/a.csv").err


# From anywhere else, and to there, mv copies.
def test_mv_copies_in_and_out(m, test_dir):
    (test_dir / "x.sql").write_text("select 1 as a")
    result = sh(
        m,
        "cd $Q; cp $T/x.sql .; cp $T/x.sql $C/scratch; mv $C/scratch y.sql\n"
        "mv y.sql $C/back; ls; cat $C/back; mv x.sql $T/z.sql; ls",
        env={"T": str(test_dir)},
    )

    assert result.check().out == "\n".join(
        [*OF_SPEC, *of("x"), "select 1 as a" + OF_SPEC[0], *OF_SPEC[1:], ""]
    )
    assert (test_dir / "z.sql").read_text() == "select 1 as a"


@pytest.mark.parametrize(
    "command, reason",
    [
        ("cp $T x.csv", "Operation not permitted"),
        ("cp $T .run", "Permission denied"),
        ("cp $T .run/x.csv", "Permission denied"),
        ("echo 1 >x.json", "Operation not permitted"),
        ("echo 1 >y; mv y x.txt", "Operation not permitted"),
        ("rm -f a.csv", "Operation not permitted"),
        ("mv a.csv b.sql", "Operation not permitted"),
        ("mkdir x", "Permission denied"),
        ("ln -s a.sql b.sql", "Operation not permitted"),
        ("ln a.sql b.sql", "Operation not permitted"),
        ("rmdir .run", "Permission denied"),
        ("mv .run x", "Operation not permitted"),
        ("echo 1 >\"$(printf 'a\\nb').sql\"", "Invalid argument"),
        (f"echo 1 >{'x' * 250}.sql", "File name too long"),
    ],
)
def test_what_stands_for_results_cannot_be_made_or_removed(m, command, reason):
    result = sh(
        m,
        f"cd $Q; echo 'select 1' >a.sql; {command}",
        env={"T": "/etc/hostname"},
        shell="bash",
    )

    assert result.rc != 0
    assert reason in result.err
    assert [n for n in names(m) if n not in of("a")] in ([], ["y"])


# A name that begins with a dot is an editor's own.
def test_hidden_files_have_no_results(m):
    sh(m, "echo 1 >$Q/.x.sql; echo 1 >$Q/.sql; echo 1 >$Q/notes").check()

    assert names(m) == [".sql", ".x.sql", "notes"]


# What one owner keeps is limited; others have no less for it.
def test_files_are_limited(m):
    fill = "cd $Q; i=0; while : >$i.sql; do i=$((i+1)); done; ls *.sql | wc -l"
    big = (
        "cd $Q; rm -f [0-9]*.sql; truncate -s 17M 1.sql\n"
        "for i in 1 2 3 4 5; do head -c 16000000 /dev/zero >$i.sql; done\n"
        "stat -c %s ?.sql; rm 1.sql; head -c 16000000 /dev/zero >6.sql\n"
        "stat -c %s 6.sql"
    )

    many = sh(m, fill, uid=ALICE, shell="bash")
    large = sh(m, big, uid=ALICE, shell="bash")

    assert "Disk quota exceeded" in many.err
    assert many.out == "1001\n"  # with the spec's
    assert large.lines[:4] + large.lines[5:] == ["16000000"] * 5
    assert 0 < int(large.lines[4]) <= 64 * 1024 * 1024 - 4 * 16000000
    assert "Disk quota exceeded" in large.err
    assert "File too large" in large.err
    sh(m, "echo 'select 1' >$Q/x.sql", uid=BOB).check()


# Who has it open goes on reading what it was.
def test_a_removed_file_lives_for_who_has_it_open(m):
    result = sh(
        m,
        "cd $Q; echo one >x.sql; exec 3<x.sql; rm x.sql; ls x.sql; cat <&3",
    )

    assert result.out == "one\n"


# ---- nothing runs by being looked at ----


@pytest.mark.parametrize(
    "walk",
    [
        "ls -lR $Q; ls -lRL $Q; ls -la --color=always $Q $Q/.run",
        "find $Q -type f -exec cat {} +; find $Q -ls; find -L $Q -size 0",
        "du -a $Q",
        "grep -r . $C/queries",
        "rg -uu . $C/queries",
        "tree -a $Q",
        "tar -cf - -C $C queries | tar -tf -",
        "cp -r $Q $T/copy; cp -a $Q $T/other; ls $T/copy",
        "rsync -a $Q/ $T/rsync; ls $T/rsync",
        "file $Q/*",
        "stat -L $Q/*; test -s $Q/of_spec.csv; realpath $Q/*",
        "busybox find $Q -type f -exec busybox cat {} +; busybox ls -lR $Q",
        "getfattr -d -m - -R $Q; getfattr -L -d -m - -R $Q; ls $Q",
    ],
)
def test_walking_over_it_runs_nothing(m, db, test_dir, walk):
    before = db.sql("select count(*) from t")

    result = sh(m, walk, env={"T": str(test_dir)})

    assert "of_spec" in result.out or "insert into t" in result.out
    assert db.sql("select count(*) from t") == before == [("0",)]
    assert '"database_sessions": 0' in m.read(".connfs", "status.json")


# cp looks twice, and insists on the same file.
@pytest.mark.parametrize("command", ["cp $Q/x.sql", "cp $Q/of_spec.sql", "cp $Q/x.csv"])
def test_cp_takes_one(m, test_dir, command):
    result = sh(
        m,
        f"echo 'select 1 as a' >$Q/x.sql; {command} $T/copy; cat $T/copy",
        env={"T": str(test_dir)},
    )

    expected = {
        "cp $Q/x.sql": "select 1 as a\n",
        "cp $Q/of_spec.sql": "insert into t values (9) returning n\n",
        "cp $Q/x.csv": "a\n1\n",
    }
    assert result.check().out == expected[command]


# Many at once, each its own; nothing is left of them.
def test_many_open_it_at_once(m):
    result = sh(
        m,
        "echo 'select 5 as n' >$Q/x.sql\n"
        "(for i in $(seq 40); do cat $Q/x.csv & done; wait) | sort | uniq -c",
    )

    assert result.check().out.split() == ["40", "5", "40", "n"]
    wait_for(
        lambda: '"conversations": 0' in m.read(".connfs", "status.json"),
        "the conversations end",
    )
