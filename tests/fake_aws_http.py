# SPDX-License-Identifier: MIT
"""The HTTP server of fake_aws.FakeAws: whole requests in, answers out, and all
that may go wrong on the way."""

import contextlib
import email.message
import email.utils
import http.server
import itertools
import socket
import threading
import traceback

from aws_verify import Request


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False  # close() waits for them
    request_queue_size = 256

    def __init__(self, aws):
        super().__init__(("127.0.0.1", 0), Handler)
        self.aws = aws
        self.failures = []
        self._open = set()
        self._closing = False
        self._lock = threading.Lock()

    def process_request(self, request, client_address):
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def end_connections(self):
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        # Clients go away in the middle of things, and may.
        self.failures.append(traceback.format_exc())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Server"
    disable_nagle_algorithm = True

    def handle(self):
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def log_message(self, *args):
        pass

    def send_error(self, code, message=None, explain=None):
        """For what is no HTTP; the journal has that, too."""
        self._bad_request(code, message)

    def _bad_request(self, code, message):
        self.close_connection = True
        self.request_version = "HTTP/1.1"
        line = self.requestline
        self._send(self.server.aws.refuse_http(self.command or "", line, code, message))

    def _serve(self):
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self._bad_request(411, "Length Required")
            return
        body = self.rfile.read(int(length))
        # self.path is not always what was sent.
        target = self.requestline.split()[1]
        headers = email.message.Message()
        for name, value in self.headers.items():
            headers[name] = value.strip(" \t")
        request = Request(self.command, target, headers, body)
        reply, fault = self.server.aws.answer(request)
        if reply is None:
            self.close_connection = True
        elif fault and fault.how["drip"]:
            self._drip(reply, fault)
        else:
            self._send(reply)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = _serve

    def _head(self, reply, more):
        date = email.utils.formatdate(self.server.aws.now(), usegmt=True)
        headers = {"Server": "Server", "Date": date, **more, **reply.headers}
        self.send_response_only(reply.status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        head = b"".join(self._headers_buffer) + b"\r\n"
        self._headers_buffer.clear()
        return head

    def _send(self, reply):
        more = {"Content-Length": str(len(reply.body))}
        if self.close_connection:
            more["Connection"] = "close"
        body = b"" if self.command == "HEAD" else reply.body
        self.wfile.write(self._head(reply, more) + body)

    def _drip(self, reply, fault):
        """Until the client has enough, or close(), or release() of the fault."""
        self.close_connection = True
        self.wfile.write(self._head(reply, {"Connection": "close"}))
        for byte in itertools.cycle(reply.body or b" "):
            if fault.over.wait(0.05):
                return
            self.wfile.write(bytes([byte]))
