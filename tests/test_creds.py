# SPDX-License-Identifier: MIT
"""Credentials of the local sources, and what creds/ says of them."""

import json
import os
import re

import pytest

import servers
from clients import SCALE, processes_of_sessions, wait_for

WRITE = 'echo "select 1 as a;" >"$C/query.sql"'  # in bash, which tells the errno
REFRESH = 'echo 1 >"$C/creds/refresh"'
NAMES = ["state", "source", "user", "error"]
TIMES = ["issued_at", "expires_at", "ttl"]
LOGIN = ["host", "port", "database"]
KEYS = ["keys_source", "keys_expire_at", "clock_offset_s"]


def creds(m, conn="db"):
    """What the files of creds/ say, and that status.json says the same."""
    seen = {name: m.read(conn, "creds", name) for name in NAMES}
    whole = json.loads(m.read(conn, "creds", "status.json"))
    for name in NAMES:
        assert seen[name] == ("" if whole[name] is None else f"{whole[name]}\n")
    assert set(whole) == {*NAMES, *TIMES, *LOGIN, *KEYS}
    for name in TIMES:
        text = m.read(conn, "creds", name)
        assert text == ("" if whole[name] is None else f"{whole[name]}\n")
    # Nothing of what these tests use expires, or has to do with AWS.
    assert (whole["expires_at"], whole["ttl"]) == (None, None)
    assert [whole[name] for name in KEYS] == [None, None, 0]
    return seen


def bash(m, script, conn="db"):
    return m.sh(script, conn, shell="bash")


@pytest.fixture
def password(request):
    """The password of the login app."""
    kind = "server" if "server" in request.fixturenames else "pg"
    return request.getfixturevalue(kind).passwords["app"]


@pytest.fixture
def secret_file(test_dir):
    """secret_file(text) writes it to a file that only root can read."""
    path = test_dir / "secret"

    def write(text, mode=0o600):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return str(path)

    return write


@pytest.fixture
def command(test_dir):
    """command(script) makes a program of it, which notes each run: its path."""
    path = test_dir / "command"

    def make(script):
        path.write_text(f'#!/bin/sh\necho run >>"$(dirname "$0")/runs"\n{script}\n')
        path.chmod(0o700)
        return str(path)

    return make


@pytest.fixture
def runs(test_dir):
    """runs() is how often the command has run."""

    def count():
        try:
            return len((test_dir / "runs").read_text().splitlines())
        except FileNotFoundError:
            return 0

    return count


def without(server, **source):
    """A spec with another source of the password."""
    return server.spec(**{"password_plain": None, **source})


# Sources


# Each way to give a password logs in, and creds/ says which way it was.
@pytest.mark.parametrize("source", ["static", "file", "env", "command"])
def test_each_source_logs_in(mount, server, password, secret_file, command, source):
    spec = {
        "static": {"password_plain": password},
        "file": {"password_file": secret_file(password + "\nsecond line\n")},
        "env": {"password_env": "SHOP_PASSWORD"},
        "command": {"password_command": [command("cat secret"), "x"]},
    }[source]
    command(f"printf '%s\\n' '{password}'; echo more")
    m = mount(db=without(server, **spec), env={"SHOP_PASSWORD": password})
    m.secrets.add(password)

    assert m.query("select 5 as a;").out == "a\n5\n"

    assert creds(m) == {
        "state": "valid\n",
        "source": f"{source}\n",
        "user": "app\n",
        "error": "",
    }
    issued = json.loads(m.read("db", "creds", "status.json"))["issued_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.0+)?Z", issued)
    shown = json.loads(m.read("db", "connection.json"))
    assert shown["password_source"] == source


# A file has no login; a server that asks for none gets none.
def test_without_a_password_nothing_is_needed(mount, pg, test_dir):
    m = mount(
        file=servers.Sqlite(test_dir / "a.db").spec(),
        db=without(pg, user="postgres"),
    )

    assert m.query("select 1 as a;", "file").out == "a\n1\n"
    assert m.query("select 1 as a;", "db").out == "a\n1\n"

    nothing = {"state": "none\n", "source": "", "error": ""}
    assert creds(m, "file") == {**nothing, "user": ""}
    assert creds(m) == {**nothing, "user": "postgres\n"}
    assert bash(m, REFRESH).check().out == ""


# Before the first login: what stands in the spec is known, a file or a command
# is looked at when it is needed.
@pytest.mark.parametrize(
    "source, state",
    [("static", "valid"), ("env", "valid"), ("file", "none"), ("command", "none")],
)
def test_the_state_before_the_first_login(
    mount, pg, password, secret_file, command, runs, source, state
):
    spec = {
        "static": {"password_plain": password},
        "file": {"password_file": secret_file(password)},
        "env": {"password_env": "SHOP_PASSWORD"},
        "command": {"password_command": [command("echo x")]},
    }[source]
    m = mount(db=without(pg, **spec), env={"SHOP_PASSWORD": password})

    assert creds(m)["state"] == f"{state}\n"
    assert runs() == 0


