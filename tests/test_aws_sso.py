# SPDX-License-Identifier: MIT
"""AWS keys for who is known elsewhere: web identity (EKS, CI) and SSO."""

import json
import time

import pytest

from clients import SCALE, wait_for
from fake_aws import Role
from fake_aws_wire import iso

ROLE = "arn:aws:iam::123456789012:role/{}"


# --- Web identity


@pytest.mark.parametrize("where", ["env", "profile"])
def test_a_web_identity_is_exchanged_for_a_role(rds, aws, home, where):
    arn = ROLE.format("pod/app")
    aws.roles[arn] = Role(lifetime=3 * SCALE)
    aws.web_identity_tokens = {"eyJ.first.x", "eyJ.second.x"}
    token = home.dir / "token"
    token.write_text("eyJ.first.x\n")
    named = {
        "web_identity_token_file": token,
        "role_arn": arn,
        "role_session_name": "pod-1",
    }
    env = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": token,
        "AWS_ROLE_ARN": arn,
        "AWS_ROLE_SESSION_NAME": "pod-1",
    }
    fields = {}
    if where == "profile":
        home.write(
            "[profile app]\n" + "".join(f"{k} = {v}\n" for k, v in named.items())
        )
        env, fields = {}, {"profile": "app"}
    m = rds.mount(aws.env(**home.env(), **env), db=fields)

    key = rds.key(m)

    assert key.role == arn
    assert rds.source(m) == ("profile app" if where == "profile" else "web identity")

    # EKS rotates the token: what is in the file then, is sent.
    token.write_text("eyJ.second.x\n")
    operation = "AssumeRoleWithWebIdentity"
    wait_for(lambda: aws.count(operation, ok=True) > 1, "the keys are renewed")
    first, second = aws.entries(operation)[:2]
    assert first.members["WebIdentityToken"] == "eyJ.first.x"
    assert second.members["WebIdentityToken"] == "eyJ.second.x"
    assert first.members["RoleSessionName"] == "pod-1"
    assert "Authorization" not in first.headers
    assert {entry.operation for entry in aws.journal} == {operation}


@pytest.mark.parametrize(
    "token, error",
    [
        ("eyJ.unknown", "AssumeRoleWithWebIdentity: InvalidIdentityToken: No OpenID"),
        ("", "web_identity_token_file: {} is empty"),
        ("a\r\nHost: evil", "web_identity_token_file: {} holds more than one line"),
        ("x" * 20001, "web_identity_token_file: {} is over 20000 bytes long"),
    ],
)
def test_a_web_identity_that_is_no_use(rds, aws, home, token, error):
    aws.roles[ROLE.format("app")] = Role()
    path = home.dir / "token"
    path.write_text(token)
    env = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": path,
        "AWS_ROLE_ARN": ROLE.format("app"),
    }
    m = rds.mount(aws.env(**env))
    m.secrets |= {token} if len(token) > 20 else set()

    assert rds.error(m).startswith(f"web identity: {error.format(path)}")
    assert "Host" not in str([entry.body for entry in aws.journal])


# An answer of STS that may be better the next time is asked for again.
def test_a_web_identity_is_tried_again(rds, aws, home):
    aws.roles[ROLE.format("app")] = Role()
    aws.web_identity_tokens = {"eyJ.x"}
    token = home.dir / "token"
    token.write_text("eyJ.x")
    env = {"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": ROLE.format("app")}
    aws.fault("AssumeRoleWithWebIdentity", code="IDPCommunicationError", status=400)
    m = rds.mount(aws.env(**env))

    assert rds.key(m).role == ROLE.format("app")
    assert aws.count("AssumeRoleWithWebIdentity") == 2


# --- SSO


