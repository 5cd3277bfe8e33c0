# SPDX-License-Identifier: MIT
"""Logins by tokens of RDS and Aurora: what is signed, for whom, and what becomes
of a login that is refused."""

import json
import threading

import pytest

from clients import wait_for
from fake_aws import InstanceRole, Role
from jobs import sessions_of
from logins import ROLE, dsql_fields, key_of, next_second, profile, rds_fields
from logins import refused, region_of, status, verdicts
from programs import run_text

GATEWAYS = ["pg_gateway", "mysql_gateway"]
ENDPOINT = "db.abcdefgh.eu-west-1.rds.amazonaws.com"
ONE = "a\n1\n"


@pytest.fixture(params=GATEWAYS)
def gateways(request):
    """Makes gateways of RDS, of either kind."""
    return request.getfixturevalue(request.param)


def check(connfs, test_dir, *specs):
    """What connfs --check says of them, one called c0, the next c1 .."""
    path = test_dir / "specs.json"
    named = [{"conn_id": f"c{i}", **spec} for i, spec in enumerate(specs)]
    path.write_text(json.dumps(named))
    path.chmod(0o600)
    return connfs("--check", path)


# --- What a login shows


@pytest.mark.parametrize(
    "kind, gateway",
    [
        ("postgres-rds", "pg_gateway"),
        ("postgres-aurora", "pg_gateway"),
        ("mysql-rds", "mysql_gateway"),
        ("mysql-aurora", "mysql_gateway"),
        ("mariadb-rds", "mysql_gateway"),
    ],
)
def test_every_type_logs_in_by_a_token(mount, aws, request, kind, gateway):
    gateway = request.getfixturevalue(gateway)(aws)
    m = mount(db=gateway.spec(type=kind), env=aws.env(aws.key()))

    assert m.query("select 1 as a;").out == ONE

    (login,) = gateway.ok
    where, fields = rds_fields(login)
    assert where == f"{gateway.host}:{gateway.sign_port or gateway.port}"
    assert (fields["Action"], fields["DBUser"]) == ("connect", "app")
    assert region_of(fields) == "eu-west-1"
    # More than 15 min would not be taken for 15 min, but refused.
    assert fields["X-Amz-Expires"] == "900"
    assert (status(m)["source"], status(m)["user"]) == ("rds-iam", "app")
    assert aws.journal == []


# A pool that keeps its first token logs in for 15 min.
@pytest.mark.parametrize("kind, names", zip(GATEWAYS, ["abcde", "ab"]))
def test_each_connection_has_a_token_of_its_own(mount, aws, request, kind, names):
    gateway = request.getfixturevalue(kind)(aws)
    m = mount(db=gateway.spec(max_connections=5), env=aws.env(aws.key()))

    for name in names:
        next_second()
        m.sh(
            f'mkdir "$C/sessions/{name}"'
            f' && echo "begin; select 1 as a;" >"$C/sessions/{name}/query.sql"'
        ).check()

    assert verdicts(gateway) == ["ok"] * len(names)
    assert len({login.password for login in gateway.logins}) == len(names)
    assert sessions_of(m) == len(names)


# A session token of any length and of any characters arrives as it is.
@pytest.mark.parametrize("size", [2048, 8192])
def test_temporary_keys_sign_with_their_session_token(mount, aws, gateways, size):
    gateway = gateways(aws)
    key = aws.key(temporary=True, token_bytes=size)
    m = mount(db=gateway.spec(), env=aws.env(key))
    m.secrets.update([key.secret_key, key.session_token])

    assert m.query("select 1 as a;").out == ONE

    (login,) = gateway.ok
    assert rds_fields(login)[1]["X-Amz-Security-Token"] == key.session_token
    assert len(login.password) > size
    m.secrets.add(login.password)


# Whoever sets no session token sets an empty one, at times.
def test_an_empty_session_token_is_none(mount, aws, pg_gateway):
    gateway = pg_gateway(aws)
    env = aws.env(aws.key(), AWS_SESSION_TOKEN="")
    m = mount(db=gateway.spec(), env=env)

    assert m.query("select 1 as a;").out == ONE

    assert "X-Amz-Security-Token" not in rds_fields(gateway.ok[0])[1]


