# SPDX-License-Identifier: MIT
"""connfs-job as root: a mount for one command."""

import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

import clients
import mount as mounts
from clients import wait_for
from job_mounts import storm

NOBODY = 65534
ONE = '"$M/demo/sql" "select 1 as a"'


def test_a_job_has_the_connections_and_nobody_else_has(job):
    door = job.fifo("door")
    running = job.start(f'{ONE}; echo yes >"$D/there"; read line <"$D/door"')
    job.wait_for_file("there")

    assert mounts.connection_of(job.at) is None
    assert os.listdir(job.at) == []
    door.write_text("go on\n")
    assert running.wait().check().out == "a\n1\n"


def test_the_command_has_its_arguments_and_its_standard_input(job):
    argv = job.argv("sh", "-c", 'printf "%s," "$@"; cat', "sh", "-a", "--", "b c", "")

    ran = job.run(argv, stdin="some input").wait()

    assert ran.check().out == "-a,--,b c,,some input"


@pytest.mark.parametrize("options", [[], ["--"]])
def test_options_end_at_the_command(job, options):
    where = ["--source", job.source, "--at", job.at]

    ran = job.run(job.bare_argv(*where, *options, "echo", "--at", "-x")).wait()

    assert ran.check().out == "--at -x\n"


# It takes the place of connfs-job: whoever waits for, signals, stops or limits
# the one does it to the other.
def test_the_command_is_the_process_that_was_started(job):
    script = """
    read children </proc/$$/task/$$/children
    echo "children: $children"; grep -e ^NStgid -e ^NSpgid -e ^NSsid /proc/$$/status
    """

    running = job.start(script)

    ids = [f"{name}:\t{running.pid}" for name in ["NStgid", "NSpgid", "NSsid"]]
    assert running.wait().lines == ["children: ", *ids]


@pytest.mark.parametrize(
    "script, status",
    [("exit 0", 0), ("exit 7", 7), ("kill $$", -15), ("kill -9 $$", -9)],
)
def test_its_exit_status_is_passed_on(job, script, status):
    ran = job.sh(script)

    assert (ran.rc, ran.err) == (status, "")
    job.wait_gone()


# As env(1) and the shells have it.
@pytest.mark.parametrize(
    "command, status, why",
    [
        ("/nowhere/at-all", 127, "No such file or directory"),
        ("no-such-command-at-all", 127, "No such file or directory"),
        ("/etc/passwd", 126, "Permission denied"),
        ("/etc", 126, "Permission denied"),
    ],
)
def test_what_cannot_be_run_is_told(job, command, status, why):
    ran = job.run(job.argv(command)).wait()

    assert (ran.rc, ran.out, ran.err) == (status, "", f"connfs-job: {command}: {why}\n")
    job.wait_gone()


# The daemon has nothing of the job's: no end of its pipe, no lock, no
# directory, and it is no child that the job might wait for.
def test_the_daemon_lets_go_of_everything(job):
    door = job.fifo("door")
    script = """
    exec 7>"$D/lock"; flock 7; export LAVA_SECRET=no
    exec "$@" sh -c 'echo yes >"$D/there"; read line <"$D/door"; wait; echo waited'
    """
    running = job.run(["sh", "-c", script, "sh", *job.argv()])
    job.wait_for_file("there")

    (pid,) = job.daemons
    proc = pathlib.Path(f"/proc/{pid}")
    status = clients.status_of(pid)
    files = {fd: os.readlink(proc / "fd" / fd) for fd in os.listdir(proc / "fd")}
    assert [files.pop(fd) for fd in "012"] == ["/dev/null"] * 3
    # Its device, sockets, what the kernel gives names in brackets: no files.
    assert [f for f in files.values() if f.startswith("/")] == ["/dev/fuse"]
    assert os.readlink(proc / "cwd") == "/"
    assert status["NSsid"] == status["NSpgid"] == str(pid)
    assert status["PPid"] != str(running.pid)
    for name in ["mnt", "user", "pid"]:
        assert os.readlink(proc / "ns" / name) == os.readlink(f"/proc/self/ns/{name}")
    door.write_text("go on\n")
    assert running.wait().check().out == "waited\n"


def test_a_pipeline_ends_with_its_job(job):
    ran = job.run(["sh", "-c", '"$@" | cat', "sh", *job.argv("echo", "done")]).wait(10)

    assert ran.check().out == "done\n"


# The daemon must not take for its caller's what it has opened itself.
@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_a_job_may_have_no_standard_input_or_output(job, closed):
    argv = job.argv("sh", "-c", f'exec 0</dev/null; {ONE} >"$D/rows" 2>"$D/said"')

    job.run(["sh", "-c", f'exec "$@" {closed}', "sh", *argv]).wait().check()

    said = [(job.dir / name).read_text() for name in ["rows", "said"]]
    assert said == ["a\n1\n", ""]


