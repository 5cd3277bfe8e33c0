# SPDX-License-Identifier: MIT
"""Statements that meet another's transaction in Aurora DSQL are sent again, when
that can do no harm."""

import json
import signal

import pytest

from clients import SCALE, wait_for
from clocks import Clock
from doors import Door
from fake_aws import Cluster
from programs import run_text

STATES = ["OC000", "OC001", "40001"]
TEXT = "change conflicts with another transaction, please retry"

# clash(state, n) fails n times, then returns 1. A sequence counts the calls, as
# no rollback undoes that.
CLASH = f"""
create table t (n int);
create sequence calls;
create function clash(state text, times int) returns int language plpgsql as $$
declare
    call int := nextval('calls');
begin
    raise notice 'call %', call;
    if call <= times then
        raise '{TEXT}: %', state using errcode = state, detail = 'told to';
    end if;
    return 1;
end $$;
create function clash_late() returns trigger language plpgsql as $$
begin
    perform clash(tg_argv[0], tg_argv[1]::int);
    return null;
end $$;
"""

# What DSQL does: a conflict is found by the commit, when all has been done.
LATE = """
create constraint trigger late after insert on t deferrable initially deferred
for each row execute function clash_late('{}', {})
"""

JOB = {"LAVA_REALM": "dsql", "LAVA_JOB_ID": "clash"}


@pytest.fixture
def db(cluster):
    """What is behind the gateway: a database in which statements can clash."""
    cluster.sql(CLASH)
    return cluster


@pytest.fixture
def m(mount, aws, dsql):
    """A mount of it."""
    return mount(db=dsql().spec(), env=aws.env(aws.key()))


def calls(db):
    """How often it was tried."""
    row = db.sql("select last_value, is_called from calls")[0]
    return int(row[0]) if row[1] == "t" else 0


def rows(db):
    return [int(row[0]) for row in db.sql("select n from t order by n")]


def was_refused(outcome, state):
    """The server's own words, with EAGAIN."""
    assert outcome.writes[-1] == "EAGAIN", outcome
    assert outcome.error.startswith(f"ERROR:  {state}: {TEXT}: {state}\n")
    assert "told to" in outcome.error
    seen = outcome.status
    assert (seen["state"], seen["sqlstate"]) == ("failed", state)
    return True


# --- Sent again


# However often it had to be sent, the user sees one success, and nothing of what
# came before it.
@pytest.mark.parametrize("state, times", [("OC000", 1), ("OC001", 3), ("40001", 3)])
def test_a_conflict_is_not_seen(m, db, state, times):
    seen = run_text(m, f"select clash('{state}', {times}) as a;")

    assert (seen.writes, seen.csv, seen.error) == (["ok"], "a\n1\n", "")
    assert (seen.status["state"], seen.status["sqlstate"]) == ("done", None)
    assert seen.status["message"] is None
    assert seen.status["notices"] == [f"NOTICE:  call {times + 1}"]
    assert calls(db) == times + 1


def test_three_times_and_no_more(m, db):
    seen = run_text(m, "insert into t select clash('OC001', 4);")

    assert was_refused(seen, "OC001")
    assert calls(db) == 4
    assert rows(db) == []


@pytest.mark.parametrize("late", [False, True], ids=["at once", "at commit"])
def test_an_insert_happens_once(m, db, late):
    if late:
        db.sql(LATE.format("OC000", 3))
    value = "7" if late else "6 + clash('OC000', 3)"

    seen = run_text(m, f"insert into t values ({value});")

    assert (seen.writes, seen.error) == (["ok"], "")
    assert (seen.status["command"], seen.status["rows_affected"]) == ("INSERT 0 1", 1)
    assert rows(db) == [7]
    assert calls(db) == 4


# Its parameters go with it each time.
def test_parameters_are_bound_again(m, db):
    result = m.sh(
        """cd "$C"; echo '[41]' >params.json
        echo 'insert into t select $1::int + clash($2, 2);' >query.sql
        """.replace("[41]", '[41, "OC001"]')
    )

    result.check()
    assert (rows(db), calls(db)) == ([42], 3)


# Holds a row until somebody waits for it, and changes it.
MEET = """do $$ begin
    update t set n = n + 1;
    while not exists (select from pg_locks where not granted) loop
        perform pg_sleep(0.01);
    end loop;
end $$"""


