# SPDX-License-Identifier: MIT
"""AWS keys of the platform: the agent of a container, and the metadata service of
an instance, version 2."""

import dataclasses
import urllib.parse

import pytest

from aws_sources import Network
from clients import SCALE, wait_for
from fake_aws import InstanceRole
from fake_aws_wire import iso

ROLE = "arn:aws:iam::123456789012:role/{}"
RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
NOTHING_ELSE = (
    " (nothing else is configured: no AWS_ACCESS_KEY_ID,"
    " AWS_WEB_IDENTITY_TOKEN_FILE or AWS_CONTAINER_CREDENTIALS_*_URI, no keys of"
    " profile default in /nonexistent/aws/config and /nonexistent/aws/credentials)"
)


@pytest.fixture
def network(aws, rds):
    """network(address, ..) is an aws_sources.Network where those addresses lead to
    the AWS, by port 80, and a mount in it reaches the database."""
    made = []

    def make(*addresses):
        made.append(Network(*addresses))
        port = urllib.parse.urlsplit(aws.url).port
        for address in addresses:
            made[-1].lead(address.partition("/")[0], 80, port)
        made[-1].lead("127.0.0.1", rds.gateway.port, rds.gateway.port)
        return made[-1]

    yield make
    for network in made:
        network.close()


# --- Containers


# ECS gives a path: the address is known.
def test_a_container_of_ecs(rds, aws, network):
    aws.container.name = "task"
    path = urllib.parse.urlsplit(aws.container_env()[FULL]).path
    env = aws.env(**{RELATIVE: path, FULL: "http://127.0.0.1:9/not-this-one"})
    with network("169.254.170.2/32").inside():
        m = rds.mount(env)

    assert rds.key(m).role == ROLE.format("task")
    status = rds.status(m)
    assert status["keys_source"] == "container"
    (entry,) = aws.journal
    assert entry.headers["Host"] == "169.254.170.2"
    assert entry.headers["Accept"] == "application/json"
    assert "Authorization" not in entry.headers


# EKS Pod Identity gives an address that is none of this machine's, and the token
# in a file; over IPv6, too.
@pytest.mark.parametrize(
    "address, host",
    [
        ("169.254.170.23/32", "169.254.170.23"),
        ("fd00:ec2::23/128", "[fd00:ec2::23]"),
        ("169.254.170.2/32", "169.254.170.2"),
    ],
)
def test_a_pod_of_eks(rds, aws, home, network, address, host):
    aws.container.name, aws.container_token = "pod", "eyJ.of.the-pod"
    token = home.dir / "token"
    token.write_text("eyJ.of.the-pod\n")
    path = urllib.parse.urlsplit(aws.container_env()[FULL]).path
    env = aws.container_env(token)
    env[FULL] = f"http://{host}{path}"
    with network(address).inside():
        m = rds.mount(aws.env(**env))

    assert rds.key(m).role == ROLE.format("pod")
    (entry,) = aws.journal
    assert entry.headers["Host"] == host
    assert entry.headers["Authorization"] == "eyJ.of.the-pod"


# EKS rotates the token: each request has what is in the file then. It goes before
# the variable.
def test_the_token_of_a_container_is_read_each_time(rds, aws, home):
    aws.container.lifetime = 3 * SCALE
    aws.container_token = "eyJ.first"
    token = home.dir / "token"
    token.write_text("eyJ.first\n")
    m = rds.mount(aws.env(**aws.container_env(token), **{TOKEN: "eyJ.old"}))
    m.secrets |= {"eyJ.first", "eyJ.second", "eyJ.old"}
    rds.key(m)

    aws.container_token = "eyJ.second"
    token.write_text(" eyJ.second\r\n\r\n")

    def renewed():
        return aws.count("ContainerCredentials", ok=True) > 1

    wait_for(renewed, "the keys are renewed")
    sent = [e.headers["Authorization"] for e in aws.entries("ContainerCredentials")]
    assert sent[:2] == ["eyJ.first", "eyJ.second"]