# Bytes that mean something to a shell, to SQL, to a connection string or to a
# template are bytes of a password.
ODD = [
    "it's",
    'double"quote',
    "back\\slash\\'",
    " leading and trailing ",
    "tab\there",
    "100%s %(x)s %%",
    "grüße € 😀",
    "a=b host=/tmp",
    "$HOME `id` $(id) {user}",
    "#;--/*",
    "x" * 900,
]


@pytest.mark.parametrize("source", ["static", "file", "env", "command"])
def test_odd_passwords_reach_the_server_as_they_are(
    mount, server, secret_file, command, source
):
    logins = [f"odd{source}{i}" for i in range(len(ODD))]
    specs, env, printed = {}, {}, []
    printer = command('sed -n "$1p" "$(dirname "$0")/secret"')
    for i, (login, odd) in enumerate(zip(logins, ODD)):
        if login not in server.passwords:
            server.create_user(login, odd)
            server.create_database(login, owner=login)
        env[f"ODD{i}"] = odd
        printed.append(odd)
        own = {
            "static": {"password_plain": odd},
            "env": {"password_env": f"ODD{i}"},
            "command": {"password_command": [printer, str(i + 1)]},
        }.get(source)
        if own is None:
            path = secret_file("")
            os.rename(path, f"{path}{i}")
            with open(f"{path}{i}", "w") as f:
                f.write(odd + "\n")
            own = {"password_file": f"{path}{i}"}
        specs[f"c{i}"] = without(server, user=login, database=login, **own)
    secret_file("\n".join(printed) + "\n")
    m = mount(specs, env=env if source == "env" else None)
    user = {"postgres": "current_user", "mariadb": "substring_index(user(), \"@\", 1)"}
    script = (
        f"cd $M; for c in c*; do echo 'select {user[server.name]} as u;' >$c/query.sql;"
        " tail -n 1 $c/result.csv; done"
    )

    assert sorted(m.sh(script).check().lines) == sorted(logins)


# Refresh


REFUSALS = {
    "postgres": 'password authentication failed for user "app"',
    "mariadb": "Access denied for user 'app'@'localhost'",
}


# A file is read anew for every login, so nothing has to be told.
def test_a_changed_file_counts_for_the_next_login(mount, server, password, secret_file):
    m = mount(db=without(server, password_file=secret_file("wrong")))

    refused = bash(m, WRITE)

    assert "Permission denied" in refused.err
    seen = creds(m)
    assert seen["state"] == "failed\n"
    assert REFUSALS[server.name] in seen["error"]

    secret_file(password)

    assert m.query("select 1 as a;").out == "a\n1\n"
    assert (creds(m)["state"], creds(m)["error"]) == ("valid\n", "")


# The value is kept between logins; refresh runs the command again.
def test_refresh_runs_the_command_again(mount, server, password, command, runs):
    m = mount(db=without(server, password_command=[command(f"echo '{password}'")]))
    for _ in range(3):
        assert m.query("select 1 as a;").out == "a\n1\n"
    assert runs() == 1

    bash(m, REFRESH).check()

    assert runs() == 2
    assert m.query("select 1 as a;").out == "a\n1\n"
    assert runs() == 2


# A server that refuses makes the value worth nothing: the next login asks anew.
def test_a_refused_password_is_obtained_anew(mount, server, password, command, runs):
    m = mount(db=without(server, password_command=[command("echo wrong")]))
    assert "Permission denied" in bash(m, WRITE).err
    assert creds(m)["state"] == "failed\n"
    assert runs() == 1

    command(f"echo '{password}'")

    assert m.query("select 1 as a;").out == "a\n1\n"
    assert runs() == 2


def test_a_refresh_that_fails_says_why(mount, pg, password, secret_file):
    path = secret_file(password)
    m = mount(db=without(pg, password_file=path))
    bash(m, REFRESH).check()
    assert creds(m)["state"] == "valid\n"

    os.unlink(path)
    failed = bash(m, REFRESH)

    assert "Key was rejected by service" in failed.err
    assert creds(m) == {
        "state": "failed\n",
        "source": "file\n",
        "user": "app\n",
        "error": f"password_file: {path}: No such file or directory\n",
    }


BY_HAND = "(run it by hand as the user who mounted)"


