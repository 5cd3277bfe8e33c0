# SPDX-License-Identifier: MIT
"""How a mount ends: nobody is left waiting, nothing is left running, and nothing
else is taken off with it. SIGTERM and umount alone are in test_daemon.py."""

import os
import pathlib
import random
import signal
import socket
import subprocess

import pytest

import clients
import mount as mounts
from clients import SCALE, wait_for
from doors import Door
from mount import BINARY, connection_of, daemons_of
from proxy import Proxy

ENDED = ["Transport endpoint is not connected", "Operation canceled"]


def ends_within(m, seconds):
    """The daemon's exit status."""
    return clients.wait_end(m.process, seconds * SCALE)


@pytest.fixture
def copy():
    """copy(): a process whose mount namespace has its own mounts of all that is
    mounted by then; a later umount does not reach them. Its pid."""
    started = []

    def make():
        holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private"]
            + ["sh", "-c", "echo; exec sleep 600"],
            stdout=subprocess.PIPE,
        )
        started.append(holder)
        assert holder.stdout.readline() == b"\n"
        return holder.pid

    yield make
    for holder in started:
        holder.kill()
        holder.wait()
        holder.stdout.close()


# The kernel tells nobody of a lazy unmount while somebody has a file open, nor
# of one while a container has a mount of its own: the daemon finds out itself.
@pytest.mark.parametrize("how", ["lazily", "copied"])
def test_a_mount_that_was_taken_off_ends(mount, engine, copy, how):
    m = mount(db=engine.spec())
    inside = []
    if how == "copied":
        inside = ["nsenter", "--mount", "-t", str(copy())]
    reader = m.start_client(
        [*inside, "sh", "-c"]
        + [
            f'echo "{engine.stalling};" >"$C/query.sql"; exec 3<"$C/result.csv";'
            " echo open >&2; cat <&3"
        ]
    )
    writer = m.start_client(
        [*inside, "bash", "-c", f'echo "{engine.slow};" >"$C/query.sql"']
    )
    wait_for(lambda: reader.stderr == b"open\n", "its result is open")
    reader.wait_parked()
    writer.wait_parked()

    assert m.unmount(*(["-l"] if how == "lazily" else [])) == 0

    assert ends_within(m, 5) == 0
    for client in (reader, writer):
        result = client.wait(5)
        assert result.rc != 0
        assert any(why in result.err for why in ENDED), result
    if engine.name != "sqlite":
        engine.wait_until_gone(engine.slow)
        engine.wait_until_gone(engine.stalling)


def test_a_lazy_unmount_rolls_back(mount, pg, database):
    pg.sql("create table t (a int)", database, "app")
    m = mount(db=pg.spec(database=database))
    client = m.start_sh(
        'echo "begin; insert into t values (1); select 1;" >"$C/query.sql";'
        ' exec 3<"$C/result.csv"; echo; exec sleep 600'
    )
    wait_for(lambda: client.stdout, "the transaction is open")

    assert m.unmount("-l") == 0

    assert ends_within(m, 5) == 0
    wait_for(
        lambda: not pg.activity(f"datname = '{database}'"), "the session has ended"
    )
    assert pg.sql("select count(*) from t", database) == [("0",)]
    assert client.running


# Of a container with mounts of its own, what it has left of it says so.
def test_a_copy_that_outlives_the_daemon_is_not_connected(mount, sqlite, copy):
    m = mount(db=sqlite.spec())
    inside = ["nsenter", "--mount", "-t", str(copy())]
    m.start_client([*inside, "cat", m.path("README")]).wait().check()

    assert m.unmount() == 0
    assert ends_within(m, 5) == 0

    late = m.start_client([*inside, "cat", m.path("README")]).wait()
    assert ENDED[0] in late.err


