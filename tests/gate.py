# SPDX-License-Identifier: MIT
"""A query of PostgreSQL whose rows come when the test lets them.

Between two rows the server waits for the next gate; what it has printed until
then is sent, for a closed gate raises a notice, and a notice flushes.
"""

import os

MAKE = """
create schema {schema};
set search_path = {schema};
create table gates (opened int);
insert into gates values ({opened});
create function gate(n int) returns int language plpgsql
    set search_path = {schema} as $$
begin
    if not exists (select from gates where opened >= n) then
        raise notice 'gate % is closed', n;
        while not exists (select from gates where opened >= n) loop
            perform pg_catalog.pg_sleep(0.005);
        end loop;
    end if;
    return n;
end $$;
"""


class Gate:
    """steps groups of rows; the first `opened` of them come at once."""

    def __init__(self, server, database="app", opened=1, steps=2, rows=3, pad=0):
        self.server = server
        self.database = database
        self.steps = steps
        self.rows = rows
        self.pad = "x" * pad
        self.schema = f"gate{os.urandom(6).hex()}"
        self._sql(MAKE.format(opened=opened, schema=self.schema))

    def _sql(self, text):
        self.server.sql(text, database=self.database, user="app")

    def call(self, n):
        """An expression that is n once gate n is open."""
        return f"{self.schema}.gate({n})"

    @property
    def query(self):
        """Its first column counts from 1, its second is the padding."""
        total = self.steps * self.rows
        return (
            f"select i as n, '{self.pad}' as pad from generate_series(1, {total}) i"
            f" where i % {self.rows} <> 1 or {self.call(f'i / {self.rows} + 1')} > 0"
        )

    def open(self, n=1000000):
        """Lets all rows through up to those of group n."""
        self._sql(f"insert into {self.schema}.gates values ({n})")

    def csv(self, steps=None):
        """The result with that many groups, all by default; bytes."""
        total = (self.steps if steps is None else steps) * self.rows
        empty = '""' if not self.pad else self.pad
        lines = [f"{i},{empty}\n" for i in range(1, total + 1)]
        return ("n,pad\n" + "".join(lines)).encode()

    def running(self):
        """Pids of the sessions that run a query with it."""
        return self.server.running(f"{self.schema}.gate(")

    def wait_until_running(self):
        return self.server.wait_until_running(f"{self.schema}.gate(")
