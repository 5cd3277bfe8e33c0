# SPDX-License-Identifier: MIT
"""The tools people read files with, over running and finished results.

Each has to give the whole content or to fail so that it is seen: an exit
status, or words on stderr. An empty or a cut copy without either is the one
thing that must not happen.
"""

import base64
import hashlib
import json

import pytest

from clients import wait_for
from engines import PostgresEngine
from gate import PostgresGate

# Statements that run on count as settled soon: nobody waits for rows here.
SOON = {"settle_time": 0.05}


def whole(data):
    return data


def first_lines(data):
    return b"".join(data.splitlines(keepends=True)[:10])


def last_lines(data):
    return b"".join(data.splitlines(keepends=True)[-10:])


def reverse(data):
    return b"".join(reversed(data.splitlines(keepends=True)))


def number_of_lines(data):
    return b"%d\n" % data.count(b"\n")


def number_of_bytes(data):
    return b"%d\n" % len(data)


def first_column(data):
    return b"".join(line.split(b",")[0] + b"\n" for line in data.splitlines())


def ordered(data):
    return b"".join(sorted(data.splitlines(keepends=True)))


def md5(data):
    return hashlib.md5(data).hexdigest().encode() + b"\n"


def encoded(data):
    return base64.b64encode(data) + b"\n"


def json_lines(data):
    return "".join(
        json.dumps(line.decode()) + "\n" for line in data.splitlines()
    ).encode()


def two_copies(data):
    return data + data


def number_of_rows(data):
    return b"%d\n" % (data.count(b"\n") - 1)


def python(code):
    return f"""exec /usr/bin/python3 - <<'END'
import os, shutil, sys
F, T = os.environ["F"], os.environ["T"]
{code}
END"""


def node(code):
    return f"""exec node -e '
const fs = require("fs"); const {{F, T}} = process.env;
{code}'"""


PSQL = """$PSQL -c 'create temp table t (n int, pad text)' \\
-c "\\\\copy t from '$F' csv header" -c 'select count(*) from t'"""

