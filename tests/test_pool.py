# SPDX-License-Identifier: MIT
"""max_connections for many: lending, what is handed over and what is not."""

import pathlib
import re

import pytest

from clients import SCALE, wait_for
from doors import Door
from jobs import ask, job, sessions_of

WHO = {
    "postgres": "select pg_backend_pid() as pid;",
    "mariadb": "select connection_id() as pid;",
}

ON_POSTGRES = pytest.mark.parametrize("engine", ["postgres"], indirect=True)
ON_MARIADB = pytest.mark.parametrize("engine", ["mariadb"], indirect=True)
ON_SERVERS = pytest.mark.parametrize("engine", list(WHO), indirect=True)


@pytest.fixture
def one(engine, mount):
    """A mount of a database of which one session is allowed."""
    return mount(
        db=engine.spec(max_connections=1),
        settings={"queue_timeout": 0.5 * SCALE},
    )


@pytest.fixture
def taken(one, test_dir):
    """taken(sql): runs it as job 1, which stays; its rows. And how to end it."""
    held = []

    def take(sql):
        door = Door(test_dir / f"door{len(held)}")
        client = one.start_sh(ask(sql, f"read x <{door}"), env=job(1))
        door.reached()
        held.append((client, door))
        assert client.stderr == b""
        return client

    yield take
    for client, door in held:
        if client.running:
            door.open()
            client.wait()


# ----------------------------------------------------------- what is handed over


def named(engine):
    """{pid: application_name} of what the server has."""
    return {str(row[0]): row[2] for row in engine.activity()}


# The same session, and it has the second job's name when that's first
# statement runs.
@ON_SERVERS
def test_a_session_is_lent_under_the_new_name(one, taken, engine):
    pid = taken(WHO[engine.name]).stdout.decode().splitlines()[1]
    before = named(engine)[pid]

    second = one.start_sh(ask(f"{engine.slow};"), env=job(2))
    running = engine.wait_until_running(engine.slow)
    after = named(engine)[pid]
    second.kill()

    assert [str(p) for p in running] == [pid]
    assert (before, after) == ("lv-test-job1", "lv-test-job2")


# The server has heard nothing of the second job before its name.
@ON_POSTGRES
def test_nothing_comes_before_the_name(one, taken, engine):
    taken("select 1;")

    one.sh(ask("select 'first' as n;"), env=job(77)).check()

    heard = re.findall(r"(lv-test-job\d+): LOG: +execute [^:]*: (.*)", engine.log)
    assert [text for name, text in heard if name == "lv-test-job77"] == [
        "select 'first' as n"
    ]


# What connfs cannot see in the text of a statement is gone all the same.
HIDDEN = """
create function leave() returns int language plpgsql as $$
begin
    perform set_config('test.secret', 'hidden', false);
    set search_path = pg_catalog;
    create temporary table left_over as select 'hidden' as n;
    execute 'prepare left_over as select 1';
    execute 'listen left_over';
    perform pg_advisory_lock(7);
    perform nextval('public.s');
    execute 'set role other';
    return 1;
end $$
"""

LOOK = """
select current_setting('test.secret', true) as secret,
    current_setting('search_path') as path, current_user as user,
    to_regclass('pg_temp.left_over') as temp_table,
    (select count(*) from pg_prepared_statements) as prepared,
    (select count(*) from pg_listening_channels()) as listens,
    (select count(*) from pg_locks where locktype = 'advisory') as locks;
"""


@ON_POSTGRES
def test_nothing_is_left_in_a_lent_session(one, taken, engine, pg, database):
    who = WHO["postgres"]
    pg.sql("create role other; grant other to app", database)
    try:
        engine.sql("create sequence s; " + HIDDEN)
        fresh = one.sh(ask(LOOK)).check().lines[1]
        before = taken("select leave();\n" + who).stdout.decode().splitlines()

        after = one.sh(ask(LOOK + who, "cat results/1.csv"), env=job(2)).check().lines
        sequence = one.sh(ask("select lastval();", "cat error"), env=job(3))

        assert after[1].split(",")[0] == before[1].split(",")[0]
        # A setting of one's own stays known by its name, without its value.
        assert after[3] == '""' + fresh
        assert "lastval is not yet defined in this session" in sequence.out
    finally:
        pg.sql("drop owned by other; drop role other", database)


