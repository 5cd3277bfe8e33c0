# SPDX-License-Identifier: MIT
"""AWS, as far as connfs needs it, on one port of 127.0.0.1.

It is a real server: it believes only what is signed (aws_verify.py), refuses in
the words of the real one, and writes all down. See class FakeAws. The operations
have the names of AWS; those without one are ContainerCredentials, ImdsToken,
ImdsRole, ImdsCredentials and ImdsRegion.
"""

import base64
import dataclasses
import email.message
import json
import secrets
import string
import threading
import time
import urllib.parse

import aws_verify
import fake_aws_services as services
import fake_aws_wire as wire
from aws_verify import Key, TokenError
from fake_aws_http import Server
from fake_aws_services import Cluster, InstanceRole, Role, Workgroup

# What tests need of the modules below it.
__all__ = ["Cluster", "FakeAws", "InstanceRole", "Role", "TokenError", "Workgroup"]

NOWHERE = "/nonexistent/aws"
CONTAINER_PATH = "/container/credentials"
IMDS_ROLES = "/latest/meta-data/iam/security-credentials"
TARGETS = {
    "AmazonSSM": "ssm",
    "secretsmanager": "secretsmanager",
    "RedshiftServerless": "redshift-serverless",
}
VERSIONS = {"2011-06-15": "sts", "2012-12-01": "redshift"}
PATHS = {
    ("GET", "/federation/credentials"): "GetRoleCredentials",
    ("POST", "/token"): "CreateToken",
    ("GET", CONTAINER_PATH): "ContainerCredentials",
    ("PUT", "/latest/api/token"): "ImdsToken",
    ("GET", IMDS_ROLES): "ImdsRole",
    ("GET", IMDS_ROLES + "/"): "ImdsRole",
    ("GET", "/latest/meta-data/placement/region"): "ImdsRegion",
}


@dataclasses.dataclass
class Entry:
    """What was asked and what became of it.

    operation: None if it is none. verdict: "ok"; "refused" (not let in);
    "failed" (let in, and answered with an error); "fault" (a fault() decided).
    reason: the code of the error, None if there is none. signed: what it was
    signed for (aws_verify.Signed), None if not or not properly. reply: what was
    meant to be sent, None if the connection was dropped.
    """

    time: float
    operation: str | None
    method: str
    target: str
    headers: email.message.Message
    body: bytes
    verdict: str = "ok"
    reason: str | None = None
    signed: aws_verify.Signed | None = None
    reply: wire.Reply | None = None

    @property
    def ok(self):
        return self.verdict == "ok"

    @property
    def key(self):
        """Who signed."""
        return self.signed.key if self.signed else None

    @property
    def members(self):
        """Of a JSON request, or of a form."""
        if self.body.startswith(b"{"):
            return json.loads(self.body)
        return dict(urllib.parse.parse_qsl(self.body.decode()))


class Fault:
    """What a fault() does. release() ends its delay."""

    def __init__(self, operation, times, **how):
        self.operation = operation
        self.left = times
        self.how = how
        self.over = threading.Event()

    def release(self):
        self.over.set()

    def reply(self, service, protocol):
        """Instead of the answer; None if it only comes late."""
        how = self.how
        status, body, code = how["status"], how["body"], how["code"]
        if how["redirect"] is not None:
            reply = wire.Reply(status or 307, {"Location": how["redirect"]}, b"")
        elif code is not None:
            status = status or wire.STATUS.get(code, 400)
            text = how["message"]
            reply = wire.reply_error(service, protocol, code, text, status)
            if body is not None:
                reply.body = body
        elif status is not None or body is not None or how["drip"]:
            kind = {"Content-Type": "text/html"}
            reply = wire.Reply(status or 200, kind, body or b"")
        else:
            return None
        reply.headers.update(how["headers"] or {})
        return reply


