# SPDX-License-Identifier: MIT
"""Who is inside: containers, control groups and what launchers write on them."""

import errno
import json
import os
import pathlib
import subprocess

import pytest

import cgroups
import clients
import mount as mounts
from clients import wait_for
from doors import Door
from strangers import TRY

ALICE = 20001
BOB = 20002

ID = "0123456789abcdef" * 4
OTHER_ID = "fedcba9876543210" * 4
POD = "5759a1ae-36ca-48a8-b20a-b0b5c8a90fb8"

QUERY = 'echo "select n from t;" >"$C/query.sql" && cat "$C/result.csv"'
SEES = 'ls "$M"'

NOT_THERE = errno.errorcode[errno.ENOENT]
FORBIDDEN = errno.errorcode[errno.EACCES]


@pytest.fixture
def group(request, test_dir):
    """A control group of the test's own, of cgroup2 or as its parameter says."""
    made = cgroups.of_test(getattr(request, "param", 2), test_dir)
    yield made
    made.remove()


both = pytest.mark.parametrize(
    "group", cgroups.VERSIONS, indirect=True, ids="v{}".format
)


def sees(m, group, uid=ALICE):
    return "db" in group.sh(m, SEES, uid).check().lines


def said_to(m, group, uid=ALICE):
    return json.loads(group.sh(m, 'cat "$C/client.json"', uid, conn="db").check().out)


# Any of the three lets in whoever is in there, and nobody else.
@both
@pytest.mark.parametrize(
    "access",
    [
        {"cgroups": ["/never", "{path}"]},
        {"cgroups": ["{top}/*/job"]},
        {"containers": [ID]},
        {"containers": [ID[:12] + "*"]},
        {"attributes": {"account": "etl"}},
        {"attributes": {"never": "x", "account": ["batch", "etl"]}},
    ],
    ids=["path", "glob", "id", "short-id", "attribute", "attributes"],
)
def test_the_rule_lets_in_who_is_inside(group, mount, db, access):
    inside = group.below(f"docker-{ID}.scope/job")
    outside = group.below(f"docker-{OTHER_ID}.scope/job/step")
    inside.label("account", "etl")
    outside.label("account", "web")
    names = {"{path}": inside.path, "{top}": group.path}
    text = json.dumps(access)
    for name, value in names.items():
        text = text.replace(name, value)
    m = mount(db=db.spec(access=json.loads(text)))

    assert inside.sh(m, QUERY, ALICE).check().out == "n\n1\n"
    assert sees(m, inside)
    assert not sees(m, outside)
    refused = outside.sh(m, QUERY, ALICE)
    assert (refused.rc, refused.out) == (2, "")
    assert "db" not in m.sh(SEES, uid=ALICE).check().lines


# client.json has all of it: where the caller is, which container and pod that
# path says, and the labels, of which the nearest counts.
@both
def test_client_json_says_who_is_inside(group, mount, db):
    m = mount(db=db.spec(access={"everyone": True}))
    pod = group.below(f"kubepods/burstable/pod{POD}")
    container = pod.below(ID)
    group.label("account", "default")
    pod.label("account", "etl")
    container.label("step", "load \"it\"")

    said = said_to(m, container)

    assert {key: said[key] for key in list(said) if key in EXPECTED_KEYS} == {
        "cgroup": container.path,
        "cgroup_trusted": True,
        "container": ID,
        "pod_uid": POD,
        "attributes": {"account": "etl", "step": 'load "it"'},
    }
    assert said["mnt_ns"] == os.stat("/proc/self/ns/mnt").st_ino


EXPECTED_KEYS = ["cgroup", "cgroup_trusted", "container", "pod_uid", "attributes"]

# What somebody does who has been given a control group of its own: everything
# there is to pass for a container, and for one that has been labelled.
FAKE = f"""
mkdir "$G/docker-{ID}.scope" || exit
echo $$ >"$G/docker-{ID}.scope/cgroup.procs" || exit
for dir in "$G" "$G/docker-{ID}.scope"; do
    python3 -c "import os; os.setxattr('$dir', 'user.connfs.account', b'etl')"
done
ls "$M"; cat "$M/open/client.json"
"""


# What is said in a directory that somebody else than root can write to is shown,
# if at all, as what it is; nobody comes in by it.
@both
def test_what_the_caller_made_itself_does_not_count(group, mount, db):
    mine = group.below("user.slice")
    mine.give_to(ALICE)
    rule = {
        "cgroups": [mine.path, f"{mine.path}/*"],
        "containers": ["*"],
        "attributes": {"account": "etl"},
    }
    m = mount(db=db.spec(access=rule), open=db.spec(access={"everyone": True}))

    out = mine.sh(m, FAKE, ALICE).check().out

    names, _, said = out.partition("{")
    said = json.loads("{" + said)
    assert names.split() == ["README", "open"]
    assert said["cgroup"] == f"{mine.path}/docker-{ID}.scope"
    assert (said["cgroup_trusted"], said["container"]) == (False, ID)
    assert said["attributes"] == {}


