# SPDX-License-Identifier: MIT
"""Where the programs of docs/tools.md are tried: one mount for all of a file,
with sessions for each of them."""

import contextlib
import email
import http.server
import itertools
import os
import shutil
import threading
import time

import mount
from clients import POLL, REQUEST, SCALE, wait_for
from engines import PostgresEngine
from gate import PostgresGate
from shell import Shell
from tools_table import OPTIONAL

# Statements that run on count as settled soon: nobody waits for rows here.
SETTINGS = {"settle_time": 0.05}

WRITE = 'mkdir "$C" && printf "%s;" "$Q" >"$C/query.sql"'


def tried(tools):
    """For parametrize: the names, but for what may be missing and is."""
    return [
        name
        for name, tool in tools.items()
        if tool.program not in OPTIONAL or shutil.which(tool.program)
    ]


def require(tool):
    assert shutil.which(tool.program), "tests/packages test installs it"


@contextlib.contextmanager
def database(server):
    """The name of an empty one."""
    name = f"t{os.urandom(6).hex()}"
    server.create_database(name)
    yield name
    server.drop_database(name)


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was sent; of a form, with what its one file holds."""

    protocol_version = "HTTP/1.1"

    def _body(self):
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def do_POST(self):
        body = self._body()
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/"):
            head = f"Content-Type: {kind}\n\n".encode()
            body = email.message_from_bytes(head + body).get_payload(0).get_payload()
            body = body.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_POST

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def web():
    """Its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/c"
    server.shutdown()
    thread.join()
    server.server_close()


@contextlib.contextmanager
def mounted(where, specs):
    """A mount that ends cleanly; what it left stays if it does not."""
    where.mkdir()
    where.chmod(0o755)
    m = mount.Mount(where / "mount", specs, SETTINGS)
    m.start()
    try:
        yield m
    finally:
        m.stop()
    shutil.rmtree(where)


class Stage:
    """env: what the scripts need besides $F, $C and $T."""

    def __init__(self, m, engine, env):
        self.m = m
        pg = engine.server
        self.shell = Shell(
            pg.psql_argv("-A", "-t", database=engine.database, user="app"),
            {"PGPASSWORD": pg.passwords["app"]},
        )
        self.engine = engine
        self.env = env
        self._numbers = itertools.count(1)
        self._done = {}

    def room(self):
        """A new directory, and a session that is to be made, below the mount."""
        number = next(self._numbers)
        path = self.m.dir / f"room{number}"
        path.mkdir()
        return path, f"db/sessions/s{number}"

    def gate(self, **how):
        return PostgresGate(_Quick(self.engine, self.shell), **how)

    def start(self, script, session, room, format="csv", **env):
        """The client: bash with a script of the tables."""
        result = str(self.m.path(session, f"result.{format}"))
        env = {**self.env, "F": result, "T": str(room), **env}
        return self.m.start_sh(script, session, shell="bash", env=env)

    def start_running(self, script, query, format="csv"):
        """On a result that runs: the client, once it has written the query."""
        room, session = self.room()
        run = f'{WRITE} && : >"$T/runs" || exit'
        client = self.start(f"{run}\n{script}", session, room, format, Q=query)
        wait_for(lambda: (room / "runs").exists() or not client.running, "it runs")
        assert (room / "runs").exists(), client.wait()
        return client

    @staticmethod
    def wait_parked(client, polls):
        """Until it waits for rows, or has ended: in one request for longer than
        any other takes. polls: in poll(2), which FUSE wakes now and then."""
        since = {}

        def stays():
            now = time.monotonic()
            waiting = client.waiting(POLL if polls else REQUEST)
            waiting = {place[0] if polls else place for place in waiting}
            for place in waiting - since.keys():
                since[place] = now
            return any(now - since[place] > 0.03 * SCALE for place in waiting)

        wait_for(lambda: stays() or not client.running, "it reads what there is")

    def write(self, session, query):
        """Makes the session, and runs the query there to its end."""
        self.m.sh(f'{WRITE} && cat "$C/wait"', session, env={"Q": query}).check()

    def wait_for_size(self, session, format):
        """Reads the result once; then its size is known, sooner or later."""
        path = str(self.m.path(session, f"result.{format}"))
        script = 'cat "$F" >"$T/whole"; until [ -s "$F" ]; do sleep 0.01; done'
        self.m.sh(script, session, env={"F": path, "T": str(self.m.dir)}).check()

    def finished(self, query):
        """A session in which the query has run."""
        if query not in self._done:
            _, session = self.room()
            self.write(session, query)
            self._done[query] = session
        return self._done[query]

    def run_finished(self, script, query, format="csv"):
        """The Result of a script on the finished result of the query."""
        room, _ = self.room()
        return self.start(script, self.finished(query), room, format).wait()

    def close(self):
        self.shell.close()


class _Quick(PostgresEngine):
    """The engine, for whom SQL beside connfs costs no process."""

    def __init__(self, engine, shell):
        super().__init__(engine.server, engine.database)
        self._shell = shell

    def sql(self, text):
        return [tuple(li.split("|")) for li in self._shell.run(text).splitlines()]
