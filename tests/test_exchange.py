# SPDX-License-Identifier: MIT
"""query.sql opened for reading and writing: what is written, what is read, and
what comes of the two together. docs/exchange.md has the rules."""

import pytest

from clients import wait_for
from readers import SOON, digest, exchange, numbers, said

# Little room, so that a result soon waits for its reader.
TIGHT = {"spool_memory": 65536, "spool_memory_total": 65536, "spool_disk": 0}

on_postgres = pytest.mark.parametrize("server", ["postgres"], indirect=True)


def inserting(engine, query):
    return f"insert into t {query} returning n;"


def test_rows_come_back_on_the_descriptor(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange("""
fd = opened()
say(ask(fd, "select 1 as a, 'x,y' as b;"), end="")
say(ask(fd, "select 2 as c;"), end="")
""")).check()

    assert got.out == 'a,b\n1,"x,y"\nc\n2\n'


# One end of file for each result set, none for what has no result, and with
# nothing left each read says so at once.
def test_each_result_set_has_its_end(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange("""
fd = opened()
say(os.read(fd, 100))
put(fd, "create table t (n int); select 1 as a; insert into t values (1);")
for i in range(4):
    say(os.read(fd, 100))
put(fd, "select 2 as b; insert into t values (2); select n from t where n > 9;")
for i in range(6):
    say(os.read(fd, 100))
""")).check()

    assert got.lines == ["b''", r"b'a\n1\n'", "b''", "b''", "b''"] + [
        r"b'b\n2\n'", "b''", r"b'n\n'", "b''", "b''", "b''"
    ]


def test_small_reads_go_on_where_the_last_one_ended(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange(f"""
fd = opened()
put(fd, {engine.series(1000)!r} + ";")
say(b"".join(iter(lambda: os.read(fd, 7), b"")).decode(), end="")
say(os.read(fd, 7))
""")).check()

    assert got.stdout == numbers(1000) + b"b''\n"


# However the text was cut into writes.
def test_a_statement_may_come_byte_by_byte(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange("""
fd = opened()
for c in "select 'a;b' as x -- ;\\n; select 2 as y;":
    put(fd, c)
    if c == "y":
        say(ask(fd, ""), end="")
say(ask(fd, ""), end="")
""")).check()

    assert got.out == "x\na;b\ny\n2\n"


def test_it_is_a_stream(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange("""
fd = opened()
put(fd, "select 1 as a;")
say(code(os.lseek, fd, 0, os.SEEK_SET), code(os.pread, fd, 9, 0))
say(code(os.pwrite, fd, b"select 2;", 0))
say(read_all(fd))
""")).check()

    assert got.lines == ["ESPIPE ESPIPE", "ESPIPE", r"b'a\n1\n'"]


# Opening with truncation, and truncating, is what many libraries do.
def test_truncation_forgets_text_that_has_not_run(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange("""
with open(C + "/query.sql", "w+b", buffering=0) as f:
    f.write(b"select nothing")
    f.truncate(0)
    f.write(b"select 1 as a;")
    say(f.read())
""")).check()

    assert got.lines == [r"b'a\n1\n'"]


# The first rows are there while the server still works on the next, and the
# WRITE has not waited for settle_time.
@on_postgres
def test_rows_are_readable_while_the_statement_runs(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings={"settle_time": 600})
    client = m.start_python(exchange(f"""
fd = opened()
put(fd, {g.query!r} + ";")
say("written")
data = b""
while data.count(b"\\n") < 4:
    data += os.read(fd, 65536)
say(data)
say(read_all(fd))
"""))
    said(client, repr(g.csv(1)))
    assert client.running and g.running()

    g.open()

    got = client.wait().check()
    assert got.lines == ["written", repr(g.csv(1)), repr(g.csv()[len(g.csv(1)) :])]


# And not before there is one: the statement may still fail.
@on_postgres
def test_a_write_waits_for_the_first_row(mount, server, gate):
    g = gate(opened=0)
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_python(exchange(f"""
fd = opened()
put(fd, {g.query!r} + ";")
say("written")
say(read_all(fd))
"""))
    g.wait_until_running()
    client.wait_parked()
    assert client.stdout == b""

    g.open()

    assert client.wait().check().lines == ["written", repr(g.csv())]


