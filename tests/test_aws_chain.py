# SPDX-License-Identifier: MIT
"""The chain of sources of AWS keys; and environment and programs, of them."""

import pytest

from aws_sources import key_json, static
from clients import SCALE, processes_of_sessions, wait_for
from fake_aws import InstanceRole, Role
from fake_aws_wire import iso

ROLE = "arn:aws:iam::123456789012:role/{}"


def shown(when):
    """As creds/ shows a whole second."""
    return iso(when)[:-1] + ".000Z"


def process(home, script, name="mine"):
    """A profile with a program of that shell script."""
    return f"[profile {name}]\ncredential_process = {home.program(script, name)}\n"


# --- The environment


@pytest.mark.parametrize("kind", ["pair", "temporary", "old name", "until", "empty"])
def test_keys_of_the_environment(rds, aws, kind):
    key = aws.key(temporary=kind not in ("pair", "empty"))
    env = aws.env(key)
    if kind == "old name":
        env["AWS_SECURITY_TOKEN"] = env.pop("AWS_SESSION_TOKEN")
    elif kind == "empty":
        env["AWS_SESSION_TOKEN"] = ""
    elif kind == "until":
        env["AWS_CREDENTIAL_EXPIRATION"] = iso(key.expires)
    m = rds.mount(env)

    assert rds.key(m) == key
    status = rds.status(m)
    assert status["keys_source"] == "environment"
    until = shown(key.expires) if kind == "until" else None
    assert status["keys_expire_at"] == until


# Half of a pair is no pair: the instance behind it has other rights.
@pytest.mark.parametrize(
    "spoil, error",
    [
        ({"AWS_SECRET_ACCESS_KEY": None}, "AWS_SECRET_ACCESS_KEY is not set"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "AWS_SECRET_ACCESS_KEY is not set"),
        (
            {"AWS_CREDENTIAL_EXPIRATION": "tomorrow"},
            "AWS_CREDENTIAL_EXPIRATION is no ISO 8601 time",
        ),
        (
            {"AWS_CREDENTIAL_EXPIRATION": "2026-01-02T03:04:05+00:00"},
            "the keys expired at 2026-01-02T03:04:05+00:00, and those of an"
            " environment cannot be renewed: mount again with new ones, or use a"
            " profile",
        ),
    ],
)
def test_keys_of_the_environment_that_are_no_use(rds, aws, spoil, error):
    aws.instance_role = InstanceRole()
    m = rds.mount(aws.env(aws.key(temporary=True), **{**aws.imds_env(), **spoil}))

    assert rds.error(m) == f"environment: {error}"
    assert aws.journal == []


# A token that expired keys have signed would be refused without a reason: there
# is none. And what it says of its life is true.
def test_keys_of_the_environment_end(rds, aws):
    key = aws.key(temporary=True, lifetime=3 * SCALE)
    until = iso(key.expires)
    m = rds.mount(aws.env(key, AWS_CREDENTIAL_EXPIRATION=until), db={}, later={})
    assert rds.key(m) == key
    status = rds.status(m)
    assert status["keys_expire_at"] == status["expires_at"] == shown(key.expires)

    wait_for(lambda: rds.status(m)["state"] == "failed", "the keys expire")

    error = rds.error(m, "later")
    assert f"the keys expired at {until}, and those of an environment" in error
    assert rds.status(m)["error"] == error


# --- The order


# The first that is configured. Each is taken away in turn; all of them work.
def test_the_first_that_is_configured_gives_the_keys(rds, aws, home):
    keys = {"environment": aws.key(), "profile other": aws.key()}
    keys["profile default"] = aws.key()
    home.write(
        f"[default]\n{static(keys['profile default'])}"
        f"[profile other]\n{static(keys['profile other'])}"
    )
    token = home.dir / "token"
    token.write_text("of the pod")
    aws.web_identity_tokens = {"of the pod"}
    aws.roles[ROLE.format("web")] = Role()
    aws.container.name = "container"
    aws.instance_role = InstanceRole("imds")
    env = aws.env(
        keys["environment"],
        **home.env(),
        **aws.container_env(),
        **aws.imds_env(),
        AWS_WEB_IDENTITY_TOKEN_FILE=token,
        AWS_ROLE_ARN=ROLE.format("web"),
        AWS_PROFILE="other",
    )
    taken_away = {
        "environment": lambda: env.pop("AWS_ACCESS_KEY_ID"),
        "web identity": lambda: env.pop("AWS_WEB_IDENTITY_TOKEN_FILE"),
        "profile other": lambda: env.pop("AWS_PROFILE"),
        "profile default": home.config.unlink,
        "container": lambda: env.pop("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        "imds": lambda: None,
    }
    roles = {"web identity": "web", "container": "container", "imds": "imds"}

    for source, take_away in taken_away.items():
        m = rds.mount(env)
        key = rds.key(m)
        assert rds.source(m) == source
        if source in roles:
            assert key.role == ROLE.format(roles[source])
        else:
            assert key == keys[source]
        take_away()


# One that is configured and broken must not be hidden by the next, which may
# have other rights: nobody asks the instance.
BROKEN = {
    "environment": ({"AWS_ACCESS_KEY_ID": "AKIA"}, "AWS_SECRET_ACCESS_KEY"),
    "web identity": (
        {
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent/token",
            "AWS_ROLE_ARN": ROLE.format("web"),
        },
        "web_identity_token_file: /nonexistent/token: No such file or directory",
    ),
    "web identity ": (
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent/token"},
        "a web identity token needs the role to assume: AWS_ROLE_ARN",
    ),
    "AWS_PROFILE": ({"AWS_PROFILE": "missing"}, "there is no profile missing in "),
    "profile half": ({"AWS_PROFILE": "half"}, "aws_access_key_id stands without"),
    "profile default": ({}, "role_arn needs source_profile or credential_source"),
    "container": (
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/nobody",
            "AWS_CONFIG_FILE": "/nonexistent",
        },
        "",
    ),
}


