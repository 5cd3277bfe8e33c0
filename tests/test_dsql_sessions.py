# SPDX-License-Identifier: MIT
"""Sessions of Aurora DSQL: it ends them after an hour, and connfs before that."""

import time

import pytest

import aws_verify
from clients import SCALE, wait_for
from clocks import Clock
from doors import Door
from locks import TableLock
from logins import dsql_fields, status
from programs import run_text

MINUTE, HOUR = 60, 3600

# In a script: p prints which session it has.
WHICH = """
cd "$C"
p() { echo "select pg_backend_pid() as p;" >query.sql && tail -n 1 result.csv; }
"""


@pytest.fixture
def clock(test_dir, aws):
    return Clock(test_dir / "clock", aws)


@pytest.fixture
def doors(test_dir):
    return [Door(test_dir / f"door{n}") for n in range(4)]


def when_signed(gateway, unit):
    """The time of each login's token, in units from now."""
    dates = [dsql_fields(login)[1]["X-Amz-Date"] for login in gateway.logins]
    now = time.time()
    return [round((aws_verify.epoch_of(date) - now) / unit) for date in dates]


# Nothing else ends a session in these tests.
PATIENT = {"idle_timeout": "20d", "idle_in_transaction_timeout": "20d"}


# --- Retired by connfs


# After 49 minutes a session is as good as new; after 55 the next statement has
# another, and nobody sees it.
def test_a_session_is_retired_at_55_minutes(mount, aws, dsql, clock, doors, cluster):
    gateway = dsql()
    m = mount(db=gateway.spec(**PATIENT), env=aws.env(aws.key(), **clock.env()))
    script = WHICH + f"p; read x <{doors[0]}; p; read x <{doors[1]}; p; p"
    job = m.start_sh(script)
    doors[0].reached()

    clock.put_forward(49 * MINUTE)
    doors[0].open()
    doors[1].reached()
    clock.put_forward(55 * MINUTE)
    doors[1].open()

    young, later, old, after = job.wait().check().lines
    assert (young, old) == (later, after) and young != old
    assert [login.verdict for login in gateway.logins] == ["ok", "ok"]
    wait_for(lambda: len(cluster.activity()) == 1, "the old one has ended")


# Between statements, and between transactions: what is open has its end first.
def test_a_transaction_is_not_retired(mount, aws, dsql, clock, doors, cluster):
    cluster.sql("create table t (n int)")
    gateway = dsql()
    m = mount(db=gateway.spec(**PATIENT), env=aws.env(aws.key(), **clock.env()))
    script = WHICH + (
        'echo "begin; insert into t values (1);" >query.sql; p\n'
        f"read x <{doors[0]}; p\n"
        'echo "commit;" >query.sql; p'
    )
    job = m.start_sh(script)
    doors[0].reached()

    clock.put_forward(59 * MINUTE)
    doors[0].open()

    before, late, after = job.wait().check().lines
    assert before == late and late != after
    assert cluster.sql("select n from t") == [("1",)]


# A statement that runs is not ended either, nor what it finds.
def test_a_statement_is_not_retired(mount, aws, dsql, clock, cluster):
    gateway = dsql()
    m = mount(db=gateway.spec(**PATIENT), env=aws.env(aws.key(), **clock.env()))
    cluster.sql("create table held as select 7 as n")
    with TableLock(cluster, "held"):
        job = m.start_sh(
            WHICH + 'p; echo "select n from held;" >query.sql; tail -n 1 result.csv; p'
        )
        cluster.wait_until_running("select n from held")
        clock.put_forward(59 * MINUTE)

    first, found, last = job.wait().check().lines
    assert found == "7"
    assert first != last


# Other types have no such end.
def test_a_session_of_another_type_is_not_retired(mount, aws, clock, doors, pg):
    m = mount(db=pg.spec(**PATIENT), env=clock.env())
    job = m.start_sh(WHICH + f"p; read x <{doors[0]}; p")
    doors[0].reached()

    clock.put_forward(120 * MINUTE)
    doors[0].open()

    first, second = job.wait().check().lines
    assert first == second


# For days: each login has a token of that moment.
def test_a_mount_that_is_up_for_days(mount, aws, dsql, clock):
    gateway = dsql()
    m = mount(db=gateway.spec(), env=aws.env(aws.key(), **clock.env()))

    for n in range(6):
        clock.put_forward(n * 16 * HOUR)
        assert m.query("select 1 as a;").check().out == "a\n1\n"
        assert 840 < status(m)["ttl"] <= 900

    assert [login.verdict for login in gateway.logins] == ["ok"] * 6
    assert when_signed(gateway, 16 * HOUR) == [0, 1, 2, 3, 4, 5]


# --- Ended by the server


