# SPDX-License-Identifier: MIT
"""The fake AWS believes nothing that is not signed properly: the measure of what
connfs signs."""

import hashlib
import re
import urllib.parse

import pytest

import aws_clients
from aws_clients import SSM, ask, sign, token
from fake_aws import FakeAws, TokenError

HOST = "db.abcdefghijkl.eu-west-1.rds.amazonaws.com"
RDS = {f"{HOST}:5432"}
CLUSTER = "abcdefghijklmnopqrstuvwxyz.dsql.eu-west-1.on.aws"
BAD_SIGNATURE = "InvalidSignatureException"
INCOMPLETE = "IncompleteSignatureException"


@pytest.fixture
def key(aws):
    aws.parameters["p"] = "S3cret"
    return aws.key(temporary=True)


def edited(headers, pattern, replacement, name="Authorization"):
    """With something else in one of them."""
    text, count = re.subn(pattern, replacement, headers[name])
    assert count == 1, headers
    return {**headers, name: text}


def test_signed_request_is_let_in(aws, key):
    assert ask(aws, sign(aws, key)) is None
    entry = aws.journal[-1]
    assert entry.ok and entry.key is key and entry.reason is None
    assert (entry.signed.region, entry.signed.service) == ("eu-west-1", "ssm")
    names = "content-type host x-amz-date x-amz-security-token x-amz-target".split()
    assert list(entry.signed.headers) == names
    assert entry.members == {"Name": "p"}


def test_user_keys_have_no_session_token(aws, key):
    assert ask(aws, sign(aws, aws.key())) is None


def test_without_authorization(aws, key):
    headers = sign(aws, key)
    del headers["Authorization"]
    assert ask(aws, headers) == "MissingAuthenticationTokenException"


@pytest.mark.parametrize(
    "pattern, replacement",
    [
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
        (", SignedHeaders", ",SignedHeaders"),
        ("aws4_request", "aws5_request"),
        ("(?<=Signature=).*", lambda m: m[0].upper() + "F"),
        ("(?<=Signature=).*", ""),
        ("(?<=SignedHeaders=)[^,]*", "X-Amz-Date;host"),
        ("content-type;host", "host;content-type"),
        ("content-type;host", "content-type;host;host"),
    ],
)
def test_malformed_authorization(aws, key, pattern, replacement):
    assert ask(aws, edited(sign(aws, key), pattern, replacement)) == INCOMPLETE
    assert aws.journal[-1].verdict == "refused" and aws.journal[-1].signed is None


def test_authorization_twice(aws, key):
    headers = sign(aws, key)
    more = [("Authorization", headers["Authorization"])]
    assert ask(aws, headers, more=more) == INCOMPLETE


@pytest.mark.parametrize("date", ["20260231T000000Z", "2026-01-01T00:00:00Z", "1", ""])
def test_malformed_date(aws, key, date):
    assert ask(aws, {**sign(aws, key), "X-Amz-Date": date}) == INCOMPLETE


def test_date_twice(aws, key):
    headers = sign(aws, key)
    more = [("X-Amz-Date", headers["X-Amz-Date"])]
    assert ask(aws, headers, more=more) == INCOMPLETE


@pytest.mark.parametrize(
    "pattern, replacement",
    [
        ("(?<=Signature=).", lambda m: "0" if m[0] != "0" else "1"),
        (";x-amz-target", ";x-amz-target;x-amz-zone"),  # was not sent
        (r"(?<=/)\d{8}(?=/)", "20200101"),  # is not the day of X-Amz-Date
    ],
)
def test_wrong_signature(aws, key, pattern, replacement):
    assert ask(aws, edited(sign(aws, key), pattern, replacement)) == BAD_SIGNATURE


@pytest.mark.parametrize("name", ["host", "x-amz-target", "x-amz-security-token"])
def test_what_has_to_be_signed(aws, key, name):
    assert ask(aws, sign(aws, key, forgets=[name])) == BAD_SIGNATURE
    assert b"must be a 'SignedHeader'" in aws.journal[-1].reply.body
    assert ask(aws, sign(aws, key, forgets=["content-type"])) is None


