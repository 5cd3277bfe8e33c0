# SPDX-License-Identifier: MIT
"""Some of the programs of test_tools.py, on the formats that are made of the
rows as they are read: a small result has its size from the start, of a large
one it is known only once somebody has asked for it."""

import contextlib

import pytest

from engines import PostgresEngine
from tools_page import Table, outcome
from tools_stage import Stage, database, mounted, require
from tools_table import READING

TOOLS = ["cat", "busybox cat", "cp", "tar", "rsync", "jq -R", "python open"]
TOOLS += ["node readFile", "node copyFile"]
PAGE = Table("formats", TOOLS, ["small", "large", "large, once more", "running"])

PAD = "x" * 20
LARGE = 12000  # rows; more than the 256 KiB whose size is found out at once


def tsv(rows):
    return "n\tpad\n" + "".join(f"{n}\t{PAD}\n" for n in rows)


def objects(rows):
    return [f'{{"n":{n},"pad":"{PAD}"}}' for n in rows]


def txt(rows):
    width = len(str(min(len(rows), 1000)))
    head = f" {'n':>{width}} | pad\n{'-' * (width + 2)}+{'-' * 22}\n"
    lines = [f" {n:>{width}} | {PAD}\n" for n in rows]
    return head + "".join(lines) + f"({len(rows)} rows)\n"


FORMATS = {
    "tsv": tsv,
    "jsonl": lambda rows: "".join(f"{o}\n" for o in objects(rows)),
    "json": lambda rows: "[\n" + ",\n".join(objects(rows)) + "\n]\n",
    "txt": txt,
}


def content(format, count):
    return FORMATS[format](range(1, count + 1)).encode()


def query(count):
    return f"select i as n, '{PAD}' as pad from generate_series(1, {count}) i"


@pytest.fixture(scope="module")
def stage(session_dir, pg):
    with contextlib.ExitStack() as stack:
        engine = PostgresEngine(pg, stack.enter_context(database(pg)))
        where = session_dir / "tools-formats"
        m = stack.enter_context(mounted(where, {"db": engine.spec()}))
        yield stack.enter_context(contextlib.closing(Stage(m, engine, {})))


def check(name, column, found):
    """All formats alike."""
    assert len(set(found.values())) == 1, found
    PAGE.check(name, column, found["json"])


@pytest.mark.parametrize("name", TOOLS)
def test_a_small_result(stage, name):
    tool = READING[name]
    require(tool)
    found = {}

    for format in FORMATS:
        got = stage.run_finished(tool.script, query(700), format)
        found[format] = outcome(got, tool.prints(content(format, 700)))

    check(name, "small", found)


# Whoever goes by the size is refused, and that has the size found out.
@pytest.mark.parametrize("name", TOOLS)
def test_a_large_result(stage, name):
    tool = READING[name]
    require(tool)
    found, later = {}, {}

    for format in FORMATS:
        expected = tool.prints(content(format, LARGE))
        room, session = stage.room()
        stage.write(session, query(LARGE))
        got = stage.start(tool.script, session, room, format).wait()
        found[format] = outcome(got, expected)
        stage.wait_for_size(session, format)
        got = stage.start(tool.script, session, room, format).wait()
        later[format] = outcome(got, expected)

    check(name, "large", found)
    check(name, "large, once more", later)


@pytest.mark.parametrize("name", TOOLS)
def test_a_running_result(stage, name):
    tool = READING[name]
    require(tool)
    found = {}

    for format in FORMATS:
        gate = stage.gate(rows=700, pad=20)
        client = stage.start_running(tool.script, gate.query, format)
        stage.wait_parked(client, tool.polls)
        gate.open()
        expected = tool.prints(content(format, 1400))
        found[format] = outcome(client.wait(), expected)

    check(name, "running", found)


def test_the_page_has_a_row_for_each():
    assert list(PAGE.rows()) == TOOLS
