# SPDX-License-Identifier: MIT
"""One result set in every format: what is in it, when it can be read, and how
it ends."""

import json
import re

import pytest

from clients import wait_for
from mount import ROOT
from readers import POLLERS, SOON, program, said

NAMES = ["csv", "tsv", "jsonl", "json", "txt"]
MADE = NAMES[1:]  # from the first

# Whatever stands in a cell has its own form in each of them.
TABLE = """select 1 as n, 'a"b,c' as "the text", null as missing, '' as empty
union all select 20, 'two
lines', 'x', 'tab\there'
union all select -3, '日本', ' ', 'NULL';"""

EXPECTED = {
    "csv": 'n,the text,missing,empty\n1,"a""b,c",,""\n20,"two\nlines",x,tab\there\n'
    "-3,日本, ,NULL\n",
    "tsv": "n\tthe text\tmissing\tempty\n1\ta\"b,c\t\\N\t\n"
    "20\ttwo\\nlines\tx\ttab\\there\n-3\t日本\t \tNULL\n",
    "jsonl": '{"n":1,"the text":"a\\"b,c","missing":null,"empty":""}\n'
    '{"n":20,"the text":"two\\nlines","missing":"x","empty":"tab\\there"}\n'
    '{"n":-3,"the text":"日本","missing":" ","empty":"NULL"}\n',
    "json": '[\n{"n":1,"the text":"a\\"b,c","missing":null,"empty":""},\n'
    '{"n":20,"the text":"two\\nlines","missing":"x","empty":"tab\\there"},\n'
    '{"n":-3,"the text":"日本","missing":" ","empty":"NULL"}\n]\n',
    "txt": "  n | the text   | missing | empty\n"
    "----+------------+---------+-----------\n"
    '  1 | a"b,c      | NULL    |\n'
    " 20 | two\\nlines | x       | tab\\there\n"
    " -3 | 日本       |         | NULL\n"
    "(3 rows)\n",
}

# What a client reads in a loop, until its errno.
DRAIN = """
def drain(fd):
    data = b""
    try:
        while piece := os.read(fd, 65536):
            data += piece
    except OSError as e:
        return data, errno.errorcode[e.errno]
    return data, "end"
"""


def rows_of(g, steps=None):
    """Of a gate, as objects."""
    for line in g.csv(steps).decode().splitlines()[1:]:
        n, pad = line.split(",")
        yield {"n": int(n), "pad": "" if pad == '""' else pad}


def jsonl(g, steps=None):
    rows = rows_of(g, steps)
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)