# In a mount namespace of its own, where nothing is shared, so that a mount may
# be moved. On a host of containers others come and go all the time: the daemon
# has looked several times within a second.
MOVED = """
set -e
"$B" -f "$D/connfs.json" "$D/mnt" 2>"$D/log" & pid=$!
until grep -q "$D/mnt " /proc/self/mountinfo; do kill -0 $pid; done
mkdir "$D/there" "$D/other"
mount --move "$D/mnt" "$D/there"
last=$(($(date +%s) + 1))
while [ "$(date +%s)" -le $last ]; do
  mount -t tmpfs none "$D/other"
  umount "$D/other"
done
cat "$D/there/.connfs/ready"
ls -A "$D/mnt"
kill -TERM $pid
wait $pid
ls -A "$D/there"
grep "$D/" /proc/self/mountinfo || echo none
"""


def test_a_mount_that_was_moved_lives_on_and_is_taken_off(source, mountpoint):
    path = source({"connections": []})
    script = ["unshare", "--mount", "sh", "-c", MOVED]
    env = {"B": str(BINARY), "D": str(path.parent)}

    ran = clients.start(script, env=env).wait(30)

    assert ran.check().lines == ["ready", "keep", "none"]


# A second daemon that is at the place by the time, or whatever else: the first
# one leaves it alone. Somebody has a file open, so that only the daemon itself
# can find out that it is to end.
@pytest.mark.parametrize("number", [None, signal.SIGTERM])
def test_what_was_mounted_since_stays(mount, sqlite, connfs, number):
    m = mount(db=sqlite.spec())
    holder = m.start_sh('exec 3<"$M/README"; echo; exec sleep 600')
    wait_for(lambda: holder.stdout, "a file is open")
    if number is not None:
        m.process.send_signal(signal.SIGSTOP)

    assert m.unmount("-l") == 0
    connfs(m.config, m.mnt).check()
    if number is not None:
        m.process.send_signal(number)
        m.process.send_signal(signal.SIGCONT)

    assert ends_within(m, 5) == 0
    assert m.read(".connfs", "ready") == "ready\n"
    mounts.unmount_and_wait(m.mnt)


SLOWLY = '''
(echo "SLOW;" >"$C/query.sql") 2>/dev/null &
for i in $(seq 1000); do grep -q running "$C/status.json" && break; done
'''

# Without privileges it is fusermount3 that takes the mount off.
UNPRIVILEGED = """
set -e
mount -t tmpfs -o mode=755 none "$D/dev"
mknod -m 666 "$D/dev/fuse" c 10 229
mount --bind "$D/dev/fuse" /dev/fuse
cp "$B" "$D/dev/connfs"
chown 65534:65534 "$D/mnt"
setpriv --reuid 65534 --regid 65534 --clear-groups \\
  "$D/dev/connfs" -f "$D/connfs.json" "$D/mnt" 2>"$D/log" & pid=$!
until grep -q "$D/mnt " /proc/self/mountinfo; do kill -0 $pid; done
kill -TERM $pid
wait $pid
grep "$D/mnt" /proc/self/mountinfo || echo none
"""


def test_a_users_mount_is_taken_off(source, mountpoint):
    path = source({"connections": []}, mode=0o644)
    path.parent.chmod(0o755)
    (path.parent / "dev").mkdir()
    os.chown(path, 65534, 65534)
    env = {"B": str(BINARY), "D": str(path.parent), "ASAN_OPTIONS": "detect_leaks=0"}

    ran = clients.start(["unshare", "--mount", "sh", "-c", UNPRIVILEGED], env=env)

    assert ran.wait().check().lines == ["none"]


LATE = """
import errno, os
from concurrent.futures import ThreadPoolExecutor
fd = os.open(os.environ["M"], os.O_RDONLY)
open(os.environ["DOOR"]).read()
def ask(_):
    try:
        return os.fstatvfs(fd) and "answered"
    except OSError as e:
        return errno.errorcode[e.errno]
with ThreadPoolExecutor(8) as pool:
    print(*pool.map(ask, range(8)))
"""


