# SPDX-License-Identifier: MIT
"""Gateways in front of PostgreSQL: RDS, Aurora DSQL, Redshift, or any server
that wants a password."""

import base64
import hashlib
import hmac
import itertools
import re
import secrets
import socket
import struct

from aws_verify import TokenError
from gateway import Gateway, Refused, pipe

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
PROTOCOL = 3 << 16

DEFAULTS = {  # (host, port) of each kind
    "rds": ("db.abcdefgh.eu-west-1.rds.amazonaws.com", 5432),
    "dsql": ("abcdefghijklmnopqrstuvwxyz.dsql.eu-west-1.on.aws", 5432),
    "redshift": ("shop.abcdefgh.eu-west-1.redshift.amazonaws.com", 5439),
    "password": ("db.example.com", 5432),
}
TYPES = {
    "rds": "postgres-rds",
    "dsql": "dsql",
    "redshift": "redshift",
    "password": "postgres",
}


def message(kind, payload):
    return kind + struct.pack(">I", len(payload) + 4) + payload


def words(*texts):
    return b"".join(text.encode() + b"\0" for text in texts)


def error(severity, code, text):
    fields = [f"S{severity}", f"V{severity}", f"C{code}", f"M{text}"]
    return message(b"E", words(*fields) + b"\0")


def cancel_request(key):
    return struct.pack(">II", len(key) + 8, CANCEL_REQUEST) + key


def parameters(payload):
    """Of a startup message, as a dict."""
    parts = payload.rstrip(b"\0").decode(errors="surrogateescape").split("\0")
    return dict(zip(parts[::2], parts[1::2]))


