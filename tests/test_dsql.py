# SPDX-License-Identifier: MIT
"""Logins to Aurora DSQL, and what connfs sends it and does not."""

import json
import re

import pytest

from clients import wait_for
from doors import Door
from gateway_clients import dsql_token
from gateway_pg import DsqlRequests
from jobs import ask
from logins import dsql_fields, status

CLUSTER = "abcdefghijklmnopqrstuvwxyz"
HOST = f"{CLUSTER}.dsql.eu-west-1.on.aws"
PRIVATE_HOST = f"{CLUSTER}.dsql-fnh4.eu-west-1.on.aws"
ENDPOINT = "vpce-0123456789abcdef0-abcd1234.dsql-fnh4.eu-west-1.vpce.amazonaws.com"

# All that a session begins with, but for the user.
STARTUP = {"database", "application_name", "client_encoding"}

WRITE = 'echo "select 1 as a;" >"$C/query.sql"; cat "$C/error"'  # in bash


@pytest.fixture
def key(aws):
    return aws.key()


def job(name):
    """The environment that names a job to connfs, and to the server."""
    return {"LAVA_REALM": "dsql", "LAVA_JOB_ID": name}


def not_known(cluster, name):
    """What DSQL has not, and was sent under that application_name."""
    return re.findall(rf" {name}: ERROR: .*{DsqlRequests.MARK}", cluster.log)


# --- Who logs in, and with what


# Host and type are enough. connect_to is only dialled: the name that is signed,
# that TLS asks for and that is verified is the cluster's.
def test_host_and_type_are_enough(mount, aws, key, dsql):
    gateway = dsql()
    spec = {
        "type": "dsql",
        "enabled": True,
        "host": HOST,
        "connect_to": f"127.0.0.1:{gateway.port}",
        "ca_cert": gateway.ca,
    }
    m = mount(db=spec, env=aws.env(key))

    assert m.query("select 1 as a;").check().out == "a\n1\n"

    (login,) = gateway.logins
    assert (login.verdict, login.user, login.sni) == ("ok", "admin", HOST)
    assert login.params["database"] == "postgres"
    host, sent = dsql_fields(login)
    assert (host, sent["Action"], sent["X-Amz-Expires"]) == (
        *(HOST, "DbConnectAdmin"),
        "900",
    )
    creds = status(m)
    assert (creds["user"], creds["source"], creds["state"]) == (
        *("admin", "dsql-iam"),
        "valid",
    )
    shown = json.loads(m.read("db", "connection.json"))
    assert (shown["user"], shown["database"]) == ("admin", "postgres")
    assert shown["sslmode"] == "verify-full"


# Only "admin", spelled like that, is the administrator.
@pytest.mark.parametrize("user", ["app", "Admin", "administrator", "a+b@c/u"])
def test_other_users_connect_without_admin(mount, aws, key, dsql, user):
    gateway = dsql()
    m = mount(db=gateway.spec(user=user), env=aws.env(key))

    assert m.query("select 1 as a;").check().out == "a\n1\n"

    (login,) = gateway.ok
    assert (login.user, dsql_fields(login)[1]["Action"]) == (user, "DbConnect")


# A role of an application has to be granted in the database, which no server
# tells; nor which permission the administrator lacks.
@pytest.mark.parametrize(
    "user, hint",
    [
        (
            "app",
            "the AWS keys need dsql:DbConnect on arn:aws:dsql:eu-west-1:ACCOUNT:"
            "cluster/ID, and the database AWS IAM GRANT app TO their role",
        ),
        (
            "admin",
            "the AWS keys need dsql:DbConnectAdmin on arn:aws:dsql:eu-west-1:ACCOUNT:"
            "cluster/ID",
        ),
    ],
)
def test_a_refused_login_says_what_it_needs(mount, aws, key, dsql, user, hint):
    gateway = dsql()
    gateway.refuse_next(2)
    m = mount(db=gateway.spec(user=user), env=aws.env(key))

    refused = m.sh(WRITE, shell="bash")

    assert "Permission denied" in refused.err
    assert "unable to accept connection, access denied" in refused.out
    assert f"({hint})" in m.read("db", "creds", "error")
    # Twice, each time with a token of its own; then it is the user's turn.
    assert [login.verdict for login in gateway.logins] == ["refused", "refused"]


