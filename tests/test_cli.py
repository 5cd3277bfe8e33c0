# SPDX-License-Identifier: MIT
"""The command line: what connfs accepts, says, mounts, and how it ends."""

import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

import clients
import servers
from clients import SCALE, wait_for
from mount import BINARY, DaemonEnded, abort_connection, connection_of

NOBODY = 65534


def daemons_of(mnt):
    """Pids of connfs daemons that were started for this mountpoint."""
    return [
        int(pid)
        for pid, status in clients.all_status()
        if status["Name"] == "connfs"
        and str(mnt).encode()
        in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    ]


def file_spec(conn_id="demo", **fields):
    return {
        "conn_id": conn_id,
        "type": "sqlite3",
        "enabled": True,
        "host": "/srv/nowhere.db",
        **fields,
    }


@pytest.fixture
def source(test_dir):
    """source(content) writes it to a SOURCE: one file."""

    def write(content, name="connfs.json", mode=0o600):
        path = test_dir / name
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


@pytest.fixture
def mountpoint(test_dir):
    """For daemons in the background, which are gone when the test ends."""
    mnt = test_dir / "mnt"
    mnt.mkdir()
    yield mnt
    if connection_of(mnt):
        abort_connection(mnt)
        subprocess.run(["umount", "-l", mnt], check=True)
    clients.kill_all(daemons_of(mnt))


def unmount_and_wait(mnt):
    """umount(8); returns when the daemon has gone as well."""
    clients.sh('umount "$M"', env={"M": str(mnt)}).check()
    wait_for(lambda: not daemons_of(mnt), "the daemon ends")


# Words


def test_help_names_every_form_of_the_command(connfs):
    shown = connfs("--help").check()

    assert shown.out.startswith(
        "usage: connfs [-f] [-d] [-o option[,option...]] SOURCE MOUNTPOINT\n"
        "       connfs --check SOURCE\n"
        "       connfs --help | --version\n"
    )


# A script that asks for the version must not need anything else right.
def test_version_is_one_line_and_ignores_what_follows(connfs):
    shown = connfs("--version", "/nowhere", "/nowhere", "/nowhere").check()

    assert len(shown.lines) == 1
    assert shown.lines[0].split()[0] == "connfs"


# 1 is "usage", which a script must be able to tell from 2, "cannot mount".
@pytest.mark.parametrize(
    "argv, why",
    [
        ([], "SOURCE and MOUNTPOINT are missing"),
        (["/etc"], "MOUNTPOINT is missing"),
        (["/etc", "/mnt", "/srv"], "too many arguments"),
        (["--check"], "SOURCE is missing"),
        (["--check", "/etc", "/mnt"], "too many arguments"),
        (["-o"], "unknown option or missing value: -o"),
        (["--nonsense"], "unknown option or missing value: --nonsense"),
        (["-x", "/etc", "/mnt"], "unknown option or missing value: -x"),
    ],
)
def test_a_command_line_without_sense_is_a_usage_error(connfs, argv, why):
    ended = connfs(*argv)

    assert (ended.rc, ended.out) == (1, "")
    assert ended.err == f"connfs: error: {why}; see connfs --help\n"


# --check


def test_check_prints_a_line_for_each_good_spec(connfs, source):
    path = source(
        [
            file_spec("b/c"),
            file_spec("a", enabled=False),
            {
                "conn_id": "c",
                "type": "postgres",
                "enabled": True,
                "host": "db.example.invalid",
                "user": "u",
                "database": "d",
                "password_plain": "p",
            },
        ]
    )

    checked = connfs("--check", path).check()

    assert checked.lines == [
        f"OK   a  sqlite3  {path}  (not enabled)",
        f"OK   b/c  sqlite3  {path}",
        f"OK   c  postgres  {path}",
    ]


# The reason names file, connection and key; the good ones are shown as well.
def test_check_tells_the_bad_specs_and_ends_with_1(connfs, source):
    path = source([file_spec("good"), file_spec("bad", hosst="/x"), {"type": "x"}])

    checked = connfs("--check", path)

    assert (checked.rc, checked.err) == (1, "")
    assert checked.lines == [
        f"OK   good  sqlite3  {path}",
        f'BAD  {path}: bad: unknown key "hosst", did you mean "host"?',
        f"BAD  {path}: spec 3: conn_id: is missing",
    ]


