# SPDX-License-Identifier: MIT
"""Fresh for ever: what expires is renewed before anybody needs it, over many lives,
after days, and whatever the clock does."""

import typing

import pytest

import clients
from aws_logins import PASSWORD, REFRESH, REJECTED, SECRET, WRITE, secret_of
from aws_sources import static
from aws_verify import epoch_of
from clients import SCALE, wait_for
from clocks import Clock
from fake_aws import Cluster, InstanceRole, Role, Workgroup
from gateway import Gateway
from logins import ROLE, dsql_fields, key_of, open_session, rds_fields, status
from logins import verdicts
from readers import digest, numbers

ONE = "a\n1\n"
ASK = 'echo "select 1 as a;" >"$C/query.sql" && cat "$C/result.csv"'
SERVERLESS = "wg1.123456789012.eu-west-1.redshift-serverless.amazonaws.com"
HOUR, DAY = 3600, 86400

SIGNED = ["rds", "mysql", "dsql"]
PASSWORDS = {"redshift": "GetClusterCredentials", "serverless": "GetCredentials"}
KINDS = [*SIGNED, *PASSWORDS, "secret"]


class Login(typing.NamedTuple):
    gateway: Gateway
    spec: dict


@pytest.fixture
def login(aws, pg_gateway, mysql_gateway):
    """login(kind, lifetime): one of each kind. lifetime: of the keys of the role that
    signs, or of the password that AWS gives."""

    def make(kind, lifetime=HOUR, **fields):
        if kind == "secret":
            gateway = pg_gateway(aws, kind="password", password=PASSWORD)
            fields = {"secret_id": SECRET, **fields}
            aws.secrets[fields["secret_id"]] = secret_of(gateway)
            return Login(gateway, {"type": "postgres", "enabled": True, **fields})
        if kind in SIGNED:
            aws.roles[ROLE] = Role(lifetime=lifetime)
            fields = {"role_arn": ROLE, **fields}
        if kind == "mysql":
            gateway = mysql_gateway(aws)
        elif kind == "serverless":
            aws.workgroups["wg1"] = Workgroup(lifetime=min(lifetime, 900))
            gateway = pg_gateway(aws, kind="redshift", host=SERVERLESS)
            fields = {"type": "redshift-serverless", "user": None, **fields}
        else:
            aws.clusters["shop"] = Cluster(lifetime=min(lifetime, 900))
            gateway = pg_gateway(aws, kind=kind)
            if kind == "redshift":
                fields = {"user": "etl", **fields}
        return Login(gateway, gateway.spec(**fields))

    return make


def signed_by(aws, login):
    """The key of AWS that its token is signed by."""
    dsql = ".dsql." in login.password.partition("/?")[0]
    return key_of(aws, (dsql_fields if dsql else rds_fields)(login)[1])


# --- Several lifetimes


ROWS = 20000
SERIES = f"select n from generate_series(1, {ROWS}) as s(n);"
SERIES_OF_MYSQL = f"select seq as n from seq_1_to_{ROWS};"
# A new session of the database each time.
TURN = (
    'cd "$C/sessions"; mkdir "$T" && echo "$SQL" >"$T/query.sql"'
    ' && md5sum <"$T/result.csv"; rmdir "$T"'
)


