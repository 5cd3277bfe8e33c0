# SPDX-License-Identifier: MIT
"""What tests of logins with credentials of AWS share."""

import contextlib
import json
import time

import aws_verify
from clients import wait_for
from doors import Door
from jobs import job
from programs import run_text

ROLE = "arn:aws:iam::123456789012:role/db/etl"


def status(m, conn="db"):
    """creds/status.json."""
    return json.loads(m.read(conn, "creds", "status.json"))


def open_session(m, name, conn=None):
    """A database session, which stays until the mount ends."""
    m.sh(
        f'mkdir "$C/sessions/{name}"'
        f' && echo "begin; select 1 as a;" >"$C/sessions/{name}/query.sql"',
        conn,
    ).check()


def refused(m, errno, conn="db"):
    """A statement that ends with that errno: what creds/error says."""
    outcome = run_text(m, "select 1 as a;", conn=conn)
    assert (outcome.writes, outcome.result) == ([errno], errno), outcome
    said = m.read(conn, "creds", "error")
    assert said.endswith("\n") and "\n" not in said[:-1]
    return said[:-1]


@contextlib.contextmanager
def first_job(m, sql, path):
    """Runs sql as job 1, which stays: its session can be lent, and does not end
    with its conversation. The value it has asked for; path: for a Door."""
    door = Door(path)
    ask = f'echo "{sql}" >"$C/query.sql" && tail -n 1 "$C/result.csv"'
    script = f"{ask}; read x <{door}"
    client = m.start_sh(script, env=job(1))
    door.reached()
    assert client.stderr == b""
    yield client.stdout.decode().strip()
    door.open()
    client.wait()


def verdicts(gateway):
    return [login.verdict for login in gateway.logins]


def rds_fields(login):
    """What its token is signed for, and the parameters of the token."""
    where, _, fields = aws_verify.parse_token(login.password, ["Action", "DBUser"])
    return where, fields


def dsql_fields(login):
    """And for a token of Aurora DSQL."""
    where, _, fields = aws_verify.parse_token(login.password, ["Action"])
    return where, fields


def region_of(fields):
    return fields["X-Amz-Credential"].split("/")[2]


def key_of(aws, fields):
    """The Key that a token is signed by."""
    return aws.keys[fields["X-Amz-Credential"].split("/")[0]]


def next_second():
    """A token is of a second: one that is signed from then on differs from all
    before."""
    now = int(time.time())
    wait_for(lambda: int(time.time()) > now, "the next second")


def profile(test_dir, key, name="etl", **more):
    """An environment with that profile, and with no other keys but wrong ones."""
    path = test_dir / f"config-{name}"
    lines = [f"[profile {name}]", f"aws_access_key_id = {key.access_key}"]
    lines += [f"aws_secret_access_key = {key.secret_key}"]
    if key.session_token:
        lines += [f"aws_session_token = {key.session_token}"]
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    wrong = {"AWS_ACCESS_KEY_ID": "AKIAWRONG", "AWS_SECRET_ACCESS_KEY": "wrong"}
    return {"AWS_CONFIG_FILE": str(path), **wrong, **more}
