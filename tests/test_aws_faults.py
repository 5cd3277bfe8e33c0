# SPDX-License-Identifier: MIT
"""Calls of AWS that go wrong: asked again where that helps, given up in time, never
in anybody's way, and explained. For each of the services that a login may need."""

import contextlib
import itertools
import signal

import pytest

from aws_logins import PARAMETER, PASSWORD, REJECTED, SECRET, secret_of
from aws_sources import Recorder
from aws_verify import epoch_of
from clients import SCALE, wait_for
from fake_aws import Cluster, InstanceRole, Role, Workgroup
from logins import ROLE, open_session, rds_fields, status, verdicts

ASK = 'echo "select 1 as a;" >"$C/query.sql" && cat "$C/result.csv"'
ONE = "a\n1\n"
SERVERLESS = "wg1.123456789012.eu-west-1.redshift-serverless.amazonaws.com"
# What a login asks for, by the name of the connection.
OPERATIONS = {
    "ssm": "GetParameter",
    "secret": "GetSecretValue",
    "role": "AssumeRole",
    "redshift": "GetClusterCredentials",
    "serverless": "GetCredentials",
}
QUERY = {"role", "redshift"}  # those that speak XML


@pytest.fixture
def specs(aws, pg_gateway):
    """Connections whose login needs a call, one for each service."""
    database = pg_gateway(aws, kind="password", password=PASSWORD)
    aws.parameters[PARAMETER] = PASSWORD
    aws.secrets[SECRET] = secret_of(database)
    aws.roles[ROLE] = Role()
    aws.clusters["shop"] = Cluster()
    aws.workgroups["wg1"] = Workgroup()
    serverless = pg_gateway(aws, kind="redshift", host=SERVERLESS)
    return {
        "ssm": database.spec(password=PARAMETER),
        "secret": {"type": "postgres", "enabled": True, "secret_id": SECRET},
        "role": pg_gateway(aws).spec(role_arn=ROLE),
        "redshift": pg_gateway(aws, kind="redshift").spec(user="etl"),
        "serverless": serverless.spec(type="redshift-serverless", user=None),
    }


@pytest.fixture
def start(mount, aws, specs):
    """start(env): a mount with all of them, and with each once more: ssm2 .."""

    def make(env=None, **more):
        twice = {**specs, **{f"{name}2": spec for name, spec in specs.items()}}
        env = env or aws.env(aws.key())
        # What is kept of values would hide what comes later.
        m = mount({**twice, **more}, settings={"param_cache_ttl": 0}, env=env)
        m.secrets.add(PASSWORD)
        return m

    return make


def ask(m, suffix=""):
    """A statement on each of the connections at once: {name: Result}."""
    started = {
        name: m.start_sh(ASK, name + suffix, shell="bash") for name in OPERATIONS
    }
    return {name: client.wait(30) for name, client in started.items()}


def succeed(m, suffix=""):
    for name, result in ask(m, suffix).items():
        assert result.check().out == ONE, name


def fail(m, suffix=""):
    """All fail for want of a credential: {name: creds/error}."""
    said = {}
    for name, result in ask(m, suffix).items():
        assert (result.rc, result.out) == (1, ""), (name, result)
        assert REJECTED in result.err, (name, result)
        seen = status(m, name + suffix)
        assert seen["state"] == "failed", name
        said[name] = seen["error"]
    return said


def counts(aws):
    return {name: aws.count(operation) for name, operation in OPERATIONS.items()}


def each(value):
    return {name: value for name in OPERATIONS}


def lacking(said, *words):
    """What is not in the texts, as (name, word); a dict has one for each name."""
    return [
        (name, word)
        for name, text in said.items()
        for word in (w[name] if isinstance(w, dict) else w for w in words)
        if word not in text
    ]


# --- Asked again


