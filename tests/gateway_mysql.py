# SPDX-License-Identifier: MIT
"""Gateways in front of MariaDB: RDS, or any server that wants a password."""

import hashlib
import os
import socket
import struct

from aws_verify import TokenError
from gateway import Gateway, Refused, pipe

WITH_DATABASE, COMPRESS, SSL = 0x8, 0x20, 0x800
SECURE, PLUGIN, ATTRIBUTES, LONG_PROOF = 0x8000, 0x80000, 0x100000, 0x200000
NATIVE, CLEAR = b"mysql_native_password", b"mysql_clear_password"

COM_CHANGE_USER = 0x11
OK, SWITCH = 0x00, 0xFE

INSECURE = (
    "Connections using insecure transport are prohibited while"
    " --require_secure_transport=ON."
)


def error(number, state, text):
    return b"\xff" + struct.pack("<H", number) + f"#{state}{text}".encode()


def proof(password, salt):
    """What mysql_native_password shows."""
    if not password:
        return b""
    once = hashlib.sha1(password.encode()).digest()
    twice = hashlib.sha1(once).digest()
    mask = hashlib.sha1(salt + twice).digest()
    return bytes(a ^ b for a, b in zip(once, mask))


def counted(data):
    """With its length before it; of less than 251 bytes."""
    return bytes([len(data)]) + data


class Reader:
    """The fields of a packet, one by one."""

    def __init__(self, data):
        self.rest = data

    def bytes(self, count):
        data, self.rest = self.rest[:count], self.rest[count:]
        return data

    def number(self, size):
        return int.from_bytes(self.bytes(size), "little")

    def text(self):
        """Up to a NUL or the end."""
        data, _, self.rest = self.rest.partition(b"\0")
        return data

    def counted(self):
        size = self.number(1)
        if size >= 0xFC:
            size = self.number({0xFC: 2, 0xFD: 3, 0xFE: 8}[size])
        return self.bytes(size)


class Packets:
    """Over a Wire."""

    def __init__(self, wire):
        self.wire = wire
        self.number = 0

    def send(self, payload):
        header = struct.pack("<I", len(payload))[:3] + bytes([self.number])
        self.number = (self.number + 1) % 256
        self.wire.send(header + payload)

    def receive(self):
        header = self.wire.read(4)
        self.number = (header[3] + 1) % 256
        return self.wire.read(int.from_bytes(header[:3], "little"))


class Greeting:
    """Of the server, to be repeated with a salt of the gateway's."""

    def __init__(self, payload):
        fields = Reader(payload)
        self._start = fields.bytes(1) + fields.text() + b"\0" + fields.bytes(4)
        salt = fields.bytes(8)
        fields.bytes(1)
        low = fields.number(2)
        self._status = fields.bytes(3)
        self.flags = low | fields.number(2) << 16
        fields.bytes(1)
        self._more = fields.bytes(10)
        self.salt = salt + fields.bytes(12)

    def with_salt(self, salt, tls):
        flags = self.flags & ~COMPRESS & ~SSL | PLUGIN | (SSL if tls else 0)
        flags = flags.to_bytes(4, "little")
        start = self._start + salt[:8] + b"\0" + flags[:2] + self._status + flags[2:]
        return start + b"\x15" + self._more + salt[8:] + b"\0" + NATIVE + b"\0"


class Introduction:
    """Who a client says it is: a handshake response, or, with the flags of
    that, what follows the first byte of COM_CHANGE_USER."""

    def __init__(self, payload, flags=None):
        fields = Reader(payload)
        self.flags = flags
        if flags is None:
            self.flags = fields.number(4)
            self._head = fields.bytes(28)
        self.user = fields.text()
        if flags is None and self.flags & LONG_PROOF:
            fields.counted()
        else:
            fields.bytes(fields.number(1))
        self.database = b""
        if flags is not None or self.flags & WITH_DATABASE:
            self.database = fields.text()
        self._charset = fields.bytes(2) if flags is not None else b""
        if self.flags & PLUGIN:
            fields.text()
        self.attributes = fields.rest if self.flags & ATTRIBUTES else b""

    @property
    def params(self):
        fields = Reader(Reader(self.attributes).counted())
        found = {"database": self.database.decode()}
        while fields.rest:
            name = fields.counted().decode()
            found[name] = fields.counted().decode()
        return found

    def as_login(self, user, shown):
        """The handshake response for the server, of that user."""
        flags = self.flags & ~SSL & ~COMPRESS & ~WITH_DATABASE
        flags |= PLUGIN | SECURE | (WITH_DATABASE if self.database else 0)
        payload = struct.pack("<I", flags) + self._head + user + b"\0" + counted(shown)
        if self.database:
            payload += self.database + b"\0"
        return payload + NATIVE + b"\0" + self.attributes

    def as_change(self, user, shown):
        start = bytes([COM_CHANGE_USER]) + user + b"\0" + counted(shown)
        start += self.database + b"\0" + self._charset
        return start + NATIVE + b"\0" + self.attributes