# A spec with nothing but its secret_id, tokens through a tunnel (all that have a
# connect_to) and without, passwords of Redshift: a job logs in again and again and
# streams its result. No login fails, none is even refused but for a password that
# was rotated, and all is renewed ahead of time.
@pytest.mark.timeout(120)
def test_several_lifetimes_unattended(mount, aws, login):
    life = 6 * SCALE
    made = {kind: login(kind, life) for kind in KINDS}
    specs = {kind: each.spec for kind, each in made.items()}
    m = mount(specs, settings={"param_cache_ttl": "30s"}, env=aws.env(aws.key()))
    log = m.log
    secret = made["secret"].gateway
    started, renewed = aws.now(), 0

    for turn in range(5):
        secret.password = f"{PASSWORD}-{turn}"
        aws.secrets[SECRET] = secret_of(secret)
        m.secrets.add(secret.password)
        jobs = {}
        for kind in KINDS:
            sql = SERIES_OF_MYSQL if kind == "mysql" else SERIES
            env = {"T": f"turn{turn}", "SQL": sql}
            jobs[kind] = m.start_sh(TURN, kind, env=env)
        for kind, job in jobs.items():
            assert job.wait().check().out.split()[0] == digest(numbers(ROWS)), kind
            seen = status(m, kind)
            assert seen["state"] in ("valid", "expiring"), kind  # just now
            assert seen["error"] is None, kind
        # Each of the three roles is assumed again, and nobody has asked for it.
        renewed = max(renewed, aws.count("AssumeRole")) + 3
        aws.wait_for("AssumeRole", renewed, 10 * SCALE)

    assert aws.now() - started >= 2.5 * life
    for kind in set(KINDS) - {"secret"}:
        assert verdicts(made[kind].gateway) == ["ok"] * 5, kind
    assert verdicts(secret) == ["ok"] + ["password", "ok"] * 4
    assert m.log == log
    check_renewals(aws, life, aws.now() - started)


def check_renewals(aws, life, elapsed):
    """Ahead of the end of what there was, and not all the time."""
    entries = {}
    for entry in aws.entries("AssumeRole"):
        entries.setdefault(entry.members["RoleSessionName"], []).append(entry)
    assert len(entries) == len(SIGNED)
    for operation in PASSWORDS.values():
        entries[operation] = aws.entries(operation)
    for name, those in entries.items():
        times = [entry.time for entry in those]
        pauses = [b - a for a, b in zip(times, times[1:])]
        assert max(pauses) < life, name
        assert len(times) <= 2 + elapsed / (life / 3), name


# While a password is renewed the one that works is used: a login takes no longer
# when AWS is slow, or ill.
def test_nobody_waits_for_a_renewal(mount, aws, login):
    made = {kind: login(kind, 9 * SCALE) for kind in PASSWORDS}
    env = aws.env(aws.key())
    # One of its own for each: AWS keeps a mount's next renewal waiting, too.
    mounts = {kind: mount(db=each.spec, env=env) for kind, each in made.items()}
    for m in mounts.values():
        open_session(m, "first")
    faults = [aws.fault(op, delay=600, status=500) for op in PASSWORDS.values()]
    for operation in PASSWORDS.values():
        aws.wait_for(operation, 2, 10 * SCALE)

    for m in mounts.values():
        open_session(m, "second")

    assert aws.count() == 4
    for m in mounts.values():
        assert status(m)["state"] == "expiring"
    for fault in faults:
        fault.release()
    for kind, m in mounts.items():
        wait_for(lambda m=m: status(m)["state"] == "valid", "it is renewed")
        open_session(m, "third")
        gateway = made[kind].gateway
        one, two, three = [each.password for each in gateway.logins]
        assert one == two != three
        assert verdicts(gateway) == ["ok"] * 3


# The same for keys that somebody has asked for anew: what they will sign is not
# better than what there is.
def test_nobody_waits_for_keys(mount, aws, login):
    made = {kind: login(kind) for kind in SIGNED}
    specs = {kind: each.spec for kind, each in made.items()}
    m = mount(specs, env=aws.env(aws.key()))
    for kind in SIGNED:
        open_session(m, "first", kind)
    *_, given = aws.entries("AssumeRole")
    # What has just been asked for is not asked for again.
    wait_for(lambda: aws.now() > given.time + 2, "the keys are old enough")
    fault = aws.fault("AssumeRole", times=3, delay=600)
    refreshes = [m.start_sh(REFRESH, kind) for kind in SIGNED]
    aws.wait_for("AssumeRole", 6)
    for refresh in refreshes:
        refresh.wait_parked()

    for kind in SIGNED:
        open_session(m, "second", kind)

    assert all(refresh.running for refresh in refreshes)
    fault.release()
    for refresh in refreshes:
        refresh.wait().check()
    for kind, (gateway, _) in made.items():
        open_session(m, "third", kind)
        one, two, three = [signed_by(aws, each) for each in gateway.logins]
        assert one is two and three is not one
        assert verdicts(gateway) == ["ok"] * 3