# EKEYREJECTED is "credentials cannot be obtained": no server was asked.
@pytest.mark.parametrize(
    "script, why",
    [
        ("exit 3", f"{{}} ended with exit status 3 {BY_HAND}"),
        (
            "echo 'no ticket' >&2; echo more >&2; exit 1",
            f"{{}} ended with exit status 1: no ticket {BY_HAND}",
        ),
        ("kill -9 $$", f"{{}} ended with signal 9 {BY_HAND}"),
        ("true", "the first line is empty"),
        ("printf 'a\\000b\\n'", "the first line holds a NUL byte"),
        (
            "head -c 200000 /dev/zero | tr '\\0' x",
            "the first line is over 65536 bytes long",
        ),
    ],
)
def test_a_command_that_fails_is_ekeyrejected(mount, pg, command, script, why):
    path = command(script)
    m = mount(db=without(pg, password_command=[path]))

    refused = bash(m, WRITE)

    assert "Key was rejected by service" in refused.err
    expected = f"password_command: {why.format(path)}\n"
    assert creds(m)["error"] == expected
    assert creds(m)["state"] == "failed\n"
    assert expected.strip() in m.sh(f'{WRITE}; cat "$C/error"', "db").out


# 30 s are the limit; what the program started goes with it.
@pytest.mark.timeout(90)
def test_a_command_that_hangs_is_ended_after_30_seconds(mount, pg, command, runs):
    m = mount(db=without(pg, password_command=[command("sleep 600 & sleep 600")]))

    waiting = m.start_sh(WRITE, shell="bash")
    wait_for(lambda: runs() == 1, "the command runs")
    # Nobody else has to wait for it, creds/ least of all.
    assert m.sh('cat "$C/creds/state"', timeout=5).check().out == "none\n"
    refused = waiting.wait(45)

    assert "Key was rejected by service" in refused.err
    assert 29 < refused.elapsed < 40
    assert creds(m)["error"].endswith("was killed: it had not ended after 30 s\n")


# Who waits for a refresh may give up; the daemon may end meanwhile, and takes
# the command with it.
def test_a_refresh_can_be_interrupted(mount, pg, command, runs, test_dir):
    script = 'echo $$ >"$(dirname "$0")/pid"; sleep 600'
    m = mount(db=without(pg, password_command=[command(script)]))
    waiting = m.start_sh(f"exec 2>/dev/null; {REFRESH}", shell="bash")
    wait_for(lambda: runs() == 1, "the command runs")
    waiting.wait_parked()

    waiting.kill()

    assert waiting.wait(5).rc == -9
    m.process.terminate()
    assert m.process.wait(5 * SCALE) == 0
    group = int((test_dir / "pid").read_text())
    wait_for(lambda: not processes_of_sessions([group]), "the command ends")


# Reading creds/ never connects to anything, and never runs the command.
def test_reading_creds_obtains_nothing(mount, server, command, runs):
    m = mount(db=without(server, password_command=[command("echo x")], tcp=True))

    for _ in range(3):
        m.sh('cd "$C/creds"; cat state source user error status.json').check()

    assert runs() == 0
    assert server.activity() == []


ALONE = """
import json, os, sys
fds = os.listdir('/proc/self/fd')  # and the one that lists them
json.dump({
    'argv': sys.argv[2:],
    'files': [os.readlink('/proc/self/fd/' + n) for n in fds if n in '012'],
    'n_files': len(fds) - 1,
    'environ': dict(os.environ),
    'leads': os.getsid(0) == os.getpid(),
}, open(sys.argv[1], 'w'))
print(open(sys.argv[1] + '.password').read())
"""


# The command gets what it is given: no shell, no descriptor, no other secret.
def test_the_command_runs_alone(mount, pg, password, test_dir):
    seen = test_dir / "seen"
    (test_dir / "seen.password").write_text(password)
    argv = ["/usr/bin/python3", "-c", ALONE, str(seen), "$HOME", "a b", "*"]
    m = mount(
        db=without(pg, password_command=argv),
        other=without(pg, password_env="OTHER_PASSWORD"),
        env={"OTHER_PASSWORD": "not-for-the-command", "FOR_ALL": "yes"},
    )

    assert m.query("select 1 as a;", "db").out == "a\n1\n"

    told = json.loads(seen.read_text())
    assert told["argv"] == ["$HOME", "a b", "*"]
    assert told["files"][0] == "/dev/null"
    assert told["n_files"] == 3
    assert told["environ"]["FOR_ALL"] == "yes"
    assert "not-for-the-command" not in str(told["environ"])
    assert told["leads"]


# Spec errors