# Each has the whole of it, with the size that stat says, and seekable.
def test_a_result_is_there_in_every_format(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(program(f"""
run({TABLE!r})
for name in {NAMES!r}:
    path = C + "/result." + name
    size = os.stat(path).st_size
    with open(path, "rb") as f:
        data = f.read()
        assert f.seek(size // 2) and f.read() == data[size // 2:]
    with open(C + f"/results/1.{{name}}", "rb") as f:
        say(name, len(data) == size, f.read() == data)
    say(data.decode(), end="")
""")).check()

    assert got.out == "".join(f"{n} True True\n{EXPECTED[n]}" for n in NAMES)


# A query that finds nothing, and what is no query.
@pytest.mark.parametrize(
    "sql, contents",
    [
        (
            "select 1 as a where 1 = 0;",
            ["a\n", "a\n", "", "[]\n", " a\n---\n(0 rows)\n"],
        ),
        ("create table t (a int);", [""] * 5),
    ],
)
def test_without_rows(mount, engine, sql, contents):
    m = mount(db=engine.spec())

    got = m.sh(
        'cat >"$C/query.sql"; for f in csv tsv jsonl json txt; do'
        ' stat -c %s "$C/result.$f"; cat "$C/result.$f"; done',
        stdin=sql,
    ).check()

    assert got.out == "".join(f"{len(c)}\n{c}" for c in contents)


# All of them show the one execution, whenever they are opened.
def test_another_format_runs_nothing_again(mount, engine):
    m = mount(db=engine.spec())
    random = "rand()" if engine.name == "mariadb" else "random()"

    got = m.sh(
        'cat >"$C/query.sql"; cd "$C"; tail -n +2 result.csv; tail -n +2 result.tsv;'
        ' grep -o "[-0-9.e]\\+" result.jsonl; grep -o "[-0-9.e]\\+" result.json',
        stdin=f"select {random} as r;",
    ).check()

    assert len(got.lines) == 4
    assert len(set(got.lines)) == 1


# Of a script each result set has them, by its number.
def test_every_result_set_has_them(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'cat >"$C/query.sql"; cd "$C/results"; ls | tr "\\n" " "; cat 1.json 2.jsonl'
        " 2.txt; cat 3.json 1.xml 01.json; cat ../result.tsv",
        stdin="select 1 as a; select 'x' as b;",
    )

    files = " ".join(f"{n}.{name}" for n in (1, 2) for name in sorted(NAMES))
    assert got.out == files + ' [\n{"a":1}\n]\n{"b":"x"}\n b\n---\n x\n(1 row)\nb\nx\n'
    assert got.err.count("No such file or directory") == 3


# A session in sessions/ has its own, and who has run nothing has none.
def test_they_are_those_of_the_conversation(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'mkdir "$C/sessions/s"; echo "select 1 as a;" >"$C/sessions/s/query.sql";'
        ' cat "$C/sessions/s/result.jsonl"; cat "$C/result.json"'
    )

    assert got.out == '{"a":1}\n'
    assert got.err.endswith("result.json: No data available\n")


# An open file keeps its result, in whatever format, and a node of one that is
# gone is stale.
def test_an_open_one_is_not_disturbed_by_a_later_script(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(program(f"""
run({engine.series(3)!r} + ";")
fds = [os.open(C + "/result." + name, os.O_RDONLY) for name in {MADE!r}]
old = os.open(C + "/result.json", os.O_PATH)
run("select 'other' as b;")
for fd in fds:
    say(read_all(fd).decode(), end="")
say(open(C + "/result.jsonl").read(), end="")
say(code(os.open, f"/proc/self/fd/{{old}}", os.O_RDONLY))
""")).check()

    assert got.out == (
        'n\n1\n2\n3\n{"n":1}\n{"n":2}\n{"n":3}\n[\n{"n":1},\n{"n":2},\n{"n":3}\n]\n'
        '  n\n---\n 1\n 2\n 3\n(3 rows)\n'.replace("  n\n", " n\n")
        + '{"b":"other"}\nESTALE\n'
    )


# A failed statement fails the open of all of them.
def test_open_after_a_failure_fails_in_every_format(mount, engine):
    m = mount(db=engine.spec())

    got = m.python(program(f"""
say(code(run, "selec 1;"))
say(*(code(open, C + "/result." + name) for name in {NAMES!r}))
""")).check()

    assert got.lines == ["EINVAL", " ".join(["EINVAL"] * 5)]


# The bytes of COPY are what they are.
def test_bytes_of_copy_have_no_other_format(mount, pg, database):
    m = mount(db=pg.spec(database=database))

    got = m.python(program(f"""
run("copy (select 1, 2) to stdout;")
say(*(code(open, C + "/result." + name) for name in {NAMES!r}))
say(*(os.stat(C + "/result." + name).st_size for name in {NAMES!r}))
""")).check()

    assert got.lines == ["OK" + " ENOTSUP" * 4, "4 0 0 0 0"]


# In SQLite a column may hold number and text in turn. Where that changes too
# often to be remembered, JSON would have to guess.
def test_columns_that_change_too_often_are_not_guessed(mount, sqlite):
    m = mount(db=sqlite.spec())

    got = m.python(program("""
run("with recursive s(n) as (select 1 union all select n + 1 from s limit 600000)"
    " select case when n % 2 then n else cast(n as text) end as v from s;")
for name in "tsv", "jsonl", "json", "txt":
    try:
        with open(C + "/result." + name, "rb") as f:
            for line in f:
                pass
        say(name, line)
    except OSError as e:
        say(name, errno.errorcode[e.errno])
say(os.stat(C + "/result.json").st_size)
""")).check()

    assert got.lines == ["tsv b'600000\\n'", "jsonl EFBIG", "json EFBIG",
                         "txt b'(600000 rows)\\n'", "0"]


# Rows stream in all of them: what has come can be read.
@pytest.mark.parametrize("name", ["tsv", "jsonl", "json"])
def test_rows_can_be_read_while_the_server_works_on(mount, server, gate, name):
    g = gate(steps=3)
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_sh(
        f'echo "$Q;" >"$C/query.sql"; cat "$C/result.{name}"', env={"Q": g.query}
    )

    def shown(steps):
        # The comma behind an object is known when another one comes.
        if name == "json":
            return "[\n" + jsonl(g, steps).rstrip("\n").replace("\n", ",\n")
        if name == "tsv":
            return g.csv(steps).decode().replace(",", "\t").replace('""', "")
        return jsonl(g, steps)

    for n in (1, 2):
        wait_for(lambda n=n: client.stdout == shown(n).encode(), f"group {n} arrives")
        assert len(g.running()) == 1
        g.open(n + 1)

    end = "\n]\n" if name == "json" else ""
    assert client.wait().check().out == shown(3) + end


# A text is laid out by its first 1000 rows, and streams from there on.
def test_a_text_streams_once_it_is_laid_out(mount, server, gate):
    g = gate(steps=2, rows=1000)
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_sh(
        'echo "$Q;" >"$C/query.sql"; cat "$C/result.txt"', env={"Q": g.query}
    )

    wait_for(lambda: client.stdout.count(b"\n") == 1002, "the first rows")
    assert len(g.running()) == 1
    g.open()

    lines = client.wait().check().out.splitlines()
    assert [line[:7].rstrip() for line in lines[:2]] == ["    n |", "------+"]
    rows = [f" {row['n']:4} | {row['pad']}".rstrip() for row in rows_of(g)]
    assert lines[2:-1] == rows
    assert lines[-1] == "(2000 rows)"


# While it runs: size 0, no seeking; and the size is true once it was made.
def test_a_running_one_has_size_0(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_python(program(f"""
run({g.query!r} + ";")
path = C + "/result.json"
fd = os.open(path, os.O_RDONLY)
say(os.stat(path).st_size, code(os.lseek, fd, 1, os.SEEK_SET), code(os.pread, fd, 1, 1))
data = os.read(fd, 65536)
say("reading")
data += read_all(fd)
json = __import__("json")
say(len(json.loads(data)), os.stat(path).st_size == len(data))
"""))
    said(client, "reading")
    g.open()

    assert client.wait().check().lines == ["0 ESPIPE ESPIPE", "reading", "6 True"]


def cancel(m, server, gate):
    m.sh(
        """awk -F'\\t' '$5 == "streaming" { print $1 }' "$M/.connfs/statements" """
        '>"$M/.connfs/cancel"'
    ).check()


def divide(m, server, gate):
    gate.open()


FAILURES = {"of the statement": (divide, "EIO"), "by a cancel": (cancel, "ECANCELED")}


# A result that was cut ends with a failure, after its rows, and never with what
# only a whole one has.
@pytest.mark.parametrize("kind", FAILURES)
def test_a_cut_result_fails_in_every_format(mount, server, gate, kind):
    fail, expected = FAILURES[kind]
    g = gate(rows=3)
    m = mount(db=server.spec(), settings=SOON)
    query = g.query_of(server.number_until(5, "i"))
    client = m.start_python(program(DRAIN + f"""
import threading
run({query!r} + ";")
got = {{}}
def read(name):
    fd = os.open(C + "/result." + name, os.O_RDONLY)
    say("open")
    got[name] = drain(fd), code(os.read, fd, 1)
threads = [threading.Thread(target=read, args=[name]) for name in {MADE!r}]
for t in threads: t.start()
for t in threads: t.join()
for name in {MADE!r}:
    (data, end), again = got[name]
    say(name, end, again, b"3" in data, b"]" in data, b"rows)" in data)
say(*(code(open, C + "/result." + name) != "OK" for name in {MADE!r}))
"""))
    wait_for(lambda: client.stdout.count(b"open\n") == 4, "all are open")
    client.wait_parked()

    fail(m, server, g)

    got = client.wait().check()
    ends = [f"{name} {expected} {expected} True False False" for name in MADE]
    assert got.lines == ["open"] * 4 + ends + ["True True True True"]


# A shell sees it in the exit status.
def test_cat_of_a_cut_result_reports_it(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    query = g.query_of(server.number_until(6, "i"))
    client = m.start_sh(
        'echo "$Q;" >"$C/query.sql" && cat "$C/result.json"', env={"Q": query}
    )
    wait_for(lambda: client.stdout.count(b"\n") == 3, "the first rows")

    g.open()

    got = client.wait()
    assert (got.rc, "Input/output error" in got.err) == (1, True)
    assert "]" not in got.out


# An event loop is told when there is something encoded, and of the end.
@pytest.mark.parametrize("how", POLLERS)
def test_poll_tells_when_rows_have_come(mount, server, gate, how):
    g = gate(steps=3)
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_python(program(f"""
run({g.query!r} + ";")
fd = os.open(C + "/result.jsonl", os.O_RDONLY | os.O_NONBLOCK)
{POLLERS[how]}
assert ready(20)
data = os.read(fd, 65536)
while data.count(b"\\n") < 3:
    assert ready(20)
    data += os.read(fd, 65536)
say(code(os.read, fd, 1), ready(0))
say("waiting")
while ready(20):
    try:
        piece = os.read(fd, 65536)
    except BlockingIOError:
        continue
    if not piece:
        break
    data += piece
    if data.count(b"\\n") == 6:
        say("more")
say("all")
say(data.decode(), end="")
say(ready(0))
"""))
    said(client, "waiting")
    g.open(2)
    said(client, "more")
    g.open()

    got = client.wait().check()
    assert got.lines[0] == "EAGAIN False"
    assert got.out.split("all\n")[1] == jsonl(g) + "True\n"


# Who is killed while it waits ends at once; the others go on.
def test_a_reader_that_is_killed_ends_at_once(mount, server, gate):
    g = gate()
    m = mount(db=server.spec(), settings=SOON)
    client = m.start_sh(
        'echo "$Q;" >"$C/query.sql"; cat "$C/result.json" >/dev/null & echo $!;'
        ' cat "$C/result.jsonl" & wait %1; echo $?; wait; tail -1 "$C/result.json"',
        env={"Q": g.query},
        shell="bash",
    )
    client.wait_parked()
    wait_for(lambda: client.stdout.count(b"\n") >= 1, "its pid")
    pid = next(int(w) for w in client.stdout.split() if w.isdigit())

    m.sh(f"kill -9 {pid}").check()

    wait_for(lambda: b"137\n" in client.stdout, "its end is seen")
    g.open()
    assert client.wait().lines[-1] == "]"


# `head` of an endless query returns, and then nobody wants the rest.
@pytest.mark.parametrize("name, first", [("jsonl", '{"n":1}\n'), ("txt", " n\n")])
def test_head_of_an_endless_query_stops_the_server(mount, engine, name, first):
    m = mount(db=engine.spec())

    got = m.sh(
        f'cat >"$C/query.sql"; head -1 "$C/result.{name}";'
        ' until grep -q \'"state": "cancelled"\' "$C/status.json"; do :; done',
        stdin=engine.endless + ";",
    )

    assert (got.rc, got.out.lstrip(" ")) == (0, first.lstrip(" "))


# Programs that go by the size get short ones at once; of a long one, while
# nobody knows it, an error, and the whole of it at one of the next times.
def test_busybox_has_the_whole_of_it_or_an_error(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'cat >"$C/query.sql"; busybox cat "$C/result.json";'
        ' until busybox cat "$C/result.json" 2>/dev/null | tail -n 2 | grep .;'
        ' do :; done; echo "select 1 as a;" >"$C/query.sql";'
        ' busybox cat "$C/result.json"',
        stdin=engine.series(100000) + ";",
    )

    assert got.out == '{"n":100000}\n]\n[\n{"a":1}\n]\n'
    assert got.err.count("Resource temporarily unavailable") == 1


ORDERS = r"""create table orders (id int, price numeric(18,2), paid boolean,
    details jsonb, note text);
insert into orders values (1, 12.50, true, '{"size": 3}', null),
    (20, 9007199254740993, false, null, ''),
    (300, 0.1, null, '[1, 2]', E'said "no",\nand left');"""


# The document shows what is there.
def test_the_example_of_the_document(mount, pg, database):
    document = (ROOT / "docs/formats.md").read_text()
    blocks = re.findall(r"^```(?:sh|text)\n(.*?)^```", document, re.M | re.S)
    commands, output = blocks[:2]
    pg.sql(ORDERS, database=database, user="app")
    m = mount(shop=pg.spec(database=database))

    got = m.sh(commands.replace("/conn/", f"{m.mnt}/")).check()

    assert got.out == output