def test_the_token_of_a_container_in_a_variable(rds, aws):
    aws.container_token = "Bearer eyJ.of.the-variable"
    m = rds.mount(aws.env(**aws.container_env()))

    rds.key(m)

    (entry,) = aws.journal
    assert entry.headers["Authorization"] == "Bearer eyJ.of.the-variable"


# Nothing is sent to whom it does not belong, and no header is smuggled in.
@pytest.mark.parametrize(
    "env, error",
    [
        (
            {FULL: "http://example.com/creds"},
            f"{FULL}: example.com is neither https nor an address of this machine or"
            " of the agents of ECS and EKS",
        ),
        (
            {FULL: "http://127.0.0.1.example.com/"},
            f"{FULL}: 127.0.0.1.example.com is neither https",
        ),
        ({FULL: "http://169.254.169.254/latest"}, f"{FULL}: 169.254.169.254 is neit"),
        ({FULL: "http://127.0.0.1@10.0.0.1/"}, f"{FULL}: "),
        ({FULL: "http://0xa9fea9fe/"}, f"{FULL}: 169.254.169.254 is neither https"),
        ({FULL: "file:///etc/passwd"}, f"{FULL}: "),
        ({RELATIVE: "@example.com/"}, f"{RELATIVE} does not begin with /"),
        ({RELATIVE: ".example.com/"}, f"{RELATIVE} does not begin with /"),
        ({TOKEN: "a\r\nX-Evil: b"}, f"{TOKEN} holds more than one line"),
        (
            {f"{TOKEN}_FILE": "/nonexistent/token"},
            f"{TOKEN}_FILE: /nonexistent/token: No such file or directory",
        ),
    ],
)
def test_a_container_that_is_not_asked(rds, aws, env, error):
    m = rds.mount(aws.env(**{**aws.container_env(), **env}))

    assert rds.error(m).startswith(f"container: {error}")
    assert aws.journal == []


@pytest.mark.parametrize("text", ["a\nb", "a\r\nX-Evil: b\r\n", "\n", "x" * 65537])
def test_a_token_file_of_a_container_that_is_no_use(rds, aws, home, text):
    token = home.dir / "token"
    token.write_bytes(text.encode())
    m = rds.mount(aws.env(**aws.container_env(token)))

    error = rds.error(m)

    ends = {2: "is over 65536 bytes long", 0: "is empty", 1: "holds more than one line"}
    end = ends[2 if len(text) > 65536 else bool(text.strip())]
    assert error == f"container: {TOKEN}_FILE: {token} {end}"
    assert aws.journal == []


# The agent's own words, and that nobody else was asked.
def test_a_container_that_gives_no_keys_says_why(rds, aws, home):
    aws.container_token = "eyJ.x"
    aws.instance_role = InstanceRole()
    token = home.dir / "token"
    token.write_text("eyJ.wrong")
    env = aws.env(**aws.container_env(token), **aws.imds_env())
    m = rds.mount(env)
    wrong = rds.error(m)
    token.write_text("eyJ.x")
    aws.container = None
    m = rds.mount(env)
    none = rds.error(m)
    aws.container = InstanceRole(code="InternalServerException")
    m = rds.mount(env)
    broken = rds.error(m)
    aws.container = InstanceRole(lifetime=-60)
    m = rds.mount(env)
    late = rds.error(m)

    said = "container: the container's agent answered"
    assert wrong == f"{said} 401: The authorization token is missing or wrong"
    assert none == f"{said} 404: No role for this container"
    assert broken == f"{said} 500: Unable to get credentials"
    # Whatever is wrong there, three attempts are made.
    assert aws.count("ContainerCredentials", ok=False) == 1 + 1 + 3
    assert late.startswith("container: it gives keys that expired at ")
    assert aws.count("ImdsToken") == 0


def test_a_container_is_asked_again_when_it_stumbles(rds, aws):
    aws.fault("ContainerCredentials", status=500, body="oops")
    aws.fault("ContainerCredentials", drop=True)
    m = rds.mount(aws.env(**aws.container_env()))

    assert rds.key(m).role == ROLE.format("app-role")
    assert aws.count("ContainerCredentials") == 3


# --- Instances