# --- How long a token lives


@pytest.mark.parametrize(
    "duration, seconds",
    [(1, 1), ("1s", 1), (900, 900), ("1h", 3600), (604800, 604800), ("7d", 604800)],
)
def test_token_duration_is_signed(mount, aws, key, dsql, duration, seconds):
    gateway = dsql()
    aws.clock_offset = -60  # a token of one second is none too old
    m = mount(db=gateway.spec(token_duration=duration), env=aws.env(key))

    assert m.query("select 1 as a;").check().out == "a\n1\n"

    (login,) = gateway.ok
    assert dsql_fields(login)[1]["X-Amz-Expires"] == str(seconds)


@pytest.mark.parametrize("duration", [0, "0s", -1, 604801, "8d", "0.5s", "long"])
def test_token_duration_out_of_range_is_a_spec_error(connfs, source, duration):
    spec = {"conn_id": "db", "type": "dsql", "enabled": True, "host": HOST}

    checked = connfs("--check", source({**spec, "token_duration": duration}))

    assert checked.rc == 1
    assert re.search(r": db: token_duration: (.*)", checked.out), checked.out


# RDS refuses a token that is asked to live longer than 15 min: it has no such
# field.
@pytest.mark.parametrize("kind", ["postgres-rds", "mysql-aurora", "redshift"])
def test_token_duration_is_for_dsql_only(connfs, source, kind):
    spec = {"conn_id": "db", "type": kind, "enabled": True, "host": "h", "user": "u"}

    checked = connfs(
        "--check", source({**spec, "database": "d", "token_duration": 900})
    )

    assert checked.rc == 1
    assert f": db: token_duration: does not go with type {kind}" in checked.out


# --- Which cluster


# The id alone is expanded, by the region of the spec or of the environment.
@pytest.mark.parametrize("where", ["spec", "environment"])
def test_a_bare_id_is_expanded(mount, aws, key, dsql, where):
    gateway = dsql()
    region = "eu-west-1" if where == "spec" else None
    env = aws.env(key, AWS_REGION=None if region else "eu-west-1")
    m = mount(db=gateway.spec(host=CLUSTER, region=region), env=env)

    assert m.query("select 1 as a;").check().out == "a\n1\n"

    (login,) = gateway.ok
    assert (login.sni, dsql_fields(login)[0]) == (HOST, HOST)


def test_a_bare_id_without_a_region_names_region(mount, aws, key, dsql):
    gateway = dsql()
    m = mount(db=gateway.spec(host=CLUSTER), env=aws.env(key, AWS_REGION=None))

    refused = m.sh(WRITE, shell="bash")

    assert "Key was rejected by service" in refused.err
    text = m.read("db", "creds", "error")
    assert text.startswith("region: ") and CLUSTER in text
    assert text.strip() in refused.out
    assert gateway.logins == []


# Of another region than the environment's: the name knows better, the spec best.
def test_the_region_of_the_name_counts(mount, aws, key, dsql):
    host = f"{CLUSTER}.dsql.ap-southeast-2.on.aws"
    aws.region = "ap-southeast-2"
    gateway = dsql(host=host)
    env = aws.env(key, AWS_REGION="eu-west-1")
    m = mount(
        named=gateway.spec(),
        told=gateway.spec(region="us-east-1"),
        env=env,
    )

    assert m.query("select 1 as a;", "named").check().out == "a\n1\n"
    assert "Permission denied" in m.sh(WRITE, "told", shell="bash").err
    assert gateway.logins[-1].verdict == "region"


# Whoever answers at the address has to be the cluster, or hears nothing.
def test_the_name_is_verified_through_a_tunnel(mount, aws, key, dsql):
    other = "zyxwvutsrqponmlkjihgfedcba.dsql.eu-west-1.on.aws"
    gateway = dsql(host=other)
    m = mount(db=gateway.spec(host=HOST), env=aws.env(key))

    refused = m.sh(WRITE, shell="bash")

    assert f'"{other}" does not match host name "{HOST}"' in refused.out
    assert "connect_to what is dialled" in refused.out
    assert gateway.logins == []
    assert b"Action=" not in gateway.received