class PgGateway(Gateway):
    """See gateway.Gateway. sign_port: the port that belongs to the host in
    tokens and in spec(), which dials port."""

    def __init__(self, aws, server, kind="rds", host=None, sign_port=None, **how):
        self.sign_port = sign_port or DEFAULTS[kind][1]
        super().__init__(aws, server, kind, host or DEFAULTS[kind][0], **how)

    def _own_names(self):
        return {self.host if self.kind == "dsql" else f"{self.host}:{self.sign_port}"}

    def spec(self, **fields):
        """A connection spec for it; fields replace or add, None removes."""
        own = self.kind == "password"  # which has no rule of its own about TLS
        spec = {
            "type": TYPES[self.kind],
            "enabled": True,
            "host": self.host,
            "port": self.sign_port,
            "connect_to": f"127.0.0.1:{self.port}",
            "ca_cert": None if own and not self.tls else self.ca,
            "sslmode": ("verify-full" if self.tls else "disable") if own else None,
            "user": "admin" if self.kind == "dsql" else "app",
            "database": "postgres" if self.kind == "dsql" else self._database(),
            **fields,
        }
        return {k: v for k, v in spec.items() if v is not None}

    def _database(self):
        return getattr(self.server, "database", "app")

    def _converse(self, client, connected):
        code, payload = self._first_packet(client)
        if code == CANCEL_REQUEST:
            self._cancel(payload, connected)
            return
        params = parameters(payload)
        user = params.pop("user", "")
        self._admit(client, user, params)
        self._ask_password(client, user, params)
        server, key = self._log_in(client, params, connected)
        requests = DsqlRequests() if self.kind == "dsql" else None
        answers = None
        if requests or self.max_connection_seconds is not None:
            answers = Answers(requests)
        cut = not pipe(client, server, requests, answers, self._deadline())
        if cut or self._closing:
            # The server itself would wait for its statement to end.
            with self._connect() as other:
                other.sendall(cancel_request(key))
        if cut:
            text = "terminating connection: it has lasted as long as it may"
            client.put(error("FATAL", "57P01", text))
            client.push()
        client.say_goodbye()

    def _first_packet(self, client):
        while True:
            size, code = struct.unpack(">II", client.read(8))
            if code == SSL_REQUEST and self.tls and not client.encrypted:
                client.send(b"S")
                client.start_tls(self._context)
            elif code in (SSL_REQUEST, GSS_REQUEST):
                client.send(b"N")
            elif 8 <= size <= 10000:
                return code, client.read(size - 8)
            else:
                raise EOFError

    def _connect(self):
        where = self.server.spec()
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(f"{where['host']}/.s.PGSQL.{where['port']}")
        return sock

    def _cancel(self, key, connected):
        server = connected(self._connect())
        server.send(cancel_request(key))
        while not server.ended:
            server.receive()

    def _refuse(self, client, code, text):
        client.send(error("FATAL", code, text))
        client.say_goodbye()
        raise Refused(text)

    def _admit(self, client, user, params):
        """Before a password is asked for."""
        if self.tls and not client.encrypted:
            who = f'user "{user}", database "{params.get("database", user)}"'
            text = f'pg_hba.conf rejects connection for host "127.0.0.1", {who}'
            self._refuse(client, "28000", f"{text}, SSL off")
        if self.kind == "dsql":
            self._admit_to_dsql(client, user, params)

    def _admit_to_dsql(self, client, user, params):
        cluster = self.host.partition(".")[0]
        options = params.get("options", "").strip()
        named = re.fullmatch(r"-c\s*amzn-cluster-id=(\S+)", options)
        if not client.sni:
            text = "unable to accept connection, sni was not received"
            self._refuse(client, "08004", text)
        if (named.group(1) if named else client.sni) not in (self.host, cluster):
            text = "unable to accept connection, there is no such cluster"
            self._refuse(client, "08004", text)
        for name in sorted(params):
            if name == "options" and (named or not options):
                continue
            if name not in ("database", *DSQL_SETTINGS):
                name = setting_of(options) if name == "options" else name
                self._refuse(client, "0A000", NOT_SUPPORTED.format(name))
        database = params.get("database", user)
        if database != "postgres":
            self._refuse(client, "3D000", f'database "{database}" does not exist')

    def _ask_password(self, client, user, params):
        client.send(message(b"R", struct.pack(">I", 3)))
        kind, size = struct.unpack(">cI", client.read(5))
        if kind != b"p":
            self._refuse(client, "08P01", "expected password response")
        password = client.read(size - 4).rstrip(b"\0").decode(errors="replace")
        if self._decide(client, user, password, params):
            return
        text = f'password authentication failed for user "{user}"'
        if self.kind == "rds":
            text = f'PAM authentication failed for user "{user}"'
        if self.kind == "dsql":
            text = "unable to accept connection, access denied"
        self._refuse(client, "28P01" if self.kind == "password" else "28000", text)

    def _check(self, user, password):
        if self.kind == "rds":
            self.aws.check_rds_token(password, user, self.names)
        elif self.kind == "dsql":
            self.aws.check_dsql_token(password, user, self.names)
        elif self.kind == "redshift":
            if not self.aws.redshift_ok(user, password):
                raise TokenError("password", "not one that Redshift gave")
        elif password != self.password:
            raise TokenError("password", "not the one it has now")

    def _log_in(self, client, params, connected):
        """The session at the server, and what cancels its statements. The
        client has seen all of the login."""
        where = self.server.spec(user=self.as_user)
        server = connected(self._connect())
        own = {"user": where["user"], **params}
        if self.kind == "dsql":
            own["database"] = self._database()
            own.pop("options", None)
        pairs = words(*itertools.chain.from_iterable(own.items()))
        server.send(message(b"", struct.pack(">I", PROTOCOL) + pairs + b"\0"))
        first = authenticate(server, where.get("password_plain", ""))
        key = None
        for kind, payload in itertools.chain([first], messages(server)):
            client.put(message(kind, payload))
            key = payload if kind == b"K" else key
            if kind == b"Z":
                return server, key
            if kind == b"E":
                client.say_goodbye()
                raise Refused("the server's own reason")


NOT_SUPPORTED = 'setting configuration parameter "{}" not supported'
DSQL_SETTINGS = ["application_name", "client_encoding"]

# What may hide the beginning of a statement, or look like one.
QUOTED = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$", re.S)
CHANGE = re.compile(
    r"\s*(?:(discard)\b|set\s+(?:(?:session|local)\s+)?(\S+?)(?:[\s=]|$)"
    r"|reset\s+(\S+))",
    re.I,
)