# "Validates every spec, no network": nor does it obtain a password.
def test_check_runs_no_command(connfs, source, test_dir):
    trace = test_dir / "trace"
    spec = {
        "conn_id": "a",
        "type": "postgres",
        "enabled": True,
        "host": "192.0.2.1",
        "user": "u",
        "database": "d",
        "password_command": ["/usr/bin/touch", str(trace)],
    }

    connfs("--check", source(spec)).check()

    assert not trace.exists()


# A bad file of a directory does not take the others down.
def test_check_of_a_directory_goes_on_after_a_broken_file(connfs, test_dir):
    where = test_dir / "specs"
    where.mkdir()
    for name, text in [
        ("1.json", json.dumps(file_spec("one"))),
        ("2.json", '{\n  "conn_id": oops\n}'),
        ("3.json", json.dumps(file_spec("three"))),
        ("4.txt", "not read"),
        (".5.json", "not read either"),
    ]:
        (where / name).write_text(text)
        (where / name).chmod(0o600)

    checked = connfs("--check", where)

    assert checked.rc == 1
    assert checked.lines == [
        f"OK   one  sqlite3  {where}/1.json",
        f"OK   three  sqlite3  {where}/3.json",
        f"BAD  {where}/2.json:2:17: invalid token",
    ]


# SOURCE


# What SOURCE is, and what connfs says after its name.
def broken_sources(test_dir, source):
    (test_dir / "open").mkdir(mode=0o700)
    fifo = test_dir / "fifo.json"
    os.mkfifo(fifo, 0o600)
    foreign = source([], "foreign.json")
    os.chown(foreign, NOBODY, NOBODY)
    writable = source([], "writable.json", 0o620)
    inside = test_dir / "open/inside.json"
    inside.write_text("[]")
    inside.chmod(0o600)
    (test_dir / "open").chmod(0o777)
    others = "can be written by others than its owner: chmod go-w"
    return {
        "missing": (test_dir / "none", "none: No such file or directory"),
        "no JSON": (source('[{"conn_id": }]', "a.json"), "a.json:1:14: unexpected token"),
        "empty": (source("", "b.json"), "b.json:1:0: '[' or '{' expected near end of file"),
        "a FIFO": (fifo, "fifo.json: is not a regular file"),
        "someone else's": (
            foreign,
            f"foreign.json belongs to uid {NOBODY}, neither to root nor to the"
            " user who mounts",
        ),
        "writable": (writable, f"writable.json {others}"),
        "in a writable directory": (inside, f"/open {others}"),
        "too big": (
            source("[" + " " * 1024 * 1024 + "]", "big.json"),
            "big.json: is over 1048576 bytes long",
        ),
        "a typo in settings": (
            source({"settings": {"relm": "x"}, "connections": []}, "c.json"),
            'c.json: settings: unknown key "relm", did you mean "realm"?',
        ),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        "no JSON",
        "empty",
        "a FIFO",
        "someone else's",
        "writable",
        "in a writable directory",
        "too big",
        "a typo in settings",
    ],
)
@pytest.mark.parametrize("how", ["check", "mount"])
def test_a_bad_source_is_a_configuration_error(
    connfs, source, test_dir, mountpoint, kind, how
):
    path, why = broken_sources(test_dir, source)[kind]

    ended = connfs("--check", path) if how == "check" else connfs(path, mountpoint)

    assert (ended.rc, ended.out) == (1, "")
    assert ended.err.startswith("connfs: error: ")
    assert ended.err.endswith(f"{why}\n")
    assert len(ended.err.splitlines()) == 1
    assert connection_of(mountpoint) is None


# /tmp is like that, and nobody can exchange another's file there.
def test_a_sticky_directory_above_source_is_trusted(connfs, test_dir):
    sticky = test_dir / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    path = sticky / "specs.json"
    path.write_text(json.dumps(file_spec()))
    path.chmod(0o600)

    assert connfs("--check", path).check().lines == [f"OK   demo  sqlite3  {path}"]


# Whoever exchanges the target of a link exchanges SOURCE.
def test_a_link_in_a_writable_directory_is_refused(connfs, source, test_dir):
    target = source(file_spec())
    writable = test_dir / "writable"
    writable.mkdir()
    writable.chmod(0o777)
    (writable / "link.json").symlink_to(target)

    ended = connfs("--check", writable / "link.json")

    assert ended.rc == 1
    assert f"{writable} can be written by others" in ended.err


# Options


