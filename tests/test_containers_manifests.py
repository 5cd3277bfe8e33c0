# SPDX-License-Identifier: MIT
"""The manifests for Docker, compose and Kubernetes: nothing here runs them, so
that each says what it must, and names nothing that is not there."""

import json
import os
import re
import shlex
import subprocess

import pytest
import yaml

from mount import BINARY, ROOT

HELPERS = ROOT / "mount-helpers"
KUBERNETES = HELPERS / "kubernetes"
COMPOSE = HELPERS / "docker/compose.yaml"
DOCKERFILE = HELPERS / "docker/Dockerfile"

SOURCE = "/etc/connfs"
MOUNTPOINT = "/var/lib/connfs/conn"


def manifest(name, kind):
    """The one object of that kind in a manifest."""
    objects = list(yaml.safe_load_all((KUBERNETES / name).read_text()))
    (found,) = [o for o in objects if o["kind"] == kind]
    return found


def pod_of(name, kind):
    return manifest(name, kind)["spec"]["template"]["spec"]


def mount_in(container, name):
    (found,) = [m for m in container["volumeMounts"] if m["name"] == name]
    return found


def volume_of(pod, name):
    (found,) = [v for v in pod["volumes"] if v["name"] == name]
    return found


@pytest.fixture(scope="module")
def compose():
    """As docker-compose understands it."""
    done = subprocess.run(
        ["docker-compose", "-f", COMPOSE, "config"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
    )
    assert done.stderr == ""
    return yaml.safe_load(done.stdout)["services"]


# ---- what all of them start


def daemon_commands():
    """{where: argv of the daemon} of all that start one."""
    kubernetes = {
        "daemonset": pod_of("daemonset.yaml", "DaemonSet")["containers"][0],
        "sidecar": pod_of("sidecar.yaml", "Job")["initContainers"][0],
    }
    found = {}
    for where, container in kubernetes.items():
        script = container["command"][-1].strip().splitlines()[-1]
        found[where] = shlex.split(script.removeprefix("exec "))
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    found["compose"] = services["connfs"]["command"]
    (command,) = re.findall(r"^CMD (.*)$", DOCKERFILE.read_text(), re.M)
    found["image"] = json.loads(command)
    return found


# In the foreground, for every user, of the specs, below the directory that is
# shared: an option that the program does not have would fail only there.
@pytest.mark.parametrize("where", ["daemonset", "sidecar", "compose", "image"])
def test_each_starts_the_daemon_with_what_it_knows(where, connfs):
    program, *arguments = daemon_commands()[where]
    *options, source, mountpoint = arguments
    usage = connfs("--help").check().out

    assert (program, source) == ("connfs", SOURCE)
    assert options == ["-f", "-o", "allow_other"]
    assert mountpoint == ("/connfs/conn" if where == "sidecar" else MOUNTPOINT)
    for option in ["-f", "-o", "allow_other"]:
        assert option in usage


def probes():
    pods = [pod_of("daemonset.yaml", "DaemonSet"), pod_of("sidecar.yaml", "Job")]
    for pod in pods:
        for container in pod.get("initContainers", []) + pod["containers"]:
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"]:
                if probe in container:
                    yield container[probe]["exec"]["command"]
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    yield services["connfs"]["healthcheck"]["test"][1:]


# A probe asks the program itself; that it is not ready, for nothing is mounted
# there, is another answer than that it does not know such a question.
def test_probes_ask_what_connfs_answers(connfs, test_dir):
    asked = list(probes())
    assert len(asked) == 4

    for program, flag, mountpoint, *more in asked:
        assert (program, flag) == ("connfs", "--ready")
        assert mountpoint in [MOUNTPOINT, "/connfs/conn"]
        more = ["50ms" if word == "30s" else word for word in more]
        assert connfs("--ready", test_dir, *more).rc == 2


# ---- Kubernetes


# The kubelet refuses Bidirectional without privileged; without hostPID every
# caller would get EACCES; and the mount itself cannot be propagated, only what
# is mounted below a directory.
def test_the_daemon_set_shares_its_mount_with_the_node():
    daemon_set = manifest("daemonset.yaml", "DaemonSet")
    pod = pod_of("daemonset.yaml", "DaemonSet")
    (container,) = pod["containers"]
    labels = daemon_set["spec"]["template"]["metadata"]["labels"]

    assert daemon_set["apiVersion"] == "apps/v1"
    assert daemon_set["spec"]["selector"]["matchLabels"] == labels
    assert daemon_set["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert pod["hostPID"] is True
    assert pod["terminationGracePeriodSeconds"] > 5
    assert container["securityContext"] == {"privileged": True}
    assert mount_in(container, "parent") == {
        "name": "parent",
        "mountPath": os.path.dirname(MOUNTPOINT),
        "mountPropagation": "Bidirectional",
    }
    assert volume_of(pod, "parent")["hostPath"] == {
        "path": os.path.dirname(MOUNTPOINT),
        "type": "DirectoryOrCreate",
    }
    assert mount_in(container, "specs")["mountPath"] == SOURCE
    assert volume_of(pod, "specs")["secret"]["defaultMode"] == 0o400
    assert mount_in(container, "cgroup")["mountPath"] == "/sys/fs/cgroup"
    assert volume_of(pod, "cgroup")["hostPath"]["path"] == "/sys/fs/cgroup"


NOTHING = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


# It sees the mount also when that is made, or made anew, after its start.
def test_the_job_needs_nothing_but_the_directory_above():
    pod = pod_of("job.yaml", "Job")
    containers = pod["initContainers"] + pod["containers"]
    daemon = pod_of("daemonset.yaml", "DaemonSet")

    assert len(containers) == 2
    for container in containers:
        assert container["securityContext"] == NOTHING
        assert mount_in(container, "connfs") == {
            "name": "connfs",
            "mountPath": "/connfs",
            "mountPropagation": "HostToContainer",
        }
        assert "/connfs/conn/" in container["command"][-1]
    host_path = volume_of(pod, "connfs")["hostPath"]["path"]
    assert host_path == volume_of(daemon, "parent")["hostPath"]["path"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert not {"hostPID", "hostNetwork", "hostIPC"} & set(pod)


# A native sidecar: there before the job, ended after it; what is root in the
# job would own the mount.
def test_the_sidecar_is_there_before_the_job():
    pod = pod_of("sidecar.yaml", "Job")
    (daemon,) = pod["initContainers"]
    (job,) = pod["containers"]

    assert daemon["restartPolicy"] == "Always"
    assert pod["shareProcessNamespace"] is True
    assert "hostPID" not in pod
    assert daemon["securityContext"]["privileged"] is True
    assert mount_in(daemon, "connfs")["mountPropagation"] == "Bidirectional"
    assert mount_in(job, "connfs")["mountPropagation"] == "HostToContainer"
    assert mount_in(daemon, "connfs")["mountPath"] == "/connfs"
    assert volume_of(pod, "connfs") == {"name": "connfs", "emptyDir": {}}
    assert daemon["startupProbe"]["timeoutSeconds"] > 30
    assert job["securityContext"] == {
        **NOTHING,
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
    }


# Anchors are YAML's, and the schema is another's: no name is misspelt in what
# has one.
@pytest.mark.parametrize("name", sorted(p.name for p in KUBERNETES.iterdir()))
def test_every_volume_that_is_mounted_is_there(name):
    for document in yaml.safe_load_all((KUBERNETES / name).read_text()):
        pod = document.get("spec", {}).get("template", {}).get("spec")
        if not pod:
            continue
        volumes = {v["name"] for v in pod["volumes"]}
        used = set()
        for container in pod.get("initContainers", []) + pod["containers"]:
            used |= {m["name"] for m in container["volumeMounts"]}
        assert used == volumes


# A Secret's volume is a directory that anybody may write to, sticky, with links
# to files in a directory that a link leads to: a SOURCE all the same.
def test_specs_are_read_from_a_secrets_volume(test_dir, connfs):
    volume = test_dir / "volume"
    volume.mkdir()
    volume.chmod(0o1777)
    data = volume / "..2026_01_01_00_00_00.1"
    data.mkdir(mode=0o755)
    spec = {"conn_id": "shop", "enabled": True, "type": "sqlite3", "host": "/x.db"}
    (data / "shop.json").write_text(json.dumps(spec))
    (data / "shop.json").chmod(0o400)
    (volume / "..data").symlink_to(data.name)
    (volume / "shop.json").symlink_to("..data/shop.json")

    checked = connfs("--check", volume)

    assert checked.rc == 0
    assert checked.out.startswith("OK ")
    assert len(checked.lines) == 1


# ---- Docker


def test_compose_shares_the_mount_of_its_daemon(compose):
    daemon, job = compose["connfs"], compose["job"]
    (shared,) = [v for v in daemon["volumes"] if v["target"] != SOURCE]
    (bound,) = job["volumes"]

    assert daemon["pid"] == "host"
    assert daemon["privileged"] is True
    assert shared["source"] == shared["target"] == os.path.dirname(MOUNTPOINT)
    assert shared["bind"] == {"propagation": "rshared"}
    assert bound["source"] == shared["source"]
    assert bound["bind"] == {"propagation": "rslave"}
    assert job["depends_on"] == {"connfs": {"condition": "service_healthy"}}
    assert job["cap_drop"] == ["ALL"]
    assert os.path.samefile(ROOT, daemon["build"]["context"])
    assert (ROOT / daemon["build"]["dockerfile"]).samefile(DOCKERFILE)


def packages_of(program):
    """Of the libraries that it names itself; what those need, they bring."""
    done = subprocess.run(["objdump", "-p", program], capture_output=True, text=True)
    needed = set(re.findall(r"NEEDED +(\S+)", done.stdout))
    ldd = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    paths = [p for n, p in re.findall(r"(\S+) => (/\S+)", ldd) if n in needed]
    merged = [os.path.realpath(p) for p in paths]
    paths = [*paths, *merged, *(p.removeprefix("/usr") for p in merged)]
    found = subprocess.run(["dpkg", "-S", *paths], capture_output=True, text=True)
    return {line.split(":")[0] for line in found.stdout.splitlines()}


# It cannot be built without a registry, but what it has to install is known:
# what the program here is linked to.
def test_the_image_has_every_library_of_the_program():
    (run,) = re.findall(r"apt-get install -y([^&]*)", DOCKERFILE.read_text())
    installed = {w for w in re.findall(r"\S+", run) if w[0] not in "-\\"}
    sanitizers = {"libasan8", "libubsan1", "libtsan2", "libgcc-s1"}

    needed = packages_of(BINARY) - sanitizers - {"libc6"}

    assert len(needed) > 6
    assert needed <= installed


def test_the_image_is_built_from_what_is_there():
    text = DOCKERFILE.read_text()

    assert os.access(ROOT / "tests/packages", os.X_OK)
    for command in ["tests/packages build", "meson setup /build", "ninja -C /build"]:
        assert command in text
    for program in re.findall(r"/build/([\w-]+)", text):
        assert f"executable('{program}'" in (ROOT / "meson.build").read_text()
