# SPDX-License-Identifier: MIT
"""Other formats of results that are too large to be made at once: the same
bytes wherever the CSV lies, in whatever order, for however many readers."""

import pytest

import clients
from clients import wait_for
from readers import SOON, program
from test_spool import SANITIZED, evict

# What Python makes of result.csv: the columns are i, a number, and pad, a text.
EXPECTED = """
import csv, json, threading
def rows():
    with open(RESULT, newline="") as f:
        for row in csv.DictReader(f):
            yield {"i": int(row["i"]), "pad": row["pad"]}
def made(name):
    objects = [json.dumps(row, separators=(",", ":")) for row in rows()]
    if name == "json":
        return ("[\\n" + ",\\n".join(objects) + "\\n]\\n").encode()
    if name == "jsonl":
        return ("\\n".join(objects) + "\\n").encode()
    if name == "tsv":
        lines = [f"{r['i']}\\t{r['pad']}\\n" for r in rows()]
        return ("i\\tpad\\n" + "".join(lines)).encode()
    i, pad = (max(len(str(r[c])) for r in list(rows())[:1000]) for c in ("i", "pad"))
    lines = [f" {'i':>{i}} | pad", "-" * (i + 2) + "+" + "-" * (pad + 2)]
    lines += [f" {r['i']:{i}} | {r['pad']:{pad}}".rstrip() for r in rows()]
    return ("\\n".join(lines) + f"\\n({len(lines) - 2} rows)\\n").encode()
def whole(name):
    with open(C + "/result." + name, "rb", buffering=0) as f:
        return read_all(f.fileno())
def complete():
    while '"complete": true' not in open(C + "/status.json").read():
        pass
"""

MADE = ["tsv", "jsonl", "json", "txt"]


def bulk(engine, rows, pad=20):
    return engine.series(rows, f"n as i, {engine.repeat(pad)} as pad") + ";"


# On disk and out of the page cache, in memory, or while it comes: the bytes are
# those that others make of the CSV.
def test_large_results_are_what_they_should_be(mount, engine):
    m = mount(db=engine.spec(), settings={"spool_memory": "256KiB", **SOON})
    client = m.start_python(program(EXPECTED + f"""
run({bulk(engine, 100000)!r})
first = {{name: whole(name) for name in {MADE!r}}}
complete()
say("made")
os.kill(os.getpid(), 19)
for name in {MADE!r}:
    data = made(name)
    say(name, first[name] == data, whole(name) == data,
        os.stat(C + "/result." + name).st_size == len(data))
"""))
    wait_for(lambda: clients.status_of(client.pid)["State"][0] == "T", "it stops", 40)
    evict(m)

    client.signal(18)

    lines = client.wait(60).check().lines
    assert lines == ["made"] + [f"{name} True True True" for name in MADE]


# Once it was made, a large one is a file like any other.
@pytest.mark.parametrize("name", MADE)
def test_a_large_one_can_be_read_anywhere(mount, sqlite, name):
    m = mount(db=sqlite.spec(), settings={"spool_memory": "64KiB", **SOON})

    got = m.python(program(EXPECTED + f"""
run({bulk(sqlite, 100000)!r})
complete()
path = C + "/result.{name}"
say(os.stat(path).st_size)
data = whole({name!r})
fd = os.open(path, os.O_RDONLY)
size = os.fstat(fd).st_size
say(size == len(data) == os.lseek(fd, 0, os.SEEK_END))
rng = random.Random(3)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
for _ in range(100):
    off, length = rng.randrange(size + 10), rng.randrange(1, 300000)
    assert os.pread(fd, length, off) == data[off:off + length], off
direct = os.open(path, os.O_RDONLY | os.O_DIRECT)
for off in range(0, size, 1 << 20):
    piece = mmap.mmap(-1, 1 << 20)
    n = os.preadv(direct, [piece], off)
    assert piece[:n] == data[off:off + n] and n == min(1 << 20, size - off)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as mapped:
    for off in range(size - 5000, 0, -400000):
        assert mapped[off:off + 5000] == data[off:off + 5000]
    assert mapped[:] == data
say("same")
"""), timeout=60).check()

    assert got.lines == ["0", "True", "same"]


# Readers of all formats at once, each at its own speed, while the rows come.
@pytest.mark.parametrize("disk", ["0", "1GiB"])
def test_readers_of_all_formats_at_once(mount, engine, disk):
    settings = {"spool_memory": "256KiB", "spool_disk": disk, **SOON}
    m = mount(db=engine.spec(), settings=settings)

    got = m.python(program(EXPECTED + f"""
run({bulk(engine, 60000)!r})
names = {MADE!r} + ["csv", "json"]
fds = [os.open(C + "/result." + name, os.O_RDONLY) for name in names]
sizes = 700, 3000, 65536, 131072, 1000, 4096
got = {{}}
def reader(fd, size):
    got[fd] = read_all(fd, size)
threads = [threading.Thread(target=reader, args=a) for a in zip(fds, sizes)]
for t in threads:
    t.start()
for t in threads:
    t.join()
say(code(open, C + "/result.json"))
def rows():
    for line in got[fds[4]].decode().splitlines()[1:]:
        i, pad = line.split(",")
        yield {{"i": int(i), "pad": pad}}
say(*(got[fd] == made(name) for fd, name in zip(fds, names) if name != "csv"))
"""), timeout=60).check()

    assert got.lines == ["ESTALE" if disk == "0" else "OK", " ".join(["True"] * 5)]


