# SPDX-License-Identifier: MIT
"""A table that nobody can read for a while."""

import subprocess

import clients

TAKE = {
    "postgres": "begin; lock table {}; select 'held';\n",
    "mariadb": "lock tables {} write; select 'held';\n",
}


class TableLock:
    """Holds an exclusive lock on a table of an engine, so that queries of it
    wait; a context manager."""

    def __init__(self, engine, table="t"):
        self._shell = subprocess.Popen(
            engine.shell_argv(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": clients.PATH, "PGAPPNAME": "connfs-tests"},
            cwd="/",
        )
        self._shell.stdin.write(TAKE[engine.name].format(table).encode())
        self._shell.stdin.flush()
        assert self._shell.stdout.readline() == b"held\n"

    def release(self):
        self._shell.communicate(timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._shell.kill()
        with self._shell:
            pass
