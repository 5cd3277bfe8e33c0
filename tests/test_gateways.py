# SPDX-License-Identifier: MIT
"""The login gateways themselves, with the databases' own clients."""

import threading

import pytest

import certificates
import gateway_pg
from clients import wait_for
from gateway_clients import Libmariadb, Libpq, Ran, dsql_token, mariadb_client, psql
from gateway_clients import rds_token, start_mariadb, start_psql

QUERY = "select n, repeat('ä€x', n % 50) as t from generate_series(1, 100000) as n"
SEQUENCE = "select seq, repeat('ä€x', seq % 50) as t from seq_1_to_100000"


# --- PostgreSQL: RDS


def test_rds_lets_a_token_in_once_it_has_looked_at_it(pg_gateway, aws):
    gateway = pg_gateway(aws)
    key = aws.key(temporary=True)
    token = rds_token(key, gateway)
    what = "select current_user, current_database(), current_setting('%s')"

    asked = psql(gateway, token, what % "application_name", application_name="me")

    assert asked.check() == b"app|app|me\n"
    (login,) = gateway.ok
    assert (login.user, login.password, login.verdict) == ("joe", token, "ok")
    assert login.sni == gateway.host
    assert login.params == {"database": "app", "application_name": "me"}


@pytest.mark.parametrize(
    "spoil, verdict",
    [
        (lambda key, gateway: rds_token(key, gateway, user="jim"), "user"),
        (lambda key, gateway: rds_token(key, gateway, host="db.other"), "host"),
        (lambda key, gateway: rds_token(key, gateway, expires=901), "lifetime"),
        (lambda key, gateway: rds_token(key, gateway)[:-1] + "_", "signature"),
        (lambda key, gateway: "hunter2", "malformed"),
    ],
    ids=["user", "host", "expires", "signature", "password"],
)
def test_rds_refuses_other_tokens(pg_gateway, pg, aws, spoil, verdict):
    gateway = pg_gateway(aws)

    refused = psql(gateway, spoil(aws.key(), gateway))

    assert 'FATAL:  PAM authentication failed for user "joe"' in refused.err
    assert gateway.ok == []
    assert [login.verdict for login in gateway.logins] == [verdict]
    assert pg.activity() == []


def test_rds_refuses_a_token_that_is_over(pg_gateway, aws):
    gateway = pg_gateway(aws)
    token = rds_token(aws.key(), gateway)
    psql(gateway, token).check()
    aws.clock_offset = 901

    refused = psql(gateway, token)

    assert "PAM authentication failed" in refused.err
    assert [login.verdict for login in gateway.logins] == ["ok", "past"]


# Through a tunnel the port is another than the one that is signed.
def test_rds_wants_the_port_it_has_been_told(pg_gateway, aws):
    key = aws.key()
    gateway = pg_gateway(aws, sign_port=6432)

    psql(gateway, rds_token(key, gateway)).check()
    gateway.names = {f"{gateway.host}:5432"}

    assert "PAM" in psql(gateway, rds_token(key, gateway)).err
    assert [login.verdict for login in gateway.logins] == ["ok", "host"]


def test_rds_asks_for_nothing_without_tls(pg_gateway, aws):
    gateway = pg_gateway(aws)

    refused = psql(gateway, rds_token(aws.key(), gateway), sslmode="disable")

    assert 'user "joe", database "app", SSL off' in refused.err
    assert gateway.logins == []


def test_a_certificate_is_for_one_name_and_forty_years(pg_gateway, aws):
    gateway = pg_gateway(aws)
    token = rds_token(aws.key(), gateway)

    other = psql(gateway, token, host="db.example.com")

    assert 'does not match host name "db.example.com"' in other.err
    crt, _ = certificates.common_for(gateway.host)
    for year in (2021, 2059):
        when = str((year - 1970) * 31557600)
        argv = ["openssl", "verify", "-CAfile", gateway.ca, "-attime", when, crt]
        assert Ran(argv).end().check() == f"{crt}: OK\n".encode()


def test_a_gateway_refuses_as_often_as_it_is_told(pg_gateway, aws):
    gateway = pg_gateway(aws)
    token = rds_token(aws.key(), gateway)
    gateway.refuse_next(2)

    ended = [psql(gateway, token).process.returncode for _ in range(3)]

    assert ended == [2, 2, 0]
    assert [login.verdict for login in gateway.logins] == ["refused", "refused", "ok"]


