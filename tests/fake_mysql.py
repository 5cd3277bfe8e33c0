# SPDX-License-Identifier: MIT
"""A MySQL server that does what no honest one would. It speaks as much of the
protocol as its client needs, and keeps all that the client says."""

import contextlib
import os
import socket
import struct
import threading

# Protocol 4.1, secure connections, plugins for authentication, and all the
# rest but for TLS, compression and what is MariaDB's own.
CAPABILITIES = 0x00FFF7DF & ~0x800 & ~0x20

OK = b"\x00\x00\x00\x02\x00\x00\x00"
COM_QUIT, COM_QUERY = b"\x01", b"\x03"
SCRAMBLE = b"abcdefghijklmnopqrst"


def error(number, text, state=b"HY000"):
    return b"\xff" + struct.pack("<H", number) + b"#" + state + text


def switch_to(plugin):
    """Asks the client to authenticate by that."""
    return b"\xfe" + plugin + b"\0" + SCRAMBLE + b"\0"


class FakeMysql:
    """A context manager. login: what it does when a client has introduced
    itself, and query: when it has asked something: functions of the connection,
    which answers. By default it believes everybody and does nothing."""

    def __init__(self, login=None, query=None):
        self._login = login or (lambda connection: connection.send(OK))
        self._query = query or (lambda connection, text: connection.send(OK))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.seen = b""
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def spec(self, **fields):
        login = {"user": "app", "password_plain": "S3cret-of-the-fake"}
        where = {"host": "127.0.0.1", "port": self.port, "database": "app"}
        return {"type": "mariadb", "enabled": True, **where, **login, **fields}

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                connection = Connection(client, self)
                threading.Thread(target=connection.serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for s in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


class Connection:
    def __init__(self, client, server):
        self._client = client
        self._server = server
        self._number = 0

    def send(self, payload):
        header = struct.pack("<I", len(payload))[:3] + bytes([self._number])
        self._number = (self._number + 1) % 256
        self._client.sendall(header + payload)

    def receive(self):
        """The next packet; EOFError at the end."""
        header = self._bytes(4)
        self._number = (header[3] + 1) % 256
        payload = self._bytes(int.from_bytes(header[:3], "little"))
        self._server.seen += header + payload
        return payload

    def _bytes(self, count):
        data = b""
        while len(data) < count:
            piece = self._client.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def serve(self):
        with contextlib.suppress(OSError, EOFError):
            self.send(
                b"\x0a5.5.5-10.11.0-MariaDB-fake\0"
                + struct.pack("<I", os.getpid())
                + SCRAMBLE[:8]
                + b"\0"
                + struct.pack("<H", CAPABILITIES & 0xFFFF)
                + b"\x2d\x02\x00"
                + struct.pack("<H", CAPABILITIES >> 16)
                + b"\x15"
                + bytes(10)
                + SCRAMBLE[8:]
                + b"\0mysql_native_password\0"
            )
            self.receive()
            self._server._login(self)
            while True:
                self._number = 0
                packet = self.receive()
                if packet[:1] == COM_QUIT:
                    return
                if packet[:1] == COM_QUERY:
                    self._server._query(self, packet[1:])
                else:
                    self.send(OK)