class MysqlGateway(Gateway):
    """See gateway.Gateway. sign_port: the port that belongs to the host in
    tokens and in spec(), if it is not the one it listens on."""

    def __init__(
        self, aws, server, kind="rds", host="localhost", sign_port=None, **how
    ):
        self.sign_port = sign_port
        super().__init__(aws, server, kind, host, **how)

    def _own_names(self):
        return {f"{self.host}:{self.sign_port or self.port}"}

    def spec(self, **fields):
        """A connection spec for it; fields replace or add, None removes. A name
        that is not of this machine is known by its fingerprint alone."""
        known = self.host in ("localhost", "127.0.0.1")
        own = self.kind == "password"  # which has no rule of its own about TLS
        spec = {
            "type": "mariadb" if own else "mysql-rds",
            "enabled": True,
            "host": self.host,
            "port": self.sign_port or self.port,
            "connect_to": None if known else f"127.0.0.1:{self.port}",
            "tls_fingerprint": None if known else self.fingerprint,
            "ca_cert": None if own and not self.tls else self.ca,
            "sslmode": ("verify-full" if self.tls else "disable") if own else None,
            "region": None if own else "eu-west-1",
            "user": "app",
            "database": getattr(self.server, "database", "app"),
            **fields,
        }
        return {k: v for k, v in spec.items() if v is not None}

    def _converse(self, client, connected):
        where = self.server.spec(user=self.as_user)
        sock = socket.socket(socket.AF_UNIX)
        server = connected(sock)
        sock.connect(where["host"])
        session = Session(self, client, server, where)
        session.log_in()
        pipe(client, server, session.commands, None, self._deadline())
        client.say_goodbye()

    def _check(self, user, password):
        if self.kind == "rds":
            self.aws.check_rds_token(password, user, self.names)
        elif password != self.password:
            raise TokenError("password", "not the one it has now")


class Session:
    """One client, and its session at the server."""

    def __init__(self, gateway, client, server, where):
        self._gateway = gateway
        self._client = Packets(client)
        self._server = Packets(server)
        self._user = where["user"].encode()
        self._password = where["password_plain"]
        # One for all: when it changes its user a client uses the first again.
        self._own_salt = new_salt()
        self._data = bytearray()  # of the client, not passed on yet
        self._left = 0  # bytes of the packet that is being passed on

    def log_in(self):
        gateway, client, server = self._gateway, self._client, self._server
        greeting = Greeting(server.receive())
        client.send(greeting.with_salt(self._own_salt, gateway.tls))
        payload = client.receive()
        if gateway.tls and payload[1] & SSL >> 8:
            client.wire.start_tls(gateway._context)
            payload = client.receive()
        who = Introduction(payload)
        self._flags = who.flags
        self._salt = greeting.salt
        if gateway.kind == "rds" and gateway.tls and not client.wire.encrypted:
            client.send(error(3159, "HY000", INSECURE))
            raise Refused(INSECURE)
        if not self._admit(who):
            client.wire.say_goodbye()
            raise Refused
        server.send(who.as_login(self._user, self._proof(self._salt)))
        answer = self._finish()
        client.send(answer)
        if answer[0] != OK:
            client.wire.say_goodbye()
            raise Refused("the server's own reason")

    def _proof(self, salt):
        return proof(self._password, salt)

    def _admit(self, who):
        """Asks for the password of who; whether it is right. Who is refused has
        been told."""
        gateway, client = self._gateway, self._client
        salt = self._own_salt
        plugin = CLEAR if gateway.kind == "rds" else NATIVE
        client.send(bytes([SWITCH]) + plugin + b"\0" + salt + b"\0")
        shown = client.receive()
        password = shown.rstrip(b"\0").decode(errors="replace")
        if plugin == NATIVE:
            right = shown == proof(gateway.password, salt)
            password = gateway.password if right else ""
        user = who.user.decode()
        if gateway._decide(client.wire, user, password, who.params):
            return True
        using = "YES" if shown.rstrip(b"\0") else "NO"
        text = f"Access denied for user '{user}'@'127.0.0.1' (using password: {using})"
        client.send(error(1045, "28000", text))
        return False

    def _finish(self):
        """The login at the server to its end: what it says."""
        while True:
            answer = self._server.receive()
            if answer[0] != SWITCH:
                return answer
            fields = Reader(answer[1:])
            assert fields.text() == NATIVE, "the server's user has a password"
            self._salt = fields.bytes(20)
            self._server.send(self._proof(self._salt))

    def commands(self, data):
        """Of what the client says, that which is for the server."""
        self._data += data
        out = bytearray()
        while True:
            passed = self._data[: self._left]
            del self._data[: self._left]
            self._left -= len(passed)
            out += passed
            if self._left or len(self._data) < 4:
                return bytes(out)
            size = int.from_bytes(self._data[:3], "little")
            first = self._data[3] == 0 and size > 0
            if first and len(self._data) < 5:
                return bytes(out)
            if not first or self._data[4] != COM_CHANGE_USER:
                self._left = 4 + size
            elif len(self._data) < 4 + size:
                return bytes(out)
            else:
                self._server.wire.send(out)
                out.clear()
                payload = bytes(self._data[5 : 4 + size])
                del self._data[: 4 + size]
                self._change_user(payload)

    def _change_user(self, payload):
        client, server = self._client, self._server
        # Both go on packet by packet.
        client.wire.taken[:0] = self._data
        self._data.clear()
        client.wire.send(server.wire.take())
        client.number = 1
        who = Introduction(payload, self._flags)
        if not self._admit(who):
            return
        server.number = 0
        server.send(who.as_change(self._user, self._proof(self._salt)))
        client.send(self._finish())


def new_salt():
    """As the protocol wants it, without NUL."""
    return bytes(33 + byte % 94 for byte in os.urandom(20))
