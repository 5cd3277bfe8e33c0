# SPDX-License-Identifier: MIT
"""Servers that cannot be reached, refuse, or go away: design 5, and the issue's
"a dropped server connection is noticed before a statement is sent"."""

import contextlib
import os
import signal
import socket
import threading

import pytest

import mount as mounts
from clients import wait_for
from doors import Door
from programs import run_text


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# Nobody listens there.
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_closed_port_is_econnrefused(mount, server, host):
    m = mount(db=server.spec(host=host, port=free_port()))

    outcome = run_text(m, "select 1;")

    assert (outcome.writes, outcome.result) == (["ECONNREFUSED"], "ECONNREFUSED")
    assert "refused" in outcome.error
    # PostgreSQL's library tells which address of the name it was.
    assert "127.0.0.1" in outcome.error or host in outcome.error
    assert outcome.status["state"] == "failed"


def test_a_missing_socket_is_ehostunreach(mount, server):
    m = mount(db=server.spec(host="/nowhere/socket"))

    outcome = run_text(m, "select 1;")

    assert outcome.writes == ["EHOSTUNREACH"]
    assert "/nowhere/socket" in outcome.error


# RFC 2606: this name never exists.
def test_an_unknown_name_is_ehostunreach(mount, server):
    m = mount(db=server.spec(host="nowhere.invalid"))

    outcome = run_text(m, "select 1;")

    assert (outcome.writes, outcome.result) == (["EHOSTUNREACH"], "EHOSTUNREACH")
    assert "nowhere.invalid" in outcome.error