HIDDEN_IN_MARIADB = """
create function leave_it() returns int
begin
    set @secret = 'hidden';
    set session sort_buffer_size = 1048576;
    do get_lock('left_over', 0);
    insert into t (n) values (1);
    return 1;
end
"""

LOOK_IN_MARIADB = """
select @secret as secret, @@session.sort_buffer_size as size,
    is_used_lock('left_over') as locked, last_insert_id() as last;
"""


@ON_MARIADB
def test_nothing_is_left_in_a_lent_session_of_mariadb(one, taken, engine):
    who = WHO["mariadb"]
    engine.sql("create table t (id int auto_increment primary key, n int)")
    engine.sql("delimiter //\n" + HIDDEN_IN_MARIADB + "//\n")
    fresh = one.sh(ask(LOOK_IN_MARIADB)).check().lines[1]
    before = taken("select leave_it();\n" + who).stdout.decode().splitlines()

    look = ask(LOOK_IN_MARIADB + who, "cat results/1.csv")
    after = one.sh(look, env=job(2)).check().lines

    assert after[1] == before[1]
    assert after[3] == fresh


INIT = {
    "postgres": (
        "set test.a = 'init'; set statement_timeout = '77s'",
        "current_setting('test.a') as a, current_setting('statement_timeout') as b",
        "init,77s",
    ),
    "mariadb": (
        "set @a = 'init'; set session lock_wait_timeout = 77",
        "@a as a, @@session.lock_wait_timeout as b",
        "init,77",
    ),
    "sqlite": (
        "create temporary table i as select 'init' as a; pragma cache_size = 77",
        "a, (select cache_size from pragma_cache_size) as b from i",
        "init,77",
    ),
}


# init_sql is what a new session begins with, and a lent one as well.
def test_init_sql_runs_again(engine, mount):
    init, columns, expected = INIT[engine.name]
    m = mount(db=engine.spec(max_connections=1, init_sql=init))
    show = ask(f"select {columns};")

    seen = [m.sh(show).check().lines[1] for _ in range(2)]
    jobs = [m.start_sh(show) for _ in range(8)]

    rows = seen + [client.wait().check().lines[1] for client in jobs]
    assert set(rows) == {expected}


# ------------------------------------------------------------ what is not lent


STATES = {
    "postgres": [
        "set search_path = pg_catalog;",
        "create temporary table x (n int);",
        "prepare x as select 1;",
        "listen x;",
        "begin;",
        "select pg_advisory_lock(1);",
    ],
    "mariadb": [
        "set @a = 1;",
        "create temporary table x (n int);",
        "prepare x from 'select 1';",
        "begin;",
        "select get_lock('x', 0);",
        "use information_schema;",
    ],
    "sqlite": [
        "create temporary table x (n int);",
        "pragma foreign_keys = on;",
        "begin;",
    ],
}


@pytest.mark.parametrize(
    "engine,state",
    [(name, state) for name, states in STATES.items() for state in states],
    indirect=["engine"],
)
def test_a_session_with_state_is_kept(one, taken, state):
    taken(state)

    refused = one.sh(ask("select 1;", "cat error"), shell="bash")

    assert "Resource temporarily unavailable" in refused.err
    assert "the sessions are held by" in refused.out
    assert re.search(r"uid 0, .*: idle (in a transaction|with settings)", refused.out)


# So is who waits for the rows of a statement that gets no session.
def test_a_reader_is_told_that_there_is_no_session(one, taken):
    taken("begin;")

    reader = one.sh(
        '(echo "select 1;" >"$C/query.sql") 2>/dev/null &\n'
        'until grep -q queued "$M/.connfs/statements"; do :; done\n'
        'cat "$C/result.csv"'
    )

    assert reader.err.endswith("result.csv: Resource temporarily unavailable\n")