@pytest.mark.parametrize(
    "option, why",
    [
        ("relm=x", 'unknown key "relm", did you mean "realm"?'),
        ("nonsense=1", 'unknown key "nonsense"'),
        ("max_connections=0", "max_connections: must be from 1 to 1000"),
        ("max_connections=ten", "max_connections: must be a whole number"),
        (
            "settle_time=soon",
            'settle_time: must be seconds, or a text like "15m" (ms s m h d w)',
        ),
        (
            "max_row=64q",
            'max_row: must be bytes, or a text like "8MiB" (KiB MiB GiB)',
        ),
        ("spool_dir=/nowhere", "spool_dir: /nowhere: No such file or directory"),
        ("realm=", "realm: must not be empty"),
        (
            "conn_app_name={job}",
            'conn_app_name: "{job}" is none of {realm} {job_id} {user} {comm}'
            " {conn_id}",
        ),
    ],
)
def test_a_wrong_setting_as_option_is_a_configuration_error(
    connfs, source, mountpoint, option, why
):
    ended = connfs("-o", option, source(file_spec()), mountpoint)

    assert (ended.rc, ended.out) == (1, "")
    assert ended.err == f"connfs: error: option {why}\n"


# libfuse would take it for a failure of the mount; it is one of the words.
def test_an_unknown_mount_option_is_a_usage_error(connfs, source, mountpoint):
    ended = connfs("-o", "allow_othr", source(file_spec()), mountpoint)

    assert ended.rc == 1
    assert "allow_othr" in ended.err
    assert connection_of(mountpoint) is None


# So that a line in /etc/fstab works as it does for others.
def test_words_of_fstab_are_accepted(connfs, source, mountpoint):
    words = "defaults,rw,auto,noauto,user,users,nofail,_netdev,x-systemd.automount"

    connfs("-o", words, source(file_spec()), mountpoint).check()

    assert connection_of(mountpoint)[0] == "fuse.connfs"
    unmount_and_wait(mountpoint)


# mount(8) hands over several -o, and options of the mount and of connfs mixed.
def test_options_win_over_settings_of_source(mount, test_dir):
    specs = servers.Sqlite(test_dir / "a.db").spec()

    m = mount(
        db=specs,
        settings={"max_connections": 7, "connect_timeout": "3s"},
        options=["max_connections=4", "idle_timeout=90s"],
    )

    shown = json.loads(m.read("db", "connection.json"))
    assert shown["max_connections"] == 4
    assert shown["connect_timeout"] == "3s"
    assert shown["idle_timeout"] == "90s"


# -o ro: every connection, whatever its spec says, and the errno of read-only.
def test_ro_makes_every_connection_read_only(mount, engine):
    m = mount(db=engine.spec(read_only=False), options=["ro"])
    engine.sql("create table t (a int)")

    shown = json.loads(m.read("db", "connection.json"))
    refused = m.sh('echo "insert into t values (1);" >"$C/query.sql"', shell="bash")

    assert shown["read_only"] is True
    assert refused.rc != 0
    assert "Permission denied" in refused.err
    assert m.query("select count(*) as n from t;").out == "n\n0\n"


# Foreground and background


# The caller may use the mount at once; nothing of the daemon holds on to the
# caller's terminal, directory or pipes.
def test_the_command_returns_when_the_mount_is_usable(connfs, source, mountpoint):
    started = connfs(source(file_spec()), mountpoint).check()

    assert started.out == ""
    ready = clients.sh('cat "$M/.connfs/ready"', env={"M": str(mountpoint)}).check()
    assert ready.out == "ready\n"
    unmount_and_wait(mountpoint)


def test_the_daemon_lets_go_of_its_caller(connfs, source, mountpoint):
    connfs(source(file_spec()), mountpoint).check()

    (pid,) = daemons_of(mountpoint)
    proc = pathlib.Path(f"/proc/{pid}")
    status = clients.status_of(pid)
    files = [os.readlink(proc / "fd" / str(fd)) for fd in range(3)]
    cwd = os.readlink(proc / "cwd")
    unmount_and_wait(mountpoint)

    assert status["NSsid"].split()[0] == str(pid)
    assert status["NSpgid"].split()[0] == str(pid)
    assert cwd == "/"
    assert files == ["/dev/null"] * 3


# A relative path means something else once the daemon is in /.
def test_relative_paths_are_taken_from_where_connfs_starts(source, mountpoint):
    path = source(file_spec())
    script = 'cd "$D" && "$B" connfs.json mnt'
    env = {"D": str(path.parent), "B": str(BINARY)}

    clients.sh(script, env=env).check()

    where = {"M": str(mountpoint)}
    listed = clients.sh('ls "$M"', env=where).check()
    assert listed.lines == ["README", "demo"]
    clients.sh('umount "$M"', env=where).check()
    wait_for(lambda: not daemons_of("mnt"), "the daemon ends")


