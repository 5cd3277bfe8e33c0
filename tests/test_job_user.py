# SPDX-License-Identifier: MIT
"""connfs-job as an ordinary user, in a user namespace of its own."""

import json
import os

import pytest

import clients
from job_mounts import USER

OTHER = USER + 1
ONE = '"$M/demo/sql" "select 1 as a"'


def test_a_user_has_the_connections(user_job):
    labels = user_job.labels(shop="demo")

    ran = user_job.sh('id -u; id -g; "$LAVA_CONN_SHOP" "select 1 as a"', labels)

    assert ran.check().lines == [str(USER), str(USER), "a", "1"]
    user_job.wait_gone()


# Also of connections that have no `access` at all.
def test_the_user_is_the_owner_of_the_mount(user_job):
    ran = user_job.sh('cat "$M/demo/client.json"; cat "$M/.connfs/errors"')

    client = json.loads(ran.check().out)
    assert (client["owner"], client["uid"], client["gid"]) == (True, USER, USER)
    assert client["user_ns"] != os.stat("/proc/self/ns/user").st_ino


# Root cannot either: it is nobody in that user namespace.
def test_nobody_else_can_look_in(user_job):
    door = user_job.fifo("door")
    running = user_job.start(f'echo yes >"$D/there"; read line <"$D/door"; {ONE}')
    user_job.wait_for_file("there")

    into = ["nsenter", "--mount", "--target", str(running.pid), "ls", user_job.at]
    refused = clients.start([str(word) for word in into]).wait()
    door.write_text("go on\n")

    assert refused.rc != 0
    assert "Permission denied" in refused.err
    assert running.wait().check().out == "a\n1\n"


# The daemon stays outside, where its owner's other programs cannot trace it:
# in the job's user namespace they could, as its creator.
def test_programs_of_the_user_cannot_look_into_the_daemon(user_job):
    door = user_job.fifo("door")
    running = user_job.start('echo yes >"$D/there"; read line <"$D/door"')
    user_job.wait_for_file("there")
    (pid,) = user_job.daemons

    seen = clients.sh(f"cat /proc/{pid}/environ /proc/{pid}/maps", uid=USER)
    door.write_text("go on\n")

    assert (seen.rc, seen.out) == (1, "")
    assert os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user")
    running.wait().check()


# Root's directories and the user's are fine, those of anybody else are not: in
# the job's namespace they all look as if they were nobody's.
def test_the_files_owners_are_the_true_ones(user_job):
    theirs = user_job.dir / "theirs"
    theirs.mkdir()
    os.chown(theirs, OTHER, OTHER)
    user_job.source.rename(theirs / "source")
    user_job.source = theirs / "source"

    ran = user_job.sh("echo started")

    assert (ran.rc, ran.out) == (1, "")
    assert ran.err == (
        f"connfs: error: SOURCE {theirs}/source: {theirs} belongs to uid {OTHER},"
        " neither to root nor to the user who mounts\n"
    )


# As is what a spec names; a password_command runs where the user is at home.
def test_passwords_come_from_outside(user_job, pg):
    word = user_job.dir / "password"
    word.write_text(pg.passwords["app"] + "\n")
    word.chmod(0o600)
    os.chown(word, USER, USER)
    script = user_job.dir / "helper"
    script.write_text('#!/bin/sh\nstat -c %u / >"$D/saw"; cat "$D/password"\n')
    script.chmod(0o755)
    spec = pg.spec(password_plain=None)
    user_job.write_specs(
        file={**spec, "password_file": str(word)},
        command={**spec, "password_command": [str(script)]},
    )

    ran = user_job.sh('for c in file command; do "$M/$c/sql" "select 1 as a"; done')

    assert ran.check().out == "a\n1\n" * 2
    assert (user_job.dir / "saw").read_text() == "0\n"


@pytest.mark.parametrize("variable", ["HOME", "XDG_CONFIG_HOME"])
def test_the_source_is_the_users_own(user_job, variable):
    home = user_job.dir / "home"
    config = home / ".config" if variable == "HOME" else home
    config.mkdir(parents=True)
    user_job.source.rename(config / "connfs")
    env = {"HOME": "/nowhere", variable: str(home)}

    ran = user_job.run(
        user_job.bare_argv("--at", user_job.at, "ls", user_job.at), env=env
    ).wait()

    assert ran.check().lines == ["README", "demo"]