# A service manager waits for the job to say that it is ready.
def test_the_service_manager_does_not_hear_of_the_daemon(job):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(job.dir / "notify"))
        env = {"NOTIFY_SOCKET": str(job.dir / "notify")}

        ran = job.sh(f'{ONE} && echo "$NOTIFY_SOCKET"', env=env)

        assert ran.check().lines[-1] == env["NOTIFY_SOCKET"]
        job.wait_gone()
        with pytest.raises(BlockingIOError):
            manager.recv(100, socket.MSG_DONTWAIT)


# Ctrl-C is for the job; as long as that lives, so does its mount.
def test_signals_to_the_jobs_process_group_do_not_reach_the_daemon(job):
    door = job.fifo("door")
    script = f"""
    trap 'echo caught' INT
    echo yes >"$D/there"
    read line <"$D/door" || read line <"$D/door"
    {ONE}
    """
    running = job.start(script)
    job.wait_for_file("there")

    running.signal(signal.SIGINT)
    wait_for(lambda: running.stdout, "the signal arrives")
    door.write_text("go on\n")

    assert running.wait().out == "caught\na\n1\n"


# kill -9 leaves nobody who could tidy up.
@pytest.mark.parametrize("how", ["TERM", "KILL", "KILL the group"])
def test_nothing_is_left_of_a_job_that_was_killed(job, how):
    running = job.start(f'{ONE}; echo yes >"$D/there"; sleep 1000 & wait')
    job.wait_for_file("there")
    assert len(job.daemons) == 1

    number = signal.SIGTERM if how == "TERM" else signal.SIGKILL
    if how == "KILL the group":
        running.signal(number)
    else:
        os.kill(running.pid, number)

    assert running.wait().rc == -number
    job.wait_gone()


# Rather than a directory that is empty, or that takes what they write.
def test_what_a_job_leaves_running_is_told_that_the_mount_has_gone(job):
    door = job.fifo("door")
    job.sh(
        """
        { read line <"$D/door"; cat "$M/README" <&-; echo $?; } >"$D/said" 2>&1 &
        """
    ).check()
    job.wait_gone()

    door.write_text("go on\n")

    wait_for(lambda: (job.dir / "said").read_text().endswith("1\n"), "it goes on")
    said = (job.dir / "said").read_text()
    assert "Transport endpoint is not connected" in said


def test_a_statement_ends_with_its_job(job, pg):
    job.write_specs(demo=pg.spec())
    running = job.start('echo "select pg_sleep(1000);" >"$M/demo/query.sql"')
    pg.wait_until_running("pg_sleep(1000)")

    running.kill()

    pg.wait_until_gone("pg_sleep(1000)")


# A job may take its mount off; it ends what nobody can reach any more.
def test_a_job_can_unmount(job):
    door = job.fifo("door")
    running = job.start('umount "$M" && echo yes >"$D/there"; read line <"$D/door"')
    job.wait_for_file("there")

    job.wait_gone()

    door.write_text("go on\n")
    running.wait().check()


def test_jobs_at_one_place_have_their_own_mounts(job, test_dir):
    door = job.fifo("door")
    first = job.start(f'echo yes >"$D/there"; read line <"$D/door"; {ONE}')
    job.wait_for_file("there")
    job.write_specs(other=job.db.spec())

    second = job.sh('ls "$M"')
    door.write_text("go on\n")

    assert second.check().lines == ["README", "other"]
    assert first.wait().check().out == "a\n1\n"


# Whatever is at the place outside, be it a connfs that has gone.
@pytest.mark.parametrize("alive", [True, False])
def test_a_job_mounts_over_what_is_there(job, mount, alive):
    there = mount(host=job.db.spec())
    if not alive:
        mounts.abort_connection(there.mnt)
    argv = job.bare_argv("--source", job.source, "--at", there.mnt)

    ran = job.run([*argv, "ls", str(there.mnt)]).wait()

    assert ran.check().lines == ["README", "demo"]
    if alive:
        assert there.sh('ls "$M"').check().lines == ["README", "host"]


MOUNTS = """
mkdir "$D/later" "$D/inside"
"$@" sh -c '
    mount -t tmpfs none "$D/inside"; echo yes >"$D/there"
    read line <"$D/in"; cat "$D/later/came"
' &
read line <"$D/out"
mountpoint "$D/inside"; mountpoint "$M"
mount -t tmpfs none "$D/later"; echo later >"$D/later/came"
echo "go on" >"$D/in"
wait
"""


