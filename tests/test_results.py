# SPDX-License-Identifier: MIT
"""Reading results: blocking, streaming, pinning, and how a result ends."""

import hashlib
import json
import os
import time

import pytest

import servers
from clients import wait_for
from gate import Gate

# Statements that run on count as settled soon: nobody waits for rows here.
SOON = {"settle_time": 0.05}

# For the programs that look at a result by system calls.
PRELUDE = """
import errno, mmap, os, select, stat, sys, time
C = os.environ["C"]
RESULT = C + "/result.csv"

def run(sql):
    with open(C + "/query.sql", "w") as f:
        f.write(sql)

def say(*words, end="\\n"):
    print(*words, end=end, flush=True)

def code(call, *args):
    try:
        call(*args)
    except OSError as e:
        return errno.errorcode[e.errno]
    return "OK"

def read_all(fd, size=65536):
    data = b""
    while True:
        piece = os.read(fd, size)
        if not piece:
            return data
        data += piece
"""


def program(code):
    return PRELUDE + code


@pytest.fixture
def gate(pg):
    """gate(opened=.., ..) makes a Gate."""
    return lambda **how: Gate(pg, **how)


def said(client, word):
    wait_for(lambda: word.encode() in client.stdout or not client.running, word)
    assert word.encode() in client.stdout, client.wait()


# OPEN of a result waits until there are rows.
def test_open_blocks_until_the_statement_has_rows(mount, pg, gate):
    g = gate(opened=0)
    m = mount(db=pg.spec())
    client = m.start_sh(
        'echo "$Q;" >"$C/query.sql" & until grep -q running "$C/status.json"; do :; done;'
        ' exec 3<"$C/result.csv"; echo open; cat <&3; wait',
        env={"Q": g.query},
    )
    g.wait_until_running()
    client.wait_parked()
    assert client.stdout == b""

    g.open()

    assert client.wait().check().stdout == b"open\n" + g.csv()


