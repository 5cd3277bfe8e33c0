# SPDX-License-Identifier: MIT
"""sql where there is a shell and cat, and nothing else."""

import os
import re
import shutil
import subprocess

import pytest

from clients import container_argv

EVERYONE = {"everyone": True}


def libraries_of(program):
    found = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return re.findall(r"(/\S+) \(0x", found)


def root_with(where, files):
    """A root directory with these files, {path: copied from, or linked to}."""
    for name in ["bin", "conn", "dev", "proc", "tmp"]:
        (where / name).mkdir(parents=True)
    for path, source in files.items():
        target = where / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.startswith("/"):
            shutil.copy(source, target)
        else:
            os.symlink(source, target)
    return where


BUSYBOX = {"/bin/busybox": "/bin/busybox"}
GNU = {p: p for program in ["/bin/dash", "/bin/cat"] for p in libraries_of(program)}

ROOTS = {
    "busybox": {**BUSYBOX, "/bin/sh": "busybox", "/bin/cat": "busybox"},
    "dash and cat": {**GNU, "/bin/sh": "/bin/dash", "/bin/cat": "/bin/cat"},
    "dash and busybox": {
        **{**GNU, **BUSYBOX},
        "/bin/sh": "/bin/dash",
        "/bin/cat": "busybox",
    },
}


@pytest.fixture(params=ROOTS)
def root(request, test_dir):
    return root_with(test_dir / "root", ROOTS[request.param])


# busybox with both names only has no applets of its own left in the way.
def test_everything_works_there(mount, engine, root):
    m = mount(db=engine.spec(access=EVERYONE))
    script = f"""
    cd /conn/db
    ./sql "select 1 as a; select 2 as b"
    echo "select 3 as a" | ./sql
    ./sql "selec 1"; echo $?
    ./sql -f jsonl "select 1 as a"
    ./sql "{engine.series(3)}" | cat
    """

    result = m.container(script, root)

    assert result.rc == 0
    lines = ["a", "1", "b", "2", "a", "3", "1", '{"a":1}', "n", "1", "2", "3"]
    assert result.lines == lines
    assert result.err.startswith("ERROR:")
    assert "cat:" not in result.err


# Also of what is not short: nobody takes a running result for an empty one,
# nor one whose size in another format is not known.
def test_large_results_are_whole_there(mount, engine, root):
    m = mount(db=engine.spec(access=EVERYONE))
    query = engine.series(100000, "n, n as m")
    script = f"""
    cd /conn/db
    for f in csv json txt; do ./sql -f $f "{query}" | cat; done
    """

    result = m.container(script, root)

    lines = result.check().lines
    assert (lines[0], lines[100000]) == ("n,m", "100000,100000")
    assert lines[100001:100003] == ["[", '{"n":1,"m":1},']
    assert lines[200001:200003] == ['{"n":100000,"m":100000}', "]"]
    assert lines[-1] == "(100000 rows)"
    assert len(lines) == 100001 + 100002 + 100003


def test_values_arrive_there(mount, engine, root):
    m = mount(db=engine.spec(access=EVERYONE))
    query = {"postgres": "select $1::text as a"}.get(engine.name, "select ? as a")
    script = f"""
    /conn/db/sql '{query}' -- "it's a \\"q\\", a \\\\ and
a line é日"
    """

    result = m.container(script, root)

    assert result.check().out == 'a\n"it\'s a ""q"", a \\ and\na line é日"\n'


# Each is process 1 of a container of its own, of the same uid.
def test_many_containers_never_meet(mount, engine, root):
    m = mount(db=engine.spec(access=EVERYONE, max_connections=4))
    argv = container_argv('exec /conn/db/sql "select $N as n"', root, m.mnt)

    started = [m.start_client(argv, env={"N": str(i)}) for i in range(10)]

    assert [c.wait().check().out for c in started] == [f"n\n{i}\n" for i in range(10)]
    assert m.sh('ls -A "$C/sessions"').check().out == ""


# As is a mount that can only be read: a session cannot be made there.
def test_a_mount_bound_read_only_is_told(mount, engine, root):
    m = mount(db=engine.spec(access=EVERYONE))
    argv = container_argv('exec /conn/db/sql "select 1"', root, m.mnt)
    argv[argv.index("--bind")] = "--ro-bind"

    result = m.start_client(argv).wait()

    assert (result.rc, result.out) == (1, "")
    assert "Read-only file system" in result.err
    assert "sql: cannot make " in result.err
