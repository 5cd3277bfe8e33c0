# SPDX-License-Identifier: MIT
"""Who is calling, what they may use, and what the database is told of them."""

import errno
import json
import os
import pathlib
import subprocess

import pytest

import clients
import mount as mounts
from clients import wait_for
from doors import Door
from strangers import PASS_FD, TRY, reopened

# Nobody's numbers, and Debian's user and group of games.
ALICE = 20001
BOB = 20002
TEAM = 30001
GAMES_UID, GAMES_GID = 5, 60

NOT_THERE = errno.errorcode[errno.ENOENT]
FORBIDDEN = errno.errorcode[errno.EACCES]


# What an open of query.sql for writing comes to.
def opening(m, conn="db", **how):
    code = TRY + 'tell(lambda: open(C + "/query.sql", "w").close())'
    return m.python(code, conn, **how).check().out.strip()


def names_in(m, **how):
    return m.sh('ls -A "$M"', **how).check().lines


# Access is deny by default: without `access` a connection is the owner's alone.
def test_a_connection_without_access_is_the_owners(mount, db):
    m = mount(db=db.spec())

    assert names_in(m) == [".connfs", "README", "db"]
    assert names_in(m, uid=ALICE) == [".connfs", "README"]
    assert m.query("select n from t;").check().out == "n\n1\n"
    assert opening(m, uid=ALICE) == NOT_THERE


@pytest.mark.parametrize(
    "access, who",
    [
        ({"users": ["games"]}, {"uid": GAMES_UID, "gid": TEAM}),
        ({"users": [ALICE]}, {"uid": ALICE}),
        ({"users": ["root", ALICE]}, {"uid": ALICE}),
        ({"groups": ["games"]}, {"uid": ALICE, "gid": GAMES_GID}),
        ({"groups": [TEAM]}, {"uid": ALICE, "gid": TEAM}),
        ({"groups": [TEAM]}, {"uid": ALICE, "groups": [7, TEAM]}),
        ({"everyone": True}, {"uid": ALICE}),
        ({"users": [], "groups": []}, {}),  # the owner always may
    ],
    ids=lambda value: json.dumps(value),
)
def test_whom_the_rule_names_may_use_it(mount, db, access, who):
    m = mount(db=db.spec(access=access))

    assert m.query("select n from t;", **who).check().out == "n\n1\n"
    assert "db" in names_in(m, **who)


@pytest.mark.parametrize(
    "access, who",
    [
        ({"users": ["games"]}, {"uid": ALICE, "gid": GAMES_GID}),
        ({"users": [ALICE]}, {"uid": BOB, "gid": ALICE}),
        ({"groups": ["games"]}, {"uid": GAMES_UID, "gid": ALICE}),
        ({"groups": [TEAM]}, {"uid": TEAM, "gid": BOB, "groups": [7]}),
        ({"everyone": False}, {"uid": ALICE}),
    ],
    ids=lambda value: json.dumps(value),
)
def test_whom_the_rule_does_not_name_may_not(mount, db, access, who):
    m = mount(db=db.spec(access=access))

    assert opening(m, **who) == NOT_THERE
    assert "db" not in names_in(m, **who)


# What a caller may not use it does not see, by whatever call it asks.
def test_a_denied_caller_sees_nothing_by_any_call(mount, db):
    m = mount(db=db.spec())
    code = TRY + """
tell(lambda: os.stat(C))
tell(lambda: os.listdir(C))
tell(lambda: os.open(C, os.O_RDONLY | os.O_DIRECTORY))
tell(lambda: os.chdir(C))
tell(lambda: os.stat(C + "/query.sql"))
tell(lambda: os.stat(C + "/creds"))
tell(lambda: os.stat(C + "/creds/user"))
tell(lambda: os.listdir(C + "/results"))
tell(lambda: os.stat(C + "/nothing"))
tell(lambda: open(C + "/connection.json"))
tell(lambda: open(C + "/query.sql", "w"))
tell(lambda: open(C + "/.scratch", "w"))
tell(lambda: os.unlink(C + "/.scratch"))
tell(lambda: os.rename(C + "/a", C + "/query.sql"))
tell(lambda: os.stat(M + "/never"))
print(os.access(C, os.F_OK), os.listdir(M))
"""

    out = m.python(code, uid=ALICE).check().lines

    assert out[:-1] == [NOT_THERE] * 15
    assert out[-1] == "False ['README', '.connfs']"