def test_a_gateway_holds_logins_until_it_is_told(pg_gateway, aws):
    hold = threading.Event()
    gateway = pg_gateway(aws, hold=hold)
    client = start_psql(gateway, rds_token(aws.key(), gateway))
    aws.clock_offset = 10000  # It is looked at when the gateway lets it go on.
    hold.set()

    refused = client.end()

    assert "PAM authentication failed" in refused.err


def test_a_big_result_comes_through_as_it_is(pg_gateway, pg, aws):
    text = f"copy ({QUERY}) to stdout (format csv, header)"
    for kind, sign_for in [("rds", rds_token), ("dsql", dsql_token)]:
        gateway = pg_gateway(aws, kind=kind)
        user, database = gateway.spec()["user"], gateway.spec()["database"]
        token = dsql_token(aws.key(), gateway)
        if kind == "rds":
            token = rds_token(aws.key(), gateway, user=user)

        asked = psql(gateway, token, text, user=user, database=database)

        assert asked.check() == pg.copy_csv(QUERY)


def test_a_cancel_goes_through_the_gateway(pg_gateway, pg, aws):
    gateway = pg_gateway(aws)
    client = start_psql(gateway, rds_token(aws.key(), gateway), "select pg_sleep(600)")
    pg.wait_until_running("pg_sleep(600)")

    client.process.send_signal(2)

    assert "canceling statement due to user request" in client.end().err


def test_a_session_is_cut_when_it_has_lasted_long_enough(pg_gateway, pg, aws):
    gateway = pg_gateway(aws, max_connection_seconds=0.3)

    cut = psql(gateway, rds_token(aws.key(), gateway), "select pg_sleep(600)")

    assert "FATAL:  terminating connection: it has lasted" in cut.err
    pg.wait_until_gone("pg_sleep(600)")


def test_close_ends_sessions(pg_gateway, pg, aws):
    gateway = gateway_pg.PgGateway(aws, pg)
    client = start_psql(gateway, rds_token(aws.key(), gateway), "select pg_sleep(600)")
    pg.wait_until_running("pg_sleep(600)")
    before = threading.active_count()

    gateway.close()

    assert client.end().process.returncode == 2  # the connection is lost
    pg.wait_until_gone("pg_sleep(600)")
    assert threading.active_count() <= before - 2


# --- Aurora DSQL


def dsql(gateway, token, sql="select 1", user="admin", database="postgres", **how):
    return psql(gateway, token, sql, user, database, **how)


def test_dsql_has_one_database_and_an_admin(pg_gateway, aws):
    gateway = pg_gateway(aws, kind="dsql")
    key = aws.key()
    admin, other = dsql_token(key, gateway), dsql_token(key, gateway, "DbConnect")

    dsql(gateway, admin).check()
    dsql(gateway, other, user="joe").check()
    for token, user in [(other, "admin"), (admin, "joe")]:
        refused = dsql(gateway, token, user=user).err
        assert "unable to accept connection, access denied" in refused

    assert [l.verdict for l in gateway.logins] == ["ok", "ok", "action", "action"]
    assert 'database "app" does not exist' in dsql(gateway, admin, database="app").err


def test_dsql_finds_its_cluster_by_the_name_in_tls(pg_gateway, aws):
    gateway = pg_gateway(aws, kind="dsql")
    token = dsql_token(aws.key(), gateway)
    loose = {"sslmode": "require", "sslrootcert": "/nowhere"}
    cluster = gateway.host.partition(".")[0]

    nameless = dsql(gateway, token, host="127.0.0.1", **loose)
    other = dsql(gateway, token, host="vpce-1.vpce.amazonaws.com", **loose)
    named = {"options": f"-c amzn-cluster-id={cluster}", **loose}
    private = dsql(gateway, token, host="vpce-1.vpce.amazonaws.com", **named)

    said = "FATAL:  unable to accept connection, sni was not received"
    assert said in nameless.err
    assert "unable to accept connection" in other.err
    assert private.check() == b"1\n"
    assert [login.sni for login in gateway.logins] == ["vpce-1.vpce.amazonaws.com"]


