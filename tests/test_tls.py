# SPDX-License-Identifier: MIT
"""Which servers are believed, and what goes encrypted."""

import json
import shutil

import pytest

from clients import sh

# What a session is encrypted with, and what is seen when it is not.
VERSION = {
    "postgres": "select version from pg_stat_ssl where pid = pg_backend_pid();",
    "mariadb": "select variable_value as version from"
    " information_schema.session_status where variable_name = 'Ssl_version';",
}
ENCRYPTED = "version\nTLSv1.3\n"
PLAIN = {"postgres": "version\n\n", "mariadb": 'version\n""\n'}


def bash(m, script):
    return m.sh(script, shell="bash")


@pytest.fixture
def tls_dir(test_dir):
    """Of the test alone: what belongs to root is believed."""
    path = test_dir / "tls"
    path.mkdir()
    return path


@pytest.fixture
def ca(request, tls_dir):
    """ca(name) is a copy of a certificate of the server, which root owns."""

    def make(name="ca"):
        kind = "server" if "server" in request.fixturenames else "pg"
        of = request.getfixturevalue(kind)
        source = {"ca": of.ca, "other": of.other_ca}[name]
        return str(shutil.copy(source, tls_dir / f"{name}.crt"))

    return make


# What each mode promises is kept with a server that can keep it.
@pytest.mark.parametrize(
    "fields",
    [
        {"ssl": True},
        {"sslmode": "require"},
        {"sslmode": "prefer"},
        {},
        {"sslmode": "verify-ca"},
        {"sslmode": "verify-full"},
        {"ssl": True, "sslmode": "verify-full"},
    ],
    ids=str,
)
def test_a_session_is_encrypted(mount, server, ca, fields):
    verified = fields.get("sslmode", "").startswith("verify")
    own = {"ca_cert": ca()} if verified else {}
    m = mount(db=server.spec(tcp=True, **fields, **own))

    assert m.query(VERSION[server.name]).check().out == ENCRYPTED


# The mariadb connector has no "plain if the server lets me".
@pytest.mark.parametrize(
    "server, mode",
    [("postgres", "disable"), ("postgres", "allow"), ("mariadb", "disable")],
    indirect=["server"],
)
def test_a_session_is_plain_when_that_is_asked_for(mount, server, mode):
    m = mount(db=server.spec(tcp=True, sslmode=mode))

    assert m.query(VERSION[server.name]).check().out == PLAIN[server.name]


UNTRUSTED = {
    "postgres": "certificate verify failed",
    "mariadb": "TLS/SSL error: self-signed certificate in certificate chain",
}


# No mode that verifies believes a certificate of somebody else; require does
# not once it is told whom to believe.
@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_certificate_of_another_ca_is_refused(mount, server, ca, mode):
    m = mount(db=server.spec(tcp=True, sslmode=mode, ca_cert=ca("other")))

    refused = bash(m, 'echo "select 1;" >"$C/query.sql"; cat "$C/error"')

    assert "No route to host" in refused.err
    assert UNTRUSTED[server.name] in refused.out
    assert server.activity() == []


OTHER_NAME = {
    "postgres": ("db.example.invalid", 'does not match host name "{}"'),
    # As good as 127.0.0.1, but not for who goes by the letter.
    "mariadb": ("127.1", "the server's certificate is not for {}"),
}


# verify-full is about the name, verify-ca is not.
@pytest.mark.parametrize("mode, good", [("verify-full", False), ("verify-ca", True)])
def test_a_certificate_for_another_name(mount, server, ca, mode, good):
    name, refusal = OTHER_NAME[server.name]
    dialled = f"127.0.0.1:{server.port}" if server.name == "postgres" else None
    where = {"host": name, "connect_to": dialled}
    m = mount(db=server.spec(tcp=True, sslmode=mode, ca_cert=ca(), **where))

    asked = bash(
        m, f'echo "{VERSION[server.name]}" >"$C/query.sql" && cat "$C/result.csv"'
    )

    assert asked.out == (ENCRYPTED if good else "")
    assert ("No route to host" in asked.err) == (not good)
    if not good:
        said = bash(m, 'echo "select 1;" >"$C/query.sql"; cat "$C/error"').out
        assert refusal.format(name) in said


def fingerprint(server):
    """SHA-256 of its certificate, as openssl prints it."""
    path = server.base / "tls/server.crt"
    text = sh(f"openssl x509 -in {path} -noout -fingerprint -sha256").check().out
    return text.strip().partition("=")[2]


# The MySQL family may know a server by its certificate alone, and by no other.
@pytest.mark.parametrize("good", [True, False])
def test_a_fingerprint_is_of_one_certificate(mount, mariadb, good):
    known = fingerprint(mariadb)
    if not good:
        known = known[:-1] + ("0" if known[-1] != "0" else "1")
    fields = {"sslmode": "require", "host": "db.example.invalid"}
    where = {"connect_to": f"127.0.0.1:{mariadb.port}", "tls_fingerprint": known}
    m = mount(db=mariadb.spec(**fields, **where))

    asked = bash(
        m,
        f'echo "{VERSION["mariadb"]}" >"$C/query.sql"; cat "$C/result.csv" "$C/error"',
    )

    if good:
        assert asked.check().out == ENCRYPTED
    else:
        assert "No route to host" in asked.err
        assert "does not have the tls_fingerprint" in asked.out
        assert mariadb.activity() == []