# A conflict that is not made up: two writers of one row.
def test_a_true_conflict(m, db):
    level = "default_transaction_isolation = 'repeatable read'"
    db.sql(f"alter database {db.database} set {level}; insert into t values (1)")
    other = m.start_client([*db.shell_argv(), "-c", MEET])
    locked = "select mode from pg_locks where relation = 't'::regclass"
    wait_for(lambda: db.sql(locked), "the other writer has the row")

    seen = run_text(m, "update t set n = n * 10;", env=JOB)

    other.wait().check()
    assert (seen.writes, rows(db)) == (["ok"], [20])
    assert len(db.heard("lv-dsql-clash")) == 2


# One conversation's conflicts are in nobody's way.
def test_writers_that_meet(mount, aws, dsql, db):
    m = mount(db=dsql().spec(max_connections=8), env=aws.env(aws.key()))
    sql = "insert into t select clash('OC000', 3);"

    jobs = [m.start_sh(f'echo "{sql}" >"$C/query.sql"') for _ in range(8)]

    for job in jobs:
        job.wait().check()
    assert rows(db) == [1] * 8
    assert calls(db) == 11


# --- Not sent again


def test_within_a_transaction_it_is_the_users(m, db):
    tries = "".join(
        f"""
    echo "begin; insert into t values (1);" >query.sql
    echo "insert into t select clash('{state}', {n});" >query.sql; head -n 1 error
    echo "commit;" >query.sql
    """
        for n, state in enumerate(STATES, 1)
    )
    script = f'cd "$C"; {tries} echo "insert into t values (2);" >query.sql'

    result = m.sh(script, shell="bash")

    assert result.err.count("Resource temporarily unavailable") == 3
    assert result.lines == [f"ERROR:  {s}: {TEXT}: {s}" for s in STATES]
    assert (rows(db), calls(db)) == ([2], 3)


# What the commit refuses was a whole transaction, of which connfs knows no more.
def test_a_commit_is_not_sent_again(m, db):
    db.sql(LATE.format("OC000", 1))
    script = """
    cd "$C"; echo "begin; insert into t values (1);" >query.sql
    echo "commit;" >query.sql; head -1 error
    echo "select count(*) as n from t;" >query.sql; cat result.csv
    """

    result = m.sh(script, shell="bash", env=JOB)

    assert "Resource temporarily unavailable" in result.err
    assert result.lines == [f"ERROR:  OC000: {TEXT}: OC000", "n", "0"]
    assert db.heard("lv-dsql-clash").count("commit") == 1
    assert calls(db) == 1


# Whoever has seen a row of the first try must not see those of another.
def test_after_a_row_it_is_not_sent_again(mount, aws, dsql, db):
    m = mount(
        db=dsql().spec(),
        settings={"settle_time": 0, "spool_memory": 65536, "spool_disk": 0},
        env=aws.env(aws.key()),
    )
    text = (
        "select case when n < 200000 then n else clash('OC000', 1) end as n"
        " from generate_series(1, 200000) n;"
    )

    result = m.sh(
        f'cd "$C"; echo "{text}" >query.sql && cat result.csv | tail -n 1\n'
        "head -1 error; grep complete status.json",
        shell="bash",
    )

    assert "result.csv: Input/output error" in result.err
    assert "199999" not in result.lines[1:] and int(result.lines[0]) > 1
    assert result.lines[1] == f"ERROR:  OC000: {TEXT}: OC000"
    assert '"complete": false' in result.lines[2]
    assert calls(db) == 1


# Nor when they are in the spool only: what is there is delivered.
def test_returning_is_not_sent_again(m, db):
    db.sql(LATE.format("OC000", 1))

    seen = run_text(m, "insert into t values (7) returning n;")

    assert was_refused(seen, "OC000")
    assert (rows(db), calls(db)) == ([], 1)


PROCEDURE = """
create procedure p() language plpgsql as $$ begin
    insert into t values (1);
    commit;
    perform clash('OC000', 1);
end $$
"""


# It may have committed a part of what it does.
@pytest.mark.parametrize("sql", ["call p()", "do $$ begin call p(); end $$"])
def test_a_procedure_is_not_sent_again(m, db, sql):
    db.sql(PROCEDURE)

    seen = run_text(m, sql + ";")

    assert was_refused(seen, "OC000")
    assert (rows(db), calls(db)) == ([1], 1)


def refuse_each(m, db, states):
    """Each is tried once: what came of them."""
    seen = []
    for n, state in enumerate(states, 1):
        seen += run_text(m, f"insert into t select clash('{state}', {n});").writes
        assert calls(db) == n
    assert rows(db) == []
    return seen


# Other errors of the server are errors.
def test_other_errors_are_not_sent_again(m, db):
    seen = refuse_each(m, db, ["40P01", "OC002", "55P03", "22000"])

    assert seen == ["EAGAIN", "EIO", "EAGAIN", "EINVAL"]


