# SPDX-License-Identifier: MIT
"""Whose an exchange is, what it shares with others, and how it ends."""

import re
import signal

import pytest

from clients import wait_for
from mount import ROOT
from readers import SOON, exchange, said

DOCUMENT = (ROOT / "docs/exchange.md").read_text()


# Nothing of it shows in the files of the caller's session, and nothing of
# those in it.
def test_it_does_not_touch_the_conversation(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange("""
def seen():
    texts = [open(C + "/" + name).read() for name in ["query.sql", "error"]]
    return texts + [code(open, RESULT), "idle" in open(C + "/status.json").read()]

before = seen()
fd = opened()
put(fd, "create temporary table mine (n int); select 1 as a;")
say(code(put, fd, "selec 1;"))
say(before == seen(), before[2:])
run("select 'other' as b;")
say(ask(fd, "select count(*) as n from mine;").split())
say(open(RESULT).read().split(), open(C + "/query.sql").read(), end="")
say(code(run, "select n from mine;"))
""")).check()

    assert got.lines == [
        "EINVAL",
        "True ['ENODATA', True]",
        "['n', '0']",
        "['b', 'other'] select 'other' as b;",
        "EINVAL",
    ]


# Each has its own transaction and temporary tables; so have those of threads.
def test_several_in_one_process(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange("""
seen = [None] * 8

def work(i):
    fd = opened()
    put(fd, f"create temporary table mine (n int); insert into mine values ({i});")
    barrier.wait()
    for k in range(20):
        seen[i] = ask(fd, "select n from mine;")
        if seen[i] != f"n\\n{i}\\n":
            break

barrier = threading.Barrier(len(seen))
threads = [threading.Thread(target=work, args=(i,)) for i in range(len(seen))]
for t in threads:
    t.start()
for t in threads:
    t.join()
say(seen == [f"n\\n{i}\\n" for i in range(len(seen))])
a, b = opened(), opened()
put(a, "select 'a' as a;")
put(b, "select 'b' as b;")
say(read_all(a), read_all(b))
""")).check()

    assert got.lines == ["True", r"b'a\na\n' b'b\nb\n'"]


# A node has one lock for writers and one error: opened once more, by its name
# in /proc, it would be two exchanges'.
def test_the_descriptor_is_not_opened_again(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(exchange("""
fd = opened()
say(code(os.open, f"/proc/self/fd/{fd}", os.O_RDWR))
say(ask(fd, "select 1 as a;"), end="")
""")).check()

    assert got.lines == ["EBUSY", "a", "1"]


# Handed to somebody else's process, it is of no use there; root's neither.
def test_another_user_is_refused(mount, engine):
    m = mount(db=engine.spec(access={"users": [1000]}))
    code = exchange("""
fd = opened()
put(fd, "select 1 as a;")
if os.fork() == 0:
    os.setuid(0 if os.getuid() else 1000)
    say(code(os.read, fd, 9), code(put, fd, "select 2;"), code(error, fd))
    os._exit(0)
os.wait()
say(read_all(fd))
""")

    got = m.python(code).check()

    assert got.lines == ["EACCES EACCES EACCES", r"b'a\n1\n'"]


# A child that inherits the descriptor works on the same exchange.
def test_a_child_shares_it(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'exec 3<>"$C/query.sql"; echo "begin; create temporary table t (n int);" >&3\n'
        'sh -c \'echo "insert into t values (7);" >&3\'\n'
        'sh -c \'echo "select n from t;" >&3; cat <&3\'; cat <&3'
    ).check()

    assert got.lines == ["n", "7"]


def test_a_close_rolls_back_and_logs_out(mount, server):
    server.sql("create table t (n int)")
    m = mount(db=server.spec())
    client = m.start_python(exchange("""
fd = opened()
put(fd, "begin; insert into t values (1);")
os.close(fd)
say("closed")
sys.stdin.read()
"""))
    said(client, "closed")

    server.wait_until_idle()

    assert server.sql("select count(*) from t") == [("0",)]
    client.wait().check()


# A process that is killed leaves nothing behind, wherever it was.
@pytest.mark.parametrize("where", ["idle", "write", "read"])
def test_a_kill_leaves_nothing(mount, server, gate, where):
    server.sql("create table t (n int)")
    g = gate(opened=0 if where == "write" else 1)
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_python(exchange(f"""
fd = opened()
put(fd, "begin; insert into t values (1); select 1 as a;")
if {where!r} != "idle":
    say("writing")
    put(fd, {g.query!r} + ";")
    read_all(fd)
say("idle")
signal.pause()
"""))
    if where == "idle":
        said(client, "idle")
    else:
        g.wait_until_running()
        client.wait_parked()

    client.kill()

    assert client.wait().rc == -signal.SIGKILL
    server.wait_until_idle()
    assert server.sql("select count(*) from t") == [("0",)]
    got = m.sh('wc -l <"$M/.connfs/statements"').check()
    assert got.lines == ["1"]


# And one that is killed in the middle of a text has not written it.
def test_half_a_statement_of_a_killed_process_is_not_run(mount, engine):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec())

    m.python(exchange("""
fd = opened()
put(fd, "insert into t values (1)")
os.kill(os.getpid(), signal.SIGKILL)
"""))

    got = m.query("select count(*) as n from t;").check()
    assert got.lines == ["n", "0"]


# One that exits has ended its text.
def test_an_exit_runs_the_rest(mount, engine):
    engine.sql("create table t (n int)")
    m = mount(db=engine.spec())

    m.python(exchange("""
put(opened(), "insert into t values (1)")
os._exit(0)
""")).check()

    assert engine.sql("select count(*) from t") == [("1",)]


