# SPDX-License-Identifier: MIT
"""The documents, as the tests read them."""

import re


def section(path, heading):
    """The text below a heading, to the next one."""
    text = path.read_text()
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found, (path, heading)
    return found.group(1)


def indented_blocks(path, heading):
    """The commands of a section, as they stand."""
    found = section(path, heading)
    blocks = re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", found, re.M)
    return [re.sub("^    ", "", block, flags=re.M) for block in blocks]


def json_blocks(path):
    return re.findall(r"^```json\n(.*?)^```", path.read_text(), re.M | re.S)
