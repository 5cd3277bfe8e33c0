# SPDX-License-Identifier: MIT
"""What stands where, with which modes and owners, and what looking costs."""

import json
import os
import re

import pytest

import servers
from mount import connection_of

OTHER = 1000

CONNECTION = [
    "cancel",
    "client.json",
    "connection.json",
    "creds",
    "error",
    "params.json",
    "queries",
    "query.sql",
    "result.csv",
    "result.json",
    "result.jsonl",
    "result.tsv",
    "result.txt",
    "results",
    "sessions",
    "sql",
    "status.json",
    "wait",
]
CREDS = [
    "error",
    "expires_at",
    "issued_at",
    "refresh",
    "source",
    "state",
    "status.json",
    "ttl",
    "user",
]

# Packets to this network are answered by nobody, so a connection there hangs.
UNROUTABLE = {
    "type": "postgres",
    "enabled": True,
    "host": "192.0.2.1",
    "user": "u",
    "database": "d",
    "password_plain": "never-sent",
}


@pytest.fixture
def db(test_dir):
    """The spec of a SQLite file."""
    return servers.Sqlite(test_dir / "test.db").spec()


def listing(m, *names, **how):
    """What ls -A shows of a directory of the mount, in the order of bytes."""
    env = {"D": str(m.path(*names)), "LC_ALL": "C"}
    return m.sh('ls -A "$D"', env=env, **how).check().lines


def errno_of(m, code, conn=None, **how):
    """The symbolic errno that a piece of Python fails with; "" if it does not."""
    script = (
        "import errno, os, sys\n"
        "m, c = os.environ['M'], os.environ.get('C')\n"
        "try:\n"
        f"    {code}\n"
        "except OSError as e:\n"
        "    print(errno.errorcode[e.errno])\n"
    )
    return m.python(script, conn, **how).check().out.strip()


# Listings


def test_listing_of_every_directory(mount, db):
    m = mount(db=db)

    assert listing(m) == [".connfs", "README", "db"]
    assert listing(m, ".connfs") == [
        "cancel",
        "errors",
        "ready",
        "reload",
        "statements",
        "status.json",
        "version",
    ]
    assert listing(m, "db") == CONNECTION
    assert listing(m, "db", "creds") == CREDS
    assert listing(m, "db", "results") == []


# results/ has what the caller's script produced, and nobody else's.
def test_results_lists_the_result_sets_of_the_callers_script(mount, db):
    m = mount(db=db)

    mine = m.sh(
        'echo "select 1; create table t(a); select 2;" >"$C/query.sql";'
        ' ls "$C/results"'
    ).check()

    formats = ["csv", "json", "jsonl", "tsv", "txt"]
    assert mine.lines == [f"{n}.{f}" for n in [1, 2] for f in formats]
    assert listing(m, "db", "results") == []


# The owner's files are not shown to others, the connections they may not use
# are not either.
def test_others_see_what_they_may_use(mount, db):
    allowed = {**db, "access": {"users": [OTHER]}}
    m = mount({"a/allowed": allowed, "a/denied": db, "b/denied": db})

    assert listing(m, uid=OTHER) == [".connfs", "README", "a"]
    assert listing(m, "a", uid=OTHER) == ["allowed"]
    assert listing(m, ".connfs", uid=OTHER) == [
        "cancel",
        "ready",
        "statements",
        "version",
    ]
    for name in ["errors", "status.json"]:
        assert errno_of(m, f"open(m + '/.connfs/{name}')", uid=OTHER) == "ENOENT"
    assert errno_of(m, "os.listdir(m + '/b')", uid=OTHER) == "ENOENT"
    assert errno_of(m, "os.listdir(m + '/a/denied')", uid=OTHER) == "ENOENT"
    assert errno_of(m, "open(m + '/a/denied/error')", uid=OTHER) == "ENOENT"