@pytest.mark.parametrize("user", ["a+b@c/u", "Mixed Case", "grün%2F=&?", "x" * 63])
def test_users_with_any_characters(mount, aws, gateways, user):
    gateway = gateways(aws)
    m = mount(db=gateway.spec(user=user), env=aws.env(aws.key()))

    assert m.query("select 1 as a;").out == ONE

    (login,) = gateway.ok
    assert (login.user, rds_fields(login)[1]["DBUser"]) == (user, user)


# What is signed is the name in lower case; AWS's own tools differ there.
def test_a_host_in_capitals(mount, aws, gateways):
    gateway = gateways(aws)
    host = gateway.host.upper()
    m = mount(db=gateway.spec(host=host, region=None), env=aws.env(aws.key()))

    assert m.query("select 1 as a;").out == ONE

    where, fields = rds_fields(gateway.ok[0])
    assert where == f"{gateway.host}:{gateway.sign_port or gateway.port}"
    assert region_of(fields) == "eu-west-1"


# --- Region


HOSTS = {
    "db.abcdefgh.rds.cn-north-1.amazonaws.com.cn": "cn-north-1",
    "db.abcdefgh.cn-northwest-1.rds.amazonaws.com.cn": "cn-northwest-1",
    "db.abcdefgh.us-gov-west-1.rds.amazonaws.com": "us-gov-west-1",
    "db.abcdefgh.rds.us-gov-east-1.amazonaws.com": "us-gov-east-1",
    "db.cluster-abcdefgh.eusc-de-east-1.rds.amazonaws.eu": "eusc-de-east-1",
    "db.abcdefgh.rds.us-isob-east-1.sc2s.sgov.gov": "us-isob-east-1",
    "db.proxy-abcdefgh.ap-southeast-2.rds.amazonaws.com": "ap-southeast-2",
    "ro.endpoint.proxy-abcdefgh.il-central-1.rds.amazonaws.com": "il-central-1",
}


# The name of the host tells the region, in every partition, and goes before
# what the environment says.
def test_the_region_is_that_of_the_host(mount, aws, pg_gateway):
    aws.any_region = True
    gateways = {host: pg_gateway(aws, host=host) for host in HOSTS}
    specs = {f"c{i}": g.spec() for i, g in enumerate(gateways.values())}
    m = mount(specs, env=aws.env(aws.key(), AWS_REGION="us-west-1"))

    for conn in specs:
        assert m.query("select 1 as a;", conn).out == ONE

    seen = {host: rds_fields(g.ok[0])[1] for host, g in gateways.items()}
    assert {host: region_of(fields) for host, fields in seen.items()} == HOSTS


GLOBAL = "x.global-abcdefgh.global.rds.amazonaws.com"


# A global endpoint has no region; to guess one would be a refused login.
def test_a_region_that_nobody_tells_is_asked_for(mount, aws, pg_gateway):
    gateway = pg_gateway(aws, host=GLOBAL)
    env = aws.env(aws.key(), AWS_REGION=None)
    m = mount(db=gateway.spec(), told=gateway.spec(region="eu-west-1"), env=env)

    said = refused(m, "EKEYREJECTED")

    assert said.startswith("region: ") and f"the host {GLOBAL} does not tell" in said
    assert gateway.logins == []
    assert m.query("select 1 as a;", "told").out == ONE


@pytest.mark.parametrize(
    "fields, env, region",
    [
        ({"region": "eu-central-1"}, {"AWS_REGION": "us-west-1"}, "eu-central-1"),
        ({}, {"AWS_REGION": "us-west-1"}, "eu-west-1"),
    ],
    ids=["spec", "host"],
)
def test_the_spec_goes_before_the_host(mount, aws, pg_gateway, fields, env, region):
    aws.region = region
    gateway = pg_gateway(aws)
    m = mount(db=gateway.spec(**fields), env=aws.env(aws.key(), **env))

    assert m.query("select 1 as a;").out == ONE

    assert region_of(rds_fields(gateway.ok[0])[1]) == region


