# SPDX-License-Identifier: MIT
"""What the login gateways have in common.

A gateway stands in front of a real server of the tests. It speaks TLS with a
client and decides on its login as a service of AWS does; then it logs in to the
server itself, and is a pipe. gateway_pg.py and gateway_mysql.py are the two.
"""

import collections
import contextlib
import hashlib
import select
import socket
import ssl
import threading
import time

import certificates
from aws_verify import TokenError

CHUNK = 65536

# One attempt to log in. verdict: "ok" or the code of the refusal, which reason
# explains; params: what the client sent along with its name; sni: the name it
# asked for by TLS; time: of the clock of this machine.
Login = collections.namedtuple("Login", "user password verdict reason params sni time")


class Refused(Exception):
    """Of a login that the client has been told about."""


class Wire:
    """A connected socket, plain at first. One thread at a time. plain: gets a
    copy of all that comes without TLS."""

    def __init__(self, sock, plain=None):
        self.sock = sock
        self.plain = plain
        self.sni = None
        self.out = bytearray()  # what is to be sent, as it goes over the wire
        self.taken = bytearray()  # what has come and nobody has read
        self.ended = False
        self._tls = None

    @property
    def encrypted(self):
        return self._tls is not None

    def start_tls(self, context):
        """As the server."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        tls.wire = self
        self._incoming.write(self.taken)
        self.taken.clear()
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._send_outgoing()
                data = self.sock.recv(CHUNK)
                if not data:
                    raise EOFError from None
                self._incoming.write(data)
            except ssl.SSLError:
                self._send_outgoing()
                raise
        self._tls = tls
        self._send_outgoing()
        self._decrypt()

    def _send_outgoing(self):
        self.out += self._outgoing.read()
        self.flush()

    def _decrypt(self):
        with contextlib.suppress(ssl.SSLWantReadError):
            while True:
                data = self._tls.read(CHUNK)
                if not data:
                    self.ended = True
                    return
                self.taken += data

    def receive(self):
        """Waits for something to come, and puts it into self.taken; without
        anything to come, sets self.ended."""
        try:
            data = self.sock.recv(CHUNK)
            if data and self._tls:
                self._incoming.write(data)
                self._decrypt()
            else:
                self.taken += data
                self.ended = not data
                if self.plain is not None:
                    self.plain += data
        except OSError:
            self.ended = True
        if self._tls:
            self.out += self._outgoing.read()

    def read(self, count):
        while len(self.taken) < count:
            self.flush()
            if self.ended:
                raise EOFError
            self.receive()
        data = bytes(self.taken[:count])
        del self.taken[:count]
        return data

    def take(self):
        data = bytes(self.taken)
        self.taken.clear()
        return data

    def put(self, data):
        """To be sent by push() or flush()."""
        if not self._tls:
            self.out += data
            return
        data = memoryview(data)
        while data:
            data = data[self._tls.write(data) :]
        self.out += self._outgoing.read()

    def push(self):
        """Sends what can be sent at once."""
        with contextlib.suppress(BlockingIOError):
            sent = self.sock.send(self.out, socket.MSG_DONTWAIT)
            del self.out[:sent]

    def flush(self):
        # To send nothing fails as well when the other has gone, who may have
        # left something to be read.
        if self.out:
            self.sock.sendall(self.out)
        self.out.clear()

    def send(self, data):
        self.put(data)
        self.flush()

    def say_goodbye(self):
        """What a TLS server says at the end."""
        if self._tls:
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self.out += self._outgoing.read()
        self.flush()


def pipe(client, server, to_server=None, to_client=None, deadline=None):
    """Passes on what the two say, through functions of the bytes, until one
    ends. Takes no more from one than the other takes. Returns False when it is
    the deadline (of time.monotonic()) that ends it."""
    links = [(client, server, to_server), (server, client, to_client)]
    while True:
        for source, sink, change in links:
            data = source.take()
            if data:
                sink.put(change(data) if change else data)
                sink.push()
        if client.ended:
            return True
        if server.ended:
            client.flush()
            return True
        polled = select.poll()
        for source, sink, _ in links:
            wanted = 0 if sink.out else select.POLLIN
            wanted |= select.POLLOUT if source.out else 0
            polled.register(source.sock, wanted)
        ready = wait(polled, deadline)
        if ready is None:
            return False
        for source, sink, _ in links:
            events = ready.get(source.sock.fileno(), 0)
            if events & select.POLLOUT:
                source.push()
            # Who has gone is told apart from who is only slow by receiving.
            if events & ~select.POLLOUT and (not sink.out or events & GONE):
                source.receive()


GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


def wait(polled, deadline):
    """What is ready, {fd: events}; None when it is too late."""
    if deadline is None:
        return dict(polled.poll())
    left = deadline - time.monotonic()
    ready = dict(polled.poll(left * 1000)) if left > 0 else {}
    return ready or None


class Gateway:
    """A gateway on 127.0.0.1:port; close() it.

    aws: what decides on tokens and passwords. server: a server of the tests or
    an empty database on it (engines.py). kind: what it is the gateway of.
    host: its name, which its certificate is for. names: what a token may be
    signed for, by default the one name it has. max_connection_seconds: when a
    session is cut. tls: whether it speaks TLS. ca: a certificates.Authority to
    use instead of the common one. hold: a threading.Event that each login waits
    for once it has said its password. password: the one of kind "password",
    which may change; as_user: who it is at the server.

    logins: all that have shown a password, as Login; ok: the good ones.
    received: all that clients sent without TLS.
    """

    def __init__(
        self,
        aws,
        server,
        kind,
        host,
        names=None,
        max_connection_seconds=None,
        tls=True,
        ca=None,
        hold=None,
        password=None,
        as_user="app",
    ):
        self.aws = aws
        self.server = server
        self.kind = kind
        self.host = host
        self.tls = tls
        self.max_connection_seconds = max_connection_seconds
        self.hold = hold
        self.password = password
        self.as_user = as_user
        self.logins = []
        self.received = bytearray()
        self._refusals = 0
        self._closing = False
        self._lock = threading.Lock()
        self._sockets = set()
        self._threads = []
        crt, key = ca.issue([host], host) if ca else certificates.common_for(host)
        self.ca = ca.crt if ca else certificates.common().crt
        with open(crt) as f:
            der = ssl.PEM_cert_to_DER_cert(f.read())
        self.fingerprint = hashlib.sha256(der).hexdigest()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(crt, key)
        self._context.sni_callback = remember_name
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.names = names or self._own_names()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def ok(self):
        return [login for login in self.logins if login.verdict == "ok"]

    def refuse_next(self, count):
        """So many logins fail, whatever they show."""
        with self._lock:
            self._refusals = count

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(
                    target=self._serve, args=(client,), daemon=True
                )
                with self._lock:
                    self._threads = [t for t in self._threads if t.is_alive()]
                    self._threads.append(thread)
                    thread.start()

    def _serve(self, sock):
        with contextlib.ExitStack() as open_sockets:
            # Whoever goes away in the middle is no problem of the gateway's.
            open_sockets.enter_context(contextlib.suppress(OSError, EOFError, Refused))

            def connected(sock, plain=None):
                open_sockets.callback(self._forget, sock)
                with self._lock:
                    self._sockets.add(sock)
                    if self._closing:
                        raise EOFError
                return Wire(sock, plain)

            self._converse(connected(sock, self.received), connected)

    def _forget(self, sock):
        with self._lock:
            self._sockets.discard(sock)
        sock.close()

    def _deadline(self):
        if self.max_connection_seconds is None:
            return None
        return time.monotonic() + self.max_connection_seconds

    def _decide(self, wire, user, password, params):
        """Whether it may come in."""
        while self.hold and not self.hold.wait(0.05) and not self._closing:
            pass
        with self._lock:
            refused = self._refusals > 0
            self._refusals -= refused
        verdict, reason = "ok", ""
        try:
            if refused:
                raise TokenError("refused", "the gateway was told to")
            self._check(user, password)
        except TokenError as e:
            verdict, reason = e.code, e.text
        login = Login(user, password, verdict, reason, params, wire.sni, time.time())
        self.logins.append(login)
        return verdict == "ok"

    def close(self):
        """Ends all sessions and threads."""
        # A listener that is only closed leaves its thread inside accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        with self._lock:
            self._closing = True
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


def remember_name(tls, name, context):
    tls.wire.sni = name
