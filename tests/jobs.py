# SPDX-License-Identifier: MIT
"""Jobs that take turns with the sessions of a pool."""

import json


def job(number):
    """The environment that names a job to connfs."""
    return {"LAVA_REALM": "test", "LAVA_JOB_ID": f"job{number}"}


def sessions_of(m):
    """How many database sessions connfs has."""
    return json.loads(m.read(".connfs", "status.json"))["database_sessions"]


def ask(sql, more=""):
    """In sh: a statement, and its rows; more goes on in the same shell."""
    return f"""
    cd "$C"
    cat >query.sql <<'END' && cat result.csv
{sql}
END
    {more}
    """