# What does not fit the spool is read once, front to back, in one of them; nor
# do the rows fit that a text is laid out by.
@pytest.mark.parametrize("name", MADE)
def test_one_larger_than_the_spool_is_read_once(mount, engine, name):
    settings = {"spool_memory": "64KiB", "spool_disk": 0, **SOON}
    m = mount(db=engine.spec(), settings=settings)

    got = m.sh(
        f'cat >"$C/query.sql" && wc -l <"$C/result.{name}" && cat "$C/result.{name}"',
        stdin=bulk(engine, 20000, 300),
    )

    lines = {"tsv": 20001, "jsonl": 20000, "json": 20002, "txt": 20003}[name]
    assert (got.rc, got.out) == (1, f"{lines}\n")
    assert got.err.endswith(f"result.{name}: Stale file handle\n")


# A reader of text that waits for rows to lay it out by goes on with what there
# is when the server can send no more.
def test_a_text_is_laid_out_by_what_the_spool_holds(mount, server, gate):
    g = gate(steps=9, rows=100, pad=2000)
    settings = {"spool_memory": "1MiB", "spool_disk": 0, **SOON}
    m = mount(db=server.spec(), settings=settings)
    client = m.start_sh(
        'echo "$Q;" >"$C/query.sql"; cat "$C/result.txt" | wc -l', env={"Q": g.query}
    )
    client.wait_parked()
    assert client.stdout == b""

    g.open()

    assert client.wait().check().out == "903\n"


# A reader that leaves early, or in the middle of what is encoded for it, holds
# nothing; nor do many that stay and do not read.
def test_readers_that_come_and_go(mount, sqlite):
    m = mount(db=sqlite.spec(), settings={"spool_memory": "256KiB", **SOON})

    got = m.python(program(EXPECTED + f"""
run({bulk(sqlite, 100000)!r})
complete()
for i in range(300):
    fd = os.open(C + "/result." + {MADE!r}[i % 4], os.O_RDONLY)
    os.read(fd, 1 + 1000 * (i % 50))
    os.close(fd)
lazy = [os.open(C + "/result.json", os.O_RDONLY) for i in range(200)]
for fd in lazy:
    os.read(fd, 1)
say(whole("json") == made("json"))
"""), timeout=60).check()

    print(f"peak {m.status['VmHWM']} kB")
    assert got.lines == ["True"]
    assert SANITIZED or m.status["VmHWM"] < 96 * 1024


# The daemon ends while readers wait for what is being encoded.
def test_the_daemon_ends_while_it_encodes(mount, sqlite):
    m = mount(db=sqlite.spec(), settings=SOON)
    client = m.start_sh(
        'cat >"$C/query.sql"; for i in 1 2 3 4; do'
        ' while cat "$C/result.json" "$C/result.txt"; do :; done >/dev/null 2>&1 &'
        ' done; head -c 9 "$C/result.json" >/dev/null; echo busy; wait',
        stdin=bulk(sqlite, 200000),
    )
    wait_for(lambda: client.stdout == b"busy\n", "they read")

    m.stop()


# 300 MB of it pass through the memory that everything has.
def test_the_memory_of_a_large_json_is_bounded(mount, sqlite):
    m = mount(db=sqlite.spec(), settings={"spool_memory": "8MiB"})

    got = m.sh(
        'cat >"$C/query.sql"; tail -c 3 "$C/result.json"; wc -c <"$C/result.json"',
        stdin=bulk(sqlite, 300000, 1000),
        timeout=60,
    ).check()

    size = sum(len(f'{{"i":{n},"pad":""}},\n') + 1000 for n in range(1, 300001))
    assert got.out == f"}}\n]\n{size + len('[') + len(']') + 2 - 1}\n"[1:]
    print(f"peak {m.status['VmHWM']} kB, then {m.status['VmRSS']} kB")
    assert SANITIZED or m.status["VmHWM"] < 48 * 1024


# Whoever reads CSV does not wait for those who have something encoded.
def test_csv_is_not_held_up_by_other_formats(mount, sqlite):
    m = mount(db=sqlite.spec(), settings=SOON)

    got = m.python(program(EXPECTED + f"""
run({bulk(sqlite, 100000)!r})
complete()
def csv_once():
    start = time.monotonic()
    size = len(whole("csv"))
    return time.monotonic() - start
alone = min(csv_once() for _ in range(5))
busy = True
def read():
    while busy:
        whole("json")
threads = [threading.Thread(target=read) for _ in range(4)]
for t in threads:
    t.start()
beside = min(csv_once() for _ in range(5))
one = time.monotonic()
whole("jsonl")
one = time.monotonic() - one
busy = False
for t in threads:
    t.join()
say(alone, beside, one)
"""), timeout=60).check()

    alone, beside, one = map(float, got.out.split())
    print(f"alone {alone:.3f} s, beside {beside:.3f} s, one of them {one:.3f} s")
    assert beside < 1 * clients.SCALE
    assert one < 5 * clients.SCALE
