# SPDX-License-Identifier: MIT
"""To whom a token is shown: over which TLS, and at which of the logins that one
session takes."""

import json
import pathlib
import signal

import pytest

import certificates
from fake_aws import Cluster
from jobs import job
from logins import first_job, next_second, rds_fields, verdicts
from programs import run_text

ONE = "a\n1\n"
BUNDLE = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
GATEWAYS = ["pg_gateway", "mysql_gateway"]


@pytest.fixture(params=GATEWAYS)
def gateways(request):
    """Makes gateways of RDS, of either kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def other_ca(test_dir):
    """A CA that nobody has been told of; root's, as all of the test's."""
    where = test_dir / "other-ca"
    where.mkdir()
    return certificates.Authority(where)


def unreachable(m, conn="db"):
    """A statement whose login fails before anything is asked for: the error."""
    outcome = run_text(m, "select 1 as a;", conn=conn)
    assert outcome.writes == ["EHOSTUNREACH"], outcome
    return outcome.error


def nothing_was_shown(gateway):
    seen = bytes(gateway.received)
    assert gateway.logins == []
    assert b"X-Amz" not in seen and b"rds.amazonaws" not in seen
    return True


# --- Who gets no token


# Somebody on the way, who has no certificate and asks for the password as it
# is: libraries give it to him.
@pytest.mark.parametrize("fields", [{}, {"ssl": True}], ids=["default", "ssl"])
def test_a_server_without_tls_gets_nothing(mount, aws, gateways, fields):
    gateway = gateways(aws, tls=False)
    key = aws.key(temporary=True)
    m = mount(db=gateway.spec(**fields), env=aws.env(key))

    said = unreachable(m)

    assert "TLS" in said or "server does not support SSL" in said
    assert nothing_was_shown(gateway)
    assert b"select" not in gateway.received
    assert key.session_token.encode() not in gateway.received


# With the weakest that may be asked for, too.
def test_require_is_no_wish(mount, aws, pg_gateway):
    gateway = pg_gateway(aws, tls=False)
    spec = gateway.spec(sslmode="require", ca_cert=None)
    m = mount(db=spec, env=aws.env(aws.key()))

    assert "server does not support SSL, but SSL was required" in unreachable(m)
    assert nothing_was_shown(gateway)


def test_a_fingerprint_is_no_reason_to_do_without_tls(mount, aws, mysql_gateway):
    gateway = mysql_gateway(aws, tls=False)
    spec = gateway.spec(tls_fingerprint=gateway.fingerprint, ca_cert=None)
    m = mount(db=spec, env=aws.env(aws.key()))

    assert "does not offer TLS" in unreachable(m)
    assert nothing_was_shown(gateway)


# The one who is verified by the CA is believed, and nobody else.
def test_a_certificate_of_another_ca(mount, aws, gateways, other_ca):
    gateway = gateways(aws, ca=other_ca)
    known = certificates.common().crt
    m = mount(db=gateway.spec(ca_cert=known), env=aws.env(aws.key()))

    said = unreachable(m)

    assert "certificate" in said and f"{BUNDLE} as ca_cert" in said
    assert nothing_was_shown(gateway)


# RDS's CAs are in no system's store, and connfs has no copy of them.
def test_without_ca_cert_it_is_said_where_there_is_one(mount, aws, gateways):
    gateway = gateways(aws)
    m = mount(db=gateway.spec(ca_cert=None), env=aws.env(aws.key()))

    said = unreachable(m)

    assert "certificate" in said and f"{BUNDLE} as ca_cert" in said
    assert "rds-combined-ca-bundle" not in said
    assert nothing_was_shown(gateway)


# Those of others are in it: RDS's bundle would not help.
@pytest.mark.parametrize("kind", ["redshift", "dsql"])
def test_where_the_store_is_right_it_is_named(mount, aws, pg_gateway, kind):
    aws.clusters["shop"] = Cluster()
    gateway = pg_gateway(aws, kind=kind)
    m = mount(db=gateway.spec(ca_cert=None), env=aws.env(aws.key()))

    said = unreachable(m)

    assert "certificate verify failed" in said and "ca-certificates" in said
    assert BUNDLE not in said
    assert gateway.logins == []


NAMES = {
    "pg_gateway": ("other.abcdefgh.eu-west-1.rds.amazonaws.com", "host name"),
    "mysql_gateway": ("127.0.0.1", "is not for 127.0.0.1"),
}


# Whoever has any certificate of the CA: RDS's is one for all its customers.
@pytest.mark.parametrize("fields", [{}, {"ssl": True}, {"sslmode": "verify-full"}])
@pytest.mark.parametrize("kind", GATEWAYS)
def test_a_certificate_for_another_name(mount, aws, request, kind, fields):
    gateway = request.getfixturevalue(kind)(aws)
    name, words = NAMES[kind]
    m = mount(db=gateway.spec(host=name, **fields), env=aws.env(aws.key()))

    said = unreachable(m)

    assert "certificate" in said and words in said
    assert nothing_was_shown(gateway)
    assert json.loads(m.read("db", "connection.json"))["sslmode"] == "verify-full"


# libmariadb looks at names with verify-ca as well, or not at all.
def test_verify_ca_is_verify_full_with_mysql(mount, aws, mysql_gateway):
    gateway = mysql_gateway(aws)
    spec = gateway.spec(host="127.0.0.1", sslmode="verify-ca")
    m = mount(db=spec, env=aws.env(aws.key()))

    assert "is not for 127.0.0.1" in unreachable(m)
    assert nothing_was_shown(gateway)


# PostgreSQL's family may be told to trust the way: require verifies nobody.
@pytest.mark.parametrize(
    "fields",
    [{"sslmode": "require", "ca_cert": None}, {"sslmode": "verify-ca"}],
    ids=["require", "verify-ca"],
)
def test_less_may_be_asked_for(mount, aws, pg_gateway, fields):
    gateway = pg_gateway(aws, names={"other.abcdefgh.eu-west-1.rds.amazonaws.com:5432"})
    spec = gateway.spec(host="other.abcdefgh.eu-west-1.rds.amazonaws.com", **fields)
    m = mount(db=spec, env=aws.env(aws.key()))

    assert m.query("select 1 as a;").check().out == ONE

    shown = json.loads(m.read("db", "connection.json"))
    assert shown["sslmode"] == fields["sslmode"]


# But whoever names a CA is not believed without it.
@pytest.mark.parametrize("mode", ["require", "verify-ca"])
def test_a_ca_that_is_given_counts(mount, aws, pg_gateway, other_ca, mode):
    gateway = pg_gateway(aws, ca=other_ca)
    spec = gateway.spec(sslmode=mode, ca_cert=certificates.common().crt)
    m = mount(db=spec, env=aws.env(aws.key()))

    assert "certificate verify failed" in unreachable(m)
    assert nothing_was_shown(gateway)


# --- What is too weak


WEAK = ["disable", "allow", "prefer"]


@pytest.mark.parametrize(
    "kind, modes", [("pg_gateway", WEAK), ("mysql_gateway", [*WEAK, "require"])]
)
def test_a_weak_mode_is_no_spec(connfs, test_dir, aws, request, kind, modes):
    gateway = request.getfixturevalue(kind)(aws)
    path = test_dir / "specs.json"
    plain = {"ca_cert": None, "tls_fingerprint": None}
    specs = [
        {"conn_id": mode, **gateway.spec(sslmode=mode, **plain)} for mode in modes
    ]
    path.write_text(json.dumps(specs))
    path.chmod(0o600)

    checked = connfs("--check", path)

    assert checked.rc == 1
    said = f'is too weak for the token that type {specs[0]["type"]} logs in with'
    for mode, line in zip(sorted(modes), sorted(checked.lines)):
        assert f'{mode}: sslmode: "{mode}" {said}: verify-full is the default' in line


# A secret with a password would do with that mode; this one has none.
@pytest.mark.parametrize("mode", ["prefer", "disable"])
def test_a_weak_mode_is_found_at_the_login(mount, aws, gateways, mode):
    gateway = gateways(aws)
    aws.secrets["prod/shop"] = {"username": "app"}
    how = {"secret_id": "prod/shop", "sslmode": mode, "ca_cert": None}
    m = mount(db=gateway.spec(user=None, **how), env=aws.env(aws.key()))

    outcome = run_text(m, "select 1 as a;")

    assert outcome.writes == ["EACCES"]
    assert "sslmode: type" in outcome.error and "by a token" in outcome.error
    assert nothing_was_shown(gateway)


# --- What has no say


def hostile_home(test_dir, ca):
    """A home directory full of settings, each of which would spoil a login."""
    home = test_dir / "home"
    (home / ".postgresql").mkdir(parents=True)
    texts = {
        ".postgresql/root.crt": pathlib.Path(ca).read_text(),
        ".postgresql/postgresql.crt": "no certificate",
        ".postgresql/postgresql.key": "no key",
        ".postgresql/root.crl": "no list",
        ".pgpass": "*:*:*:*:of-a-file",
        ".pg_service.conf": "[any]\nhost=/nowhere\nsslmode=disable\n"
        "options=-c work_mem=77kB\nreplication=database\n",
        ".my.cnf": "[client]\nhost=192.0.2.1\nplugin-dir=/nowhere\n"
        "default-auth=dialog\nssl-verify-server-cert=0\nprotocol=socket\n",
    }
    for name, text in texts.items():
        (home / name).write_text(text)
        (home / name).chmod(0o600)
    return home


def hostile_env(test_dir, ca):
    home = hostile_home(test_dir, ca)
    (home / "my.cnf").write_text((home / ".my.cnf").read_text())
    return {
        "HOME": str(home),
        "PGSSLMODE": "disable",
        "PGSSLROOTCERT": ca,
        "PGSSLCERT": "/nowhere/crt",
        "PGSSLKEY": "/nowhere/key",
        "PGSSLCRL": "/nowhere/crl",
        "PGSSLSNI": "0",
        "PGREQUIRESSL": "0",
        "PGSSLMINPROTOCOLVERSION": "TLSv1.9",
        "PGHOST": "/nowhere",
        "PGHOSTADDR": "192.0.2.1",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGDATABASE": "nothing",
        "PGPASSWORD": "of-the-environment",
        "PGPASSFILE": str(home / ".pgpass"),
        "PGSERVICE": "any",
        "PGSERVICEFILE": str(home / ".pg_service.conf"),
        "PGSYSCONFDIR": str(home),
        "PGOPTIONS": "-c default_transaction_read_only=on",
        "PGAPPNAME": "of-the-environment",
        "PGCHANNELBINDING": "require",
        "PGGSSENCMODE": "require",
        "PGREQUIREPEER": "nobody",
        "PGTARGETSESSIONATTRS": "read-only",
        "PGCONNECT_TIMEOUT": "1",
        "PGCLIENTENCODING": "LATIN1",
        "PGDATESTYLE": "SQL, DMY",
        "PGTZ": "Asia/Tokyo",
        "PGGEQO": "off",
        "MYSQL_PWD": "of-the-environment",
        "MYSQL_HOST": "192.0.2.1",
        "MYSQL_TCP_PORT": "1",
        "MYSQL_UNIX_PORT": "/nowhere",
        "MYSQL_HOME": str(home),
        "MARIADB_HOME": str(home),
        "MYSQL_GROUP_SUFFIX": "x",
        "MARIADB_PLUGIN_DIR": "/nowhere",
        "MYSQL_PLUGIN_DIR": "/nowhere",
        "LIBMYSQL_PLUGIN_DIR": "/nowhere",
        "LIBMYSQL_PLUGINS": "dialog;mysql_clear_password",
        "LIBMYSQL_ENABLE_CLEARTEXT_PLUGIN": "1",
        "MARIADB_TLS_DISABLE_PEER_VERIFICATION": "1",
        "SSL_CERT_FILE": ca,
    }


def test_the_environment_does_not_spoil_a_login(
    mount, aws, gateways, test_dir, other_ca
):
    gateway = gateways(aws)
    env = aws.env(aws.key(), **hostile_env(test_dir, other_ca.crt))
    m = mount(db=gateway.spec(), env=env)

    assert m.query("select 1 as a;").check().out == ONE

    (login,) = gateway.ok
    assert login.user == "app"
    sent = login.params.get("application_name") or login.params["program_name"]
    assert sent.startswith("connfs-")
    # Of libpq's: DateStyle, TimeZone, options and others that are sent.
    assert not {name.lower() for name in login.params} & SPOILT
    assert nothing_secret(gateway)


SPOILT = {"datestyle", "timezone", "geqo", "options", "replication"}


def nothing_secret(gateway):
    assert b"X-Amz" not in gateway.received
    assert b"of-the-environment" not in gateway.received
    return True


# Nor does it make anybody be believed.
@pytest.mark.parametrize("fields", [{}, {"ca_cert": None}], ids=["ca_cert", "store"])
def test_the_environment_makes_nobody_believed(
    mount, aws, gateways, test_dir, other_ca, fields
):
    gateway = gateways(aws, ca=other_ca)
    fields = {"ca_cert": certificates.common().crt, **fields}
    env = aws.env(aws.key(), **hostile_env(test_dir, other_ca.crt))
    m = mount(db=gateway.spec(**fields), env=env)

    assert "certificate" in unreachable(m)
    assert nothing_was_shown(gateway)


# --- Passwords are not tokens


# A server that is verified gets a password that is given as a proof only.
@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("fields", [{"ssl": True}, {"sslmode": "prefer"}], ids=str)
def test_a_password_is_never_shown_as_it_is(mount, aws, mysql_gateway, tls, fields):
    gateway = mysql_gateway(aws, tls=tls)
    if "ssl" not in fields:
        fields = {**fields, "ca_cert": None}
    spec = gateway.spec(password_plain="S3cret-of-app", **fields)
    m = mount(db=spec, env=aws.env(aws.key()))

    outcome = run_text(m, "select 1 as a;")

    assert outcome.writes in (["EACCES"], ["EHOSTUNREACH"])
    assert "mysql_clear_password" in outcome.error or "offer TLS" in outcome.error
    assert gateway.logins == []
    assert b"S3cret" not in gateway.received


# --- The other logins of a session


# What is handed over in the MySQL family logs in anew, on the same connection;
# the token it began with may be over.
def test_a_session_is_handed_over_with_a_token_of_its_own(
    mount, aws, mysql_gateway, test_dir
):
    gateway = mysql_gateway(aws)
    m = mount(db=gateway.spec(max_connections=1), env=aws.env(aws.key()))
    number = "select connection_id() as a;"

    with first_job(m, number, test_dir / "door") as one:
        next_second()
        two = run_text(m, number, env=job(2)).csv

    assert two == f"a\n{one}\n"
    assert verdicts(gateway) == ["ok", "ok"]
    first, second = gateway.logins
    assert first.password != second.password
    assert rds_fields(second)[0] == f"localhost:{gateway.port}"
    names = [login.params["program_name"] for login in gateway.logins]
    assert names == ["lv-test-job1", "lv-test-job2"]
    assert nothing_secret(gateway)


# When that is refused, a login of its own is as good.
def test_a_session_that_cannot_be_handed_over_is_replaced(
    mount, aws, mysql_gateway, test_dir
):
    gateway = mysql_gateway(aws)
    m = mount(db=gateway.spec(max_connections=1), env=aws.env(aws.key()))
    number = "select connection_id() as a;"
    with first_job(m, number, test_dir / "door") as one:
        gateway.refuse_next(1)
        two = run_text(m, number, env=job(2)).csv

    assert two != f"a\n{one}\n"
    assert verdicts(gateway) == ["ok", "refused", "ok"]


# PostgreSQL's are handed over without a login.
def test_a_session_of_postgres_needs_no_second_login(
    mount, aws, pg_gateway, test_dir
):
    gateway = pg_gateway(aws)
    m = mount(db=gateway.spec(max_connections=1), env=aws.env(aws.key()))
    number = "select pg_backend_pid() as a;"

    with first_job(m, number, test_dir / "door") as one:
        assert run_text(m, number, env=job(2)).csv == f"a\n{one}\n"
    assert verdicts(gateway) == ["ok"]


SLOW = {"pg_gateway": "select pg_sleep(600);", "mysql_gateway": "select sleep(600);"}


# Who cancels in the MySQL family is another login, hours after the first.
@pytest.mark.parametrize("kind", GATEWAYS)
def test_a_cancel_logs_in_by_a_token_of_its_own(mount, aws, request, kind):
    gateway = request.getfixturevalue(kind)(aws)
    m = mount(db=gateway.spec(max_connections=1), env=aws.env(aws.key()))
    client = m.start_sh(f'echo "{SLOW[kind]}" >"$C/query.sql"')
    gateway.server.wait_until_running("sleep(600)")
    client.wait_parked()
    next_second()

    client.signal(signal.SIGINT)

    assert client.wait().rc == -signal.SIGINT
    gateway.server.wait_until_gone("sleep(600)")
    if kind == "pg_gateway":  # which wants no login for that
        assert verdicts(gateway) == ["ok"]
        return
    assert verdicts(gateway) == ["ok", "ok"]
    assert gateway.logins[0].password != gateway.logins[1].password
    assert nothing_secret(gateway)


# That login may be refused as any other may, and is tried once more.
def test_a_cancel_that_is_refused_once_cancels(mount, aws, mysql_gateway):
    gateway = mysql_gateway(aws)
    m = mount(db=gateway.spec(), env=aws.env(aws.key()))
    client = m.start_sh('echo "select sleep(600);" >"$C/query.sql"')
    gateway.server.wait_until_running("sleep(600)")
    client.wait_parked()
    gateway.refuse_next(1)

    client.signal(signal.SIGINT)

    assert client.wait().rc == -signal.SIGINT
    gateway.server.wait_until_gone("sleep(600)")
    assert verdicts(gateway) == ["ok", "refused", "ok"]


# A session outlives its token, and all that it was made of.
def test_a_session_outlives_its_token(mount, aws, gateways):
    gateway = gateways(aws)
    key = aws.key(temporary=True)
    m = mount(db=gateway.spec(), env=aws.env(key))
    own = 'cd "$C/sessions/s" && echo "{};" >query.sql && cat result.csv'
    m.sh('mkdir "$C/sessions/s" && ' + own.format("begin; select 1 as a")).check()
    aws.expire(key)
    aws.clock_offset = 7200

    asked = m.sh(own.format("select 2 as b"))

    assert asked.check().out == "b\n2\n"
    assert verdicts(gateway) == ["ok"]