SESSION = (
    "[sso-session corp]\nsso_start_url = https://example.awsapps.com/start\n"
    "sso_region = eu-west-1\nsso_registration_scopes = sso:account:access\n"
)
ROLE_KEYS = "sso_account_id = 123456789012\nsso_role_name = reader\n"
OLD = "sso_start_url = https://example.awsapps.com/start\nsso_region = eu-west-1\n"
PROFILES = {
    "session": f"{SESSION}[profile mine]\nsso_session = corp\n{ROLE_KEYS}",
    "both": f"{SESSION}[profile mine]\nsso_session = corp\n{OLD}{ROLE_KEYS}",
    "old form": f"[profile mine]\n{OLD}{ROLE_KEYS}",
}
LOGINS = {  # what the file of the cache is named after
    "session": "corp",
    "both": "corp",
    "old form": "https://example.awsapps.com/start",
}
HINTS = {
    "session": "aws sso login --sso-session corp",
    "both": "aws sso login --sso-session corp",
    "old form": "aws sso login --profile mine",
}


def mine(*names):
    return {name: {"profile": "mine"} for name in names}


@pytest.mark.parametrize("form", PROFILES)
def test_a_login_to_sso_gives_the_keys_of_its_role(rds, aws, home, form):
    home.write(PROFILES[form])
    cached = aws.sso.login(session=form != "old form")
    home.log_in(LOGINS[form], cached)
    m = rds.mount(aws.env(aws.key(), **home.env()), **mine("db"))
    m.secrets.add(cached["accessToken"])

    key = rds.key(m)

    assert "AWSReservedSSO_reader_" in key.role
    assert rds.source(m) == "profile mine"
    assert rds.status(m)["keys_expire_at"] == iso(key.expires)[:-1] + ".000Z"
    (entry,) = aws.journal
    assert entry.target == (
        "/federation/credentials?account_id=123456789012&role_name=reader"
    )
    assert entry.headers["x-amz-sso_bearer_token"] == cached["accessToken"]
    assert "Authorization" not in entry.headers


# Who has not logged in is told what to type; who has is seen at once.
@pytest.mark.parametrize("form", PROFILES)
def test_who_has_not_logged_in_to_sso_is_told_how(rds, aws, home, form):
    home.write(PROFILES[form])
    path = home.sso_cache(LOGINS[form])
    m = rds.mount(aws.env(**home.env()), **mine("db"))
    run = f"run: {HINTS[form]}"

    never = rds.error(m)
    home.log_in(LOGINS[form], aws.sso.login(lifetime=-60, session=False))
    expired = rds.error(m)
    home.log_in(LOGINS[form], aws.sso.login(session=False))

    assert "AWSReservedSSO_reader_" in rds.key(m).role
    assert never == f"profile mine: nobody is logged in to SSO ({path}): {run}"
    assert expired == f"profile mine: the login to SSO has expired: {run}"


# It was ended elsewhere, before its time.
def test_a_login_to_sso_that_is_refused(rds, aws, home):
    home.write(PROFILES["session"])
    home.log_in("corp", aws.sso.login())
    aws.sso.access_tokens.clear()
    m = rds.mount(aws.env(**home.env()), **mine("db"))

    refused = rds.error(m)
    home.log_in("corp", aws.sso.login())
    wait_for(lambda: m.query("select 1 as a;").rc == 0, "the new login is seen")

    assert refused == f"profile mine: SSO refuses the login: run: {HINTS['session']}"


# A session is renewed before it ends, and what the next refresh needs is written
# back for all that use the file.
def test_a_session_of_sso_is_renewed_and_written_back(rds, aws, home):
    home.write(PROFILES["session"])
    path = home.sso_cache("corp")
    cached = aws.sso.login(lifetime=600)
    home.log_in("corp", cached)
    aws.sso.lifetime = 3 * SCALE
    m = rds.mount(aws.env(**home.env()), **mine("db"))

    rds.key(m)

    renewed = json.loads(path.read_text())
    m.secrets |= {
        found[name]
        for found in (cached, renewed)
        for name in ("accessToken", "refreshToken", "clientSecret")
    }
    asked = aws.entries("CreateToken")[0]
    assert asked.members == {
        "grantType": "refresh_token",
        "clientId": aws.sso.client_id,
        "clientSecret": aws.sso.client_secret,
        "refreshToken": cached["refreshToken"],
    }
    assert "Authorization" not in asked.headers
    assert renewed["accessToken"] in aws.sso.access_tokens
    assert renewed["accessToken"] != cached["accessToken"]
    assert aws.sso.refresh_tokens == {renewed["refreshToken"]}
    for name in ("startUrl", "region", "clientId", "clientSecret"):
        assert renewed[name] == cached[name]
    assert renewed["registrationExpiresAt"] == cached["registrationExpiresAt"]
    left = renewed["expiresAt"]
    assert iso(time.time() + 28000) < left <= iso(time.time() + 28800)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == [path.name]

    # It is good for hours: the next keys need no other.
    wait_for(lambda: aws.count("GetRoleCredentials", ok=True) > 1, "new keys")
    assert aws.count("CreateToken") == 1
    used = aws.entries("GetRoleCredentials")[-1].headers["x-amz-sso_bearer_token"]
    assert used == renewed["accessToken"]