# A conn_id with slashes: each directory is there for whom something below is.
def test_directories_on_the_way_are_seen_with_what_is_below(mount, db):
    m = mount(
        {
            "east/prod": db.spec(),
            "east/dev": db.spec(access={"users": [ALICE]}),
            "west/prod": db.spec(),
        }
    )
    script = 'cd "$M" && find . -path ./.connfs -prune -o -type d -print | sort'

    seen = m.sh(script, uid=ALICE).check().lines
    outside = m.sh('ls "$M/west"', uid=ALICE)

    assert seen == [
        *[".", "./east", "./east/dev", "./east/dev/creds"],
        "./east/dev/queries",
        "./east/dev/results",
        "./east/dev/sessions",
    ]
    assert outside.rc == 2
    assert "No such file or directory" in outside.err


# An ENOENT at the LOOKUP of the directory itself would unhash it in the kernel
# for everyone: /bin/pwd of those inside failed. So lookups by others succeed.
def test_denied_lookups_do_not_disturb_those_inside(mount, db):
    m = mount(db=db.spec(access={"users": [ALICE]}))
    hammer = (
        'while :; do ls "$C"; cat "$C/query.sql"; stat "$C/result.csv"; done'
        " >/dev/null 2>&1"
    )
    work = (
        'cd "$C" && for i in $(seq 40); do /bin/pwd; cat /proc/self/mounts >/dev/null;'
        ' echo "select $i as n;" >query.sql && cat result.csv || exit 1; done'
    )

    strangers = [m.start_sh(hammer, uid=BOB) for _ in range(2)]
    inside = m.sh(work, uid=ALICE).check().lines

    expected = [[str(m.path("db")), "n", str(i)] for i in range(1, 41)]
    assert inside == sum(expected, [])
    assert [stranger.running for stranger in strangers] == [True, True]


# "enabled" has to be said: absent is disabled, and that counts for the owner.
@pytest.mark.parametrize("enabled", [False, None])
def test_what_is_not_enabled_is_not_there(mount, db, enabled):
    m = mount(db=db.spec(), off=db.spec(enabled=enabled, access={"everyone": True}))

    assert names_in(m) == [".connfs", "README", "db"]
    assert opening(m, "off") == NOT_THERE
    assert opening(m, "off", uid=ALICE) == NOT_THERE


# Access is tested again at every statement, not only when a file is opened.
@pytest.mark.parametrize(
    "change, expected",
    [
        ({"access": {"users": [BOB]}}, FORBIDDEN),
        ({"access": {}}, FORBIDDEN),
        ({"enabled": False}, NOT_THERE),
        ({"access": {"everyone": True}}, "ok"),
    ],
    ids=["another-user", "nobody", "disabled", "everyone"],
)
def test_a_reload_counts_for_the_next_statement_of_an_open_file(
    mount, db, test_dir, change, expected
):
    m = mount(db=db.spec(access={"users": [ALICE]}), other=db.spec())
    door = Door(test_dir / "door")
    code = TRY + f"""
fd = os.open(C + "/query.sql", os.O_WRONLY)
tell(lambda: os.write(fd, b"select 1;"))
open({str(door)!r}).readline()
tell(lambda: os.write(fd, b"select 2;"))
"""
    client = m.start_python(code, "db", uid=ALICE)
    door.reached()

    m.specs["db"].update(change)
    m.reload()
    wait_for(lambda: "again" in m.log, "SOURCE is read again")
    door.open()

    assert client.wait().check().lines == ["ok", expected]


# And somebody who was let in comes in without a new mount.
def test_a_reload_lets_in_whom_the_rule_names_by_then(mount, db):
    m = mount(db=db.spec())
    assert opening(m, uid=ALICE) == NOT_THERE

    m.specs["db"]["access"] = {"users": [ALICE]}
    m.reload()

    wait_for(lambda: "db" in names_in(m, uid=ALICE), "the connection is seen")
    assert m.query("select n from t;", uid=ALICE).check().out == "n\n1\n"


