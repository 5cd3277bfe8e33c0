# SPDX-License-Identifier: MIT
"""Reading results: blocking, streaming, pinning, and the finished file."""

import json
import os
import time

import pytest

from clients import wait_for
from readers import POLLERS, SOON, digest, numbers, program, said

# OPEN of a result waits until there are rows.
def test_open_blocks_until_the_statement_has_rows(mount, server, gate):
    g = gate(opened=0)
    m = mount(db=server.spec())
    client = m.start_sh(
        'echo "$Q;" >"$C/query.sql" &'
        ' until grep -q running "$C/status.json"; do :; done;'
        ' exec 3<"$C/result.csv"; echo open; cat <&3; wait',
        env={"Q": g.query},
    )
    g.wait_until_running()
    client.wait_parked()
    assert client.stdout == b""

    g.open()

    assert client.wait().check().stdout == b"open\n" + g.csv()


# And when there will be none, OPEN itself fails with the statement's errno.
def test_open_that_waits_fails_with_the_statement(mount, server, gate):
    g = gate(opened=0)
    m = mount(db=server.spec())
    client = m.start_sh(
        'echo "select $E;" >"$C/query.sql" &'
        ' until grep -q running "$C/status.json"; do :; done;'
        ' (: <"$C/result.csv"); echo $?; wait',
        env={"E": server.number_until(1, g.call(1))},
    )
    g.wait_until_running()
    client.wait_parked()

    g.open()

    got = client.wait()
    assert "result.csv: Invalid argument" in got.err
    assert got.lines == ["2"]


# The same for everybody who comes later, as long as it is the last script.
@pytest.mark.parametrize(
    "sql, errno",
    [
        ("selec 1;", "EINVAL"),
        ("select 1 from nowhere;", "EINVAL"),
        ("select 1 as a; selec 2;", "EINVAL"),
    ],
)
def test_open_after_a_failure_fails_with_its_errno(mount, engine, sql, errno):
    m = mount(db=engine.spec())

    got = m.python(program("""
say(code(run, sys.stdin.read()))
say(code(open, RESULT))
say(code(open, RESULT))
say(os.path.getsize(C + "/error") > 0)
"""), stdin=sql).check()

    assert got.lines == [errno, errno, errno, "True"]


# A statement without a result set leaves 0 bytes, a query without rows a line.
@pytest.mark.parametrize(
    "sql, content",
    [("create table t (a int);", ""), ("select 1 as a where 1 = 0;", "a\n")],
)
def test_a_result_without_rows_is_readable_at_once(mount, engine, sql, content):
    m = mount(db=engine.spec())

    got = m.sh('cat >"$C/query.sql"; cat "$C/result.csv"; stat -c %s "$C/result.csv"',
               stdin=sql).check()

    assert got.out == content + f"{len(content)}\n"