# The state goes with the conversation, and whoever waits is served at once.
def test_who_waits_is_served_when_the_holder_ends(engine, mount, test_dir):
    m = mount(db=engine.spec(max_connections=1))
    door = Door(test_dir / "door")
    holder = m.start_sh(
        'cd "$C"; echo "create temporary table x (n int);" >query.sql; '
        f"read x <{door}"
    )
    door.reached()
    waiting = m.start_sh(ask("select * from x;"), shell="bash")
    waiting.wait_parked()

    door.open()
    holder.wait().check()

    assert "Invalid argument" in waiting.wait().err


# Sticky: what connfs cannot see is kept as well.
def test_a_sticky_session_is_kept(mount, pg, database, test_dir):
    m = mount(
        db=pg.spec(database=database, max_connections=1, sticky=True),
        settings={"queue_timeout": 0.3, "idle_timeout": 0.1},
    )
    door = Door(test_dir / "door")
    holder = m.start_sh(
        ask("select set_config('test.a', 'kept', false);", f"read x <{door}")
        + ask("select current_setting('test.a') as a;")
    )
    door.reached()

    refused = m.sh(ask("select 1;"), shell="bash")
    door.open()

    assert "Resource temporarily unavailable" in refused.err
    assert holder.wait().check().lines[-1] == "kept"


# What is written at once runs in one session, however many wait for it.
def test_the_statements_of_one_write_share_a_session(mount, pg, database):
    pg.sql("create table t (id serial, n int)", database, "app")
    m = mount(db=pg.spec(database=database, max_connections=1))
    script = """
    cd "$C"
    for i in 1 2 3 4 5 6 7 8 9 10; do
        dd of=query.sql conv=notrunc 2>/dev/null <<END && cat result.csv || exit 1
insert into t (n) values ($N * 100 + $i);
select n from t where id = lastval();
END
    done
    """

    writers = [m.start_sh(script, env={"N": str(n)}) for n in range(8)]

    for n, writer in enumerate(writers):
        rows = [f"{n * 100 + i}" for i in range(1, 11)]
        assert writer.wait().check().lines == sum([["n", row] for row in rows], [])


# ---------------------------------------------------------------- many at once


# All of them have run something and wait for their user; none has lost its
# place for it, and there are never more sessions than allowed.
def test_64_idle_conversations_share_10_sessions(mount, engine, test_dir):
    m = mount(db=engine.spec(max_connections=10))
    doors = [Door(test_dir / f"door{n}") for n in range(64)]
    script = 'cd "$C"; echo "select %d as n;" >query.sql && cat result.csv\n'
    idle = [
        m.start_sh(script % n + f"read x <{door}\n" + script % (1000 + n))
        for n, door in enumerate(doors)
    ]
    for door in doors:
        door.reached()
    held = sessions_of(m)

    for door in doors:
        door.open()

    for n, client in enumerate(idle):
        assert client.wait().check().lines == ["n", f"{n}", "n", f"{1000 + n}"]
    assert held == 10


def test_200_conversations_over_5_sessions(mount, engine):
    m = mount(db=engine.spec(max_connections=5))
    script = 'cd "$C"; echo "select %d as n;" >query.sql && cat result.csv'

    waiting = [m.start_sh(script % n) for n in range(200)]

    for n, client in enumerate(waiting):
        assert client.wait(60).check().lines == ["n", f"{n}"]


