# SPDX-License-Identifier: MIT
"""Where results lie: in memory, then in an unlinked file, then at the server."""

import hashlib
import os
import pathlib
import subprocess

import pytest

import clients
from clients import wait_for
from readers import digest, numbers, program

MIB = 1024 * 1024

SANITIZED = clients.SCALE > 1  # the memory of such a daemon says nothing


def spool_files(m):
    """Descriptors of the daemon's spool files, and what is said of them."""
    found = {}
    for entry in pathlib.Path(f"/proc/{m.pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue
        if str(m.settings["spool_dir"]) in target:
            found[entry] = target
    return found


def evict(m):
    """Throws the spool files out of the page cache, so that reads wait."""
    for entry in spool_files(m):
        fd = os.open(entry, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


# What does not fit the memory goes to a file that has no name: nothing is left
# behind however the daemon ends.
def test_a_result_larger_than_memory_goes_to_an_unlinked_file(mount, engine):
    m = mount(db=engine.spec(), settings={"spool_memory": "256KiB"})
    client = m.start_sh(
        'cat >"$C/query.sql"; wc -l <"$C/result.csv"; kill -STOP $$;'
        ' md5sum <"$C/result.csv"',
        stdin=engine.series(200000) + ";",
    )
    wait_for(lambda: client.stdout == b"200001\n", "the first reading")

    assert os.listdir(m.spool) == []
    (target,) = spool_files(m).values()
    assert target.endswith(" (deleted)")

    wait_for(lambda: clients.status_of(client.pid)["State"][0] == "T", "it stops")
    client.signal(18)
    assert client.wait().check().lines[1].split()[0] == digest(numbers(200000))
    # The session is over, and its results with it.
    wait_for(lambda: spool_files(m) == {}, "the file is given back")


# Small results make no file at all.
def test_a_result_that_fits_memory_makes_no_file(mount, engine):
    m = mount(db=engine.spec())
    client = m.start_sh(
        'cat >"$C/query.sql"; wc -l <"$C/result.csv"; read x <"$C/result.csv"; cat',
        stdin=engine.series(200000) + ";",
    )
    wait_for(lambda: client.stdout == b"200001\n", "the reading")

    assert spool_files(m) == {}
    client.wait().check()


# The bytes are the same wherever they lie, at whatever offset they are asked
# for, and also when they have left the page cache.
@pytest.mark.parametrize("how", ["pread", "mmap", "direct", "readahead"])
def test_bytes_read_back_from_disk_are_right(mount, engine, how):
    m = mount(db=engine.spec(), settings={"spool_memory": "64KiB"})
    client = m.start_python(program(f"""
run({engine.series(400000)!r} + ";")
expected = ("n\\n" + "".join(f"{{i}}\\n" for i in range(1, 400001))).encode()
while os.stat(RESULT).st_size != len(expected):
    pass
say("spooled")
os.kill(os.getpid(), 19)
how = {how!r}
fd = os.open(RESULT, os.O_RDONLY | (os.O_DIRECT if how == "direct" else 0))
rng = random.Random(7)
if how == "readahead":
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
    assert os.pread(fd, len(expected) + 10, 0) == expected
elif how == "mmap":
    whole = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    whole.madvise(mmap.MADV_RANDOM)
    for _ in range(300):
        off = rng.randrange(len(expected))
        assert whole[off:off + 5000] == expected[off:off + 5000]
    assert whole[:] == expected
elif how == "direct":
    off = 0
    while off < len(expected):
        piece = mmap.mmap(-1, 1 << 20)
        n = os.preadv(fd, [piece], off)
        assert n > 0 and piece[:n] == expected[off:off + n]
        off += n
else:
    for _ in range(1000):
        off, length = rng.randrange(len(expected) + 10), rng.randrange(1, 300000)
        assert os.pread(fd, length, off) == expected[off:off + length]
say("same", os.fstat(fd).st_size == os.stat(RESULT).st_size == len(expected))
"""))
    wait_for(lambda: clients.status_of(client.pid)["State"][0] == "T", "it stops")
    assert len(spool_files(m)) == 1
    evict(m)

    client.signal(18)

    assert client.wait(40).check().lines == ["spooled", "same True"]


# A large read of a finished result in memory comes in one piece: the kernel
# takes a short answer for the end of the file.
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_large_read_of_a_finished_result_is_not_cut(mount, engine, size):
    m = mount(db=engine.spec(), settings={"settle_time": "1h"})
    count = size * MIB // 7

    got = m.python(program(f"""
run({engine.series(count)!r} + ";")
fd = os.open(RESULT, os.O_RDONLY)
size = os.fstat(fd).st_size
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
data = os.pread(fd, 16 << 20, 0)
say(hashlib.md5(data).hexdigest(), len(data) == size == os.fstat(fd).st_size)
""")).check()

    assert got.out.split() == [digest(numbers(count)), "True"]


# With the disk part full as well the server waits, and a slow reader gets all.
@pytest.mark.parametrize("disk", ["100KiB", "1MiB"])
def test_a_full_disk_part_holds_the_server(mount, server, disk):
    settings = {"spool_memory": "64KiB", "spool_disk": disk, "settle_time": 0.05}
    m = mount(db=server.spec(), settings=settings)
    client = m.start_python(program(f"""
run("{server.series(3000000)};")
fd = os.open(RESULT, os.O_RDONLY)
say("open")
os.kill(os.getpid(), 19)
sum = hashlib.md5()
while piece := os.read(fd, 4096):
    sum.update(piece)
say(sum.hexdigest())
"""))
    wait_for(lambda: clients.status_of(client.pid)["State"][0] == "T", "it stops")
    wait_for(
        lambda: server.held("3000000"),
        "the server waits for connfs",
    )

    client.signal(18)

    got = client.wait(40).check()
    assert got.lines == ["open", digest(numbers(3000000))]


@pytest.fixture
def small_disk(test_dir):
    """A file system of 1 MiB, nearly full."""
    where = test_dir / "small"
    where.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(where)], check=True
    )
    (where / "ballast").write_bytes(b"x" * (MIB // 2))
    yield where
    subprocess.run(["umount", str(where)], check=True)


# A disk that is full before spool_disk is reached counts as the limit: no
# loss, no failure.
def test_a_full_file_system_loses_nothing(small_disk, mount, engine):
    settings = {"spool_dir": str(small_disk), "spool_memory": "64KiB"}
    m = mount(db=engine.spec(), settings=settings)

    got = m.sh(
        'cat >"$C/query.sql" && md5sum <"$C/result.csv"',
        stdin=engine.series(1000000) + ";",
        timeout=40,
    ).check()

    assert got.out.split()[0] == digest(numbers(1000000))


# A first result set that fills the spool unread, and a statement after it:
# nobody could ever read on, so it fails, and says so.
@pytest.mark.parametrize("disk", [0, "200KiB"])
def test_an_unread_result_before_another_statement_fails_loudly(mount, engine, disk):
    m = mount(db=engine.spec(), settings={"spool_memory": "64KiB", "spool_disk": disk})

    got = m.sh(
        'cat >"$C/query.sql"; echo $?; cat "$C/result.csv"; echo $?;'
        ' grep -c spool "$C/error"; cat "$C/query.sql" >/dev/null;'
        ' echo "select 3 as c;" >"$C/query.sql"; cat "$C/result.csv"',
        stdin=engine.series(1000000) + "; select 2 as b;",
    )

    assert "No space left on device" in got.err
    assert got.lines == ["1", "1", "1", "c", "3"]


# Without a limit in its way the same script just runs.
def test_an_unread_result_before_another_statement_is_spooled(mount, engine):
    m = mount(db=engine.spec(), settings={"spool_memory": "64KiB"})

    got = m.sh(
        'cat >"$C/query.sql" && cat "$C/result.csv" && md5sum <"$C/results/1.csv"',
        stdin=engine.series(300000) + "; select 2 as b;",
    ).check()

    assert got.lines[:2] == ["b", "2"]
    assert got.lines[2].split()[0] == digest(numbers(300000))


def bulk_digest(count):
    sum = hashlib.md5(b"i,pad\n")
    for i in range(1, count + 1):
        sum.update(b"%d,%s\n" % (i, b"x" * 1000))
    return sum.hexdigest()


# The daemon's memory is bounded by the spool, not by the result.
def test_memory_stays_small_while_300_mb_pass(mount, engine):
    m = mount(db=engine.spec())

    got = m.sh(
        'cat >"$C/query.sql"; md5sum <"$C/result.csv"; wc -c <"$C/result.csv"',
        stdin=engine.series(300000, f"n as i, {engine.repeat(1000)} as pad") + ";",
        timeout=60,
    ).check()

    assert got.lines[0].split()[0] == bulk_digest(300000)
    assert int(got.lines[1]) > 300 * 1000 * 1000
    print(f"peak {m.status['VmHWM']} kB, then {m.status['VmRSS']} kB")
    assert SANITIZED or m.status["VmHWM"] < 48 * 1024


# spool_memory_total is for all results together, also those that are kept.
@pytest.mark.parametrize("size", [1000, 20000, 90000])
def test_many_kept_results_stay_within_the_total(mount, engine, size):
    settings = {"spool_memory": "1MiB", "spool_memory_total": "4MiB"}
    m = mount(db=engine.spec(), settings=settings)
    idle = m.status["VmRSS"]
    client = m.start_sh(
        'cat >"$C/query.sql"; echo done; kill -STOP $$; cd "$C/results";'
        ' for i in $(seq 50); do md5sum <$i.csv; done',
        stdin=(engine.series(size) + ";\n") * 50,
    )
    wait_for(lambda: clients.status_of(client.pid)["State"][0] == "T", "it stops", 40)
    grown = m.status["VmRSS"] - idle
    print(f"50 results of {len(numbers(size))} bytes: {grown} kB")
    evict(m)

    client.signal(18)

    lines = client.wait(40).check().lines
    assert lines == ["done"] + [f"{digest(numbers(size))}  -"] * 50
    assert SANITIZED or grown < 4 * 1024 + 6 * 1024


# What is given back is there for others: disk and memory of results that are
# gone, however many came before.
def test_limits_count_what_is_kept_and_not_what_was(mount, engine):
    settings = {"spool_memory": "64KiB", "spool_memory_total": "256KiB",
                "spool_disk": "2MiB"}
    m = mount(db=engine.spec(), settings=settings)

    got = m.sh(
        'cat >"$0"; for i in 1 2 3 4 5 6 7 8; do cat "$0" >"$C/query.sql" || exit;'
        ' md5sum <"$C/result.csv"; md5sum <"$C/result.csv"; done'.replace(
            '"$0"', '"$T"'),
        stdin=engine.series(200000) + ";",
        env={"T": str(m.dir / "q")},
        timeout=40,
    ).check()

    assert got.lines == [f"{digest(numbers(200000))}  -"] * 16


# A directory that cannot be written is found out before the mount, or said
# when it is needed; never a result with a hole.
def test_a_spool_dir_that_goes_away_fails_loudly(mount, engine, test_dir):
    gone = test_dir / "gone"
    gone.mkdir(mode=0o700)
    m = mount(db=engine.spec(),
              settings={"spool_memory": "64KiB", "spool_dir": str(gone)})
    gone.rmdir()

    got = m.sh(
        'cat >"$C/query.sql" && cat "$C/result.csv" | md5sum; cat "$C/error"',
        stdin=engine.series(200000) + ";",
    )
    again = m.query("select 1 as a;").check()

    assert digest(numbers(200000)) in got.out or "spool_dir" in got.out
    assert again.out == "a\n1\n"


# settings may come as mount options, too.
def test_spool_settings_as_mount_options(mount, engine):
    m = mount(db=engine.spec(), options=["spool_memory=64KiB", "spool_disk=0"])

    got = m.sh(
        'cat >"$C/query.sql" && md5sum <"$C/result.csv"; cat "$C/result.csv"',
        stdin=engine.series(100000) + ";",
    )

    assert got.out.split()[0] == digest(numbers(100000))
    assert got.err.endswith("Stale file handle\n")


# A reader that stays at the beginning keeps the bytes on disk, one that has
# gone gives the place back to the running statement.
def test_a_reader_that_leaves_frees_the_others(mount, engine):
    settings = {"spool_memory": "64KiB", "spool_disk": 0, "settle_time": 0.05}
    m = mount(db=engine.spec(), settings=settings)

    got = m.python(program(f"""
run("{engine.series(300000)};")
stays, leaves = os.open(RESULT, os.O_RDONLY), os.open(RESULT, os.O_RDONLY)
os.read(leaves, 10)
os.close(leaves)
sum = hashlib.md5()
while piece := os.read(stays, 4096):
    sum.update(piece)
say(sum.hexdigest())
""")).check()

    assert got.out.split() == [digest(numbers(300000))]


# And a busybox, which trusts the size, gets its result whole or an error when
# the spool cannot hold it.
@pytest.mark.parametrize("disk", ["1GiB", 0])
def test_busybox_gets_a_whole_result_or_an_error(mount, engine, disk):
    m = mount(db=engine.spec(), settings={"spool_memory": "64KiB", "spool_disk": disk})

    got = m.start_client(
        ["busybox", "sh", "-c",
         'busybox cat >"$C/query.sql" && busybox cat "$C/result.csv" | md5sum'],
        stdin=engine.series(300000) + ";",
    ).wait()

    if disk == 0:
        assert (got.rc, "File too large" in got.err) == (1, True)
    else:
        assert got.check().out.split()[0] == digest(numbers(300000))


# The gate holds the statement, so the file is still being written.
def test_a_running_result_can_be_read_from_disk(mount, server, gate):
    g = gate(steps=2, rows=20000, pad=20)
    m = mount(db=server.spec(), settings={"spool_memory": "64KiB", "settle_time": 0.05})
    client = m.start_python(program(f"""
run({g.query!r} + ";")
fd = os.open(RESULT, os.O_RDONLY)
os.kill(os.getpid(), 19)
data = b""
while len(data) < 400000:
    data += os.read(fd, 100000)
say("read", hashlib.md5(data[:400000]).hexdigest())
while piece := os.read(fd, 100000):
    data += piece
say(hashlib.md5(data).hexdigest())
"""))
    wait_for(lambda: clients.status_of(client.pid)["State"][0] == "T", "it stops")
    g.wait_until_running()
    evict(m)
    client.signal(18)
    wait_for(lambda: b"read" in client.stdout, "what there is has been read")
    assert len(g.running()) == 1

    g.open()

    first, whole = client.wait(40).check().lines
    assert first == "read " + digest(g.csv()[:400000])
    assert whole == digest(g.csv())


# Many columns need much room for few bytes, which makes many short pieces:
# more than one answer to the kernel can be made of without copying.
def test_a_finished_result_of_many_pieces_is_not_cut(mount, engine):
    m = mount(db=engine.spec())
    columns = ", ".join(["null as c"] * 1600)
    query = engine.series(200, columns)

    got = m.sh(
        'cat >"$C/query.sql" && wc -c "$C/result.csv" && md5sum <"$C/result.csv"',
        stdin=query + ";",
    ).check()

    expected = (",".join(["c"] * 1600) + "\n" + ("," * 1599 + "\n") * 200).encode()
    assert got.lines[0].split()[0] == str(len(expected))
    assert got.lines[1].split()[0] == digest(expected)
