# SPDX-License-Identifier: MIT
"""A private MariaDB server for the tests and the benchmark."""

import os
import re
import subprocess

from server import Server, quote
from shell import Shell

CONF = {
    "bind-address": "127.0.0.1",
    "max-connections": "200",
    "max-allowed-packet": "128M",
    "skip-name-resolve": "ON",
    "character-set-server": "utf8mb4",
    "default-time-zone": "+00:00",
    "event-scheduler": "OFF",
    "performance-schema": "ON",
    "performance-schema-instrument": "transaction=ON",
    "performance-schema-consumer-events-transactions-current": "ON",
    "general-log": "ON",
    "innodb-flush-method": "nosync",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-doublewrite": "OFF",
    "innodb-log-file-size": "16M",
    "innodb-buffer-pool-size": "64M",
    "innodb-buffer-pool-load-at-startup": "OFF",
    "innodb-buffer-pool-dump-at-shutdown": "OFF",
    "aria-pagecache-buffer-size": "8M",
    "key-buffer-size": "1M",
}

# Its sessions as pg_stat_activity shows those of PostgreSQL. The tests' own are
# root's; who has not said yet who it is has no name.
SESSIONS = """
SELECT p.id AS pid,
       CASE WHEN p.command <> 'Sleep' THEN 'active'
            WHEN t.state = 'ACTIVE' THEN 'idle in transaction'
            ELSE 'idle' END AS state,
       p.state AS wait_event, a.attr_value AS application_name, p.info AS query,
       p.user AS usename, p.db AS datname
FROM information_schema.processlist p
LEFT JOIN performance_schema.session_connect_attrs a
       ON a.processlist_id = p.id AND a.attr_name = 'program_name'
LEFT JOIN performance_schema.threads h ON h.processlist_id = p.id
LEFT JOIN performance_schema.events_transactions_current t
       ON t.thread_id = h.thread_id
WHERE p.command <> 'Daemon'
  AND p.user NOT IN ('root', 'system user', 'unauthenticated user')
"""

ESCAPES = {r"\0": "\0", r"\t": "\t", r"\n": "\n", r"\\": "\\"}


def literal(value):
    """An SQL string literal, as read without NO_BACKSLASH_ESCAPES."""
    return quote(str(value).replace("\\", "\\\\"))


def name(text):
    return "`" + text.replace("`", "``") + "`"


def field(text):
    """What `mariadb --batch` prints of a value; '' for NULL."""
    if text == "NULL":
        return ""
    return re.sub(r"\\[0tn\\]", lambda m: ESCAPES[m.group()], text)


