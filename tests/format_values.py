# SPDX-License-Identifier: MIT
"""Results in all formats, read without losing a digit."""

import collections
import json
import re

FORMATS = ["csv", "tsv", "jsonl", "json", "txt"]


# A number of JSON as it was written; none is equal to a string.
Digits = collections.namedtuple("Digits", "text")


def refuse(word):
    raise AssertionError(f"{word} is no JSON")


def parse(text):
    """JSON with its digits, and objects as lists of pairs, in their order."""
    return json.loads(
        text,
        parse_int=Digits,
        parse_float=Digits,
        parse_constant=refuse,
        object_pairs_hook=list,
    )


def quoted(text):
    """A string as it is written in JSON here."""
    return json.dumps(text, ensure_ascii=False)


def rows_of_csv(data):
    """(names, rows); None for NULL."""
    lines, line = [], []
    cell = re.compile(rb'(?:"((?:[^"]|"")*)"|([^",\r\n]*))([,\n])')
    at = 0
    while at < len(data):
        found = cell.match(data, at)
        in_quotes, bare, end = found.groups()
        if in_quotes is not None:
            line.append(in_quotes.replace(b'""', b'"').decode())
        else:
            line.append(bare.decode() or None)
        at = found.end()
        if end == b"\n":
            lines.append(line)
            line = []
    assert not line
    return lines[0], lines[1:]


ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


def cell_of_tsv(text):
    if text == "\\N":
        return None
    return re.sub(r"\\(.)", lambda m: ESCAPES[m.group(1)], text)


def rows_of_tsv(data):
    """(names, rows); None for NULL."""
    *lines, end = data.decode().split("\n")
    assert end == ""
    names, *rows = [list(map(cell_of_tsv, line.split("\t"))) for line in lines]
    return names, rows


def is_same(text, value):
    """Whether a cell of CSV (None: NULL) and a value of JSON are the same."""
    if text is None:
        return value is None
    if isinstance(value, str) and value == text:
        return True
    if isinstance(value, bool) and text == ("t" if value else "f"):
        return True
    return value == parse(text)


class Formats:
    """What one statement's last result is in each of some formats."""

    def __init__(self, contents, told):
        self.contents = contents
        self.told = told

    def __getitem__(self, name):
        return self.contents[name]

    @property
    def lines(self):
        """The lines of .jsonl, after making sure that .json has the same."""
        *lines, end = self["jsonl"].decode().split("\n")
        assert end == ""
        inside = ",\n".join(lines)
        inside = f"[\n{inside}\n]\n" if lines else "[]\n"
        assert self["json"].decode() == inside
        return lines

    @property
    def objects(self):
        """Lists of (name, value), one for each row."""
        return [parse(line) for line in self.lines]

    def check_alike(self):
        """Itself, after making sure that CSV, TSV and JSON say the same."""
        names, rows = rows_of_csv(self["csv"])
        assert rows_of_tsv(self["tsv"]) == (names, rows)
        assert len(self.objects) == len(rows)
        for row, values in zip(rows, self.objects):
            different = [
                (name, text, value)
                for text, (name, value) in zip(row, values, strict=True)
                if not is_same(text, value)
            ]
            assert not different
        return self


def read_formats(m, sql, where, formats=FORMATS, then=""):
    """Runs sql once, reads its result in those formats, and does what else a
    script says, which may fail: told has its output."""
    for name in formats:
        (where / f"out.{name}").unlink(missing_ok=True)
    script = 'cat >"$C/query.sql" || exit\n'
    script += "".join(
        f'cat "$C/result.{name}" >"{where}/out.{name}" || exit\n' for name in formats
    )
    told = m.sh(f"{script}{then}", stdin=sql, timeout=40)
    if not then:
        told.check()
    contents = {name: (where / f"out.{name}").read_bytes() for name in formats}
    return Formats(contents, told)
