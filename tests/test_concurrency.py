# SPDX-License-Identifier: MIT
"""Many callers at once: the pool of sessions, waiting, kills, and the end."""

import json
import os
import random
import signal
import time

import pytest

import clients
from clients import SCALE, wait_for
from doors import Door
from locks import TableLock

ALICE = 20001


@pytest.fixture
def table(server):
    """A database with a table t of the numbers 1 to 3."""
    server.sql("create table t (n integer)")
    server.sql("insert into t values (1), (2), (3)")
    return server


def status_of_mount(m):
    return json.loads(m.read(".connfs", "status.json"))


def states(m):
    """State by statement, of all that run or wait."""
    text = m.sh('cat "$M/.connfs/statements"').check().out
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return {row[-1]: row[4] for row in rows}


# 64 sessions want one of 10 connections: all are served, each with its own
# rows, and there are never more than 10.
def test_more_conversations_than_connections(mount, server):
    m = mount(db=server.spec(max_connections=10))
    sleep = {"postgres": "pg_sleep", "mariadb": "sleep"}[server.name]
    script = f"""
    cd "$C"
    for i in 1 2 3; do
        echo "select {sleep}(0.02) as s, '$ME-$i' as n;" >query.sql &&
            cut -d , -f 2 result.csv
    done
    """
    busy, held = set(), set()

    waiting = [m.start_sh(script, env={"ME": str(n)}) for n in range(64)]
    while any(client.running for client in waiting):
        busy.add(len(server.activity("state = 'active'")))
        held.add(status_of_mount(m)["database_sessions"])

    for n, client in enumerate(waiting):
        expected = [["n", f"{n}-{i}"] for i in [1, 2, 3]]
        assert client.wait().check().lines == sum(expected, [])
    assert max(busy) <= 10
    assert max(held) == 10


# Who waits too long for a connection gets EAGAIN and reads who holds them.
def test_queue_timeout_names_the_holders(mount, table, test_dir):
    spec = table.spec(max_connections=1)
    m = mount(db=spec, settings={"queue_timeout": 0.5})
    door = Door(test_dir / "door")
    holder = m.start_sh(
        f'echo "begin; delete from t;" >"$C/query.sql"; read x <{door};'
        ' echo "commit;" >"$C/query.sql"'
    )
    door.reached()
    script = """
    echo "select 1 as n;" >"$C/query.sql"
    cat "$C/result.csv"
    cat "$C/error"
    """

    refused = m.sh(script, shell="bash")
    door.open()

    assert refused.err.count("Resource temporarily unavailable") == 2
    assert "queue_timeout" in refused.out
    assert f"uid 0, session {holder.pid}, pid {holder.pid}: idle" in refused.out
    assert "in a transaction" in refused.out
    assert 0.5 <= refused.elapsed < 5 * SCALE
    holder.wait().check()
    assert table.sql("select count(*) from t") == [("0",)]


# An idle session that holds nothing is lent to whoever waits; and its owner
# gets it back.
def test_an_idle_session_is_lent_to_who_waits(mount, server, test_dir):
    m = mount(db=server.spec(max_connections=1))
    door = Door(test_dir / "door")
    pid = {"postgres": "pg_backend_pid", "mariadb": "connection_id"}[server.name]
    query = f'echo "select {pid}() as p;" >"$C/query.sql"; cat "$C/result.csv"'
    first = m.start_sh(f"{query}; read x <{door}; {query}")
    door.reached()

    second = m.sh(query).check().lines
    door.open()

    lines = first.wait().check().lines
    assert lines[0] == lines[2] == second[0] == "p"
    assert lines[1] == lines[3] == second[1]


# One that holds something that the next statement may need is not taken.
HELD = {
    "postgres": [
        ("begin; delete from t;", "select count(*) as n from t;", "0"),
        ("set lock_timeout = 4321;", "show lock_timeout;", "4321ms"),
        ("create temporary table mine as select 5 as n;", "table mine;", "5"),
        ("prepare p as select 6 as n;", "execute p;", "6"),
        ("listen c;", "select pg_listening_channels() as n;", "c"),
        ("select pg_advisory_lock(7);", "select pg_advisory_unlock(7) as n;", "t"),
        ("declare c cursor with hold for table t;", "fetch all in c;", "1"),
    ],
    "mariadb": [
        ("begin; delete from t;", "select count(*) as n from t;", "0"),
        ("set lock_wait_timeout = 4321;", "select @@lock_wait_timeout as n;", "4321"),
        ("set @a = 4;", "select @a as n;", "4"),
        ("create temporary table mine as select 5 as n;", "select * from mine;", "5"),
        ("prepare p from 'select 6 as n';", "execute p;", "6"),
        ("select get_lock('l', 0);", "select release_lock('l') as n;", "1"),
        ("lock tables t write;", "select count(*) as n from t;", "3"),
    ],
}