class Mariadb(Server):
    """One MariaDB server; conf: options of mariadbd, - as _."""

    NAME = "MariaDB"
    CONF = CONF

    def __init__(self, **conf):
        super().__init__(**{k.replace("_", "-"): v for k, v in conf.items()})

    @property
    def host(self):
        """Its unix socket."""
        return str(self.base / "socket/mariadb.sock")

    @property
    def log(self):
        """What it logs, every statement among it but sql()'s."""
        return self._read("log") + self._read("statements")

    def _install(self):
        self._run("mkdir", self.base / "tmp")
        self._run("mariadb-install-db", *self._options(), "--skip-test-db")

    def _options(self):
        """Of every program that works on the server's files. Servers that share
        a tmpdir delete each other's files there when they start."""
        log_file_size = self.conf["innodb-log-file-size"]
        return [
            *["--no-defaults", f"--datadir={self.base}/data"],
            *[f"--tmpdir={self.base}/tmp", "--skip-name-resolve"],
            f"--innodb-log-file-size={log_file_size}",
        ]

    def _argv(self):
        conf = {
            "port": self.port,
            "socket": self.host,
            "pid-file": self.base / "pid",
            "general-log-file": self.base / "statements",
            "ssl-ca": self.ca,
            "ssl-cert": self.base / "tls/server.crt",
            "ssl-key": self.base / "tls/server.key",
            **self.conf,
        }
        options = [f"--{key}={value}" for key, value in conf.items()]
        return ["/usr/sbin/mariadbd", *self._options(), *options]

    def _ready(self):
        try:
            return self._read("pid").strip() == str(self.process.pid)
        except FileNotFoundError:
            return False

    def client_argv(self, program, *args, user="root"):
        """A client of Debian's without anybody's settings."""
        login = ["--no-defaults", f"--socket={self.host}", f"--user={user}"]
        return [program, *login, "--default-character-set=utf8mb4", *args]

    def shell_argv(self, database):
        quiet = ["--batch", "--skip-column-names", "--unbuffered"]
        return self.client_argv("mariadb", *quiet, database)

    def client(self, program, *args, text="", user="root"):
        """Runs a client on text; its standard output, bytes."""
        done = subprocess.run(
            self.client_argv(program, *args, user=user),
            input=text.encode() if isinstance(text, str) else text,
            capture_output=True,
            env={"PATH": os.environ["PATH"], "MYSQL_PWD": self.passwords.get(user, "")},
            cwd="/",
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program}: " + done.stderr.decode(errors="replace"))
        return done.stdout

    def sql(self, text, database="app", user="root"):
        """Runs SQL beside connfs: the rows, as tuples of text."""
        how = ["--batch", "--skip-column-names", "--binary-mode", database]
        if user == "root":
            how.append("--init-command=SET sql_log_off = 1")
        out = self.client("mariadb", *how, text=text, user=user)
        return self._rows(out.decode(errors="surrogateescape"))

    @staticmethod
    def _rows(text):
        lines = text.split("\n")[:-1]
        return [tuple(field(v) for v in line.split("\t")) for line in lines]

    def _open_shell(self):
        quiet = "--init-command=SET sql_log_off = 1"
        argv = [*self.shell_argv("mysql"), "--binary-mode", quiet]
        return Shell(argv, {"PATH": os.environ["PATH"]})

    def dump(self, database, *options):
        """The database as SQL, with all that it has: bytes."""
        everything = ["--routines", "--triggers", "--events", "--hex-blob"]
        return self.client("mariadb-dump", *everything, *options, database)

    def _add_user(self, login, password, options):
        self.admin(
            f"CREATE USER {name(login)} IDENTIFIED BY {literal(password)} {options}"
        )

    def create_database(self, database, owner="app"):
        pattern = database.replace("_", r"\_")
        self.admin(
            f"CREATE DATABASE {name(database)};"
            f"GRANT ALL ON {name(pattern)}.* TO {name(owner)}"
        )
        return database

    def drop_database(self, database):
        """Whoever still uses it."""
        self.end_sessions(f"datname = {literal(database)}")
        self.admin(f"DROP DATABASE {name(database)}")

    def spec(self, user="app", database="app", tcp=False, **fields):
        """A connection spec; fields replace or add, None removes."""
        spec = {
            "type": "mariadb",
            "enabled": True,
            "host": "127.0.0.1" if tcp else self.host,
            "port": self.port if tcp else None,
            "database": database,
            "user": user,
            "password_plain": self.passwords.get(user, ""),
            **fields,
        }
        return {k: v for k, v in spec.items() if v is not None}

    def activity(self, where="true"):
        """(pid, state, application_name, query) of connfs's sessions."""
        return self.admin(
            "SELECT pid, state, application_name, query"
            f" FROM ({SESSIONS}) s WHERE {where} ORDER BY pid"
        )

    def running(self, text):
        """Pids of the sessions that run a statement which contains text."""
        found = self.admin(
            "SELECT id FROM information_schema.processlist WHERE user <> 'root'"
            f" AND locate(binary {literal(text)}, info) > 0 ORDER BY id"
        )
        return [int(row[0]) for row in found]

    def end_sessions(self, where="true"):
        """As an administrator does."""
        for row in self.activity(where):
            try:
                self.admin(f"KILL {row[0]}")
            except RuntimeError as e:
                if "Unknown thread id" not in str(e):
                    raise
