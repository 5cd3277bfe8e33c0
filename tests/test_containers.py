# SPDX-License-Identifier: MIT
"""The recipes of docs/containers.md, as they stand there."""

import json
import os
import re

import pytest

import mount as mounts
from clients import wait_for
from containers import BUSYBOX, DEBIAN, IMAGE, JOB, PROGRAMS
from documents import indented_blocks, json_blocks

DOCUMENT = mounts.ROOT / "docs/containers.md"
ROWS = ["one", "1"]

# In place of the image "connfs".
PROGRAM = (
    f"--env PATH={PROGRAMS}:/bin -v {PROGRAMS}:{PROGRAMS}:ro"
    f" -v /srv/shop.db:/srv/shop.db --rootfs {DEBIAN}"
)


@pytest.fixture(scope="module", autouse=True)
def mounted(machine, session_dir):
    """What the document has before its recipes."""
    (spec,) = json_blocks(DOCUMENT)
    machine.write("/etc/connfs/shop.json", spec, 0o600)
    machine.sh("sqlite3 /srv/shop.db vacuum").check()
    (block,) = indented_blocks(DOCUMENT, "A mount on the host")
    machine.sh(block).check()
    yield
    unmount(machine, "/conn")
    assert not mounts.sanitizer_reports(session_dir / "sanitizer")


@pytest.fixture
def started(machine):
    """started(name, *options) starts a container that waits. None is left."""

    def start(name, *options):
        script = f"podman run -d --name {name} {' '.join(options)} {IMAGE} sleep 1000"
        machine.sh(script).check()

    yield start
    machine.sh("podman rm --all --force --time 0")


def commands(heading):
    (block,) = indented_blocks(DOCUMENT, heading)
    return f"set -e\n{block}"


@pytest.mark.parametrize("root", [IMAGE, f"--rootfs {DEBIAN}"])
def test_podman(machine, root):
    done = machine.sh(commands("podman").replace(IMAGE, root))

    assert done.check().lines == ROWS * 3


def test_podman_without_root(machine):
    done = machine.sh(commands("podman without root"), job=True)

    assert done.check().lines == ROWS


@pytest.mark.parametrize("root", [BUSYBOX, DEBIAN])
def test_runc(machine, root):
    prepare = f"""
    mkdir -p /srv/bundle/rootfs
    cd /srv/bundle
    mount --rbind {root} rootfs
    mount --make-rprivate rootfs
    trap 'umount -R rootfs; rm -r /srv/bundle' EXIT
    """

    # The name is that of its control group, too, which is the real machine's.
    run = commands("runc").replace("job1", f"connfs-tests-job-{machine.pid}")

    done = machine.sh(prepare + run)

    assert done.check().lines == ROWS


@pytest.mark.parametrize("job", [False, True], ids=["root", "user"])
@pytest.mark.parametrize("heading", ["bubblewrap", "A user namespace"])
def test_without_a_runtime(machine, heading, job):
    done = machine.sh(commands(heading), job)

    assert done.check().lines == ROWS


# Where it is bound read-only only saved queries are run.
def test_a_mount_bound_read_only_runs_saved_queries(machine):
    script = "bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev"
    script += " --ro-bind /conn /conn sh -c"

    done = machine.sh(f"{script} 'echo \"select 1;\" >/conn/shop/query.sql'")
    saved = machine.sh(f"{script} 'cat /conn/shop/queries/one.csv'")

    assert done.rc != 0
    assert "Read-only file system" in done.err
    assert saved.check().lines == ROWS


def podman_exec(machine, name, command):
    return machine.sh(f"podman exec {name} {command}")


ABOVE = "/var/lib/connfs"
SQL = 'shop/sql "select 1 as one"'


def unmount(machine, at):
    """Returns when its daemon has gone as well."""
    machine.sh(f"umount {at}").check()
    wait_for(lambda: not machine.daemons_of(at), "the daemon ends")


# The table of the document, in its order.
def test_what_a_container_has_when_the_mount_is_replaced(machine, started):
    at = f"{ABOVE}/conn"
    machine.sh(f"mkdir -p {at}").check()
    started("early", f"-v {ABOVE}:/connfs:rslave")
    started("private", f"-v {ABOVE}:/connfs")
    started("before", f"-v {at}:/conn:rslave")
    block = commands("When the daemon starts anew")
    lines = machine.sh(block).check().lines
    started("mount", f"-v {at}:/conn:rslave")
    first = [
        podman_exec(machine, "early", f"/connfs/conn/{SQL}").lines,
        podman_exec(machine, "mount", f"/conn/{SQL}").lines,
        podman_exec(machine, "before", f"/conn/{SQL}").lines,
    ]

    unmount(machine, at)
    between = podman_exec(machine, "service", "ls /connfs/conn/shop")
    machine.sh(f"connfs -o allow_other /etc/connfs {at}").check()

    assert lines[1:] == ROWS
    assert first == [ROWS] * 3
    assert between.rc != 0
    for name in ["early", "service"]:
        assert podman_exec(machine, name, f"/connfs/conn/{SQL}").check().lines == ROWS
    assert podman_exec(machine, "before", f"/conn/{SQL}").check().lines == ROWS
    assert "not connected" in podman_exec(machine, "mount", "ls /conn").err
    assert podman_exec(machine, "private", f"/connfs/conn/{SQL}").rc != 0
    unmount(machine, at)


