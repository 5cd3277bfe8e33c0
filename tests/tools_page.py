# SPDX-License-Identifier: MIT
"""docs/tools.md: its tables say what became of each program, and the tests hold
them to it. With CONNFS_WRITE_DOCS=1 they write what they find instead.

    <!-- table: NAME -->
    | .. | .. |
    <!-- end -->
"""

import fcntl
import os
import re

from mount import ROOT

PAGE = ROOT / "docs/tools.md"
WRITES = os.environ.get("CONNFS_WRITE_DOCS") == "1"


def _place(table):
    return re.compile(rf"(?<=<!-- table: {table} -->\n\n).*?(?=\n<!-- end -->)", re.S)


def _cells(line):
    """Between bars; `|` in a name is not to be."""
    return [cell.strip().strip("`") for cell in line.strip("|").split(" | ")]


class Table:
    """One of the tables. names: of the rows, in their order; columns: what is
    looked at, as the heading of each says it."""

    def __init__(self, name, names, columns):
        self.name = name
        self.names = list(names)
        self.columns = list(columns)

    def rows(self):
        """{name: [outcome, ...]} as it stands on the page."""
        lines = _place(self.name).search(PAGE.read_text()).group().splitlines()
        return {cells[0]: cells[1:] for cells in map(_cells, lines[2:])}

    def check(self, name, column, found):
        """found is what stands there; or, when the page is to be written, what
        will stand there."""
        if WRITES:
            self._write(name, column, found)
        written = self.rows().get(name, [""] * len(self.columns))
        assert found == written[self.columns.index(column)], (
            f"{name}, {column}: not what docs/tools.md says;"
            " CONNFS_WRITE_DOCS=1 writes what is found"
        )

    def _write(self, name, column, found):
        with open(PAGE, "r+") as page:
            fcntl.flock(page, fcntl.LOCK_EX)
            rows = self.rows()
            cells = rows.setdefault(name, [""] * len(self.columns))
            cells[self.columns.index(column)] = found
            text = _place(self.name).sub(lambda _: self._text(rows), page.read())
            page.seek(0)
            page.write(text)
            page.truncate()

    def _text(self, rows):
        lines = ["| program | " + " | ".join(self.columns) + " |"]
        lines += ["|---" * (len(self.columns) + 1) + "|"]
        for name in self.names:
            if name in rows:
                lines.append(f"| `{name}` | " + " | ".join(rows[name]) + " |")
        return "\n".join(lines) + "\n"


# What a message says, wherever the program puts it.
REASONS = [
    "Resource temporarily unavailable",
    "Illegal seek",
    "Invalid argument",
    "Invalid cross-device link",
    "Input/output error",
    "No such device",
    "No such file or directory",
    "Operation not permitted",
    "Operation not supported",
    "Permission denied",
    "cannot mmap an empty file",
    "cannot determine file size",
    "File or stream is not seekable",
    "Couldn't open file",
    "this makes an empty POST",
    "out of memory",
]


def reason(result):
    """Why a program failed, in the words that do not change from run to run."""
    said = result.err.lower()
    for words in REASONS:
        if words.lower() in said:
            return words
    if result.err:
        return re.sub(r"\S*/\S*", "..", result.err.splitlines()[-1]).strip()
    return f"exit status {result.rc}"


def is_loud(result):
    return result.rc != 0 or result.err != ""


def outcome(result, expected, silent=False):
    """whole, or that it fails and why. The third is what must not be, but for
    those of which it is known."""
    if result.rc == 0 and result.stdout == expected:
        return "whole"
    if silent and result.rc == 0 and result.stdout == result.stderr == b"":
        return "**empty, and nothing says so**"
    assert is_loud(result), f"silently wrong, not {expected[:200]}: {result}"
    return f"fails: {reason(result)}"