# And when there will be none, OPEN itself fails with the statement's errno.
def test_open_that_waits_fails_with_the_statement(mount, pg, gate):
    g = gate(opened=0)
    m = mount(db=pg.spec())
    client = m.start_sh(
        'echo "select 1 / ($G - 1);" >"$C/query.sql" &'
        ' until grep -q running "$C/status.json"; do :; done;'
        ' (: <"$C/result.csv"); echo $?; wait',
        env={"G": g.call(1)},
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
def test_an_open_running_result_is_not_disturbed_either(mount, pg, gate):
    g = gate()
    m = mount(db=pg.spec(), settings=SOON)
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


def numbers(n):
    return ("n\n" + "".join(f"{i}\n" for i in range(1, n + 1))).encode()


def digest(data):
    return hashlib.md5(data).hexdigest()


# Each reader has its own place, and gets every byte, running or finished.
@pytest.mark.parametrize("disk", ["0", "1GiB"])
def test_readers_of_one_result_have_speeds_of_their_own(mount, engine, disk):
    settings = {"spool_memory": "256KiB", "spool_disk": disk}
    m = mount(db=engine.spec(), settings=settings)

    got = m.python(program(f"""
import hashlib, threading
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
import hashlib
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
def test_a_result_without_a_reader_holds_the_server(mount, pg, database):
    settings = {"spool_memory": "64KiB", "spool_disk": 0}
    m = mount(db=pg.spec(database=database), settings=settings)
    client = m.start_sh(
        'echo "select generate_series(1, 1000000000) as n;" >"$C/query.sql";'
        ' echo first; read line; echo "select 2 as b;" >"$C/query.sql" &&'
        ' cat "$C/result.csv"',
        stdin="",
    )

    got = client.wait().check()

    assert got.out == "first\nb\n2\n"
    pg.wait_until_gone("1000000000")


# The first rows are readable while the server still produces.
def test_rows_can_be_read_while_the_server_works_on(mount, pg, gate):
    g = gate(steps=4)
    m = mount(db=pg.spec(), settings=SOON)
    client = m.start_sh(
        'echo "$Q;" >"$C/query.sql"; cat "$C/result.csv"', env={"Q": g.query}
    )

    for n in range(1, 4):
        wait_for(lambda n=n: client.stdout == g.csv(n), f"group {n} arrives")
        assert len(g.running()) == 1
        g.open(n + 1)

    assert client.wait().check().stdout == g.csv()


# `while read` takes a row as soon as it is there.
def test_a_loop_of_the_shell_gets_each_row_as_it_comes(mount, pg, gate):
    g = gate(steps=3, rows=2)
    m = mount(db=pg.spec(), settings=SOON)
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
def test_a_running_result_has_size_0_and_cannot_be_sought(mount, pg, gate):
    g = gate()
    m = mount(db=pg.spec(), settings=SOON)
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
import hashlib, random
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
def test_a_result_gets_its_size_when_it_completes(mount, pg, gate):
    g = gate()
    m = mount(db=pg.spec(), settings=SOON)
    client = m.start_python(program(f"""
run({g.query!r} + ";")
running = os.open(RESULT, os.O_RDONLY)
before = os.fstat(running)
say("looked")
sys.stdin.read()
while os.stat(RESULT).st_size == 0:
    pass
after = os.stat(RESULT)
say(after.st_size, before.st_ino != after.st_ino, os.stat(RESULT).st_ino == after.st_ino)
say(code(os.lseek, running, 1, os.SEEK_SET))
say(read_all(running) == open(RESULT, "rb").read())
"""))
    said(client, "looked")
    g.open()

    got = client.wait().check()
    assert got.lines[1:] == [f"{len(g.csv())} True True", "ESPIPE", "True"]


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
def test_nonblocking_open_without_rows_gives_eagain(mount, pg, gate):
    g = gate(opened=0)
    m = mount(db=pg.spec())
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


POLLERS = {
    "poll": """
p = select.poll()
p.register(fd, select.POLLIN)
ready = lambda wait: [e for _, e in p.poll(wait * 1000)] == [select.POLLIN]
""",
    "select": "ready = lambda wait: select.select([fd], [], [], wait)[0] == [fd]\n",
    "epoll": """
p = select.epoll()
p.register(fd, select.EPOLLIN)
ready = lambda wait: [e for _, e in p.poll(wait)] == [select.EPOLLIN]
""",
}


# An event loop is told when there are rows, and when there is the end.
@pytest.mark.parametrize("how", POLLERS)
def test_poll_tells_when_rows_have_come(mount, pg, gate, how):
    g = gate(steps=3)
    m = mount(db=pg.spec(), settings=SOON)
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


def divide(m, pg, gate):
    gate.open()  # and the server fails at a row behind it


def cancel(m, pg, gate):
    m.sh(
        """awk -F'\\t' '$5 == "streaming" { print $1 }' "$M/.connfs/statements" """
        '>"$M/.connfs/cancel"'
    ).check()


def terminate(m, pg, gate):
    (pid,) = gate.running()
    pg.sql(f"select pg_terminate_backend({pid})", database="postgres")


FAILURES = {
    "of the statement": (divide, "EIO"),
    "by a cancellation": (cancel, "ECANCELED"),
    "of the connection": (terminate, "EIO"),
}


# After a failure the next READ fails: a cut result never ends as if it were
# whole. Rows that came before are delivered.
@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_after_rows_is_not_a_clean_end(mount, pg, gate, kind):
    fail, errno = FAILURES[kind]
    g = gate(rows=3)
    m = mount(db=pg.spec(), settings=SOON)
    query = g.query.replace("select i as n", "select 10 / (i - 5) as n")
    client = m.start_python(program(f"""
run({query!r} + ";")
fd = os.open(RESULT, os.O_RDONLY)
rows = os.read(fd, 65536).count(b"\\n")
say("reading")
try:
    while piece := os.read(fd, 65536):
        rows += piece.count(b"\\n")
    say("clean end")
except OSError as e:
    say(errno.errorcode[e.errno])
say(code(os.read, fd, 1), rows in (4, 5))
say(code(open, RESULT) != "OK")
status = open(C + "/status.json").read()
say('"complete": false' in status, '"complete": true' in status)
"""))
    said(client, "reading")
    client.wait_parked()

    fail(m, pg, g)

    got = client.wait().check()
    assert got.lines == ["reading", errno, f"{errno} True", "True", "True False"]


# The rows before the failure are all there when they were not read before.
def test_rows_before_a_failure_are_delivered(mount, pg, gate):
    g = gate(steps=2, rows=1000)
    m = mount(db=pg.spec(), settings=SOON)
    query = g.query.replace("i as n", "case when i < 1500 then i else 1 / (i - 1500) end")
    client = m.start_python(program(f"""
run({query!r} + ";")
fd = os.open(RESULT, os.O_RDONLY)
say("open")
sys.stdin.read()
while '"failed"' not in open(C + "/status.json").read():
    pass
data = b""
try:
    while piece := os.read(fd, 100):
        data += piece
except OSError as e:
    say(errno.errorcode[e.errno], data.count(b"\\n"))
"""))
    said(client, "open")
    g.open()

    assert client.wait().check().lines == ["open", "EIO 1500"]


# A shell that sees a cut result has to see it in the exit status.
def test_cat_of_a_result_that_fails_reports_it(mount, pg, gate):
    g = gate()
    m = mount(db=pg.spec(), settings=SOON)
    query = g.query.replace("select i as n", "select 10 / (i - 6) as n")
    client = m.start_sh(
        'echo "$Q;" >"$C/query.sql" && cat "$C/result.csv"', env={"Q": query}
    )
    wait_for(lambda: client.stdout.count(b"\n") == 4, "the first rows")

    g.open()

    got = client.wait()
    assert (got.rc, "Input/output error" in got.err) == (1, True)


# What was read once and given up cannot be read again.
def test_a_result_larger_than_the_spool_is_read_once(mount, engine):
    settings = {"spool_memory": "64KiB", "spool_disk": 0}
    m = mount(db=engine.spec(), settings=settings)

    got = m.sh(
        'cat >"$C/query.sql" && md5sum <"$C/result.csv" && cat "$C/result.csv"',
        stdin=engine.series(100000) + ";",
    )

    assert got.out.split()[0] == digest(numbers(100000))
    assert got.rc == 1
    assert got.err.endswith("result.csv: Stale file handle\n")


# A second reader that comes while the first is past the beginning, likewise.
def test_a_late_reader_of_what_is_given_up_gets_estale(mount, engine):
    settings = {"spool_memory": "64KiB", "spool_disk": 0}
    m = mount(db=engine.spec(), settings=settings)

    got = m.python(program(f"""
run({engine.series(100000)!r} + ";")
fd = os.open(RESULT, os.O_RDONLY)
data = b""
while len(data) < 200000:
    data += os.read(fd, 4096)
say(code(open, RESULT))
say(len(data + read_all(fd)))
""")).check()

    assert got.lines == ["ESTALE", str(len(numbers(100000)))]


# A name that was looked up before a script ran names the result of then.
def test_opening_an_outdated_node_gives_estale(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(program("""
run("select 1 as a;")
old = os.open(RESULT, os.O_PATH)
run("select 2 as a;")
say(code(open, f"/proc/self/fd/{old}"))
say(open(RESULT).read(), end="")
""")).check()

    assert got.lines == ["ESTALE", "a", "2"]


# A session that has run nothing has no data, and is told how to share.
@pytest.mark.parametrize("name", ["result.csv"])
def test_a_session_that_ran_nothing_gets_enodata_and_a_hint(mount, engine, name):
    m = mount(db=engine.spec())
    m.query("select 1 as a;").check()

    got = m.python(program(f"""
say(code(open, C + "/{name}"))
say(open(C + "/error").read())
"""))

    assert got.lines[0] == "ENODATA"
    assert "cron" in got.out and "docker exec" in got.out


# results/ has each result set of the script, by number.
def test_results_has_each_result_set_of_a_script(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'cat >"$C/query.sql"; cd "$C/results"; ls; for f in 1 2 3; do cat $f.csv; done;'
        ' stat -c %s 1.csv 2.csv 3.csv; cat ../result.csv; cat 4.csv',
        stdin="select 1 as a; create table t (a int); select 'x,y' as b;\n"
        "insert into t values (1); select a from t where a = 2;",
    )

    listing = "1.csv\n2.csv\n3.csv\n"
    content = 'a\n1\nb\n"x,y"\na\n'
    assert got.out == listing + content + "4\n8\n2\na\n"
    assert got.err == "cat: 4.csv: No such file or directory\n"


# Those of the script before go when another script starts.
def test_results_begin_anew_with_each_script(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'echo "select 1 as a; select 2 as a; select 3 as a;" >"$C/query.sql";'
        ' ls "$C/results"; echo "select 4 as a;" >"$C/query.sql"; ls "$C/results";'
        ' cat "$C/results/1.csv"; echo "create table t (a int);" >"$C/query.sql";'
        ' ls "$C/results"; wc -c <"$C/result.csv"'
    ).check()

    assert got.lines == ["1.csv", "2.csv", "3.csv", "1.csv", "a", "4", "0"]


# The last 100 are kept, under the numbers they have in the script.
def test_results_has_the_last_100(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'cat >"$C/query.sql"; cd "$C/results"; ls | sort -n | tr "\\n" " "; echo;'
        ' cat 6.csv 105.csv ../result.csv; cat 5.csv 106.csv 0.csv 06.csv x.csv',
        stdin="".join(f"select {i} as a;\n" for i in range(1, 106)),
    )

    assert got.lines[0].split() == [f"{i}.csv" for i in range(6, 106)]
    assert got.lines[1:] == ["a", "6", "a", "105", "a", "105"]
    assert got.err.count("No such file or directory") == 5


# result.csv is the last so far, while the script still runs.
def test_results_so_far_can_be_read_while_the_script_runs(mount, pg, gate):
    g = gate(opened=0)
    m = mount(db=pg.spec())
    client = m.start_sh(
        'echo "select 1 as a; select 2 as b; select $G as c;" >"$C/query.sql" &'
        ' until [ -e "$C/results/2.csv" ]; do :; done; cat "$C/results/1.csv";'
        ' cat "$C/results/2.csv"; ls "$C/results"; echo read; wait;'
        ' cat "$C/results/3.csv" "$C/result.csv"',
        env={"G": g.call(1)},
    )
    wait_for(lambda: b"read\n" in client.stdout, "the first two are read")
    assert len(g.running()) == 1

    g.open()

    assert client.wait().check().out == (
        "a\n1\nb\n2\n1.csv\n2.csv\nread\nc\n1\nc\n1\n"
    )


# The results before a failure are good, and can be read by number.
def test_results_before_a_failure_stay(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'echo "select 1 as a; selec 2;" >"$C/query.sql"; cat "$C/results/1.csv";'
        ' ls "$C/results"; cat "$C/result.csv"'
    )

    assert got.out == "a\n1\n1.csv\n"
    assert got.err.endswith("result.csv: Invalid argument\n")


LOOKS = [
    'ls -laR "$M"',
    'find "$M" -ls',
    'find "$M" -type f -size +0 -print',
    'du -a --apparent-size "$M"',
    'stat "$C"/* "$C"/results "$C"/creds/*',
    'df "$M"; stat -f "$C/result.csv"',
    'test -e "$C/result.csv" && test -r "$C/result.csv" && test ! -s "$C/result.csv"',
    'cd "$C" && pwd -P && ls ..',
    'busybox find "$M"; busybox ls -lR "$M"',
    '/usr/bin/python3 -c \'import os; list(os.walk(os.environ["M"]))\'',
]


# Looking around never connects, and ends: the server is not even there. (The
# test's time limit is the rule's other half.)
@pytest.mark.parametrize("how", LOOKS)
def test_looking_around_never_connects(mount, pg, database, how):
    unreachable = {"host": "192.0.2.1", "port": 5432}
    m = mount(
        db=pg.spec(database=database, application_name="looked"),
        far=pg.spec(database=database, **unreachable),
    )

    got = m.sh(how, conn="db").check()
    got_far = m.sh(how, conn="far").check()

    assert got.elapsed < 5 and got_far.elapsed < 5
    sessions = "select sessions from pg_stat_database where datname"
    assert pg.sql(f"{sessions} = '{database}'", database="postgres") == [("0",)]


# Not even when there is a result, or one that runs.
def test_looking_around_does_not_disturb_what_runs(mount, pg, gate):
    g = gate()
    m = mount(db=pg.spec(), settings=SOON)
    client = m.start_sh(
        'echo "$Q;" >"$C/query.sql"; ls -lR "$C" >/dev/null; find "$C" -size +0'
        ' >/dev/null; du "$C" >/dev/null; stat -f "$C" >/dev/null; echo looked;'
        ' cat "$C/result.csv"',
        env={"Q": g.query},
    )
    wait_for(lambda: b"looked" in client.stdout, "it has looked around")
    assert len(g.running()) == 1

    g.open()

    assert client.wait().check().stdout == b"looked\n" + g.csv()


# `head -1` returns at once, and then nobody wants the rest.
@pytest.mark.parametrize("disk", [0, "1GiB"])
def test_head_of_an_endless_query_returns_and_the_server_stops(
    mount, pg, database, disk
):
    m = mount(db=pg.spec(database=database), settings={"spool_disk": disk})

    got = m.sh(
        'echo "select generate_series(1, 1000000000);" >"$C/query.sql" &&'
        ' head -1 "$C/result.csv"'
    )

    assert (got.rc, got.out) == (0, "generate_series\n")
    assert got.elapsed < 5
    pg.wait_until_gone("1000000000")


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
def test_status_says_complete_only_at_the_end(mount, pg, gate):
    g = gate()
    m = mount(db=pg.spec(), settings=SOON)
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
def test_a_reader_that_is_killed_ends_at_once(mount, pg, gate):
    g = gate()
    m = mount(db=pg.spec(), settings=SOON)
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
    assert writer.wait().lines[-1] == '6,""'


def test_results_of_sqlite_survive_a_change_of_the_file(mount, test_dir):
    engine = servers.SqliteEngine(test_dir / "test.db")
    engine.file.script("create table t as " + engine.series(5))
    m = mount(db=engine.spec())

    got = m.sh(
        'echo "select n from t;" >"$C/query.sql"; echo "delete from t;" >"$C/query.sql";'
        ' wc -c <"$C/result.csv"; echo "select n from t;" >"$C/query.sql";'
        ' cat "$C/result.csv"'
    ).check()

    assert got.lines == ["0", "n"]
