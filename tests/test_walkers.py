# SPDX-License-Identifier: MIT
"""Programs that go through a whole mount and look into what they find: they
run no statement, and they end."""

import json
import re

import pytest

import engines
from clients import SCALE, wait_for
from doors import Door
from readers import SOON

OTHER = 1000

# Those that only look at names and inodes, and are content with all of them.
LOOKERS = {
    "ls": 'ls -lAR "$M"',
    "tree": 'tree -apugsD "$M"',
    "find": 'find "$M"',
    "find -ls": 'find "$M" -ls',
    "find -L": 'find -L "$M" -size +1000k -newer /etc/passwd',
    "du": 'du -a "$M" && du -aL --apparent-size "$M"',
    "stat": 'find "$M" -exec stat {} +',
    "tar to nowhere": 'tar cf /dev/null -C "$M" .',
    "rsync -n": 'rsync -an "$M/" "$T/"',
    "python": "exec /usr/bin/python3 -c \"import os; [os.stat(os.path.join(d, n))"
    " for d, s, f in os.walk('$M') for n in s + f]\"",
    "perl": 'perl -MFile::Find -e "find(sub { lstat }, @ARGV)" "$M"',
    "busybox": 'busybox ls -lR "$M" && busybox find "$M" && busybox du -a "$M"',
}

# Those that open what they find. They complain of what cannot be read: what is
# only to be written to, and the results where there are none.
READERS = {
    "grep": 'grep -r xyzzy "$M"',
    "rg": 'rg -uuu xyzzy "$M"',
    "tar": 'tar cf - -C "$M" . | cat >/dev/null',
    "cp": 'cp -r "$M" "$T"',
    "rsync": 'rsync -a "$M/" "$T/"',
    "file": 'find "$M" -type f -exec file {} +',
    "head": 'find "$M" -type f -exec head -c 1 {} +',
    "wc": 'find "$M" -type f -exec wc {} +',
    "busybox grep": 'busybox grep -r xyzzy "$M"',
    "busybox tar": 'busybox tar cf - -C "$M" . | cat >/dev/null',
}
WALKERS = {**LOOKERS, **READERS}


SAVED = {"saved": "select 'xyzzy' as never", "broken": "selec 1"}


def walk_of(how):
    """The walker as a script that needs $M and gives no output."""
    walk = WALKERS[how]
    return f"(T=$(mktemp -d); {walk}; rc=$?; rm -rf $T; exit $rc) >/dev/null"


EXPECTED = ["No data available", "Permission denied"]
# Those that would take a file of size 0 for empty: busybox follows links, and
# is not let in where they lead; a result that runs is none to tar and rsync.
LINK = "Operation not supported"
RUNNING = "Resource temporarily unavailable"
SUMMARIES = r"Exiting with failure|rsync error: some files|error exit delayed"


def complaints(text):
    """Reasons why a program could not read something; of others the line."""
    lines = [li for li in text.splitlines() if not re.search(SUMMARIES, li)]
    known = [*EXPECTED, LINK, RUNNING]
    return {next((k for k in known if k in line), line) for line in lines}


class Three:
    """A mount with databases of three engines, and with saved queries."""

    names = ["pg", "maria/db", "lite"]

    def __init__(self, mount, pg, mariadb, sqlite):
        self.pg, self.mariadb = pg, mariadb
        common = {"queries": SAVED, "access": {"everyone": True}}
        specs = [engine.spec(**common) for engine in [pg, mariadb, sqlite]]
        self.m = mount(dict(zip(self.names, specs)), settings=SOON)

    def sh(self, script, **how):
        return self.m.sh(script, "lite", **how)

    def sent(self):
        """How many statements the servers have had from connfs; the reset of a
        session that is handed over is none."""
        by_app = r" app connfs-(?!tests).*: LOG:  (?:statement|execute [^:]*): (.*)"
        reset = r"DISCARD ALL|RESET ROLE|SELECT pg_catalog\.set_config"
        heard = re.findall(by_app, self.pg.log)
        ours = sum(not re.match(reset, text) for text in heard)
        return ours + self.mariadb.log.count("Query\t")

    def next_id(self):
        """The number of one more statement; all of the mount are counted."""
        script = 'echo "select 1;" >"$C/query.sql"; cat "$C/status.json"'
        return json.loads(self.sh(script).check().out)["id"]