@pytest.mark.parametrize(
    "options, name",
    [
        ("-c statement_timeout=5", "statement_timeout"),
        ("-c amzn-cluster-id=x -c default_transaction_read_only=on", None),
        ("--work_mem=1MB", "work_mem"),
    ],
)
def test_dsql_takes_no_settings_at_the_login(pg_gateway, aws, options, name):
    gateway = pg_gateway(aws, kind="dsql")

    refused = dsql(gateway, dsql_token(aws.key(), gateway), options=options)

    name = name or "default_transaction_read_only"
    said = f'FATAL:  setting configuration parameter "{name}" not supported'
    assert said in refused.err
    assert gateway.logins == []


@pytest.mark.parametrize(
    "sql, why",
    [
        ("select 1; set x = 1", 'setting configuration parameter "x" not supported'),
        ("Set Local x.y to 1", 'setting configuration parameter "x.y" not supported'),
        ("reset x", 'setting configuration parameter "x" not supported'),
        ("discard all", "unsupported statement: DISCARD"),
        ("-- set\n/* set x = 1 */ reset all", None),
        ("SET client_encoding='UTF8'; set names 'utf8'", None),
        ('set session "application_name" to default', None),
        ("select '; set x = 1;', $a$; set x = 1$a$", None),
        ("update t set x = 1", None),
        ("setting", None),
    ],
)
def test_dsql_knows_few_settings(sql, why):
    assert gateway_pg.why_refused(sql) == why


@pytest.mark.parametrize("how", ["simple", "extended"])
def test_dsql_refuses_settings_as_statements_that_fail(pg_gateway, aws, how):
    gateway = pg_gateway(aws, kind="dsql")
    client = Libpq(gateway, dsql_token(aws.key(), gateway))
    run = getattr(client, how)

    assert [run("begin"), run("set work_mem = '1MB'")] == ["", "0A000"]
    assert client.transaction == client.IN_FAILED
    assert [run("rollback"), run("select 1"), run("nonsense")] == ["", "", "42601"]
    assert client.transaction == client.IDLE
    assert run("discard all") == "0A000"
    client.close()


# --- Redshift, and plain passwords


def test_redshift_takes_the_password_it_gave(pg_gateway, aws):
    gateway = pg_gateway(aws, kind="redshift")
    aws.redshift_passwords["Secret1"] = ("IAM:joe", aws.now() + 900)

    good = psql(gateway, "Secret1", user="IAM:joe")
    aws.clock_offset = 901
    bad = psql(gateway, "Secret1", user="IAM:joe")

    assert good.check() == b"1\n"
    assert 'authentication failed for user "IAM:joe"' in bad.err
    assert [login.user for login in gateway.logins] == ["IAM:joe", "IAM:joe"]


@pytest.mark.parametrize("tls", [True, False])
def test_a_password_may_change(pg_gateway, aws, tls):
    gateway = pg_gateway(aws, kind="password", password="one", tls=tls)
    mode = "verify-full" if tls else "prefer"

    psql(gateway, "one", sslmode=mode).check()
    gateway.password = "two"

    assert "authentication failed" in psql(gateway, "one", sslmode=mode).err
    psql(gateway, "two", sslmode=mode).check()
    assert (b"two" in gateway.received) == (not tls)


# --- MariaDB


def test_mysql_lets_a_token_in_once_it_has_looked_at_it(mysql_gateway, aws):
    gateway = mysql_gateway(aws)
    token = rds_token(aws.key(temporary=True), gateway)

    asked = mariadb_client(gateway, token, "select current_user(), database()")

    assert asked.check() == b"app@%\tapp\n"
    (login,) = gateway.ok
    assert (login.user, login.password) == ("joe", token)
    assert login.params["database"] == "app"
    assert login.params["program_name"] == "mysql"
    assert b"joe" not in gateway.received


@pytest.mark.parametrize(
    "spoil, verdict",
    [
        (lambda key, gateway: rds_token(key, gateway, user="jim"), "user"),
        (lambda key, gateway: rds_token(key, gateway, host="db.other"), "host"),
        (lambda key, gateway: "hunter2", "malformed"),
    ],
    ids=["user", "host", "password"],
)
def test_mysql_refuses_other_tokens(mysql_gateway, mariadb, aws, spoil, verdict):
    gateway = mysql_gateway(aws)

    refused = mariadb_client(gateway, spoil(aws.key(), gateway))

    said = "Access denied for user 'joe'@'127.0.0.1' (using password: YES)"
    assert f"ERROR 1045 (28000): {said}" in refused.err
    assert [login.verdict for login in gateway.logins] == [verdict]
    assert mariadb.activity() == []