class FakeAws:
    """Serves from its making to close(). All of its state may be changed at any
    time: what is asked from then on is answered accordingly.

    region         which requests and tokens have to be signed for, unless
                   any_region
    clock_offset   seconds its clock is ahead
    base_path      where its signed services are, "/" or "/some/path/"
    token_bytes    length of the session tokens it issues
    keys           access key id -> Key, all that it ever issued
    parameters     of SSM: name -> value (a SecureString), or (type, value)
    secrets        name or ARN -> dict, str, bytes, or None: marked for deletion
    roles          ARN -> Role
    clusters, workgroups   of Redshift: name -> Cluster, Workgroup
    domains        of Redshift: custom domain -> name of its cluster, workgroup
    redshift_passwords     password -> (user, expires): each is good until it
                   expires, whatever was issued since
    web_identity_tokens    those that it accepts
    sso            fake_aws_services.Sso
    container, container_token   InstanceRole, and what Authorization has to be;
                   None: no role, and no Authorization
    instance_role  InstanceRole, or None; imds_tokens: token -> expires
    denied         operations that nobody is allowed
    journal        of Entry
    """

    def __init__(self, region="eu-west-1"):
        self._lock = threading.Condition(threading.RLock())
        self._faults = []
        self._all_faults = []
        self.region = region
        self.any_region = False
        self.clock_offset = 0
        self.base_path = "/"
        self.token_bytes = 400
        self.keys = {}
        self.parameters = {}
        self.secrets = {}
        self.roles = {}
        self.clusters = {}
        self.workgroups = {}
        self.domains = {}
        self.redshift_passwords = {}
        self.web_identity_tokens = set()
        self.sso = services.Sso(region, self.now)
        self.container = InstanceRole()
        self.container_token = None
        self.instance_role = None
        self.imds_tokens = {}
        self.denied = set()
        self.journal = []
        self._server = Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    def close(self):
        """Ends all connections; raises if it ever failed in itself."""
        with self._lock:
            for fault in self._all_faults:
                fault.release()
        self._server.shutdown()
        self._server.end_connections()
        self._server.server_close()
        self._thread.join()
        if self._server.failures:
            failures = "\n".join(self._server.failures)
            raise RuntimeError(f"the fake AWS failed:\n{failures}")

    def now(self):
        return time.time() + self.clock_offset

    # --- What connfs is told

    def env(self, key=None, **more):
        """An environment in which nothing but this is reachable."""
        env = {
            "AWS_ENDPOINT_URL": self.url + self.base_path.rstrip("/"),
            "AWS_REGION": self.region,
            "AWS_CONFIG_FILE": f"{NOWHERE}/config",
            "AWS_SHARED_CREDENTIALS_FILE": f"{NOWHERE}/credentials",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if key:
            env["AWS_ACCESS_KEY_ID"] = key.access_key
            env["AWS_SECRET_ACCESS_KEY"] = key.secret_key
            env["AWS_SESSION_TOKEN"] = key.session_token
        env.update(more)
        return {name: str(value) for name, value in env.items() if value is not None}

    def imds_env(self):
        """For env(**aws.imds_env()): an instance, once there is a role for it."""
        return {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url,
            "AWS_EC2_METADATA_DISABLED": "false",
        }

    def container_env(self, token_file=None):
        """For env(**aws.container_env()): a container."""
        env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": self.url + CONTAINER_PATH}
        if token_file is not None:
            env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(token_file)
        elif self.container_token is not None:
            env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = self.container_token
        return env

    # --- Keys

    def key(self, temporary=False, lifetime=3600, token_bytes=400):
        """A new one of a user."""
        with self._lock:
            arn = services.arn(self, "iam", "user/app")
            if not temporary:
                return self._new_key("AKIA", arn=arn)
            return self._new_key(
                "ASIA",
                session_token=self._session_token(token_bytes),
                expires=self.now() + lifetime,
                arn=arn,
            )

    def issue(self, role_arn, session, lifetime):
        """A new one of a role."""
        with self._lock:
            name = role_arn.partition("/")[2].rpartition("/")[2]
            return self._new_key(
                "ASIA",
                session_token=self._session_token(self.token_bytes),
                expires=self.now() + lifetime,
                arn=services.arn(self, "sts", f"assumed-role/{name}/{session}"),
                role=role_arn,
            )

    def _new_key(self, prefix, **fields):
        letters = string.ascii_uppercase + "234567"
        name = prefix + "".join(secrets.choice(letters) for _ in range(16))
        secret = base64.b64encode(secrets.token_bytes(30)).decode()
        key = self.keys[name] = Key(name, secret, **fields)
        return key

    @staticmethod
    def _session_token(length):
        """Of all the characters that somebody may forget to encode."""
        noise = base64.b64encode(secrets.token_bytes(length)).decode()
        return f"IQoJ+/{noise[:length - 8]}=="

    def expire(self, key):
        """From now on it is refused: as expired, or as deleted if it is a user's."""
        with self._lock:
            if key.session_token is None:
                key.revoked = True
            else:
                key.expires = self.now()

    def redshift_ok(self, user, password):
        """Whether that logs in to Redshift."""
        with self._lock:
            whose, expires = self.redshift_passwords.get(password, (None, 0))
            return whose == user and self.now() < expires

    def check_rds_token(self, token, user, names, now=None):
        """Raises aws_verify.TokenError; names: each "host:port" of the server."""
        self._check_token(aws_verify.check_rds_token, token, user, names, now)

    def check_dsql_token(self, token, user, names, now=None):
        """And for Aurora DSQL; names: each host of the server."""
        self._check_token(aws_verify.check_dsql_token, token, user, names, now)

    def _check_token(self, check, token, user, names, now):
        with self._lock:
            when = self.now() if now is None else now
            check(token, user, names, self.keys, self._signing_region(), when)

    def _signing_region(self):
        return None if self.any_region else self.region

    # --- Faults and the journal

    def fault(
        self,
        operation=None,
        times=1,
        status=None,
        body=None,
        code=None,
        message=None,
        headers=None,
        delay=0,
        drop=False,
        drip=False,
        redirect=None,
    ):
        """Spoils the next requests for the operation (None: for any), times of
        them (None: all): the first fault that fits and is not used up acts.

        status, body   are the answer; code, message: an error in the right form
        headers        are added, to whatever the answer is
        delay          seconds before the answer, or until release() of the Fault
        drop           closes the connection instead
        drip           sends the body a byte at a time, over and over
        redirect       URL
        """
        body = body.encode() if isinstance(body, str) else body
        how = {
            **{"status": status, "body": body, "code": code, "message": message},
            **{"headers": headers, "delay": delay, "drop": drop, "drip": drip},
            "redirect": redirect,
        }
        fault = Fault(operation, times, **how)
        with self._lock:
            self._faults.append(fault)
            self._all_faults.append(fault)
        return fault

    def heal(self):
        """Ends all faults."""
        with self._lock:
            self._faults.clear()
            for fault in self._all_faults:
                fault.release()

    def entries(self, operation=None, ok=None):
        """Of the journal: those of the operation, that went well or did not."""
        with self._lock:
            return [
                entry
                for entry in self.journal
                if (operation is None or entry.operation == operation)
                and (ok is None or entry.ok == ok)
            ]

    def count(self, operation=None, ok=None):
        return len(self.entries(operation, ok))

    def wait_for(self, operation, times=1, timeout=10):
        """Until so many requests for it have come, if need be not yet answered."""
        with self._lock:
            if not self._lock.wait_for(
                lambda: self.count(operation) >= times, timeout
            ):
                raise TimeoutError(f"no {times} requests for {operation}")

    def clear(self):
        """Empties the journal."""
        with self._lock:
            self.journal.clear()

    # --- What is asked

    def answer(self, request):
        """Its Reply and the Fault that spoils it; either may be None."""
        with self._lock:
            entry = Entry(self.now(), None, **vars(request))
            try:
                reply, fault = self._answer(request, entry)
                entry.reply = None if fault and fault.how["drop"] else reply
            finally:
                self.journal.append(entry)
                self._lock.notify_all()
        if fault and fault.how["delay"]:
            fault.over.wait(fault.how["delay"])
        return entry.reply, fault

    def refuse_http(self, command, line, status, why):
        """What is no request at all: the Reply."""
        reply = wire.reply_text("Bad Request\n", status=status)
        reason = f"{status} {why}"
        with self._lock:
            self.journal.append(
                Entry(
                    *(self.now(), None, command, line, email.message.Message(), b""),
                    *("refused", reason, None, reply),
                )
            )
        return reply

    def _answer(self, request, entry):
        service, protocol = None, "none"
        failure = None
        try:
            entry.operation, service, protocol = route(request, self.base_path)
            operation = services.OPERATIONS.get(entry.operation)
            if operation is None:
                raise unknown_operation(request, protocol)
            entry.signed = self._let_in(request, operation)
        except wire.Failure as e:
            failure = e
        fault = self._take_fault(entry.operation)
        spoilt = fault and fault.reply(service, protocol)
        if spoilt or fault and fault.how["drop"]:
            entry.verdict = "fault"
            entry.reason = failure.code if failure else fault.how["code"]
            return spoilt, fault
        entry.verdict = "refused"
        try:
            if failure:
                raise failure
            call = self._call(request, entry, operation)
            entry.verdict = "failed"
            result = operation.handler(self, call)
            entry.verdict = "ok"
            reply = wire.reply_result(service, protocol, entry.operation, result)
        except wire.Failure as e:
            entry.reason = e.code
            text = e.message
            reply = wire.reply_error(service, protocol, e.code, text, e.status)
        if fault:
            reply.headers.update(fault.how["headers"] or {})
        return reply, fault

    def _take_fault(self, operation):
        for fault in self._faults:
            if fault.operation in (None, operation) and fault.left != 0:
                if fault.left is not None:
                    fault.left -= 1
                return fault
        return None

    def _let_in(self, request, operation):
        """Who signed it, where that has to be."""
        query = operation.protocol == "query"
        if operation.service is None:
            # The container has an Authorization of its own.
            unsigned = operation.protocol != "container"
            if unsigned and "Authorization" in request.headers:
                code = "AccessDenied" if query else "InvalidRequestException"
                raise wire.Failure(code, "This operation takes no signature.", 403)
            return None
        try:
            return aws_verify.verify_request(
                *(request, self.keys, operation.service),
                *(self._signing_region(), self.now()),
            )
        except aws_verify.Refused as e:
            code, status = wire.REFUSALS[e.why][query]
            raise wire.Failure(code, e.text, status) from None

    def _call(self, request, entry, operation):
        """The request, understood, of somebody who is allowed to make it."""
        call = services.Call(entry.operation, request, {}, entry.key)
        if entry.operation in self.denied:
            code, status = wire.DENIED.get(operation.protocol, ("AccessDenied", 403))
            text = services.denied(call, operation.service or "sts")
            raise wire.Failure(code, text, status)
        if operation.protocol == "query":
            call.members = wire.decode_query(request.body, operation.members)
        elif operation.protocol in ("json", "oidc"):
            call.members = wire.decode_json(request.body, operation.members)
        missing = [m for m in operation.required if m not in call.members]
        if missing:
            code = "ValidationException"
            if operation.protocol == "query":
                code = "ValidationError"
            elif operation.protocol == "oidc":
                code = "invalid_request"
            raise wire.Failure(code, f"'{missing[0]}' must not be null")
        return call


def route(request, base_path):
    """The operation, whose it is, and its protocol; the operation is None if
    there is no such path."""
    path = request.target.partition("?")[0]
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip()
    name = PATHS.get((request.method, path))
    if name is None and path.startswith(IMDS_ROLES + "/") and request.method == "GET":
        name = "ImdsCredentials"
    if name == "CreateToken" and kind != "application/json":
        return None, None, "none"
    if name is not None:
        return name, None, services.OPERATIONS[name].protocol
    if path.startswith("/latest/"):
        return None, None, "imds"
    if (request.method, request.target) != ("POST", base_path):
        return None, None, "none"
    target = request.headers.get("X-Amz-Target")
    if target is not None:
        prefix, _, name = target.partition(".")
        if kind != wire.JSON or prefix not in TARGETS:
            name = None
        return known(name, TARGETS.get(prefix)), TARGETS.get(prefix), "json"
    if kind != wire.FORM:
        return None, None, "none"
    form = dict(urllib.parse.parse_qsl(request.body.decode(errors="replace")))
    service = VERSIONS.get(form.get("Version"))
    return known(form.get("Action"), service), service, "query"


def known(name, service):
    """The name, if it is an operation of that service."""
    operation = services.OPERATIONS.get(name)
    owner = operation and (operation.service or "sts")
    return name if operation and owner == service else None


def unknown_operation(request, protocol):
    if protocol == "json":
        return wire.Failure("UnknownOperationException")
    if protocol == "query":
        return wire.Failure("InvalidAction", "Could not find operation for version")
    return wire.Failure("UnknownOperationException", request.target, 404)
