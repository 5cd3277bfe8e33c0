# SPDX-License-Identifier: MIT
"""Clients that several tests use: run_text() shows what one process sees of a
connection, as an Outcome; Terminal is somebody at a keyboard."""

import base64
import json
import os

from clients import wait_for

# Writes the pieces of text on its standard input, one write(2) each, to
# query.sql, and tells what came of that and of opening the results.
_PROGRAM = r"""
import base64, errno, json, os, sys

def name(e):
    if e.errno == errno.EOPNOTSUPP:
        return "EOPNOTSUPP"  # has two names
    return errno.errorcode[e.errno]

def attempt(f, *args):
    try:
        f(*args)
    except OSError as e:
        return name(e)
    return "ok"

def content(name):
    with open(os.environ["C"] + "/" + name, "rb") as f:
        return f.read()

def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]

query = os.environ["C"] + "/query.sql"
seen = {"writes": [], "close": None, "result": None, "content": None}
fd = os.open(query, os.O_WRONLY | os.O_TRUNC)
for piece in json.load(sys.stdin):
    seen["writes"].append(attempt(write_all, fd, base64.b64decode(piece)))
seen["close"] = attempt(os.close, fd)
try:
    seen["content"] = base64.b64encode(content("result.csv")).decode()
    seen["result"] = "ok"
except OSError as e:
    seen["result"] = name(e)
seen["error"] = content("error").decode()
seen["status"] = json.loads(content("status.json"))
seen["query"] = content("query.sql").decode(errors="replace")
print(json.dumps(seen))
"""


class Outcome:
    """writes: what came of each, "ok" or the name of the errno; close and
    result: of close() and of reading result.csv; content: of result.csv,
    bytes; error, query: text of these files; status: status.json."""

    def __init__(self, seen):
        self.__dict__.update(seen)
        if self.content is not None:
            self.content = base64.b64decode(self.content)

    @property
    def csv(self):
        """Content of result.csv, text."""
        assert self.result == "ok", self
        return self.content.decode()

    def __repr__(self):
        return f"Outcome({self.__dict__})"


def run_text(m, *pieces, conn=None, **how):
    """Runs the pieces of a text, each in a write of its own: the Outcome."""
    data = [p.encode() if isinstance(p, str) else p for p in pieces]
    text = json.dumps([base64.b64encode(p).decode() for p in data])
    result = m.python(_PROGRAM, conn, stdin=text, **how)
    return Outcome(json.loads(result.check().out))


class Terminal:
    """A program on a terminal of its own, as a context manager."""

    def __init__(self, m, command):
        fifo = m.dir / "keys"
        os.mkfifo(fifo)
        self.client = m.start_sh(
            'exec script -qefc "$COMMAND" /dev/null < $KEYS',
            env={"KEYS": str(fifo), "COMMAND": command, "TERM": "vt100", "PS1": "$ "},
        )
        self._keys = os.open(fifo, os.O_WRONLY)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        os.close(self._keys)

    def type(self, text):
        os.write(self._keys, text.encode())

    @property
    def screen(self):
        """All that was ever shown there, with control sequences."""
        return self.client.stdout.decode(errors="replace")

    def wait_for(self, text):
        wait_for(lambda: text in self.screen, f"{text!r} on the screen")
