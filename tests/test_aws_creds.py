# SPDX-License-Identifier: MIT
"""creds/ of logins that AWS has a part in: true at every moment, for nothing."""

import datetime
import json
import re
import time

import pytest

from aws_logins import (
    PARAMETER,
    PASSWORD,
    REFRESH,
    REJECTED,
    SECRET,
    WRITE,
    bash,
    creds,
    log_in,
    minimal,
    secret_of,
    status,
)
from clients import SCALE, wait_for
from doors import Door
from fake_aws import Cluster, Workgroup
from readers import program

OTHER = 20001  # a uid
READ_ALL = 'cat "$C"/creds/[!r]* "$C/connection.json"'  # all but refresh
RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
EVERYONE = {"access": {"everyone": True}}
CALLS = {
    "ssm": ["GetParameter"],
    "secretsmanager": ["GetSecretValue"],
    "rds-iam": [],
    "dsql-iam": [],
    "redshift-iam": ["GetClusterCredentials"],
    "redshift-serverless-iam": ["GetCredentials"],
}
SIGNED = ["rds-iam", "dsql-iam"]
USERS = {"redshift-iam": "IAM:app", "redshift-serverless-iam": "IAM:app"}


def when(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@pytest.fixture
def login(aws, pg_gateway):
    """login(source, lifetime=900): a gateway, and the spec of a login to it that
    comes from there."""

    def make(source, lifetime=900, **fields):
        kind = source.partition("-")[0]
        kind = kind if source.endswith("-iam") else "password"
        host = None
        if source == "redshift-serverless-iam":
            host = "shop.123456789012.eu-west-1.redshift-serverless.amazonaws.com"
            fields = {"type": "redshift-serverless", "user": None, **fields}
        gateway = pg_gateway(aws, kind=kind, host=host, password=PASSWORD)
        aws.parameters[PARAMETER] = PASSWORD
        aws.secrets[SECRET] = secret_of(gateway)
        aws.clusters["shop"] = Cluster(lifetime=lifetime)
        aws.workgroups["shop"] = Workgroup(lifetime=lifetime)
        if source == "ssm":
            fields = {"password": PARAMETER, **fields}
        if source == "secretsmanager":
            return gateway, minimal(**fields)
        return gateway, gateway.spec(**fields)

    return make


@pytest.fixture
def start(mount, aws):
    """start(db=spec, ..): a mount with keys of AWS."""

    def make(**specs):
        m = mount(**specs, env=aws.env(aws.key()))
        m.secrets.add(PASSWORD)
        return m

    return make


def rds_names(gateway):
    return {f"{gateway.host}:{gateway.sign_port}"}


# ----------------------------------------------------------------- all the states


# Before anything is used, and once it has been, of every source; to look asks
# nobody, before and after.
@pytest.mark.parametrize("source", CALLS)
def test_what_is_shown_of_each_source(start, aws, login, source):
    gateway, spec = login(source, expose_token=True)
    m = start(db=spec)

    before = creds(m)
    m.sh(READ_ALL, "db")
    asked_before = aws.count()
    log_in(m)
    asked = [entry.operation for entry in aws.journal]
    after = creds(m)
    token = m.read("db", "creds", "token").removesuffix("\n")
    shown = json.loads(m.read("db", "connection.json"))

    assert (asked_before, asked) == (0, CALLS[source])
    assert aws.count() == len(asked)
    nothing = {
        "state": "none",
        "source": source,
        "user": spec.get("user"),
        "host": spec.get("host"),
        "port": spec.get("port"),
        "database": spec.get("database"),
        "clock_offset_s": 0,
    }
    assert before == {**dict.fromkeys(before), **nothing}
    assert (after["state"], after["source"]) == ("valid", source)
    assert after["user"] == USERS.get(source, gateway.ok[0].user)
    assert after["keys_source"] == "environment"
    assert after["error"] is None
    assert after["database"] == spec.get("database", "app")
    assert token == gateway.ok[0].password
    for name in ["user", "host", "port", "database"]:
        assert shown[name] == after[name]
    assert shown["password_source"] == source
    assert abs(when(after["issued_at"]) - gateway.ok[0].time) < 5 * SCALE
    assert re.fullmatch(RFC3339, after["issued_at"])
    if not source.endswith("-iam"):
        assert (after["expires_at"], after["ttl"]) == (None, None)
        return
    assert re.fullmatch(RFC3339, after["expires_at"])
    assert 895 <= when(after["expires_at"]) - when(after["issued_at"]) <= 901
    assert 840 < after["ttl"] <= 900


# What expires: asked for anew before its time, over when nobody answers, and as
# good as ever when somebody does. ttl is what is left at each moment.
@pytest.mark.timeout(60)
def test_a_life_from_beginning_to_end(start, aws, login):
    _, spec = login("redshift-iam", lifetime=5 * SCALE, expose_token=True)
    m = start(db=spec)
    log_in(m)
    first = creds(m)
    fault = aws.fault("GetClusterCredentials", delay=600)
    seen = [first]

    def state_is(name):
        seen.append(status(m))
        return seen[-1]["state"] == name

    wait_for(lambda: state_is("expiring"), "it is about to expire", 20)
    aws.wait_for("GetClusterCredentials", 2)
    wait_for(lambda: state_is("expired"), "it has expired", 20)
    over = m.sh('cat "$C/creds/token"')
    wait_for(lambda: time.time() > when(first["expires_at"]) + 2, "it is long over")
    seen.append(creds(m))
    fault.release()
    wait_for(lambda: state_is("valid"), "there is a new one")

    *old, new = seen
    states = [each["state"] for each in old]
    assert sorted(set(states), key=states.index) == ["valid", "expiring", "expired"]
    ttls = [each["ttl"] for each in old]
    assert ttls == sorted(ttls, reverse=True)
    assert ttls[0] > ttls[-1] == 0
    assert {each["expires_at"] for each in old} == {first["expires_at"]}
    assert "No data available" in over.err
    assert when(new["expires_at"]) > when(first["expires_at"])
    assert all(each["error"] is None for each in seen)


# It cannot be renewed: it works to its end, with the reason beside it, and then
# it has failed.
@pytest.mark.timeout(60)
def test_a_life_that_cannot_be_renewed(start, aws, login):
    _, spec = login("redshift-iam", lifetime=4 * SCALE)
    m = start(db=spec)
    log_in(m)
    aws.denied.add("GetClusterCredentials")

    wait_for(lambda: creds(m)["error"], "the reason is shown", 20)
    early = creds(m)
    wait_for(lambda: creds(m)["state"] == "failed", "it is over", 20)
    late = creds(m)
    failed = bash(m, WRITE)

    assert early["state"] == "expiring" or early["ttl"] == 0
    for seen in [early, late]:
        assert "redshift:GetClusterCredentials" in seen["error"]
    assert REJECTED in failed.err
    aws.denied.clear()
    log_in(m)
    assert (creds(m)["state"], creds(m)["error"]) == ("valid", None)


# Whoever keeps looking sees each change at the next look: nothing of a file, and
# no size, is what the kernel remembers.
WATCH = program("""
import json
D = C + "/creds/"
names = [n for n in os.listdir(D) if n != "refresh"] + ["../connection.json"]
for line in sys.stdin:
    seen = {}
    for name in names:
        size = os.stat(D + name).st_size
        with open(D + name) as f:
            text = f.read()
            again = os.fstat(f.fileno()).st_size
        if text and {size, again} & set(range(1, len(text))):
            text = f"size {size}, {again}, and {len(text)} read"
        seen[name] = text
    say(json.dumps(seen))
    open(line.strip()).readline()
""")


def test_each_change_is_seen_at_the_next_look(start, aws, login, test_dir):
    _, spec = login("secretsmanager")
    m = start(db=spec)
    doors = [Door(test_dir / f"door{n}") for n in range(5)]
    lines = "".join(f"{door}\n" for door in doors)
    watcher = m.start_python(WATCH, stdin=lines)
    steps = [
        lambda: bash(m, REFRESH),
        lambda: aws.denied.add("GetSecretValue") or bash(m, REFRESH),
        lambda: aws.denied.clear() or bash(m, REFRESH),
        lambda: None,
    ]
    wanted = []

    for door, step in zip(doors, steps):
        door.reached()
        now = {"state": m.read("db", "creds", "state")}
        now["error"] = m.read("db", "creds", "error")
        wanted.append(now)
        step()
        door.open()
    doors[-1].open()

    looks = [json.loads(line) for line in watcher.wait().check().lines]
    for look, now in zip(looks, wanted, strict=False):
        assert (look["state"], look["error"]) == (now["state"], now["error"])
        whole = json.loads(look["status.json"])
        assert whole["state"] == look["state"].strip()
        assert (whole["error"] or "") == look["error"].strip()
        assert look["user"] == ("app\n" if whole["user"] else "")
    assert [look["state"] for look in looks] == ["none\n"] + ["valid\n"] * 4
    assert [bool(look["error"]) for look in looks] == [False, False, True, False, False]
    known = ["host" in json.loads(look["../connection.json"]) for look in looks]
    assert known == [False] + [True] * 4


# ------------------------------------------------------------------------ refresh


# The write returns when it is done, and not before; meanwhile anybody may look.
@pytest.mark.parametrize("source", ["ssm", "secretsmanager", "redshift-iam"])
def test_a_refresh_returns_when_it_is_done(start, aws, login, source):
    _, spec = login(source, expose_token=True)
    m = start(db=spec)
    fault = aws.fault(CALLS[source][0], delay=600)

    waiting = m.start_sh(REFRESH, shell="bash")
    aws.wait_for(CALLS[source][0])
    waiting.wait_parked()
    meanwhile = m.sh('cat "$C/creds/state"', timeout=5).check().out
    fault.release()
    waiting.wait().check()

    assert meanwhile == "none\n"
    assert creds(m)["state"] == "valid"
    assert m.read("db", "creds", "token")
    # What was obtained is what logs in.
    log_in(m)
    assert [entry.operation for entry in aws.journal] == CALLS[source]


# Many who ask for something new at once: the call that was under way may be too
# old for them, but one more will do for all.
@pytest.mark.parametrize("source", ["ssm", "redshift-iam"])
def test_refreshes_at_once_share_a_call(start, aws, login, source):
    _, spec = login(source)
    m = start(db=spec)
    fault = aws.fault(CALLS[source][0], delay=600)
    first = m.start_sh(REFRESH, shell="bash")
    aws.wait_for(CALLS[source][0])

    more = [m.start_sh(REFRESH, shell="bash") for _ in range(10)]
    for client in more:
        client.wait_parked()
    fault.release()

    for client in [first, *more]:
        client.wait().check()
    assert aws.count(CALLS[source][0]) == 2


# The next look has the new value; so has the next login, without another call.
def test_a_refresh_brings_what_is_new(start, aws, login):
    gateway, spec = login("ssm", expose_token=True)
    m = start(db=spec)
    log_in(m)
    token = m.read("db", "creds", "token")

    gateway.password = aws.parameters[PARAMETER] = "second&Pass+2"
    kept = m.read("db", "creds", "token")
    bash(m, REFRESH).check()

    assert (token, kept) == (f"{PASSWORD}\n", f"{PASSWORD}\n")
    assert m.read("db", "creds", "token") == "second&Pass+2\n"
    log_in(m)
    assert [login.verdict for login in gateway.logins] == ["ok", "ok"]
    assert aws.count("GetParameter") == 2


ROLE = "arn:aws:iam::123456789012:role/etl"


# The errno is that of credentials, whatever went wrong, and the reason is shown
# until it is over.
def test_a_refresh_that_fails(start, aws, login):
    _, spec = login("rds-iam", type="postgres-aurora", role_arn=ROLE)
    m = start(db=spec)
    write = """
fd = os.open(C + "/creds/refresh", os.O_WRONLY)
say(code(os.write, fd, b"x"), code(os.close, fd))
"""

    failed = m.python(program(write)).check()

    assert failed.out == "EKEYREJECTED OK\n"
    seen = creds(m)
    assert seen["state"] == "failed"
    assert "sts:AssumeRole" in seen["error"] and ROLE in seen["error"]
    assert seen["issued_at"] is None


# -------------------------------------------------------------------------- token


# What lies there logs in: it is the token itself, and another one each time.
@pytest.mark.parametrize("source", SIGNED)
def test_the_token_is_a_token(start, aws, login, source):
    gateway, spec = login(source, expose_token=True)
    m = start(db=spec)
    bash(m, REFRESH).check()

    def token():
        return m.read("db", "creds", "token").removesuffix("\n")

    def check(text):
        if source == "rds-iam":
            aws.check_rds_token(text, "app", rds_names(gateway))
        else:
            aws.check_dsql_token(text, "admin", {gateway.host})
        return text

    def refreshed():
        bash(m, REFRESH).check()
        return token() != first

    first = check(token())
    # Signed in the same second, it would be the same.
    wait_for(refreshed, "another token")
    second = check(token())

    assert first != second
    log_in(m)
    mode = m.sh('stat -c "%A %u %s" "$C/creds/token"').check().out
    assert mode == f"-r-------- 0 {len(token()) + 1}\n"


# It is for the owner of the mount alone: not for another uid, not for root of a
# container, and not for who gets a descriptor of it.
HAND_OVER = program("""
fd = os.open(C + "/creds/token", os.O_RDONLY)
path = os.open(C + "/creds/token", os.O_PATH)
os.setuid(20001)
say(code(os.read, fd, 10), code(os.open, f"/proc/self/fd/{path}", os.O_RDONLY))
""")


def test_the_token_is_for_the_owner_alone(start, aws, login, busybox):
    _, spec = login("ssm", expose_token=True, **EVERYONE)
    m = start(db=spec, closed={**spec, "expose_token": False})
    for conn in ["db", "closed"]:
        bash(m, REFRESH, conn).check()
    look = 'ls "$C/creds"; cat "$C/creds/state" "$C/creds/token"'

    own = m.sh(look, "db").check()
    other = m.sh(look, "db", uid=OTHER)
    closed = m.sh(look, "closed")
    inside = m.container(look.replace("$C", "/conn/db"), busybox, userns=True)
    given = m.python(HAND_OVER, "db").check()

    assert "token" in own.lines and PASSWORD in own.lines
    for client in [other, closed, inside]:
        assert "valid" in client.lines
        assert "token" not in client.lines
        assert PASSWORD not in client.out
        assert "No such file or directory" in client.err
    assert given.out == "EACCES ESTALE\n"


# None of the other files has it, whatever happened.
@pytest.mark.parametrize("source", CALLS)
def test_no_other_file_has_the_secret(start, aws, login, source):
    gateway, spec = login(source, expose_token=True)
    m = start(db=spec)
    log_in(m)
    gateway.refuse_next(2)
    bash(m, WRITE)

    seen = m.sh(
        'cd "$M" && cat db/error db/status.json db/connection.json db/client.json'
        " db/creds/[a-q]* db/creds/s* db/creds/ttl db/creds/u* .connfs/*s"
        " .connfs/status.json README"
    ).check()

    assert "authentication failed" in seen.out or "access denied" in seen.out
    assert creds(m)["state"] == "failed"
    for shown in gateway.logins:
        assert shown.password not in seen.out
        assert "X-Amz-Signature" not in seen.out
        assert shown.password not in m.log


# -------------------------------------------------------------------- how long it lives


# A token of DSQL lives for as long as was asked for, up to a week.
def test_a_token_of_dsql_may_live_a_week(start, aws, login):
    _, spec = login("dsql-iam", token_duration="7d")
    m = start(db=spec)

    log_in(m)

    seen = creds(m)
    assert when(seen["expires_at"]) - when(seen["issued_at"]) in (604799, 604800)
    assert seen["state"] == "valid"


# Sessions outlive their token, and who comes later has one of his own: nobody is
# let in by what was signed at the start.
@pytest.mark.parametrize("source", SIGNED)
def test_who_comes_later_has_a_token_of_then(start, aws, login, test_dir, source):
    gateway, spec = login(source, max_connections=100)
    m = start(db=spec)
    door = Door(test_dir / "door")
    ask = 'echo "select 1 as a;" >"$C/query.sql" && cat "$C/result.csv"'
    early = m.start_sh(f"{ask}; read x <{door}; {ask}")
    door.reached()

    def another():
        log_in(m)
        return gateway.ok[-1].password != gateway.ok[0].password

    wait_for(another, "a token of another second")
    door.open()

    assert early.wait().check().out == "a\n1\n" * 2
    for login_ in gateway.ok:
        signed = re.search(r"X-Amz-Date=(\d{8}T\d{6}Z)", login_.password).group(1)
        at = datetime.datetime.strptime(signed + "+0000", "%Y%m%dT%H%M%SZ%z")
        assert -1 <= login_.time - at.timestamp() < 5 * SCALE