@pytest.mark.parametrize(
    "server, state, check, expected",
    [(kind, *case) for kind, cases in HELD.items() for case in cases],
    indirect=["server"],
)
def test_a_session_that_holds_something_is_kept(
    mount, table, test_dir, state, check, expected
):
    spec = table.spec(max_connections=1)
    m = mount(db=spec, settings={"queue_timeout": 0.3})
    door = Door(test_dir / "door")
    holder = m.start_sh(
        f'cd "$C"; echo "{state}" >query.sql; read x <{door};'
        f' echo "{check}" >query.sql; cat result.csv'
    )
    door.reached()

    refused = m.sh('echo "select 1;" >"$C/query.sql"', shell="bash")
    door.open()

    assert "Resource temporarily unavailable" in refused.err
    assert holder.wait().check().lines[1] == expected


# First come, first served.
def test_connections_are_given_in_turn(mount, table):
    m = mount(db=table.spec(max_connections=1))
    serial = {"postgres": "serial", "mariadb": "serial primary key"}[table.name]
    table.sql(f"create table log (id {serial}, who text)")
    lock = TableLock(table)
    first = m.start_sh('echo "select count(*) from t;" >"$C/query.sql"')
    table.wait_until_running("from t")

    waiting = []
    for n in range(8):
        text = f"insert into log (who) values ({n})"
        waiting.append(m.start_sh(f'echo "{text};" >"$C/query.sql"'))
        wait_for(lambda: states(m).get(text) == "queued", f"{n} waits")
    lock.release()

    for client in [first, *waiting]:
        client.wait().check()
    order = table.sql("select who from log order by id")
    assert order == [(str(n),) for n in range(8)]


# Nor can a conversation keep its session by always having a next statement.
def test_a_conversation_that_never_rests_lets_others_in(mount, engine):
    m = mount(db=engine.spec(max_connections=1))
    loop = f'while :; do echo "{engine.series(50000)};" >"$C/query.sql"; done'
    greedy = m.start_sh(" & ".join([loop] * 5))
    wait_for(lambda: "queued" in states(m).values(), "it has more to do")

    for _ in range(5):
        done = m.query(engine.series(2) + ";", timeout=5).check()
        assert done.out == "n\n1\n2\n"
    assert greedy.running


# A session nobody uses is closed after idle_timeout; the next statement of the
# conversation gets another one.
def test_idle_timeout_closes_a_session(mount, server, test_dir):
    m = mount(db=server.spec(idle_timeout=0.3))
    door = Door(test_dir / "door")
    client = m.start_sh(
        f'cd "$C"; echo "select 1;" >query.sql; read x <{door};'
        ' echo "select 2 as n;" >query.sql; cat result.csv'
    )
    door.reached()
    assert len(server.activity()) <= 1

    server.wait_until_idle()
    assert client.running
    door.open()

    assert client.wait().check().lines == ["n", "2"]


# Blocked readers are parked requests, not threads; all of them are woken.
def test_500_readers_of_one_slow_statement(mount, table):
    m = mount(db=table.spec())
    lock = TableLock(table)
    code = """
import collections, os, threading
threading.stack_size(128 * 1024)
C = os.environ["C"]
seen = collections.Counter()
def write():
    with open(C + "/query.sql", "w") as f:
        f.write("select n from t order by n;")
def read():
    with open(C + "/result.csv", "rb") as f:
        seen[f.read()] += 1
writer = threading.Thread(target=write)
writer.start()
while True:
    with open(C + "/status.json") as f:
        if '"running"' in f.read():
            break
readers = [threading.Thread(target=read) for _ in range(500)]
for t in readers:
    t.start()
for t in [writer, *readers]:
    t.join()
print(dict(seen))
"""
    client = m.start_python(code)
    table.wait_until_running("from t")

    def parked():
        tasks = clients.threads_of(client.pid)
        waits = [clients.waits_for(f"/proc/{client.pid}/task/{t}") for t in tasks]
        return waits.count("request_wait_answer")

    wait_for(lambda: parked() == 501, "all of them wait", 30)
    threads, memory = m.status["Threads"], m.status["VmRSS"]
    lock.release()

    assert client.wait(30).check().out == "{b'n\\n1\\n2\\n3\\n': 500}\n"
    assert threads < 10
    assert memory < 48 * 1024 * SCALE


