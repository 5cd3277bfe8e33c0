# SPDX-License-Identifier: MIT
"""Logins of Redshift by the temporary passwords that AWS gives."""

import threading

import pytest

from clients import SCALE, wait_for
from fake_aws import Cluster, Role, Workgroup
from jobs import job, sessions_of
from logins import ROLE, first_job, open_session, profile, refused, status, verdicts
from programs import run_text

ONE = "a\n1\n"
SERVERLESS = "wg1.123456789012.eu-west-1.redshift-serverless.amazonaws.com"
GET = "GetClusterCredentials"


@pytest.fixture
def redshift(aws, pg_gateway):
    """redshift(...) makes a gateway of the cluster "shop"."""

    def make(**how):
        aws.clusters.setdefault("shop", Cluster())
        return pg_gateway(aws, kind="redshift", **how)

    return make


@pytest.fixture
def serverless(aws, pg_gateway):
    """serverless(...) makes one of the workgroup "wg1"; and its spec."""

    def make(**fields):
        aws.workgroups.setdefault("wg1", Workgroup())
        gateway = pg_gateway(aws, kind="redshift", host=fields.pop("host", SERVERLESS))
        fields = {"type": "redshift-serverless", "user": None, **fields}
        return gateway, gateway.spec(**fields)

    return make


def members(entry):
    """Of a query request, but for what all have."""
    own = entry.members
    assert (own.pop("Action"), own.pop("Version")) == (entry.operation, "2012-12-01")
    return own


# --- What is asked for


@pytest.mark.parametrize(
    "fields, asked",
    [
        ({}, {"ClusterIdentifier": "shop", "DurationSeconds": "900"}),
        (
            {"cluster_id": "other", "password_duration": "1h"},
            {"ClusterIdentifier": "other", "DurationSeconds": "3600"},
        ),
    ],
    ids=["by host", "by spec"],
)
def test_a_user_gets_a_password(mount, aws, redshift, fields, asked):
    aws.clusters["other"] = Cluster()
    gateway = redshift()
    m = mount(db=gateway.spec(**fields), env=aws.env(aws.key()))

    assert m.query("select 1 as a;").check().out == ONE

    (entry,) = aws.journal
    assert entry.operation == GET
    own = {"DbUser": "app", "DbName": "app", "AutoCreate": "false"}
    assert members(entry) == {**own, **asked}
    # The name that AWS answers with logs in, not the one that was asked for.
    (login,) = gateway.ok
    assert login.user == "IAM:app"
    assert login.params["database"] == "app"
    seen = status(m)
    assert (seen["user"], seen["source"]) == ("IAM:app", "redshift-iam")
    # XML says these otherwise.
    assert set("&<>'\"") <= set(login.password)
    m.secrets.add(login.password)


def test_without_a_user_it_is_who_asks(mount, aws, redshift):
    gateway = redshift()
    m = mount(db=gateway.spec(user=None), env=aws.env(aws.key()))

    assert m.query("select 1 as a;").check().out == ONE

    (entry,) = aws.journal
    assert entry.operation == "GetClusterCredentialsWithIAM"
    assert members(entry) == {
        "ClusterIdentifier": "shop",
        "DbName": "app",
        "DurationSeconds": "900",
    }
    assert gateway.ok[0].user == status(m)["user"] == "IAM:app"


# A domain of one's own does not tell which cluster, but AWS knows.
@pytest.mark.parametrize("user", ["app", None])
def test_a_domain_of_ones_own(mount, aws, redshift, user):
    aws.domains["dw.example.com"] = "shop"
    gateway = redshift(host="dw.example.com")
    m = mount(db=gateway.spec(user=user), env=aws.env(aws.key()))

    assert m.query("select 1 as a;").check().out == ONE

    (entry,) = aws.journal
    assert entry.members["CustomDomainName"] == "dw.example.com"
    assert "ClusterIdentifier" not in entry.members
    assert gateway.ok[0].user == "IAM:app"