def test_a_result_of_any_size_comes_whole(mount, engine):
    m = mount(db=engine.spec(), settings=TIGHT)

    got = m.python(exchange(f"""
fd = opened()
put(fd, {engine.series(1000000)!r} + ";")
say(hashlib.md5(read_all(fd)).hexdigest(), os.read(fd, 1))
say(ask(fd, "select 1 as a;"), end="")
"""), timeout=60).check()

    assert got.lines == [f"{digest(numbers(1000000))} b''", "a", "1"]


def test_a_transaction_belongs_to_the_exchange(mount, engine):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec())

    got = m.python(exchange("""
fd = opened()
for end in ["rollback", "commit"]:
    put(fd, "begin;")
    put(fd, "insert into t values (1);")
    say(ask(fd, "select count(*) as n from t;").split())
    put(fd, end + ";")
    say(ask(fd, "select count(*) as n from t;").split())
""")).check()

    assert got.lines == ["['n', '1']", "['n', '0']", "['n', '1']", "['n', '1']"]
    assert engine.sql("select count(*) from t") == [("1",)]


# The errno is the write's, what came after is dropped, and one goes on.
def test_a_failure_does_not_end_the_exchange(mount, engine):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec())

    got = m.python(exchange("""
fd = opened()
put(fd, "begin; insert into t values (1);")
say(code(put, fd, "selec 1; insert into t values (2); insert into"))
say(os.read(fd, 100))
put(fd, "rollback;")
say(ask(fd, "select count(*) as n from t;").split())
""")).check()

    assert got.lines == ["EINVAL", "b''", "['n', '0']"]


def test_rows_before_the_failure_can_still_be_read(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange("""
fd = opened()
say(code(put, fd, "select 1 as a; selec 2;"))
for i in range(3):
    say(os.read(fd, 100))
""")).check()

    assert got.lines == ["EINVAL", r"b'a\n1\n'", "b''", "b''"]


def test_the_attribute_says_why_it_failed(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange("""
fd = opened()
say(error(fd) == "", os.listxattr(fd))
say(code(put, fd, "select 1 as a;\\n  selec 1;"))
say(error(fd), end="")
say(os.getxattr(f"/proc/self/fd/{fd}", "user.connfs.error") == error(fd).encode())
put(fd, "select 1 as a;")
say(repr(error(fd)))
""")).check()

    assert got.lines[:2] == ["True ['user.connfs.error']", "EINVAL"]
    assert got.lines[2].startswith("ERROR:  ")
    assert "LINE 2, column 3:" in got.out or engine.name == "mariadb"
    assert got.lines[-3:] == ["ERRNO:  EINVAL", "True", "''"]


def test_no_other_file_has_attributes(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange("""
fd = opened()
for path in [C, C + "/query.sql", C + "/error"]:
    say(code(os.getxattr, path, "user.connfs.error"), os.listxattr(path))
say(code(os.getxattr, fd, "user.other"), code(os.getxattr, fd, "security.other"))
""")).check()

    assert got.lines == ["ENODATA []"] * 3 + ["ENODATA ENOTSUP"]


# The longest a kernel takes.
def test_a_long_error_is_cut(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange("""
fd = opened()
say(code(put, fd, "selec '" + "\\u00e9" * 100000 + "';"))
say(len(os.getxattr(fd, "user.connfs.error")) in (65535, 65536), error(fd)[:6])
""")).check()

    assert got.lines == ["EINVAL", "True ERROR:"] or engine.name == "mariadb"


# Complete, and nobody wants them.
def test_the_next_write_drops_unread_rows(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange(f"""
fd = opened()
put(fd, {engine.series(1000)!r} + "; select 2 as b;")
say(os.read(fd, 4))
say(ask(fd, "select 3 as c;"), end="")
say(os.read(fd, 100))
""")).check()

    assert got.out == "b'n\\n1\\n'\nc\n3\nb''\n"


def test_the_next_write_cancels_what_only_reads(mount, engine):
    m = mount(db=engine.spec(), settings=TIGHT)

    got = m.python(exchange(f"""
fd = opened()
put(fd, {engine.endless!r} + ";")
say(os.read(fd, 2))
for i in range(3):
    say(ask(fd, f"select {{i}} as a;"), end="")
say(repr(error(fd)))
""")).check()

    assert got.lines == [r"b'n\n'", "a", "0", "a", "1", "a", "2", "''"]


