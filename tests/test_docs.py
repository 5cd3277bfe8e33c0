# SPDX-License-Identifier: MIT
"""What the documents promise is there, and their examples parse."""

import json
import os
import re

import pytest

from mount import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("*/*.md")])
DOCUMENTS = [p for p in DOCUMENTS if p.parts[len(ROOT.parts)] != "build"]


def name(path):
    return str(path.relative_to(ROOT))


def json_blocks(path):
    return re.findall(r"^```json\n(.*?)^```", path.read_text(), re.M | re.S)


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


def test_readme_has_the_two_commands():
    readme = (ROOT / "README.md").read_text()

    for command in ["mount-helpers/quickstart", "tests/run"]:
        assert command in readme
        assert os.access(ROOT / command, os.X_OK)


def test_changelog_starts_with_this_version(connfs):
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)

    version = connfs("--version").check()

    assert version.out == f"connfs {newest.group(1)}\n"