# Modes and owners say what is possible; a caller's own files are the caller's.
def test_modes_and_owners(mount, db):
    m = mount(db={**db, "access": {"users": [OTHER]}})

    paths = ". README .connfs .connfs/* db db/* db/creds/*"
    script = f'cd "$M" && stat -c "%A %u:%g %n" {paths}'
    root = m.sh(script).check().lines
    other = m.sh(script, uid=OTHER).check().lines

    assert root == [
        "dr-xr-xr-x 0:0 .",
        "-r--r--r-- 0:0 README",
        "dr-xr-xr-x 0:0 .connfs",
        "--w--w--w- 0:0 .connfs/cancel",
        "-r-------- 0:0 .connfs/errors",
        "-r--r--r-- 0:0 .connfs/ready",
        "--w------- 0:0 .connfs/reload",
        "-r--r--r-- 0:0 .connfs/statements",
        "-r-------- 0:0 .connfs/status.json",
        "-r--r--r-- 0:0 .connfs/version",
        "dr-xr-xr-x 0:0 db",
        "--w--w--w- 0:0 db/cancel",
        "-r--r--r-- 0:0 db/client.json",
        "-r--r--r-- 0:0 db/connection.json",
        "dr-xr-xr-x 0:0 db/creds",
        "-r--r--r-- 0:0 db/error",
        "-rw-r--r-- 0:0 db/params.json",
        "drwxrwxrwt 0:0 db/queries",
        "-rw-r--r-- 0:0 db/query.sql",
        "-r--r--r-- 0:0 db/result.csv",
        "-r--r--r-- 0:0 db/result.json",
        "-r--r--r-- 0:0 db/result.jsonl",
        "-r--r--r-- 0:0 db/result.tsv",
        "-r--r--r-- 0:0 db/result.txt",
        "dr-xr-xr-x 0:0 db/results",
        "drwxrwxrwt 0:0 db/sessions",
        "-r-xr-xr-x 0:0 db/sql",
        "-r--r--r-- 0:0 db/status.json",
        "-r--r--r-- 0:0 db/wait",
        "-r--r--r-- 0:0 db/creds/error",
        "-r--r--r-- 0:0 db/creds/expires_at",
        "-r--r--r-- 0:0 db/creds/issued_at",
        "--w--w--w- 0:0 db/creds/refresh",
        "-r--r--r-- 0:0 db/creds/source",
        "-r--r--r-- 0:0 db/creds/state",
        "-r--r--r-- 0:0 db/creds/status.json",
        "-r--r--r-- 0:0 db/creds/ttl",
        "-r--r--r-- 0:0 db/creds/user",
    ]
    results = {f"result.{f}" for f in ["csv", "json", "jsonl", "tsv", "txt"]}
    callers = {"cancel", "client.json", "error", "params.json", "query.sql", "wait"}
    callers = {f"db/{name}" for name in callers | results | {"status.json"}}
    assert [line for line in other if f"{OTHER}:{OTHER}" in line] == [
        line.replace("0:0", f"{OTHER}:{OTHER}")
        for line in root
        if line.split()[-1] in callers
    ]


# Names


def test_slashes_in_a_conn_id_are_directories(mount, db):
    m = mount({"redshift/dev": db, "redshift/prod": db, "shop": db})

    assert listing(m) == [".connfs", "README", "redshift", "shop"]
    assert listing(m, "redshift") == ["dev", "prod"]
    assert listing(m, "redshift", "dev") == CONNECTION
    assert m.query("select 1 as a;", conn="redshift/dev").out == "a\n1\n"


# A connection may be above another: its directory has both.
def test_one_connection_inside_another(mount, db):
    m = mount({"a": db, "a/b": db})

    assert listing(m) == [".connfs", "README", "a"]
    assert listing(m, "a") == sorted([*CONNECTION, "b"])
    assert m.query("select 1 as a;", conn="a").out == "a\n1\n"
    assert m.query("select 2 as a;", conn="a/b").out == "a\n2\n"


