# SPDX-License-Identifier: MIT
"""One daemon, and all ways to reach it from a container, at the same time."""

import json

import pytest

from clients import wait_for
from containers import IMAGE, JOB, MachineMount, without_warnings
from locks import TableLock

EVERYONE = {"everyone": True}

# What each runs: it makes a session, and waits until all of them are there; then
# it says what it gets and what it sees.
SCRIPT = r"""
cd "$AT/x"
mkdir "sessions/of-$ME"
echo "select count(*) from t;" > query.sql
echo "select '$ME' as me, current_setting('application_name') as name;" > query.sql
cat result.csv
echo ---
cat client.json
echo ---
ls sessions
echo ---
cd results && ls *.csv
"""

RUN = f"podman run --rm -v /conn:/conn:rslave {{}} {IMAGE} sh -c \"$SCRIPT\""
WAYS = {
    "busybox": RUN,
    "rootless": RUN,
    "attached": "podman exec {} attached sh -c \"$SCRIPT\"",
    "job": 'connfs-job --source "$SOURCE" --at /mnt -- sh -c "$SCRIPT"',
}


class Told:
    """What one of them has said."""

    def __init__(self, result):
        rows, client, sessions, results = result.check().out.split("---\n")
        self.rows = rows.splitlines()
        self.client = json.loads(client)
        self.seen = (sessions.split(), results.split())

    @property
    def namespaces(self):
        return tuple(self.client[f"{kind}_ns"] for kind in ["mnt", "pid", "user"])


@pytest.fixture
def m(machine, test_dir, cluster):
    """A mount at /conn of the machine; the connection x is a PostgreSQL."""
    cluster.sql("create table t (n int)")
    specs = {"x": cluster.spec(access=EVERYONE)}
    mount = MachineMount(machine, test_dir / "mount", specs)
    mount.start()
    yield mount
    machine.sh("podman rm --all --force --time 0")
    machine.sh("podman rm --all --force --time 0", job=True)
    mount.stop()


def start(m, who):
    """One of the WAYS, in the background: its Client."""
    env = {"ME": who, "LAVA_REALM": "reach", "LAVA_JOB_ID": who}
    env["AT"] = "/mnt" if who == "job" else "/conn"
    names = [f"--name {who}"] if WAYS[who] == RUN else []
    options = " ".join([*names, *(f"--env {name}" for name in env)])
    env |= {"SCRIPT": SCRIPT, "SOURCE": str(m.config)}
    how = {"job": who == "rootless", "env": env}
    return m.machine.start("exec " + WAYS[who].format(options), **how)


def container_id(machine, name, job=False):
    script = f"podman inspect -f '{{{{.Id}}}}' {name}"
    return machine.sh(script, job).check().out.strip()


def statements(result):
    """{id: (connection, uid)} that .connfs/statements lists."""
    lines = [line.split() for line in result.check().lines[1:]]
    return {line[0]: (line[1], int(line[2])) for line in lines}


# A busybox container, a rootless one, one that the mount was put into while it
# ran, and a job with a mount of its own: each gets its own rows under its own
# name, and sees nothing of the others, nor does the owner of the mount, whose
# uid the roots of two of them have.
def test_all_reach_it_at_once_and_none_meets_another(machine, m, cluster):
    look = "cat /conn/.connfs/statements"
    machine.sh(f"podman run -d --name attached {IMAGE} sleep 1000").check()
    pid = "$(podman inspect -f '{{.State.Pid}}' attached)"
    machine.sh(f"connfs attach --from /conn --at /conn {pid}").check()

    with TableLock(cluster) as lock:
        clients = {who: start(m, who) for who in WAYS}
        waiting = "wait_event = 'relation'"
        wait_for(lambda: len(cluster.activity(waiting)) == 4, "all of them wait", 30)
        names = [row[2] for row in cluster.activity(waiting)]
        listed = {
            who: statements(machine.sh(f"podman exec {who} {look}", who == "rootless"))
            for who in WAYS
            if who != "job"
        }
        listed["owner"] = statements(m.sh('cat "$M/.connfs/statements"'))
        here = json.loads(m.read("x/client.json"))["container"]
        (strange,) = listed["attached"]
        cancelled = machine.sh(
            f"podman exec busybox sh -c 'echo {strange} >/conn/.connfs/cancel'"
        )
        of_the_owner = m.sh('ls "$C/sessions" "$C/results"').check().lines
        ids = {
            "busybox": container_id(machine, "busybox"),
            "attached": container_id(machine, "attached"),
            "rootless": container_id(machine, "rootless", job=True),
        }
        lock.release()
        results = {who: client.wait(40) for who, client in clients.items()}
        told = {who: Told(without_warnings(r)) for who, r in results.items()}

    assert sorted(names) == sorted(f"lv-reach-{who}" for who in WAYS)
    for who, t in told.items():
        assert t.rows == ["me,name", f"{who},lv-reach-{who}"]
        assert t.seen == ([f"of-{who}"], ["1.csv"])
        assert t.client["job_id"] == who
        assert t.client["owner"] is (who == "job")
        assert t.client["uid"] == (JOB if who == "rootless" else 0)
    for who, uid in [("busybox", 0), ("attached", 0), ("rootless", JOB)]:
        assert list(listed[who].values()) == [("x", uid)]
    assert listed["owner"] == {
        **listed["busybox"],
        **listed["attached"],
        **listed["rootless"],
    }
    assert len(listed["owner"]) == 3
    assert cancelled.rc != 0
    assert [line for line in of_the_owner if "of-" in line] == []
    assert len({t.namespaces for t in told.values()}) == len(WAYS)
    for who in ["busybox", "attached"]:
        assert told[who].client["container"] == ids[who]
        assert ids[who] in told[who].client["cgroup"]
    # Without root there may be no control group of its own.
    assert told["rootless"].client["container"] in [here, ids["rootless"]]
    assert told["job"].client["container"] == here