@pytest.mark.parametrize("source", BROKEN)
def test_one_that_fails_is_not_skipped(rds, aws, home, source):
    env, error = BROKEN[source]
    aws.instance_role = InstanceRole()
    home.write(
        "[default]\nrole_arn = x\n[profile half]\naws_access_key_id = x\n"
    )
    m = rds.mount(aws.env(**{**home.env(), **aws.imds_env(), **env}))

    assert rds.error(m).startswith(f"{source.strip()}: {error}")
    assert aws.count("ImdsToken") == 0


# The text of last resort says where it was looked.
def test_nothing_configured_at_all_says_what_was_looked_for(rds, aws, home):
    m = rds.mount(aws.env(**home.env()))

    assert rds.error(m) == (
        "AWS keys: AWS_EC2_METADATA_DISABLED is set, and nothing else is configured:"
        " no AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE or"
        " AWS_CONTAINER_CREDENTIALS_*_URI, no keys of profile default in"
        f" {home.config} and {home.credentials}"
    )
    assert rds.source(m) is None

    # It is looked again for each login: files may appear.
    key = aws.key()
    home.write(credentials=f"[default]\n{static(key)}")
    assert rds.key(m) == key


# --- Programs


# Split as a shell would, but no shell: nothing is expanded.
def test_a_program_gets_its_arguments_as_they_are(rds, aws, home):
    key = aws.key(temporary=True)
    answer = key_json(key, Expiration=iso(key.expires))
    note = 'for a; do echo "<$a>"; done >"$0.args"'
    program = home.program(f"{note}; echo '{answer}'", "a b")
    home.write(
        f"[profile mine]\ncredential_process = \"{program}\" one 'two  2' "
        'three\\ 3 "fo\\"ur" $HOME `id` *;x \'\'\n'
    )
    m = rds.mount(aws.env(**home.env()), db={"profile": "mine"})

    assert rds.key(m) == key
    status = rds.status(m)
    assert status["keys_source"] == "profile mine"
    assert status["keys_expire_at"] == shown(key.expires)
    assert (home.dir / "a b.args").read_text().splitlines() == [
        "<one>", "<two  2>", "<three 3>", '<fo"ur>', "<$HOME>", "<`id`>", "<*;x>",
        "<>",
    ]  # fmt: skip


HAND = "(run it by hand as the user who mounted)"
PAIR = '"AccessKeyId": "AKIAX", "SecretAccessKey": "s3cr3t-of-the-program"'
FAILING = {
    "status": (
        "echo 'log in first' >&2; exit 7",
        f"{{program}} ended with exit status 7: log in first {HAND}",
    ),
    "signal": ("kill -9 $$", f"{{program}} ended with signal 9 {HAND}"),
    "words": (
        "echo AKIAX s3cr3t-of-the-program",
        "its output is not a JSON object (line 1, column 5)",
    ),
    "silence": ("true", "its output is not a JSON object (line 1, column 0)"),
    "version": (f"echo '{{\"Version\": 2, {PAIR}}}'", 'its output has no "Version": 1'),
    "half": (
        'echo \'{"Version": 1, "AccessKeyId": "AKIAX"}\'',
        "the answer has no SecretAccessKey",
    ),
    "time": (
        f"echo '{{\"Version\": 1, {PAIR}, \"Expiration\": \"soon\"}}'",
        "the Expiration in the answer is no ISO 8601 time",
    ),
    "missing": (
        None,
        "/nonexistent/program cannot be started: No such file or directory",
    ),
}


