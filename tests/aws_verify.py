# SPDX-License-Identifier: MIT
"""Whether a request or a database token is signed as AWS demands.

The signatures are computed by botocore: nothing here knows how connfs does it.
"""

import calendar
import dataclasses
import datetime
import email.message
import hashlib
import hmac
import re
import time
import urllib.parse

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

MAX_SKEW = 300
ALGORITHM = "AWS4-HMAC-SHA256"
AUTHORIZATION = re.compile(
    ALGORITHM + r" Credential=([^/, ]+)/(\d{8})/([^/, ]+)/([^/, ]+)/aws4_request,"
    r" SignedHeaders=([^, ]+), Signature=([0-9a-f]{64})"
)


@dataclasses.dataclass(eq=False)
class Key:
    """What signs requests. Without a session token it is a user's, for ever;
    role: ARN of the role it was issued for."""

    access_key: str
    secret_key: str
    session_token: str | None = None
    expires: float | None = None
    arn: str = ""
    role: str | None = None
    revoked: bool = False


@dataclasses.dataclass
class Request:
    """One HTTP request; target as it stood in the request line."""

    method: str
    target: str
    headers: email.message.Message
    body: bytes


@dataclasses.dataclass(frozen=True)
class Signed:
    """By which key a request is signed, and for what."""

    key: Key
    region: str
    service: str
    headers: tuple
    date: str


class Refused(Exception):
    """why: missing, incomplete, key, expired or signature."""

    def __init__(self, why, text):
        super().__init__(text)
        self.why = why
        self.text = text


class TokenError(Exception):
    """A database token that no login succeeds with.

    code: malformed, parameters, encoding, algorithm, headers, service, region,
    date, lifetime, future, past, host, user, action, key, session, expired or
    signature.
    """

    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Recomputed(SigV4Auth):
    """Signs exactly the headers it is given, those as well that botocore would
    leave out of requests of its own."""

    def headers_to_sign(self, request):
        headers = email.message.Message()
        for name, value in request.headers.items():
            headers[name.lower()] = value
        return headers


def long_date(when):
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(when))


def epoch_of(date):
    """Of the long form; None if it is none."""
    if not re.fullmatch(r"\d{8}T\d{6}Z", date, re.ASCII):
        return None
    try:
        parsed = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ")
    except ValueError:
        return None
    return calendar.timegm(parsed.timetuple())


def signature_of(key, region, service, date, request):
    """What the signature of the AWSRequest has to be."""
    # The session token is among the headers or in the query already.
    auth = Recomputed(Credentials(key.access_key, key.secret_key), service, region)
    request.context["timestamp"] = date
    text = auth.string_to_sign(request, auth.canonical_request(request))
    return auth.signature(text, request)


def same(one, other):
    """Compares secrets; None is absent."""
    if one is None or other is None:
        return one is other
    return hmac.compare_digest(one.encode(), other.encode())


def only(headers, name):
    """The value of a header that may be sent once; None if it is not."""
    values = headers.get_all(name, [])
    return values[0] if len(values) == 1 else None


def verify_request(request, keys, service, region, now):
    """Returns by whom it is Signed, or raises Refused.

    keys: access key id -> Key; service and region: which it has to be for."""
    headers = request.headers
    if not headers.get_all("Authorization"):
        raise Refused("missing", "Request is missing Authentication Token")
    match = AUTHORIZATION.fullmatch(only(headers, "Authorization") or "")
    if not match:
        raise Refused("incomplete", "Authorization header is not well formed.")
    access_key, day, of_region, of_service, names, signature = match.groups()
    names = names.split(";")

    check_signed_headers(headers, names)
    date = only(headers, "X-Amz-Date")
    check_scope(date, day, (of_service, service), (of_region, region))
    check_skew(date, now)
    key = keys.get(access_key)
    check_key(key, only_token(headers), now)

    stated = headers.get("X-Amz-Content-SHA256")
    if stated is not None and stated != hashlib.sha256(request.body).hexdigest():
        text = "The provided 'x-amz-content-sha256' header does not match the body."
        raise Refused("signature", text)
    signed = [(n, v) for n, v in headers.items() if n.lower() in names]
    again = AWSRequest(
        method=request.method,
        url=f"http://{headers['Host']}{request.target}",
        headers=headers_of(signed),
        data=request.body,
    )
    if not same(signature, signature_of(key, of_region, of_service, date, again)):
        text = "The request signature we calculated does not match the signature"
        raise Refused("signature", f"{text} you provided.")
    return Signed(key, of_region, of_service, tuple(names), date)


