# SPDX-License-Identifier: MIT
"""No secret of any login is seen but where it has to be."""

import json
import pathlib
import urllib.parse

import pytest

import clients
import leaks
import memory
from aws_all_logins import SSO_PROFILE, SSO_SESSION, Logins
from clients import wait_for

EXPOSED = ["my-secret", "pg-secret", "rds"]
# Of a user that has no part in the daemon.
CLOSED = ["auxv", "environ", "io", "maps", "mem", "pagemap", "smaps", "stack"]


@pytest.fixture
def logins(aws, home, pg, mariadb, pg_gateway, mysql_gateway):
    return Logins(aws, home, pg, mariadb, pg_gateway, mysql_gateway)


@pytest.fixture
def mount_all(mount, logins):
    """mount_all(debug) mounts them; what they log to the end shows no secret."""
    mounted = []

    def make(debug):
        flags = ["-d"] if debug else []
        mounted.append(mount(logins.specs, env=logins.env, flags=flags))
        return mounted[-1]

    yield make
    for m in mounted:
        m.secrets.update(logins.issued().values())


def in_sight(seen, logins):
    """Which secrets are in what leaks.seen() has found, by name: (where, name)."""
    return [
        (where, name)
        for where, text in seen.items()
        for name, secret in logins.issued().items()
        if leaks.found([secret], text)
    ]


def nothing_in_memory(m, logins):
    """Nothing that a core file would show when the work is done: as long as it is
    not, secrets are needed. AddressSanitizer keeps the environment as it was."""
    maps = pathlib.Path(f"/proc/{m.pid}/maps").read_text()
    kept = set(logins.env.values()) if "libasan" in maps else set()
    found = []

    def is_clean():
        secrets = {
            name: secret
            for name, secret in logins.issued().items()
            if urllib.parse.unquote(secret) not in kept
        }
        found[:] = memory.found(m.pid, secrets)
        return not found

    try:
        return wait_for(is_clean, "the work is done", 3)
    except AssertionError:
        raise AssertionError("\n".join(["in memory:", *found])) from None


def states(m):
    """connection -> (state, error) of its creds/."""
    script = (
        'cd "$M"; for c in */; do'
        ' echo "${c%/} $(cat $c/creds/state) $(cat $c/creds/error)"; done'
    )
    lines = [line.split(" ", 2) for line in m.sh(script).lines]
    return {conn: (state, error) for conn, state, error in lines}


@pytest.mark.parametrize("debug", [False, True])
def test_no_secret_is_seen_of_logins_that_work(mount_all, logins, debug):
    m = mount_all(debug)

    output = leaks.use_everything(m).stdout
    seen = {"output": output, **leaks.seen(m)}

    assert states(m) == {conn: ("valid", "") for conn in logins.specs}
    assert output.count(b"a\n1\n") == len(logins.specs)
    for uid in (0, leaks.OTHER):
        assert b"./rds/connection.json\n{" in seen[f"files as {uid}"]
    assert in_sight(seen, logins) == []
    assert nothing_in_memory(m, logins)