# By the system's store, this certificate is nobody's.
def test_without_a_ca_the_systems_store_counts(mount, aws, key, dsql):
    gateway = dsql()
    m = mount(db=gateway.spec(ca_cert=None), env=aws.env(key))

    refused = m.sh(WRITE, shell="bash")

    assert "certificate verify failed" in refused.out
    assert "keep the system's ca-certificates up to date" in refused.out
    assert gateway.logins == []


# An address says nothing to DSQL, neither in the spec ..
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "shop.example.com"])
def test_a_host_that_is_no_cluster_is_a_spec_error(connfs, source, host):
    spec = {"conn_id": "db", "type": "dsql", "enabled": True, "host": host}

    checked = connfs("--check", source(spec))

    assert checked.rc == 1
    assert ": db: host: must be the cluster's own name or its id" in checked.out
    assert "cluster_id says which cluster" in checked.out


# .. nor in a secret.
def test_an_address_in_a_secret_is_explained(mount, aws, key, dsql):
    gateway = dsql()
    aws.secrets["prod/events"] = {"host": "127.0.0.1"}
    spec = gateway.spec(host=None, user=None, database=None, secret_id="prod/events")
    m = mount(db=spec, env=aws.env(key))

    refused = m.sh(WRITE, shell="bash")

    assert "Key was rejected by service" in refused.err
    why = "host: an address does not say which cluster, give cluster_id\n"
    assert m.read("db", "creds", "error") == why
    assert gateway.logins == []


# A token that somebody else made is one all the same: no server without TLS, or
# with another name, is shown it.
def test_a_token_of_a_command_is_a_token(mount, aws, key, dsql, connfs, source):
    gateway = dsql(tls=False)
    token = dsql_token(key, gateway)
    spec = gateway.spec(password_command=["/bin/echo", token])
    m = mount(db=spec)

    refused = m.sh(WRITE, shell="bash")
    weak = {"conn_id": "db", **spec, "sslmode": "prefer", "ca_cert": None}
    del weak["ca_cert"]
    checked = connfs("--check", source(weak))

    assert "server does not support SSL, but SSL was required" in refused.out
    assert token.encode() not in gateway.received
    assert ': db: sslmode: "prefer" is too weak for the token' in checked.out


def test_a_token_of_a_command_logs_in(mount, aws, key, dsql):
    gateway = dsql()
    token = dsql_token(key, gateway)
    m = mount(db=gateway.spec(password_command=["/bin/echo", token]))

    assert m.query("select 1 as a;").check().out == "a\n1\n"

    (login,) = gateway.ok
    assert login.password == token
    shown = json.loads(m.read("db", "connection.json"))
    assert (shown["sslmode"], shown["password_source"]) == ("verify-full", "command")


# A secret may hold the name and the user; what it lacks is as ever.
def test_a_secret_may_name_the_cluster(mount, aws, key, dsql):
    gateway = dsql()
    aws.secrets["prod/events"] = {"host": HOST, "username": "app"}
    spec = gateway.spec(host=None, user=None, database=None, secret_id="prod/events")
    m = mount(db=spec, env=aws.env(key))

    assert m.query("select 1 as a;").check().out == "a\n1\n"

    (login,) = gateway.ok
    assert (login.user, login.params["database"]) == ("app", "postgres")
    assert dsql_fields(login)[1]["Action"] == "DbConnect"


# --- PrivateLink


# The endpoint's name says nothing of the cluster: the token is for the cluster's
# own name, and the id is sent beside it.
def test_private_link_without_private_dns(mount, aws, key, dsql):
    gateway = dsql()
    m = mount(db=gateway.spec(host=ENDPOINT, cluster_id=CLUSTER), env=aws.env(key))

    assert m.query("select 1 as a;").check().out == "a\n1\n"

    (login,) = gateway.ok
    assert dsql_fields(login)[0] == HOST
    assert login.params["options"] == f"-c amzn-cluster-id={CLUSTER}"
    assert set(login.params) == {*STARTUP, "options"}
    assert login.sni == ENDPOINT
    shown = json.loads(m.read("db", "connection.json"))
    assert shown["sslmode"] == "verify-ca"