# {name: (command, what it prints of the content)}. The content is $F, in $T
# there is room. These print the whole of a running result too.
STREAMING = {
    "cat": ('cat "$F"', whole),
    "cp": ('cp "$F" "$T/c" && cat "$T/c"', whole),
    "install": ('install -m 600 "$F" "$T/c" && cat "$T/c"', whole),
    "head -n": ('head -n 10 "$F"', first_lines),
    "head -c": ('head -c 20 "$F"', lambda data: data[:20]),
    "tail -n": ('tail -n 10 "$F"', last_lines),
    "tail -c": ('tail -c 20 "$F"', lambda data: data[-20:]),
    "tail -n +": ('tail -n +1 "$F"', whole),
    "wc -l": ('wc -l <"$F"', number_of_lines),
    "wc -c": ('wc -c <"$F"', number_of_bytes),
    "grep": ('grep x "$F"', lambda data: data.partition(b"\n")[2]),
    "grep -c": ('grep -c "" "$F"', number_of_lines),
    "awk": ("""awk '{ n++ } END { print n }' "$F" """, number_of_lines),
    "mawk": ("""mawk -F, '{ print $1 }' "$F" """, first_column),
    "sed": ('sed -n p "$F"', whole),
    "sort": ('LC_ALL=C sort "$F"', ordered),
    "tac": ('tac "$F"', reverse),
    "tee": ('tee "$T/c" <"$F" && cat "$T/c"', two_copies),
    "dd": ('dd if="$F" status=none', whole),
    "dd bs=1M": ('dd if="$F" bs=1M status=none', whole),
    "dd direct": ('dd if="$F" bs=4k iflag=direct status=none', whole),
    "md5sum": ('md5sum <"$F" | cut -d" " -f1', md5),
    "cut": ('cut -d, -f1 "$F"', first_column),
    "base64": ('base64 -w0 "$F"; echo', encoded),
    "cmp": ('cat "$F" >"$T/c"; cmp "$F" "$T/c" && cat "$T/c"', whole),
    "diff": ('cat "$F" >"$T/c"; diff "$F" "$T/c" && cat "$T/c"', whole),
    "gzip <": ('gzip -c <"$F" | gunzip', whole),
    "split": ('split -b 1000 "$F" "$T/x" && cat "$T"/x*', whole),
    "less": ('less "$F" | cat', whole),
    "xargs": ('xargs -a "$F" -n 500 printf "%s\\n"', whole),
    "jq": ('jq -R . "$F"', json_lines),
    "perl": ("""perl -ne 'print' "$F" """, whole),
    "perl slurp": (
        """perl -e 'local $/; open F, "<", $ENV{F} or die; print <F>'""", whole),
    "curl": ('curl -sS "file://$F"', whole),
    "sqlite3 .import": (
        """sqlite3 :memory: ".import --csv '$F' t" 'select count(*) from t'""",
        number_of_rows),
    "psql copy": (PSQL, number_of_rows),
    "bash read": (
        'while IFS= read -r l; do printf "%s\\n" "$l"; done <"$F"', whole),
    "bash mapfile": ('mapfile l <"$F"; printf %s "${l[@]}"', whole),
    "bash substitution": ('printf "%s\\n" "$(<"$F")"', whole),
    "busybox wc": ('busybox wc -l <"$F"', number_of_lines),
    "python open": (python("sys.stdout.write(open(F, newline='').read())"), whole),
    "python lines": (python("print(sum(1 for line in open(F)))"), number_of_lines),
    "python csv": (
        python("import csv\nprint(len(list(csv.DictReader(open(F)))))"),
        number_of_rows),
    "python pathlib": (
        python("import pathlib\n"
               "sys.stdout.buffer.write(pathlib.Path(F).read_bytes())"), whole),
    "python os.read": (
        python("fd = os.open(F, os.O_RDONLY)\n"
               "while b := os.read(fd, 77): sys.stdout.buffer.write(b)"), whole),
    "python copyfile": (
        python("shutil.copyfile(F, T + '/c')\n"
               "sys.stdout.write(open(T + '/c').read())"), whole),
    "python copy2": (
        python("shutil.copy2(F, T + '/c')\n"
               "sys.stdout.write(open(T + '/c').read())"), whole),
    "python copyfileobj": (
        python("shutil.copyfileobj(open(F, 'rb'), sys.stdout.buffer)"), whole),
    "node readFile": (node('fs.readFile(F, (e, d) => { if (e) throw e; '
                           'process.stdout.write(d); });'), whole),
    "node readFileSync": (node("process.stdout.write(fs.readFileSync(F));"), whole),
    "node stream": (node("fs.createReadStream(F).pipe(process.stdout);"), whole),
    "node lines": (
        node('let n = 0; require("readline").createInterface({input: '
             'fs.createReadStream(F)}).on("line", () => n++)'
             '.on("close", () => console.log(n));'), number_of_lines),
}

# These go by the size, which a running result has not yet, or do not wait for
# data (gzip), or are not told apart from others that go by it (busybox). They
# have to say so when they make nothing of it.
BY_SIZE = {
    "gzip": ('set -o pipefail; gzip -c "$F" | gunzip', whole),
    "sqlite3 readfile": (
        """sqlite3 -newline '' :memory: "select cast(readfile('$F') as text)" """,
        whole),
    "busybox head": ('busybox head -n 10 "$F"', first_lines),
    "busybox tail": ('busybox tail -n 10 "$F"', last_lines),
    "busybox grep": ('busybox grep -c "" "$F"', number_of_lines),
    "tar": ('tar -C "${F%/*}" -cf "$T/t" "${F##*/}" && tar -xOf "$T/t"', whole),
    "tar of the directory": (
        'cd "${F%/*}" && tar --exclude=creds --exclude=cancel -cf "$T/t" . ;'
        ' s=$?; tar -xOf "$T/t" ./result.csv && exit $s', whole),
    "rsync": ('rsync "$F" "$T/c" && cat "$T/c"', whole),
    "rsync --inplace": ('rsync --inplace "$F" "$T/c" && cat "$T/c"', whole),
    "busybox cat": ('busybox cat "$F"', whole),
    "busybox cp": ('busybox cp "$F" "$T/c" && cat "$T/c"', whole),
    "busybox tar": ('busybox tar -C "${F%/*}" -cf "$T/t" "${F##*/}" &&'
                    ' tar -xOf "$T/t"', whole),
    "python mmap": (
        python("import mmap\nfd = os.open(F, os.O_RDONLY)\n"
               "sys.stdout.buffer.write(mmap.mmap(fd, 0, prot=mmap.PROT_READ)[:])"),
        whole),
    "python sendfile": (
        python("i = os.open(F, os.O_RDONLY)\n"
               "o = os.open(T + '/c', os.O_RDWR | os.O_CREAT)\n"
               "while os.sendfile(o, i, None, 65536): pass\n"
               "sys.stdout.write(open(T + '/c').read())"), whole),
    "python pread": (
        python("fd = os.open(F, os.O_RDONLY)\noff = 0\n"
               "while b := os.pread(fd, 77, off):\n"
               "    sys.stdout.buffer.write(b)\n    off += len(b)"), whole),
    "python seek": (
        python("f = open(F, 'rb')\nn = f.seek(0, 2)\nf.seek(0)\n"
               "sys.stdout.buffer.write(f.read(n))"), whole),
}

