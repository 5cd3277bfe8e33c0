# SPDX-License-Identifier: MIT
"""A TCP proxy that can fall silent: connections stay, nothing goes through."""

import contextlib
import socket
import threading


class Proxy:
    """Forwards 127.0.0.1:port, or what comes to the listener, to a server there,
    until it is told not to."""

    def __init__(self, server_port, listener=None):
        self._server = ("127.0.0.1", server_port)
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self._silent = threading.Event()
        self._sockets = []
        self._threads = []
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)

    def _start(self, function, *args):
        thread = threading.Thread(target=function, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                if self._silent.is_set():
                    continue
                server = socket.create_connection(self._server)
                self._sockets.append(server)
                self._start(self._pump, client, server, self._silent)
                self._start(self._pump, server, client, self._silent)

    @staticmethod
    def _pump(source, sink, silent):
        with contextlib.suppress(OSError):
            while True:
                data = source.recv(65536)
                if silent.is_set():
                    return
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)

    def go_silent(self):
        """Nothing comes through any more, and new connections get no answer."""
        self._silent.set()

    def speak(self):
        """What connects from now on is served; the silent ones stay silent."""
        self._silent = threading.Event()

    def close(self):
        # A listener that is only closed leaves its thread inside accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        for s in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()
        for thread in self._threads:
            thread.join()