# Files about the mount as a whole are for its owner.
@pytest.mark.parametrize("name", ["status.json", "errors"])
def test_files_about_the_mount_are_the_owners(mount, db, name):
    m = mount(db=db.spec(access={"everyone": True}))

    refused = m.sh(f'cat "$M/.connfs/{name}"', uid=ALICE)

    assert m.sh(f'cat "$M/.connfs/{name}"').check().rc == 0
    assert (refused.rc, refused.out) == (1, "")
    assert "No such file or directory" in refused.err
    assert name not in m.sh('ls "$M/.connfs"', uid=ALICE).check().lines
    assert name in m.sh('ls "$M/.connfs"').check().lines


# uid 0 of a container is an ordinary caller, with and without a user namespace.
@pytest.mark.parametrize("userns", [False, True])
def test_root_of_a_container_is_not_the_owner(mount, db, busybox, userns):
    m = mount(db=db.spec(access={"everyone": True}), hidden=db.spec())
    script = "ls /conn /conn/.connfs; cat /conn/.connfs/status.json"

    seen = m.container(script, busybox, userns=userns)

    assert seen.lines == [
        *["/conn:", "README", "db", "", "/conn/.connfs:"],
        *["cancel", "ready", "statements", "version"],
    ]
    assert "No such file or directory" in seen.err
    assert (
        m.container("cat /conn/hidden/query.sql", busybox, userns=userns).rc == 1
    )


# The identity of a statement is the opener's; who was merely handed the
# descriptor has no right to speak in its name, root included.
@pytest.mark.parametrize("name", ["query.sql", "cancel", "creds/refresh"])
def test_root_may_not_write_on_a_descriptor_that_another_uid_opened(mount, db, name):
    m = mount(db=db.spec(access={"users": [ALICE]}))
    code = TRY + PASS_FD + f"""
pid = as_alice(lambda: send(os.open(C + "/{name}", os.O_WRONLY)))
fd = receive()
os.waitpid(pid, 0)
tell(lambda: os.write(fd, b"insert into t values (2);"))
tell(lambda: os.close(fd))
"""

    assert m.python(code).check().lines == [FORBIDDEN, "ok"]
    assert db.sql("select count(*) from t") == [("1",)]


# The same for a descriptor that is inherited by a process of another uid.
def test_an_inherited_descriptor_is_its_openers(mount, db):
    m = mount(db=db.spec(access={"everyone": True}))
    script = (
        'exec 3>"$C/query.sql"; setpriv --reuid 20001 --regid 20001 --clear-groups'
        " bash -c 'echo \"insert into t values (2);\" >&3'; echo $?;"
        ' echo "insert into t values (3);" >&3; echo $?'
    )

    done = m.sh(script)

    assert done.lines == ["1", "0"]
    assert "Permission denied" in done.err
    assert db.sql("select n from t order by n") == [("1",), ("3",)]


# OPEN, not LOOKUP, is the door: a descriptor that only names a file (O_PATH)
# opens nothing for somebody else.
@pytest.mark.parametrize(
    "name",
    [
        *["db/result.csv", "db/error", "db/status.json", "db/query.sql"],
        *["db/client.json", ".connfs/status.json", ".connfs/errors"],
        ".connfs/statements",
    ],
)
def test_a_file_found_by_one_uid_is_not_opened_by_another(mount, db, name):
    m = mount(db=db.spec(access={"everyone": True}))
    code = reopened("{M}/" + name, "select 'secret' as s;", "{C}/query.sql")

    assert m.python(code).check().lines == ["ESTALE", "ok"]


CLIENT = """
import json, os, pathlib
def names(path):
    return os.stat(f"/proc/self/ns/{path}").st_ino
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(), "groups": sorted(os.getgroups()),
    "pid": os.getpid(), "pgid": os.getpgid(0), "sid": os.getsid(0),
    "comm": pathlib.Path("/proc/self/comm").read_text().strip(),
    "exe": os.readlink("/proc/self/exe"),
    "mnt_ns": names("mnt"), "pid_ns": names("pid"), "user_ns": names("user"),
}))
print(pathlib.Path(os.environ["C"] + "/client.json").read_text())
"""


# Nobody has to run a statement first to see the job connfs takes it for; and
# a tool that goes by the size gets the whole of it.
@pytest.mark.parametrize("cat", ["cat", "busybox cat"])
def test_client_json_names_the_job_at_the_first_read(mount, pg, database, cat):
    job = {"LAVA_REALM": "prod", "LAVA_JOB_ID": "42"}
    m = mount(db=pg.spec(database=database))

    said = json.loads(m.sh(f'{cat} "$C/client.json"', env=job).check().out)

    assert (said["realm"], said["job_id"]) == ("prod", "42")
    assert said["application_name"] == "lv-prod-42"


