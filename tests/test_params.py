# SPDX-License-Identifier: MIT
"""params.json: values that are bound, and how often."""

import json

import pytest

import servers
from csv_values import NASTY, copy_of
from doors import Door
from params import mark, marks, run

MIB = 1024 * 1024


@pytest.fixture
def db(mount, engine):
    """A mount db of an empty database, and the engine."""
    return mount(db=engine.spec()), engine


@pytest.fixture
def pg_db(mount, pg, database):
    return mount(db=pg.spec(database=database))


@pytest.fixture
def lite(mount, test_dir):
    """A mount of an SQLite file."""
    return mount(db=servers.Sqlite(test_dir / "test.db").spec())


# Values


# Nothing in a value is ever a part of the statement's text.
def test_texts_come_back_as_they_were(db):
    m, engine = db
    texts = [t for t in NASTY if t is not None]
    texts += ["'; drop table t; --", "\\'; drop table t; --", "$1 ? :a @a", "%s"]
    engine.sql("create table t (n integer)")

    steps = run(
        m,
        *[([text, 1], f"select {marks(engine, 2)};") for text in texts],
        timeout=60,
    )

    for step, text in zip(steps, texts):
        assert step.rows == [[text, "1"]]
    assert engine.sql("select count(*) from t") == [("0",)]


def test_null_is_null(db):
    m, engine = db

    (step,) = run(m, ([None, ""], f"select {marks(engine, 2)};"))

    assert step.result == 'c1,c2\n,""\n'


def test_booleans(db):
    m, engine = db
    expected = "t,f" if engine.name == "postgres" else "1,0"

    (step,) = run(m, ([True, False], f"select {marks(engine, 2, 'boolean')};"))

    assert step.result == f"c1,c2\n{expected}\n"


def test_numbers(db):
    m, engine = db

    (step,) = run(
        m, ("[12, -9223372036854775808, 0.5]", f"select {marks(engine, 3, 'numeric')};")
    )

    assert step.rows == [["12", "-9223372036854775808", "0.5"]]


# A double would round it after 16 digits.
def test_numeric_of_38_digits_is_exact(pg_db):
    digits = "12345678901234567890123456789012345.678"

    (step,) = run(pg_db, (f"[{digits}]", "select $1::numeric + 0;"))

    assert step.rows == [[digits]]


def test_integer_sqlite_cannot_hold_is_refused(lite):
    (step,) = run(lite, ("[12345678901234567890123456789012345678]", "select ?;"))

    assert step.query == "EINVAL"
    assert "ERRNO:  EINVAL" in step.error


