# SPDX-License-Identifier: MIT
"""What the tests of all engines need to know of each."""

from servers import Sqlite

ALL = ["postgres", "mariadb", "sqlite"]
SERVERS = ["postgres", "mariadb"]  # those that run beside connfs


class ServerEngine:
    """An empty database on a server. What it has not itself is the server's:
    running(), wait_until_gone(), activity()."""

    def __init__(self, server, database):
        self.server = server
        self.database = database

    def __getattr__(self, name):
        return getattr(self.server, name)

    def spec(self, **fields):
        return self.server.spec(**{"database": self.database, **fields})

    def sql(self, text):
        return self.server.sql(text, database=self.database, user="app")

    def shell_argv(self):
        """The database's shell, as its administrator, for statements that come
        line by line: prints rows and nothing else."""
        return self.server.shell_argv(self.database)


class PostgresEngine(ServerEngine):
    name = "postgres"
    slow = "select pg_sleep(600)"  # no row for ten minutes, only reads
    # Rows, the first of them sent for the length of the second, and then none
    # for ten minutes.
    stalling = (
        "select repeat('x', 40000) as n, pg_sleep(case when i > 2 then 600 end)"
        " from generate_series(1, 3) i"
    )
    endless = "select generate_series(1, 1000000000) as n"
    interrupted = "57014"  # what the server says of a statement it has cancelled
    text = "text"  # the type of a long text

    @staticmethod
    def series(count, columns="n"):
        """A query of the numbers 1 to count in a column n, or of expressions of
        n instead."""
        return f"select {columns} from generate_series(1, {count}) as s(n)"

    @staticmethod
    def repeat(count):
        """A text of that many x."""
        return f"repeat('x', {count})"

    def logins(self):
        """How often somebody has logged in to the database."""
        count = "select sessions from pg_stat_database where datname"
        rows = self.server.admin(f"{count} = '{self.database}'")
        return int(rows[0][0])

    def held(self, text):
        """Sessions whose statement contains text and whose client takes no rows."""
        return self.activity(
            f"wait_event = 'ClientWrite' and position('{text}' in query) > 0"
        )

    @staticmethod
    def slow_insert(seconds=600, value=1):
        """Puts value into a table t when that time is over."""
        return f"insert into t select {value} from pg_sleep({seconds})"

    @staticmethod
    def number_until(n, column):
        """The number in that column, and a failure of class 22 from n on."""
        return f"{column} + 0 / (case when {column} < {n} then 1 else 0 end)"


class MariadbEngine(ServerEngine):
    name = "mariadb"
    slow = "select sleep(600)"
    stalling = (
        "select repeat('x', 40000) as n, sleep(if(seq > 1, 600, 0)) from seq_1_to_2"
    )
    endless = "select seq as n from seq_1_to_1000000000"
    interrupted = "70100"
    text = "longtext"

    @staticmethod
    def series(count, columns="n"):
        return f"select {columns} from (select seq as n from seq_1_to_{count}) s"

    @staticmethod
    def repeat(count):
        return f"repeat('x', {count})"

    def logins(self):
        return self.log.count(f"@localhost on {self.database} using")

    def held(self, text):
        return self.activity(
            f"wait_event = 'Writing to net' and position('{text}' in query) > 0"
        )

    @staticmethod
    def slow_insert(seconds=600, value=1):
        return f"insert into t select {value} + sleep({seconds})"

    @staticmethod
    def number_until(n, column):
        return f"{column} + 0 * (9223372036854775807 + ({column} >= {n}))"


class SqliteEngine:
    """An empty SQLite file."""

    name = "sqlite"
    _count = "with recursive s(n) as (select 1 union all select n + 1 from s {}) "
    slow = _count.format("") + "select n from s where n < 0"
    stalling = _count.format("") + "select n from s where n < 2"
    endless = _count.format("") + "select n from s"
    interrupted = "SQLITE_INTERRUPT"
    text = "text"

    def __init__(self, path):
        self.file = Sqlite(path)

    def spec(self, **fields):
        return self.file.spec(**fields)

    def sql(self, text):
        return self.file.sql(text)

    def series(self, count, columns="n"):
        return self._count.format(f"limit {count}") + f"select {columns} from s"

    @staticmethod
    def repeat(count):
        return f"printf('%.*c', {count}, 'x')"


def of_server(name):
    """The class for a kind of server."""
    return {"postgres": PostgresEngine, "mariadb": MariadbEngine}[name]