@pytest.mark.parametrize(
    "fields, asked",
    [
        ({}, {"workgroupName": "wg1", "durationSeconds": 900}),
        (
            {"workgroup": "wg2", "password_duration": "20m"},
            {"workgroupName": "wg2", "durationSeconds": 1200},
        ),
        (
            {"host": "dw.example.com"},
            {"customDomainName": "dw.example.com", "durationSeconds": 900},
        ),
        ({"user": "ignored"}, {"workgroupName": "wg1", "durationSeconds": 900}),
    ],
    ids=["by host", "by spec", "domain", "user"],
)
def test_serverless_knows_who_asks(mount, aws, serverless, fields, asked):
    aws.workgroups["wg2"] = Workgroup()
    aws.domains["dw.example.com"] = "wg1"
    gateway, spec = serverless(**fields)
    m = mount(db=spec, env=aws.env(aws.key()))

    assert m.query("select 1 as a;").check().out == ONE

    (entry,) = aws.journal
    assert entry.operation == "GetCredentials"
    assert entry.members == {"dbName": "app", **asked}
    (login,) = gateway.ok
    assert login.user == "IAM:app"
    seen = status(m)
    assert (seen["user"], seen["source"]) == ("IAM:app", "redshift-serverless-iam")
    assert 600 < seen["ttl"] <= asked["durationSeconds"]


# The region that is asked is the host's, the spec's, the environment's.
@pytest.mark.parametrize(
    "host, fields, region",
    [
        (None, {}, "eu-west-1"),
        (None, {"region": "eu-central-1"}, "eu-central-1"),
        ("dw.example.com", {}, "us-west-2"),
    ],
    ids=["host", "spec", "environment"],
)
def test_the_region_that_is_asked(mount, aws, redshift, host, fields, region):
    aws.any_region = True
    aws.domains["dw.example.com"] = "shop"
    gateway = redshift(**({"host": host} if host else {}))
    env = aws.env(aws.key(), AWS_REGION="us-west-2")
    m = mount(db=gateway.spec(**fields), env=env)

    assert m.query("select 1 as a;").check().out == ONE

    assert aws.journal[0].signed.region == region


# China's clusters have a domain of their own.
def test_a_cluster_in_china(mount, aws, redshift):
    aws.region = "cn-north-1"
    gateway = redshift(host="shop.abcdefgh.cn-north-1.redshift.amazonaws.com.cn")
    m = mount(db=gateway.spec(), env=aws.env(aws.key(), AWS_REGION="eu-west-1"))

    assert m.query("select 1 as a;").check().out == ONE

    assert aws.journal[0].members["ClusterIdentifier"] == "shop"


@pytest.mark.parametrize("kind", ["cluster", "identity", "serverless"])
def test_a_role_asks_for_the_password(
    mount, aws, test_dir, redshift, serverless, kind
):
    aws.region = "eu-central-1"
    key, tags = aws.key(), {"team": "sales"}
    aws.roles[ROLE] = Role(external_id="s3same", tags=tags)
    aws.parameters["/prod/external"] = "s3same"
    own = {"external_id": "/prod/external", "tags": tags, "role_arn": ROLE}
    own = {**own, "profile": "etl", "region": "eu-central-1"}
    if kind == "serverless":
        gateway, spec = serverless(**own)
    else:
        gateway = redshift()
        spec = gateway.spec(**own, user="app" if kind == "cluster" else None)
    env = aws.env(AWS_REGION="us-west-1", **profile(test_dir, key))
    m = mount(db=spec, env=env)

    assert m.query("select 1 as a;").check().out == ONE

    parameter, role, asked = aws.journal
    assert [e.operation for e in (parameter, role)] == ["GetParameter", "AssumeRole"]
    assert parameter.key is role.key is key
    assert role.members["ExternalId"] == "s3same"
    assert role.members["Tags.member.1.Value"] == "sales"
    assert (asked.key.role, asked.signed.region) == (ROLE, "eu-central-1")
    user = "IAM:app" if kind == "cluster" else "IAMR:etl"
    assert gateway.ok[0].user == user


# --- What is kept, and for how long