# On cgroup2 the label of a group counts in all that is below, also below what
# has been given away: nobody gets there from elsewhere. On version 1 who owns a
# group takes in any process of its own, and no label there would be safe.
@both
def test_labels_above_what_was_given_away(group, mount, db):
    unified = group.root == cgroups.hierarchy(2)
    labelled = group.below("job")
    labelled.label("account", "etl")
    mine = labelled.below("mine")
    mine.give_to(ALICE)
    elsewhere = group.below("elsewhere")
    m = mount(db=db.spec(access={"attributes": {"account": "etl"}}))
    move = f'echo $$ >"{mine.dir}/cgroup.procs"; ls "$M"'

    moved = elsewhere.sh(m, move, ALICE)

    assert (moved.err != "") == unified
    assert moved.lines == ["README"]
    assert sees(m, mine) == unified
    assert sees(m, labelled)


# A name is looked up as it is: nothing in it stands for anything else.
@pytest.mark.parametrize(
    "name",
    ["x (deleted)", "0::", "a:b,c", "..x", "\x01\x1b[31m", "\\012", "a b\\x2dc"],
)
def test_strange_names(group, mount, db, name):
    inside = group.below(name)
    outside = group.below("plain")
    rule = {"attributes": {"account": "etl"}}
    m = mount(db=db.spec(access=rule), open=db.spec(access={"everyone": True}))
    inside.label("account", "etl")

    assert sees(m, inside)
    assert not sees(m, outside)
    shown = "".join(c for c in inside.path if c >= " ")
    assert said_to(m, inside)["cgroup"] == shown


# What the caller mounts in a mount namespace of its own is not looked at.
def test_what_the_caller_has_mounted_is_not_looked_at(group, mount, db):
    inside = group.below("job")
    labelled = group.below("labelled")
    labelled.label("account", "etl")
    rule = {"attributes": {"account": "etl"}, "cgroups": [f"{group.path}/labelled"]}
    m = mount(db=db.spec(access=rule))
    hide = (
        f'mount --bind "{labelled.dir}" "{inside.dir}" && '
        "exec setpriv --reuid=$ALICE --regid=$ALICE --clear-groups ls $M"
    )

    argv = inside.argv(["unshare", "--mount", "sh", "-c", hide])
    seen = m.start_client(argv, env={"ALICE": str(ALICE)}).wait()

    assert seen.check().lines == ["README"]


# A request is of a thread, and each may be in a group of its own: on version 1,
# and on cgroup2 where the groups are threaded.
@both
def test_a_thread_is_where_it_is(group, mount, db):
    job = group.below("job")
    threads = job.dir / "tasks"
    if not threads.exists():
        threads = job.dir / "cgroup.threads"
        (job.dir / "cgroup.type").write_text("threaded")
    m = mount(db=db.spec(access={"cgroups": [job.path]}))
    code = f"""
import os, threading
M = os.environ["M"]
moved, changed = threading.Event(), threading.Event()
def inside():
    with open({str(threads)!r}, "w") as f:
        f.write(str(threading.get_native_id()))
    moved.set()
    changed.wait()
    print(sorted(os.listdir(M)))
thread = threading.Thread(target=inside)
thread.start()
moved.wait()
os.setgroups([])
os.setresgid({ALICE}, {ALICE}, {ALICE})
os.setresuid({ALICE}, {ALICE}, {ALICE})
changed.set()
thread.join()
print(sorted(os.listdir(M)))
"""

    assert group.start_python(m, code).wait().check().lines == [
        "['.connfs', 'README', 'db']",
        "['.connfs', 'README']",
    ]


# What a file was opened as holds for its statements, also those of an exchange:
# who is moved on the way goes on, and is somebody else at the next open.
@pytest.mark.parametrize("flags", ["O_WRONLY", "O_RDWR"])
def test_who_is_moved_is_somebody_else_at_the_next_open(
    group, mount, db, test_dir, flags
):
    inside, outside = group.below("in"), group.below("out")
    m = mount(db=db.spec(access={"cgroups": [inside.path]}))
    door = Door(test_dir / "door")
    code = TRY + f"""
fd = os.open(C + "/query.sql", os.{flags})
def run(text):
    os.write(fd, text)
    while os.{flags} == os.O_RDWR and os.read(fd, 4096):
        pass
tell(lambda: run(b"select 1;"))
open({str(door)!r}).readline()
tell(lambda: run(b"select 2;"))
tell(lambda: os.open(C + "/query.sql", os.O_WRONLY))
"""
    client = inside.start_python(m, code, ALICE)
    door.reached()

    (outside.dir / "cgroup.procs").write_text(str(client.pid))
    door.open()

    assert client.wait().check().lines == ["ok", "ok", NOT_THERE]


