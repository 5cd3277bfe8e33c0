# SPDX-License-Identifier: MIT
"""Values of AWS that are kept: for whom, for how long, and when they change."""

import threading

import pytest

from aws_logins import (
    FAMILIES,
    PARAMETER,
    PASSWORD,
    REFRESH,
    REJECTED,
    SECRET,
    WRITE,
    bash,
    creds,
    gateway_of,
    log_in,
    minimal,
    secret_of,
)
from clients import SCALE, wait_for

NEW = "second&Pass+2"
SHORT = 0.3  # seconds
ASK = 'echo "select 1 as a;" >"$C/query.sql" && cat "$C/result.csv"'
CALLS = ["GetParameter", "GetSecretValue"]


@pytest.fixture(params=list(FAMILIES))
def each_gateway(request, aws):
    """A server of either family that wants a password."""
    return gateway_of(request, aws, request.param)


@pytest.fixture
def gateway(request, aws):
    return gateway_of(request, aws, "postgres")


@pytest.fixture
def kept(mount, aws):
    """kept(gateway, ttl, by): a mount whose login is in SSM or in a secret. Its
    sessions are not shared: each of log_in() logs in."""

    def make(gateway, ttl=None, by="ssm", **more):
        settings = {} if ttl is None else {"param_cache_ttl": ttl}
        store(aws, gateway, by)
        spec = {
            "ssm": gateway.spec(password=PARAMETER),
            "secret": minimal(gateway.family),
        }[by]
        spec["max_connections"] = 100
        m = mount(db={**spec, **more}, settings=settings, env=aws.env(aws.key()))
        m.secrets |= {PASSWORD, NEW}
        return m

    return make


def store(aws, gateway, by, **fields):
    """What AWS says of the login from now on."""
    if by == "ssm":
        aws.parameters[PARAMETER] = gateway.password
    else:
        aws.secrets[SECRET] = secret_of(gateway, **fields)


def calls(aws):
    return [aws.count(operation) for operation in CALLS]


def verdicts(gateway):
    return [login.verdict for login in gateway.logins]


def log_in_until(m, condition, what):
    def done():
        log_in(m)
        return condition()

    wait_for(done, what)


# ------------------------------------------------------------------ param_cache_ttl


# By default a value is kept for far longer than this takes.
@pytest.mark.parametrize("by", ["ssm", "secret"])
def test_one_call_for_many_logins(kept, aws, each_gateway, by):
    m = kept(each_gateway, by=by)

    log_in(m, times=5)

    assert verdicts(each_gateway) == ["ok"] * 5
    assert calls(aws) == ([1, 0] if by == "ssm" else [0, 1])


# 0 means not at all: each login asks.
@pytest.mark.parametrize("by", ["ssm", "secret"])
def test_without_a_ttl_each_login_asks(kept, aws, gateway, by):
    m = kept(gateway, 0, by)

    log_in(m, times=3)

    assert len(gateway.ok) == 3
    assert calls(aws) == ([3, 0] if by == "ssm" else [0, 3])


# When its time is over it is asked for again, by the next login and not by itself.
def test_a_value_whose_time_is_over_is_asked_for_again(kept, aws, gateway):
    ttl = SCALE
    m = kept(gateway, ttl)
    log_in(m, times=2)

    log_in_until(m, lambda: aws.count("GetParameter") == 2, "it is asked for again")

    first, second = aws.entries("GetParameter")
    assert second.time - first.time >= ttl
    # The last login had just asked.
    assert len(gateway.ok) >= 3
    assert aws.count() == 2


# ------------------------------------------------------------------- single flight


# 200 callers come at once, while nothing is known yet: one call of each kind,
# also when the connections are many that share a secret.
@pytest.mark.timeout(120)
@pytest.mark.parametrize("connections", [1, 8])
def test_200_opens_are_one_call(mount, aws, pg_server, pg_gateway, connections):
    server = pg_server(max_connections="300")
    how = {"kind": "password", "password": PASSWORD, "tls": False}
    gateway = pg_gateway(aws, server, **how)
    aws.parameters[PARAMETER] = PASSWORD
    aws.secrets[SECRET] = secret_of(gateway, password="not this one")
    spec = minimal(password=PARAMETER, max_connections=200, connect_timeout=60)
    names = [f"c{n}" for n in range(connections)]
    m = mount({name: spec for name in names}, env=aws.env(aws.key()))
    m.secrets.add(PASSWORD)
    fault = aws.fault("GetParameter", delay=600)

    waiting = [m.start_sh(ASK, names[n % connections]) for n in range(200)]
    aws.wait_for("GetParameter")
    wait_for(
        lambda: m.read(".connfs", "statements").count("\tconnecting\t") == 200,
        "all of them want to log in",
        60,
    )
    fault.release()

    for client in waiting:
        assert client.wait(60).check().out == "a\n1\n"
    assert verdicts(gateway) == ["ok"] * 200
    assert calls(aws) == [1, 1]


