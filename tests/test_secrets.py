# SPDX-License-Identifier: MIT
"""No secret is seen anywhere, and nothing of the environment steers a login."""

import os
import pathlib
import signal
import socket

import pytest

import clients
import leaks
import servers
from clients import wait_for
from leaks import found
from mount import BINARY, daemons_of, keep_bare, unmount_and_wait


@pytest.fixture
def secrets(server, test_dir):
    """(specs, environment, all secrets): one login for each local source."""
    specs, env, used = {}, {}, []
    for source in ["static", "file", "env", "command"]:
        login = f"secret{source}"
        if login not in server.passwords:
            server.create_user(login, f"S3cret-{source}-{os.urandom(6).hex()}")
            server.create_database(login, owner=login)
        password = server.passwords[login]
        used.append(password)
        if source == "static":
            own = {"password_plain": password}
        elif source == "env":
            env["SHOP_PASSWORD"] = password
            own = {"password_env": "SHOP_PASSWORD"}
        else:
            path = test_dir / source
            path.write_text(password + "\n")
            path.chmod(0o600)
            own = {"password_file": str(path)}
            if source == "command":
                own = {"password_command": ["/bin/cat", str(path)]}
        everyone = {"everyone": True}
        fields = {"password_plain": None, **own, "access": everyone}
        own = {"user": login, "database": login, **fields}
        specs[source] = server.spec(**own)
        specs[f"tcp-{source}"] = server.spec(tcp=True, ssl=True, **own)
    return specs, env, used


@pytest.mark.parametrize("debug", [False, True])
def test_no_secret_is_seen_anywhere(mount, secrets, debug):
    specs, env, used = secrets
    m = mount(specs, env=env, flags=["-d"] if debug else [])
    m.secrets.update(used)

    seen = {"output": leaks.use_everything(m).stdout, **leaks.seen(m)}

    for uid in [0, leaks.OTHER]:
        assert b"./static/connection.json\n{" in seen[f"files as {uid}"]
    assert b"\nSHOP_PASSWORD=" in seen["environ"].replace(b"\0", b"\n")
    assert {where: found(used, text) for where, text in seen.items()} == {
        where: [] for where in seen
    }


# A refused password is told by the server, in its words, and not by us.
REFUSALS = {
    "postgres": 'password authentication failed for user "app"',
    "mariadb": "Access denied for user 'app'@'127.0.0.1'",
}


@pytest.mark.parametrize("debug", [False, True])
def test_a_wrong_password_is_not_quoted(mount, server, debug):
    wrong = "Wr0ng-but-a-secret-elsewhere"
    m = mount(
        db=server.spec(password_plain=wrong, tcp=True), flags=["-d"] if debug else []
    )

    ran = m.sh('echo "select 1;" >"$C/query.sql"; cat "$C/error" "$C"/creds/[se]*')

    assert REFUSALS[server.name] in ran.out
    assert found([wrong], ran.stdout + ran.stderr + m.log.encode()) == []


# Errors in a spec are quoted, but never what stands where a password does.
@pytest.mark.parametrize(
    "text",
    [
        '{"conn_id": "a", "password_plain": "S3cret-x" "S3cret-x"}',
        '{"conn_id": "a", "password_plain": S3cret-x}',
        '{"conn_id": "a", "type": "postgres", "password_plain": ["S3cret-x"]}',
        '{"conn_id": "a", "type": "postgres", "password_file": "S3cret-x"}',
        '{"conn_id": "a", "password_plain": "S3cret-x',
        '{"conn_id": "a", "password_plain": "S3cret-x\\q"}',
    ],
)
def test_errors_of_specs_do_not_quote_passwords(connfs, test_dir, text):
    path = test_dir / "spec.json"
    path.write_text(text)
    path.chmod(0o600)

    checked = connfs("--check", path)

    assert checked.rc == 1
    assert found(["S3cret-x"], checked.stdout + checked.stderr) == []


def environ_of(pid):
    return pathlib.Path(f"/proc/{pid}/environ").read_bytes()


