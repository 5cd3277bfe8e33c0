# SPDX-License-Identifier: MIT
"""The databases' own clients, for login gateways; and tokens by botocore."""

import ctypes
import os
import subprocess

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

PSQL = "/usr/lib/postgresql/15/bin/psql"


def sign(key, service, where, query, region="eu-west-1", expires=900):
    credentials = Credentials(key.access_key, key.secret_key, key.session_token)
    request = AWSRequest("GET", f"https://{where}/?{query}")
    SigV4QueryAuth(credentials, service, region, expires=expires).add_auth(request)
    return request.url.removeprefix("https://")


def rds_token(key, gateway, user="joe", host=None, **how):
    port = gateway.sign_port or gateway.port
    where = f"{host or gateway.host}:{port}"
    return sign(key, "rds-db", where, f"Action=connect&DBUser={user}", **how)


def dsql_token(key, gateway, action="DbConnectAdmin", host=None, **how):
    return sign(key, "dsql", host or gateway.host, f"Action={action}", **how)


class Ran:
    """A client, and what it said when it has ended."""

    def __init__(self, argv, **env):
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **env},
        )

    def end(self):
        out, err = self.process.communicate()
        self.stdout, self.out, self.err = out, out.decode(), err.decode()
        return self

    def check(self):
        assert (self.process.returncode, self.err) == (0, "")
        return self.stdout


def start_psql(gateway, token, sql="select 1", user="joe", database="app", **how):
    how = {
        "host": gateway.host,
        "hostaddr": "127.0.0.1",
        "port": gateway.port,
        "user": user,
        "dbname": database,
        "sslmode": "verify-full",
        "sslrootcert": gateway.ca,
        **how,
    }
    info = " ".join(f"{k}='{v}'" for k, v in how.items())
    return Ran([PSQL, "-X", "-At", "-c", sql, info], PGPASSWORD=token)


def psql(*args, **how):
    return start_psql(*args, **how).end()


def start_mariadb(gateway, token, sql="select 1", *options, user="joe", tls=True):
    own = ["--protocol=tcp", "--host=localhost", f"--port={gateway.port}"]
    own += [f"--user={user}", "--batch", "--skip-column-names", "--unbuffered"]
    if tls:
        own += [f"--ssl-ca={gateway.ca}", "--ssl-verify-server-cert"]
    text = ["--default-character-set=utf8mb4", *options, "--execute", sql, "app"]
    return Ran(["mariadb", "--no-defaults", *own, *text], MYSQL_PWD=token)


def mariadb_client(*args, **how):
    return start_mariadb(*args, **how).end()


class Libpq:
    """As much of it as tells what psql does not show."""

    IDLE, IN_FAILED = 0, 3

    def __init__(self, gateway, token):
        self._lib = ctypes.CDLL("libpq.so.5")
        texts = "PQerrorMessage PQresultErrorField PQgetvalue"
        for name in ["PQconnectdb", "PQexecParams", "PQexec", *texts.split()]:
            getattr(self._lib, name).restype = ctypes.c_void_p
        where = f"host={gateway.host} hostaddr=127.0.0.1 port={gateway.port}"
        who = f"user=admin dbname=postgres password='{token}' sslmode=require"
        self._conn = ctypes.c_void_p(
            self._lib.PQconnectdb(f"{where} {who} sslrootcert=/nowhere".encode())
        )

    def _state_of(self, result):
        result = ctypes.c_void_p(result)
        state = self._lib.PQresultErrorField(result, ord("C"))
        state = ctypes.string_at(state).decode() if state else ""
        self._lib.PQclear(result)
        return state

    def simple(self, sql):
        """The SQLSTATE, empty for success."""
        return self._state_of(self._lib.PQexec(self._conn, sql.encode()))

    def extended(self, sql):
        none = [None] * 4
        return self._state_of(
            self._lib.PQexecParams(self._conn, sql.encode(), 0, *none, 0)
        )

    @property
    def transaction(self):
        return self._lib.PQtransactionStatus(self._conn)

    def close(self):
        self._lib.PQfinish(self._conn)


class Libmariadb:
    """For what the client has no command for."""

    def __init__(self, gateway, user, password):
        self._lib = ctypes.CDLL("libmariadb.so.3")
        names = "init real_connect error store_result fetch_row fetch_lengths"
        for name in names.split():
            getattr(self._lib, f"mysql_{name}").restype = ctypes.c_void_p
        self._mysql = ctypes.c_void_p(self._lib.mysql_init(None))
        self._lib.mysql_ssl_set(
            self._mysql, None, None, gateway.ca.encode(), None, None
        )
        where = [b"app", gateway.port, None, ctypes.c_ulong(0)]
        who = [user.encode(), password.encode()]
        assert self._lib.mysql_real_connect(self._mysql, b"127.0.0.1", *who, *where)

    def change_user(self, user, password):
        """The error, empty for success."""
        who = [user.encode(), password.encode()]
        self._lib.mysql_change_user(self._mysql, *who, b"app")
        return ctypes.string_at(self._lib.mysql_error(self._mysql)).decode()

    def query(self, sql):
        """The first column."""
        assert self._lib.mysql_query(self._mysql, sql.encode()) == 0
        result = ctypes.c_void_p(self._lib.mysql_store_result(self._mysql))
        rows = []
        while row := self._lib.mysql_fetch_row(result):
            value = ctypes.c_char_p.from_address(row).value
            rows.append(value.decode())
        self._lib.mysql_free_result(result)
        return rows

    def close(self):
        self._lib.mysql_close(self._mysql)
