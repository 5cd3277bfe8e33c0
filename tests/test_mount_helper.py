# SPDX-License-Identifier: MIT
"""mount(8), umount(8) and fstab: mount.connfs.

Each script runs in a mount namespace of its own, where the helper and connfs
lie over /usr/sbin and libmount reads a file of the test's for /etc/fstab.
"""

import json

import pytest

import clients
from mount import BINARY, ROOT, daemons_of, sanitizer_env, sanitizer_reports

HELPER = ROOT / "mount-helpers/mount.connfs"

STAGE = """
set -u
mount --make-rprivate /
mount -t tmpfs none "$D/layers"
mkdir "$D/layers/upper" "$D/layers/work"
mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$D/layers/upper" \\
  -o "workdir=$D/layers/work" overlay /usr/sbin
cp "$HELPER" "$B" /usr/sbin
cd "$D"
mounts() { findmnt -rn -o TARGET,SOURCE,FSTYPE -t fuse.connfs | grep -F "$D" || :; }
"""


@pytest.fixture
def stage(test_dir):
    """stage(script, fstab) runs it in $D, a directory with a connfs.json and an
    empty mnt; "mounts" there lists what is mounted below $D. The Result."""
    spec = {"conn_id": "db", "type": "fake", "enabled": True}
    for name in ["connfs.json", "a b,c.json"]:
        source = test_dir / name
        source.write_text(json.dumps({"connections": [spec]}))
        source.chmod(0o600)
    for name in ["layers", "mnt", "m p"]:
        (test_dir / name).mkdir()
        (test_dir / name / "keep").touch()
    test_dir.chmod(0o755)

    def run(script, fstab="", **env):
        (test_dir / "fstab").write_text(fstab.replace("$D", str(test_dir)))
        env = {
            "B": str(BINARY),
            "D": str(test_dir),
            "HELPER": str(HELPER),
            "LIBMOUNT_FSTAB": str(test_dir / "fstab"),
            **sanitizer_env(test_dir / "sanitizer"),
            **env,
        }
        argv = ["unshare", "--mount", "sh", "-c", STAGE + script]
        ran = clients.start(argv, env=env).wait()
        clients.wait_for(
            lambda: not (daemons_of(test_dir / "mnt") + daemons_of(test_dir / "m p")),
            "the daemons end",
        )
        assert not sanitizer_reports(test_dir / "sanitizer")
        return ran

    yield run
    for name in ["mnt", "m p"]:
        clients.kill_all(daemons_of(test_dir / name))


# What is mounted, and by which name, is shown as it was given. Neither devices
# nor set-user-id files come by a database.
def test_mount_and_umount(stage, test_dir):
    ran = stage(
        """
        mount -t connfs connfs.json mnt -o allow_other,suid,dev && echo mounted $?
        mounts
        cat mnt/.connfs/ready
        findmnt -rn -o OPTIONS mnt
        umount mnt && ls mnt && mounts
        """
    )

    where = f"{test_dir}/mnt {test_dir}/connfs.json fuse.connfs"
    options = "rw,nosuid,nodev,relatime,user_id=0,group_id=0,allow_other"
    assert ran.check().lines == ["mounted 0", where, "ready", options, "keep"]


# Words that only mount(8) and systemd mean, and those about times of access,
# which a result has none of. A blank is \\040, a comma in SOURCE is one.
FSTAB = r"""
$D/connfs.json $D/mnt connfs defaults,auto,nofail,_netdev,owner,X-a,comment=b,WORDS 0 0
$D/a\040b,c.json $D/m\040p connfs noauto,users,group,x-systemd.automount,WORDS 0 0
""".replace(
    "WORDS",
    "rw,relatime,noatime,nodiratime,strictatime,lazytime,nosuid,nodev,exec,async,"
    r"allow_other,realm=a\040realm",
)


def test_lines_of_fstab(stage, test_dir):
    ran = stage(
        """
        mount -a && echo all $?
        mount "$D/m p" && echo one $?
        mounts
        LAVA_JOB_ID=7 sh -c 'cd mnt/db && echo "name;" >query.sql && cat result.csv'
        mount -a && echo again $?
        umount mnt && umount "$D/m p" && mounts
        """,
        FSTAB,
    )

    assert ran.check().lines == [
        "all 0",
        "one 0",
        f"{test_dir}/mnt {test_dir}/connfs.json fuse.connfs",
        rf"{test_dir}/m\x20p {test_dir}/a\x20b,c.json fuse.connfs",
        "name",
        "lv-a realm-7",
        "again 0",
    ]


# -f is mount(8)'s dry run, and -v says what is done.
def test_a_dry_run(stage, test_dir):
    ran = stage("mount -fv -t connfs connfs.json mnt -o ro; echo $?; mounts")

    assert ran.check().lines == [
        f"mount.connfs: connfs -o ro -- {test_dir}/connfs.json {test_dir}/mnt",
        "0",
    ]