# What is mounted outside arrives; what the job mounts does not get out.
def test_mounts_go_one_way(job):
    job.fifo("in")
    out = job.fifo("out")
    argv = ["unshare", "--mount", "--propagation", "shared", "sh", "-c", MOUNTS]
    running = job.run([*argv, "sh", *job.argv()])
    job.wait_for_file("there")

    out.write_text("go on\n")

    ran = running.wait()
    assert ran.lines == [
        f"{job.dir}/inside is not a mountpoint",
        f"{job.at} is not a mountpoint",
        "later",
    ]


def test_a_job_can_be_process_1_of_a_container(job):
    argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]

    ran = job.run([*argv, *job.argv("sh", "-c", f"echo $$; {ONE}")]).wait()

    assert ran.check().out == "1\na\n1\n"
    job.wait_gone()


# Root's job is the owner; who it becomes is judged by `access`.
def test_a_job_that_becomes_another_user_may_use_what_access_says(job):
    spec = job.db.spec
    job.write_specs(demo=spec(), nobodys=spec(access={"users": [NOBODY]}))
    script = f'ls "$M"; setpriv --reuid {NOBODY} --clear-groups ls "$M"'

    ran = job.sh(script)

    assert ran.check().lines == ["README", "demo", "nobodys", "README", "nobodys"]


# A launcher that never waits for its jobs.
def test_an_ignored_sigchld_stays_ignored(job):
    argv = job.argv("grep", "SigIgn", "/proc/self/status")

    ran = job.run(["env", "--ignore-signal=CHLD", *argv]).wait()

    assert int(ran.check().out.split()[1], 16) == 1 << (signal.SIGCHLD - 1)


DEFAULTS = """
exec bwrap --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib \
    --symlink usr/lib64 /lib64 --proc /proc --dev /dev --dev-bind /dev/fuse /dev/fuse \
    --tmpfs /tmp --bind "$D" "$D" --bind "$D/source" /etc/connfs $CONN \
    --ro-bind "$B" /opt /opt/connfs-job ls /conn
"""


@pytest.mark.parametrize("there", [True, False])
def test_root_has_etc_connfs_at_conn(job, there):
    env = {"B": str(mounts.BUILD), "CONN": "--dir /conn" if there else ""}

    ran = job.run(["sh", "-c", DEFAULTS], env=env).wait()

    if there:
        assert ran.check().lines == ["README", "demo"]
    else:
        told = "connfs-job: --at /conn: No such file or directory\n"
        assert (ran.rc, ran.out, ran.err) == (2, "", told)


# Labels


def test_labels_become_variables(job):
    spec = job.db.spec()
    job.write_specs({name: spec for name in ["red/dev", "sql", ".x%y/z z"]})
    labels = job.labels(shop="red/dev", Shop_2="sql", _="red/dev")
    labels += ["--label", "odd=.x%y/z z"]
    script = 'env | grep ^LAVA_CONN | sort; "$LAVA_CONN_ODD" "select 1 as a"'

    ran = job.sh(script, labels)

    assert ran.check().lines == [
        "LAVA_CONNID_ODD=.x%y/z z",
        "LAVA_CONNID_SHOP=red/dev",
        "LAVA_CONNID_SHOP_2=sql",
        "LAVA_CONNID__=red/dev",
        f"LAVA_CONN_ODD={job.at}/%2Ex%25y/z z/sql",
        f"LAVA_CONN_SHOP={job.at}/red/dev/sql",
        f"LAVA_CONN_SHOP_2={job.at}/%73ql/sql",
        f"LAVA_CONN__={job.at}/red/dev/sql",
        "a",
        "1",
    ]


# The job does not even start, and nobody logs in to find out.
@pytest.mark.parametrize("conn_id", ["none", "disabled", "red", "bad"])
def test_a_label_without_a_connection_is_told_before_the_job_starts(job, conn_id):
    spec = job.db.spec
    specs = {"red/dev": spec(), "disabled": spec(enabled=False), "bad": spec(x=1)}
    job.write_specs(specs, demo=spec())

    ran = job.sh("echo started", job.labels(fine="demo", shop=conn_id))

    assert (ran.rc, ran.out) == (1, "")
    assert ran.err.endswith(
        f"connfs-job: --label SHOP: there is no connection {conn_id} that this user"
        " may use\n"
    )
    job.wait_gone()