@pytest.fixture
def three(mount, pg, database, mariadb, mariadb_database, test_dir):
    return Three(
        mount,
        engines.PostgresEngine(pg, database),
        engines.MariadbEngine(mariadb, mariadb_database),
        engines.SqliteEngine(test_dir / "test.db"),
    )


RUN_ALL = (
    'for c in pg maria/db lite; do echo "select 40 + 2 as n; select 7 as n;"'
    ' >"$M/$c/query.sql" || exit; done\n'
)


# With nothing run before. A look is content with everything; those that read
# say what they could not.
def test_walkers_run_nothing(three):
    sent, first = three.sent(), three.next_id()

    for how in WALKERS:
        walked = three.sh(walk_of(how))

        if how in LOOKERS:
            walked.check()
        else:
            expected = {*EXPECTED, *([LINK] if "busybox" in how else [])}
            assert complaints(walked.err) <= expected, (how, walked)

    status = json.loads(three.m.read(".connfs", "status.json"))
    assert status["database_sessions"] <= 1
    assert three.sent() == sent
    assert three.next_id() == first + 1


# With results: they are read, in every format, and not made again.
def test_walkers_read_what_is_there(three):
    sent, first = three.sent(), three.next_id()

    for how in WALKERS:
        walked = three.sh(RUN_ALL + walk_of(how))

        assert "No data" not in walked.err, (how, walked)
        if how in LOOKERS:
            walked.check()

    # RUN_ALL is six, two of them on SQLite.
    assert three.sent() == sent + 4 * len(WALKERS)
    assert three.next_id() == first + 6 * len(WALKERS) + 1


# What they find is what is there: of the saved queries the text alone.
@pytest.mark.parametrize("how", ["grep -rl", "rg -luuu"])
def test_a_search_finds_results_and_texts(three, how):
    found = three.sh(f'{RUN_ALL} cd "$M"; {how} -e "^7$" -e xyzzy . | sort')

    results = ["result.csv", "result.tsv", "results/2.csv", "results/2.tsv"]
    assert found.lines == sorted(
        f"./{name}/{file}"
        for name in three.names
        for file in [*results, "queries/saved.sql"]
    )


# Another session's statement is none of theirs, however long it takes.
@pytest.mark.parametrize("who", ["the same user", "another user"])
def test_walkers_do_not_wait_for_others(mount, server, gate, who):
    g = gate()
    m = mount(db=server.spec(access={"everyone": True}), settings=SOON)
    runner = m.start_sh('echo "$Q;" >"$C/query.sql"; cat "$C/wait"', env={"Q": g.query})
    g.wait_until_running()

    for how in WALKERS:
        walked = m.sh(walk_of(how), uid=OTHER if who == "another user" else None)

        assert walked.elapsed < 10 * SCALE, how

    assert len(g.running()) == 1
    g.open()
    assert runner.wait().check().out == "done\n"


