# SPDX-License-Identifier: MIT
"""The bodies of AWS's protocols: what comes in, what goes out, how it fails."""

import dataclasses
import json
import re
import time
import urllib.parse
import uuid
from xml.sax.saxutils import escape

JSON = "application/x-amz-json-1.1"
FORM = "application/x-www-form-urlencoded"

# How each reason of aws_verify.Refused is said: to the JSON services, and to
# the query services.
REFUSALS = {
    "missing": (
        ("MissingAuthenticationTokenException", 400),
        ("MissingAuthenticationToken", 403),
    ),
    "incomplete": (("IncompleteSignatureException", 400), ("IncompleteSignature", 400)),
    "key": (("UnrecognizedClientException", 400), ("InvalidClientTokenId", 403)),
    "expired": (("ExpiredTokenException", 400), ("ExpiredToken", 403)),
    "signature": (
        ("InvalidSignatureException", 400),
        ("SignatureDoesNotMatch", 403),
    ),
}
DENIED = {
    "json": ("AccessDeniedException", 400),
    "sso": ("ForbiddenException", 403),
    "oidc": ("access_denied", 400),
}
NAMESPACES = {
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
    "redshift": "http://redshift.amazonaws.com/doc/2012-12-01/",
}
# What is not the fault of who asks; the rest has the status 400.
STATUS = {
    "InternalError": 500,
    "InternalFailure": 500,
    "InternalServerError": 500,
    "InternalServerException": 500,
    "InternalServiceError": 500,
    "ServiceUnavailable": 503,
    "ServiceUnavailableException": 503,
    "AccessDenied": 403,
    "ExpiredToken": 403,
    "InvalidClientTokenId": 403,
    "SignatureDoesNotMatch": 403,
    "UnauthorizedException": 401,
    "ForbiddenException": 403,
}
ENTITIES = {'"': "&quot;", "'": "&#39;", "+": "&#x2B;"}


@dataclasses.dataclass
class Reply:
    status: int
    headers: dict
    body: bytes


class Failure(Exception):
    """An error that a service answers with; message None: it says no more."""

    def __init__(self, code, message=None, status=400):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def iso(when):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def request_id():
    return {"x-amzn-RequestId": str(uuid.uuid4())}


def reply_json(content, content_type=JSON, status=200, **headers):
    headers = {"Content-Type": content_type, **request_id(), **headers}
    return Reply(status, headers, json.dumps(content).encode())


def reply_text(text, content_type="text/plain", status=200, **headers):
    return Reply(status, {"Content-Type": content_type, **headers}, text.encode())


def element(name, content):
    """XML; None is left out."""
    if content is None:
        return ""
    if isinstance(content, dict):
        inner = "".join(element(n, c) for n, c in content.items())
    else:
        inner = escape(str(content), ENTITIES)
    return f"<{name}>{inner}</{name}>"


def reply_xml(service, root, inner, status=200):
    headers = request_id()
    identity = headers["x-amzn-RequestId"]
    if status == 200:
        inner += element("ResponseMetadata", {"RequestId": identity})
    else:
        inner += element("RequestId", identity)
    body = f'<{root} xmlns="{NAMESPACES[service]}">{inner}</{root}>\n'
    return Reply(status, {"Content-Type": "text/xml", **headers}, body.encode())


def reply_result(service, protocol, operation, result):
    """What a handler returned, as its protocol says it."""
    if isinstance(result, Reply):
        return result
    if protocol == "query":
        inner = element(f"{operation}Result", result)
        return reply_xml(service, f"{operation}Response", inner)
    return reply_json(result, JSON if protocol == "json" else "application/json")


def reply_error(service, protocol, code, message, status):
    if protocol == "query":
        who = "Sender" if status < 500 else "Receiver"
        error = {"Type": who, "Code": code, "Message": message}
        inner = element("Error", error)
        return reply_xml(service or "sts", "ErrorResponse", inner, status)
    if protocol == "imds":
        return imds_error(status)
    content_type = "application/json"
    headers = {}
    if protocol == "json":
        content_type = JSON
        content = {"__type": code, "message": message}
    elif protocol == "sso":
        headers = {"x-amzn-ErrorType": f"{code}:http://internal.amazon.com/coral/"}
        portal = f"com.amazonaws.switchboard.portal#{code}"
        content = {"message": message, "__type": portal}
    elif protocol == "oidc":
        kind = "".join(word.title() for word in code.split("_"))
        headers = {"x-amzn-ErrorType": f"{kind}Exception"}
        content = {"error": code, "error_description": message}
    else:
        content = {"Code": code, "Message": message}
    content = {k: v for k, v in content.items() if v is not None}
    return reply_json(content, content_type, status, **headers)


def imds_error(status):
    titles = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden"}
    titles.update({404: "Not Found", 405: "Not Allowed"})
    title = f"{status} - {titles.get(status, 'Error')}"
    text = f"""\
<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
	"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>{title}</title>
 </head>
 <body>
  <h1>{title}</h1>
 </body>
</html>
"""
    return reply_text(text, "text/html", status)


def decode_json(body, members):
    """The object, each member of it being known and of its type."""
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Failure("SerializationException")
    for name, value in content.items():
        if name not in members:
            raise Failure("ValidationException", f"Unexpected member '{name}'")
        if type(value) is not members[name]:
            text = f"{type(value).__name__} can not be converted to '{name}'"
            raise Failure("SerializationException", text)
    return content


def decode_form(body):
    """The pairs of a form, each name once."""
    try:
        pairs = urllib.parse.parse_qsl(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
        )
    except ValueError:
        raise Failure("MalformedInput", "The form cannot be parsed.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise Failure("MalformedInput", "Duplicate parameters.")
    return form


def decode_query(body, members):
    """The members of a query request, but for Action and Version; a type that
    is a list names its elements."""
    form = decode_form(body)
    content = {}
    for name, value in form.items():
        head, _, rest = name.partition(".")
        if head in ("Action", "Version"):
            continue
        kind = members.get(head)
        if isinstance(kind, list) and name == head and not value:
            content[head] = {}  # an empty list
            continue
        if kind is None or bool(rest) != isinstance(kind, list):
            raise Failure("ValidationError", f"Unexpected parameter '{name}'")
        if rest:
            add_element(content.setdefault(head, {}), rest, kind[0], value)
        else:
            content[head] = convert(name, value, kind)
    for name, kind in members.items():
        if isinstance(kind, list) and name in content:
            content[name] = in_order(name, content[name])
    return content


def add_element(elements, rest, element_name, value):
    """Of a list: rest is what follows its name, "member.1" or "member.1.Key"."""
    match = re.fullmatch(r"(\w+)\.([1-9]\d*)(?:\.(\w+))?", rest, re.ASCII)
    if not match or match[1] != element_name:
        raise Failure("MalformedInput", f"'{rest}' is no element of a list")
    number = int(match[2])
    if match[3] is None:
        elements[number] = value
    else:
        elements.setdefault(number, {})[match[3]] = value


def in_order(name, elements):
    if sorted(elements) != list(range(1, len(elements) + 1)):
        raise Failure("MalformedInput", f"'{name}' is not numbered from 1 on")
    return [elements[number] for number in sorted(elements)]


def convert(name, value, kind):
    if kind is bool and value in ("true", "false"):
        return value == "true"
    if kind is int and re.fullmatch(r"-?\d{1,9}", value, re.ASCII):
        return int(value)
    if kind is str:
        return value
    raise Failure("MalformedInput", f"'{value}' is no value of '{name}'")
