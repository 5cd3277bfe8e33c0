# SPDX-License-Identifier: MIT
"""What creds/ and connection.json show of logins that AWS has a part in."""

import datetime
import json

import pytest

from fake_aws_services import Cluster
from logins import status

READ_ALL = 'cat "$C"/creds/[!r]* "$C/connection.json"'  # all but refresh


def when(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def by_secret(aws, pg, kind="postgres", **fields):
    """A spec with nothing in it, and a secret with all the rest."""
    login = pg.spec()
    aws.secrets["prod/shop"] = {
        "username": login["user"],
        "password": login["password_plain"],
        "host": login["host"],
        "port": str(login["port"]),
        "dbname": login["database"],
        "engine": "postgres",
    }
    return {"type": kind, "enabled": True, "secret_id": "prod/shop", **fields}


# A token lives 15 min, and what creds/ shows of it is so at that moment.
def test_a_token_and_its_life_are_shown(mount, aws, pg_gateway):
    gateway = pg_gateway(aws)
    m = mount(db=gateway.spec(expose_token=True), env=aws.env(aws.key()))
    before = {name: status(m)[name] for name in ["state", "source", "ttl"]}

    assert m.query("select 1 as a;").out == "a\n1\n"

    assert before == {"state": "none", "source": "rds-iam", "ttl": None}
    seen = status(m)
    assert (seen["state"], seen["source"], seen["error"]) == ("valid", "rds-iam", None)
    assert 895 <= when(seen["expires_at"]) - when(seen["issued_at"]) <= 901
    assert 840 < int(m.read("db", "creds", "ttl")) <= 900
    assert m.read("db", "creds", "expires_at") == f"{seen['expires_at']}\n"
    assert seen["keys_source"] == "environment"
    token = m.read("db", "creds", "token")
    name = f"{gateway.host}:{gateway.sign_port}"
    aws.check_rds_token(token.removesuffix("\n"), "app", {name})
    shown = json.loads(m.read("db", "connection.json"))
    assert (shown["password_source"], shown["sslmode"]) == ("rds-iam", "verify-full")


# A temporary password shows whose it is, and AWS's clock counts for its end.
def test_a_temporary_password_is_shown(mount, aws, pg_gateway):
    gateway = pg_gateway(aws, kind="redshift")
    aws.clusters["shop"] = Cluster()
    aws.clock_offset = 240
    m = mount(db=gateway.spec(), env=aws.env(aws.key(temporary=True)))

    assert m.query("select 1 as a;").out == "a\n1\n"

    seen = status(m)
    assert (seen["state"], seen["source"]) == ("valid", "redshift-iam")
    assert seen["user"] == "IAM:app"
    assert 235 <= seen["clock_offset_s"] <= 245
    assert 840 < seen["ttl"] <= 900


# What the spec does not say is shown once it is known.
def test_what_a_secret_told_is_shown(mount, aws, pg):
    m = mount(db=by_secret(aws, pg), env=aws.env(aws.key()))
    login = pg.spec()
    m.secrets.add(login["password_plain"])
    before = json.loads(m.read("db", "connection.json"))

    assert m.query("select 1 as a;").out == "a\n1\n"

    assert "host" not in before and "user" not in before
    shown = json.loads(m.read("db", "connection.json"))
    names = ["host", "port", "database", "user"]
    assert [shown[name] for name in names] == [login[name] for name in names]
    assert shown["password_source"] == "secretsmanager"
    assert [status(m)[name] for name in names] == [login[name] for name in names]
    assert login["password_plain"] not in m.sh(READ_ALL, "db").check().out


# Before the first login nobody knows whether the secret has a password.
def test_a_secret_or_a_token_is_shown_as_either(mount, aws, pg):
    spec = by_secret(aws, pg, kind="postgres-rds")
    m = mount(db=spec, env=aws.env(aws.key()))
    before = json.loads(m.read("db", "connection.json"))

    assert m.query("select 1 as a;").out == "a\n1\n"

    assert before["password_source"] == "secretsmanager or rds-iam"
    shown = json.loads(m.read("db", "connection.json"))
    assert shown["password_source"] == "secretsmanager"


def test_looking_asks_nobody(mount, aws, pg):
    m = mount(db=by_secret(aws, pg, expose_token=True), env=aws.env(aws.key()))

    looked = m.sh(f'{READ_ALL}; ls -lR "$M"; find "$M"; du -s "$M"', "db")

    assert "No data available" in looked.err  # creds/token
    assert aws.journal == []


# `enabled` comes first, and --check never asks.
@pytest.mark.parametrize("enabled", [True, False])
def test_a_spec_alone_asks_nobody(mount, connfs, aws, pg, test_dir, enabled):
    spec = by_secret(aws, pg, enabled=enabled, password=None)
    spec = {**spec, "password": "/prod/shop/pw", "type": "postgres-rds"}
    path = test_dir / "spec.json"
    path.write_text(json.dumps({"conn_id": "db", **spec}))
    path.chmod(0o600)

    checked = connfs("--check", path, env=aws.env(aws.key()))
    m = mount(db=spec, env=aws.env(aws.key()))

    assert checked.rc == 0
    assert m.sh('ls "$M"').check().lines == ["README"] + ["db"] * enabled
    assert aws.journal == []


# AWS knows the database by its own name only; a tunnel is for connect_to.
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_an_address_in_place_of_the_endpoint_is_warned_of(connfs, test_dir, host):
    spec = {"type": "mysql-rds", "host": host, "user": "u", "database": "d"}
    path = test_dir / "spec.json"
    path.write_text(json.dumps({"conn_id": "db", **spec}))

    checked = connfs("--check", path)

    assert checked.rc == 0
    assert f"own endpoint, not for {host}; connect_to says where" in checked.err


# What is shown is made at each open, and a failure with it.
def test_a_failure_and_its_end_are_seen_at_once(mount, aws, pg):
    spec = by_secret(aws, pg)
    secret = aws.secrets.pop("prod/shop")
    m = mount(db=spec, env=aws.env(aws.key()))
    refresh = 'echo 1 >"$C/creds/refresh"'

    failed = m.sh(refresh, "db", shell="bash")

    assert "Key was rejected by service" in failed.err
    assert m.read("db", "creds", "state") == "failed\n"
    assert "secret_id" in m.read("db", "creds", "error")
    aws.secrets["prod/shop"] = secret
    m.sh(refresh, "db", shell="bash").check()
    assert m.read("db", "creds", "state") == "valid\n"
    assert m.read("db", "creds", "error") == ""
    assert m.read("db", "creds", "ttl") == ""