# client.json is the truth about the caller, as the caller itself knows it.
@pytest.mark.parametrize(
    "who, user, owner",
    [
        ({}, "root", True),
        ({"uid": GAMES_UID, "gid": TEAM, "groups": [7, GAMES_GID]}, "games", False),
        ({"uid": ALICE}, str(ALICE), False),
    ],
    ids=["root", "games", "alice"],
)
def test_client_json_is_true(mount, db, who, user, owner):
    m = mount(db=db.spec(access={"everyone": True}))

    own, _, said = m.python(CLIENT, **who).check().out.partition("\n")

    own, said = json.loads(own), json.loads(said)
    assert {key: said[key] for key in own} == own
    assert (said["user"], said["owner"]) == (user, owner)


# A request carries the number of a thread; the caller is its process.
def test_a_thread_is_its_process(mount, db):
    m = mount(db=db.spec())
    code = """
import json, os, pathlib, threading
def look():
    said = json.loads(pathlib.Path(os.environ["C"] + "/client.json").read_text())
    print(said["pid"] == os.getpid(), threading.get_native_id() == os.getpid())
t = threading.Thread(target=look)
t.start()
t.join()
"""

    assert m.python(code).check().out == "True False\n"


# A caller in a container is shown by its numbers on the host, and its
# namespaces are its own.
def test_client_json_of_a_container(mount, db, busybox):
    m = mount(db=db.spec(access={"everyone": True}))
    script = "readlink /proc/self/ns/pid; cat /conn/db/client.json"

    own, _, said = (
        m.container(script, busybox, userns=True).check().out.partition("\n")
    )

    said = json.loads(said)
    assert own == f"pid:[{said['pid_ns']}]"
    assert said["pid_ns"] != os.stat("/proc/self/ns/pid").st_ino
    assert said["user_ns"] != os.stat("/proc/self/ns/user").st_ino
    assert said["mnt_ns"] != os.stat("/proc/self/ns/mnt").st_ino
    assert (said["uid"], said["user"], said["owner"]) == (0, "0", False)
    assert (said["comm"], said["exe"]) == ("cat", "/bin/busybox")


ASK_NAME = {
    "postgres": "select current_setting('application_name') as name;",
    "mariadb": "select attr_value as name"
    " from performance_schema.session_account_connect_attrs"
    " where processlist_id = connection_id() and attr_name = 'program_name';",
}


# A name a process gives itself must not break what is written of it.
def test_client_json_survives_a_malicious_name(mount, server):
    m = mount(db=server.spec())
    code = r"""
import ctypes, json, os, pathlib
ctypes.CDLL(None).prctl(15, b"a\"b\\c\n'd", 0, 0, 0)
C = os.environ["C"]
pathlib.Path(C + "/query.sql").write_text(os.environ["ASK"])
print(json.loads(pathlib.Path(C + "/client.json").read_text())["application_name"])
print(pathlib.Path(C + "/result.csv").read_text())
"""

    env = {"ASK": ASK_NAME[server.name]}
    shown, _, result = m.python(code, env=env).check().out.partition("\n")

    assert shown == "connfs-root-abcd"
    assert result == "name\nconnfs-root-abcd\n\n"


def app_name(m, server, env=None, **how):
    """What a shell's session is called at the server."""
    script = 'echo "$ASK" >"$C/query.sql" && cat "$C/result.csv"'
    env = {"ASK": ASK_NAME[server.name], **(env or {})}
    return m.sh(script, env=env, **how).check().lines[1]


@pytest.mark.parametrize(
    "options, fields, env, expected",
    [
        ([], {}, {"LAVA_REALM": "prod", "LAVA_JOB_ID": "a/42"}, "lv-prod-a/42"),
        ([], {}, {"LAVA_JOB_ID": "42"}, "connfs-root-sh"),
        ([], {}, {"LAVA_REALM": "prod"}, "connfs-root-sh"),
        ([], {}, {}, "connfs-root-sh"),
        (["realm=own"], {}, {"LAVA_JOB_ID": "42"}, "lv-own-42"),
        (
            ["realm=own"],
            {},
            {"LAVA_REALM": "prod", "LAVA_JOB_ID": "42"},
            "lv-own-42",
        ),
        (
            ["conn_app_name={conn_id} of {user}"],
            {},
            {"LAVA_REALM": "prod", "LAVA_JOB_ID": "42"},
            "db of root",
        ),
        (
            ["conn_app_name=x"],
            {"application_name": "etl-{comm}-{job_id}"},
            {"LAVA_REALM": "prod", "LAVA_JOB_ID": "42"},
            "etl-sh-42",
        ),
    ],
)
def test_the_server_is_told_who_it_is(mount, server, options, fields, env, expected):
    m = mount(db=server.spec(**fields), options=options)

    assert app_name(m, server, env=env) == expected