# A rule that is read again is tested with what was seen at OPEN.
@pytest.mark.parametrize(
    "rule, expected",
    [
        ({"containers": [ID]}, "ok"),
        ({"attributes": {"account": "etl"}}, "ok"),
        ({"containers": [OTHER_ID]}, FORBIDDEN),
        ({"attributes": {"account": "web"}}, FORBIDDEN),
        ({"cgroups": []}, FORBIDDEN),
    ],
    ids=lambda value: json.dumps(value)[:24],
)
def test_a_reload_counts_for_who_is_inside(
    group, mount, db, test_dir, rule, expected
):
    inside = group.below(ID)
    inside.label("account", "etl")
    m = mount(db=db.spec(access={"cgroups": [inside.path]}))
    door = Door(test_dir / "door")
    code = TRY + f"""
fd = os.open(C + "/query.sql", os.O_WRONLY)
tell(lambda: os.write(fd, b"select 1;"))
open({str(door)!r}).readline()
tell(lambda: os.write(fd, b"select 2;"))
"""
    client = inside.start_python(m, code, ALICE)
    door.reached()

    m.specs["db"]["access"] = rule
    m.reload()
    wait_for(lambda: "again" in m.log, "SOURCE is read again")
    door.open()

    assert client.wait().check().lines == ["ok", expected]


# Labels are read at each request: a launcher may write them before the job
# starts, or take them away.
def test_a_label_counts_from_when_it_is_there(group, mount, db):
    m = mount(db=db.spec(access={"attributes": {"account": "etl"}}))
    assert not sees(m, group)

    group.label("account", "etl")
    assert sees(m, group)

    os.removexattr(group.dir, "user.connfs.account")
    assert not sees(m, group)


# As docs/access.md has it: a launcher labels before it starts, or later by pid.
def test_a_launcher_labels_its_job(group, mount, db):
    m = mount(db=db.spec(access={"attributes": {"account": ["etl", "batch"]}}))
    launcher = f"""
cgroup={group.dir}/job-4711
mkdir -p $cgroup
setfattr -n user.connfs.account -v etl $cgroup
echo $$ >$cgroup/cgroup.procs
exec setpriv --reuid={ALICE} --regid={ALICE} --clear-groups -- sh -c '{QUERY}'
"""
    later = f"""
group=$(sed -n 's/^0:://p' /proc/$$/cgroup)
setfattr -n user.connfs.account -v batch {group.root}$group
exec setpriv --reuid={ALICE} --regid={ALICE} --clear-groups -- sh -c '{QUERY}'
"""

    assert m.sh(launcher).check().out == "n\n1\n"
    assert group.below("later").sh(m, later).check().out == "n\n1\n"


# Where the daemon sees no control groups none count, and all else goes on.
def test_a_daemon_without_cgroupfs(group, db, test_dir):
    group.label("account", "etl")
    rule = {"cgroups": [group.path], "attributes": {"account": "etl"}}
    specs = {"db": db.spec(access={"users": [BOB], **rule})}
    specs["open"] = db.spec(access={"everyone": True})
    where = mounts.Mount(test_dir / "inner", specs)
    script = (
        "for type in cgroup2 cgroup; do umount -a -l -t $type; done;"
        'exec "$@"'
    )
    daemon = clients.start(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(mounts.BINARY), "-f"]
        + ["-o", "allow_other", str(where.config), str(where.mnt)],
        env=mounts.sanitizer_env(where.dir / "sanitizer"),
    )
    pid = daemon.pid
    table = pathlib.Path(f"/proc/{pid}/mountinfo")
    wait_for(lambda: f" {where.mnt} " in table.read_text(), "the mount appears")
    enter = ["nsenter", "-t", str(pid), "--mount"]
    env = {"M": str(where.mnt), "C": str(where.path("db"))}

    def run(argv, uid):
        user = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        inside = group.argv([*enter, *user, *argv])
        return clients.start(inside, env=env).wait()

    seen = run(["ls", str(where.mnt)], ALICE)
    said = run(["cat", str(where.path("open", "client.json"))], ALICE)
    rows = run(["sh", "-c", QUERY], BOB)
    subprocess.run([*enter, "umount", str(where.mnt)], check=True, timeout=10)

    assert seen.check().lines == ["README", "open"]
    said = json.loads(said.check().out)
    assert said["cgroup"] == group.path
    assert (said["cgroup_trusted"], said["attributes"]) == (False, {})
    assert rows.check().out == "n\n1\n"
    assert daemon.wait().rc == 0
    assert not mounts.sanitizer_reports(where.dir / "sanitizer")