# Its rows wait for their reader, and a cancellation would undo it.
def test_a_statement_that_may_write_is_ebusy(mount, engine):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec(), settings=TIGHT)

    got = m.python(exchange(f"""
fd = opened()
put(fd, {inserting(engine, engine.series(100000))!r})
say(code(put, fd, "delete from t;"))
say(error(fd), end="")
say(read_all(fd).count(b"\\n"), os.read(fd, 1))
say(ask(fd, "select count(*) as n from t;").split(), repr(error(fd)))
""")).check()

    assert got.lines[0] == "EBUSY"
    assert "read its rows to their end first" in got.lines[1]
    assert got.lines[-2:] == ["100001 b''", "['n', '100000'] ''"]


# Neither is a transaction to be lost to a cancellation.
def test_a_statement_in_a_transaction_is_ebusy(mount, engine):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec(), settings=TIGHT)

    got = m.python(exchange(f"""
fd = opened()
put(fd, "begin; insert into t values (1);")
put(fd, {engine.series(100000)!r} + ";")
say(code(put, fd, "commit;"))
say(read_all(fd).count(b"\\n"))
put(fd, "commit;")
""")).check()

    assert got.lines == ["EBUSY", "100001"]
    assert engine.sql("select count(*) from t") == [("1",)]


# It gets settle_time to end, and no more.
def test_what_takes_longer_is_ebusy_too(mount, server, gate):
    server.sql("create table t (n int)")
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_python(exchange(f"""
fd = opened()
put(fd, "begin;")
put(fd, {g.query!r} + ";")
say(code(put, fd, "insert into t values (1);"))
say(len(read_all(fd)))
put(fd, "insert into t values (2); commit;")
"""))
    said(client, "EBUSY")

    g.open()

    assert client.wait().check().lines == ["EBUSY", str(len(g.csv()))]
    assert server.sql("select n from t") == [("2",)]


# A statement that ends by itself is waited for, not cancelled nor refused.
def test_short_statements_may_follow_each_other_unread(mount, engine):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec())

    got = m.python(exchange("""
fd = opened()
for i in range(50):
    put(fd, f"insert into t values ({i}) returning n;")
    put(fd, "select n from t;")
put(fd, "begin;")
for i in range(50):
    put(fd, "select n from t;")
put(fd, "commit;")
say(ask(fd, "select count(*) as n from t;").split())
""")).check()

    assert got.lines == ["['n', '50']"]


# Closed after the first row, it has been committed all the same.
def test_a_close_does_not_undo_a_statement_that_returned_a_row(mount, engine):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec())

    m.python(exchange(f"""
for i in range(10):
    fd = opened()
    put(fd, {inserting(engine, engine.series(1000))!r})
    os.read(fd, 4)
    os.close(fd)
""")).check()

    assert engine.sql("select count(*) from t") == [("10000",)]


# The result sets of one write have to fit, as nobody can read them meanwhile.
def test_an_unread_result_that_does_not_fit_is_an_error(mount, engine):
    m = mount(db=engine.spec(), settings=TIGHT)

    got = m.python(exchange(f"""
fd = opened()
say(code(put, fd, {engine.series(100000)!r} + "; select 2 as b;"))
say("larger than the spool" in error(fd))
say(ask(fd, "select 3 as c;"), end="")
""")).check()

    assert got.lines == ["ENOSPC", "True", "c", "3"]


# Unless another thread does: it sees every byte.
def test_another_thread_may_read_while_the_write_waits(mount, server, gate):
    g = gate(opened=0, steps=1, rows=100000)
    m = mount(db=server.spec(), settings=TIGHT)
    client = m.start_python(exchange(f"""
fd = opened()
t = threading.Thread(target=put, args=(fd, {g.query!r} + "; select 2 as b;"))
t.start()
while "running" not in open(C + "/../.connfs/statements").read():
    pass
say("running")
data = read_all(fd)
t.join()
say(hashlib.md5(data).hexdigest(), read_all(fd), error(fd))
"""))
    said(client, "running")
    wait_for(lambda: len(client.waiting()) == 2, "both wait")

    g.open()

    assert client.wait().check().lines[1:] == [rf"{digest(g.csv())} b'b\n2\n' "]