# ---- a mount of one's own, one put in, one by annotation


def test_a_mount_for_one_job(machine):
    mine, others, inside = indented_blocks(DOCUMENT, "A mount for one job")
    (spec,) = json_blocks(DOCUMENT)
    machine.sh(
        'mkdir -m 700 ~/connections ~/conn; cat >~/connections/shop.json;'
        " chmod 600 ~/connections/shop.json",
        job=True,
        stdin=spec.replace("/srv/shop.db", "/var/lib/job/shop.db"),
    ).check()
    machine.sh("sqlite3 ~/shop.db vacuum", job=True).check()

    as_user = machine.sh(f"set -e\n{mine}", job=True)
    as_root = machine.sh(f"set -e\n{others}")
    contained = machine.sh(inside.replace("localhost/connfs", PROGRAM))

    assert as_user.check().lines == ROWS
    assert as_root.check().lines == ROWS * 2
    assert contained.check().lines == ROWS
    wait_for(lambda: not machine.daemons_of("/mnt"), "the daemons end")


@pytest.mark.usefixtures("started")
def test_a_container_that_runs(machine):
    done = machine.sh(commands("A container that runs"))
    after = podman_exec(machine, "running", "ls /conn")

    assert done.check().lines[1:] == ROWS
    assert after.check().out == ""


# The JSON is the one that is installed; only the place differs.
@pytest.mark.parametrize("annotated", [True, False])
def test_by_annotation(machine, annotated):
    where = re.search(r"--hooks-dir (\S+)", commands("By annotation")).group(1)
    hook = json.loads((mounts.BUILD / "connfs.json").read_text())
    assert os.path.dirname(hook["hook"]["path"]).endswith("/libexec/connfs")
    hook["hook"]["path"] = f"{PROGRAMS}/oci-hook"
    machine.write("/srv/hooks.d/connfs.json", hook)
    script = commands("By annotation").replace(where, "/srv/hooks.d")
    if not annotated:
        script = script.replace("--annotation connfs=/conn", "")

    done = machine.sh(script)

    assert (done.rc == 0, done.lines) == (annotated, ROWS if annotated else [])


WHO = {
    "": (0, False),
    "--user 1234": (1234, False),
    "--uidmap 0:100000:65536": (100000, False),
    "--uidmap 0:100000:65536 --user 7": (100007, False),
    "--pid host": (0, True),
    "--pid host --uidmap 0:100000:65536": (100000, False),
}
ROOTLESS = {
    "": (JOB, False),
    "--userns keep-id": (JOB, False),
    "--user 1": (JOB * 10000, False),
}


# "Who is who": numbers are the host's, and root is the owner of the mount only
# where nothing tells it from the host's.
@pytest.mark.parametrize("job, who", [(False, WHO), (True, ROOTLESS)])
def test_the_numbers_are_the_hosts(machine, job, who):
    script = f"podman run --rm -v /conn:/conn:rslave {{}} {IMAGE}"
    script += " cat /conn/shop/client.json"

    told = {
        options: json.loads(machine.sh(script.format(options), job).check().out)
        for options in who
    }

    seen = {o: (client["uid"], client["owner"]) for o, client in told.items()}
    assert seen == who


# In a user namespace a file of the caller's is the caller's.
def test_files_have_the_owners_that_a_container_has_names_for(machine):
    stat = "stat -c %u /conn/shop/query.sql /conn/shop"

    done = machine.sh(
        f"podman run --rm -v /conn:/conn --uidmap 0:100000:65536 {IMAGE} {stat}"
    )

    assert done.check().lines == ["0", "65534"]


# Each exec is a session of its own: the document says what happens, and what
# to do.
def test_two_execs_are_two_sessions(machine, started):
    (block,) = indented_blocks(DOCUMENT, "Who is who")
    started("C", "-v /conn:/conn:rslave")
    together = 'echo "select 1;" > /conn/shop/query.sql; cat /conn/shop/result.csv'

    apart = machine.sh(block)
    done = machine.sh(f"podman exec C sh -c '{together}'")

    assert "No data available" in apart.err
    assert done.check().lines == ["1", "1"]


# The daemon has nothing to wait for in a caller that is stopped.
def test_a_paused_caller_harms_nobody(machine, started):
    started("paused", "-v /conn:/conn:rslave")
    reader = 'sh -c "exec 3<>/conn/shop/query.sql; echo \\"select 1;\\" >&3; sleep 100"'
    machine.sh(f"podman exec -d paused {reader}").check()
    machine.sh("podman pause paused").check()

    others = machine.sh(commands("A user namespace"))
    machine.sh("podman unpause paused").check()

    assert others.check().lines == ROWS