def setting_of(options):
    """The name of one in a startup message's options."""
    names = re.findall(r"(?:-c\s*|--)([\w.-]+)", options)
    return next((name for name in names if name != "amzn-cluster-id"), "options")


def why_refused(sql):
    """By Aurora DSQL; None if it is not."""
    for statement in QUOTED.sub(" ", sql).split(";"):
        change = CHANGE.match(statement)
        if not change:
            continue
        discard, set_, reset = change.groups()
        if discard:
            return "unsupported statement: DISCARD"
        name = (set_ or reset).lower().strip('"')
        if name not in DSQL_SETTINGS + (["all"] if reset else ["names"]):
            return NOT_SUPPORTED.format(name)
    return None


class Messages:
    """Takes a stream of bytes, and gives it on message by message, as change()
    wants it."""

    def __init__(self):
        self._data = bytearray()

    def __call__(self, data):
        self._data += data
        out, at = [], 0
        while len(self._data) - at >= 5:
            size = 1 + int.from_bytes(self._data[at + 1 : at + 5], "big")
            if len(self._data) - at < size:
                break
            out.append(self.change(bytes(self._data[at : at + size])))
            at += size
        del self._data[:at]
        return b"".join(out)


class DsqlRequests(Messages):
    """What the client says. A statement that DSQL would refuse becomes one that
    the server refuses, and its answer becomes DSQL's: so all that comes before
    and after it is the server's own."""

    MARK = "refused_by_the_gateway_"

    def __init__(self):
        super().__init__()
        self.refused = []

    def change(self, whole):
        kind, payload = whole[:1], whole[5:]
        if kind not in b"QP":
            return whole
        texts = payload.split(b"\0", 2)
        sql = texts[0 if kind == b"Q" else 1]
        why = why_refused(sql.decode(errors="replace"))
        if why is None:
            return whole
        texts[0 if kind == b"Q" else 1] = f"{self.MARK}{len(self.refused)}".encode()
        self.refused.append(why)
        return message(kind, b"\0".join(texts))


class Answers(Messages):
    """And what the server says. requests: the client's, if they are watched."""

    def __init__(self, requests):
        super().__init__()
        self._requests = requests

    def change(self, whole):
        if whole[:1] == b"E" and self._requests:
            found = re.search(f'"{self._requests.MARK}(\\d+)"'.encode(), whole)
            if found:
                why = self._requests.refused[int(found.group(1))]
                return error("ERROR", "0A000", why)
        return whole


def messages(server):
    """(type, payload), one after the other."""
    while True:
        kind, size = struct.unpack(">cI", server.read(5))
        yield kind, server.read(size - 4)


def authenticate(server, password):
    """As a client, up to AuthenticationOk or ErrorResponse, which it returns."""
    for kind, payload in messages(server):
        code = int.from_bytes(payload[:4], "big")
        if kind == b"E" or code == 0:
            return kind, payload
        if code == 10:
            scram = Scram(password)
            head = words("SCRAM-SHA-256") + struct.pack(">I", len(scram.first))
            server.send(message(b"p", head + scram.first))
        elif code == 11:
            server.send(message(b"p", scram.final(payload[4:])))
        else:
            assert code == 12, f"authentication {code} is not what the tests have"


class Scram:
    """The client's side of SCRAM-SHA-256."""

    def __init__(self, password):
        self._password = password.encode()
        self._start = f"n=,r={secrets.token_urlsafe(18)}".encode()
        self.first = b"n,," + self._start

    def final(self, challenge):
        fields = dict(part.split(b"=", 1) for part in challenge.split(b","))
        salt, count = base64.b64decode(fields[b"s"]), int(fields[b"i"])
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, count)
        key = hmac.digest(salted, b"Client Key", "sha256")
        text = b"c=biws,r=" + fields[b"r"]
        whole = b",".join([self._start, challenge, text])
        stored = hashlib.sha256(key).digest()
        signature = hmac.digest(stored, whole, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        return text + b",p=" + base64.b64encode(proof)