def test_added_headers(aws, key):
    headers = sign(aws, key)
    for name in ("X-Amz-Zone", "Host", "X-Amz-Target"):
        more = [(name, headers.get(name, "1"))]
        assert ask(aws, headers, more=more) == BAD_SIGNATURE


def test_wrong_scope(aws, key):
    assert ask(aws, sign(aws, key, service="secretsmanager")) == BAD_SIGNATURE
    assert ask(aws, sign(aws, key, region="eu-west-2")) == BAD_SIGNATURE
    aws.any_region = True
    assert ask(aws, sign(aws, key, region="eu-west-2")) is None


def test_what_was_changed_on_the_way(aws, key):
    headers = sign(aws, key)
    assert ask(aws, headers, b'{"Name":"q"}') == BAD_SIGNATURE
    kind = SSM["Content-Type"]
    assert ask(aws, {**headers, "Content-Type": f" {kind} "}) is None
    changed = {**headers, "Content-Type": f"{kind}; charset=utf-8"}
    assert ask(aws, changed) == BAD_SIGNATURE
    assert ask(aws, {**headers, "Host": "localhost"}) == BAD_SIGNATURE


def test_unsigned_headers_may_be_added(aws, key):
    headers = {**sign(aws, key), "User-Agent": "somebody", "Accept": "*/*"}
    assert ask(aws, headers) is None


def test_a_signed_user_agent(aws, key):
    headers = sign(aws, key)
    changed = edited(headers, ";x-amz-date", ";user-agent;x-amz-date")
    assert ask(aws, {**changed, "User-Agent": "somebody"}) == BAD_SIGNATURE


def test_body_hash_must_be_of_the_body(aws, key):
    body = b'{"Name":"p"}'
    good = hashlib.sha256(body).hexdigest()
    for value, code in (
        (good, None),
        (good.upper(), BAD_SIGNATURE),
        ("UNSIGNED-PAYLOAD", BAD_SIGNATURE),
        (hashlib.sha256(b"").hexdigest(), BAD_SIGNATURE),
    ):
        headers = sign(aws, key, headers={**SSM, "X-Amz-Content-SHA256": value})
        assert ask(aws, headers) == code


@pytest.mark.parametrize(
    "ahead, text", [(301, b"Signature expired: "), (-302, b"Signature not yet current")]
)
def test_clock(aws, key, ahead, text):
    aws.clock_offset = ahead
    assert ask(aws, sign(aws, key)) == BAD_SIGNATURE
    assert text in aws.journal[-1].reply.body
    aws.clock_offset = 280 if ahead > 0 else -280
    assert ask(aws, sign(aws, key)) is None


def test_date_header_is_of_its_clock(aws):
    aws.clock_offset = 4 * 365 * 86400
    _, headers, _ = aws_clients.get(aws, "/nothing")
    year = int(headers["Date"].split()[3])
    aws.clock_offset = 0
    _, headers, _ = aws_clients.get(aws, "/nothing")
    assert year == int(headers["Date"].split()[3]) + 4


def test_keys(aws, key):
    unknown = "UnrecognizedClientException"
    with_other = FakeAws()
    try:
        assert ask(aws, sign(aws, with_other.key())) == unknown
    finally:
        with_other.close()
    headers = sign(aws, key)
    token_name = "X-Amz-Security-Token"
    without = {n: v for n, v in headers.items() if n != token_name}
    without = edited(without, ";x-amz-security-token", "")
    assert ask(aws, without) == unknown
    assert ask(aws, {**headers, token_name: headers[token_name] + "="}) == unknown
    user = aws.key()
    headers = edited(sign(aws, user), ";x-amz-target", r";x-amz-security-token\g<0>")
    assert ask(aws, {**headers, token_name: ""}) == unknown


def test_another_secret(aws, key):
    key.secret_key, kept = "A" * 40, key.secret_key
    headers = sign(aws, key)
    key.secret_key = kept
    assert ask(aws, headers) == BAD_SIGNATURE