# --- States


# The role may not be assumed any more: what there is is used to its end, and said
# to have one; then there is nothing, no login is even tried, and AWS is not asked
# all the time. When it may again, nobody has to do anything.
def test_a_role_that_is_denied_and_allowed_again(mount, aws, login):
    gateway, spec = login("rds", 6 * SCALE)
    m = mount(db=spec, other=spec, env=aws.env(aws.key()))
    open_session(m, "first", "db")
    open_session(m, "first", "other")
    first = status(m)
    assert (first["state"], first["error"]) == ("valid", None)
    aws.denied.add("AssumeRole")

    wait_for(lambda: status(m)["error"], "the end is seen", 20)
    expiring = status(m)
    assert expiring["state"] == "expiring"
    open_session(m, "second", "db")
    for conn in ["db", "other"]:
        wait_for(lambda c=conn: status(m, c)["state"] == "failed", "it is over", 20)
    failed = status(m)
    other = status(m, "other")
    refused = m.sh(WRITE, "other", shell="bash")
    asked = aws.count("AssumeRole", ok=False)
    aws.denied.clear()

    for seen in [expiring, failed, other]:
        assert "sts:AssumeRole" in seen["error"]
    assert expiring["expires_at"] == first["expires_at"] == first["keys_expire_at"]
    assert failed["error"].startswith("the AWS keys expired at 20")
    assert REJECTED in refused.err
    assert verdicts(gateway) == ["ok"] * 3
    # 1 s, 2 s, 4 s .. after another, for each of the two.
    assert asked <= 2 * (3 + SCALE)
    for conn in ["db", "other"]:
        wait_for(lambda c=conn: status(m, c)["state"] == "valid", "good again", 40)
    assert status(m)["error"] is None
    before = aws.count("AssumeRole")
    open_session(m, "third", "db")
    assert aws.count("AssumeRole") == before
    assert verdicts(gateway) == ["ok"] * 4
    keys = [signed_by(aws, each) for each in gateway.logins]
    assert keys[3] not in keys[:3]


# A token dies with the keys that signed it, and says so; longer than it was made
# for it does not live either.
@pytest.mark.parametrize(
    "kind, keys, asked, life",
    [
        ("rds", 300, {}, None),
        ("rds", 6 * HOUR, {}, 900),
        ("mysql", 300, {}, None),
        ("dsql", 300, {}, None),
        ("dsql", HOUR, {"token_duration": 7 * DAY}, None),
        ("dsql", 8 * DAY, {"token_duration": 7 * DAY}, 7 * DAY),
    ],
)
def test_the_end_is_the_earlier_one(mount, aws, login, kind, keys, asked, life):
    aws.container = InstanceRole(lifetime=keys)
    gateway, spec = login(kind, role_arn=None, **asked)
    m = mount(db=spec, env=aws.env(**aws.container_env()))

    assert m.query("select 1 as a;").check().out == ONE

    seen = status(m)
    if life is None:
        assert seen["expires_at"] == seen["keys_expire_at"]
        assert keys - 10 * SCALE < seen["ttl"] <= keys
    else:
        assert seen["expires_at"] < seen["keys_expire_at"]
        assert life - 10 * SCALE < seen["ttl"] <= life
    assert verdicts(gateway) == ["ok"]


# --- Clocks


class Machine(Clock):
    """All clocks of the machine go forward, and AWS's with them."""

    def forward(self, m, seconds):
        self.put_forward(seconds)


class Wall(Machine):
    """The clock on the wall alone: the machine stood still, and was set."""

    def env(self):
        return {**super().env(), "DONT_FAKE_MONOTONIC": "1"}

    def ahead(self, m, seconds):
        """So many of AWS's."""
        self.put_forward(seconds)
        self._aws.clock_offset = 0


class Frozen:
    """The machine's clock stands still; connfs learns of AWS's from an answer."""

    def __init__(self, path, aws):
        self._aws = aws

    def env(self):
        return {}

    def forward(self, m, seconds):
        self._aws.clock_offset = seconds
        assert m.query("select 1 as a;", "teacher").check().out == ONE

    def ahead(self, m, seconds):
        self.forward(m, -seconds)


