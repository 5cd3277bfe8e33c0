# SPDX-License-Identifier: MIT
"""A daemon in a container: that of docs/containers.md, and the containers of
the Kubernetes manifests, which podman is told to run as they ask to be."""

import json
import shlex

import pytest
import yaml

import mount as mounts
from clients import wait_for
from containers import DEBIAN, IMAGE, PROGRAMS, without_warnings
from documents import indented_blocks

DOCUMENT = mounts.ROOT / "docs/containers.md"
KUBERNETES = mounts.ROOT / "mount-helpers/kubernetes"
ABOVE = "/var/lib/connfs"
PROPAGATION = {
    "Bidirectional": "rshared",
    "HostToContainer": "rslave",
    None: "rprivate",
}

# In place of the image "connfs": this Debian with the program under test. The
# database is a file, which the container has to have.
PROGRAM = (
    f"--env PATH=/build:/bin -v {PROGRAMS}:/build:ro -v /srv/db:/srv/db"
    f" --rootfs {DEBIAN}"
)


@pytest.fixture(autouse=True)
def shop(machine, session_dir):
    """The specs, and whatever a test starts is ended."""
    spec = {"conn_id": "shop", "enabled": True, "type": "sqlite3"}
    spec |= {"host": "/srv/db/shop.db", "access": {"everyone": True}}
    machine.write("/etc/connfs/shop.json", spec, 0o600)
    machine.sh('mkdir -p /srv/db; sqlite3 /srv/db/shop.db "vacuum"').check()
    yield
    machine.sh("podman rm --all --force --time 0")
    assert not mounts.sanitizer_reports(session_dir / "sanitizer")


def is_mounted(machine, at):
    return machine.mounted(at) is not None


# The mount is there for the host and for other containers; it goes with the
# daemon, and one that was killed is no obstacle to the next.
def test_the_daemon_in_a_container(machine):
    (block,) = indented_blocks(DOCUMENT, "The daemon in a container")
    at = f"{ABOVE}/conn"
    sql = f"{at}/shop/sql 'select 1 as one'"

    done = machine.sh("set -e\n" + block.replace("localhost/connfs", PROGRAM))
    assert done.rc == 0, done
    on_the_host = machine.sh(sql).check().lines
    machine.sh("podman kill --signal KILL connfs && podman wait connfs")
    dead = machine.sh(f"ls {at}")
    machine.sh("podman start connfs").check()
    machine.sh(f"podman exec connfs connfs --ready {at} --wait 30s").check()
    again = machine.sh(sql).check().lines
    machine.sh("podman stop --time 10 connfs").check()
    status = machine.sh("podman wait connfs").check().lines

    assert done.lines[-2:] == ["one", "1"]
    assert on_the_host == ["one", "1"]
    assert "not connected" in dead.err
    assert again == ["one", "1"]
    assert status == ["0"]
    assert not is_mounted(machine, at)


# ---- Kubernetes


def pod_of(name, kind):
    objects = list(yaml.safe_load_all((KUBERNETES / name).read_text()))
    (found,) = [o for o in objects if o["kind"] == kind]
    return found["spec"]["template"]["spec"]


def podman_options(pod, container, volumes):
    """What the container asks for, for podman. volumes: {name: directory}."""
    asked = container.get("securityContext", {})
    user = {**pod.get("securityContext", {}), **asked}
    options = ["--pid", "host", "--cgroupns", "host"] if pod.get("hostPID") else []
    options += ["--privileged"] if asked.get("privileged") else []
    if asked.get("allowPrivilegeEscalation") is False:
        options += ["--security-opt", "no-new-privileges"]
    if asked.get("readOnlyRootFilesystem"):
        options += ["--read-only"]
    dropped = asked.get("capabilities", {}).get("drop", [])
    options += [f"--cap-drop={name}" for name in dropped]
    if "runAsUser" in user:
        options += ["--user", f"{user['runAsUser']}:{user.get('runAsGroup', 0)}"]
    for mount in container["volumeMounts"]:
        how = PROPAGATION[mount.get("mountPropagation")]
        how += ",ro" if mount.get("readOnly") else ""
        options += ["-v", f"{volumes[mount['name']]}:{mount['mountPath']}:{how}"]
    return shlex.join(options)