def test_text_of_10_mib_by_cat(db, test_dir):
    m, engine = db
    text = ("0123456789abcde\n" * (10 * MIB // 16)).replace("abc", '"\\,')
    source = test_dir / "params"
    source.write_text(json.dumps([text]))
    length = "octet_length" if engine.name != "sqlite" else "length"
    engine.sql(f"create table t (v {engine.text})")

    m.sh(
        'cat <"$T" >"$C/params.json" && '
        'echo "insert into t values ($P);" >"$C/query.sql"',
        env={"T": str(source), "P": mark(engine)},
        timeout=60,
    ).check()

    assert engine.sql(f"select {length}(v) from t") == [(str(10 * MIB),)]
    assert engine.sql("select count(*) from t where v like '%9\"\\\\,de%'")


# Arrays and objects


def test_arrays_are_arrays(pg_db):
    texts = [t for t in NASTY if t is None or len(t) < 100]

    numbers, items, nested, anything = run(
        pg_db,
        ([[1, None, 3]], "select $1::int[], array_length($1::int[], 1);"),
        ([texts], "select unnest($1::text[]);"),
        ([[[1, 2], [3, 4]]], "select ($1::int[][])[2][1];"),
        ([[1, 3, 7], 3], "select $2::int = any($1::int[]);"),
    )

    assert numbers.rows == [["{1,NULL,3}", "3"]]
    expected = [[t if t is not None else ""] for t in texts]
    # A line of one empty field is no row to Python's csv.
    assert [row or [""] for row in items.rows] == expected
    assert nested.rows == [["3"]]
    assert anything.rows == [["t"]]


def test_jsonb_is_given_the_json(pg_db):
    value = {"a": [1, {"b": "'\"\\"}], "n": "x"}
    digits = '{"n": 12345678901234567890.12345678901234567890}'

    whole, exact = run(
        pg_db,
        ([value, [1, [2]]], "select $1::jsonb, $2::jsonb;"),
        (f"[{digits}]", "select $1::jsonb;"),
    )

    assert [json.loads(cell) for cell in whole.rows[0]] == [value, [1, [2]]]
    assert exact.rows == [[digits]]


def test_names_on_sqlite(lite):
    (step,) = run(
        lite,
        (
            {"a": 1, ":b": "two", "@c": None, "$d": 4},
            "select :a, @b, $c is null, :d, :a + 1;",
        ),
    )

    assert step.rows == [["1", "two", "1", "4", "2"]]


def test_name_that_the_statement_has_not_is_an_error(lite):
    (step,) = run(lite, ({"a": 1, "typo": 2}, "select :a;"))

    assert step.query == "EINVAL"
    assert "typo" in step.error


def test_names_on_postgres_are_refused(pg_db):
    (step,) = run(pg_db, ({"a": 1}, "select $1::int;"))

    assert step.query == "EINVAL"
    assert "ERRNO:  EINVAL" in step.error


# Once


def test_used_once_and_gone(db):
    m, engine = db
    one = f"select {marks(engine, 1)};"

    first, second = run(m, (["x"], one), (None, one))

    assert first.pending == '["x"]'
    assert first.left == ""
    assert first.rows == [["x"]]
    assert second.pending == ""
    assert second.query == "EINVAL"


def test_status_says_how_many(db):
    m, engine = db

    with_some, without = run(
        m, (["secret-1", None, 3], f"select {marks(engine, 3)};"), (None, "select 1;")
    )

    assert with_some.status["parameters"] == 3
    assert "secret-1" not in json.dumps(with_some.status)
    assert "parameters" not in without.status


def test_a_statement_that_failed_has_used_them(db):
    m, engine = db

    failed, after = run(
        m, (["x"], f"select nothing, {marks(engine, 1)};"), (None, "select 1;")
    )

    assert failed.query == "EINVAL"
    assert after.pending == ""
    assert after.rows == [["1"]]


@pytest.mark.parametrize("params", [[], [1], [1, 2, 3]])
def test_wrong_number_is_an_error(db, params):
    m, engine = db

    (step,) = run(m, (params, f"select {marks(engine, 2)};"))

    assert step.query == "EINVAL"
    assert "ERRNO:  EINVAL" in step.error


def test_only_the_first_statement_of_a_script_takes_them(db):
    m, engine = db
    engine.sql("create table t (n integer)")

    (step,) = run(
        m,
        (
            [7],
            f"insert into t values ({mark(engine, 'int')}); select n + 1 from t;",
        ),
    )

    assert step.rows == [["8"]]


def test_a_last_statement_without_semicolon_takes_them(db):
    m, engine = db

    (step,) = run(m, (["x"], f"select {marks(engine, 1)}"))

    assert step.rows == [["x"]]


# A text that is refused is not sent, and takes nothing along.
def test_a_refused_statement_leaves_them(db):
    m, engine = db

    refused, sent = run(
        m, (["x"], "select '\0';"), (None, f"select {marks(engine, 1)};")
    )

    assert refused.query == "EINVAL"
    assert sent.pending == '["x"]'
    assert sent.rows == [["x"]]


# Of an endless result nobody ever sees a row that is not streamed.
def test_results_of_parameters_stream(db):
    m, engine = db
    query = f"select n from ({engine.endless}) s where n > {mark(engine, 'int')};"

    got = m.sh(
        'echo "[1000]" >"$C/params.json"; cat >"$C/query.sql" &&'
        ' cat "$C/result.csv" | head -n 3',
        stdin=query,
    ).check()

    assert got.lines == ["n", "1001", "1002"]


# The extended protocol may give columns in another form; CSV must not show it.
def test_csv_is_that_of_copy(pg_db, pg, database):
    query = (
        "select n, n::text t, n / 7.0::float8 f, now() - now() i, n % 2 = 0 b,"
        " array[n, null] a, decode(md5(n::text), 'hex') h, null::int z"
        " from generate_series(1, {}) n"
    )

    (step,) = run(pg_db, ([1000], query.format("$1::int") + ";"))

    assert step.result.encode() == copy_of(pg, database, query.format("1000"))


# A lost connection that nobody noticed: the second attempt binds them too.
def test_a_statement_that_is_sent_again_has_them_again(mount, own_server, test_dir):
    m = mount(db=own_server.spec())
    door = Door(test_dir / "door")
    shell = m.start_sh(
        'echo "select 1;" >"$C/query.sql"; read -r go <"$DOOR";'
        " echo '[\"x\"]' >\"$C/params.json\" &&"
        ' echo "$Q" >"$C/query.sql" && tail -n 1 "$C/result.csv"',
        env={"Q": f"select {marks(own_server, 1)};", "DOOR": str(door)},
    )
    door.reached()

    own_server.server.stop_server()
    own_server.server.launch()
    door.open()

    assert shell.wait().check().lines == ["x"]


# What was bound is nobody's business but the database's.
def test_values_are_in_no_log_and_no_error(mount, engine):
    m = mount(db=engine.spec(), flags=["-d"])
    secret = "8f2c-secret-value"

    steps = run(
        m,
        ([secret], f"select nothing, {marks(engine, 1)};"),
        ([secret], "select 1;"),
        (f'["{secret}", {secret}]', "select 1;"),
        (f'{{"{secret}": "{secret}", "{secret}": 1}}', "select 1;"),
        ([secret], f"select {marks(engine, 1)};"),
    )

    assert secret not in m.log
    for step in steps[:3]:
        assert secret not in step.error
        assert secret not in json.dumps(step.status)
    assert steps[-1].rows == [[secret]]