@pytest.mark.parametrize(
    "env, host",
    [
        ({"AWS_EC2_METADATA_DISABLED": "false"}, "169.254.169.254"),
        (
            {
                "AWS_EC2_METADATA_DISABLED": None,
                "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6",
            },
            "[fd00:ec2::254]",
        ),
        (
            {
                "AWS_EC2_METADATA_DISABLED": "false",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://10.0.0.1/",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6",
            },
            "10.0.0.1",
        ),
    ],
)
def test_the_role_of_an_instance(rds, aws, network, env, host):
    aws.instance_role = InstanceRole("box")
    # All are there; which one is asked is the point.
    there = ("169.254.169.254/32", "fd00:ec2::254/128", "10.0.0.1/32")
    with network(*there).inside():
        m = rds.mount(aws.env(**env))

    key = rds.key(m)

    assert key.role == ROLE.format("box")
    status = rds.status(m)
    assert status["keys_source"] == "imds"
    assert status["keys_expire_at"] == iso(key.expires)[:-1] + ".000Z"
    token, role, credentials = aws.journal
    assert token.headers["X-aws-ec2-metadata-token-ttl-seconds"] == "21600"
    assert (token.method, token.operation) == ("PUT", "ImdsToken")
    assert (role.operation, credentials.operation) == ("ImdsRole", "ImdsCredentials")
    assert {entry.headers["Host"] for entry in aws.journal} == {host}
    given = token.reply.body.decode()
    for entry in (role, credentials):
        assert entry.headers["X-aws-ec2-metadata-token"] == given


# A session that the service has forgotten is opened anew, in the middle of it.
@pytest.mark.parametrize("operation", ["ImdsRole", "ImdsCredentials"])
def test_a_session_that_an_instance_has_forgotten(rds, aws, operation):
    aws.instance_role = InstanceRole("box")
    aws.fault(operation, status=401, body="")
    m = rds.mount(aws.env(**aws.imds_env()))

    assert rds.key(m).role == ROLE.format("box")
    assert aws.count("ImdsToken") == 2
    assert aws.count(operation) == 2


# An answer with status 200 is not always one.
@pytest.mark.parametrize(
    "fault, error",
    [
        (
            {"operation": "ImdsRole", "status": 404, "body": "<html>"},
            "the instance has no role",
        ),
        (
            {"operation": "ImdsRole", "status": 200, "body": " "},
            "the metadata service names no role",
        ),
        (
            {"operation": "ImdsRole", "status": 200, "body": "../user-data"},
            "the metadata service names no role",
        ),
        (
            {"operation": "ImdsCredentials", "status": 500},
            "the metadata service answered 500 for iam/security-credentials/box",
        ),
        (
            {"operation": "ImdsCredentials", "status": 200, "body": "<html>oops"},
            "the answer of the metadata service is not a JSON object",
        ),
        (
            {"operation": "ImdsCredentials", "status": 200, "body": "{}"},
            "the answer has no AccessKeyId",
        ),
    ],
)
def test_an_instance_that_gives_no_keys(rds, aws, fault, error):
    aws.instance_role = InstanceRole("box")
    aws.fault(times=None, **fault)
    m = rds.mount(aws.env(**aws.imds_env()))

    said = rds.error(m)

    assert said.startswith(f"imds: {error}")
    assert said.endswith(NOTHING_ELSE)


def test_an_instance_says_what_is_wrong_with_its_role(rds, aws):
    aws.instance_role = InstanceRole("box", code="AssumeRoleUnauthorizedAccess")
    m = rds.mount(aws.env(**aws.imds_env()))

    assert rds.error(m) == (
        "imds: the metadata service says AssumeRoleUnauthorizedAccess: EC2 cannot"
        f" assume the role. Please see documentation.{NOTHING_ELSE}"
    )


# It may be asked too often, by others on the instance: that is no silence.
@pytest.mark.parametrize("operation", ["ImdsToken", "ImdsRole", "ImdsCredentials"])
def test_an_instance_is_asked_again_when_it_stumbles(rds, aws, operation):
    aws.instance_role = InstanceRole("box")
    aws.fault(operation, status=429)
    aws.fault(operation, status=503)
    m = rds.mount(aws.env(**aws.imds_env()))

    assert rds.key(m).role == ROLE.format("box")
    assert aws.count(operation) == 3