def test_expired_keys(aws, key):
    aws.expire(key)
    assert ask(aws, sign(aws, key)) == "ExpiredTokenException"
    short = aws.key(temporary=True, lifetime=250)
    assert ask(aws, sign(aws, short)) is None
    aws.clock_offset = 251
    assert ask(aws, sign(aws, short)) == "ExpiredTokenException"
    user = aws.key()
    aws.expire(user)
    assert ask(aws, sign(aws, user)) == "UnrecognizedClientException"


def test_query_services_have_codes_of_their_own(aws, monkeypatch):
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "regional")
    who = "sts", "get_caller_identity"
    key = aws.key(temporary=True)
    assert aws_clients.refusal(aws, *who) == (403, "MissingAuthenticationToken")
    aws.clock_offset = 600
    assert aws_clients.refusal(aws, *who, key) == (403, "SignatureDoesNotMatch")
    aws.clock_offset = 0
    aws.expire(key)
    assert aws_clients.refusal(aws, *who, key) == (403, "ExpiredToken")
    user = aws.key()
    aws.expire(user)
    assert aws_clients.refusal(aws, *who, user) == (403, "InvalidClientTokenId")


def test_base_path(aws, key):
    aws.base_path = "/base/path/"
    assert aws.env()["AWS_ENDPOINT_URL"] == f"{aws.url}/base/path"
    found = aws_clients.call(aws, "ssm", "get_parameter", key, Name="p")
    assert found["Parameter"]["Name"] == "p"
    assert aws.journal[-1].target == "/base/path/"


# --- Database tokens


def rds(aws, key, user="app", host=f"{HOST}:5432", **how):
    return token(aws, key, host, {"Action": "connect", "DBUser": user}, **how)


def dsql(aws, key, action="DbConnect", host=CLUSTER, **how):
    return token(aws, key, host, {"Action": action}, **{"service": "dsql", **how})


def code_of(check, *args, **how):
    """Of the TokenError it raises; None if it does not."""
    try:
        check(*args, **how)
    except TokenError as e:
        assert e.text
        return e.code
    return None


@pytest.mark.parametrize("temporary", [False, True])
def test_rds_token(aws, temporary):
    key = aws.key(temporary=temporary)
    for user in ("app", "a b+c@d/é"):
        good = rds(aws, key, user).replace("+", "%20")
        aws.check_rds_token(good, user, RDS)
    assert code_of(aws.check_rds_token, rds(aws, key), "App", RDS) == "user"
    assert code_of(aws.check_rds_token, rds(aws, key), "app", set()) == "host"
    assert code_of(aws.check_rds_token, rds(aws, key), "app", {HOST}) == "host"


@pytest.mark.parametrize("temporary", [False, True])
def test_dsql_token(aws, temporary):
    key = aws.key(temporary=temporary)
    names = {CLUSTER}
    aws.check_dsql_token(dsql(aws, key), "app", names)
    aws.check_dsql_token(dsql(aws, key, expires=604800), "app", names)
    aws.check_dsql_token(dsql(aws, key, "DbConnectAdmin"), "admin", names)
    check = aws.check_dsql_token
    assert code_of(check, dsql(aws, key), "admin", names) == "action"
    assert code_of(check, dsql(aws, key, "DbConnectAdmin"), "app", names) == "action"
    assert code_of(check, dsql(aws, key, expires=604801), "app", names) == "lifetime"
    with_port = dsql(aws, key, host=f"{CLUSTER}:5432")
    assert code_of(check, with_port, "app", names) == "host"
    assert code_of(check, rds(aws, key), "app", names) == "parameters"


@pytest.mark.parametrize(
    "how, code",
    [
        ({"service": "rds"}, "service"),
        ({"region": "eu-west-2"}, "region"),
        ({"expires": 901}, "lifetime"),
        ({"expires": 0}, "lifetime"),
        ({"expires": -1}, "lifetime"),
        ({"host": f"other.{HOST}:5432"}, "host"),
        ({"host": f"{HOST}:5433"}, "host"),
        ({"host": f"{HOST.upper()}:5432"}, "host"),
    ],
)
def test_wrong_rds_token(aws, how, code):
    bad = rds(aws, aws.key(), **how)
    assert code_of(aws.check_rds_token, bad, "app", RDS) == code


