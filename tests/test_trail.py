# SPDX-License-Identifier: MIT
"""The last events before a failure, in `error`: how a connection came about, and
what became of it."""

import re
import secrets
import shutil
import signal
import socket

import pytest

import clients
from clients import wait_for
from programs import run_text
from proxy import Proxy
from readers import exchange

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def events(error):
    """The lines of `error` about what happened, without their times, which have
    to be in order; None: it does not tell."""
    _, mark, text = error.partition("EVENTS:\n")
    if not mark:
        return None
    lines = [re.fullmatch(f"  ({TIME})  (.+)", line) for line in text.splitlines()]
    assert all(lines), error
    assert len(lines) <= 16
    times = [line[1] for line in lines]
    assert times == sorted(times)
    return [line[2] for line in lines]


def events_of(m, sql="select 1 as a;", **how):
    """Of a statement that fails."""
    outcome = run_text(m, sql, **how)
    assert outcome.writes != ["ok"], outcome
    return events(outcome.error)


def spec_line(m, conn="db"):
    return f"spec of {conn}: {m.config}/connfs.json"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def ca(server, test_dir):
    """ca(name) is a copy of a certificate of the server, which root owns."""

    def make(name):
        source = {"ca": server.ca, "other": server.other_ca}[name]
        return str(shutil.copy(source, test_dir / f"{name}.crt"))

    return make


def fingerprint(server):
    path = server.base / "tls/server.crt"
    text = clients.sh(f"openssl x509 -in {path} -noout -fingerprint -sha256")
    return text.check().out.strip().partition("=")[2]


# An init_sql that fails shows how the login before it came about.
BAD_INIT = {"init_sql": "selec"}


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"sslmode": "verify-full", "ca_cert": "ca"}, "chain and name verified"),
        ({"sslmode": "verify-ca", "ca_cert": "ca"}, "chain verified, name not"),
        ({"sslmode": "require", "ca_cert": "ca"}, "chain verified, name not"),
        ({"sslmode": "require"}, "not verified"),
        ({}, "not verified"),
        ({"sslmode": "disable"}, None),
    ],
    ids=str,
)
def test_tls_is_told(mount, server, ca, fields, said):
    own = {"ca_cert": ca("ca")} if "ca_cert" in fields else {}
    m = mount(db=server.spec(tcp=True, **BAD_INIT, **{**fields, **own}))

    told = events_of(m)

    mode = fields.get("sslmode", "prefer")
    assert told[:-1] == [
        spec_line(m),
        "credential of app: static",
        f"dialled 127.0.0.1 port {server.port}",
        f"TLSv1.3, {mode}: {said}" if said else f"no TLS (sslmode {mode})",
        "admitted as app",
    ]
    assert told[-1].startswith("login failed: init_sql: ")


# The MySQL family may know a server by its certificate alone.
def test_a_fingerprint_is_told(mount, mariadb):
    fields = {"sslmode": "require", "tls_fingerprint": fingerprint(mariadb)}
    m = mount(db=mariadb.spec(tcp=True, **BAD_INIT, **fields))

    told = events_of(m)

    assert told[3] == (
        "TLSv1.3, require: chain not verified, fingerprint verified"
    )


def test_a_login_that_is_refused(mount, server):
    wrong = secrets.token_urlsafe(18)
    m = mount(db=server.spec(tcp=True, sslmode="require", password_plain=wrong))

    outcome = run_text(m, "select 1 as a;")

    told = events(outcome.error)
    assert told[:-1] == [
        spec_line(m),
        "credential of app: static",
        f"dialled 127.0.0.1 port {server.port}",
        "TLSv1.3, require: not verified",
    ]
    assert told[-1].startswith("login failed: ")
    assert outcome.status["message"][:100] in told[-1]
    assert wrong not in outcome.error


# Where TLS is only preferred, libpq tries without it what was refused with it.
def test_a_login_that_is_refused_twice(mount, pg):
    m = mount(db=pg.spec(tcp=True, password_plain=secrets.token_urlsafe(18)))

    told = events_of(m)

    assert told[2:-1] == [
        f"dialled 127.0.0.1 port {pg.port}",
        "TLSv1.3, prefer: not verified",
        f"dialled 127.0.0.1 port {pg.port}",
        "no TLS (sslmode prefer)",
    ]