# First come, first served.
def test_the_queue_is_fair(mount, engine, test_dir):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec(max_connections=1))
    door = Door(test_dir / "door")
    holder = m.start_sh(ask("begin;", f"read x <{door}"))
    door.reached()
    waiting = []
    for n in range(10):
        waiting.append(m.start_sh(ask(f"insert into t values ({n});")))
        queued = f"insert into t values ({n})"
        wait_for(
            lambda text=queued: text in m.read(".connfs", "statements"), "it is queued"
        )

    door.open()
    holder.wait().check()

    for client in waiting:
        client.wait().check()
    order = m.sh(ask("select n from t;")).check().lines[1:]
    assert order == [str(n) for n in range(10)]


# Neither one that writes without a pause, nor its siblings in the same shell,
# keep the others out.
def test_a_busy_conversation_lets_others_in(mount, pg, database, test_dir):
    m = mount(db=pg.spec(database=database, max_connections=1))
    stop = test_dir / "stop"
    busy = m.start_sh(
        'cd "$C"; for i in 1 2 3 4; do\n'
        f'(until [ -e {stop} ]; do echo "select 1;" >query.sql; done) &\n'
        "done; wait"
    )
    wait_for(lambda: sessions_of(m) == 1, "it has the session")

    for n in range(20):
        assert m.sh(ask(f"select {n} as n;")).check().lines == ["n", str(n)]

    stop.touch()
    busy.wait().check()


# -------------------------------------------------------------------- timeouts


# Its locks and rows would stand in the way of others for ever.
def test_a_transaction_that_idles_is_rolled_back(mount, engine, test_dir):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec(idle_in_transaction_timeout=0.2))
    door = Door(test_dir / "door")
    script = (
        'cd "$C"; echo "begin; insert into t values (1);" >query.sql\n'
        f"read x <{door}\n"
        'echo "commit;" >query.sql; cat error\n'
        'echo "select count(*) as n from t;" >query.sql; cat result.csv'
    )
    job = m.start_sh(script, shell="bash")
    door.reached()
    wait_for(lambda: sessions_of(m) == 0, "its session is closed")

    door.open()

    result = job.wait()
    assert "Resource temporarily unavailable" in result.err
    assert "idle_in_transaction_timeout" in result.lines[0]
    assert result.lines[-2:] == ["n", "0"]


# One that is used does not idle, however slowly.
def test_a_used_transaction_is_not_rolled_back(mount, pg, database):
    m = mount(db=pg.spec(database=database, idle_in_transaction_timeout=0.5))

    result = m.sh(
        'cd "$C"; echo "begin; select pg_sleep(1);" >query.sql; cat result.csv\n'
        'echo "commit;" >query.sql'
    )

    assert result.check().lines == ["pg_sleep", '""']


# A firewall that forgets quiet connections must not.
def test_keepalive_is_on(mount, pg, database, test_dir):
    m = mount(db=pg.spec(database=database, tcp=True))
    door = Door(test_dir / "door")
    client = m.start_sh(ask("select 1;", f"read x <{door}"))
    door.reached()
    inodes = {
        link.readlink().name[8:-1]
        for link in pathlib.Path(f"/proc/{m.pid}/fd").iterdir()
        if link.readlink().name.startswith("socket:")
    }

    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    to_server = [row for row in rows if int(row[2][-4:], 16) == pg.port]
    ours = [row for row in to_server if row[9] in inodes]
    door.open()

    client.wait().check()
    # The timer column: 02 is keepalive, due in at most 30 s (100 ticks each).
    assert [row[5][:2] for row in ours] == ["02"]
    assert int(ours[0][5][3:], 16) <= 3000


# ------------------------------------------------------------------ last resort


# A session whose server died while it waited for its next client is replaced
# unseen.
@ON_SERVERS
def test_a_lost_session_is_not_lent(one, taken, engine):
    taken("select 1 as n;")
    engine.end_sessions(f"datname = '{engine.database}'")

    assert one.sh(ask("select 2 as n;")).check().lines == ["n", "2"]


# kill -9 of a job that held state: who waits need not wait for long.
def test_a_killed_holder_gives_its_session_free(one, taken):
    taken("begin;").kill()

    assert one.sh(ask("select 2 as n;")).check().lines == ["n", "2"]