# The same when there will be no rows: each is told why.
def test_readers_of_a_cancelled_statement_are_all_woken(mount, engine):
    m = mount(db=engine.spec())
    script = f"""
    cd "$C"
    (echo "{engine.slow};" >query.sql) 2>/dev/null &
    while ! grep -q running status.json; do :; done
    for i in $(seq 50); do cat result.csv 2>"$OUT.$i" & done
    wait
    cat "$OUT".*
    """
    client = m.start_sh(script, env={"OUT": f"{m.dir}/out"})

    def parked():
        return [
            pid
            for pid in client.processes()
            if clients.waits_for(f"/proc/{pid}") == "request_wait_answer"
        ]

    wait_for(lambda: len(parked()) == 51, "all of them wait", 20)
    number = m.sh('sed -n 2p "$M/.connfs/statements"').check().out.split("\t")[0]
    m.sh(f'echo {number} >"$M/.connfs/cancel"').check()

    lines = client.wait().check().lines
    assert lines == ["cat: result.csv: Operation canceled"] * 50


# Connections have nothing to do with each other: each has its own sessions.
def test_many_statements_on_several_connections(mount, server):
    names = [f"c{n}" for n in range(5)]
    m = mount({name: server.spec() for name in names})
    query = server.series(500, "'$F $i' as f, n")
    script = f"""
    for i in $(seq 10); do
        echo "{query};" >"$M/$F/query.sql"
        cat "$M/$F/result.csv" | md5sum
    done
    """

    running = [
        (name, m.start_sh(script, env={"F": name})) for name in names for _ in range(6)
    ]

    results = {}
    for name, client in running:
        results.setdefault(name, set()).add(client.wait(40).check().out)
    assert [len(out) for out in results.values()] == [1] * 5
    assert len(set.union(*results.values())) == 5


# A connection whose only session is busy, or whose server is silent, does not
# hold up the others.
def test_a_busy_connection_does_not_hold_up_another(engine, mount):
    m = mount(busy=engine.spec(max_connections=1), other=engine.spec())
    write = f'echo "{engine.slow};" >"$C/query.sql"'
    blocked = [m.start_sh(write, "busy") for _ in range(5)]
    wait_for(lambda: engine.slow in states(m), "it runs")

    done = m.query(engine.series(2) + ";", "other", timeout=5).check()

    assert done.out == "n\n1\n2\n"
    assert all(client.running for client in blocked)


def stress_script(engine, kind):
    """Prints "wrong" when it gets anything but its own rows or an errno."""
    large = engine.series(30000, f"{engine.repeat(99)} as x, n")
    slow = engine.slow.replace("600", "0.2") + " as s, '$ME' as n"
    return {
        "write and read": """
            cd "$C"
            i=0
            while :; do
                i=$((i + 1))
                echo "select '$ME-$i' as n;" >query.sql || continue
                out=$(cat result.csv) || continue
                [ "$out" = "n
$ME-$i" ] || echo "wrong: $out"
            done""",
        "large": f"""
            cd "$C"
            while :; do
                echo "{large};" >query.sql || continue
                size=$(set -o pipefail; cat result.csv | wc -c) || continue
                [ "$size" = 3168898 ] || echo "wrong: $size"
            done""",
        "slow": f"""
            cd "$C"
            while :; do
                echo "{slow};" >query.sql || continue
                cat result.csv >/dev/null
            done""",
        "early": f"""
            cd "$C"
            while :; do
                echo "{engine.endless};" >query.sql || continue
                head -n 2 result.csv >/dev/null
            done""",
    }[kind]


# Sixty times somebody is killed in the middle of something. The daemon
# lives, nobody is stuck, nothing is left at the server, and nobody who was
# spared gets wrong rows.
@pytest.mark.timeout(90)
def test_killing_callers_at_random(mount, server):
    m = mount(db=server.spec(max_connections=4), settings={"settle_time": 0.05})
    kinds = ["write and read", "large", "slow", "early"]
    dice = random.Random(7)
    running = []
    ended = []

    def start():
        kind = dice.choice(kinds)
        env = {"ME": f"{len(ended)}-{len(running)}"}
        running.append(m.start_sh(stress_script(server, kind), shell="bash", env=env))

    for _ in range(12):
        start()
    for n in range(60):
        client = running.pop(dice.randrange(len(running)))
        victims = client.processes()
        how = dice.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
        # One process of it, or the whole group as a terminal does.
        if dice.random() < 0.5 and victims:
            kill_one(dice.choice(victims), how)
        else:
            client.signal(how)
        ended.append(client)
        start()
        if n % 10 == 0:
            survivor = m.query("select 'survivor' as n;", timeout=15)
            assert survivor.check().out == "n\nsurvivor\n"

    for client in running + ended:
        client.kill()
    outputs = [client.wait(10).out for client in running + ended]
    server.wait_until_idle()

    assert [out for out in outputs if "wrong" in out] == []
    assert m.query("select 1 as n;").check().out == "n\n1\n"
    wait_for(
        lambda: status_of_mount(m)["conversations"] == 0, "all conversations end"
    )