BAR = {
    "postgres": "alter user retried nologin",
    "mariadb": "alter user retried account lock",
}


# What a program gave, and was kept, may be outdated: it is asked once more, and
# both tries are told.
def test_both_tries_of_a_login(mount, server, test_dir):
    password = test_dir / "password"
    password.write_text(server.server.create_user("retried"))
    fields = {"password_plain": None, "password_command": ["/bin/cat", str(password)]}
    if server.name == "mariadb":
        fields["database"] = "information_schema"
    m = mount(db=server.spec(tcp=True, sslmode="require", user="retried", **fields))
    assert m.query("select 1 as a;").check().out == "a\n1\n"
    server.server.sql(BAR[server.name])

    told = events_of(m)

    assert len(told) == 10
    first, second = told[:5], told[5:]
    assert first[1] == "credential of retried: command, kept"
    assert second[1] == "credential of retried: command"
    assert first[0] == second[0] == spec_line(m)
    assert first[2:] == second[2:]


def test_a_wrong_host(mount, server):
    closed, port = server.spec(host="127.0.0.1", port=free_port()), server.port
    unknown = server.spec(host="nowhere.invalid", port=port)
    m = mount(closed=closed, unknown=unknown)

    for conn, why in [("closed", "refused"), ("unknown", "nowhere.invalid")]:
        told = events_of(m, conn=conn)

        assert told[:-1] == [spec_line(m, conn), "credential of app: static"]
        assert told[-1].startswith("login failed: ") and why in told[-1]


# Whose certificate is not believed has been dialled, and no more.
def test_tls_that_is_not_believed(mount, server, ca):
    fields = {"sslmode": "verify-ca", "ca_cert": ca("other")}
    m = mount(db=server.spec(tcp=True, **fields))

    told = events_of(m)

    assert told[2] == f"dialled 127.0.0.1 port {server.port}"
    assert told[3].startswith("login failed: ") and "certificate" in told[3]
    assert len(told) == 4


def test_a_credential_that_cannot_be_obtained(mount, server):
    fields = {"password_plain": None, "password_command": ["/bin/false"]}
    m = mount(db=server.spec(**fields))

    outcome = run_text(m, "select 1 as a;")

    assert outcome.writes == ["EKEYREJECTED"]
    told = events(outcome.error)
    assert told[0] == spec_line(m)
    assert told[1].startswith("login failed: ") and "/bin/false" in told[1]
    assert len(told) == 2


def test_a_file_that_is_opened(mount, test_dir):
    path = test_dir / "missing.db"
    m = mount(db={"type": "sqlite3", "enabled": True, "host": str(path)})

    assert events_of(m) == [
        spec_line(m),
        f"login failed: cannot open {path}: No such file or directory",
    ]

    clients.sh(f"sqlite3 {path} 'create table t (a int)'").check()
    m.specs["db"].update(BAD_INIT)
    m.write_specs()
    m.restart()
    assert events_of(m) == [
        spec_line(m),
        f"opened {path}",
        'login failed: init_sql: near "selec": syntax error',
    ]


# A session that has run many statements still knows how it began. What only
# reads was sent to another one then, in vain.
def test_a_server_that_is_killed(mount, own_server):
    m = mount(db=own_server.spec())
    runs = 'for i in $(seq 40); do echo "select 1 as a;" >"$C/query.sql"; done'
    slow = f'echo "{own_server.slow};" >"$C/query.sql"; cat "$C/error"'
    client = m.start_sh(f"{runs}; {slow}", shell="bash")
    own_server.wait_until_running(own_server.slow)

    own_server.stop_server(signal.SIGKILL)

    told = events(client.wait().out)
    assert told[:2] == [spec_line(m), "credential of app: static"]
    assert told[2].startswith("dialled socket ")
    assert told[3] == "admitted as app"
    assert re.fullmatch(r"sent statement \d+", told[4])
    assert told[5].startswith("connection lost: ")
    assert told[6:8] == told[:2]
    assert told[-1].startswith("login failed: ")
    # A server may let somebody dial while it dies.
    assert told[8:-1] in ([], told[2:3])


