# SPDX-License-Identifier: MIT
"""Private database servers for the tests and the benchmark.

    tests/servers.py COMMAND [ARGUMENT...]

runs a command while a PostgreSQL and a MariaDB server of its own are up, and
tells it where by CONNFS_TEST_PG_{HOST,PORT,USER,PASSWORD,DATABASE,CA} and
CONNFS_TEST_MARIADB_{HOST,PORT,SOCKET,USER,PASSWORD,DATABASE,CA}.
"""

import contextlib
import csv
import io
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys

from clients import wait_for
from mariadb import Mariadb
from server import USER, Server, quote
from shell import Shell

PG_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")

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

# What a test may have left in its database besides the schema public.
UNUSUAL = """
SELECT sum(n) FROM (
  SELECT count(*) AS n FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')
  UNION ALL SELECT count(*) FROM pg_extension WHERE extname <> 'plpgsql'
  UNION ALL SELECT count(*) FROM pg_largeobject_metadata
  UNION ALL SELECT count(*) FROM pg_default_acl
  UNION ALL SELECT count(*) FROM pg_event_trigger
  UNION ALL SELECT count(*) FROM pg_publication
  UNION ALL SELECT count(*) FROM pg_foreign_data_wrapper
  UNION ALL SELECT count(*) FROM pg_language WHERE oid >= 16384
    AND lanname <> 'plpgsql'
  UNION ALL SELECT count(*) FROM pg_cast WHERE oid >= 16384
  UNION ALL SELECT count(*) FROM pg_db_role_setting WHERE setdatabase =
    (SELECT oid FROM pg_database WHERE datname = current_database())
) AS kinds
"""

# As initdb makes it.
EMPTY = """
SET client_min_messages = warning;
DROP SCHEMA public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
COMMENT ON SCHEMA public IS 'standard public schema'
"""


class Postgres(Server):
    """One PostgreSQL server; conf: settings of postgresql.conf."""

    NAME = "PostgreSQL"
    CONF = PG_CONF
    STOP = signal.SIGINT

    def __init__(self, **conf):
        super().__init__(**conf)
        self._spare = []  # empty databases of dropped names

    @property
    def host(self):
        """Directory of the unix socket."""
        return str(self.base / "socket")

    @property
    def log(self):
        """What it logs, every statement among it."""
        return self._read("log")

    def heard(self, name):
        """The statements that were sent under that application_name."""
        line = rf" {re.escape(name)}: LOG: +(?:execute [^:]*|statement): (.*)"
        return re.findall(line, self.log)

    def _install(self):
        data = self.base / "data"
        self._run(
            *[PG_BIN / "initdb", "-D", data, "-U", USER, "--auth=trust"],
            *["-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
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

    def _argv(self):
        data = self.base / "data"
        return [PG_BIN / "postgres", "-D", data, "-p", str(self.port)]

    def _ready(self):
        try:
            state = self._read("data/postmaster.pid").split("\n")
        except FileNotFoundError:
            return False
        mine = state[0] == str(self.process.pid)
        return mine and len(state) > 7 and state[7].strip() == "ready"

    def conninfo(self, user="app", database="app"):
        """For libpq, by the unix socket."""
        login = f"user={user} password={self.passwords[user]}"
        return f"host={self.host} port={self.port} dbname={database} {login}"

    def psql_argv(self, *args, database="app", user=USER):
        """psql without Debian's wrapper and without anybody's settings."""
        return [
            str(PG_BIN / "psql"),
            *["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.host],
            *["-p", str(self.port), "-U", user, "-d", database],
            *args,
        ]

    def shell_argv(self, database):
        return self.psql_argv("-A", "-t", database=database)

    def psql(self, *args, text="", database="app", user=USER):
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

    def sql(self, text, database="app", user=USER):
        """Runs SQL beside connfs: the rows, as tuples of text."""
        out = self.psql("--csv", "-t", text=text, database=database, user=user)
        return self._rows(out.decode())

    @staticmethod
    def _rows(text):
        return [tuple(row) for row in csv.reader(io.StringIO(text, ""))]

    def _open_shell(self):
        argv = self.psql_argv("--csv", "-t", database="postgres")
        return Shell(argv, {"LANG": "C.UTF-8", "PGAPPNAME": "connfs-tests"})

    def copy_csv(self, query, database="app", user=USER):
        """What COPY (query) TO STDOUT (FORMAT csv, HEADER) gives, bytes."""
        text = f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)"
        return self.psql("-c", text, database=database, user=user)

    def _add_user(self, name, password, options):
        login = '"' + name.replace('"', '""') + '"'
        self.admin(f"CREATE ROLE {login} LOGIN {options} PASSWORD {quote(password)}")

    def create_database(self, name, owner="app"):
        if owner == "app" and self._spare:
            self.admin(f'ALTER DATABASE "{self._spare.pop()}" RENAME TO "{name}"')
        else:
            self.admin(f'CREATE DATABASE "{name}" OWNER "{owner}"')
        return name

    def drop_database(self, name):
        """Whoever still uses it."""
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname"
        wait_for(lambda: not self.admin(f"{end} = {quote(name)}"), f"{name} is free")
        if self._cleared(name):
            self._spare.append(name)
        else:
            self.admin(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _cleared(self, name):
        """Makes a database as good as new, which is quicker than a new one;
        False: there is something in it that would not go."""
        owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname"
        if self.admin(f"{owner} = {quote(name)}") != [("app",)]:
            return False
        usual = self.admin(f'\\connect "{name}"\n{UNUSUAL}') == [("0",)]
        if usual:
            self.admin(EMPTY)
        self.admin("\\connect postgres\n")
        return usual

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
        return self.admin(
            "SELECT pid, state, application_name, query FROM pg_stat_activity"
            " WHERE backend_type = 'client backend'"
            f" AND application_name <> 'connfs-tests' AND ({where}) ORDER BY pid"
        )

    def running(self, text):
        """Pids of the sessions that run a statement which contains text."""
        found = self.activity(
            f"state = 'active' AND position({quote(text)} in query) > 0"
        )
        return [int(row[0]) for row in found]

    def end_sessions(self, where="true"):
        """As an administrator does."""
        for row in self.activity(where):
            self.admin(f"SELECT pg_terminate_backend({row[0]})")


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


def environment(kind, server, **where):
    """What tells the unit tests of a server."""
    login = {
        "PORT": str(server.port),
        "USER": "app",
        "PASSWORD": server.passwords["app"],
        "DATABASE": "app",
        "CA": server.ca,
    }
    return {f"CONNFS_TEST_{kind}_{k}": v for k, v in {**where, **login}.items()}


def main(argv):
    if not argv:
        sys.exit(__doc__.strip())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    postgres, mariadb = Postgres(), Mariadb()
    try:
        postgres.start()
        mariadb.start()
        # They look at the server itself, too.
        mariadb.admin("GRANT ALL ON *.* TO app")
        env = {
            **os.environ,
            **environment("PG", postgres, HOST=postgres.host),
            **environment("MARIADB", mariadb, HOST="127.0.0.1", SOCKET=mariadb.host),
        }
        return subprocess.call(argv, env=env)
    finally:
        postgres.stop()
        mariadb.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