# Elsewhere 40001 is what the user asked for, by the level of isolation.
@pytest.mark.parametrize("kind", ["postgres", "rds", "redshift"])
def test_other_types_do_not(mount, aws, pg_gateway, db, kind):
    aws.clusters["shop"] = Cluster()
    gateway = None if kind == "postgres" else pg_gateway(aws, server=db, kind=kind)
    m = mount(db=(gateway or db).spec(), env=aws.env(aws.key()))

    assert refuse_each(m, db, STATES) == ["EAGAIN"] * 3


# --- While it waits

# Here its first wait, of 50 ms, takes a minute.
SLOWLY = 1 / 1000


def met_a_conflict(db):
    wait_for(lambda: calls(db) == 1, "it has met the conflict")
    wait_for(lambda: [row[1] for row in db.activity()] == ["idle"], "it has failed")


class Waiting:
    """A statement that has met a conflict and waits."""

    SCRIPT = """
    echo "insert into t select clash('OC000', 1);" >"$C/query.sql"; cat "$C/error"
    """

    def __init__(self, m, db):
        self.db = db
        self.client = m.start_sh(self.SCRIPT, shell="bash")
        met_a_conflict(db)
        self.client.wait_parked()

    def ended(self):
        """Its end, long before it would have been sent again: the Result."""
        result = self.client.wait(15)
        assert calls(self.db) == 1
        assert rows(self.db) == []
        return result


@pytest.fixture
def slowly(mount, aws, dsql, test_dir):
    """slowly(...) mounts with a clock that makes it wait for long."""

    def make(**fields):
        clock = Clock(test_dir / "clock", speed=SLOWLY)
        env = aws.env(aws.key(), **clock.env())
        return mount(db=dsql().spec(**fields), env=env)

    return make


# While it waits it runs, as far as anybody can tell: there has been no failure.
def test_while_it_waits_it_runs(slowly, db, test_dir):
    m = slowly()
    door = Door(test_dir / "door")
    job = m.start_sh(
        'echo "insert into t select clash(\'OC000\', 1);" >"$C/query.sql" &\n'
        f"read x <{door}\n"
        'until grep -q \'"notices": \\[\\]\' "$C/status.json"; do :; done\n'
        'cat "$C/status.json"; cat "$C/error"; kill $!',
        shell="bash",
    )
    met_a_conflict(db)

    listed = m.read(".connfs", "statements").splitlines()[1:]
    door.open()

    seen = json.loads(job.wait().check().out)
    assert (seen["state"], seen["complete"]) == ("running", False)
    assert (seen["message"], seen["sqlstate"], seen["notices"]) == (None, None, [])
    assert len(listed) == 1 and "\trunning\t" in listed[0]
    assert calls(db) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_the_wait(slowly, db, number):
    m = slowly()
    waiting = Waiting(m, db)

    waiting.client.signal(number)

    assert waiting.ended().rc == -number
    ended = "no statement is left"
    wait_for(lambda: m.read(".connfs", "statements").count("\n") == 1, ended)


def test_cancel_ends_the_wait(slowly, db):
    m = slowly()
    waiting = Waiting(m, db)

    m.sh("tail -n 1 $M/.connfs/statements | cut -f 1 >$M/.connfs/cancel").check()

    result = waiting.ended()
    assert "Operation canceled" in result.err
    assert "cancelled" in result.out and TEXT not in result.out


def test_statement_timeout_ends_the_wait(slowly, db):
    waiting = Waiting(slowly(statement_timeout=f"{int(2 * SCALE)}ms"), db)

    result = waiting.ended()

    assert "Connection timed out" in result.err
    assert "cancelled after statement_timeout" in result.out


def test_the_end_of_the_daemon_ends_the_wait(slowly, db):
    m = slowly()
    waiting = Waiting(m, db)

    m.process.send_signal(signal.SIGTERM)

    assert m.process.wait(5 * SCALE) == 0
    waiting.ended()


# One limit for all of it: each try alone would keep to it.
def test_statement_timeout_covers_all_tries(mount, aws, dsql, db):
    timeout = 0.5 * SCALE
    spec = dsql().spec(statement_timeout=f"{int(timeout * 1000)}ms")
    m = mount(db=spec, env=aws.env(aws.key()))
    slow = f"pg_sleep({timeout * 0.7})"

    seen = run_text(m, f"insert into t select clash('OC000', 9) from {slow};")

    assert seen.writes == ["ETIMEDOUT"]
    assert "cancelled after statement_timeout" in seen.error
    assert calls(db) == 1