# And who comes while that one call fails, fails with it: no second wave.
def test_who_waited_for_a_failure_has_it(kept, aws, gateway):
    m = kept(gateway)
    aws.denied.add("GetParameter")
    fault = aws.fault("GetParameter", delay=600)
    waiting = [m.start_sh(WRITE, shell="bash") for _ in range(20)]
    aws.wait_for("GetParameter")
    wait_for(
        lambda: m.read(".connfs", "statements").count("\tconnecting\t") == 20,
        "all of them want to log in",
    )
    aws.clear()

    fault.release()

    for client in waiting:
        client.wait()
    # The one whose answer was on its way is not in the journal any more.
    assert aws.count("GetParameter") == 0
    assert gateway.logins == []
    assert creds(m)["state"] == "failed"


# ----------------------------------------------------------------------- rotation


# A password that was rotated costs one refused login, which nobody sees.
@pytest.mark.parametrize("by", ["ssm", "secret"])
def test_a_rotated_password_is_not_noticed(kept, aws, each_gateway, by):
    gateway = each_gateway
    m = kept(gateway, by=by)
    log_in(m, times=2)

    gateway.password = NEW
    store(aws, gateway, by)
    log_in(m, times=2)

    assert [v == "ok" for v in verdicts(gateway)] == [True, True, False, True, True]
    assert [login.password for login in gateway.ok] == [PASSWORD] * 2 + [NEW] * 2
    assert calls(aws) == ([2, 0] if by == "ssm" else [0, 2])
    seen = creds(m)
    assert (seen["state"], seen["error"]) == ("valid", None)


# Rotation between two users changes the name as well.
def test_a_rotation_may_change_the_user(kept, aws, each_gateway):
    gateway = each_gateway
    m = kept(gateway, by="secret")
    log_in(m)

    gateway.password = NEW
    store(aws, gateway, "secret", username="app_clone")
    log_in(m)

    assert [login.user for login in gateway.ok] == ["app", "app_clone"]
    assert creds(m)["user"] == "app_clone"


# Many that are refused with the same ask once, and none fails.
def test_a_rotation_in_a_crowd(kept, aws, gateway):
    m = kept(gateway)
    log_in(m)
    gateway.hold = threading.Event()
    waiting = [m.start_sh(ASK) for _ in range(20)]
    wait_for(
        lambda: m.read(".connfs", "statements").count("\tconnecting\t") == 20,
        "all of them want to log in",
    )

    gateway.password = NEW
    store(aws, gateway, "ssm")
    gateway.hold.set()

    for client in waiting:
        assert client.wait().check().out == "a\n1\n"
    assert verdicts(gateway).count("ok") == 21
    assert aws.count("GetParameter") == 2


# The server knows another password than AWS: two logins are made and no more,
# so that no account is locked; the text says what to look at.
@pytest.mark.parametrize("by", ["ssm", "secret"])
def test_a_password_that_stays_wrong_is_tried_twice(kept, aws, each_gateway, by):
    gateway = each_gateway
    m = kept(gateway, by=by)
    log_in(m)

    gateway.password = NEW
    failed = bash(m, f'{WRITE}; cat "$C/error"')

    assert "Permission denied" in failed.err
    assert verdicts(gateway) == ["ok"] + ["password"] * 2
    assert calls(aws) == ([2, 0] if by == "ssm" else [0, 2])
    seen = creds(m)
    assert seen["state"] == "failed"
    assert seen["source"] == {"ssm": "ssm", "secret": "secretsmanager"}[by]
    where = {"ssm": "SSM", "secret": "Secrets Manager"}[by]
    hint = f"the value in {where} may be older than the database's"
    assert hint in seen["error"]
    assert "EACCES" in failed.out

    # As soon as it is set right, the next login succeeds by itself.
    store(aws, gateway, by)
    log_in(m)
    assert creds(m)["state"] == "valid"


# A value that was asked for just now is not asked for twice.
def test_a_fresh_password_that_is_wrong_is_tried_once(kept, aws, each_gateway):
    m = kept(each_gateway)
    each_gateway.password = NEW

    failed = [bash(m, WRITE) for _ in range(2)]

    assert all("Permission denied" in client.err for client in failed)
    assert verdicts(each_gateway) == ["password"] * 2
    assert aws.count("GetParameter") == 2