# Version 1 gives keys to whoever can make somebody fetch a URL.
@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_version_1_of_the_metadata_service_is_never_spoken(rds, aws, status):
    aws.instance_role = InstanceRole()
    aws.fault("ImdsToken", times=None, status=status, body="no")
    m = rds.mount(aws.env(**aws.imds_env()))

    assert rds.error(m) == (
        f"imds: the metadata service refused a session of version 2 (status {status})"
        + NOTHING_ELSE
    )
    assert {entry.operation for entry in aws.journal} == {"ImdsToken"}


# Behind one hop too many no answer comes back. That takes a second, once: whoever
# comes meanwhile waits with the first, and who comes later does not wait at all,
# nor do others whose keys would be other ones (those of another region).
def test_a_silent_metadata_service_is_waited_for_once(rds, aws):
    aws.fault("ImdsToken", times=None, delay=600)
    conns = {f"c{i}": {} for i in range(5)}
    other = {"region": "eu-central-1"}
    m = rds.mount(aws.env(**aws.imds_env()), **conns, other=other)
    crowd = (
        "for i in 0 1 2 3 4 5 6 7 8 9; do for c in 0 1 2 3 4; do"
        ' setsid -w bash -c "echo \'select 1;\' >$M/c$c/query.sql" 2>&1 & done; done;'
        " wait"
    )

    refused = m.sh(crowd, timeout=30)

    assert refused.out.count("Key was rejected by service") == 50, refused
    assert rds.error(m, "c0").endswith(NOTHING_ELSE)
    assert rds.error(m, "other").endswith(NOTHING_ELSE)
    assert aws.count("ImdsToken") == 1


# And nobody who can do without is kept by it.
def test_a_silent_metadata_service_keeps_nobody_else(rds, aws, home):
    key = aws.key()
    home.write(
        f"[profile mine]\naws_access_key_id = {key.access_key}\n"
        f"aws_secret_access_key = {key.secret_key}\n"
    )
    silence = aws.fault("ImdsToken", times=None, delay=600)
    env = aws.env(**home.env(), **aws.imds_env())
    m = rds.mount(env, chain={}, mine={"profile": "mine"})
    waiting = m.start_sh('echo "select 1 as a;" >"$C/query.sql"', "chain")
    aws.wait_for("ImdsToken")

    assert rds.key(m, "mine") == key

    waiting.wait()
    silence.release()
    assert aws.count("ImdsToken") == 1


def test_an_instance_that_is_switched_off_is_not_asked(rds, aws):
    aws.instance_role = InstanceRole()
    env = {**aws.imds_env(), "AWS_EC2_METADATA_DISABLED": "TRUE"}
    m = rds.mount(aws.env(**env))

    assert rds.error(m) == (
        "AWS keys: AWS_EC2_METADATA_DISABLED is set, and " + NOTHING_ELSE[2:-1]
    )
    assert aws.journal == []


# --- Stability


def aged(key, seconds):
    """The key as somebody shows it who believes that it ends so much earlier."""
    return dataclasses.replace(key, expires=key.expires - seconds)


# AWS goes on to accept keys of instances when it cannot make new ones: they are
# handed out although they have expired.
def test_an_instance_may_hand_out_keys_that_have_expired(rds, aws):
    key = aws.key(temporary=True, lifetime=3600)
    aws.instance_role = InstanceRole(key=aged(key, 3660))
    m = rds.mount(aws.env(**aws.imds_env()), db={}, later={})

    assert rds.key(m) == key

    # For some minutes, which the tokens that they sign do not outlive.
    status = rds.status(m)
    assert iso(aws.now() + 200) < status["keys_expire_at"] < iso(aws.now() + 700)
    assert status["expires_at"] == status["keys_expire_at"]
    warning = "warning: imds: its keys have expired and are used for some more minutes"
    assert warning in m.log
    # They are not asked for all the time.
    assert rds.key(m, "later") == key
    assert aws.count("ImdsCredentials") == 1


