# SPDX-License-Identifier: MIT
"""Private database servers for the tests and the benchmark.

    tests/servers.py COMMAND [ARGUMENT...]

runs a command while a PostgreSQL server of its own is up, and tells it where
by CONNFS_TEST_PG_{HOST,PORT,USER,PASSWORD,DATABASE,CA}.
"""

import atexit
import contextlib
import csv
import io
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile

from clients import wait_for

PG_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
PG_USER = "postgres"

PG_CONF = {
    "listen_addresses": "127.0.0.1",
    "ssl": "on",
    "max_connections": "200",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_statement": "all",
    "log_line_prefix": "%m [%p] %u %a: ",
}

# The tests come as postgres without a password, connfs as anybody with one.
PG_HBA = """\
local all postgres trust
local all all scram-sha-256
host  all all 127.0.0.1/32 scram-sha-256
"""


def quote(value):
    """An SQL string literal."""
    return "'" + str(value).replace("'", "''") + "'"


def certificates(where):
    """A CA, a certificate of it for localhost, and a CA that signed nothing."""

    def openssl(*args):
        subprocess.run(
            ["openssl", *args], cwd=where, check=True, capture_output=True
        )

    def authority(name):
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl(
            *["req", "-x509", *new_key, "-days", "30", "-subj", f"/CN={name} CA"],
            *["-keyout", f"{name}.key", "-out", f"{name}.crt"],
        )
        return new_key

    new_key = authority("ca")
    authority("other")
    openssl(
        *["req", *new_key, "-subj", "/CN=localhost"],
        *["-keyout", "server.key", "-out", "server.csr"],
    )
    (where / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl(
        *["x509", "-req", "-in", "server.csr", "-days", "30", "-extfile", "san"],
        *["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"],
        *["-out", "server.crt"],
    )


class Postgres:
    """One PostgreSQL server in a temporary directory. start() it, stop() it.

    Has a database "app" that belongs to the login "app".
    """

    def __init__(self, **conf):
        self.conf = {**PG_CONF, **conf}
        self.base = None
        self.port = None
        self.process = None
        self.passwords = {}

    @property
    def host(self):
        """Directory of the unix socket."""
        return str(self.base / "socket")

    @property
    def ca(self):
        return str(self.base / "tls/ca.crt")

    @property
    def other_ca(self):
        """A CA that has not signed this server's certificate."""
        return str(self.base / "tls/other.crt")

    @property
    def log(self):
        return (self.base / "log").read_text(errors="replace")

    def start(self):
        """initdb and start; call once."""
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="connfs-pg-", dir="/tmp"))
        atexit.register(self.stop)
        self.base.chmod(0o755)
        for name in ["data", "socket", "tls"]:
            (self.base / name).mkdir(mode=0o700 if name == "data" else 0o755)
        certificates(self.base / "tls")
        (self.base / "log").touch()
        user = pwd.getpwnam(PG_USER)
        for path in [self.base, *self.base.rglob("*")]:
            os.chown(path, user.pw_uid, user.pw_gid)
        self._initdb()
        self.launch()
        self.create_user("app")
        self.create_database("app")
        return self

    def _initdb(self):
        data = self.base / "data"
        subprocess.run(
            [PG_BIN / "initdb", "-D", data, "-U", PG_USER, "--auth=trust"]
            + ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
            user=PG_USER,
            group=PG_USER,
            cwd="/",
            check=True,
            capture_output=True,
        )
        (data / "pg_hba.conf").write_text(PG_HBA)
        conf = {
            **self.conf,
            "unix_socket_directories": self.host,
            "ssl_ca_file": self.ca,
            "ssl_cert_file": str(self.base / "tls/server.crt"),
            "ssl_key_file": str(self.base / "tls/server.key"),
        }
        with open(data / "postgresql.conf", "a") as f:
            for name, value in conf.items():
                f.write(f"{name} = {quote(value)}\n")

    def launch(self):
        """Starts the server on its files; also after stop_server() or kill()."""
        for attempt in range(5):
            if self.port is None or attempt > 0:
                with socket.socket() as s:
                    s.bind(("127.0.0.1", 0))
                    self.port = s.getsockname()[1]
            # It dies with the thread that started it, however that ends.
            with open(self.base / "log", "ab") as log:
                self.process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "INT", "--reuid", PG_USER]
                    + ["--regid", PG_USER, "--init-groups", PG_BIN / "postgres"]
                    + ["-D", self.base / "data", "-p", str(self.port)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    start_new_session=True,
                )
            wait_for(self._ready_or_dead, "PostgreSQL starts", 60)
            if self.process.poll() is None:
                return
        raise RuntimeError("PostgreSQL does not start:\n" + self.log)

    def _ready_or_dead(self):
        if self.process.poll() is not None:
            return True
        try:
            state = (self.base / "data/postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        mine = state[0] == str(self.process.pid)
        return mine and len(state) > 7 and state[7].strip() == "ready"

    def stop_server(self, how=signal.SIGINT):
        """Fast shutdown; its files stay, launch() starts it again."""
        if self.process is None:
            return
        for number, patience in [(how, 20), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)]:
            self.process.send_signal(number)
            try:
                self.process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        self.process = None

    def stop(self):
        """Ends the server and removes its files. May be called again."""
        atexit.unregister(self.stop)
        self.stop_server()
        if self.base:
            shutil.rmtree(self.base, ignore_errors=True)

    def conninfo(self, user="app", database="app"):
        """For libpq, by the unix socket."""
        login = f"user={user} password={self.passwords[user]}"
        return f"host={self.host} port={self.port} dbname={database} {login}"

    def psql_argv(self, *args, database="app", user=PG_USER):
        """psql without Debian's wrapper and without anybody's settings."""
        return [
            str(PG_BIN / "psql"),
            *["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.host],
            *["-p", str(self.port), "-U", user, "-d", database],
            *args,
        ]

    def psql(self, *args, text="", database="app", user=PG_USER):
        """Runs psql on text; its standard output, bytes."""
        env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PGAPPNAME": "connfs-tests",
            "PGPASSWORD": self.passwords.get(user, ""),
        }
        done = subprocess.run(
            self.psql_argv(*args, database=database, user=user),
            input=text.encode() if isinstance(text, str) else text,
            capture_output=True,
            env=env,
            cwd="/",
        )
        if done.returncode != 0:
            raise RuntimeError("psql: " + done.stderr.decode(errors="replace"))
        return done.stdout

    def sql(self, text, database="app", user=PG_USER):
        """Runs SQL beside connfs: the rows, as tuples of text."""
        out = self.psql("--csv", "-t", text=text, database=database, user=user)
        return [tuple(row) for row in csv.reader(io.StringIO(out.decode(), ""))]

    def copy_csv(self, query, database="app", user=PG_USER):
        """What COPY (query) TO STDOUT (FORMAT csv, HEADER) gives, bytes."""
        text = f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)"
        return self.psql("-c", text, database=database, user=user)

    def create_user(self, name, password=None, options=""):
        """A login; returns its password."""
        password = password or secrets.token_urlsafe(18)
        self.passwords[name] = password
        login = '"' + name.replace('"', '""') + '"'
        text = f"CREATE ROLE {login} LOGIN {options} PASSWORD {quote(password)}"
        self.sql(text, database="postgres")
        return password

    def create_database(self, name, owner="app"):
        self.sql(f'CREATE DATABASE "{name}" OWNER "{owner}"', database="postgres")
        return name

    def spec(self, user="app", database="app", tcp=False, **fields):
        """A connection spec; fields replace or add, None removes."""
        spec = {
            "type": "postgres",
            "enabled": True,
            "host": "127.0.0.1" if tcp else self.host,
            "port": self.port,
            "database": database,
            "user": user,
            "password_plain": self.passwords.get(user, ""),
            **fields,
        }
        return {k: v for k, v in spec.items() if v is not None}

    def activity(self, where="true"):
        """(pid, state, application_name, query) of connfs's sessions."""
        return self.sql(
            "SELECT pid, state, application_name, query FROM pg_stat_activity"
            " WHERE backend_type = 'client backend'"
            f" AND application_name <> 'connfs-tests' AND ({where}) ORDER BY pid",
            database="postgres",
        )

    def running(self, text):
        """Pids of the sessions that run a statement which contains text."""
        found = self.activity(
            f"state = 'active' AND position({quote(text)} in query) > 0"
        )
        return [int(row[0]) for row in found]

    def wait_until_running(self, text, count=1, timeout=20):
        wait_for(
            lambda: len(self.running(text)) >= count,
            f"{count} statements with {text!r} run",
            timeout,
        )
        return self.running(text)

    def wait_until_gone(self, text, timeout=20):
        wait_for(lambda: not self.running(text), f"{text!r} ends there", timeout)

    def wait_until_idle(self, timeout=20):
        """Until connfs has no session left here."""
        wait_for(lambda: not self.activity(), "all sessions end there", timeout)