# The parent waits for INIT: a failed mount is not found out later.
@pytest.mark.parametrize("foreground", [True, False])
@pytest.mark.parametrize(
    "kind, why",
    [("missing", "No such file or directory"), ("a file", "Not a directory")],
)
def test_a_failed_mount_is_told_by_the_command(
    connfs, source, test_dir, kind, why, foreground
):
    mnt = test_dir / "there"
    if kind == "a file":
        mnt.touch()
    how = ["-f"] if foreground else []

    ended = connfs(*how, source(file_spec()), mnt)

    assert (ended.rc, ended.out) == (2, "")
    assert str(mnt) in ended.err
    assert why in ended.err
    assert not daemons_of(mnt)


@pytest.fixture
def binary_for_all(test_dir):
    """A copy that other users can run, wherever the build directory is."""
    return shutil.copy(BINARY, test_dir / "connfs")


# Whether it is the device, the mountpoint or fusermount3 that says no.
@pytest.mark.parametrize("foreground", [True, False])
def test_a_mount_that_is_not_permitted_is_told(
    source, mountpoint, binary_for_all, foreground
):
    path = source(file_spec(), mode=0o644)
    argv = [binary_for_all, *(["-f"] if foreground else []), path, mountpoint]

    # No capability to look into itself for leaks: it cannot be traced.
    ended = clients.start(
        list(map(str, argv)), uid=NOBODY, env={"ASAN_OPTIONS": "detect_leaks=0"}
    ).wait()

    assert ended.rc == 2, ended
    assert ended.err != ""
    assert connection_of(mountpoint) is None


# In a mount namespace of its own, where everybody may use /dev/fuse.
UNPRIVILEGED = """
set -e
mount -t tmpfs -o mode=755 none "$D/dev"
mknod -m 666 "$D/dev/fuse" c 10 229
mount --bind "$D/dev/fuse" /dev/fuse
chown 65534:65534 "$D/mnt"
as="setpriv --reuid 65534 --regid 65534 --clear-groups"
$as "$D/connfs" "$D/connfs.json" "$D/mnt"
$as cat "$D/mnt/.connfs/ready" "$D/mnt/.connfs/errors"
pid=$($as sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p' "$D/mnt/.connfs/status.json")
stat -c "owner %u" "/proc/$pid/environ"
$as sh -c 'echo "select 42 as a;" >"$D/mnt/demo/query.sql"; cat "$D/mnt/demo/result.csv"'
$as fusermount3 -u "$D/mnt"
"""


# The mount's owner is whoever mounts; root is not needed. The process is not
# dumpable: its files in /proc are root's, so other programs of the same user
# cannot look for passwords in it.
def test_any_user_who_may_use_the_device_can_mount(
    source, test_dir, binary_for_all
):
    for name in ["dev", "mnt"]:
        (test_dir / name).mkdir()
    db = test_dir / "data"
    db.mkdir()
    servers.Sqlite(db / "a.db")
    for path in [db, db / "a.db"]:
        os.chown(path, NOBODY, NOBODY)
    specs = source(file_spec(host=str(db / "a.db")))
    os.chown(specs, NOBODY, NOBODY)
    test_dir.chmod(0o755)

    ran = clients.start(
        ["unshare", "--mount", "sh", "-c", UNPRIVILEGED],
        env={"D": str(test_dir), "ASAN_OPTIONS": "detect_leaks=0"},
    ).wait()
    wait_for(lambda: not daemons_of(test_dir / "mnt"), "the daemon ends")

    assert (ran.out, ran.err, ran.rc) == ("ready\nowner 0\na\n42\n", "", 0)


# What the kernel says to those who list mounts. A comma in the name must not
# become an option.
@pytest.mark.parametrize("name", ["connfs.json", "a,suid,b.json"])
def test_mountinfo_shows_type_and_source(connfs, source, mountpoint, name):
    path = source(file_spec(), name)
    connfs("-o", "allow_other", path, mountpoint).check()

    with open("/proc/self/mountinfo") as f:
        (line,) = [li for li in f if f" {mountpoint} " in li]
    unmount_and_wait(mountpoint)

    left, _, right = line.partition(" - ")
    fstype, shown_source, options = right.split()
    assert (fstype, shown_source) == ("fuse.connfs", str(path))
    assert "allow_other" in options.split(",")
    assert {"nosuid", "nodev"} <= set(left.split()[5].split(","))


