# SPDX-License-Identifier: MIT
"""The programs people read files with, over running and finished results.

Each has to give the whole content or to fail so that it is seen: an exit
status, or words on stderr. An empty or a cut copy without either is the one
thing that must not happen. docs/tools.md says which of the two it is.
"""

import contextlib
import re

import pytest

from engines import PostgresEngine
from tools_page import PAGE as PAGE_FILE
from tools_page import Table, outcome
from tools_stage import Stage, database, mounted, require, tried, web
from tools_table import READING, SILENT

USUAL = ["cat", "busybox cat", "cp", "tail -n", "tar", "rsync", "jq -R"]
USUAL += ["python open", "python mmap", "node readFile", "perl <>", "sqlite3 .import"]

PAGE = Table("reading", READING, ["a finished result", "a running result"])


@pytest.fixture(scope="module")
def stage(session_dir, pg, mariadb, go_tool, java_tool):
    with contextlib.ExitStack() as stack:
        engine = PostgresEngine(pg, stack.enter_context(database(pg)))
        specs = {"db": engine.spec()}
        env = {
            "PSQL": " ".join(pg.psql_argv("-t", "-A", database=engine.database)),
            "MARIADB": " ".join(mariadb.shell_argv("app")),
            "WEB": stack.enter_context(web()),
            "GO": go_tool,
            "JAVA": java_tool,
        }
        m = stack.enter_context(mounted(session_dir / "tools", specs))
        yield stack.enter_context(contextlib.closing(Stage(m, engine, env)))


@pytest.fixture(scope="module")
def series(stage):
    """A finished result, and its content."""
    gate = stage.gate(opened=1000000, rows=700, pad=20)
    return gate.query, gate.csv()


@pytest.mark.parametrize("name", tried(READING))
def test_a_finished_result(stage, series, name):
    tool = READING[name]
    require(tool)
    query, content = series

    got = stage.run_finished(tool.script, query)

    PAGE.check(name, PAGE.columns[0], outcome(got, tool.prints(content)))


# The rest of the rows comes once the program has read what there was, or has
# ended without.
@pytest.mark.parametrize("name", tried(READING))
def test_a_running_result(stage, name):
    tool = READING[name]
    require(tool)
    gate = stage.gate(rows=700, pad=20)
    client = stage.start_running(tool.script, gate.query)
    stage.wait_parked(client, tool.polls)

    gate.open()

    got = client.wait()
    found = outcome(got, tool.prints(gate.csv()), name in SILENT)
    PAGE.check(name, PAGE.columns[1], found)


# What a program makes of a result does not hang on the engine.
def test_the_usual_ones_on_each_engine(engine, mount):
    m = mount(db=engine.spec())
    pad = "x" * 20
    query = engine.series(1000, f"n, '{pad}' as pad")
    content = "n,pad\n" + "".join(f"{n},{pad}\n" for n in range(1, 1001))
    found = {}

    for name in USUAL:
        tool = READING[name]
        room = m.dir / name.replace(" ", "-")
        room.mkdir()
        env = {"Q": query, "F": str(m.path("db", "result.csv")), "T": str(room)}
        script = f'printf "%s;" "$Q" >"$C/query.sql"\n{tool.script}'
        got = m.sh(script, shell="bash", env=env)
        found[name] = outcome(got, tool.prints(content.encode()))

    assert found == dict.fromkeys(USUAL, "whole")


def test_the_page_has_a_row_for_each():
    assert list(PAGE.rows()) == list(READING)


# The example waits for the rest of the rows.
def test_the_example_runs(stage):
    (example,) = re.findall(r"^```sh\n(.*?)^```", PAGE_FILE.read_text(), re.M | re.S)
    gate = stage.gate(rows=700, pad=20)
    example = example.replace("select * from orders", gate.query)
    room, session = stage.room()
    stage.write(session, "select 1")
    example = example.replace("/conn/shop", '"$C"').replace("orders.tar", "$T/orders")
    client = stage.start(f"{example}tar -xOf $T/orders", session, room)
    stage.wait_parked(client, False)

    gate.open()

    assert client.wait().check().stdout == b"done\n" + gate.csv()