def headers_of(pairs):
    headers = email.message.Message()
    for name, value in pairs:
        headers[name] = value
    return headers


def check_signed_headers(headers, names):
    sent = {name.lower() for name in headers}
    if names != sorted(set(names)) or any(n != n.lower() for n in names):
        raise Refused("incomplete", "SignedHeaders are not lower-case and sorted.")
    if "host" not in names:
        text = "'Host' must be a 'SignedHeader' in the AWS Authorization."
        raise Refused("signature", text)
    for name in sorted(sent):
        if name.startswith("x-amz-") and name not in names:
            text = f"'{name}' must be a 'SignedHeader' in the AWS Authorization."
            raise Refused("signature", text)
    for name in names:
        if name not in sent:
            raise Refused("signature", f"'{name}' is signed, but was not sent.")


def check_scope(date, day, services, regions):
    if date is None or epoch_of(date) is None:
        text = "Authorization header requires existence of one 'X-Amz-Date' header"
        raise Refused("incomplete", f"{text} in the form 'YYYYMMDDTHHMMSSZ'.")
    if date[:8] != day:
        text = f"Date in Credential scope does not match YYYYMMDD of {date}."
        raise Refused("signature", text)
    if services[0] != services[1]:
        text = f"Credential should be scoped to correct service: '{services[1]}'."
        raise Refused("signature", text)
    if regions[1] is not None and regions[0] != regions[1]:
        text = f"Credential should be scoped to a valid region, not '{regions[0]}'."
        raise Refused("signature", text)


def check_skew(date, now):
    when = epoch_of(date)
    if when < now - MAX_SKEW:
        text = f"Signature expired: {date} is now earlier than"
        limit = long_date(now - MAX_SKEW)
        raise Refused("signature", f"{text} {limit} ({long_date(now)} - 5 min.)")
    if when > now + MAX_SKEW:
        text = f"Signature not yet current: {date} is still later than"
        limit = long_date(now + MAX_SKEW)
        raise Refused("signature", f"{text} {limit} ({long_date(now)} + 5 min.)")


def only_token(headers):
    """The session token: None if none was sent, and "" if more than one was,
    which is nobody's."""
    values = headers.get_all("X-Amz-Security-Token")
    if values is None:
        return None
    return values[0] if len(values) == 1 else ""


def check_key(key, session_token, now):
    if key is None or key.revoked or not same(key.session_token, session_token):
        raise Refused("key", "The security token included in the request is invalid.")
    if key.expires is not None and key.expires <= now:
        text = "The security token included in the request is expired"
        raise Refused("expired", text)


SIGNING = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
]


def check_rds_token(token, user, names, keys, region, now):
    """Raises TokenError; names: each "host:port" it may be signed for."""
    authority, query, p = parse_token(token, ["Action", "DBUser"])
    check_token_scope(p, "rds-db", region, 900, now)
    if p["Action"] != "connect":
        raise TokenError("action", f"Action is {p['Action']}")
    check_authority(authority, names)
    if p["DBUser"] != user:
        raise TokenError("user", f"for {p['DBUser']!r}, but {user!r} logs in")
    check_token_signature(authority, query, p, keys, now)


def check_dsql_token(token, user, names, keys, region, now):
    """Raises TokenError; names: each host it may be signed for."""
    authority, query, p = parse_token(token, ["Action"])
    check_token_scope(p, "dsql", region, 604800, now)
    check_authority(authority, names)
    wanted = "DbConnectAdmin" if user == "admin" else "DbConnect"
    if p["Action"] != wanted:
        raise TokenError("action", f"{p['Action']}, but {user!r} logs in")
    check_token_signature(authority, query, p, keys, now)