# A call for each connection is more than AWS allows.
def test_a_password_is_asked_for_once(mount, aws, redshift):
    gateway = redshift()
    m = mount(db=gateway.spec(max_connections=3), env=aws.env(aws.key()))

    for name in "abc":
        open_session(m, name)

    assert aws.count() == 1
    assert verdicts(gateway) == ["ok"] * 3
    assert len({login.password for login in gateway.logins}) == 1


def test_many_at_once_ask_once(mount, aws, redshift):
    gateway = redshift()
    fault = aws.fault(GET, delay=60)
    m = mount(db=gateway.spec(max_connections=10), env=aws.env(aws.key()))
    script = 'echo "select 1 as a;" >"$C/query.sql" && cat "$C/result.csv"'

    started = [m.start_sh(script) for _ in range(10)]
    aws.wait_for(GET)
    for client in started:
        client.wait_parked()
    fault.release()

    assert [client.wait().check().out for client in started] == [ONE] * 10
    assert aws.count() == 1


# Once it is used it is renewed ahead of time, and nobody waits for that.
@pytest.mark.parametrize("kind", ["cluster", "serverless"])
def test_a_password_is_renewed_in_the_background(
    mount, aws, redshift, serverless, kind
):
    aws.clusters["shop"] = Cluster(lifetime=6 * SCALE)
    aws.workgroups["wg1"] = Workgroup(lifetime=6 * SCALE)
    operation = GET if kind == "cluster" else "GetCredentials"
    if kind == "cluster":
        gateway = redshift()
        spec = gateway.spec()
    else:
        gateway, spec = serverless()
    m = mount(db=spec, env=aws.env(aws.key()))
    open_session(m, "a")
    first = status(m)

    aws.wait_for(operation, times=2, timeout=20 * SCALE)
    wait_for(lambda: status(m)["expires_at"] != first["expires_at"], "it is renewed")
    old, new = aws.entries(operation)[:2]

    # Ahead of its end, and not at once.
    assert 2 <= new.time - old.time < 6 * SCALE
    assert (status(m)["state"], status(m)["error"]) == ("valid", None)
    open_session(m, "b")
    assert verdicts(gateway) == ["ok", "ok"]
    assert gateway.logins[0].password != gateway.logins[1].password


# One that is over is of no use, and the next statement asks again.
def test_a_password_that_is_over_is_asked_for_anew(mount, aws, redshift):
    aws.clusters["shop"] = Cluster(lifetime=3 * SCALE)
    gateway = redshift()
    m = mount(db=gateway.spec(), env=aws.env(aws.key()))
    open_session(m, "a")
    aws.denied.add(GET)
    wait_for(lambda: status(m)["state"] == "failed", "it ends")

    said = refused(m, "EKEYREJECTED")
    aws.denied.clear()

    assert "AccessDenied" in said and f"redshift:{GET}" in said
    assert m.query("select 1 as a;").check().out == ONE
    assert verdicts(gateway) == ["ok", "ok"]


# While it cannot be renewed it is used for as long as it works.
def test_a_password_is_used_to_its_end(mount, aws, redshift):
    aws.clusters["shop"] = Cluster(lifetime=900)
    gateway = redshift()
    m = mount(db=gateway.spec(), env=aws.env(aws.key()))
    open_session(m, "a")
    aws.denied.add(GET)

    told = m.sh('echo 1 >"$C/creds/refresh"', shell="bash")
    open_session(m, "b")

    assert "Key was rejected" in told.err
    assert f"redshift:{GET}" in status(m)["error"]
    assert verdicts(gateway) == ["ok", "ok"]


# --- Passwords that are refused


# It was kept, and may be outdated: a new one is asked for once.
def test_a_kept_password_that_is_refused_is_asked_for_anew(mount, aws, redshift):
    gateway = redshift()
    m = mount(db=gateway.spec(), env=aws.env(aws.key()))
    open_session(m, "a")
    aws.redshift_passwords.clear()

    open_session(m, "b")

    assert verdicts(gateway) == ["ok", "password", "ok"]
    assert aws.count(GET) == 2
    passwords = [login.password for login in gateway.logins]
    assert passwords[0] == passwords[1] != passwords[2]