@pytest.mark.parametrize("how", ["TERM", "KILL"])
def test_nothing_is_left_of_a_job_that_was_killed(user_job, how):
    running = user_job.start(f'{ONE}; echo yes >"$D/there"; sleep 1000 & wait')
    user_job.wait_for_file("there")
    assert len(user_job.daemons) == 1

    clients.sh(f"kill -{how} {running.pid}", uid=USER).check()

    assert running.wait().rc < 0
    user_job.wait_gone()


def test_what_a_job_leaves_running_is_told_that_the_mount_has_gone(user_job):
    door = user_job.fifo("door")
    user_job.sh(
        '{ read line <"$D/door"; cat "$M/README"; echo end; } >"$D/said" 2>&1 &'
    ).check()
    user_job.wait_gone()

    door.write_text("go on\n")

    said = user_job.dir / "said"
    clients.wait_for(lambda: said.read_text().endswith("end\n"), "it goes on")
    assert "Transport endpoint is not connected" in said.read_text()


CONTAINER = """
exec bwrap --unshare-user --unshare-pid --ro-bind /usr /usr --symlink usr/bin /bin \
    --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev \
    --dev-bind /dev/fuse /dev/fuse --dir /conn --tmpfs /tmp \
    --bind "$D" "$D" --bind "$D/source" /etc/connfs --ro-bind "$D/bin" /opt \
    /opt/connfs-job --source /etc/connfs --label shop=demo \
    sh -c '"$LAVA_CONN_SHOP" "select $$ as pid"; id -u'
"""


# In a container that the same user has made, with a user namespace and a pid
# namespace of its own.
def test_a_job_can_be_in_a_container(user_job):
    ran = user_job.run(user_job.as_user("sh", "-c", CONTAINER)).wait()

    assert ran.check().lines == ["pid", "2", str(USER)]


# Failures


def test_a_device_that_may_not_be_opened_is_told(user_job):
    ran = user_job.sh("echo started", env={"FUSE_MODE": "600"})

    assert (ran.rc, ran.out, ran.err) == (
        2,
        "",
        "connfs-job: /dev/fuse: Permission denied; its mode must let every user"
        " read and write it (0666)\n",
    )


def test_a_missing_device_is_told(job):
    script = 'mount -t tmpfs none /dev && exec "$@"'
    argv = ["unshare", "--mount", "sh", "-c", script, "sh"]

    ran = job.run([*argv, *job.argv("echo", "started")]).wait()

    assert (ran.rc, ran.out, ran.err) == (
        2,
        "",
        "connfs-job: /dev/fuse: No such file or directory; load the kernel's fuse"
        " module, or give the container the device\n",
    )


# A user namespace in which no other can be made: as what is configured there
# looks like, so does it look to connfs-job on a machine that is configured so.
FORBIDDEN = """
set -e
echo 0 >/proc/sys/user/max_user_namespaces
mount --make-rprivate /
mount -t tmpfs none /proc/sys/kernel
mount -t tmpfs none /proc/sys/user
echo "$VALUE" >"/proc/sys/$SETTING"
exec setpriv --bounding-set=-all --inh-caps=-all "$@"
"""


@pytest.mark.parametrize(
    "setting, value, told",
    [
        ("user/max_user_namespaces", "0", "user.max_user_namespaces is 0"),
        (
            "kernel/unprivileged_userns_clone",
            "0",
            "kernel.unprivileged_userns_clone is 0",
        ),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns is 1",
        ),
        ("user/max_user_namespaces", "100", "forbidden by a container"),
    ],
)
def test_what_forbids_user_namespaces_is_told(job, setting, value, told):
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", FORBIDDEN]
    env = {"SETTING": setting, "VALUE": value}

    ran = job.run([*argv, "sh", *job.argv("echo", "started")], env=env).wait()

    assert (ran.rc, ran.out) == (2, "")
    start = f"connfs-job: a user namespace: No space left on device; {told}"
    assert ran.err.startswith(start)