def test_labels_log_in_nowhere(job):
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        spec = {"type": "postgres", "enabled": True, "host": host, "port": port}
        spec.update(database="app", user="app", password_plain="x", sslmode="disable")
        job.write_specs(far=spec)

        job.sh("true", job.labels(far="far")).check()
        job.wait_gone()

        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    "label, why",
    [
        ("shop", "must be NAME=conn_id"),
        ("=shop", "the name must be of letters, digits and _"),
        ("my-shop=shop", "the name must be of letters, digits and _"),
        ("é=shop", "the name must be of letters, digits and _"),
        ("shop=", "conn_id: must not be empty"),
        ("shop=a//b", "conn_id: has nothing before or between slashes"),
    ],
)
def test_a_label_that_cannot_be_is_told(job, label, why):
    ran = job.sh("echo started", ["--label", label])

    told = f"connfs-job: --label {label}: {why}\n"
    assert (ran.rc, ran.out, ran.err) == (1, "", told)


def test_two_labels_of_one_name_are_told(job):
    ran = job.sh("echo started", job.labels(shop="demo", SHOP="demo"))

    told = "connfs-job: --label SHOP is given twice\n"
    assert (ran.rc, ran.out, ran.err) == (1, "", told)


# Failures


@pytest.mark.parametrize(
    "argv, why",
    [
        ([], "COMMAND is missing"),
        (["--at"], "unknown option or missing value: --at"),
        (["--on", "true"], "unknown option or missing value: --on"),
    ],
)
def test_wrong_usage_is_told(job, argv, why):
    ran = job.run(job.bare_argv(*argv)).wait()

    assert (ran.rc, ran.out) == (1, "")
    assert ran.err == f"connfs-job: {why}; see connfs-job --help\n"


def test_help_and_version(job):
    usage = job.run(job.bare_argv("--help")).wait().check().out
    version = job.run(job.bare_argv("--version")).wait().check().out

    assert usage.startswith("usage: connfs-job [--source SRC] [--at DIRECTORY]")
    assert re.fullmatch(r"connfs-job \d+\.\d+\.\d+\n", version)


# connfs says why, and its exit status is that of connfs-job.
def test_a_source_that_is_wrong_is_told(job):
    (job.source / "connfs.json").unlink()
    job.source.rmdir()

    ran = job.sh("echo started")

    why = f"SOURCE {job.source}: {job.source}: No such file or directory"
    assert (ran.rc, ran.out, ran.err) == (1, "", f"connfs: error: {why}\n")


@pytest.mark.parametrize(
    "kind, why",
    [("missing", "No such file or directory"), ("a file", "Not a directory")],
)
def test_a_directory_that_cannot_be_mounted_at_is_told(job, kind, why):
    at = job.dir / "there"
    if kind == "a file":
        at.touch()

    ran = job.run(
        job.bare_argv("--source", job.source, "--at", at, "echo", "started")
    ).wait()

    assert (ran.rc, ran.out) == (2, "")
    assert re.fullmatch(f"connfs-job: (--at )?{at}: {why}\n", ran.err)
    assert not mounts.daemons_of(at)


# The user's PATH must not say which program root starts.
def test_connfs_is_not_looked_for_in_path(job):
    (job.dir / "lone").mkdir()
    lone = job.dir / "lone/connfs-job"
    lone.write_bytes((mounts.BUILD / "connfs-job").read_bytes())
    lone.chmod(0o755)
    (job.dir / "path").mkdir()
    wrong = job.dir / "path/connfs"
    wrong.write_text('#!/bin/sh\ntouch "$D/wrong"\n')
    wrong.chmod(0o755)
    env = {"PATH": f"{wrong.parent}:{clients.PATH}"}
    where = ["--source", str(job.source), "--at", str(job.at)]

    job.run([str(lone), *where, "true"], env=env).wait()

    assert not (job.dir / "wrong").exists()


# It is started for every job: what connfs needs would double its time.
def test_it_needs_no_library_but_libc():
    found = subprocess.check_output(["objdump", "-p", mounts.BUILD / "connfs-job"])

    needed = re.findall(rb"NEEDED\s+(\S+)", found)
    sanitizers = (b"libasan", b"libubsan", b"libtsan")
    assert [n for n in needed if not n.startswith(sanitizers)] == [b"libc.so.6"]


# Killed before connfs has got as far: that ends as it does at any other time.
def test_a_job_that_has_ended_gets_no_mount(job, connfs):
    ended = subprocess.Popen(["true"])
    ended.wait()
    words = ["--until", str(ended.pid), "--fd", "9", "--"]

    ran = connfs(*words, job.source, job.at)

    why = f"/proc/{ended.pid}/ns/mnt: No such file or directory"
    assert (ran.rc, ran.out, ran.err) == (2, "", f"connfs: error: {why}\n")


def test_nothing_is_left_of_many_jobs(job):
    storm(job, 60, 12, at_once=4, longest=0.05)

    job.wait_gone()