# Twice, with pauses of the length that AWS wants, each time signed anew.
def test_throttled_calls_are_made_again(start, aws):
    for name, operation in OPERATIONS.items():
        code = "Throttling" if name in QUERY else "ThrottlingException"
        pause = {"x-amz-retry-after": "1100"}
        aws.fault(operation, times=2, code=code, headers=pause)
    m = start()

    succeed(m)

    for operation in OPERATIONS.values():
        entries = aws.entries(operation)
        assert [e.verdict for e in entries] == ["fault", "fault", "ok"]
        # The fake AWS has verified each of the three.
        assert all(e.signed for e in entries)
        dates = [epoch_of(e.headers["X-Amz-Date"]) for e in entries]
        assert dates == sorted(set(dates))
        assert len({e.headers["Authorization"] for e in entries}) == 3
        for one, next_one in itertools.pairwise(entries):
            assert next_one.time - one.time >= 1.1
    assert all(status(m, name)["error"] is None for name in OPERATIONS)


HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"
ILL = {  # how, and what is said of it in the end
    "500": ({"code": "InternalFailure"}, "InternalFailure"),
    "503": ({"status": 503, "body": "{}"}, "HTTP 503"),
    "html": ({"status": 502, "body": HTML}, "HTTP 502"),
    "empty": ({"status": 500, "body": ""}, "HTTP 500"),
    "dropped": ({"drop": True}, "the connection was lost"),
}


# Three requests in all; what the last one came to is shown. Nobody is told of what
# the third mended.
@pytest.mark.parametrize("case", ILL)
def test_a_service_that_is_ill(start, aws, case):
    how, words = ILL[case]
    m = start()
    for operation in OPERATIONS.values():
        aws.fault(operation, times=None, **how)

    said = fail(m)

    assert counts(aws) == each(3)
    assert lacking(said, OPERATIONS, words, "tried 3 times") == []
    assert not [text for text in said.values() if "<" in text]
    aws.heal()
    aws.clear()
    for operation in OPERATIONS.values():
        aws.fault(operation, times=2, **how)
    succeed(m, "2")
    assert counts(aws) == each(3)
    assert all(status(m, f"{name}2")["error"] is None for name in OPERATIONS)


# --- Never asked again


PERMISSIONS = {
    "ssm": "ssm:GetParameter",
    "secret": "secretsmanager:GetSecretValue",
    "role": "sts:AssumeRole",
    "redshift": "redshift:GetClusterCredentials",
    "serverless": "redshift-serverless:GetCredentials",
}


# The text names the permission, and who lacks it.
def test_a_permission_that_is_missing_is_named(start, aws):
    aws.denied.update(OPERATIONS.values())
    m = start()

    said = fail(m)

    assert counts(aws) == each(1)
    assert lacking(said, PERMISSIONS, "user/app") == []
    aws.denied.clear()
    succeed(m, "2")


# Nobody is led elsewhere with a signature in his hand.
def test_redirects_are_not_followed(start, aws):
    with contextlib.closing(Recorder()) as elsewhere:
        for operation in OPERATIONS.values():
            aws.fault(operation, times=None, redirect=elsewhere.url + "/")
        m = start()

        said = fail(m)

        assert elsewhere.asked == []
    assert counts(aws) == each(1)
    assert lacking(said, OPERATIONS, "HTTP 307") == []


# It is not read to its end, and kept nowhere.
def test_an_answer_of_any_length_is_not_read(start, aws):
    m = start()
    before = m.status["VmHWM"]
    for operation in OPERATIONS.values():
        aws.fault(operation, times=None, status=200, body=b"x" * (16 << 20))

    said = fail(m)

    assert counts(aws) == each(1)
    assert lacking(said, OPERATIONS, "the answer is too long") == []
    assert m.status["VmHWM"] - before < 16 * 1024 * SCALE


# --- Nobody there


def test_an_aws_that_is_down(start, aws):
    m = start()
    aws.close()

    said = fail(m)

    assert lacking(said, OPERATIONS, "Connection refused", "tried 3 times") == []


def test_a_name_that_nobody_knows(start, aws):
    m = start(aws.env(aws.key(), AWS_ENDPOINT_URL="http://nonexistent.invalid"))

    said = fail(m)

    assert lacking(said, OPERATIONS, "nonexistent.invalid: ") == []
    # It depends on the resolver of this machine whether it answers in time.
    known = ["the host name is not known", "cannot be reached in time"]
    assert all(any(words in text for words in known) for text in said.values())
    assert aws.journal == []


# --- Slow