# The process that waits until the mount is there has the environment as well.
# It waits for as long as SOURCE is on a mount that is stopped.
def test_the_starting_process_shows_no_secret(mount, test_dir):
    env = {"SHOP_PASSWORD": "S3cret-of-the-environment"}
    stopped = mount(db=servers.Sqlite(test_dir / "a.db").spec())
    mnt, path = test_dir / "mnt", test_dir / "specs"
    mnt.mkdir()
    keep_bare(mnt)
    path.mkdir(mode=0o700)
    (path / "a.json").write_text(
        '{"conn_id": "a", "type": "postgres", "enabled": true, "host": "/x",'
        ' "user": "u", "database": "d", "password_env": "SHOP_PASSWORD"}'
    )
    (path / "slow.json").symlink_to(stopped.path("README"))

    stopped.process.send_signal(signal.SIGSTOP)
    try:
        starter = clients.start([str(BINARY), str(path), str(mnt)], env=env)
        wait_for(lambda: len(daemons_of(mnt)) == 2, "the daemon starts")
        wait_for(
            lambda: found(env.values(), environ_of(starter.pid)) == [],
            "the starting process has wiped its environment",
        )
        assert starter.running
    finally:
        stopped.process.send_signal(signal.SIGCONT)
    assert starter.wait().rc == 0

    (daemon,) = daemons_of(mnt)
    shown = environ_of(daemon)
    unmount_and_wait(mnt)
    assert b"SHOP_PASSWORD=" in shown
    assert found(env.values(), shown) == []


# A crash must not write down what is in memory. That the daemon cannot be
# traced either is seen in test_cli.py, where it is not root's.
def test_the_daemon_dumps_no_core(mount, pg):
    m = mount(db=pg.spec())

    limits = pathlib.Path(f"/proc/{m.pid}/limits").read_text()
    (core,) = [li.split() for li in limits.splitlines() if "core file size" in li]

    assert core[4:6] == ["0", "0"]


# The environment


class Listener:
    """A TCP port at which nobody should ever call."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(0)
        self.port = self.socket.getsockname()[1]

    def called(self):
        try:
            self.socket.accept()[0].close()
            return True
        except BlockingIOError:
            return False

    def close(self):
        self.socket.close()


@pytest.fixture
def trap():
    listener = Listener()
    yield listener
    listener.close()


def trapped_env(home, trap):
    return {
        "HOME": str(home),
        "PGHOST": "127.0.0.1",
        "PGHOSTADDR": "127.0.0.1",
        "PGPORT": str(trap.port),
        "PGUSER": "trapuser",
        "PGDATABASE": "trapdb",
        "PGPASSWORD": "trappassword",
        "PGPASSFILE": str(home / ".pgpass"),
        "PGSERVICE": "trap",
        "PGSERVICEFILE": str(home / ".pg_service.conf"),
        "PGSYSCONFDIR": str(home),
        "PGOPTIONS": "-c statement_timeout=1 -c search_path=trap",
        "PGAPPNAME": "trapname",
        "PGSSLMODE": "disable",
        "PGSSLROOTCERT": "/nowhere/root.crt",
        "PGREQUIREPEER": "trap",
        "PGTZ": "Asia/Tokyo",
        "PGDATESTYLE": "SQL, DMY",
        "PGCLIENTENCODING": "LATIN1",
        "PGGEQO": "off",
        "PGTARGETSESSIONATTRS": "standby",
        "PGCONNECT_TIMEOUT": "1",
        "PGCHANNELBINDING": "require",
        "PGGSSENCMODE": "require",
    }


@pytest.fixture
def home(test_dir, trap):
    """A home directory whose files would lead elsewhere."""
    path = test_dir / "home"
    (path / ".postgresql").mkdir(parents=True)
    for name, text in [
        (".pgpass", "*:*:*:*:trappassword\n"),
        (".pg_service.conf", f"[trap]\nport={trap.port}\nuser=trapuser\n"),
        ("pg_service.conf", f"[trap]\nport={trap.port}\n"),
        (".postgresql/root.crt", "not a certificate\n"),
        (".postgresql/root.crl", "not a list\n"),
        (".postgresql/postgresql.crt", "not a certificate\n"),
        (".postgresql/postgresql.key", "not a key\n"),
    ]:
        (path / name).write_text(text)
        (path / name).chmod(0o600)
    return path


# libpq reads two dozen variables and seven files that nobody mentioned.
@pytest.mark.parametrize(
    "fields", [{}, {"tcp": True}, {"tcp": True, "ssl": True}], ids=str
)
def test_nothing_of_libpqs_environment_counts(mount, pg, home, trap, fields):
    m = mount(db=pg.spec(**fields), env=trapped_env(home, trap))

    seen = m.query(
        "select current_user as u, current_database() as d,"
        " current_setting('statement_timeout') as t,"
        " current_setting('search_path') as p, current_setting('TimeZone') as z,"
        " current_setting('DateStyle') as s, current_setting('geqo') as g,"
        " current_setting('client_encoding') as e,"
        " current_setting('application_name') like '%trap%' as n,"
        " 'ü€' as x;"
    )

    assert seen.check().out == (
        "u,d,t,p,z,s,g,e,n,x\n"
        'app,app,0,"""$user"", public",UTC,"ISO, MDY",on,UTF8,f,ü€\n'
    )
    assert not trap.called()