@pytest.mark.parametrize(
    "env",
    [
        {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "us-west-1"},
        {"AWS_REGION": None, "AWS_DEFAULT_REGION": "eu-central-1"},
    ],
    ids=["AWS_REGION", "AWS_DEFAULT_REGION"],
)
def test_the_environment_comes_last(mount, aws, pg_gateway, env):
    aws.region = "eu-central-1"
    gateway = pg_gateway(aws, host=GLOBAL)
    m = mount(db=gateway.spec(), env=aws.env(aws.key(), **env))

    assert m.query("select 1 as a;").out == ONE

    assert region_of(rds_fields(gateway.ok[0])[1]) == "eu-central-1"


# --- Where is dialled, and what is signed


# What --check tells of a spec needs no network.
def test_port_443_is_refused_at_once(connfs, test_dir, aws, pg_gateway):
    gateway = pg_gateway(aws)

    checked = check(connfs, test_dir, gateway.spec(port=443), gateway.spec(port=444))

    assert checked.rc == 1
    (bad,) = [line for line in checked.lines if not line.startswith("OK   c1 ")]
    assert bad.startswith("BAD") and "c0: port: 443 cannot be signed for" in bad


# A port that only the secret tells is as bad.
def test_port_443_of_a_secret_is_refused(mount, aws, pg_gateway):
    gateway = pg_gateway(aws)
    aws.secrets["prod/shop"] = {"port": 443}
    spec = gateway.spec(secret_id="prod/shop", port=None, ssl=True)
    m = mount(db=spec, env=aws.env(aws.key()))

    assert "port: no token can be signed for 443" in refused(m, "EKEYREJECTED")
    assert gateway.logins == []


# Another port is dialled than the one that is signed, and another address.
@pytest.mark.parametrize("port", [5432, 6000])
def test_through_a_tunnel(mount, aws, pg_gateway, port):
    gateway = pg_gateway(aws, sign_port=port)
    m = mount(db=gateway.spec(), env=aws.env(aws.key()))

    assert m.query("select 1 as a;").out == ONE

    assert gateway.port != port
    (login,) = gateway.ok
    assert rds_fields(login)[0] == f"{ENDPOINT}:{port}"
    assert login.sni == ENDPOINT


def test_through_a_tunnel_by_the_fingerprint(mount, aws, mysql_gateway):
    gateway = mysql_gateway(aws, host=ENDPOINT, sign_port=3306)
    m = mount(db=gateway.spec(region=None, ca_cert=None), env=aws.env(aws.key()))

    assert m.query("select 1 as a;").out == ONE

    assert rds_fields(gateway.ok[0])[0] == f"{ENDPOINT}:3306"
    assert json.loads(m.read("db", "connection.json"))["sslmode"] == "require"


# Whoever is at the end of the tunnel gets no token for that.
def test_a_wrong_fingerprint_gets_nothing(mount, aws, mysql_gateway):
    gateway = mysql_gateway(aws, host=ENDPOINT, sign_port=3306)
    wrong = {"tls_fingerprint": gateway.fingerprint[::-1]}
    m = mount(db=gateway.spec(**wrong), env=aws.env(aws.key()))

    outcome = run_text(m, "select 1 as a;")

    assert outcome.writes == ["EHOSTUNREACH"]
    assert "does not have the tls_fingerprint" in outcome.error
    assert gateway.logins == []
    assert b"X-Amz" not in gateway.received


# A tunnel needs the fingerprint, since the connector has no second name.
def test_a_tunnel_needs_the_fingerprint(connfs, test_dir, aws, mysql_gateway):
    gateway = mysql_gateway(aws, host=ENDPOINT, sign_port=3306)

    checked = check(connfs, test_dir, gateway.spec(tls_fingerprint=None))

    assert checked.rc == 1
    assert "connect_to: needs tls_fingerprint with TLS" in checked.out