# All that had it are refused, and one call is enough for them.
def test_many_that_are_refused_ask_once(mount, aws, redshift):
    hold = threading.Event()
    hold.set()
    gateway = redshift(hold=hold)
    m = mount(db=gateway.spec(max_connections=10), env=aws.env(aws.key()))
    open_session(m, "a")
    aws.redshift_passwords.clear()
    hold.clear()
    script = 'echo "select 1 as a;" >"$C/query.sql" && cat "$C/result.csv"'

    started = [m.start_sh(script) for _ in range(6)]
    for client in started:
        client.wait_parked()
    hold.set()

    assert [client.wait().check().out for client in started] == [ONE] * 6
    assert aws.count() == 2
    assert verdicts(gateway).count("ok") == 7


def test_a_password_refused_for_good(mount, aws, redshift):
    gateway = redshift()
    gateway.refuse_next(2)
    m = mount(db=gateway.spec(), env=aws.env(aws.key()))

    said = refused(m, "EACCES")

    assert verdicts(gateway) == ["refused", "refused"]
    assert aws.count(GET) == 2
    assert 'password authentication failed for user "IAM:app"' in said
    assert "database user IAM:app, who has to be there already" in said
    assert m.query("select 1 as a;").check().out == ONE


def test_serverless_refused_for_good(mount, aws, serverless):
    gateway, spec = serverless()
    gateway.refuse_next(2)
    m = mount(db=spec, env=aws.env(aws.key()))

    said = refused(m, "EACCES")

    assert "IAM:app, whom AWS names after the role of its keys" in said
    assert "role_arn and workgroup" in said


# Which permission, or which name, is wrong.
@pytest.mark.parametrize(
    "spoil, words",
    [
        (
            lambda aws: aws.denied.add(GET),
            ["AccessDenied", f"allow redshift:{GET}"],
        ),
        (lambda aws: aws.clusters.clear(), ["cluster_id: shop is not there"]),
        (
            lambda aws: aws.clusters.update(shop=Cluster(users={"joe"})),
            ["AccessDenied", f"allow redshift:{GET}"],
        ),
    ],
    ids=["denied", "cluster", "user"],
)
def test_what_aws_refuses_is_explained(mount, aws, redshift, spoil, words):
    gateway = redshift()
    spoil(aws)
    m = mount(db=gateway.spec(), env=aws.env(aws.key()))

    said = refused(m, "EKEYREJECTED")

    assert [word for word in words if word not in said] == []
    assert gateway.logins == []


def test_what_aws_refuses_of_serverless_is_explained(mount, aws, serverless):
    gateway, spec = serverless()
    aws.workgroups.clear()
    m = mount(gone=spec, env=aws.env(aws.key()))

    assert "workgroup: wg1 is not there" in refused(m, "EKEYREJECTED", "gone")

    aws.denied.add("GetCredentials")
    said = refused(m, "EKEYREJECTED", "gone")
    assert "allow redshift-serverless:GetCredentials" in said
    assert gateway.logins == []


# --- Sessions


# Redshift has no DISCARD ALL that is sure: who gets the session of another
# gets a new one.
def test_a_session_is_not_handed_over(mount, aws, redshift, test_dir):
    gateway = redshift()
    m = mount(db=gateway.spec(max_connections=1), env=aws.env(aws.key()))
    pid = "select pg_backend_pid() as pid, current_setting('application_name') as n;"

    with first_job(m, pid, test_dir / "door") as one:
        two = run_text(m, pid, env=job(2)).csv

    names = [login.params["application_name"] for login in gateway.ok]
    assert names == ["lv-test-job1", "lv-test-job2"]
    rows = [row.split(",") for row in (one, two.splitlines()[1])]
    assert [row[1] for row in rows] == names
    assert rows[0][0] != rows[1][0]
    assert aws.count() == 1
    assert sessions_of(m) == 1
