# SPDX-License-Identifier: MIT
"""The command line: what connfs accepts, says, mounts, and how it ends."""

import json
import os

import pytest

import servers
from mount import connection_of, unmount_and_wait

NOBODY = 65534


def file_spec(conn_id="demo", **fields):
    return {
        "conn_id": conn_id,
        "type": "sqlite3",
        "enabled": True,
        "host": "/srv/nowhere.db",
        **fields,
    }


# Words


def test_help_names_every_form_of_the_command(connfs):
    shown = connfs("--help").check()

    assert shown.out.startswith(
        "usage: connfs [-f] [-d] [-o option[,option...]] SOURCE MOUNTPOINT\n"
        "       connfs --check SOURCE\n"
        "       connfs --ready MOUNTPOINT [CONN] [--wait 30s]\n"
        "       connfs attach [--from MOUNTPOINT] --at DIRECTORY PID\n"
        "       connfs detach --at DIRECTORY PID\n"
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
        (["--until", "0", "/etc", "/mnt"], "--until 0: must be a number from 1 on"),
        (["--until", "1x", "/etc", "/mnt"], "--until 1x: must be a number from 1 on"),
        (["--fd", "-1", "/etc", "/mnt"], "--fd -1: must be a number from 0 on"),
        (["--fd", "3", "/etc", "/mnt"], "--fd needs --until"),
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
            {
                "conn_id": "d",
                "type": "MariaDB",
                "enabled": True,
                "host": "db.example.invalid",
                "connect_to": "127.0.0.1:13306",
                "ssl": True,
                "tls_fingerprint": ":".join(["A1"] * 32),
                "user": "u",
                "database": "d",
                "sticky": True,
                "idle_in_transaction_timeout": "1m",
            },
        ]
    )

    checked = connfs("--check", path).check()

    assert checked.lines == [
        f"OK   a  sqlite3  {path}  (not enabled)",
        f"OK   b/c  sqlite3  {path}",
        f"OK   c  postgres  {path}",
        f"OK   d  mariadb  {path}",
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
        "no JSON": (
            source('[{"conn_id": }]', "a.json"),
            "a.json:1:14: unexpected token",
        ),
        "empty": (
            source("", "b.json"),
            "b.json:1:0: '[' or '{' expected near end of file",
        ),
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
        (
            "session_timeout=0",
            "session_timeout: must be from 1ms to 2147483647ms",
        ),
        (
            "idle_in_transaction_timeout=never",
            "idle_in_transaction_timeout: must be seconds, or a text like"
            ' "15m" (ms s m h d w)',
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
        options=[
            "max_connections=4",
            "idle_timeout=90s",
            "session_timeout=2h",
            "idle_in_transaction_timeout=20s",
        ],
    )

    shown = json.loads(m.read("db", "connection.json"))
    assert shown["max_connections"] == 4
    assert shown["connect_timeout"] == "3s"
    assert shown["idle_timeout"] == "90s"
    assert shown["idle_in_transaction_timeout"] == "20s"


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