def podman_run(pod, container, volumes, how="--rm"):
    """The command by which podman runs it."""
    image = PROGRAM if container["image"] == "connfs" else IMAGE
    options = podman_options(pod, container, volumes)
    command = shlex.join(container["command"])
    return f"podman run {how} {options} {image} {command}"


def ask(machine, name, probe):
    return machine.sh(f"podman exec {name} {shlex.join(probe['exec']['command'])}")


def ready(machine, name, container):
    probe = container["startupProbe"]
    wait_for(lambda: ask(machine, name, probe).rc == 0, "the probe succeeds")


# The job begins before there is a daemon, as on a node that has just come up.
def test_a_job_waits_for_the_daemon_set(machine):
    daemons, jobs = pod_of("daemonset.yaml", "DaemonSet"), pod_of("job.yaml", "Job")
    (daemon,), (first,), (job,) = (
        daemons["containers"],
        jobs["initContainers"],
        jobs["containers"],
    )
    volumes = {"parent": ABOVE, "specs": "/etc/connfs", "cgroup": "/sys/fs/cgroup"}
    machine.sh(f"mkdir -p {ABOVE}").check()

    waiting = machine.start(podman_run(jobs, first, {"connfs": ABOVE}))
    wait_for(
        lambda: machine.sh("podman ps -q").check().lines, "the first container runs"
    )
    machine.sh(podman_run(daemons, daemon, volumes, "-d --name daemon")).check()
    ready(machine, "daemon", daemon)

    assert without_warnings(waiting.wait()).check().out == ""
    done = machine.sh(podman_run(jobs, job, {"connfs": ABOVE}))
    assert done.check().lines == ["1", "1"]
    assert ask(machine, "daemon", daemon["readinessProbe"]).check()
    machine.sh("podman stop --time 15 daemon").check()
    assert not is_mounted(machine, f"{ABOVE}/conn")


@pytest.fixture
def sidecar(machine, test_dir):
    """The pod of the sidecar, its daemon running: (pod, job, volumes)."""
    pod = pod_of("sidecar.yaml", "Job")
    (daemon,), (job,) = pod["initContainers"], pod["containers"]
    empty = test_dir / "empty"
    empty.mkdir(mode=0o777)
    empty.chmod(0o777)
    volumes = {"connfs": empty, "specs": "/etc/connfs"}
    machine.sh(podman_run(pod, daemon, volumes, "-d --name sidecar")).check()
    ready(machine, "sidecar", daemon)
    return pod, job, volumes


# The two share a pid namespace, by which the daemon knows its caller. What it
# leaves in an emptyDir the kubelet can remove.
def test_a_job_has_a_sidecar(machine, sidecar):
    pod, job, volumes = sidecar
    shared = "--rm --pid container:sidecar"

    done = machine.sh(podman_run(pod, job, volumes, shared))
    job["command"] = ["cat", "/connfs/conn/shop/client.json"]
    told = json.loads(machine.sh(podman_run(pod, job, volumes, shared)).check().out)
    del job["securityContext"]
    root = json.loads(machine.sh(podman_run(pod, job, volumes, shared)).check().out)
    from_outside = machine.sh(f"cat {volumes['connfs']}/conn/shop/client.json")
    machine.sh("podman stop --time 10 sidecar").check()

    assert done.check().lines == ["1", "1"]
    assert (told["uid"], told["owner"]) == (10001, False)
    assert (root["uid"], root["owner"]) == (0, True)
    assert "Permission denied" in from_outside.err
    assert not is_mounted(machine, volumes["connfs"] / "conn")
    machine.sh(f"rm -r {volumes['connfs']}").check()


# One that was killed leaves a mount that keeps the emptyDir from being removed,
# until somebody takes it off, as the document says: the next daemon, or by hand.
@pytest.mark.parametrize("by", ["the next", "hand"])
def test_a_sidecar_that_was_killed(machine, sidecar, by):
    empty = sidecar[2]["connfs"]
    machine.sh("podman kill --signal KILL sidecar && podman wait sidecar")

    dead = machine.sh(f"rm -r {empty}")
    if by == "hand":
        machine.sh(f"umount -l {empty}/conn").check()
    else:
        machine.sh("podman start sidecar").check()
        machine.sh("podman exec sidecar connfs --ready /connfs/conn --wait 30s").check()
        machine.sh("podman stop --time 10 sidecar").check()

    assert dead.rc != 0
    machine.sh(f"rm -r {empty}").check()
