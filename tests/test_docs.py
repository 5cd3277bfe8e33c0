# SPDX-License-Identifier: MIT
"""What the documents promise is there, and their examples parse."""

import json
import os
import re

import pytest

from documents import indented_blocks, json_blocks
from mount import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("*/*.md")])
DOCUMENTS = [p for p in DOCUMENTS if p.parts[len(ROOT.parts)] != "build"]


def name(path):
    return str(path.relative_to(ROOT))


# A "..." in an example would be one that nobody can copy.
def test_example_specs_are_accepted(test_dir, connfs):
    examples = [(name(p), text) for p in DOCUMENTS for text in json_blocks(p)]
    assert examples

    for number, (document, text) in enumerate(examples):
        assert json.loads(text), document
        spec = test_dir / f"example{number}.json"
        spec.write_text(text)
        spec.chmod(0o600)

        checked = connfs("--check", spec)

        assert checked.rc == 0, (document, text, checked)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text())
    local = [t for t in targets if not re.match(r"[a-z]+:", t)]

    broken = [t for t in local if not (path.parent / t).exists()]

    assert not broken


# "What goes wrong elsewhere" promises a test for each line of it.
def test_each_pain_names_tests_that_exist():
    text = (ROOT / "docs/credentials.md").read_text()
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]*) \|$", text, re.M)
    sources = [*ROOT.glob("tests/test_*.py"), *ROOT.glob("tests/unit/test_*.c")]
    code = "".join(path.read_text() for path in sources)

    assert [int(number) for number, _ in rows] == list(range(1, 25))
    for number, tests in rows:
        named = re.findall(r"`(\w+)`", tests)
        assert named, number
        for test in named:
            assert re.search(rf"^(def|static void) {test}\(", code, re.M), test


@pytest.fixture
def shop(mount, pg, database):
    """run(commands) of the documents, on a mount at /conn with a shop."""
    pg.sql(
        "create table orders (id int, day date);"
        "insert into orders values (1, '2019-05-01'), (2, '2025-05-01');"
        "create table customers (name text); insert into customers"
        " values ('O''Brien'), ('Smith')",
        *[database, "app"],
    )
    m = mount(shop=pg.spec(database=database))

    def run(commands):
        return m.sh(commands.replace("/conn/", f"{m.mnt}/"), shell="bash").check()

    return run


# What somebody new would type first.
def test_the_examples_of_the_readme_run(shop):
    blocks = indented_blocks(ROOT / "README.md", "Beyond one statement")

    outputs = [shop(block).lines for block in blocks]

    assert outputs == [["name", "O'Brien"], ["count", "1"], ["count", "2"]]


def test_the_examples_of_other_formats_run(shop):
    blocks = indented_blocks(ROOT / "README.md", "JSON, one command, saved queries")

    outputs = [shop(block).lines for block in blocks]

    assert outputs == [
        [
            "[",
            '{"id":1,"day":"2019-05-01"},',
            '{"id":2,"day":"2025-05-01"}',
            "]",
            " id | day",
            "----+------------",
            "  1 | 2019-05-01",
            "  2 | 2025-05-01",
            "(2 rows)",
        ],
        ["day", "2019-05-01", "2025-05-01", '{"id":1}', '{"id":2}'],
        ["count", "2"],
    ]


def test_the_example_of_a_session_runs(shop):
    (block,) = indented_blocks(ROOT / "docs/sessions.md", "A session of your own")

    assert shop(block).lines == ["count", "2"]


def test_readme_has_the_two_commands():
    readme = (ROOT / "README.md").read_text()

    for command in ["mount-helpers/quickstart", "tests/run"]:
        assert command in readme
        assert os.access(ROOT / command, os.X_OK)


def test_changelog_starts_with_this_version(connfs):
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)

    version = connfs("--version").check()

    assert version.out == f"connfs {newest.group(1)}\n"