# 1: the command is wrong, or SOURCE; 32: it cannot be mounted, as mount(8) has it.
@pytest.mark.parametrize(
    "command, rc, why",
    [
        ("mount -t connfs connfs.json mnt -o nonsense", 1, "nonsense"),
        ("mount -t connfs connfs.json mnt -o realn=x", 1, 'did you mean "realm"'),
        ("mount -t connfs missing.json mnt", 1, "missing.json: No such file"),
        ("mount -t connfs connfs.json missing", 32, "No such file"),
        ("mount -t connfs connfs.json connfs.json", 32, "Not a directory"),
        ("mount -t connfs.more connfs.json mnt", 1, "not connfs.more"),
        ("mount -t connfs connfs.json mnt -o remount", 1, "not possible"),
        ('$HELPER', 1, "SOURCE is missing; usage: mount.connfs SOURCE"),
        ('$HELPER connfs.json', 1, "DIRECTORY is missing"),
        ('$HELPER connfs.json mnt -o', 1, "-o needs a value"),
        ('$HELPER connfs.json mnt -x', 1, "unknown option -x"),
        ('$HELPER connfs.json mnt -n more', 1, "too many arguments: more"),
    ],
)
def test_what_is_wrong_is_told(stage, command, rc, why):
    ran = stage(f"{command}; echo $?; mounts")

    assert ran.lines == [str(rc)]
    assert why in ran.err
    assert len(ran.err.splitlines()) == 1


# As after an upgrade, or a crash: mount(8) cannot look at such a place.
@pytest.mark.parametrize("place", ["mnt", "mnt/", "$D/mnt"])
def test_a_dead_mount_is_mounted_over(stage, test_dir, place):
    ran = stage(
        f"""
        connfs -f connfs.json mnt & pid=$!
        until mountpoint -q mnt; do kill -0 $pid || exit; done
        kill -KILL $pid; wait $pid
        ls mnt
        mount -t connfs connfs.json {place}; echo $?
        cat mnt/.connfs/ready
        mounts
        umount mnt && ls mnt
        """
    )

    assert "Transport endpoint is not connected" in ran.err
    where = f"{test_dir}/mnt {test_dir}/connfs.json fuse.connfs"
    assert ran.lines == ["0", "ready", where, "keep"]


def test_a_live_one_is_not(stage):
    ran = stage(
        """
        mount -t connfs connfs.json mnt && mount -t connfs "a b,c.json" mnt; echo $?
        mounts | wc -l
        umount mnt
        """
    )

    assert ran.lines == ["32", "1"]
    assert ran.err.count("\n") == 1


# Neither a remount nor what it would have changed harms the mount that is there.
def test_a_remount_changes_nothing(stage):
    ran = stage(
        """
        mount mnt && mount -o remount,ro mnt; echo $?
        cat mnt/.connfs/ready
        umount mnt
        """,
        "$D/connfs.json $D/mnt connfs noauto 0 0\n",
    )

    assert ran.lines == ["1", "ready"]
    assert "SIGHUP reads" in ran.err


# Into the mount namespace of another process.
def test_the_namespace_of_another(stage, test_dir):
    ran = stage(
        """
        unshare --mount sh -c 'echo; exec sleep 600' >started & other=$!
        until [ -s started ]; do kill -0 $other || exit; done
        mount -N $other -t connfs "$D/connfs.json" "$D/mnt"; echo $?
        mounts
        nsenter --mount -t $other cat "$D/mnt/.connfs/ready"
        nsenter --mount -t $other umount "$D/mnt"
        kill $other
        """
    )

    assert ran.check().lines == ["0", "ready"]


# Whatever /bin/sh is, and without a PATH, as init systems have it.
@pytest.mark.parametrize("shell", ["dash", "busybox ash", "bash --posix"])
def test_any_shell_will_do(stage, shell):
    ran = stage(
        f"""
        env -u PATH {shell} "$HELPER" "a b,c.json" "m p" -n -o ro,allow_other -o noatime
        echo $?
        cat "m p/.connfs/ready"
        umount "m p"
        """
    )

    assert ran.check().lines == ["0", "ready"]


# By a line with "users": mount(8) runs the helper as that user, and the mount is
# theirs.
def test_a_user_mounts_by_fstab(stage, test_dir):
    ran = stage(
        """
        mknod -m 666 layers/fuse c 10 229 && mount --bind layers/fuse /dev/fuse
        chown 65534:65534 mnt connfs.json
        as="setpriv --reuid 65534 --regid 65534 --clear-groups"
        mount --bind fstab /etc/fstab
        $as mount "$D/mnt"; echo $?
        $as cat mnt/.connfs/ready
        $as umount "$D/mnt"; echo $?
        mounts
        """,
        "$D/connfs.json $D/mnt connfs noauto,users,exec 0 0\n",
        ASAN_OPTIONS="detect_leaks=0",
    )

    assert ran.check().lines == ["0", "ready", "0"]