# The refresh token is good for one use: a refresh that fails is not repeated for
# each login, and what the login still is worth is used.
def test_a_session_of_sso_that_cannot_be_renewed(rds, aws, home):
    home.write(PROFILES["session"])
    home.log_in("corp", aws.sso.login(lifetime=600))
    aws.sso.refresh_tokens.clear()
    aws.sso.lifetime = 3 * SCALE
    m = rds.mount(aws.env(**home.env()), **mine("db", "later"))

    assert "AWSReservedSSO_reader_" in rds.key(m).role
    wait_for(lambda: aws.count("GetRoleCredentials", ok=True) > 1, "new keys")
    assert aws.count("CreateToken") == 1


def test_a_session_of_sso_that_is_over_says_so(rds, aws, home):
    home.write(PROFILES["session"])
    home.log_in("corp", aws.sso.login(lifetime=-60))
    aws.sso.refresh_tokens.clear()
    m = rds.mount(aws.env(**home.env()), **mine("db"))

    assert rds.error(m) == (
        "profile mine: the login to SSO has expired: SSO does not renew the token"
        f" (status 400): run: {HINTS['session']}"
    )
    assert aws.count("GetRoleCredentials") == 0


@pytest.mark.parametrize(
    "change, error",
    [
        (
            lambda sso: setattr(sso, "role_name", "writer"),
            "SSO gives no access to role reader of account 123456789012"
            " (sso_role_name, sso_account_id)",
        ),
        (lambda sso: setattr(sso, "lifetime", -60), "it gives keys that expired at "),
    ],
)
def test_keys_of_sso_that_are_not_to_be_had(rds, aws, home, change, error):
    home.write(PROFILES["session"])
    home.log_in("corp", aws.sso.login())
    change(aws.sso)
    m = rds.mount(aws.env(**home.env()), **mine("db"))

    assert rds.error(m).startswith(f"profile mine: {error}")


# What a profile and its session both say has to be the same.
def test_a_profile_that_contradicts_its_session_is_refused(rds, aws, home):
    other = OLD.replace("eu-west-1", "eu-west-2")
    home.write(PROFILES["both"].replace(OLD + ROLE_KEYS, other + ROLE_KEYS))
    home.log_in("corp", aws.sso.login())
    m = rds.mount(aws.env(**home.env()), **mine("db"))

    assert rds.error(m) == (
        "profile mine: sso_region is not that of its sso_session"
        f" ({home.config} line 8)"
    )


# A half-written file, or anything else, is no login.
def test_a_file_of_the_cache_that_is_no_use(rds, aws, home):
    home.write(PROFILES["session"])
    path = home.sso_cache("corp")
    cases = {
        '{"accessToken": "x"': f"{path} is not a JSON object (line 1, column 19)",
        '{"accessToken": "x"}': f"{path} has no accessToken and expiresAt",
        '{"accessToken": "x", "expiresAt": "soon"}': f"{path} has no accessToken and"
        " expiresAt",
    }
    m = rds.mount(aws.env(**home.env()), **mine(*"abc"))

    for conn, (text, error) in zip("abc", cases.items()):
        path.write_text(text)
        wait_for(lambda: rds.error(m, conn) == f"profile mine: {error}", error)
    assert aws.journal == []