# --------------------------------------------------------------- AWS out of reach

DOWN = {
    "error": {"status": 500},
    "html": {"status": 502, "body": "<html>Bad Gateway</html>"},
    "throttled": {"code": "ThrottlingException", "message": "Rate exceeded"},
    "dropped": {"drop": True},
}
SAID = {
    "error": "GetParameter: HTTP 500",
    "html": "GetParameter: HTTP 502",
    "throttled": "AWS limits the rate of these calls",
    "dropped": "the connection was lost",
}


# What is kept is used beyond its time while AWS cannot be asked; creds/error
# says that and why, and falls silent when AWS is back.
@pytest.mark.parametrize("how", DOWN)
def test_an_old_value_is_used_while_aws_is_out_of_reach(kept, aws, gateway, how):
    m = kept(gateway, SHORT * SCALE)
    log_in(m)
    aws.fault("GetParameter", times=None, **DOWN[how])

    log_in_until(m, lambda: creds(m)["error"], "it says that AWS is out of reach")

    seen = creds(m)
    assert seen["state"] == "valid"
    assert seen["error"].startswith(f"password: parameter {PARAMETER}: ")
    assert SAID[how] in seen["error"]
    # AWS is left alone for a while: those who come now do not wait for it.
    asked = aws.count("GetParameter")
    log_in(m, times=3)
    assert aws.count("GetParameter") == asked
    assert creds(m)["error"] == seen["error"]

    aws.heal()
    bash(m, REFRESH).check()
    log_in(m)
    assert creds(m)["error"] is None


# The same for a secret, and for who comes while somebody else is asking.
def test_an_old_secret_is_used_while_aws_is_out_of_reach(kept, aws, each_gateway):
    m = kept(each_gateway, SHORT * SCALE, "secret")
    log_in(m)
    aws.fault("GetSecretValue", times=None, drop=True)

    log_in_until(m, lambda: creds(m)["error"], "it says that AWS is out of reach")

    assert creds(m)["error"].startswith("secret_id: secret prod/shop: ")
    assert creds(m)["state"] == "valid"
    assert set(verdicts(each_gateway)) == {"ok"}


# Without a value there is nothing to fall back on.
def test_without_a_value_nothing_helps(kept, aws, gateway):
    m = kept(gateway)
    aws.fault("GetParameter", times=3, status=500)

    failed = bash(m, WRITE)

    assert REJECTED in failed.err
    assert creds(m)["error"].endswith("GetParameter: HTTP 500 (tried 3 times)")
    log_in(m)
    assert creds(m)["error"] is None


# A value of which AWS says that it may not be had is not used for longer than
# it would have been.
def test_an_old_value_is_not_used_against_the_will_of_aws(kept, aws, gateway):
    m = kept(gateway, SHORT * SCALE)
    log_in(m)
    aws.denied.add("GetParameter")

    wait_for(lambda: REJECTED in bash(m, WRITE).err, "its time is over")

    assert creds(m)["state"] == "failed"
    assert "allow ssm:GetParameter in IAM" in creds(m)["error"]


# A refresh that fails says so, and takes nothing away.
@pytest.mark.parametrize("how", ["denied", "down"])
def test_a_refresh_that_fails_leaves_what_there_is(kept, aws, gateway, how):
    m = kept(gateway)
    log_in(m)
    if how == "denied":
        aws.denied.add("GetParameter")
    else:
        aws.fault("GetParameter", times=None, drop=True)

    failed = bash(m, REFRESH)

    assert REJECTED in failed.err
    seen = creds(m)
    assert seen["state"] == "valid"
    assert seen["error"].startswith(f"password: parameter {PARAMETER}: ")
    log_in(m, times=2)
    assert creds(m)["state"] == "valid"


# A throttled call is made again, with pauses.
def test_a_throttled_call_is_made_again(kept, aws, gateway):
    m = kept(gateway)
    aws.fault(
        "GetParameter", times=2, code="ThrottlingException", message="Rate exceeded"
    )

    log_in(m)

    assert [entry.ok for entry in aws.entries("GetParameter")] == [False, False, True]
    assert creds(m)["error"] is None


# A value may be refused and forgotten while AWS is out of reach: then it is gone.
def test_what_was_refused_is_not_used_again(kept, aws, gateway):
    m = kept(gateway)
    log_in(m)
    gateway.password = NEW
    aws.fault("GetParameter", times=None, drop=True)

    failed = [bash(m, WRITE) for _ in range(2)]

    assert REJECTED in failed[0].err
    assert REJECTED in failed[1].err
    assert verdicts(gateway) == ["ok", "password"]
    assert creds(m)["state"] == "failed"