# The same when the service does not answer any more; and once it does, it counts.
def test_keys_of_an_instance_outlive_its_metadata_service(rds, aws):
    key = aws.key(temporary=True, lifetime=3600)
    aws.instance_role = InstanceRole(key=aged(key, 3600 - 3 * SCALE))
    m = rds.mount(aws.env(**aws.imds_env()), db={}, later={}, healed={})
    assert rds.key(m) == key
    aws.fault("ImdsToken", times=None, status=503)

    wait_for(lambda: "are used for some more minutes" in m.log, "they expire")
    assert rds.key(m, "later") == key

    aws.heal()
    aws.instance_role = InstanceRole("new")

    def healed():
        m.sh('echo 1 >"$C/creds/refresh"', "healed", shell="bash")
        return rds.source(m, "healed") == "imds" and aws.count("ImdsCredentials") > 1

    wait_for(healed, "it is asked again")
    assert rds.key(m, "healed").role == ROLE.format("new")


# Others have no such promise of AWS's.
def test_keys_of_a_container_end_when_they_expire(rds, aws):
    aws.container.lifetime = 3 * SCALE
    m = rds.mount(aws.env(**aws.container_env()), db={}, later={})
    rds.key(m)
    aws.container = None

    wait_for(lambda: rds.status(m)["state"] == "failed", "they expire")

    error = rds.error(m, "later")
    assert error.startswith("the AWS keys expired at ")
    assert error.endswith("agent answered 404: No role for this container")


# --- Keys that end before their tokens


def learn_the_clock(m, aws, seconds):
    """AWS's clock is found out to be that much ahead, by a call of its API."""
    aws.clock_offset = seconds
    aws.parameters["p"] = "x"
    m.sh('echo 1 >"$C/creds/refresh"', "clock", shell="bash").check()


CLOCK = {"type": "postgres", "password": "p", "sslmode": "verify-full"}


# A token says 15 min and dies with the keys that signed it: with less than that
# left they are renewed before they sign.
def test_keys_with_little_time_left_are_renewed_before_they_sign(rds, aws):
    aws.container.lifetime = 3600
    m = rds.mount(aws.env(**aws.container_env()), db={}, later={}, clock=CLOCK)
    first = rds.key(m)
    learn_the_clock(m, aws, 2900)

    second = rds.key(m, "later")

    assert (first.expires - aws.now(), second.expires - aws.now()) > (600, 3500)
    assert second != first
    status = rds.status(m, "later")
    assert status["clock_offset_s"] in range(2895, 2906)
    assert status["keys_expire_at"] == iso(second.expires)[:-1] + ".000Z"
    assert abs(status["ttl"] - 900) < 100


# When they cannot be, they sign what they can, and creds/ says how long it lives.
def test_a_token_lives_no_longer_than_the_keys_that_signed_it(rds, aws):
    aws.container.lifetime = 3600
    m = rds.mount(aws.env(**aws.container_env()), db={}, later={}, clock=CLOCK)
    first = rds.key(m)
    aws.fault("ContainerCredentials", times=None, status=500)
    learn_the_clock(m, aws, 2900)

    assert rds.key(m, "later") == first

    status = rds.status(m, "later")
    end = iso(first.expires)[:-1] + ".000Z"
    assert status["expires_at"] == status["keys_expire_at"] == end
    assert "(the present keys are used for as long as they work)" in m.log


# A refresh by hand asks for keys as well: those of a role that has changed.
def test_a_refresh_obtains_other_keys(rds, aws):
    aws.container.name = "first"
    m = rds.mount(aws.env(**aws.container_env()), db={}, later={})
    assert rds.key(m).role == ROLE.format("first")
    aws.container.name = "second"

    def refreshed():
        m.sh('echo 1 >"$C/creds/refresh"', "db", shell="bash").check()
        return aws.count("ContainerCredentials") > 1

    wait_for(refreshed, "the container is asked again")
    assert rds.key(m, "later").role == ROLE.format("second")