def test_a_read_does_not_hold_up_a_write(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_python(exchange(f"""
fd = opened()
put(fd, {g.query!r} + ";")
got = [os.read(fd, 65536)]
t = threading.Thread(target=lambda: got.append(read_all(fd)))
while got[0].count(b"\\n") < 4:
    got[0] += os.read(fd, 65536)
t.start()
wchan = f"/proc/self/task/{{t.native_id}}/wchan"
while "request_wait_answer" not in open(wchan).read():
    pass
put(fd, "select 'next' as")
say("written")
t.join()
say(len(b"".join(got)))
say(ask(fd, " a;"), end="")
"""))
    said(client, "written")

    g.open()

    got = client.wait().check()
    assert got.lines == ["written", str(len(g.csv())), "a", "next"]


# A hundred are kept, and the loss of the others is not silent.
def test_result_sets_that_were_let_go_are_missed(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange("""
fd = opened()
put(fd, "".join(f"select {i} as a;" for i in range(102)))
say(code(os.read, fd, 100))
say(sum(1 for i in range(100) if read_all(fd)), os.read(fd, 100))
""")).check()

    assert got.lines == ["ESTALE", "100 b''"]


# Text without its semicolon: the read asks for its rows.
def test_a_read_runs_what_is_not_ended(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange("""
fd = opened()
say(ask(fd, "select 1 as a; select 2 as b"), end="")
say(read_all(fd))
put(fd, "selec 1")
say(code(os.read, fd, 100), os.read(fd, 100), error(fd)[:6])
""")).check()

    assert got.lines == ["a", "1", r"b'b\n2\n'", "EINVAL b'' ERROR:"]


# A shell closes a copy of the descriptor after each redirection.
def test_a_flush_of_the_opener_runs_it_too(mount, engine):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec())

    got = m.sh(
        'count() { echo "select count(*) as n from t" >"$C/query.sql"\n'
        '          tail -n 1 "$C/result.csv"; }\n'
        'exec 3<>"$C/query.sql"; echo "insert into t values (1)" >&3; count\n'
        '/bin/echo "insert into" >&3; /bin/echo "t values (2)" >&3; count'
    ).check()

    assert got.lines == ["1", "1"]


# The shell does not show what a close says: the read does.
def test_a_failure_at_flush_is_the_reads_as_well(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'exec 3<>"$C/query.sql"; echo "selec 1" >&3; cat <&3; echo $?; cat <&3\n'
        'echo "select 1 as a" >&3; cat <&3'
    )

    assert "cat: -: Invalid argument" in got.err
    assert got.lines == ["1", "a", "1"]
    assert got.rc == 0


# After the first rows a failure can only be told by a read; once.
def test_a_failure_among_the_rows_is_eio(mount, server):
    m = mount(db=server.spec(), settings=TIGHT)
    query = server.series(200000, server.number_until(150000, "n") + " as n")

    got = m.python(exchange(f"""
fd = opened()
put(fd, {query!r} + ";")
try:
    n = 0
    while True:
        n += len(os.read(fd, 65536))
except OSError as e:
    say(errno.errorcode[e.errno], n > 100000)
say(os.read(fd, 100), error(fd)[:6])
say(ask(fd, "select 1 as a;"), end="")
""")).check()

    assert got.lines == ["EIO True", "b'' ERROR:", "a", "1"]


def test_a_cancelled_result_is_ecanceled(mount, engine):
    m = mount(db=engine.spec(), settings=TIGHT)

    got = m.python(exchange(f"""
fd = opened()
put(fd, {engine.endless!r} + ";")
listed = open(C + "/../.connfs/statements").read().splitlines()
say(len(listed))
open(C + "/../.connfs/cancel", "w").write(listed[1].split()[0])
say(code(read_all, fd), os.read(fd, 100))
say("cancel" in error(fd))
say(ask(fd, "select 1 as a;"), end="")
""")).check()

    assert got.lines == ["2", "ECANCELED b''", "True", "a", "1"]


# poll() tells when a read would not block; O_NONBLOCK makes it say so itself.
def test_poll_and_nonblocking_reads(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_python(exchange(f"""
fd = opened()
p = select.epoll()
p.register(fd, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
os.set_blocking(fd, False)
put(fd, {g.query!r} + ";")
data = b""
while data.count(b"\\n") < 4:
    try:
        data += os.read(fd, 65536)
    except BlockingIOError:
        p.poll()
say(code(os.read, fd, 1))
q = select.poll()
q.register(fd, select.POLLIN | select.POLLOUT)
say(q.poll(0) == [(fd, select.POLLOUT)])
while True:
    try:
        piece = os.read(fd, 65536)
    except BlockingIOError:
        p.poll()
        continue
    if not piece:
        break
    data += piece
say(len(data))
"""))
    said(client, "True")

    g.open()

    assert client.wait().check().lines == ["EAGAIN", "True", str(len(g.csv()))]