def test_without_a_job_user_and_program_name_it(mount, server):
    m = mount(db=server.spec(access={"users": ["games", ALICE]}))

    assert app_name(m, server, uid=GAMES_UID) == "connfs-games-sh"
    assert app_name(m, server, uid=ALICE) == f"connfs-{ALICE}-sh"


# PostgreSQL keeps 63 bytes, of which it shows a ? for each that is not ASCII,
# and MariaDB 512 of all that it is told: it is cut here, and never within a
# character.
@pytest.mark.parametrize(
    "server, kept, shown",
    [("postgres", 28, "?" * 56), ("mariadb", 124, "\u00e4" * 124)],
    indirect=["server"],
)
def test_a_long_name_is_cut_at_a_character(mount, server, kept, shown):
    m = mount(db=server.spec())
    script = (
        'echo "select 1;" >"$C/query.sql" && cat "$C/status.json" && exec sleep 600'
    )
    env = {"LAVA_REALM": "rr", "LAVA_JOB_ID": "\u00e4" * 140}
    client = m.start_sh(script, env=env)

    wait_for(lambda: client.stdout.endswith(b"}\n"), "status.json is shown")

    name = json.loads(client.stdout)["application_name"]
    assert name == "lv-rr-" + "\u00e4" * kept
    assert [row[2] for row in server.activity()] == ["lv-rr-" + shown]


# A caller's environment is read, but not without end: without a name it goes.
def test_a_huge_environment_costs_only_the_name(mount, server):
    m = mount(db=server.spec())
    job = {"LAVA_REALM": "prod", "LAVA_JOB_ID": "42"}
    small = {"PAD": "x" * 100_000, **job}
    huge = {**{f"PAD{i}": "x" * 100_000 for i in range(10)}, **job}

    assert app_name(m, server, env=small) == "lv-prod-42"
    assert app_name(m, server, env=huge) == "connfs-root-sh"


# What is in a caller's environment names it, and never authorises it.
def test_the_environment_gives_no_rights(mount, db):
    m = mount(db=db.spec())
    env = {"LAVA_REALM": "prod", "LAVA_JOB_ID": "42", "USER": "root", "UID": "0"}

    assert opening(m, uid=ALICE, env=env) == NOT_THERE


# A caller in a pid namespace that the daemon does not see arrives with pid 0:
# nothing could be told of it, not even whether it is the same one next time.
def test_a_caller_without_a_pid_gets_eacces(db, test_dir):
    where = mounts.Mount(test_dir / "inner", {"db": db.spec()})
    daemon = clients.start(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        + [str(mounts.BINARY), "-f", "-o", "allow_other"]
        + [str(where.config), str(where.mnt)],
        env=mounts.sanitizer_env(where.dir / "sanitizer"),
    )
    pid = wait_for(lambda: child_of(daemon.pid), "unshare has a child")
    table = pathlib.Path(f"/proc/{pid}/mountinfo")
    wait_for(lambda: f" {where.mnt} " in table.read_text(), "the mount appears")
    enter = ["nsenter", "-t", str(pid), "--mount"]
    env = {"C": str(where.path("db"))}
    script = 'ls "$C"; echo "select n from t;" >"$C/query.sql" && cat "$C/result.csv"'

    outside = clients.start(enter + ["sh", "-c", script], env=env).wait()
    inside = clients.start(enter + ["--pid", "sh", "-c", script], env=env).wait()
    subprocess.run(enter + ["umount", str(where.mnt)], check=True, timeout=10)

    assert outside.out == ""
    assert outside.err.count("Permission denied") == 2
    assert inside.check().out.endswith("\nn\n1\n")
    assert daemon.wait().rc == 0
    assert not mounts.sanitizer_reports(where.dir / "sanitizer")


def child_of(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return int(text.split()[0]) if text.split() else None