# AWS knows the database by its own name only, so that another one signs in
# vain; it is signed as it stands there all the same, and never resolved.
def test_another_name_of_the_database(mount, aws, pg_gateway):
    gateway = pg_gateway(aws, host="db.example.com", names={f"{ENDPOINT}:5432"})
    spec = gateway.spec(region="eu-west-1")
    m = mount(db=spec, env=aws.env(aws.key()))

    said = refused(m, "EACCES")

    assert verdicts(gateway) == ["host", "host"]
    assert rds_fields(gateway.logins[0])[0] == "db.example.com:5432"
    hint = "host must be the endpoint that AWS gave the database, and db.example.com"
    assert hint in said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_address_for_a_host_is_warned_of(mount, aws, pg_gateway, host):
    gateway = pg_gateway(aws, host=host, names={f"{ENDPOINT}:5432"})
    m = mount(db=gateway.spec(region="eu-west-1"), env=aws.env(aws.key()))
    warned = m.log

    said = refused(m, "EACCES")

    assert "db: host: AWS accepts a token only for the database's own" in warned
    assert f"and {host} looks like another name" in said


# RDS takes 15 min and nothing else; Aurora DSQL from a second to a week.
def test_how_long_a_token_may_live(connfs, test_dir, aws, pg_gateway):
    rds, dsql = pg_gateway(aws).spec(), pg_gateway(aws, kind="dsql").spec()
    lives = [1, 604800, 0, 604801]
    specs = [{**rds, "token_duration": 900}]
    specs += [{**dsql, "token_duration": life} for life in lives]

    checked = check(connfs, test_dir, *specs)

    good = sorted(line.split()[1] for line in checked.lines if line.startswith("OK"))
    assert good == ["c1", "c2"]
    bad = [line for line in checked.lines if line.startswith("BAD")]
    for name, line in zip(["c0", "c3", "c4"], sorted(bad)):
        assert f"{name}: token_duration: " in line
    assert "does not go with type postgres-rds" in checked.out


# --- Whose keys


REGION = "eu-central-1"


def role_fields():
    return {
        "role_arn": ROLE,
        "external_id": "/prod/external",
        "tags": {"team": "sales", "cost center": "a+b/c"},
        "profile": "etl",
        "region": REGION,
    }


# role_arn and what goes with it is of every type that needs no password.
@pytest.mark.parametrize("kind", ["rds", "mysql", "dsql"])
def test_a_role_signs_the_token(mount, aws, test_dir, request, kind):
    aws.region = REGION
    key = aws.key()
    tags = role_fields()["tags"]
    aws.roles[ROLE] = Role(external_id="s3same", tags=tags)
    aws.parameters["/prod/external"] = "s3same"
    if kind == "mysql":
        gateway = request.getfixturevalue("mysql_gateway")(aws)
    else:
        gateway = request.getfixturevalue("pg_gateway")(aws, kind=kind)
    env = aws.env(AWS_REGION="us-west-1", **profile(test_dir, key))
    m = mount(db=gateway.spec(**role_fields()), env=env)
    m.secrets.add("s3same")

    assert m.query("select 1 as a;").out == ONE

    (asked,) = aws.entries("AssumeRole")
    assert (asked.key, asked.signed.region) == (key, REGION)
    sent = {k: v for k, v in asked.members.items() if k not in ("Action", "Version")}
    assert sent.pop("RoleSessionName") == "connfs-db"
    sent.pop("DurationSeconds", None)
    pairs = {
        sent.pop(f"Tags.member.{i}.Key"): sent.pop(f"Tags.member.{i}.Value")
        for i in (1, 2)
    }
    assert (sent, pairs) == ({"RoleArn": ROLE, "ExternalId": "s3same"}, tags)
    (parameter,) = aws.entries("GetParameter")
    assert (parameter.key, parameter.signed.region) == (key, REGION)
    (login,) = gateway.ok
    _, fields = dsql_fields(login) if kind == "dsql" else rds_fields(login)
    assert (key_of(aws, fields).role, region_of(fields)) == (ROLE, REGION)
    assert "s3same" not in m.sh('cat "$C/connection.json" "$C"/creds/[!r]*').out