# Where the spec has no password, none is found elsewhere.
def test_no_password_is_found_elsewhere(mount, pg, home, trap):
    (home / ".pgpass").write_text(f"*:*:*:*:{pg.passwords['app']}\n")
    env = {**trapped_env(home, trap), "PGPASSWORD": pg.passwords["app"]}
    m = mount(db=pg.spec(password_plain=None, tcp=True), env=env)

    refused = m.sh('echo "select 1;" >"$C/query.sql"; cat "$C/error"', shell="bash")

    assert "Permission denied" in refused.err
    assert "no password supplied" in refused.out


@pytest.fixture
def mysql_env(test_dir, trap):
    """Variables and option files that would lead elsewhere."""
    home = test_dir / "mysql"
    home.mkdir()
    options = (
        f"[client]\nport={trap.port}\nhost=127.0.0.1\nprotocol=tcp\n"
        "user=trapuser\npassword=trappassword\ndatabase=trapdb\n"
        "default-character-set=latin1\ninit-command=set @trap = 1\nssl=1\n"
        "[client-server]\n[client-mariadb]\n[connfs]\n"
    )
    for name in [".my.cnf", "my.cnf"]:
        (home / name).write_text(options)
        (home / name).chmod(0o600)
    return {
        "HOME": str(home),
        "MYSQL_HOME": str(home),
        "MARIADB_HOME": str(home),
        "MYSQL_HOST": "127.0.0.1",
        "MYSQL_TCP_PORT": str(trap.port),
        "MYSQL_UNIX_PORT": str(home / "trap.sock"),
        "MYSQL_PWD": "trappassword",
        "MYSQL_PLUGIN_DIR": str(home),
        "MARIADB_PLUGIN_DIR": str(home),
        "LIBMYSQL_PLUGIN_DIR": str(home),
        "LIBMYSQL_PLUGINS": "trap",
        "LIBMYSQL_ENABLE_CLEARTEXT_PLUGIN": "Y",
        "MYSQL_GROUP_SUFFIX": "-trap",
        "USER": "trapuser",
        "SSL_CERT_FILE": "/nowhere/ca.crt",
    }


# libmariadb reads a dozen variables and four files.
@pytest.mark.parametrize(
    "fields", [{}, {"tcp": True}, {"tcp": True, "ssl": True}], ids=str
)
def test_nothing_of_libmariadbs_environment_counts(
    mount, mariadb, mysql_env, trap, fields
):
    m = mount(db=mariadb.spec(**fields), env=mysql_env)

    seen = m.query(
        "select substring_index(user(), '@', 1) as u, database() as d,"
        " @@character_set_client as c, @@character_set_results as r, @trap as t,"
        " 'ü€' as x;"
    )

    assert seen.check().out == "u,d,c,r,t,x\napp,app,utf8mb4,utf8mb4,,ü€\n"
    assert not trap.called()


def test_no_password_of_mariadb_is_found_elsewhere(mount, mariadb, mysql_env):
    password = mariadb.passwords["app"]
    (pathlib.Path(mysql_env["HOME"]) / ".my.cnf").write_text(
        f"[client]\npassword={password}\n"
    )
    env = {**mysql_env, "MYSQL_PWD": password}
    m = mount(db=mariadb.spec(password_plain=None, tcp=True), env=env)

    refused = m.sh('echo "select 1;" >"$C/query.sql"; cat "$C/error"', shell="bash")

    assert "Permission denied" in refused.err
    assert "(using password: NO)" in refused.out