# Without allow_other the kernel lets nobody else in, whatever `access` says.
def test_without_allow_other_the_mount_is_its_owners(connfs, source, mountpoint):
    connfs(source(file_spec(access={"everyone": True})), mountpoint).check()

    refused = clients.sh('ls "$M"', uid=NOBODY, env={"M": str(mountpoint)})
    unmount_and_wait(mountpoint)

    assert refused.rc != 0
    assert "Permission denied" in refused.err


# A bad spec does not take the others down, and its reason can be read.
def test_a_mount_comes_up_without_its_bad_specs(mount, test_dir):
    good = servers.Sqlite(test_dir / "a.db").spec()

    m = mount(good=good, bad={**good, "enabled": "yes"})

    where = m.config / "connfs.json"
    assert m.read(".connfs", "errors") == (
        f"{where}: bad: enabled: must be true or false, without quotes\n"
    )
    assert m.sh('ls "$M"').check().lines == ["README", "good"]
    assert f"warning: {where}: bad: enabled: must be" in m.log


TIMEOUT_SET = """
mount --bind "$D/seconds" /proc/sys/fs/fuse/max_request_timeout &&
"$B" "$D/connfs.json" "$D/mnt" && umount "$D/mnt"
"""


# The kernel would end the whole mount over one statement that takes longer.
@pytest.mark.parametrize("seconds", ["0", "30"])
def test_a_kernel_that_aborts_slow_requests_is_warned_of(
    source, mountpoint, test_dir, seconds
):
    (test_dir / "seconds").write_text(seconds + "\n")
    source(file_spec())
    env = {"D": str(test_dir), "B": str(BINARY)}

    ran = clients.start(
        ["unshare", "--mount", "sh", "-c", TIMEOUT_SET], env=env
    ).wait()
    wait_for(lambda: not daemons_of(mountpoint), "the daemon ends")

    assert ran.rc == 0
    warned = "fs.fuse.max_request_timeout is 30 s" in ran.err
    assert warned == (seconds == "30")


# The end


def ends_within(m, seconds):
    """The daemon's exit status."""
    return m.process.wait(seconds * SCALE)


@pytest.mark.parametrize("how", ["umount", "fusermount3 -u"])
def test_unmounting_ends_the_daemon_with_0(mount, test_dir, how):
    m = mount(db=servers.Sqlite(test_dir / "a.db").spec())
    assert m.query("select 1 as a;").out == "a\n1\n"

    m.sh(f'{how} "$M"').check()

    assert ends_within(m, 5) == 0
    assert connection_of(m.mnt) is None


# With a statement that would run for ever and its reader waiting: both end.
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_daemon_with_0_whatever_runs(mount, engine, number):
    m = mount(db=engine.spec())
    client = m.start_sh(f'echo "{engine.slow};" >"$C/query.sql"; cat "$C/result.csv"')
    client.wait_parked()

    m.process.send_signal(number)

    assert ends_within(m, 5) == 0
    assert connection_of(m.mnt) is None
    assert client.wait(5).rc != 0


# Open transactions are rolled back, not left to the server's timeouts.
def test_the_end_rolls_back_and_logs_out(mount, pg, database):
    pg.sql("create table t (a int)", database, "app")
    m = mount(db=pg.spec(database=database))
    client = m.start_sh(
        'echo "begin; insert into t values (1); select 1;" >"$C/query.sql";'
        ' cat "$C/result.csv"; exec sleep 600'
    )
    mine = f"datname = '{database}'"
    wait_for(
        lambda: [a[1] for a in pg.activity(mine)] == ["idle in transaction"],
        "the transaction is open",
    )

    m.process.send_signal(signal.SIGTERM)

    assert ends_within(m, 5) == 0
    wait_for(lambda: not pg.activity(mine), "the session has logged out")
    assert pg.sql("select count(*) from t", database) == [("0",)]
    assert client.running


# A daemon that cannot start says so at once, also to those in the foreground.
def test_a_foreground_daemon_with_a_bad_source_ends_with_1(mount):
    with pytest.raises(DaemonEnded) as e:
        mount(files={"settings.json": {"settings": {"max_row": -1}}})

    assert e.value.rc == 1
    assert "settings.json: settings: max_row: must be bytes" in e.value.log