# Whoever has said no region has said it by the name of the database.
def test_a_role_is_asked_for_where_the_database_is(mount, aws, pg_gateway):
    gateway = pg_gateway(aws)
    aws.roles[ROLE] = Role()
    m = mount(db=gateway.spec(role_arn=ROLE), env=aws.env(aws.key(), AWS_REGION=None))

    assert m.query("select 1 as a;").check().out == ONE

    (asked,) = aws.entries("AssumeRole")
    assert asked.signed.region == "eu-west-1"


# Who has said one may reach STS there only.
def test_a_role_is_asked_for_where_aws_is(mount, aws, pg_gateway):
    aws.any_region = True
    gateway = pg_gateway(aws)
    aws.roles[ROLE] = Role()
    env = aws.env(aws.key(), AWS_REGION="us-west-1")
    m = mount(db=gateway.spec(role_arn=ROLE), env=env)

    assert m.query("select 1 as a;").check().out == ONE

    assert aws.entries("AssumeRole")[0].signed.region == "us-west-1"
    assert region_of(rds_fields(gateway.ok[0])[1]) == "eu-west-1"


# Who has to allow what stands in AWS's answer, and is not lost.
def test_a_role_that_refuses_is_named(mount, aws, test_dir, pg_gateway):
    gateway = pg_gateway(aws)
    aws.roles[ROLE] = Role(external_id="another")
    aws.parameters["/prod/external"] = "s3same"
    spec = gateway.spec(role_arn=ROLE, external_id="/prod/external")
    m = mount(db=spec, env=aws.env(aws.key()))

    said = refused(m, "EKEYREJECTED")

    assert "AssumeRole: AccessDenied" in said
    assert ROLE in said and "sts:AssumeRole" in said
    assert "s3same" not in said
    assert gateway.logins == []


# Without tags nobody needs the permission for tags.
def test_a_role_without_tags_is_assumed_without(mount, aws, pg_gateway):
    gateway = pg_gateway(aws)
    aws.roles[ROLE] = Role(tags={})
    m = mount(db=gateway.spec(role_arn=ROLE), env=aws.env(aws.key()))

    assert m.query("select 1 as a;").out == ONE

    (asked,) = aws.entries("AssumeRole")
    assert not [name for name in asked.members if name.startswith("Tags")]
    assert "ExternalId" not in asked.members


# Keys that are over sign tokens as well as any: only the login would fail.
def test_expired_keys_do_not_sign(mount, aws, gateways):
    gateway = gateways(aws)
    key = aws.key(temporary=True)
    env = aws.env(key, AWS_CREDENTIAL_EXPIRATION="2020-01-01T00:00:00Z")
    m = mount(db=gateway.spec(), env=env)

    said = refused(m, "EKEYREJECTED")

    assert "environment" in said and "expired at 2020-01-01T00:00:00Z" in said
    assert gateway.logins == []


# --- Logins that are refused


# The first login by IAM fails now and then at AWS's own end.
def test_a_login_refused_once_is_tried_once_more(mount, aws, gateways):
    gateway = gateways(aws)
    gateway.refuse_next(1)
    m = mount(db=gateway.spec(), env=aws.env(aws.key()))

    assert m.query("select 1 as a;").check().out == ONE

    assert verdicts(gateway) == ["refused", "ok"]
    assert (status(m)["state"], status(m)["error"]) == ("valid", None)


# The keys ended before their time: the token for the second try is signed by
# others.
def test_the_second_try_has_another_token(mount, aws, gateways):
    gateway = gateways(aws)
    aws.container = InstanceRole(lifetime=600)
    m = mount(db=gateway.spec(), env=aws.env(**aws.container_env()))
    m.query("select 1 as a;").check()
    (first,) = [key for key in aws.keys.values() if key.role]
    (given,) = aws.entries("ContainerCredentials")
    gateway.server.end_sessions()
    aws.expire(first)
    # What has just been asked for is not asked for again.
    wait_for(lambda: aws.now() > given.time + 2, "the keys are old enough")

    assert m.query("select 1 as a;").check().out == ONE

    assert verdicts(gateway) == ["ok", "expired", "ok"]
    _, old, new = [key_of(aws, rds_fields(login)[1]) for login in gateway.logins]
    assert old is first and new is not first