# connect_to is where to dial; host stays the name that is verified.
@pytest.mark.parametrize("host", ["localhost", "db.example.invalid"])
def test_connect_to_verifies_the_name_of_host(mount, server, ca, host):
    spec = server.spec(
        tcp=True,
        sslmode="verify-full",
        ca_cert=ca(),
        host=host,
        port=1,
        connect_to=f"127.0.0.1:{server.port}",
        tls_fingerprint=fingerprint(server) if server.name == "mariadb" else None,
    )
    m = mount(db=spec)

    asked = m.query(VERSION[server.name])

    assert asked.out == (ENCRYPTED if host == "localhost" else "")
    shown = json.loads(m.read("db", "connection.json"))
    assert (shown["host"], shown["port"]) == (host, 1)
    assert shown["connect_to"] == f"127.0.0.1:{server.port}"
    assert shown["sslmode"] == "verify-full"


# A server without TLS is not talked to when it was asked for.
@pytest.mark.parametrize("fields", [{"ssl": True}, {"sslmode": "require"}], ids=str)
@pytest.mark.parametrize(
    "kind, said",
    [
        ("pg_server", "server does not support SSL, but SSL was required"),
        ("mariadb_server", "the server does not offer TLS"),
    ],
)
def test_a_server_without_tls_is_refused(mount, request, kind, said, fields):
    server = request.getfixturevalue(kind)(ssl="off")
    m = mount(db=server.spec(tcp=True, **fields))

    refused = bash(m, 'echo "select 1;" >"$C/query.sql"; cat "$C/error"')

    assert "No route to host" in refused.err
    assert said in refused.out
    assert "password authentication" not in server.log
    assert "Access denied" not in server.log


# What cannot be kept is refused before anything is sent.
@pytest.mark.parametrize(
    "fields, why",
    [
        (
            {"sslmode": "verify-full"},
            'sslmode: "verify-full" needs ca_cert, a PEM file (the system\'s:'
            " /etc/ssl/certs/ca-certificates.crt)",
        ),
        (
            {"ssl": True, "sslmode": "prefer"},
            'sslmode: "prefer" is weaker than "ssl": true promises',
        ),
        ({"ssl": "yes"}, "ssl: must be true or false, without quotes"),
        (
            {"sslmode": "strict"},
            "sslmode: must be one of disable, allow, prefer, require, verify-ca,"
            " verify-full",
        ),
        (
            {"ca_cert": "/etc/ssl/certs/ca-certificates.crt", "sslmode": "prefer"},
            'ca_cert: nothing is verified without "ssl": true, or sslmode require'
            " or stronger",
        ),
        (
            {"sslmode": "verify-ca", "ca_cert": "/nowhere/ca.crt"},
            "ca_cert: /nowhere: No such file or directory",
        ),
        (
            {"sslmode": "verify-ca", "ca_cert": "ca.crt"},
            "ca_cert: must be an absolute path",
        ),
        (
            {"host": "/run/postgresql", "ssl": True},
            "ssl: there is no TLS with a unix socket",
        ),
        (
            {"connect_to": "localhost"},
            'connect_to: must be "host:port" or "[v6]:port"',
        ),
        ({"connect_to": "localhost:0"}, "connect_to: must be from 1 to 65535"),
    ],
)
def test_promises_that_cannot_be_kept_are_spec_errors(
    connfs, pg, test_dir, fields, why
):
    path = test_dir / "spec.json"
    spec = {"conn_id": "db", **pg.spec(**{"host": "localhost", **fields})}
    path.write_text(json.dumps(spec))
    path.chmod(0o600)

    checked = connfs("--check", path)

    assert (checked.rc, checked.out) == (1, f"BAD  {path}: db: {why}\n")


# Who can write the file decides which servers are believed.
def test_a_ca_that_others_can_write_is_refused(connfs, pg, test_dir, ca):
    path, trusted = test_dir / "spec.json", ca()
    (test_dir / "tls/ca.crt").chmod(0o666)
    spec = pg.spec(tcp=True, sslmode="verify-ca", ca_cert=trusted)
    path.write_text(json.dumps({"conn_id": "db", **spec}))
    path.chmod(0o600)

    checked = connfs("--check", path)

    assert checked.out == (
        f"BAD  {path}: db: ca_cert: {trusted} can be written by others than its"
        " owner: chmod go-w\n"
    )


# Libraries verify nothing when the file is gone, and says nothing of it.
def test_a_ca_that_has_gone_is_no_reason_to_believe(mount, server, ca, tls_dir):
    m = mount(db=server.spec(tcp=True, sslmode="require", ca_cert=ca()))
    (tls_dir / "ca.crt").unlink()

    refused = bash(m, 'echo "select 1;" >"$C/query.sql"; cat "$C/error"')

    assert refused.err != ""
    assert "ca_cert" in refused.out
    assert server.activity() == []
