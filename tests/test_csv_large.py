# SPDX-License-Identifier: MIT
"""CSV of rows that are large, and of those that are too large."""

import hashlib

import pytest

import clients
import engines
from clients import wait_for
from csv_values import copy_of

MIB = 1024 * 1024

SANITIZED = clients.SCALE > 1  # the memory of such a daemon says nothing



@pytest.fixture
def sqlite(test_dir):
    return engines.SqliteEngine(test_dir / "test.db")


BIG = 60 * MIB

BIG_CELLS = {
    # One that is copied, one whose every byte is doubled, one that turns out
    # to need quotes at its very end.
    "plain": (f"repeat('x', {BIG})", "x", False, ""),
    "quotes": (f"repeat('\"', {BIG})", '""', True, ""),
    "a comma last": (f"concat(repeat('x', {BIG}), ',')", "x", True, ","),
}


def digest_of_big(kind):
    """What md5sum says of the CSV with that cell alone."""
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
def test_a_cell_of_60_mib_passes_whole(mount, server, kind):
    m = mount(db=server.spec())
    before = m.status["VmRSS"]

    got = m.sh(
        'cat >"$C/query.sql" && md5sum <"$C/result.csv"',
        stdin=f"select {BIG_CELLS[kind][0]} as v;",
        timeout=60,
    ).check()

    assert got.out.split()[0] == digest_of_big(kind)
    peak = m.status["VmHWM"] - before
    print(f"{kind}: peak {peak} kB over the {before} kB before")
    if not SANITIZED:
        assert peak < (BIG + 16 * MIB) / 1024
        wait_for(
            lambda: m.status["VmRSS"] - before < 20 * 1024,
            "the memory of the cell is given back",
        )


def test_a_blob_of_30_mib_of_sqlite_passes_whole(mount, sqlite):
    m = mount(db=sqlite.spec())

    got = m.sh(
        'cat >"$C/query.sql" && tr -d 0 <"$C/result.csv"; wc -c <"$C/result.csv"',
        stdin=f"select zeroblob({30 * MIB}) as v;",
        timeout=60,
    ).check()

    assert got.lines == ["v", "\\x", str(len("v\n\\x\n") + 60 * MIB)]


# max_row is 64 MiB by default. The row is refused, never cut, and the session
# lives on, with its state.
def test_a_row_over_max_row_is_refused(mount, engine):
    m = mount(db=engine.spec())
    value = engine.repeat(65 * MIB)

    got = m.sh(
        'echo "create temporary table t as select 7 as a;" >"$C/query.sql" || exit\n'
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

    got = m.query(engine.series(20, engine.repeat("n * 100")) + ";")

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
    cells += ["''", "null", "'\\.'"]
    query = "select " + ", ".join(cells) + " from generate_series(1, 2)"

    got = m.query(query + ";").check().stdout

    assert got == copy_of(pg, database, query)