# A handled signal interrupts what waits: nothing may run twice or be lost.
def test_a_harmless_signal_disturbs_nothing(mount, server, gate):
    server.sql("create table t (n int)")
    g = gate(opened=0)
    m = mount(db=server.spec(), settings=SOON)
    insert = f"insert into t select n from ({g.query}) q"
    client = m.start_python(exchange(f"""
count = 0
def tick(*args):
    global count
    count += 1
    if count == 20:
        os.write(1, b"twenty\\n")
signal.signal(signal.SIGALRM, tick)
fd = opened()
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
put(fd, {insert!r})
data = read_all(fd)
signal.setitimer(signal.ITIMER_REAL, 0)
say(data, ask(fd, "select count(*) as n from t;").split())
"""))
    g.wait_until_running()
    client.wait_parked()

    g.open()

    assert client.wait().check().lines[-1] == f"b'' ['n', '{g.steps * g.rows}']"


# Ctrl-C of a write: the statement did not happen.
def test_ctrl_c_of_a_write_cancels(mount, engine):
    m = mount(db=engine.spec())
    client = m.start_python(exchange(f"""
fd = opened()
say("writing")
put(fd, {engine.slow!r} + ";")
"""))
    said(client, "writing")
    client.wait_parked()

    client.signal(signal.SIGINT)

    assert "KeyboardInterrupt" in client.wait(5).err
    wait_for(
        lambda: m.sh('wc -l <"$M/.connfs/statements"').check().lines == ["1"],
        "it ends",
    )


# Of a read: it ends at once, and what it alone waited for is cancelled.
def test_ctrl_c_of_a_read_cancels_what_it_waited_for(mount, server):
    m = mount(db=server.spec())
    client = m.start_python(exchange(f"""
fd = opened()
put(fd, {server.slow!r})
try:
    os.read(fd, 100)
except KeyboardInterrupt:
    say("interrupted")
sys.stdin.read()
say(ask(fd, "select 1 as a;"), end="")
"""))
    client.wait_parked()
    server.wait_until_running("sleep(600)")

    client.signal(signal.SIGINT)

    got = client.wait(5).check()
    assert got.lines == ["interrupted", "a", "1"]
    assert not server.running("sleep(600)")


# But not what has given rows, which may be read on.
def test_ctrl_c_among_the_rows_cancels_nothing(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_python(exchange(f"""
fd = opened()
put(fd, {g.query!r} + ";")
data = b""
try:
    while True:
        data += os.read(fd, 65536)
except KeyboardInterrupt:
    say("interrupted")
say(len(data + read_all(fd)))
"""))
    wait_for(g.running, "it runs")
    client.wait_parked()
    client.signal(signal.SIGINT)
    said(client, "interrupted")

    g.open()

    assert client.wait().check().lines == ["interrupted", str(len(g.csv()))]


# It has no use for the parameters of the shell's next statement.
def test_params_json_is_not_for_it(mount, server):
    m = mount(db=server.spec())
    mark = "$1::int" if server.name == "postgres" else "?"

    got = m.python(exchange(f"""
open(C + "/params.json", "w").write("[41]")
fd = opened()
say(ask(fd, "select 1 as a;").split(), code(put, fd, "select {mark} + 1 as b;"))
run("select {mark} + 1 as b;")
say(open(RESULT).read().split())
""")).check()

    assert got.lines == ["['a', '1'] EINVAL", "['b', '42']"]


def test_in_a_session_it_is_private_too(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'mkdir "$C/sessions/s"; cd "$C/sessions/s"\n'
        'echo "create temporary table mine (n int); select n from mine;" >query.sql\n'
        'cat result.csv; exec 3<>query.sql\n'
        'echo "select n from mine;" >&3 || echo private\n'
        "cat result.csv; exec 3>&-; cd /; rmdir \"$C/sessions/s\""
    )

    assert got.lines == ["n", "private", "n"]
    assert got.rc == 0


# A reload without the connection ends it.
def test_a_connection_that_is_taken_away_ends_it(mount, engine):
    m = mount(db=engine.spec(), keep=engine.spec())
    client = m.start_python(
        exchange("""
fd = opened()
put(fd, "begin; select 1 as a;")
say("begun")
while os.path.exists(C):
    pass
say(code(put, fd, "select 2 as b;"), "taken away" in error(fd))
"""),
        "db",
    )
    said(client, "begun")

    del m.specs["db"]
    m.reload()

    assert client.wait().check().lines == ["begun", "ENOENT True"]


# The examples of the document, with what they print.

EXAMPLES = re.findall(r"```(\w+)\n(.*?)```\n\n```text\n(.*?)```", DOCUMENT, re.S)
PROGRAMS = {
    "sh": ["sh", "-c"],
    "bash": ["bash", "-c"],
    "python": ["/usr/bin/python3", "-c"],
    "js": ["node", "-e"],
    "perl": ["perl", "-e"],
}


def test_the_document_has_an_example_for_each():
    languages = [language for language, _, _ in EXAMPLES]

    assert sorted(set(languages)) == sorted([*PROGRAMS, "go"])
    assert languages.count("python") == 2
    assert DOCUMENT.count("```text") == len(EXAMPLES)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_work(mount, engine, request, number):
    language, source, printed = EXAMPLES[number]
    engine.sql("create table orders (id int, name varchar(20))")
    for row in ["1, 'apples'", "2, 'nuts'", "3, 'figs'"]:
        engine.sql(f"insert into orders values ({row})")
    m = mount(shop=engine.spec())
    source = source.replace("/conn/shop", str(m.path("shop")))
    argv = [*PROGRAMS.get(language, []), source]
    if language == "go":
        argv = [str(request.getfixturevalue("compiled")(source))]

    got = m.start_client(argv).wait().check()

    assert got.out.replace(str(m.mnt), "/conn") == printed