# `password` is the name of a parameter, in SSM; one that cannot be a name is
# somebody's password, and is not repeated.
@pytest.mark.parametrize(
    "fields, why",
    [
        (
            {"password": "hunter2!"},
            "password: must be the name of an SSM parameter (letters, digits and any"
            " of _.-/:), not what it holds",
        ),
        (
            {"role_arn": "arn:aws:iam::1:role/x"},
            "role_arn: does not go with type postgres",
        ),
        (
            {"expose_token": "yes"},
            "expose_token: must be true or false, without quotes",
        ),
        (
            {"type": "postgres-rds", "host": "/run"},
            "host: without a password type postgres-rds logs in by a token of AWS,"
            " and not over a unix socket",
        ),
        (
            {"password_plain": "a", "password_env": "B"},
            "password_env: password_plain is given already, and exactly one is used",
        ),
        ({"password_plain": ""}, "password_plain: must not be empty"),
        ({"password_file": "relative"}, "password_file: must be an absolute path"),
        (
            {"password_env": "NOT_SET_ANYWHERE"},
            "password_env: NOT_SET_ANYWHERE is not set in the environment of connfs",
        ),
        (
            {"password_command": "/bin/echo x"},
            "password_command: must be an array of strings, a program and its"
            " arguments",
        ),
        (
            {"password_command": ["echo", "x"]},
            "password_command: must begin with the absolute path of a program",
        ),
        (
            {"password_command": ["/etc/passwd"]},
            "password_command: /etc/passwd is not a program that can be run",
        ),
    ],
)
def test_what_is_no_source_of_a_password_is_a_spec_error(
    connfs, pg, test_dir, fields, why
):
    path = test_dir / "spec.json"
    path.write_text(json.dumps({"conn_id": "db", **without(pg, **fields)}))
    path.chmod(0o600)

    checked = connfs("--check", path)

    assert (checked.rc, checked.out) == (1, f"BAD  {path}: db: {why}\n")


# Not even when nothing is known of AWS.
def test_the_name_of_a_parameter_is_never_sent(mount, pg):
    env = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    }
    m = mount(db=without(pg, password="/prod/shop/pw", region="eu-west-1"), env=env)

    refused = bash(m, WRITE)

    assert "Key was rejected by service" in refused.err
    assert creds(m)["source"] == "ssm\n"
    assert "password" in creds(m)["error"]
    assert pg.activity() == []


# The secret itself: for the owner of the mount, and only when the spec says so.
def test_the_secret_can_be_exposed_to_the_owner(mount, pg, password):
    m = mount(
        db={**pg.spec(), "expose_token": True, "access": {"everyone": True}},
        closed={**pg.spec(), "access": {"everyone": True}},
    )
    token = '"$C/creds/token"'

    m.query("select 1 as a;", "db")

    assert m.sh(f'stat -c "%A %s" {token}; cat {token}', "db").check().lines == [
        f"-r-------- {len(password) + 1}",
        password,
    ]
    assert not m.sh(f"cat {token}", "closed").out
    assert "No such file" in m.sh(f"cat {token}", "db", uid=1000).err
    assert "token" not in m.sh('ls "$C/creds"', "db", uid=1000).check().lines
    assert "token" not in m.sh('ls "$C/creds"', "closed").check().lines


def test_an_exposed_secret_is_there_once_it_is_held(mount, pg, password, command):
    program = command(f"echo '{password}'")
    m = mount(db=without(pg, password_command=[program], expose_token=True))
    m.secrets.add(password)

    early = m.sh('cat "$C/creds/token"')
    m.query("select 1 as a;")

    assert "No data available" in early.err
    assert m.sh('cat "$C/creds/token"').check().out == f"{password}\n"


# A password that others can read is none.
@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_password_in_a_readable_spec_is_refused(connfs, pg, test_dir, mode):
    path = test_dir / "spec.json"
    path.write_text(json.dumps({"conn_id": "db", **pg.spec()}))
    path.chmod(mode)

    checked = connfs("--check", path)

    assert checked.rc == 1
    assert checked.out == (
        f"BAD  {path}: db: password_plain: others can read the file it stands in:"
        " chmod 600\n"
    )


# What others can write decides what is sent, or what runs as the daemon.
@pytest.mark.parametrize("key", ["password_file", "password_command"])
def test_what_others_can_write_is_refused(connfs, pg, test_dir, secret_file, key):
    secret = secret_file("x", 0o722)
    value = [secret] if key == "password_command" else secret
    path = test_dir / "spec.json"
    path.write_text(json.dumps({"conn_id": "db", **without(pg, **{key: value})}))
    path.chmod(0o600)

    checked = connfs("--check", path)

    assert checked.out == (
        f"BAD  {path}: db: {key}: {secret} can be written by others than its"
        " owner: chmod go-w\n"
    )