class Sqlite:
    """One SQLite file."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.script("PRAGMA user_version = 1")

    def script(self, text):
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            db.executescript(text)

    def sql(self, text):
        """Runs one statement beside connfs: the rows, as tuples of text."""
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            rows = db.execute(text).fetchall()
            db.commit()
        return [tuple("" if v is None else str(v) for v in row) for row in rows]

    def spec(self, **fields):
        """A connection spec; fields replace or add, None removes."""
        spec = {"type": "sqlite3", "enabled": True, "host": str(self.path), **fields}
        return {k: v for k, v in spec.items() if v is not None}


class PostgresEngine:
    """What the tests of all engines need to know of PostgreSQL."""

    name = "postgres"
    slow = "select pg_sleep(600)"  # no row for ten minutes, only reads
    endless = "select generate_series(1, 1000000000) as n"

    def __init__(self, server, database):
        self.server = server
        self.database = database

    def spec(self, **fields):
        return self.server.spec(**{"database": self.database, **fields})

    def sql(self, text):
        return self.server.sql(text, database=self.database, user="app")

    @staticmethod
    def series(n):
        """A query of the numbers 1 to n in a column n."""
        return f"select n from generate_series(1, {n}) as s(n)"


class SqliteEngine:
    """And of SQLite."""

    name = "sqlite"
    _count = "with recursive s(n) as (select 1 union all select n + 1 from s {}) "
    slow = _count.format("") + "select n from s where n < 0"
    endless = _count.format("") + "select n from s"

    def __init__(self, path):
        self.file = Sqlite(path)

    def spec(self, **fields):
        return self.file.spec(**fields)

    def sql(self, text):
        return self.file.sql(text)

    def series(self, n):
        return self._count.format(f"limit {n}") + "select n from s"


def main(argv):
    if not argv:
        sys.exit(__doc__.strip())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    server = Postgres()
    try:
        server.start()
        where = {
            "HOST": server.host,
            "PORT": str(server.port),
            "USER": "app",
            "PASSWORD": server.passwords["app"],
            "DATABASE": "app",
            "CA": server.ca,
        }
        env = {f"CONNFS_TEST_PG_{name}": value for name, value in where.items()}
        return subprocess.call(argv, env={**os.environ, **env})
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