SLOW = {
    "ssm": {"drip": True, "body": b"{"},
    "secret": {"delay": 600},
    "role": {"drip": True, "body": b" "},
    "redshift": {"delay": 600},
    "serverless": {"drip": True, "body": b" "},
}


def look_around(m):
    """All that does not need AWS is answered at once."""
    look = m.sh(
        'cd "$M"; ls -lR . >&2; df . >&2; for c in */; do cat $c/connection.json'
        " $c/creds/[!r]* $c/status.json; done",
        timeout=5,
    )
    assert "Error" not in look.err and "failed" not in look.out
    assert m.query("select 2 as b;", "plain", timeout=5).check().out == "b\n2\n"


# After 10 s it is given up, retries and all. Meanwhile everybody else goes on, and
# who waits can be stopped by Ctrl-C or kill -9 at once.
def test_a_slow_aws_is_in_nobodys_way(start, aws, pg):
    for name, how in SLOW.items():
        aws.fault(OPERATIONS[name], times=None, **how)
    m = start(plain=pg.spec())
    waiting = {name: m.start_sh(ASK, name, shell="bash") for name in OPERATIONS}
    for name, client in waiting.items():
        aws.wait_for(OPERATIONS[name])
        client.wait_parked()

    look_around(m)

    for number in [signal.SIGINT, signal.SIGKILL]:
        stopped = m.start_sh(f"exec 2>/dev/null; {ASK}", "ssm", shell="bash")
        stopped.wait_parked()
        stopped.signal(number)
        assert stopped.wait(5).rc == -number
    assert all(client.running for client in waiting.values())
    for name, client in waiting.items():
        result = client.wait(20)
        assert (result.rc, result.out) == (1, ""), (name, result)
        assert REJECTED in result.err, (name, result)
        assert 9 < result.elapsed < 10 + 5 * SCALE
        words = "no answer in time"
        assert words in status(m, name)["error"], status(m, name)["error"]
    aws.heal()
    succeed(m, "2")


# The end of the mount does not wait for AWS either, in whichever way it comes.
@pytest.mark.parametrize("how", ["SIGTERM", "umount"])
def test_the_end_does_not_wait_for_aws(start, aws, how):
    for name, fault in SLOW.items():
        aws.fault(OPERATIONS[name], times=None, **fault)
    m = start()
    waiting = [m.start_sh(ASK, name, shell="bash") for name in OPERATIONS]
    for operation in OPERATIONS.values():
        aws.wait_for(operation)
    for client in waiting:
        client.wait_parked()

    if how == "SIGTERM":
        m.process.terminate()
    else:
        for client in waiting:
            client.kill()
            client.wait(5)
        assert m.unmount() == 0

    assert m.process.wait(5 * SCALE) == 0
    assert "did not end in time" not in m.log
    for client in waiting:
        assert client.wait(5).rc != 0


# Nor does it when nobody waits but connfs itself, for what it renews ahead of time.
def test_the_end_does_not_wait_for_a_renewal(start, aws):
    aws.clusters["shop"] = Cluster(lifetime=3)
    m = start()
    assert m.query("select 1 as a;", "redshift").check().out == ONE
    aws.fault("GetClusterCredentials", times=None, delay=600)
    aws.wait_for("GetClusterCredentials", times=2, timeout=10 * SCALE)

    m.process.terminate()

    assert m.process.wait(5 * SCALE) == 0


# --- Keys


@pytest.fixture
def container(aws, start):
    """A mount whose keys a container gives, all that it logs in with asked for once;
    and the key."""
    m = start(aws.env(**aws.container_env()))
    succeed(m)
    (given,) = aws.entries("ContainerCredentials")
    (key,) = [k for k in aws.keys.values() if k.arn.endswith("/i-0123456789abcdef0")]
    # What has just been asked for is not asked for again.
    wait_for(lambda: aws.now() > given.time + 2, "the keys are old enough")
    aws.clear()
    return m, key


def forget(aws, key):
    del aws.keys[key.access_key]