# These take what has no size for empty, and nothing that a file system answers
# makes them see it: they are for finished results only.
FINISHED_ONLY = {
    "python splice": (
        python("i = os.open(F, os.O_RDONLY)\nr, w = os.pipe()\n"
               "while n := os.splice(i, w, 4096): "
               "sys.stdout.buffer.write(os.read(r, n))"), whole),
    "node copyFile": (
        node('fs.copyFileSync(F, T + "/c"); process.stdout.write(fs.readFileSync('
             'T + "/c"));'), whole),
}

TOOLS = {**STREAMING, **BY_SIZE, **FINISHED_ONLY}


@pytest.fixture
def tool(mount, pg, database, test_dir):
    """Starts a tool in the session that runs the query of the Gate."""
    g = PostgresGate(PostgresEngine(pg, database), rows=700, pad=20)
    m = mount(db=g.engine.spec(), settings=SOON)
    room = test_dir / "room"
    room.mkdir()
    psql = " ".join(pg.psql_argv("-t", "-A", database=database))

    def start(name):
        env = {"F": str(m.path("db", "result.csv")), "T": str(room), "PSQL": psql}
        run = 'printf "%s;" "$Q" >"$C/query.sql" && : >"$T/runs" || exit'
        script = f"{run}\n{TOOLS[name][0]}"
        client = m.start_sh(script, shell="bash", env={**env, "Q": g.query})
        wait_for(lambda: (room / "runs").exists() or not client.running, "it runs")
        return client

    return start, g


def is_loud(got):
    return got.rc != 0 or got.err != ""


# A finished result: every tool, everything, in silence.
@pytest.mark.parametrize("name", TOOLS)
def test_a_finished_result_is_whole(tool, name):
    start, g = tool
    g.open()

    got = start(name).wait().check()

    assert got.stdout == TOOLS[name][1](g.csv())


def let_it_read(client, g):
    """Opens the gate once the tool has read what there was, or has ended."""
    assert len(g.running()) == 1
    wait_for(lambda: client.parked() or not client.running, "the tool reads")
    g.open()


# A running one: what reads to the end of the file gets it all. head may leave
# early, and tail complain that it cannot seek.
@pytest.mark.parametrize("name", STREAMING)
def test_a_running_result_is_whole_for_what_reads_to_the_end(tool, name):
    start, g = tool
    client = start(name)
    let_it_read(client, g)

    got = client.wait()

    assert (got.rc, got.stdout) == (0, TOOLS[name][1](g.csv())), got


# And what goes by the size gets it all, or fails loudly.
@pytest.mark.parametrize("name", BY_SIZE)
def test_a_running_result_is_whole_or_loud_for_what_goes_by_size(tool, name):
    start, g = tool
    client = start(name)
    let_it_read(client, g)

    got = client.wait()

    assert is_loud(got) or got.stdout == TOOLS[name][1](g.csv()), got