CLOCKS = {"frozen": Frozen}
if SCALE == 1:  # sanitizers do not see what a preloaded clock does to threads
    CLOCKS = {**CLOCKS, "machine": Machine, "wall": Wall}


@pytest.fixture(params=CLOCKS)
def clock(request, test_dir, aws):
    return CLOCKS[request.param](test_dir / "clock", aws)


@pytest.fixture
def start(mount, aws, login, clock):
    """start(kind=.., ..): a mount, and of whom its clock may learn; none of its values
    is kept."""

    def make(**specs):
        teacher = login("secret", secret_id="prod/teacher").spec
        settings = {"param_cache_ttl": 0}
        env = aws.env(aws.key(), **clock.env())
        return mount({**specs, "teacher": teacher}, settings=settings, env=env)

    return make


# Until 15 min before the end the keys sign; then others do, and the login waits for
# them once.
@pytest.mark.parametrize("kind", SIGNED)
def test_keys_with_little_time_left_do_not_sign(start, aws, login, clock, kind):
    gateway, spec = login(kind, HOUR)
    m = start(db=spec)
    open_session(m, "first", "db")

    clock.forward(m, 40 * 60)
    open_session(m, "second", "db")
    assert aws.count("AssumeRole") == 1
    clock.forward(m, 50 * 60)
    open_session(m, "third", "db")
    open_session(m, "fourth", "db")

    assert aws.count("AssumeRole") == 2
    one, two, three, four = [signed_by(aws, each) for each in gateway.logins]
    assert one is two and three is four and three is not one
    assert verdicts(gateway) == ["ok"] * 4
    assert 890 < status(m)["ttl"] <= 900


# That is a rule for all who come: while one of them asks for others, nobody signs
# with the old ones.
def test_nobody_signs_with_little_time_left(mount, aws, login, clock, test_dir):
    aws.container = InstanceRole(lifetime=HOUR)
    config = test_dir / "config"
    config.write_text(f"[profile teacher]\n{static(aws.key())}")
    config.chmod(0o600)
    env = aws.env(**aws.container_env(), **clock.env(), AWS_CONFIG_FILE=config)
    gateway, spec = login("rds", role_arn=None)
    teacher = login("secret", secret_id="prod/teacher", profile="teacher").spec
    settings = {"param_cache_ttl": 0}
    m = mount(a=spec, b=spec, teacher=teacher, settings=settings, env=env)
    for conn in "ab":
        open_session(m, "first", conn)
    clock.forward(m, 46 * 60)
    fault = aws.fault("ContainerCredentials", delay=600)

    waiting = [m.start_sh(ASK, "a")]
    aws.wait_for("ContainerCredentials", 2)
    waiting.append(m.start_sh(ASK, "b"))
    for client in waiting:
        client.wait_parked()
    fault.release()

    for client in waiting:
        assert client.wait().check().out == ONE
    keys = [signed_by(aws, each) for each in gateway.logins]
    assert keys[0] is keys[1] and keys[2] is keys[3] and keys[0] is not keys[2]
    assert verdicts(gateway) == ["ok"] * 4


# Nobody has looked, and the time is over.
def test_what_is_over_is_shown_to_be(start, aws, login, clock):
    _, spec = login("redshift")
    m = start(db=spec)
    open_session(m, "first", "db")

    clock.forward(m, HOUR)

    seen = status(m)
    assert (seen["state"], seen["ttl"], seen["error"]) == ("expired", 0, None)
    open_session(m, "second", "db")
    assert status(m)["state"] == "valid"
    assert status(m)["ttl"] > 600