# In the session that runs it, too, to look is not to wait.
def test_looking_does_not_wait(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    looks = "\n".join(f"{walk_of(how)} || echo {how}" for how in LOOKERS)

    script = f'echo "$Q;" >"$C/query.sql"\n{looks}'
    looked = m.sh(script, env={"Q": g.query}, timeout=60)

    assert set(looked.lines) == {"tar to nowhere", "rsync -n", "busybox"}
    assert complaints(looked.err) == {RUNNING}
    assert len(g.running()) == 1


# To read is: the rows of a result that runs come when they come. All that read
# it get the one execution, whole.
def test_reading_waits_for_ones_own_statement(mount, server, gate):
    g = gate(rows=5)
    m = mount(db=server.spec(), settings=SOON)
    walks = {
        "grep": 'grep -rh "^4," "$C" 2>/dev/null',
        "rg": 'rg -uuuIN "^4," "$C" 2>/dev/null',
        "cp": 'cp -r "$C" "$T/c" 2>/dev/null; cat "$T/c/result.csv" | grep "^4,"',
    }
    client = m.start_sh(
        'T=$(mktemp -d); echo "$Q;" >"$C/query.sql"\n'
        + "\n".join(f"({walk}) >$T/{name} &" for name, walk in walks.items())
        + "\nwait; cat $T/grep; echo; cat $T/rg; echo; cat $T/cp; rm -rf $T",
        env={"Q": g.query},
    )
    client.wait_parked()
    assert len(g.running()) == 1

    g.open()

    row = g.csv().decode().splitlines()[4]
    grep, rg, cp = client.wait().check().out.split("\n\n")
    assert grep.split("\n") == rg.split("\n") == [row, row]  # result.csv, results/
    assert cp == row + "\n"


# One that never ends is read until somebody stops the reader; nothing is left.
def test_a_walker_can_be_stopped(mount, server):
    m = mount(db=server.spec(), settings=SOON)

    stopped = m.sh(
        'echo "$Q;" >"$C/query.sql"; timeout -s INT 0.5 grep -r xyzzy "$C/result.csv";'
        ' echo $?; echo 1 >"$C/cancel"; cat "$C/wait"',
        env={"Q": server.endless},
    )

    assert stopped.lines == ["124"]
    assert "Operation canceled" in stopped.err
    wait_for(lambda: not server.running("1000000000"), "the server has stopped")


# Nor does a container's root get a statement run by looking around.
def test_walkers_of_a_container(three, busybox):
    sent, first = three.sent(), three.next_id()
    walks = [
        "ls -lAR /conn",
        "find /conn -type f -exec ls -l {} +",
        "du -a /conn",
        "grep -r xyzzy /conn",
        "tar cf - -C /conn . | cat",
        "cp -r /conn /tmp/copy",
        "find /conn -type f | xargs cat",
        "find /conn -follow -size +1000k",
    ]

    walked = three.m.container("\n".join(f"{w} >/dev/null" for w in walks), busybox)

    assert complaints(walked.err) == {*EXPECTED, LINK}
    assert (three.sent(), three.next_id()) == (sent, first + 1)


# A link leads to where the query runs: those that are told to follow it do so,
# and each opening is one run.
def test_following_a_link_runs_the_query(three):
    first = three.next_id()

    got = three.sh('cd "$C/queries"; grep -h . saved.csv; grep -Rh xyzzy . | sort')

    assert got.lines[:2] == ["never", "xyzzy"]
    ran = three.next_id() - first - 1
    assert ran == 1 + len(["csv", "tsv", "jsonl", "json", "txt"]) * len(SAVED)


# sql reads one result set after the other in a session that its user can look
# into: what is looked at is not read, and nothing goes because of it.
def test_looking_takes_nothing_from_sql(mount, test_dir):
    m = mount(db=engines.SqliteEngine(test_dir / "test.db").spec())
    texts = "".join(f"select {n} as n, hex(zeroblob(3000));\n" for n in range(300))
    door = Door(test_dir / "door")
    client = m.start_sh(
        '"$C/sql" | { read x <"$DOOR"; grep -c "^[0-9]"; }',
        stdin=texts,
        env={"DOOR": str(door)},
    )
    door.reached()
    there = 'ls "$C"/sessions/*/results'
    wait_for(lambda: m.sh(there).out.count(".csv") == 100, "as many as are kept")

    for how in ["ls", "find -ls", "tar to nowhere"]:
        m.sh(walk_of(how).replace("$M", "$C/sessions"))
    door.open()

    assert client.wait().check().out == "300\n"