# Nor does anybody fare worse who asks while the end begins. The daemon stands
# still until all of them have asked.
def test_those_who_ask_at_the_end_are_answered_alike(mount, sqlite):
    m = mount(db=sqlite.spec())
    door = Door(m.dir / "door")
    client = m.start_python(LATE, env={"DOOR": str(door)})
    door.reached()
    m.process.send_signal(signal.SIGSTOP)
    door.open()
    wait_for(lambda: len(client.waiting()) == 8, "all of them ask")

    m.process.terminate()
    m.process.send_signal(signal.SIGCONT)

    assert ends_within(m, 5) == 0
    said = client.wait(5).check().out
    assert said.count("ENOTCONN") >= 6
    assert said.count("ENOTCONN") + said.count("answered") == 8


# What each of them is parked in when the end comes. $D has a password_command
# that hangs; in $R nobody else creates a file, which waits for the rename.
PARKED = {
    "write": 'echo "SLOW;" >"$C/query.sql"',
    "flush": '/usr/bin/printf "SLOW" >"$C/query.sql"',
    "rename": 'cd "$R"; echo "SLOW" >.new; mv .new query.sql',
    "open": SLOWLY + 'cat "$C/result.csv"',
    "read": 'echo "STALLING;" >"$C/query.sql"; exec 3<"$C/result.csv"; echo last;'
    " cat <&3",
    "wait": SLOWLY + 'cat "$C/wait"',
    "exchange write": 'exec 3<>"$C/query.sql"; echo "SLOW;" >&3',
    "exchange read": 'exec 3<>"$C/query.sql"; echo "STALLING;" >&3; echo last;'
    " cat <&3",
    "login": 'echo "select 1;" >"$D/query.sql"',
    "refresh": 'echo x >"$D/creds/refresh"',
}


def parked_clients(m, engine, kinds):
    """Those that run what kinds name, each in its last request."""
    found = []
    for kind in kinds:
        text = PARKED[kind].replace("SLOW", engine.slow)
        text = text.replace("STALLING", engine.stalling)
        env = {"D": str(m.path("hanging")), "R": str(m.path("renamed"))}
        # dash does not tell why a write failed.
        found.append(m.start_sh(text, conn="db", shell="bash", env=env))
    for kind, client in zip(kinds, found):
        if "last" in PARKED[kind]:
            wait_for(lambda: client.stdout, f"{kind} is in its last request")
        client.wait_parked(2 if SLOWLY in PARKED[kind] else 1)
    return found


@pytest.fixture
def busy(mount, cluster):
    """busy(**specs): a mount for parked_clients()."""
    spec = cluster.spec(max_connections=10)

    def make(**specs):
        hanging = hanging_spec()
        return mount(db=spec, renamed=spec, hanging=hanging, **specs)

    return make


def hanging_spec():
    return {
        "type": "postgres",
        "enabled": True,
        "host": "127.0.0.1",
        "port": 1,
        "database": "x",
        "user": "app",
        "password_command": ["/bin/sh", "-c", "trap '' TERM; sleep 600 & wait"],
    }


def test_every_kind_of_request_is_answered(busy, cluster):
    m = busy()
    parked = parked_clients(m, cluster, PARKED)

    m.process.terminate()

    assert ends_within(m, 5) == 0
    # Of cat the first line is the read, and another may be its close.
    said = {
        kind: client.wait(5).err.splitlines()[0].rpartition(": ")[2]
        for kind, client in zip(PARKED, parked)
    }
    assert said == {kind: ENDED[0] for kind in PARKED}


MAPPED = """
import mmap, os
conn = os.environ["C"]
open(conn + "/query.sql", "w").write("select 1 as a;")
f = open(conn + "/result.csv", "rb")
page = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
os.chdir(conn)
print(page[:4], flush=True)
open(os.environ["DOOR"]).read()
os.listdir(".")
"""