# What to look at, since no server tells.
def test_a_login_refused_for_good(mount, aws, gateways):
    gateway = gateways(aws)
    gateway.refuse_next(2)
    m = mount(db=gateway.spec(), env=aws.env(aws.key()))

    said = refused(m, "EACCES")

    assert verdicts(gateway) == ["refused", "refused"]
    words = "PAM authentication failed", "Access denied for user 'app'"
    assert any(w in said for w in words)
    assert "rds_iam (PostgreSQL) or AWSAuthenticationPlugin (MySQL)" in said
    arn = "arn:aws:rds-db:eu-west-1:ACCOUNT:dbuser:RESOURCE-ID/app"
    assert f"rds-db:connect on {arn}" in said
    assert status(m)["state"] == "failed"
    # And it is not remembered longer than for that.
    assert m.query("select 1 as a;").check().out == ONE
    assert verdicts(gateway)[2:] == ["ok"]
    assert m.read("db", "creds", "error") == ""


# What whoever was let in may not do says nothing of the token.
@pytest.mark.parametrize(
    "kind, fields, sqlstate",
    [
        ("pg_gateway", {"init_sql": "select * from pg_authid"}, "42501"),
        ("mysql_gateway", {"init_sql": "select * from mysql.user"}, "42000"),
        ("mysql_gateway", {"database": "mysql"}, "42000"),
    ],
    ids=["postgres", "mariadb", "database"],
)
def test_what_is_forbidden_then(mount, aws, request, kind, fields, sqlstate):
    gateway = request.getfixturevalue(kind)(aws)
    m = mount(db=gateway.spec(**fields), env=aws.env(aws.key()))

    outcome = run_text(m, "select 1 as a;")

    assert outcome.writes == ["EACCES"]
    assert outcome.status["sqlstate"] == sqlstate
    assert verdicts(gateway) == ["ok"]
    assert (status(m)["state"], status(m)["error"]) == ("valid", None)


# The hint has the partition that the permission is of.
def test_the_permission_is_of_the_partition(mount, aws, pg_gateway):
    aws.region = "cn-north-1"
    gateway = pg_gateway(aws, host="db.abcdefgh.rds.cn-north-1.amazonaws.com.cn")
    gateway.refuse_next(2)
    m = mount(db=gateway.spec(), env=aws.env(aws.key()))

    said = refused(m, "EACCES")

    assert "arn:aws-cn:rds-db:cn-north-1:ACCOUNT:dbuser:RESOURCE-ID/app" in said


# A role of PostgreSQL with rds_iam takes its own password no more.
def test_a_password_that_rds_iam_turned_off(mount, aws, pg_gateway):
    gateway = pg_gateway(aws)
    spec = gateway.spec(password_plain="S3cret-of-app", ssl=True)
    m = mount(db=spec, env=aws.env(aws.key()))

    said = refused(m, "EACCES")

    assert "PAM authentication failed" in said
    assert "granting rds_iam to a PostgreSQL role turns its password login" in said
    assert verdicts(gateway) == ["malformed"]


# A token that dies while the login waits: what it died with is said.
def test_keys_that_end_during_the_login_are_named(mount, aws, pg_gateway):
    gateway = pg_gateway(aws, hold=threading.Event())
    aws.container = InstanceRole(lifetime=2)
    m = mount(db=gateway.spec(), env=aws.env(**aws.container_env()))
    client = m.start_sh('echo "select 1 as a;" >"$C/query.sql"', shell="bash")
    aws.wait_for("ContainerCredentials")
    (key,) = [key for key in aws.keys.values() if key.role]
    aws.fault("ContainerCredentials", times=None, status=500)
    wait_for(lambda: aws.now() > key.expires + 1, "the keys end")
    gateway.hold.set()

    assert "Key was rejected by service" in client.wait().err

    said = m.read("db", "creds", "error")
    assert said.startswith("the AWS keys expired at 20")
    assert "container's agent answered 500" in said
    assert verdicts(gateway) == ["expired"]