def parse_token(token, own):
    """Its authority, its raw query, and its parameters, decoded."""
    if not re.fullmatch(r"[!-~]+", token):
        raise TokenError("malformed", "not printable ASCII, or empty")
    authority, separator, query = token.partition("/?")
    if not separator or "/" in authority or "?" in authority:
        raise TokenError("malformed", "no host, followed by /?")
    parameters = {}
    for pair in query.split("&"):
        name, separator, value = pair.partition("=")
        if not separator or not is_canonical(name) or not is_canonical(value):
            raise TokenError("encoding", f"not percent-encoded canonically: {name}")
        if name in parameters:
            raise TokenError("parameters", f"{name} is there twice")
        parameters[name] = urllib.parse.unquote(value)
    expected = {*own, *SIGNING}
    if parameters.get("X-Amz-Security-Token"):
        expected.add("X-Amz-Security-Token")
    if set(parameters) != expected:
        odd = sorted(set(parameters) ^ expected)
        raise TokenError("parameters", f"missing, empty or unexpected: {odd}")
    return authority, query, parameters


def is_canonical(text):
    """Everything but what is safe as %XX in upper case, of valid UTF-8."""
    raw = urllib.parse.unquote_to_bytes(text)
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return urllib.parse.quote(raw, safe="-._~") == text


def check_token_scope(p, service, region, longest, now):
    if p["X-Amz-Algorithm"] != ALGORITHM:
        raise TokenError("algorithm", p["X-Amz-Algorithm"])
    if p["X-Amz-SignedHeaders"] != "host":
        raise TokenError("headers", p["X-Amz-SignedHeaders"])
    scope = p["X-Amz-Credential"].split("/")
    if len(scope) != 5 or scope[4] != "aws4_request":
        raise TokenError("malformed", f"credential {p['X-Amz-Credential']}")
    if scope[3] != service:
        raise TokenError("service", f"{scope[3]}, not {service}")
    if region is not None and scope[2] != region:
        raise TokenError("region", f"{scope[2]}, not {region}")
    date, seconds = p["X-Amz-Date"], p["X-Amz-Expires"]
    when = epoch_of(date)
    if when is None or scope[1] != date[:8]:
        raise TokenError("date", f"{date}, and the day of the scope is {scope[1]}")
    if not re.fullmatch(r"[1-9]\d{0,8}", seconds, re.ASCII) or int(seconds) > longest:
        raise TokenError("lifetime", f"{seconds} s, which may be 1 to {longest}")
    if when > now + MAX_SKEW:
        raise TokenError("future", f"of {date}, and it is {long_date(now)}")
    if now > when + int(seconds):
        text = f"of {date} for {seconds} s, and it is {long_date(now)}"
        raise TokenError("past", text)


def check_authority(authority, names):
    if authority not in names:
        raise TokenError("host", f"for {authority}, not one of {sorted(names)}")


def check_token_signature(authority, query, p, keys, now):
    access_key, _, region, service, _ = p["X-Amz-Credential"].split("/")
    key = keys.get(access_key)
    if key is None or key.revoked:
        raise TokenError("key", f"nobody has the access key {access_key}")
    if not same(key.session_token, p.get("X-Amz-Security-Token")):
        raise TokenError("session", "not the session token of its access key")
    if key.expires is not None and key.expires <= now:
        text = f"its credentials ended at {long_date(key.expires)}"
        raise TokenError("expired", text)
    unsigned = "&".join(
        pair for pair in query.split("&") if not pair.startswith("X-Amz-Signature=")
    )
    request = AWSRequest(
        method="GET",
        url=f"https://{authority}/?{unsigned}",
        headers={"host": authority},
    )
    correct = signature_of(key, region, service, p["X-Amz-Date"], request)
    if not same(p["X-Amz-Signature"], correct):
        raise TokenError("signature", "does not match")