# All at once that could hold up an end: files, a mapping and a directory in
# use, mounts elsewhere, a server that is silent and one that takes no login, a
# password_command that ignores SIGTERM. And a second signal, from who is
# impatient.
def test_nothing_holds_up_the_end(busy, pg, database, cluster, copy):
    proxy = Proxy(pg.port)
    silent = socket.create_server(("127.0.0.1", 0))
    m = busy(
        behind=pg.spec(database=database, tcp=True, port=proxy.port),
        silent=pg.spec(host="127.0.0.1", port=silent.getsockname()[1]),
    )
    copy()
    door = Door(m.dir / "door")
    mapped = m.start_python(MAPPED, conn="db", env={"DOOR": str(door)})
    wait_for(lambda: mapped.stdout == b"b'a\\n1\\n'\n", "a result is mapped")
    slow = "select pg_sleep(600)"
    waiting = [
        m.start_sh('echo "$SQL" >"$C/query.sql"', conn, env={"SQL": f"{slow};"})
        for conn in ("behind", "silent", "hanging")
    ]
    pg.wait_until_running(slow)
    waiting += parked_clients(m, cluster, ["write", "read", "refresh"])
    proxy.go_silent()
    for client in waiting:
        client.wait_parked()

    m.process.terminate()
    m.process.terminate()

    assert ends_within(m, 5) == 0
    assert connection_of(m.mnt) is None
    for client in waiting:
        assert client.wait(5).rc != 0
    assert mapped.running
    door.open()
    assert ENDED[0] in mapped.wait(5).err
    proxy.close()
    silent.close()


# A file of its own mount that it had open, it would have to close when it is
# killed: that asks the one who has died, and waits in state D for ever.
def test_the_daemon_holds_nothing_of_its_own_mount(busy, cluster):
    m = busy()
    parked_clients(m, cluster, PARKED)

    proc = pathlib.Path(f"/proc/{m.pid}")
    links = [proc / "cwd", proc / "root", *(proc / "fd").iterdir()]
    targets = [os.readlink(link) for link in links]
    mapped = (proc / "maps").read_text()

    assert not [target for target in targets if str(m.mnt) in target]
    assert str(m.mnt) not in mapped


# What the stop of a pod does: TERM to all, and a while later KILL, in whatever
# order. The daemon is one of them.
@pytest.mark.parametrize("seed", range(4))
def test_killing_everything_leaves_nobody_in_d(busy, cluster, seed):
    shuffled = random.Random(seed)
    kinds = shuffled.sample(sorted(PARKED), 5)
    m = busy()
    parked = parked_clients(m, cluster, kinds)
    pids = [m.pid, *(pid for client in parked for pid in client.processes())]
    shuffled.shuffle(pids)

    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    assert ends_within(m, 5) in (0, -signal.SIGKILL)
    for client in parked:
        client.wait(5)
    m.unmount("-l")
    m.start()  # and the place can be used again


# One pid namespace around the daemon and its callers, as in a pod with a
# sidecar: its end waits for every process in it.
POD = """
mount -t proc none /proc
"$B" -f "$D/connfs.json" "$D/mnt" 2>"$D/log" &
until grep -q "$D/mnt " /proc/self/mountinfo; do kill -0 $! || exit; done
for i in 1 2 3; do
  (echo "$SLOW;" >"$D/mnt/db/query.sql") &
  (sed -n '/nothing/p' "$D/mnt/db/wait") &
done
echo ready
sleep 600
"""


def test_the_end_of_a_pid_namespace_is_the_end(source, mountpoint, sqlite):
    spec = {"conn_id": "db", **sqlite.spec(max_connections=9)}
    path = source({"connections": [spec]})
    pod = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", POD]
    env = {"B": str(BINARY), "D": str(path.parent), "SLOW": sqlite.slow}
    client = clients.start(pod, env=env)
    wait_for(lambda: client.stdout == b"ready\n", "the mount is there")
    wait_for(lambda: len(client.waiting()) >= 3, "its statements run")

    clients.kill_all([client.pid])

    assert client.wait(5).rc == -signal.SIGKILL
    wait_for(lambda: not client.processes(), "all of it is gone", 5)
    assert not daemons_of(mountpoint)
