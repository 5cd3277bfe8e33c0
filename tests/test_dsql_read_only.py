# SPDX-License-Identifier: MIT
"""read_only on Aurora DSQL, which cannot be told of it: connfs sends nothing that
may write, by its words."""

import pytest

from mount import ROOT
from programs import run_text

JOB = {"LAVA_REALM": "dsql", "LAVA_JOB_ID": "guarded"}

READS = [
    "select count(*) as c from t;",
    "with x as (select 1 as n) select n as c from x;",
    "values (1);",
    "table t;",
    "explain (costs off) insert into t values (1);",
    "copy t to stdout;",
    "begin;",
    "start transaction read only; commit;",
    "rollback;",
    "show server_version_num;",
]
WRITES = [
    "insert into t values (1);",
    "update t set n = 2;",
    "delete from t;",
    "truncate t;",
    "create table u (n int);",
    "drop table t;",
    "with x as (insert into t values (1) returning n) select n from x;",
    "select n into u from t;",
    "select n from t for update;",
    "explain analyze insert into t values (1);",
    "explain (analyze) insert into t values (1);",
    "copy (insert into t values (1) returning n) to stdout;",
    "select nextval('s');",
    "prepare x as insert into t values (1);",
    "do $$ begin insert into t values (1); end $$;",
    "call p();",
    "grant select on t to app;",
    "merge into t using (select 1 as n) s on false when not matched then"
    " insert values (s.n);",
    "/* select */ -- select\n insert into t values (1);",
    "begin read write; insert into t values (1);",
]


@pytest.fixture
def guarded(mount, aws, dsql, cluster):
    """A mount of a table t that has one row, and may not be written."""
    cluster.sql("create table t (n int); insert into t values (1); create sequence s")
    gateway = dsql()
    return mount(db=gateway.spec(read_only=True), env=aws.env(aws.key()))


# DSQL cannot be told: what may write, by its words, is not even sent.
def test_read_only_sends_nothing_that_writes(guarded, cluster):
    script = "".join(
        f"cat >\"$C/query.sql\" <<'END'\n{sql}\nEND\nhead -1 \"$C/error\"\n"
        for sql in WRITES
    )

    refused = guarded.sh(script, shell="bash", env=JOB)

    assert "Permission denied" in refused.err
    assert len(refused.lines) == len(WRITES)
    for line in refused.lines:
        assert line.startswith("ERROR:  25006: read_only: "), line
        assert line.endswith(" may write, and was not sent"), line
    assert cluster.heard("lv-dsql-guarded") == ["begin read write"]
    assert cluster.sql("select n from t") == [("1",)]
    assert cluster.sql("select is_called from s") == [("f",)]


def test_read_only_lets_reads_through(guarded):
    script = "".join(
        f"cat >\"$C/query.sql\" <<'END'\n{sql}\nEND\n" for sql in READS
    )

    guarded.sh(script, shell="bash").check()


# Of the mount as well.
def test_a_read_only_mount_is_one_for_dsql(mount, aws, dsql, cluster):
    cluster.sql("create table t (n int)")
    gateway = dsql()
    m = mount(db=gateway.spec(), options=["ro"], env=aws.env(aws.key()))

    refused = run_text(m, "insert into t values (1);")

    assert refused.writes == ["EACCES"]
    assert "INSERT may write, and was not sent" in refused.error
    assert m.query("select count(*) as n from t;").check().out == "n\n0\n"
    assert not any("options" in login.params for login in gateway.logins)


# What cannot be seen in the words, the docs leave to the role.
def test_the_docs_say_what_guards_read_only():
    text = " ".join((ROOT / "docs/credentials.md").read_text().split())

    assert "What a function does that a SELECT calls is not in its words: only" in text