# They ended before their time: they are asked for anew, once for all who need them.
@pytest.mark.parametrize(
    "spoil, codes",
    [
        (lambda aws, key: aws.expire(key), ("ExpiredToken", "ExpiredTokenException")),
        (forget, ("InvalidClientTokenId", "UnrecognizedClientException")),
    ],
    ids=["expired", "unknown"],
)
def test_temporary_keys_that_are_refused_are_renewed(aws, container, spoil, codes):
    m, key = container
    spoil(aws, key)

    succeed(m, "2")

    assert aws.count("ContainerCredentials") == 1
    refused = [e for e in aws.journal if e.verdict == "refused"]
    assert refused and {e.reason for e in refused} <= set(codes)
    for operation in OPERATIONS.values():
        entries = aws.entries(operation)
        assert entries[-1].ok and len(entries) <= 2
        assert entries[-1].key is not key


# Whoever gives the same again is not asked for ever.
def test_keys_that_stay_refused(aws, container):
    m, key = container
    aws.container = InstanceRole(key=key)
    aws.expire(key)

    said = fail(m, "2")

    assert aws.count("ContainerCredentials") <= 2
    assert set(counts(aws).values()) <= {0, 1, 2}
    assert lacking(said, "expired") == []


# Keys of a user are not given anew by anybody.
def test_a_key_that_aws_does_not_know(start, aws):
    key = aws.key()
    m = start(aws.env(key))
    aws.expire(key)

    said = fail(m)

    assert counts(aws) == each(1)
    code = {
        name: "InvalidClientTokenId" if name in QUERY else "UnrecognizedClientException"
        for name in OPERATIONS
    }
    advice = "AWS does not know the access key that signs"
    assert lacking(said, OPERATIONS, code, advice) == []


# --- The clock


# One refusal tells how far it is off; then all is dated by AWS's, and so is what is
# signed for a database, whose refusals do not tell.
@pytest.mark.parametrize("offset", [600, -600])
@pytest.mark.parametrize("teacher", OPERATIONS)
def test_a_clock_that_is_off(start, aws, pg_gateway, offset, teacher):
    gateway = pg_gateway(aws)
    m = start(token=gateway.spec())
    aws.clock_offset = offset
    early = m.sh(ASK, "token", shell="bash")
    # A token of 10 min ago would be good for 5 more.
    assert ("Permission denied" in early.err) == (offset < 0)
    assert status(m, "token")["clock_offset_s"] == 0
    aws.clear()

    assert m.query("select 1 as a;", teacher).check().out == ONE

    assert [e.verdict for e in aws.entries(OPERATIONS[teacher])] == ["refused", "ok"]
    seen = status(m, teacher)
    assert abs(seen["clock_offset_s"] - offset) <= 2 * SCALE
    assert (seen["state"], seen["error"]) == ("valid", None)
    aws.clear()
    succeed(m, "2")
    assert counts(aws) == each(1)
    before = len(gateway.logins)
    open_session(m, "later", "token")
    assert verdicts(gateway)[before:] == ["ok"]
    dated = epoch_of(rds_fields(gateway.logins[-1])[1]["X-Amz-Date"])
    assert abs(dated - gateway.logins[-1].time - offset) <= 2 * SCALE


# When somebody sets it right, that is learnt as well.
def test_a_clock_that_is_set_right(start, aws):
    m = start()
    aws.clock_offset = 600
    assert m.query("select 1 as a;", "ssm").check().out == ONE
    assert status(m, "ssm")["clock_offset_s"] != 0
    aws.clock_offset = 0
    aws.clear()

    assert m.query("select 1 as a;", "redshift").check().out == ONE

    entries = aws.entries("GetClusterCredentials")
    assert [e.verdict for e in entries] == ["refused", "ok"]
    assert status(m, "ssm")["clock_offset_s"] == 0


# One answer is believed once: whoever changes his mind each time is not followed.
def test_a_clock_that_nobody_can_follow(start, aws):
    text = "Signature expired: 20150830T123600Z is now earlier than 20150830T124600Z"
    code = {"code": "InvalidSignatureException", "message": text}
    for hours in range(1, 9):
        date = {"Date": f"Sun, 30 Aug 2026 {hours:02}:00:00 GMT"}
        aws.fault("GetParameter", headers=date, **code)
    m = start()

    result = m.sh(ASK, "ssm", shell="bash")

    assert REJECTED in result.err
    assert aws.count("GetParameter") == 2
    assert "this machine's clock is" in status(m, "ssm")["error"]