# The inner one may be somebody's who has no business in the outer one.
def test_inside_a_connection_one_may_not_use(mount, db):
    m = mount({"a": db, "a/b": {**db, "access": {"users": [OTHER]}}})

    assert listing(m, "a", uid=OTHER) == ["b"]
    assert errno_of(m, "open(m + '/a/status.json')", uid=OTHER) == "ENOENT"
    assert errno_of(m, "open(m + '/a/creds/state')", uid=OTHER) == "ENOENT"
    assert m.query("select 2 as a;", conn="a/b", uid=OTHER).out == "a\n2\n"


# What would collide with a name of the tree, hide itself, or break a line is
# percent-encoded; all else stands as it is.
@pytest.mark.parametrize(
    "conn_id, shown",
    [
        ("query.sql", "%71uery.sql"),
        ("result.csv", "%72esult.csv"),
        ("README", "%52EADME"),
        ("creds", "%63reds"),
        ("sessions", "%73essions"),
        (".connfs", "%2Econnfs"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("100%", "100%25"),
        ("two\nlines", "two%0Alines"),
        ("tab\tand bell\a", "tab%09and bell%07"),
        ("with space & 'quotes'", "with space & 'quotes'"),
        ("grüße", "grüße"),
        ("a/creds", "a/%63reds"),
        ("x" * 255, "x" * 255),
    ],
)
def test_names_that_need_it_are_percent_encoded(mount, db, conn_id, shown):
    m = mount({conn_id: db})

    assert m.sh('cat "$M/$N/query.sql"', env={"N": shown}).check().out == ""
    assert json.loads(m.read(shown, "connection.json"))["conn_id"] == conn_id
    parent, _, last = shown.rpartition("/")
    assert last in listing(m, parent)


# No other spelling of a name leads to it: what is listed is what there is.
def test_an_encoded_name_has_one_form(mount, db):
    m = mount({"a%b": db})

    for name in ["a%b", "a%25b/", "a%2525b", "%61%25b"]:
        expected = "" if name == "a%25b/" else "ENOENT"
        assert errno_of(m, f"os.listdir(m + '/{name}')") == expected


# A refused name is an error of that spec alone.
@pytest.mark.parametrize(
    "conn_id, why",
    [
        ("", "must not be empty"),
        ("/a", "has nothing before or between slashes"),
        ("a//b", "has nothing before or between slashes"),
        ("a/", "must not end with a slash"),
        ("x" * 256, "has a part that is over 255 bytes long"),
        ("%" * 90, "has a part that is over 255 bytes long"),
    ],
)
def test_names_that_cannot_be_are_spec_errors(mount, db, conn_id, why):
    m = mount({"good": db, conn_id: db})

    assert listing(m) == [".connfs", "README", "good"]
    assert f" conn_id: {why}\n" in m.read(".connfs", "errors")


def test_disabled_connections_are_not_there(mount, db):
    m = mount(
        on=db, off={**db, "enabled": False}, absent={**db, "enabled": None},
        silent={k: v for k, v in db.items() if k != "enabled"},
    )

    assert listing(m) == [".connfs", "README", "on"]
    where = m.config / "connfs.json"
    assert m.read(".connfs", "errors") == (
        f"{where}: absent: enabled: must be true or false, without quotes\n"
    )


# READDIR in several pieces gives each name once.
def test_300_connections_are_listed_once_each(mount, db):
    names = [f"connection-with-a-rather-long-name-{i:03}" for i in range(300)]
    m = mount({name: db for name in names})

    assert listing(m) == [".connfs", "README", *names]
    assert m.query("select 1 as a;", conn=names[299]).out == "a\n1\n"


# Fixed texts


def test_version_and_ready(mount, db, connfs):
    m = mount(db=db)

    assert "connfs " + m.read(".connfs", "version") == connfs("--version").out
    assert m.read(".connfs", "ready") == "ready\n"


def test_status_of_the_mount(mount, db):
    m = mount(db=db, bad={"type": "nonsense"})
    m.query("select 1;", conn="db")

    status = json.loads(m.read(".connfs", "status.json"))

    for when in ["started_at", "source_read_at"]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", status.pop(when))
    assert status.pop("requests") > 0
    # Of the shell that has ended, until the next look at such.
    assert status.pop("conversations") in (0, 1)
    assert status.pop("database_sessions") in (0, 1)
    assert status == {
        "version": m.read(".connfs", "version").strip(),
        "pid": m.pid,
        "connections": 1,
        "spec_errors": 1,
        "source_ok": False,
        "reloads": 0,
    }


# connection.json: the spec as resolved, an allow-list of its fields.
def test_connection_json_shows_no_secret_and_no_private_key(mount, pg):
    m = mount(
        db=pg.spec(
            init_sql="set work_mem = '8MB'",
            access={"users": [OTHER]},
            **{"x-note": "private"},
            description="main",
        )
    )

    shown = json.loads(m.read("db", "connection.json"))

    assert shown == {
        "conn_id": "db",
        "type": "postgres",
        "enabled": True,
        "description": "main",
        "host": pg.host,
        "port": pg.port,
        "database": "app",
        "user": "app",
        "password_source": "static",
        "sslmode": "disable",
        "read_only": False,
        "connect_timeout": "10s",
        "idle_timeout": "600s",
        "idle_in_transaction_timeout": "300s",
        "max_connections": 10,
        "sticky": False,
    }


# Looking around


LOOKERS = {
    "ls": 'ls -lR "$M"',
    "ls -la": 'ls -la "$M" "$C" "$C/creds" "$C/results"',
    "find": 'find "$M" -size +1000k -o -newer /etc/passwd',
    "du": 'du -a "$M"',
    "stat": 'stat "$M"/* "$C"/*',
    "statfs": 'stat -f "$M" "$C/result.csv"',
    "df": 'df "$M" "$C/query.sql"',
    "rsync": 'rsync --list-only -r "$M/" ',
    "test": 'test -e "$C/result.csv" && test -r "$C/query.sql"',
    "touch": 'test -w "$C/query.sql" && test ! -x "$C/query.sql"',
}


# ls, find, du, stat and statfs never connect, never run and never wait. A
# server that nobody reaches makes whoever connects wait.
@pytest.mark.parametrize("tool", LOOKERS)
def test_looking_runs_and_connects_nothing(mount, tool):
    m = mount(db=UNROUTABLE)

    looked = m.sh(LOOKERS[tool], timeout=5)

    assert looked.rc == 0, looked
    assert json.loads(m.read("db", "status.json"))["state"] == "idle"
    assert json.loads(m.read(".connfs", "status.json"))["database_sessions"] == 0


# Nothing to read blocks or runs either; a result there is none of says so.
def test_reading_everything_connects_nothing(mount):
    m = mount(db=UNROUTABLE)

    grepped = m.sh('grep -rc "" "$M"', timeout=5)

    failed = [line for line in grepped.err.splitlines()]
    assert {line.rpartition(": ")[2] for line in failed if "/result." in line} == {
        "No data available"
    }
    names = [line.split(": ")[1].rpartition("/")[2] for line in failed]
    formats = ["csv", "json", "jsonl", "tsv", "txt"]
    written = {"cancel", "refresh", "reload"}
    assert set(names) == written | {f"result.{f}" for f in formats}
    assert json.loads(m.read(".connfs", "status.json"))["database_sessions"] == 0


def test_tar_of_a_connection_has_its_texts(mount, db):
    m = mount(db=db)

    made = m.sh(
        'cd "$C" && echo "select 7 as n;" >query.sql &&'
        " tar cf - connection.json result.csv creds/state | tar xOf - result.csv"
    )

    assert (made.rc, made.out) == (0, "n\n7\n")


def test_statfs_tells_names_and_no_space(mount, db):
    m = mount(db=db)

    shown = m.sh('stat -f -c "%T %l %b %f %a" "$M"').check().out

    assert shown == "fuseblk 255 0 0 0\n" or shown == "fuse 255 0 0 0\n"


# The inode number of a fixed directory stays, or `pwd` and find would break.
def test_directories_keep_their_inodes(mount, db):
    m = mount(db=db)

    script = 'cd "$C" && stat -c %i . .. creds results && /bin/pwd'
    first, second = m.sh(script).check(), m.sh(script).check()

    assert first.out == second.out
    assert first.lines[-1] == str(m.path("db"))


# Writing where nothing can be written


WRITES = {
    "open(c + '/result.csv', 'w')": "EACCES",
    "open(c + '/status.json', 'a')": "EACCES",
    "open(c + '/error', 'r+')": "EACCES",
    "open(m + '/README', 'w')": "EACCES",
    "open(c + '/creds/state', 'w')": "EACCES",
    "open(c + '/cancel')": "EACCES",
    "open(c + '/creds/refresh')": "EACCES",
    "open(m + '/new', 'w')": "EACCES",
    "open(m + '/.connfs/new', 'w')": "EACCES",
    "open(c + '/creds/new', 'w')": "EACCES",
    "open(c + '/results/1.csv', 'w')": "EACCES",
    "os.mkdir(m + '/new')": "EACCES",
    "os.mkdir(c + '/new')": "EACCES",
    "os.rmdir(c)": "EACCES",
    "os.rmdir(c + '/creds')": "EACCES",
    "os.unlink(c + '/query.sql')": "EACCES",
    "os.unlink(c + '/result.csv')": "EACCES",
    "os.unlink(m + '/README')": "EACCES",
    "os.unlink(c + '/creds/state')": "EACCES",
    "os.unlink(c + '/none')": "ENOENT",
    "os.rename(c + '/query.sql', c + '/mine')": "EACCES",
    "os.rename(c, m + '/mine')": "EACCES",
    "os.link(c + '/query.sql', c + '/mine')": "EPERM",
    "os.symlink('query.sql', c + '/mine')": "EPERM",
    "os.mkfifo(c + '/mine')": "EPERM",
    "os.chmod(c + '/result.csv', 0o666)": "EACCES",
    "os.chmod(c, 0o777)": "EACCES",
    "os.chown(c + '/result.csv', 1, 1)": "EACCES",
    "os.utime(c + '/README' if False else m + '/README')": "EACCES",
    "os.truncate(c + '/result.csv', 0)": "EACCES",
    "os.truncate(c, 0)": "EISDIR",
    "os.setxattr(c + '/query.sql', 'user.a', b'b')": "ENOTSUP",
    "open(c + '/none')": "ENOENT",
    "open(c + '/result.tsv')": "ENODATA",
    "open(c + '/result.xml')": "ENOENT",
    "open(c + '/sql', 'w')": "EACCES",
    "os.listdir(c + '/query.sql')": "ENOTDIR",
    "open(c + '/' + 'x' * 256, 'w')": "ENAMETOOLONG",
}


# Every refusal is one that a shell's message explains, never EIO or ENOSYS.
def test_what_cannot_be_written_says_so(mount, db):
    m = mount(db=db)
    script = (
        "import errno, json, os, sys\n"
        "m, c = os.environ['M'], os.environ['C']\n"
        "for code in json.load(sys.stdin):\n"
        "    try:\n"
        "        exec(code)\n"
        "        print('')\n"
        "    except OSError as e:\n"
        "        print(errno.errorcode[e.errno])\n"
    )

    seen = m.python(script, stdin=json.dumps(list(WRITES))).check().out.split("\n")

    assert dict(zip(WRITES, seen)) == WRITES
    assert listing(m, "db") == CONNECTION


# The mount cannot be removed under the daemon, nor used as a device.
def test_the_mount_is_nosuid_and_nodev(mount, db):
    m = mount(db=db)

    with open("/proc/self/mountinfo") as f:
        (line,) = [li for li in f if f" {m.mnt} " in li]

    assert {"nosuid", "nodev"} <= set(line.split()[5].split(","))
    assert connection_of(m.mnt)[0] == "fuse.connfs"
    assert os.geteuid() == 0
