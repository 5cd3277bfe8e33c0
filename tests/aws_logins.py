# SPDX-License-Identifier: MIT
"""Logins whose values AWS keeps, and what creds/ shows of them."""

from logins import status

SECRET = "prod/shop"
PARAMETER = "/prod/shop/password"
PASSWORD = "first&Pass+1"

# In bash, which tells the errno.
WRITE = 'echo "select 1 as a;" >"$C/query.sql"'
REFRESH = 'echo 1 >"$C/creds/refresh"'
REJECTED = "Key was rejected by service"

FAMILIES = {"postgres": "pg_gateway", "mysql": "mysql_gateway"}
FILES = ["state", "source", "user", "issued_at", "expires_at", "error"]


def gateway_of(request, aws, family):
    """A gateway of that family which wants PASSWORD, by its fixture."""
    make = request.getfixturevalue(FAMILIES[family])
    gateway = make(aws, kind="password", password=PASSWORD)
    gateway.family = family
    return gateway


def secret_of(gateway, **fields):
    """All of the login to a gateway; fields replace or add, None removes."""
    secret = {
        "username": "app",
        "password": gateway.password,
        "host": "127.0.0.1",
        "port": gateway.port,
        "dbname": "app",
        "engine": "postgres",
        **fields,
    }
    return {k: v for k, v in secret.items() if v is not None}


def minimal(kind="postgres", **fields):
    """The least that a spec may say."""
    return {"type": kind, "enabled": True, "secret_id": SECRET, **fields}


def creds(m, conn="db"):
    """What creds/status.json says, and that the files beside it say the same."""
    first = status(m, conn)
    while True:
        files = {name: m.read(conn, "creds", name) for name in FILES}
        left = m.read(conn, "creds", "ttl")
        again = status(m, conn)
        if {**first, "ttl": None} == {**again, "ttl": None}:
            break
        first = again  # it changed meanwhile
    for name, text in files.items():
        assert text == ("" if first[name] is None else f"{first[name]}\n")
    assert (left == "") == (first["ttl"] is None)
    assert left == "" or first["ttl"] >= int(left) >= again["ttl"] >= 0
    return again


def bash(m, script, conn="db"):
    return m.sh(script, conn, shell="bash")


def log_in(m, conn="db", times=1):
    """So many sessions of the database, each of a caller of its own."""
    for _ in range(times):
        assert m.query("select 1 as a;", conn).out == "a\n1\n"
