# SPDX-License-Identifier: MIT
"""A query whose rows come when the test lets them."""

import os
import subprocess


class Gate:
    """steps groups of rows; the first `opened` of them come at once.

    The query has two columns: n counts from 1, pad is the padding. Made by the
    fixture of the same name.
    """

    def __init__(self, engine, opened=1, steps=2, rows=3, pad=0):
        self.engine = engine
        self.steps = steps
        self.rows = rows
        self.pad = pad
        self.name = f"gate{os.urandom(6).hex()}"
        self._make(opened)

    def query_of(self, column="i"):
        """With an expression of the number i instead of it."""
        total = self.steps * self.rows
        return (
            f"select {column} as n, {self._padding()} as pad from"
            f" {self._numbers(total)}"
            f" where i % {self.rows} <> 1 or {self.call(self._group)} > 0"
        )

    @property
    def query(self):
        return self.query_of()

    def csv(self, steps=None):
        """The result with that many groups, all by default; bytes."""
        total = (self.steps if steps is None else steps) * self.rows
        lines = [f"{i},{self._pad_of(i)}\n" for i in range(1, total + 1)]
        return ("n,pad\n" + "".join(lines)).encode()

    def running(self):
        """Pids of the sessions that run a query with it."""
        return self.engine.running(self.name)

    def wait_until_running(self):
        return self.engine.wait_until_running(self.name)


MAKE_POSTGRES = """
create table {name}_opened (n int);
insert into {name}_opened values ({opened});
create function {name}(n int) returns int language plpgsql as $$
begin
    if not exists (select from {name}_opened o where o.n >= {name}.n) then
        raise notice 'gate % is closed', n;
        while not exists (select from {name}_opened o where o.n >= {name}.n) loop
            perform pg_catalog.pg_sleep(0.005);
        end loop;
    end if;
    return n;
end $$;
"""


class PostgresGate(Gate):
    """Between two rows the server waits for the next gate; what it has printed
    until then is sent, for a closed gate raises a notice, and a notice flushes.
    """

    def _make(self, opened):
        self._group = f"i / {self.rows} + 1"
        self.engine.sql(MAKE_POSTGRES.format(name=self.name, opened=opened))

    def _numbers(self, total):
        return f"generate_series(1, {total}) i"

    def _padding(self):
        return f"'{'x' * self.pad}'"

    def _pad_of(self, i):
        return "x" * self.pad or '""'

    def call(self, n):
        """An expression that is n once gate n is open."""
        return f"{self.name}({n})"

    def open(self, n=1000000):
        """Lets all rows through up to those of group n."""
        self.engine.sql(f"insert into {self.name}_opened values ({n})")

    def close(self):
        pass


# More than twice what the server collects before it sends: a row of that
# length takes all before it along.
FLUSH = 40000


class MariadbGate(Gate):
    """A closed gate is a lock that a session of the test's holds. The last row
    of a group has a long padding, for nothing else makes the server send."""

    def _make(self, opened):
        self._group = f"i div {self.rows} + 1"
        self._closed = list(range(opened + 1, self.steps + 1))
        self._holder = subprocess.Popen(
            self.engine.shell_argv(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
        )
        for n in self._closed:
            self._ask(f"get_lock('{self.name}.{n}', 0)")

    def _ask(self, expression):
        self._holder.stdin.write(f"select {expression};\n".encode())
        self._holder.stdin.flush()
        assert self._holder.stdout.readline() == b"1\n"

    def _numbers(self, total):
        return f"(select seq as i from seq_1_to_{total}) s"

    def _padding(self):
        last = f"i % {self.rows} = 0"
        return f"if({last}, repeat('x', {FLUSH}), '{'x' * self.pad}')"

    def _pad_of(self, i):
        return "x" * (FLUSH if i % self.rows == 0 else self.pad) or '""'

    def call(self, n):
        lock = f"concat('{self.name}.', {n})"
        return f"({n}) * get_lock({lock}, 600) * release_lock({lock})"

    def open(self, n=1000000):
        while self._closed and self._closed[0] <= n:
            self._ask(f"release_lock('{self.name}.{self._closed.pop(0)}')")

    def close(self):
        with self._holder:
            self._holder.stdin.close()


KINDS = {"postgres": PostgresGate, "mariadb": MariadbGate}