# The end of a session that was idle is seen before the next statement is sent: a
# statement that writes is no different.
def test_an_idle_session_that_was_cut_is_replaced(mount, aws, dsql, cluster, doors):
    cluster.sql("create table t (n int)")
    gateway = dsql(max_connection_seconds=0.5 * SCALE)
    m = mount(db=gateway.spec(), env=aws.env(aws.key()))
    script = WHICH + (
        f"p; read x <{doors[0]}; p; read x <{doors[1]}\n"
        'echo "insert into t values (1);" >query.sql\n'
    )
    job = m.start_sh(script)
    for door in doors[:2]:
        door.reached()
        wait_for(lambda: not cluster.activity(), "the session is cut")
        door.open()

    first, second = job.wait().check().lines
    assert first != second
    assert cluster.sql("select n from t") == [("1",)]
    assert [login.verdict for login in gateway.logins] == ["ok"] * 3


# What was open in it is lost, and the user is told instead of going on in a
# transaction that is none.
def test_a_transaction_that_was_cut_says_so(mount, aws, dsql, cluster, doors):
    cluster.sql("create table t (n int)")
    gateway = dsql(max_connection_seconds=0.5 * SCALE)
    m = mount(db=gateway.spec(), env=aws.env(aws.key()))
    script = (
        'cd "$C"; echo "begin; insert into t values (1);" >query.sql\n'
        f"read x <{doors[0]}\n"
        'echo "insert into t values (2);" >query.sql; cat error\n'
        'echo "select count(*) as n from t;" >query.sql; cat result.csv'
    )
    job = m.start_sh(script, shell="bash")
    doors[0].reached()
    wait_for(lambda: not cluster.activity(), "the session is cut")

    doors[0].open()

    result = job.wait()
    assert "Transport endpoint is not connected" in result.err
    why = "the server closed the connection; the open transaction was rolled back"
    assert why in result.lines[0]
    assert result.lines[-2:] == ["n", "0"]


# Nobody takes the first part for the whole.
def test_a_stream_that_was_cut_ends_with_an_error(mount, aws, dsql, cluster):
    gateway = dsql(max_connection_seconds=SCALE)
    m = mount(
        db=gateway.spec(),
        settings={"settle_time": 0, "spool_memory": 65536, "spool_disk": 0},
        env=aws.env(aws.key()),
    )

    result = m.sh(
        f'cd "$C"; echo "{cluster.endless};" >query.sql && cat result.csv >/dev/null\n'
        "echo $?; cat error; cat status.json",
        shell="bash",
    )

    assert "result.csv: Input/output error" in result.err
    assert result.lines[0] == "1"
    assert "57P01: terminating connection" in result.lines[1]
    shown = "".join(result.lines[1:])
    assert '"state": "failed"' in shown and '"complete": false' in shown
    cluster.wait_until_gone(cluster.endless)


# DSQL has said why; and what writes may have happened or not, which nobody here
# can know.
@pytest.mark.parametrize("writes", [False, True])
def test_a_statement_that_was_cut_is_not_sent_again(mount, aws, dsql, cluster, writes):
    cluster.sql("create table t (n int)")
    gateway = dsql(max_connection_seconds=0.5 * SCALE)
    m = mount(db=gateway.spec(), env=aws.env(aws.key()))
    sql = cluster.slow_insert() if writes else cluster.slow

    job = {"LAVA_REALM": "dsql", "LAVA_JOB_ID": "cut"}
    outcome = run_text(m, "select 1;", sql + ";", env=job)

    assert outcome.writes == ["ok", "ENOTCONN"]
    assert "57P01: terminating connection" in outcome.error
    assert (outcome.status["state"], outcome.status["complete"]) == ("failed", False)
    assert cluster.heard("lv-dsql-cut").count(sql) == 1
    assert len(gateway.logins) == 1


# Several lifetimes of sessions and tokens, unattended: for one job that goes on
# and on, and for those that come anew. Each session has a token of its own: none
# is kept, so that none goes stale.
def test_several_lifetimes_unattended(mount, aws, dsql, clock, cluster, test_dir):
    gateway = dsql(max_connection_seconds=0.5 * SCALE)
    m = mount(db=gateway.spec(**PATIENT), env=aws.env(aws.key(), **clock.env()))
    doors = [Door(test_dir / f"turn{n}") for n in range(5)]
    job = m.start_sh(WHICH + "\n".join(f"read x <{door}; p" for door in doors))

    for n, door in enumerate(doors):
        clock.put_forward(n * 16 * MINUTE)
        door.open()
        wait_for(lambda n=n: len(gateway.ok) > 2 * n, "it has logged in")
        assert m.query("select 1 as a;").check().out == "a\n1\n"
        wait_for(lambda: not cluster.activity(), "the sessions are cut")

    assert len(set(job.wait().check().lines)) == 5
    assert [login.verdict for login in gateway.logins] == ["ok"] * 10
    assert when_signed(gateway, 16 * MINUTE) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
