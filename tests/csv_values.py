# SPDX-License-Identifier: MIT
"""Values for the tests of CSV, and what PostgreSQL makes of a query."""

# Texts that CSV has to think about, or looks as if it had to.
NASTY = [
    None,
    "",
    " ",
    " leading",
    "trailing ",
    "\ttab\t",
    ",",
    '"',
    '""',
    'a"b',
    "a,b",
    "\n",
    "\r",
    "\r\n",
    "line 1\nline 2\n",
    "\\.",
    "\\",
    "\\N",
    "\\n",
    "NULL",
    "'",
    ";",
    "é",
    "日本語",
    "\U0001f600,\U0001f600",
    "e\u0301",
    "\ufeff",
    "\u2028",
    "\x01\x1f\x7f",
    "x" * 15,
    "x" * 15 + ",",
    "x" * 16,
    "x" * 16 + '"',
    "x" * 31 + "\n",
    "x" * 70000,
    '"' * 40000,
    "x" * 70000 + ",",
]


def copy_of(pg, database, query, settings="", form="csv"):
    """What COPY gives for the query, behind those SETs; of any length."""
    copy = f"{settings}\ncopy ({query}) to stdout (format {form}, header);"
    return pg.psql(text=copy, database=database, user="app")


def literal(text):
    """As PostgreSQL reads it whatever its settings are."""
    quoted = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{quoted}'"