# verify-ca still wants to know who has signed it.
def test_private_link_verifies_the_ca(mount, aws, key, dsql):
    gateway = dsql()
    spec = gateway.spec(host=ENDPOINT, cluster_id=CLUSTER, ca_cert=None)
    m = mount(db=spec, env=aws.env(key))

    refused = m.sh(WRITE, shell="bash")

    assert "certificate verify failed" in refused.out
    assert gateway.logins == []


def test_private_link_cannot_keep_verify_full(connfs, source):
    spec = {"conn_id": "db", "type": "dsql", "enabled": True, "host": ENDPOINT}
    spec |= {"cluster_id": CLUSTER, "sslmode": "verify-full"}

    checked = connfs("--check", source(spec))

    assert checked.rc == 1
    assert ': db: sslmode: "verify-full" cannot be kept: the certificate' in checked.out
    assert "verify-ca can" in checked.out


# The name with the suffix of the service is the cluster's own.
@pytest.mark.parametrize("cluster_id", [None, CLUSTER])
def test_private_link_with_private_dns(mount, aws, key, dsql, cluster_id):
    gateway = dsql(host=PRIVATE_HOST)
    m = mount(db=gateway.spec(cluster_id=cluster_id), env=aws.env(key, AWS_REGION=None))

    assert m.query("select 1 as a;").check().out == "a\n1\n"

    (login,) = gateway.ok
    assert (login.sni, dsql_fields(login)[0]) == (PRIVATE_HOST, PRIVATE_HOST)
    assert set(login.params) == STARTUP
    shown = json.loads(m.read("db", "connection.json"))
    assert shown["sslmode"] == "verify-full"


@pytest.mark.parametrize(
    "cluster_id, why",
    [
        ("z" * 26, f"cluster_id: host is the name of another cluster, {CLUSTER}"),
        (CLUSTER.upper(), "cluster_id: must be 26 lower case letters and digits"),
        (CLUSTER + " -c x=y", "cluster_id: must be 26 lower case letters and digits"),
    ],
)
def test_a_cluster_id_that_does_not_fit_is_a_spec_error(
    connfs, source, cluster_id, why
):
    spec = {"conn_id": "db", "type": "dsql", "enabled": True, "host": HOST}

    checked = connfs("--check", source({**spec, "cluster_id": cluster_id}))

    assert (checked.rc, checked.lines[0].endswith(f": db: {why}")) == (1, True)


@pytest.mark.parametrize("sslmode", ["disable", "allow", "prefer"])
def test_a_token_is_not_sent_over_weak_tls(connfs, source, sslmode):
    spec = {"conn_id": "db", "type": "dsql", "enabled": True, "host": HOST}

    checked = connfs("--check", source({**spec, "sslmode": sslmode}))

    assert checked.rc == 1
    assert f': db: sslmode: "{sslmode}" is too weak for the token' in checked.out


# --- Nothing that DSQL does not know


# A conversation with all that connfs does between and around statements; and not
# a word of it is connfs's own.
def test_nothing_is_sent_but_what_the_user_wrote(mount, aws, key, dsql, cluster):
    cluster.sql("create table t (n int)")
    gateway = dsql()
    m = mount(db=gateway.spec(statement_timeout="60s"), env=aws.env(key))
    script = """
    cd "$C"
    echo "select 1 as a;" >query.sql
    cat result.csv result.tsv result.jsonl >/dev/null
    echo '["x"]' >params.json; echo 'select $1 as b;' >query.sql
    echo "begin; insert into t values (1); select count(*) from t;" >query.sql
    echo "rollback;" >query.sql
    echo "select nonsense;" >query.sql
    echo "select 2 as c;" >query.sql
    echo "copy (select 3) to stdout;" >query.sql
    cat result.csv
    """

    result = m.sh(script, env=job("long"), shell="bash")

    assert result.lines == ["3"]
    assert "Invalid argument" in result.err
    assert cluster.heard("lv-dsql-long") == [
        "select 1 as a",
        "select $1 as b",
        "begin",
        "insert into t values (1)",
        "select count(*) from t",
        "rollback",
        "select 2 as c",
        "copy (select 3) to stdout",
    ]
    assert not_known(cluster, "lv-dsql-long") == []
    (login,) = gateway.logins
    assert set(login.params) == STARTUP
    assert login.params["application_name"] == "lv-dsql-long"
    assert login.params["client_encoding"] == "UTF8"