# An open file keeps its result, whatever runs later.
def test_an_open_result_is_not_disturbed_by_a_later_script(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(program(f"""
run({engine.series(5)!r} + ";")
f = open(RESULT, "rb", buffering=0)
first = f.read(4)
run("select 'other' as b;")
say((first + f.read()).decode(), end="")
say(open(RESULT).read(), end="")
""")).check()

    assert got.out == "n\n1\n2\n3\n4\n5\nb\nother\n"


# The same while its rows still come: the next statement waits for its turn.
def test_an_open_running_result_is_not_disturbed_either(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_python(program(f"""
run({g.query!r} + ";")
fd = os.open(RESULT, os.O_RDONLY)
data = os.read(fd, 65536)
say("reading")
run("select 'other' as b;")
say((data + read_all(fd)).decode(), end="")
say(open(RESULT).read(), end="")
"""))
    said(client, "reading")

    g.open()

    got = client.wait().check()
    assert got.out == "reading\n" + g.csv().decode() + "b\nother\n"


# A failure of the later script is none of the earlier one.
def test_an_open_result_survives_the_failure_of_a_later_script(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(program(f"""
run({engine.series(3)!r} + ";")
f = open(RESULT, "rb", buffering=0)
say(code(run, "selec 1;"))
say(f.read().decode(), end="")
""")).check()

    assert got.out == "EINVAL\nn\n1\n2\n3\n"


# Each reader has its own place, and gets every byte, running or finished.
@pytest.mark.parametrize("disk", ["0", "1GiB"])
def test_readers_of_one_result_have_speeds_of_their_own(mount, engine, disk):
    settings = {"spool_memory": "256KiB", "spool_disk": disk}
    m = mount(db=engine.spec(), settings=settings)

    got = m.python(program(f"""
import threading
run({engine.series(300000)!r} + ";")
fds = [os.open(RESULT, os.O_RDONLY) for _ in range(3)]
sums = {{}}
def reader(fd, size):
    sum = hashlib.md5()
    while piece := os.read(fd, size):
        sum.update(piece)
    sums[fd] = sum.hexdigest()
sizes = 500, 4096, 131072
threads = [threading.Thread(target=reader, args=a) for a in zip(fds, sizes)]
for t in threads:
    t.start()
for t in threads:
    t.join()
say(*(sums[fd] for fd in fds))
"""), timeout=40).check()

    assert got.out.split() == [digest(numbers(300000))] * 3


# Nothing is lost when the reader is slower than the server, which waits.
@pytest.mark.parametrize("disk", ["0", "300KiB", "1GiB"])
def test_a_reader_slower_than_the_server_gets_all(mount, engine, disk):
    settings = {"spool_memory": "64KiB", "spool_disk": disk}
    m = mount(db=engine.spec(), settings=settings)

    got = m.python(program(f"""
run({engine.series(100000)!r} + ";")
fd = os.open(RESULT, os.O_RDONLY)
sum = hashlib.md5()
while piece := os.read(fd, 512):
    sum.update(piece)
say(sum.hexdigest())
"""), timeout=40).check()

    assert got.out.split() == [digest(numbers(100000))]


# Without a reader a result is spooled to its end, for whoever comes.
def test_a_result_without_a_reader_is_completed(mount, engine):
    m = mount(db=engine.spec(), settings={"settle_time": 0, "spool_memory": "64KiB"})

    got = m.sh(
        'cat >"$C/query.sql"; until grep -q \'"complete": true\' "$C/status.json";'
        ' do :; done; md5sum <"$C/result.csv"',
        stdin=engine.series(100000) + ";",
    ).check()

    assert got.out.split()[0] == digest(numbers(100000))


# And when the spool cannot hold it the server is held, not the memory; the
# next statement replaces what only reads and nobody reads.
def test_a_result_without_a_reader_holds_the_server(mount, server):
    settings = {"spool_memory": "64KiB", "spool_disk": 0}
    m = mount(db=server.spec(), settings=settings)
    client = m.start_sh(
        f'echo "{server.endless};" >"$C/query.sql";'
        ' echo first; read line; echo "select 2 as b;" >"$C/query.sql" &&'
        ' cat "$C/result.csv"',
        stdin="",
    )

    got = client.wait().check()

    assert got.out == "first\nb\n2\n"
    server.wait_until_gone("1000000000")


# The first rows are readable while the server still produces.
def test_rows_can_be_read_while_the_server_works_on(mount, server, gate):
    g = gate(steps=4)
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_sh(
        'echo "$Q;" >"$C/query.sql"; cat "$C/result.csv"', env={"Q": g.query}
    )

    for n in range(1, 4):
        wait_for(lambda n=n: client.stdout == g.csv(n), f"group {n} arrives")
        assert len(g.running()) == 1
        g.open(n + 1)

    assert client.wait().check().stdout == g.csv()


# `while read` takes a row as soon as it is there.
def test_a_loop_of_the_shell_gets_each_row_as_it_comes(mount, server, gate):
    g = gate(steps=3, rows=2)
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_sh(
        'echo "$Q;" >"$C/query.sql"; while read -r row; do echo "got $row"; done'
        ' <"$C/result.csv"',
        env={"Q": g.query},
        shell="bash",
    )

    expected = "".join(f"got {line}\n" for line in g.csv(1).decode().splitlines())
    wait_for(lambda: client.stdout == expected.encode(), "the first rows")
    g.open()

    expected = "".join(f"got {line}\n" for line in g.csv().decode().splitlines())
    assert client.wait().check().out == expected


# While running: size 0, and no seeking. Never a made-up size.
def test_a_running_result_has_size_0_and_cannot_be_sought(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_python(program(f"""
run({g.query!r} + ";")
st = os.stat(RESULT)
say(st.st_size, stat.S_ISREG(st.st_mode), oct(st.st_mode & 0o777))
fd = os.open(RESULT, os.O_RDONLY)
say(os.fstat(fd).st_size)
say(code(os.lseek, fd, 0, os.SEEK_END), code(os.lseek, fd, 1, os.SEEK_SET))
say(code(os.pread, fd, 10, 3))
say("looked")
say(read_all(fd).decode(), end="")
"""))
    said(client, "looked")
    g.open()

    got = client.wait().check()
    assert got.lines[:4] == ["0 True 0o444", "0", "ESPIPE ESPIPE", "ESPIPE"]
    assert got.out.endswith("looked\n" + g.csv().decode())


# Once complete: the true size, seekable, mappable, any number of times.
def test_a_finished_result_is_a_file_like_any_other(mount, engine):
    m = mount(db=engine.spec())
    expected = numbers(100000)

    got = m.python(program(f"""
run({engine.series(100000)!r} + ";")
expected = open(RESULT, "rb").read()
say(hashlib.md5(expected).hexdigest())
fd = os.open(RESULT, os.O_RDONLY)
size = os.fstat(fd).st_size
say(size, os.lseek(fd, 0, os.SEEK_END), os.stat(RESULT).st_size)
rng = random.Random(1)
for _ in range(2000):
    off, length = rng.randrange(size + 10), rng.randrange(1, 5000)
    assert os.pread(fd, length, off) == expected[off:off + length]
for flags in mmap.MAP_SHARED, mmap.MAP_PRIVATE:
    with mmap.mmap(fd, 0, flags, mmap.PROT_READ) as whole:
        assert whole[:] == expected
say("same")
"""), timeout=40).check()

    size = str(len(expected))
    assert got.lines == [digest(expected), f"{size} {size} {size}", "same"]


# A stream that began while it ran stays one when the result completes, and
# the file by the same name is the finished one.
def test_a_result_gets_its_size_when_it_completes(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_python(program(f"""
run({g.query!r} + ";")
running = os.open(RESULT, os.O_RDONLY)
before = os.fstat(running)
say("looked")
sys.stdin.read()
while os.stat(RESULT).st_size == 0:
    pass
after = os.stat(RESULT)
say(after.st_size, before.st_ino != after.st_ino)
say(os.stat(RESULT).st_ino == after.st_ino)
say(code(os.lseek, running, 1, os.SEEK_SET))
say(read_all(running) == open(RESULT, "rb").read())
"""))
    said(client, "looked")
    g.open()

    got = client.wait().check()
    assert got.lines[1:] == [f"{len(g.csv())} True", "True", "ESPIPE", "True"]


# Every finished result is an inode of its own: caches of files tell them apart.
def test_each_finished_result_has_its_own_inode(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'for i in 1 2 3; do echo "select $i as a;" >"$C/query.sql";'
        ' stat -c %i "$C/result.csv"; stat -c %i "$C/result.csv"; done'
    ).check()

    inodes = got.lines
    assert inodes[0::2] == inodes[1::2]
    assert len(set(inodes)) == 3


# gzip, make and rsync look at it.
def test_a_result_has_the_time_of_its_statement(mount, engine):
    m = mount(db=engine.spec())
    start = time.time()

    got = m.sh(
        'echo "select 1 as a;" >"$C/query.sql"; stat -c %.Y "$C/result.csv";'
        ' echo "select 1 as a;" >"$C/query.sql"; stat -c %.Y "$C/result.csv"'
    ).check()

    first, second = map(float, got.lines)
    assert start - 0.01 <= first <= second <= time.time()


# O_NONBLOCK: EAGAIN where others would wait, at OPEN and at READ.
def test_nonblocking_open_without_rows_gives_eagain(mount, server, gate):
    g = gate(opened=0)
    m = mount(db=server.spec())
    client = m.start_python(program(f"""
import threading
writer = threading.Thread(target=run, args=({g.query!r} + ";",))
writer.start()
while '"running"' not in open(C + "/status.json").read():
    pass
say(code(os.open, RESULT, os.O_RDONLY | os.O_NONBLOCK))
sys.stdin.read()
writer.join()
fd = os.open(RESULT, os.O_RDONLY | os.O_NONBLOCK)
say(read_all(fd).decode(), end="")
"""))
    said(client, "EAGAIN")

    g.open()

    assert client.wait().check().out == "EAGAIN\n" + g.csv().decode()


# An event loop is told when there are rows, and when there is the end.
@pytest.mark.parametrize("how", POLLERS)
def test_poll_tells_when_rows_have_come(mount, server, gate, how):
    g = gate(steps=3)
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_python(program(f"""
run({g.query!r} + ";")
fd = os.open(RESULT, os.O_RDONLY | os.O_NONBLOCK)
{POLLERS[how]}
assert ready(20)
say(os.read(fd, 65536).decode(), end="")
say(code(os.read, fd, 1), ready(0))
say("waiting")
data = b""
while ready(20):
    try:
        piece = os.read(fd, 65536)
    except BlockingIOError:
        continue
    if not piece:
        break
    data += piece
    if b"\\n6," in data:
        say("more")
say(data.decode(), end="")
say(ready(0))
"""))
    said(client, "waiting")
    g.open(2)
    said(client, "more")
    g.open()

    got = client.wait().check()
    first = g.csv(1).decode()
    rest = g.csv().decode()[len(first):]
    out = got.out.replace("more\n", "", got.out.count("more\n"))
    assert out == first + "EAGAIN False\nwaiting\n" + rest + "True\n"


# `head -1` returns at once, and then nobody wants the rest.
@pytest.mark.parametrize("disk", [0, "1GiB"])
def test_head_of_an_endless_query_returns_and_the_server_stops(mount, server, disk):
    m = mount(db=server.spec(), settings={"spool_disk": disk})

    got = m.sh(
        f'echo "{server.endless};" >"$C/query.sql" &&'
        ' head -1 "$C/result.csv"'
    )

    assert (got.rc, got.out) == (0, "n\n")
    assert got.elapsed < 5
    server.wait_until_gone("1000000000")


# The same with the reader behind a pipe, which it leaves only when it writes.
def test_head_behind_cat_of_an_endless_query_stops_the_server(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'cat >"$C/query.sql"; cat "$C/result.csv" | head -2;'
        ' until grep -q \'"state": "cancelled"\' "$C/status.json"; do :; done',
        stdin=engine.endless + ";",
    )

    assert (got.rc, got.out) == (0, "n\n1\n")


# A result that is complete is not given up because a reader leaves early.
def test_head_of_a_finished_result_leaves_it_whole(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'cat >"$C/query.sql"; head -2 "$C/result.csv"; head -3 "$C/result.csv";'
        ' wc -l <"$C/result.csv"',
        stdin=engine.series(100000) + ";",
    ).check()

    assert got.out == "n\n1\nn\n1\n2\n100001\n"


# "complete": true only for a whole result.
def test_status_says_complete_only_at_the_end(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_sh(
        'echo "$Q;" >"$C/query.sql"; cat "$C/status.json" >&2; echo read;'
        ' cat "$C/result.csv" >/dev/null; cat "$C/status.json"',
        env={"Q": g.query},
    )
    wait_for(lambda: b"read\n" in client.stdout, "the status is read")
    g.open()

    got = client.wait()
    running = json.loads(got.err)
    done = json.loads(got.out.removeprefix("read\n"))
    assert (running["state"], running["complete"], running["rows"]) == (
        "streaming", False, 3)
    assert (done["state"], done["complete"], done["rows"], done["bytes"]) == (
        "done", True, 6, len(g.csv()))


# An operator who aborts the reader's terminal must not leave it hanging.
def test_a_reader_that_is_killed_ends_at_once(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    writer = m.start_sh(
        'echo "$Q;" >"$C/query.sql"; cat "$C/result.csv" & echo $!; wait $!; echo $?;'
        ' cat "$C/result.csv" | tail -1',
        env={"Q": g.query},
        shell="bash",
    )
    wait_for(lambda: b"3," in writer.stdout, "the first rows")
    writer.wait_parked()

    os.kill(int(writer.stdout.split()[0]), 9)

    wait_for(lambda: b"137\n" in writer.stdout, "its end is seen")
    g.open()
    assert writer.wait().lines[-1] == g.csv().decode().splitlines()[-1]