# Three days later, after nobody has used it: of whatever kind, the login is like the
# first. And again, hours after that.
def test_days_later(start, aws, login, clock):
    made = {kind: login(kind) for kind in KINDS}
    m = start(**{kind: each.spec for kind, each in made.items()})
    log = m.log

    for turn, days in enumerate([0, 3, 3.5]):
        clock.forward(m, int(days * DAY))
        logged_in = {kind: len(each.gateway.logins) for kind, each in made.items()}
        for kind in KINDS:
            open_session(m, f"turn{turn}", kind)
            seen = status(m, kind)
            assert (seen["state"], seen["error"]) == ("valid", None), kind
        for kind, each in made.items():
            assert verdicts(each.gateway)[logged_in[kind] :] == ["ok"], kind
            if kind in SIGNED:
                assert signed_by(aws, each.gateway.logins[-1]).expires > aws.now()

    assert aws.count("AssumeRole", ok=True) == 3 * len(SIGNED)
    assert m.log == log


# The clock was wrong by hours, which AWS's answers told; then somebody set it right,
# or AWS told that. What was learnt before is not added to it.
@pytest.mark.parametrize("clock", sorted({*CLOCKS} - {"machine"}), indirect=True)
def test_a_clock_that_was_wrong(start, aws, login, clock):
    gateway, spec = login("rds")
    m = start(db=spec)
    for name, hours in [("wrong", 2), ("right", 0)]:
        clock.ahead(m, hours * HOUR)

        open_session(m, name, "db")

        dated = epoch_of(rds_fields(gateway.logins[-1])[1]["X-Amz-Date"])
        assert abs(dated - aws.now()) <= 2 * SCALE
        assert abs(status(m)["clock_offset_s"] + hours * HOUR) <= 2 * SCALE

    assert verdicts(gateway) == ["ok", "ok"]


# --- Many at once


def threads(m):
    """What each thread of the daemon does, and how often it has done something."""
    found = [clients.status_of(f"{m.pid}/task/{t}") for t in clients.threads_of(m.pid)]
    return [(t["Pid"], t["State"][0], t["voluntary_ctxt_switches"]) for t in found if t]


def all_wait(m, count):
    """Until so many log in, and all of them wait."""

    def settled():
        if m.read(".connfs", "statements").count("\tconnecting\t") != count:
            return False
        seen = threads(m)
        return {state for _, state, _ in seen} == {"S"} and threads(m) == seen

    wait_for(settled, "all of them want to log in", 60)


# Each has a token of its own, and the role is assumed once for all of them.
@pytest.mark.timeout(120)
def test_200_at_once_assume_the_role_once(mount, aws, pg_server, pg_gateway):
    server = pg_server(max_connections="300")
    gateway = pg_gateway(aws, server)
    aws.roles[ROLE] = Role()
    fields = {"max_connections": 200, "connect_timeout": 60}
    m = mount(db=gateway.spec(role_arn=ROLE, **fields), env=aws.env(aws.key()))
    fault = aws.fault("AssumeRole", delay=600)

    waiting = [m.start_sh(ASK) for _ in range(200)]
    aws.wait_for("AssumeRole")
    all_wait(m, 200)
    fault.release()

    for client in waiting:
        assert client.wait(60).check().out == ONE
    assert verdicts(gateway) == ["ok"] * 200
    assert aws.count() == 1


# They wait for one attempt and get what came of it. Who comes behind them in the
# queue does not try it all again: keys that were not to be had are left alone for
# a second.
@pytest.mark.parametrize(
    "kind, sessions", [("rds", 50), ("mysql", 50), ("redshift", 50), ("rds", 10)]
)
def test_50_that_fail_ask_once(mount, aws, login, kind, sessions):
    operation = PASSWORDS.get(kind, "AssumeRole")
    gateway, spec = login(kind, max_connections=sessions)
    m = mount(db=spec, env=aws.env(aws.key()))
    aws.denied.add(operation)
    fault = aws.fault(operation, delay=600)

    waiting = [m.start_sh(WRITE, shell="bash") for _ in range(50)]
    aws.wait_for(operation)
    all_wait(m, sessions)
    fault.release()

    for client in waiting:
        result = client.wait(60)
        assert result.rc == 1 and REJECTED in result.err, result
    assert operation in status(m)["error"]
    assert gateway.logins == []
    assert aws.count() <= (1 if sessions == 50 else 1 + SCALE)