def test_mysql_refuses_a_token_that_is_over(mysql_gateway, aws):
    gateway = mysql_gateway(aws)
    token = rds_token(aws.key(), gateway)
    aws.clock_offset = 901

    refused = mariadb_client(gateway, token)

    assert "ERROR 1045" in refused.err
    assert [login.verdict for login in gateway.logins] == ["past"]


def test_mysql_asks_for_nothing_without_tls(mysql_gateway, aws):
    gateway = mysql_gateway(aws)
    token = rds_token(aws.key(), gateway)

    refused = mariadb_client(gateway, token, "select 1", "--skip-ssl", tls=False)

    assert "ERROR 3159" in refused.err
    assert gateway.logins == []
    assert token.encode() not in gateway.received


# What a client gives away that does not look.
def test_a_man_in_the_middle_hears_everything(mysql_gateway, aws):
    gateway = mysql_gateway(aws, tls=False)
    token = rds_token(aws.key(), gateway)

    mariadb_client(gateway, token, "select 'really'", tls=False).check()

    assert token.encode() in gateway.received
    assert b"select 'really'" in gateway.received


def test_a_big_result_of_mariadb_comes_through_as_it_is(mysql_gateway, mariadb, aws):
    gateway = mysql_gateway(aws)
    how = ["--batch", "--skip-column-names", "--execute", SEQUENCE, "app"]

    asked = mariadb_client(gateway, rds_token(aws.key(), gateway), SEQUENCE)

    assert asked.check() == mariadb.client("mariadb", *how)


# One packet has at most 16 MiB.
def test_long_packets_of_mysql_go_both_ways(mysql_gateway, aws):
    gateway = mysql_gateway(aws)
    connection = Libmariadb(gateway, "joe", rds_token(aws.key(), gateway))
    size = 3 * 2**24

    assert connection.query(f"select length('{'x' * size}')") == [str(size)]
    assert connection.query(f"select repeat('y', {size})") == ["y" * size]
    connection.close()


def test_a_kill_goes_through_the_gateway(mysql_gateway, mariadb, aws):
    gateway = mysql_gateway(aws)
    token = rds_token(aws.key(), gateway)
    client = start_mariadb(gateway, token, "select connection_id(); select sleep(600)")
    number = int(client.process.stdout.readline())
    mariadb.wait_until_running("sleep(600)")

    mariadb_client(gateway, token, f"kill query {number}").check()

    assert "ERROR 1317" in client.end().err


def test_a_session_of_mysql_is_cut(mysql_gateway, mariadb, aws):
    gateway = mysql_gateway(aws, max_connection_seconds=0.3)

    token = rds_token(aws.key(), gateway)

    cut = mariadb_client(gateway, token, "select seq from seq_1_to_1000000000")

    assert "ERROR 2013" in cut.err
    wait_for(lambda: not mariadb.activity(), "the session ends")


def test_mysql_looks_again_at_who_becomes_another(mysql_gateway, aws):
    gateway = mysql_gateway(aws)
    key = aws.key()
    joe, jim = (rds_token(key, gateway, user=user) for user in ("joe", "jim"))
    connection = Libmariadb(gateway, "joe", joe)
    connection.query("select @x := 'left behind'")

    assert connection.change_user("jim", jim) == ""
    assert connection.query("select coalesce(@x, 'nothing')") == ["nothing"]
    assert "Access denied for user 'jim'" in connection.change_user("jim", joe)
    assert connection.change_user("joe", joe) == ""
    assert connection.query("select 7") == ["7"]
    connection.close()
    seen = [(login.user, login.verdict) for login in gateway.logins]
    assert seen == [("joe", "ok"), ("jim", "ok"), ("jim", "user"), ("joe", "ok")]


@pytest.mark.parametrize("tls", [True, False])
def test_a_password_of_mysql_may_change(mysql_gateway, aws, tls):
    gateway = mysql_gateway(aws, kind="password", password="one", tls=tls)
    assert mariadb_client(gateway, "one", tls=tls).check() == b"1\n"
    gateway.password = "two"

    assert "ERROR 1045" in mariadb_client(gateway, "one", tls=tls).err
    assert mariadb_client(gateway, "two", tls=tls).check() == b"1\n"
    assert [login.password for login in gateway.logins] == ["one", "", "two"]
    connection = Libmariadb(gateway, "joe", "two") if tls else None
    if connection:
        assert connection.change_user("joe", "two") == ""
        assert "Access denied" in connection.change_user("joe", "one")
        connection.close()
