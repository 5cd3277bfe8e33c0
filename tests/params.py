# SPDX-License-Identifier: MIT
"""Statements with parameters: run() shows what one process sees of them."""

import csv
import io
import json

# Runs the steps on its standard input, [params.json or null, query.sql], and
# tells what came of each: "ok" or the name of the errno, and what is then seen.
_PROGRAM = r"""
import errno, json, os, sys

C = os.environ["C"]

def attempt(name, text):
    try:
        with open(f"{C}/{name}", "wb", 0) as f:
            f.write(text.encode())
    except OSError as e:
        return errno.errorcode[e.errno]
    return "ok"

def content(name):
    with open(f"{C}/{name}", newline="") as f:
        return f.read()

seen = []
for params, sql in json.load(sys.stdin):
    step = {"params": None if params is None else attempt("params.json", params)}
    step["pending"] = content("params.json")
    step["query"] = attempt("query.sql", sql)
    step["left"] = content("params.json")
    step["result"] = content("result.csv") if step["query"] == "ok" else None
    step["error"] = content("error")
    step["status"] = json.loads(content("status.json"))
    seen.append(step)
print(json.dumps(seen))
"""


class Step:
    def __init__(self, seen):
        self.__dict__.update(seen)

    @property
    def rows(self):
        """Of the result, after the header."""
        assert (self.params or "ok", self.query) == ("ok", "ok"), self.error
        return list(csv.reader(io.StringIO(self.result, newline="")))[1:]


def run(m, *steps, **how):
    """What came of each (params, sql), by one process. params: JSON text, or
    what is to be made JSON, or None for none."""
    texts = [
        (p if p is None or isinstance(p, str) else json.dumps(p), sql)
        for p, sql in steps
    ]
    done = m.python(_PROGRAM, stdin=json.dumps(texts), **how).check()
    return [Step(seen) for seen in json.loads(done.out)]


def marks(engine, n, kind="text"):
    """n placeholders of that type for a select list."""
    if engine.name == "postgres":
        return ", ".join(f"${i}::{kind} as c{i}" for i in range(1, n + 1))
    return ", ".join(f"? as c{i}" for i in range(1, n + 1))


def mark(engine, kind="text"):
    """One, in an expression."""
    return f"$1::{kind}" if engine.name == "postgres" else "?"