# The names of variables may stay; what they hold is overwritten.
def test_the_environment_shows_no_secret(mount_all, logins):
    m = mount_all(False)

    shown = leaks.seen(m)["environ"].split(b"\0")

    names = {line.partition(b"=")[0].decode() for line in shown}
    assert names >= {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PASSWORD_pgenv"}
    assert in_sight({"environ": b"\n".join(shown)}, logins) == []


# And nowhere but where the spec exposes it, to nobody but the owner.
def test_the_owner_sees_what_is_exposed(mount_all, logins):
    for name in EXPOSED:
        logins.specs[name]["expose_token"] = True
    m = mount_all(False)
    refresh = 'cd "$M"; for c in "$@"; do echo 1 >$c/creds/refresh; done'
    m.start_client(["sh", "-c", refresh, "sh", *EXPOSED]).wait().check()

    owners = leaks.tokens(m)
    others = leaks.tokens(m, uid=leaks.OTHER)

    assert sorted(owners) == EXPOSED
    for name in EXPOSED[:2]:
        assert owners[name] == logins.known[name]
    signature = owners["rds"].rpartition("&X-Amz-Signature=")[2]
    assert len(signature) == 64
    assert all(secret is None for secret in others.values())
    logins.known["signature that no server has seen"] = signature
    assert nothing_in_memory(m, logins)


# That it is so for who has the uid of the daemon, too, is seen in test_daemon.py.
def test_no_other_user_looks_into_the_daemon(mount_all, logins):
    m = mount_all(False)
    script = f"for f in {' '.join(CLOSED)}; do head -c 1 /proc/{m.pid}/$f; done"

    looked = clients.sh(script, uid=leaks.OTHER)

    assert looked.out == ""
    assert looked.err.count("Permission denied") == len(CLOSED)


# --- Failures


def quote_everything(logins):
    """Has AWS refuse all it is asked, in words that repeat what it was sent."""
    aws, known, key = logins.aws, logins.known, logins.key
    cached = json.loads(logins.home.sso_cache("mine").read_text())
    sent = {
        "GetSecretValue": [key.secret_key, key.session_token],
        "GetClusterCredentials": [key.secret_key, key.session_token],
        "GetCredentials": [key.secret_key, key.session_token],
        "AssumeRole": [known["external id"]],
        "AssumeRoleWithWebIdentity": [known["web identity token"]],
        "ContainerCredentials": [known["container token"]],
        "GetRoleCredentials": [cached["accessToken"]],
        "CreateToken": [cached["refreshToken"], cached["clientSecret"]],
    }
    for operation, secrets in sent.items():
        quoted = "".join(f" '{secret}'" for secret in secrets)
        text = f"Who sends{quoted} is not let in"
        aws.fault(operation, times=None, code="ValidationException", message=text)


def broken_sources(logins):
    """Profiles that nobody can make sense of, and that hold secrets all the same."""
    home = logins.home

    def secret(name):
        return logins.secret(f"{name} of something broken")

    def program(name, text):
        return f"credential_process = {home.program(f'echo {text!r}', name)}\n"

    home.sso_cache("broken").write_text(f'{{"accessToken": "{secret("sso")}')
    token = home.dir / "tokens"
    token.write_text(f"{secret('first line')}\n{secret('second line')}\n")
    value = secret("value")
    logins.add_profiles(
        no_equals=f"aws_access_key_id = AKIA\naws_secret_access_key {secret('line')}\n",
        half=f"aws_secret_access_key = {secret('key')}\n",
        blank=f"{secret('name')} =\n",
        indented=f"s3 =\n  {secret('nested')}\n",
        json=program("json", f'{{"SecretAccessKey": "{value}" "{value}"}}'),
        text=program("text", secret("text")),
        version=program("version", f'{{"Version": "{secret("version")}"}}'),
        names=program("names", f'{{"Version": 1, "Secret": "{secret("names")}"}}'),
        lines=f"role_arn = arn:aws:iam::123456789012:role/web\n"
        f"web_identity_token_file = {token}\n",
        broken=SSO_PROFILE.format("broken") + SSO_SESSION.format("broken"),
    )


def broken_values(logins):
    """Secrets of Secrets Manager that are no use, and a password that is none."""
    aws, specs = logins.aws, logins.specs
    secret = logins.secret("broken secret")
    values = {
        "text": secret,
        "cut": f'{{"username": "app", "password": "{secret}',
        "list": json.dumps({"username": "app", "password": [secret]}),
        "port": json.dumps({"password": secret, "port": secret}),
        "host": json.dumps({"password": secret, "host": {"a": secret}}),
        "bytes": secret.encode(),
    }
    without = {"host", "port", "connect_to"}
    spec = {k: v for k, v in specs["pg-secret"].items() if k not in without}
    for name, value in values.items():
        aws.secrets[name] = value
        specs[f"secret-{name}"] = {**spec, "secret_id": name}
    aws.parameters["strings"] = ("StringList", secret)
    specs["strings"] = {**specs["pg-parameter"], "password": "strings"}


def refused_by_servers(logins):
    """Logins of every kind."""
    for gateway in logins.gateways:
        gateway.refuse_next(10000)
    for kind in ("pg", "my"):
        wrong = logins.secret(f"wrong password of {kind}")
        for name in (f"{kind}plain", f"{kind}plain-tls"):
            logins.specs[name]["password_plain"] = wrong
        for source in ("file", "command"):
            (logins.home.dir / f"{kind}{source}").write_text(wrong)
        logins.env[f"PASSWORD_{kind}env"] = wrong
    return set(logins.specs)


def broken(logins):
    good = set(logins.specs)
    broken_sources(logins)
    broken_values(logins)
    return set(logins.specs) - good


def refused_by_aws(logins):
    quote_everything(logins)
    asks = ("role", "redshift", "serverless", "secret", "web", "sso")
    asks += ("container", "instance", "source")
    return {conn for conn in logins.specs if conn.endswith(asks)}


# Whatever goes wrong with a secret, nobody repeats it.
@pytest.mark.parametrize("spoil", [refused_by_aws, broken, refused_by_servers])
def test_no_secret_is_seen_of_logins_that_fail(mount_all, logins, spoil):
    bad = spoil(logins)
    m = mount_all(True)

    seen = {"output": leaks.use_everything(m).stdout, **leaks.seen(m)}

    told = states(m)
    assert {conn for conn, (state, error) in told.items() if error} == bad
    assert in_sight(seen, logins) == []
    assert nothing_in_memory(m, logins)