@pytest.mark.parametrize(
    "pattern, replacement, code",
    [
        ("^", "https://", "malformed"),
        (r"/\?", "?", "malformed"),
        (r"/\?", "//?", "malformed"),
        (r"/\?", "/x/?", "malformed"),
        ("$", "\n", "malformed"),
        ("$", "&", "encoding"),
        ("(?<=DBUser=)app", "ap%70", "encoding"),
        ("(?<=DBUser=)app", "a+b", "encoding"),
        ("(?<=DBUser=)app", "%FF", "encoding"),
        ("%2F(?=eu-west)", "%2f", "encoding"),
        ("%2F(?=eu-west)", "/", "encoding"),
        ("$", "&DBUser=app", "parameters"),
        ("$", "&Extra=1", "parameters"),
        ("$", "&X-Amz-Security-Token=", "parameters"),
        ("DBUser=app&", "", "parameters"),
        ("&X-Amz-Expires=900", "", "parameters"),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512", "algorithm"),
        ("SignedHeaders=host", "SignedHeaders=host%3Bx", "headers"),
        ("aws4_request", "aws4_requests", "malformed"),
        ("(?<=Date=)....", "2020", "date"),
        ("Expires=900", "Expires=0900", "lifetime"),
        ("Expires=900", "Expires=899", "signature"),
        ("Action=connect", "Action=Connect", "action"),
        ("(?<=Credential=)....", "AKIB", "key"),
        ("(?<=Signature=).", lambda m: "0" if m[0] != "0" else "1", "signature"),
        ("$", "&X-Amz-Security-Token=x", "session"),
    ],
)
def test_edited_rds_token(aws, pattern, replacement, code):
    good = rds(aws, aws.key())
    bad, count = re.subn(pattern, replacement, good)
    assert count == 1
    assert code_of(aws.check_rds_token, bad, "app", RDS) == code


def test_parameters_may_come_in_any_order(aws):
    authority, query = rds(aws, aws.key(temporary=True)).split("?")
    pairs = "&".join(sorted(query.split("&")))
    aws.check_rds_token(f"{authority}?{pairs}", "app", RDS)


def test_lifetime_of_tokens(aws):
    key = aws.key(temporary=True)
    made = rds(aws, key)
    now = aws.now()
    aws.check_rds_token(made, "app", RDS, now=now + 890)
    assert code_of(aws.check_rds_token, made, "app", RDS, now=now + 905) == "past"
    assert code_of(aws.check_rds_token, made, "app", RDS, now=now - 305) == "future"
    aws.check_rds_token(made, "app", RDS, now=now - 290)
    aws.clock_offset = 905
    assert code_of(aws.check_rds_token, made, "app", RDS) == "past"
    short = dsql(aws, key, expires=1000)
    aws.clock_offset = 0
    aws.check_dsql_token(short, "app", {CLUSTER}, now=now + 950)


def test_tokens_die_with_their_keys(aws):
    key = aws.key(temporary=True)
    made = rds(aws, key)
    aws.expire(key)
    assert code_of(aws.check_rds_token, made, "app", RDS) == "expired"
    key = aws.key(temporary=True)
    made = rds(aws, key)
    key.session_token += "="
    assert code_of(aws.check_rds_token, made, "app", RDS) == "session"
    key = aws.key()
    made = rds(aws, key)
    aws.expire(key)
    assert code_of(aws.check_rds_token, made, "app", RDS) == "key"


def test_session_token_of_a_token(aws):
    key = aws.key(temporary=True, token_bytes=2048)
    assert len(key.session_token) == 2048
    made = rds(aws, key)
    assert urllib.parse.quote(key.session_token, safe="") in made
    aws.check_rds_token(made, "app", RDS)
    without = re.sub("&X-Amz-Security-Token=[^&]*", "", made)
    assert code_of(aws.check_rds_token, without, "app", RDS) == "session"