def test_a_program_that_fails_says_how(rds, aws, home):
    text = ""
    for name, (script, _) in FAILING.items():
        if script is None:
            text += f"[profile {name}]\ncredential_process = /nonexistent/program x\n"
        else:
            text += process(home, script, name)
    home.write(text)
    conns = {name: {"profile": name} for name in FAILING}
    m = rds.mount(aws.env(**home.env()), **conns)
    m.secrets.add("s3cr3t-of-the-program")

    for name, (_, error) in FAILING.items():
        expected = error.format(program=home.dir / name)
        assert rds.error(m, name) == f"profile {name}: credential_process: {expected}"


def test_keys_that_a_program_gives_too_late(rds, aws, home):
    key = aws.key(temporary=True)
    home.write(
        process(home, f"echo '{key_json(key, Expiration='2026-01-02T03:04:05Z')}'")
    )
    m = rds.mount(aws.env(**home.env()), db={"profile": "mine"})

    assert rds.error(m) == (
        "profile mine: it gives keys that expired at 2026-01-02T03:04:05Z: renew them"
        " there, or set the clock"
    )


# What it prints to stderr is shown when it fails, the first line of it; when it
# succeeds nobody sees it.
@pytest.mark.parametrize("rc", [0, 1])
def test_what_a_program_says_besides_is_not_repeated(rds, aws, home, rc):
    key = aws.key(temporary=True)
    secret = "s3cr3t-on-the-second-line"
    script = f"echo 'it went so and so\n{secret}' >&2\necho '{key_json(key)}'"
    home.write(process(home, f"{script}\nexit {rc}"))
    m = rds.mount(aws.env(**home.env()), db={"profile": "mine"}, flags=["-d"])
    m.secrets.add(secret)

    if rc == 0:
        assert rds.key(m) == key
        m.secrets.add("it went so and so")
    else:
        assert "exit status 1: it went so and so (run" in rds.error(m)

    shown = m.sh('cd "$C"; cat error status.json connection.json creds/[a-su-z]*').out
    assert "expires_at" in shown
    for text in (secret, key.secret_key, key.session_token):
        assert text not in shown


# Nobody but who needs its keys waits for it, and nothing of it is left.
def test_a_program_that_hangs_keeps_nobody_else(rds, aws, home):
    key = aws.key()
    home.write(
        process(home, 'echo $$ >"$0.pid"; sleep 600 & sleep 600', "slow")
        + f"[profile quick]\n{static(key)}"
    )
    pid = home.dir / "slow.pid"
    m = rds.mount(
        aws.env(**home.env()),
        slow={"profile": "slow"},
        slower={"profile": "slow"},
        quick={"profile": "quick"},
    )
    query = 'echo "select 1 as a;" >"$C/query.sql"'
    waiting = [m.start_sh(query, conn) for conn in ("slow", "slower")]
    wait_for(lambda: pid.exists() and pid.read_text().endswith("\n"), "it runs")
    waiting[1].wait_parked()

    assert rds.key(m, "quick") == key
    assert m.read("slow", "creds", "state") == "none\n"

    session = int(pid.read_text())
    m.process.terminate()
    assert m.process.wait(5 * SCALE) == 0
    wait_for(lambda: not processes_of_sessions([session]), "all of it has ended")


# Without an end they are kept, until a login with them is refused.
def test_a_program_is_run_when_its_keys_are_needed(rds, aws, home):
    key, other = aws.key(), aws.key()
    keys = home.dir / "keys"
    keys.write_text(key_json(key))
    home.write(process(home, f'echo >>"$0.runs"; cat {keys}'))
    runs = home.dir / "mine.runs"
    conns = {name: {"profile": "mine"} for name in "abc"}
    m = rds.mount(aws.env(**home.env()), **conns)
    assert not runs.exists()
    assert (rds.key(m, "a"), rds.key(m, "b")) == (key, key)
    assert runs.read_text() == "\n"

    keys.write_text(key_json(other))
    aws.expire(key)

    def other_is_used():
        m.query("select 1 as a;", "c")
        return len(rds.gateway.ok) == 3

    wait_for(other_is_used, "the program is asked again")
    assert other.access_key in rds.gateway.ok[-1].password


# They are renewed as long as it is there; the program runs once for all.
def test_a_program_is_run_again_before_its_keys_expire(rds, aws, home):
    keys = home.dir / "keys"

    def give(key):
        fresh = keys.with_name("fresh")
        fresh.write_text(key_json(key, Expiration=iso(key.expires)))
        fresh.rename(keys)

    first = aws.key(temporary=True, lifetime=3 * SCALE)
    second = aws.key(temporary=True)
    give(first)
    home.write(process(home, f"cat {keys}"))
    m = rds.mount(
        aws.env(**home.env()), db={"profile": "mine"}, later={"profile": "mine"}
    )
    assert rds.key(m) == first

    give(second)
    until = shown(second.expires)
    wait_for(lambda: rds.status(m)["keys_expire_at"] == until, "they are renewed")

    assert rds.key(m, "later") == second