# What may write is not sent again.
def test_a_server_that_is_killed_while_it_writes(mount, own_server):
    own_server.sql("create table t (a int)")
    m = mount(db=own_server.spec())
    slow = own_server.slow_insert()
    client = m.start_sh(
        f'echo "{slow};" >"$C/query.sql"; cat "$C/error"', shell="bash"
    )
    own_server.wait_until_running(slow)

    own_server.stop_server(signal.SIGKILL)

    told = events(client.wait().out)
    assert told[3] == "admitted as app"
    assert told[5].startswith("connection lost: ")
    assert len(told) == 6


# The connection that held a transaction was closed meanwhile.
def test_a_connection_that_was_lost_before(mount, own_server):
    m = mount(db=own_server.spec())
    m.sh('mkdir "$C/sessions/s"; echo "begin;" >"$C/sessions/s/query.sql"').check()
    own_server.stop_server(signal.SIGKILL)

    asked = m.sh(
        'cd "$C/sessions/s"; echo "select 1 as a;" >query.sql; cat error', shell="bash"
    )

    told = events(asked.out)
    assert told[3] == "admitted as app"
    assert told[4].startswith("connection lost: ")
    assert len(told) == 5


# What the statement did not end by itself.
def test_timeouts_and_the_last_resort(mount, server):
    proxy = Proxy(server.port)
    try:
        m = mount(
            slow=server.spec(statement_timeout=0.3),
            silent=server.spec(tcp=True, port=proxy.port, sslmode="disable"),
        )
        told = events_of(m, f"{server.slow};", conn="slow")
        client = m.start_sh(
            f'echo "{server.slow};" >"$C/query.sql"; cat "$C/error"',
            "silent",
            shell="bash",
        )
        server.wait_until_running(server.slow)
        client.wait_parked()
        proxy.go_silent()
        m.sh(
            'for i in $(sed 1d "$M/.connfs/statements" | cut -f1); do'
            ' echo $i >"$M/.connfs/cancel"; done'
        ).check()
        last = events(client.wait().out)
    finally:
        proxy.close()

    assert told[3] == "admitted as app"
    assert re.fullmatch(r"sent statement \d+", told[4])
    assert last[4] == "admitted as app"
    assert any(line.startswith("cut the connection") for line in last)


# A statement that is stopped while it logs in: where that hung.
def test_a_login_that_hangs(mount, server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        m = mount(db=server.spec(tcp=True, port=port, connect_timeout=600))
        client = m.start_sh(
            'echo "select 1 as a;" >"$C/query.sql"; cat "$C/error"', shell="bash"
        )
        listed = 'cut -f1,5 "$M/.connfs/statements" | grep connecting'
        client.wait_parked()
        number = wait_for(lambda: m.sh(listed).out, "it connects").split()[0]

        m.sh(f'echo {number} >"$M/.connfs/cancel"').check()

        assert events(client.wait().out) == [
            spec_line(m),
            "credential of app: static",
            f"dialled 127.0.0.1 port {port}",
        ]


# The server's own answer needs no more words, nor does a cancellation.
def test_an_answer_has_no_events(mount, engine):
    m = mount(db=engine.spec())
    text = ["selec;", "insert into nowhere values (1);"]

    for sql in text:
        outcome = run_text(m, sql)
        assert outcome.writes != ["ok"]
        assert events(outcome.error) is None
    client = m.start_sh(
        f'echo "{engine.endless};" >"$C/query.sql"; echo 1 >"$C/cancel";'
        ' cat "$C/wait"; cat "$C/error"',
        shell="bash",
    )
    cancelled = client.wait()
    assert "Operation canceled" in cancelled.err and "ERRNO" in cancelled.out
    assert events(cancelled.out) is None


# An exchange shows the same in its attribute.
def test_the_events_of_an_exchange(mount, server):
    m = mount(db=server.spec(host="127.0.0.1", port=free_port()))

    seen = m.python(exchange("""
fd = opened()
say(code(put, fd, "select 1 as a;"))
say(error(fd), end="")
""")).check()

    assert seen.lines[0] == "ECONNREFUSED"
    told = events(seen.out)
    assert told[:2] == [spec_line(m), "credential of app: static"]
    assert told[2].startswith("login failed: ")