# DISCARD ALL, as for other servers, DSQL has not: a session is not lent, but
# closed, and each job has one under its own name.
def test_a_session_is_not_lent_but_closed(mount, aws, key, dsql, cluster, test_dir):
    gateway = dsql()
    m = mount(db=gateway.spec(max_connections=1), env=aws.env(key))
    door = Door(test_dir / "door")
    first = m.start_sh(ask("select 1 as a;", f"read x <{door}"), env=job("one"))
    door.reached()

    second = m.sh(ask("select 2 as a;"), env=job("two")).check()
    wait_for(lambda: len(cluster.activity()) <= 1, "the first session has ended")
    door.open()

    first.wait().check()
    assert second.lines == ["a", "2"]
    names = [login.params["application_name"] for login in gateway.ok]
    assert names == ["lv-dsql-one", "lv-dsql-two"]
    assert all(set(login.params) == STARTUP for login in gateway.logins)
    assert not_known(cluster, "lv-dsql-(one|two)") == []
    assert cluster.heard("lv-dsql-one") == ["select 1 as a"]
    assert cluster.heard("lv-dsql-two") == ["select 2 as a"]


# Nobody can tell DSQL of it: connfs has a clock of its own.
def test_statement_timeout_is_kept_by_connfs(mount, aws, key, dsql, cluster):
    gateway = dsql()
    m = mount(db=gateway.spec(statement_timeout="0.3s"), env=aws.env(key))

    late = m.sh(
        f'echo "{cluster.slow};" >"$C/query.sql"; cat "$C/error"\n'
        'echo "select 1 as a;" >"$C/query.sql" && cat "$C/result.csv"',
        shell="bash",
        env=job("late"),
    )

    assert "Connection timed out" in late.err
    assert "cancelled after statement_timeout" in late.out
    assert not_known(cluster, "lv-dsql-late") == []
    assert late.lines[-2:] == ["a", "1"]
    cluster.wait_until_gone(cluster.slow)
    assert all(set(login.params) == STARTUP for login in gateway.logins)
    assert cluster.heard("lv-dsql-late") == [cluster.slow, "select 1 as a"]


# What DSQL says to a setting that it does not have is the user's to read, and
# costs nothing but that statement.
def test_a_setting_of_the_user_is_refused_in_dsqls_words(mount, aws, key, dsql):
    gateway = dsql()
    m = mount(db=gateway.spec(), env=aws.env(key))

    result = m.sh(
        'cd "$C"; echo "set statement_timeout = 5;" >query.sql; cat error\n'
        'echo "select 1 as a;" >query.sql && cat result.csv',
        shell="bash",
    )

    text = 'setting configuration parameter "statement_timeout" not supported'
    assert text in result.out
    assert result.lines[-2:] == ["a", "1"]
    assert len(gateway.logins) == 1


# init_sql is the operator's, and runs at each login.
def test_init_sql_runs_at_each_login(mount, aws, key, dsql, cluster):
    gateway = dsql(max_connection_seconds=0.5)
    init = "set application_name = 'named by init'"
    m = mount(db=gateway.spec(init_sql=init), env=aws.env(key))
    show = ask("select current_setting('application_name') as n;")

    first = m.sh(show).check().lines
    wait_for(lambda: not cluster.activity(), "the session is cut")
    second = m.sh(show).check().lines

    assert first == second == ["n", "named by init"]
    assert len(gateway.ok) == 2


def test_init_sql_that_is_refused_says_so(mount, aws, key, dsql):
    gateway = dsql()
    init = "set client_min_messages = warning"
    m = mount(db=gateway.spec(init_sql=init), env=aws.env(key))

    refused = m.sh(WRITE, shell="bash")

    assert refused.err.count("write error") == 1
    text = 'setting configuration parameter "client_min_messages" not supported'
    assert f"init_sql: {text}" in refused.out
    # It is not the login's fault, which is not tried again for it.
    assert [login.verdict for login in gateway.logins] == ["ok"]
    assert m.read("db", "creds", "state") == "valid\n"