def kill_one(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


PARKED = """
import errno, os, threading
C = os.environ["C"]
def tell(call):
    try:
        call()
        print("ok", flush=True)
    except OSError as e:
        print(errno.errorcode[e.errno], flush=True)
def write():
    fd = os.open(C + "/query.sql", os.O_WRONLY)
    tell(lambda: os.write(fd, (os.environ["SLOW"] + ";").encode()))
def read():
    tell(lambda: os.open(C + "/result.csv", os.O_RDONLY))
writer = threading.Thread(target=write)
writer.start()
while '"running"' not in open(C + "/status.json").read():
    pass
readers = [threading.Thread(target=read) for _ in range(5)]
for t in readers:
    t.start()
for t in [writer, *readers]:
    t.join()
"""


def start_parked(m, engine):
    client = m.start_python(PARKED, env={"SLOW": engine.slow})

    def parked():
        tasks = clients.threads_of(client.pid)
        waits = [clients.waits_for(f"/proc/{client.pid}/task/{t}") for t in tasks]
        return waits.count("request_wait_answer")

    # Not in a LOOKUP before: what came before a request is answered before it.
    for _ in range(3):
        wait_for(lambda: parked() == 6, "writer and readers are parked")
        m.read(".connfs", "version")
    return client


# The end of the daemon: nobody is left waiting, and it takes no longer than 5 s.
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_daemon_and_frees_who_waits(mount, engine, number):
    m = mount(db=engine.spec())
    client = start_parked(m, engine)

    started = time.monotonic()
    m.process.send_signal(number)
    rc = m.process.wait(20 * SCALE)
    elapsed = time.monotonic() - started

    assert client.wait(5).check().lines == ["ENOTCONN"] * 6
    assert rc == 0
    assert elapsed < 5 * SCALE


# And at the server nothing is left of it.
def test_the_end_of_the_daemon_leaves_nothing_at_the_server(mount, table):
    m = mount(db=table.spec())
    writing = m.start_sh(f'echo "{table.slow};" >"$C/query.sql"')
    table.wait_until_running("sleep(600")
    open_one = m.start_sh('echo "begin; delete from t;" >"$C/query.sql"; sleep 600')
    wait_for(lambda: table.activity("state = 'idle in transaction'"), "it is open")

    m.process.terminate()

    assert m.process.wait(5 * SCALE) == 0
    table.wait_until_idle(5)
    writing.wait(5)
    open_one.kill()
    assert table.sql("select count(*) from t") == [("3",)]


# umount is a clean end too: what runs is cancelled, transactions rolled back.
def test_umount_ends_it(mount, table, test_dir):
    m = mount(db=table.spec())
    first, second = Door(test_dir / "first"), Door(test_dir / "second")
    holder = m.start_sh(
        f'echo "begin; delete from t;" >"$C/query.sql"; read x <{first}'
    )
    streaming = m.start_sh(
        f'echo "{table.endless};" >"$C/query.sql";'
        f" read x <{second}"
    )
    first.reached()
    second.reached()

    assert m.unmount() == 0

    assert m.process.wait(5 * SCALE) == 0
    table.wait_until_idle(5)
    first.open()
    second.open()
    holder.wait().check()
    streaming.wait().check()
    assert table.sql("select count(*) from t") == [("3",)]


# A mount with open files is busy, and works on.
def test_umount_of_a_busy_mount_changes_nothing(mount, engine):
    m = mount(db=engine.spec())
    client = start_parked(m, engine)

    assert m.unmount("-q") == 32

    assert client.running
    assert m.query(engine.series(1) + ";").check().out == "n\n1\n"


# kill -9 of the daemon: who waits gets an errno at once, nobody hangs.
def test_killing_the_daemon_frees_who_waits(mount, server):
    m = mount(db=server.spec())
    client = m.start_sh(f'echo "{server.slow};" >"$C/query.sql"', shell="bash")
    server.wait_until_running("sleep(600")

    m.process.kill()
    m.process.wait()

    done = client.wait(5)
    assert done.rc == 1
    assert m.unmount() == 0
    m.process = Ended()


class Ended:
    """Stands for a daemon whose end the test has looked at."""

    pid = -1

    def wait(self, timeout=None):
        return 0

    def poll(self):
        return 0