# A server that takes the connection and never answers.
def test_a_silent_server_is_etimedout(mount, server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        m = mount(db=server.spec(host="127.0.0.1", port=port, connect_timeout=0.5))

        outcome = run_text(m, "select 1;")

    assert (outcome.writes, outcome.result) == (["ETIMEDOUT"], "ETIMEDOUT")
    assert "timed out" in outcome.error
    assert 500 <= outcome.status["elapsed_ms"] < 5000


# A login that hangs can be cancelled as well as a statement.
def test_ctrl_c_ends_a_login_that_hangs(mount, server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        m = mount(db=server.spec(host="127.0.0.1", port=silent.getsockname()[1]))
        client = m.start_sh("echo 'select 1;' > $C/query.sql")
        connection, _ = silent.accept()
        client.wait_parked()

        with connection:
            client.signal(2)
            result = client.wait()

    assert result.rc == -2
    assert result.elapsed < 8


WRONG = {
    "postgres": ("28P01", 'password authentication failed for user "app"'),
    "mariadb": ("28000", "Access denied for user 'app'@'localhost'"),
}


def test_a_wrong_password_is_eacces(mount, server):
    m = mount(db=server.spec(password_plain="Not-The-Password"))

    outcome = run_text(m, "select 1;")

    assert (outcome.writes, outcome.result) == (["EACCES"], "EACCES")
    state, said = WRONG[server.name]
    assert outcome.status["sqlstate"] == state
    assert said in outcome.error
    assert "Not-The-Password" not in str(outcome)


BARS = {
    "postgres": ("alter role barred nologin", "28000"),
    "mariadb": ("alter user barred account lock", "HY000"),
}


def test_a_login_that_may_not_is_eacces(mount, server):
    bar, state = BARS[server.name]
    if "barred" not in server.passwords:
        server.create_user("barred")
    server.server.sql(bar)
    m = mount(db=server.spec(user="barred"))

    outcome = run_text(m, "select 1;")

    assert outcome.writes == ["EACCES"]
    assert outcome.status["sqlstate"] == state


# No credentials, no network: the reason stands in creds/error, too.
def test_credentials_that_cannot_be_had_are_ekeyrejected(mount, server, test_dir):
    missing = str(test_dir / "missing")
    m = mount(db=server.spec(password_plain=None, password_file=missing))

    outcome = run_text(m, "select 1;")

    assert (outcome.writes, outcome.result) == (["EKEYREJECTED"], "EKEYREJECTED")
    assert missing in outcome.error
    assert missing in m.read("db", "creds", "error")


# The database cannot be opened: as good as no server.
def test_a_sqlite_file_that_cannot_be_opened(mount):
    host = "/nowhere/at/all.db"
    m = mount(db={"type": "sqlite3", "enabled": True, "host": host})

    outcome = run_text(m, "select 1 from sqlite_master;")

    assert (outcome.writes, outcome.result) == (["EHOSTUNREACH"], "EHOSTUNREACH")
    assert not os.path.exists("/nowhere")


def test_a_file_that_is_no_database_is_eio(mount, test_dir):
    path = test_dir / "text.db"
    path.write_text("This is not a database, but long enough to be one.\n" * 100)
    m = mount(db={"type": "sqlite3", "enabled": True, "host": str(path)})

    outcome = run_text(m, "select 1 from sqlite_master;")

    assert outcome.writes == ["EIO"]
    assert "not a database" in outcome.error


@pytest.fixture
def slow_reader(mount, own_server):
    """A server, and a client that reads a stream of it a little at a time."""
    tight = {"spool_memory": 65536, "spool_memory_total": 65536, "spool_disk": 0}
    m = mount(db=own_server.spec(), settings=tight)
    door = Door(m.dir / "door")
    client = m.start_python(
        f"""
import os
conn = os.environ["C"]
open(conn + "/query.sql", "w").write("{own_server.endless};")
result = open(conn + "/result.csv", "rb", 0)
size = len(result.read(100))
print(size, flush=True)
open("{door}").read()
try:
    while True:
        data = result.read(65536)
        size += len(data)
        if not data:
            print("end of file")
            break
except OSError as e:
    print(os.strerror(e.errno))
print(open(conn + "/error").read())
print(open(conn + "/status.json").read())
"""
    )
    door.reached()
    yield own_server, client, door


# Not a clean end: what came before it must not pass for the whole.
@pytest.mark.parametrize("how", ["SIGKILL", "SIGQUIT", "SIGINT"])
def test_a_reader_is_told_that_the_server_went_away(slow_reader, how):
    server, client, door = slow_reader

    server.stop_server(getattr(signal, how))
    door.open()

    result = client.wait().check()
    assert result.lines[1] == "Input/output error"
    assert '"complete": false' in result.out
    assert '"state": "failed"' in result.out
    assert "ERRNO:  ENOTCONN" in result.out


# And the next statement finds the server that was started again.
def test_a_restarted_server_is_used_at_once(mount, own_server):
    m = mount(db=own_server.spec())
    door = Door(m.dir / "door")
    client = m.start_sh(
        "echo 'select 1 as a;' > $C/query.sql; cat $C/result.csv;"
        f" read x <{door};"
        " echo 'select 2 as b;' > $C/query.sql && cat $C/result.csv"
    )
    wait_for(lambda: client.stdout, "its session is idle")
    own_server.stop_server()
    own_server.launch()

    door.open()

    assert client.wait().check().out == "a\n1\nb\n2\n"


@pytest.fixture
def paused(mount, server):
    """paused(first, then): a client that runs two scripts, with a pause in
    between, which ends when the door is opened; the client and the door."""
    server.sql("create table t (n integer)")
    m = mount(db=server.spec())
    door = Door(m.dir / "door")

    def start(first, then):
        client = m.start_sh(
            f"echo '{first}' > $C/query.sql; echo ready;"
            f" read x <{door};"
            f" echo '{then}' > $C/query.sql; echo rc $?; cat $C/result.csv $C/error",
            shell="bash",
        )
        wait_for(lambda: client.stdout, "the first script is over")
        return client, door

    return start


def drop_sessions(server):
    """All of connfs's, and waits until they are gone."""
    assert server.activity()
    server.end_sessions()
    server.wait_until_idle()


# A connection that was dropped while it was idle is no failure of the next
# statement, of a writing one as little.
@pytest.mark.parametrize(
    "then, expected",
    [
        ("select 2 as b;", "b\n2\n"),
        ("insert into t values (1) returning n as b;", "b\n1\n"),
    ],
)
def test_a_connection_dropped_while_idle_is_not_noticed(
    paused, server, then, expected
):
    client, door = paused("select 1;", then)

    drop_sessions(server)
    door.open()

    assert client.wait().check().out == "ready\nrc 0\n" + expected


# But what was in the session is gone, and the statement may count on it.
@pytest.mark.parametrize(
    "first, lost",
    [
        ("begin;", "transaction was rolled back"),
        ("begin; insert into t values (1);", "transaction was rolled back"),
        ("create temporary table mine (n integer);", "temporary tables"),
        ("set time_zone = default;", "settings"),
    ],
)
def test_a_session_dropped_with_state_in_it_is_told(paused, server, first, lost):
    if server.name == "postgres":
        first = first.replace("time_zone", "timezone")
    client, door = paused(first, "insert into t values (2);")

    drop_sessions(server)
    door.open()

    result = client.wait()
    assert result.lines[:2] == ["ready", "rc 1"]
    assert "Transport endpoint is not connected" in result.err
    assert lost in result.out
    assert server.sql("select n from t") == []


# Told once: the one after that has a session anew.
def test_after_a_lost_transaction_statements_run_again(paused, server):
    client, door = paused(
        "begin;", "select 2;' > $C/query.sql; echo 'select 3 as c;"
    )

    drop_sessions(server)
    door.open()

    assert client.wait().out == "ready\nrc 0\nc\n3\n"


# Nobody knows whether an INSERT that was under way has happened: it is not
# run again.
LAST_WORDS = {
    "postgres": "terminating connection due to administrator command",
    "mariadb": "Lost connection to server",
}


def test_a_connection_lost_while_running_is_enotconn(mount, server):
    server.sql("create table t (n integer)")
    m = mount(db=server.spec())
    client = m.start_sh(
        f"echo '{server.slow_insert()};' > $C/query.sql;"
        " cat $C/result.csv; cat $C/error",
        shell="bash",
    )
    server.wait_until_running("sleep(600")

    drop_sessions(server)

    result = client.wait()
    assert result.err.count("Transport endpoint is not connected") == 2
    assert LAST_WORDS[server.name] in result.out
    assert "\nERRNO:  ENOTCONN\nEVENTS:\n" in result.out
    assert server.sql("select n from t") == []
    assert server.running("sleep(600") == []


class Relay:
    """A port that passes everything on to a server, until it is cut."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.accepted = 0
        self.ends = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.accepted += 1
                server = socket.create_connection(("127.0.0.1", self.target))
                self.ends += [client, server]
                for pair in [(client, server), (server, client)]:
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    @staticmethod
    def _pass(source, to):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)

    def cut(self):
        """Without a word to either side."""
        for end in list(self.ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for end in [self.listener, *self.ends]:
            end.close()


@pytest.fixture
def relay(server):
    with contextlib.closing(Relay(server.port)) as r:
        yield r


# The server may have seen it, or even have done it: an INSERT is not sent
# again, not even when the line was an old one.
def test_a_writing_statement_is_never_sent_twice(mount, server, relay):
    server.sql("create table t (n integer)")
    m = mount(db=server.spec(tcp=True, port=relay.port))
    client = m.start_sh(
        "echo 'select 1;' > $C/query.sql\n"
        f"echo '{server.slow_insert()};' > $C/query.sql;"
        " cat $C/error; echo 'select 3 as a;' > $C/query.sql; cat $C/result.csv",
        shell="bash",
    )
    (pid,) = server.wait_until_running("sleep(600")

    relay.cut()

    result = client.wait()
    assert "Transport endpoint is not connected" in result.err
    assert "ERRNO:  ENOTCONN" in result.out
    assert result.lines[-2:] == ["a", "3"]
    assert relay.accepted == 2
    assert server.running("sleep(600") in ([], [pid])
    server.end_sessions(f"pid = {pid}")


# Half a stream from a line that was cut is no whole one.
def test_a_line_cut_mid_stream_is_eio(mount, server, relay):
    tight = {"spool_memory": 65536, "spool_memory_total": 65536, "spool_disk": 0}
    m = mount(db=server.spec(tcp=True, port=relay.port), settings=tight)
    door = Door(m.dir / "door")
    client = m.start_sh(
        f"echo '{server.endless};' > $C/query.sql\n"
        "exec 3< $C/result.csv; read -r head <&3; echo $head;"
        f" read x <{door}; cat <&3 > /dev/null; echo $?"
    )
    wait_for(lambda: client.stdout, "it has read some")

    relay.cut()
    door.open()

    result = client.wait()
    assert result.lines == ["n", "1"]
    assert "Input/output error" in result.err


FAKE = {"type": "fake", "enabled": True}


# The fake fails after some rows have been delivered: EIO for the one who
# reads, and the statement's own errno for who opens it then.
def test_a_failure_after_rows_is_eio_for_the_reader(mount):
    m = mount(db=FAKE, settings={"settle_time": 0, "spool_memory": 4096})

    result = m.python(
        """
import errno, os
conn = os.environ["C"]
open(conn + "/query.sql", "w").write(os.environ["SQL"])
fd = os.open(conn + "/result.csv", os.O_RDONLY)
size = 0
try:
    while data := os.read(fd, 65536):
        size += len(data)
    print("end of file")
except OSError as e:
    print(size > 100000, errno.errorcode[e.errno])
try:
    open(conn + "/result.csv")
except OSError as e:
    print(errno.errorcode[e.errno])
print(open(conn + "/error").readline(), end="")
""",
        env={"SQL": "fail 40P01 after 1000000;"},
    )

    assert result.check().lines[:2] == ["True EIO", "EAGAIN"]
    assert result.lines[2].startswith("ERROR:  40P01")


def test_a_connection_lost_after_rows_is_eio_for_the_reader(mount):
    m = mount(db=FAKE, settings={"settle_time": 0, "spool_memory": 4096})

    result = m.sh(
        "echo 'lose after 1000000;' > $C/query.sql; cat $C/result.csv | wc -l;"
        " cat $C/result.csv; cat $C/error"
    )

    assert int(result.lines[0]) > 0
    assert "Input/output error" in result.err
    assert "Transport endpoint is not connected" in result.err
    assert "\nERRNO:  ENOTCONN\nEVENTS:\n" in result.out


# The end of the mount with work under way leaves nothing at the server.
def test_umount_cancels_and_rolls_back(mount, server):
    server.sql("create table t (n integer)")
    m = mount(db=server.spec())
    door = Door(m.dir / "door")
    holder = m.start_sh(
        "echo 'begin; insert into t values (1);' > $C/query.sql; echo begun;"
        f" read x <{door}"
    )
    running = m.start_sh(f"echo '{server.slow};' > $C/query.sql")
    wait_for(lambda: holder.stdout, "the transaction has begun")
    server.wait_until_running("sleep(600")

    os.kill(m.pid, signal.SIGTERM)

    assert running.wait().rc != 0
    server.wait_until_idle()
    assert server.sql("select n from t") == []
    wait_for(lambda: mounts.connection_of(m.mnt) is None, "the mount is gone")
    door.open()
    holder.wait()
