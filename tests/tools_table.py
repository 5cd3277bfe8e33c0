# SPDX-License-Identifier: MIT
"""The programs of docs/tools.md that read: what each is told to do, and what it
prints of the content then."""

import base64
import dataclasses
import hashlib
import json
import typing


def whole(data):
    return data


def lines_of(data):
    return data.splitlines(keepends=True)


def first_lines(data):
    return b"".join(lines_of(data)[:10])


def last_lines(data):
    return b"".join(lines_of(data)[-10:])


def first_bytes(data):
    return data[:20]


def last_bytes(data):
    return data[-20:]


def without_the_first_line(data):
    return data.partition(b"\n")[2]


def reverse(data):
    return b"".join(reversed(lines_of(data)))


def number_of_lines(data):
    return b"%d\n" % data.count(b"\n")


def number_of_bytes(data):
    return b"%d\n" % len(data)


def number_of_rows(data):
    return b"%d\n" % (data.count(b"\n") - 1)


def first_column(data):
    return b"".join(line.split(b",")[0] + b"\n" for line in data.splitlines())


def ordered(data):
    return b"".join(sorted(lines_of(data)))


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


def blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest().encode() + b"\n"


def kind(data):
    return b"text/csv\n"


@dataclasses.dataclass(frozen=True)
class Tool:
    """script is bash's; the content is in the file $F, and in the directory $T
    there is room. prints(content) is what it prints."""

    script: str
    prints: typing.Callable = whole
    program: str = ""  # that has to be there; the first word of the name
    polls: bool = False  # waits in poll(2)

    def with_program(self, name):
        program = self.program or name.split()[0]
        program = {"python": "python3", "java": "javac"}.get(program, program)
        return dataclasses.replace(self, program=program)


# They copy as many bytes as the size says, and nothing that a file system
# answers makes them see, or show, that a running result has none.
SILENT = {"python os.splice", "python http.server", "curl -s --data-binary @"}

# What tests/packages does not install: looked at where it is there.
OPTIONAL = {"javac", "ruby", "mlr", "datamash", "zstd", "bzip2", "zip", "git"}
OPTIONAL |= {"wget", "pv"}


def python(code, prints=whole):
    return Tool(f"""/usr/bin/python3 - <<'END'
import os, shutil, sys
F, T = os.environ["F"], os.environ["T"]
def put(data): sys.stdout.buffer.write(data)
def copied(): put(open(T + "/c", "rb").read())
{code}
END""", prints)


def node(code, prints=whole):
    return Tool(f"""node -e '
const fs = require("fs"); const {{F, T}} = process.env;
const copied = () => process.stdout.write(fs.readFileSync(T + "/c"));
{code}'""", prints)


def copy(command):
    """What makes a copy in $T/c."""
    return Tool(f'{command} && cat "$T/c"')


def applet(words, prints):
    return Tool(f'busybox {words} "$F"', prints)


# nano shows a file on a terminal, and saves it under another name.
NANO = """
import subprocess, termios
fd, terminal = os.openpty()
termios.tcsetwinsize(terminal, (24, 80))
nano = subprocess.Popen(["nano", "-I", F], stdin=terminal, stdout=terminal,
                        env={**os.environ, "TERM": "vt100"})
screen = b""
def see(text, keys):
    global screen
    while text not in screen: screen += os.read(fd, 4096)
    screen = b""
    os.write(fd, keys)
see(b"Help", b"\\x0f")
see(b"File Name to Write", b"\\x01\\x0b" + T.encode() + b"/c\\r")
see(b"DIFFERENT NAME", b"y")
see(b"rote", b"\\x18")
os.close(terminal)
try:
    while os.read(fd, 4096): pass
except OSError:
    copied()  # nano has ended"""

SERVER = """
import functools, http.server, threading, urllib.request
class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass
where, name = os.path.split(F)
files = functools.partial(Files, directory=where)
server = http.server.HTTPServer(("127.0.0.1", 0), files)
threading.Thread(target=server.handle_request).start()
put(urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{name}").read())"""

SELECTORS = """
import selectors
s, fd, data = selectors.PollSelector(), os.open(F, os.O_RDONLY | os.O_NONBLOCK), b""
s.register(fd, selectors.EVENT_READ)
while s.select():
    try:
        piece = os.read(fd, 4096)
    except BlockingIOError:
        continue
    if not piece: break
    put(piece)"""

PSQL = """$PSQL -c 'create temp table t (n int, pad text)' \\
-c "\\\\copy t from '$F' csv header" -c 'select count(*) from t'"""

LOAD_DATA = """-e "create temporary table t (n int, pad text);
load data local infile '$F' into table t fields terminated by ',' ignore 1 lines;
select count(*) from t" """

READING = {
    # Shells
    "sh read": Tool(
        """sh -c 'while IFS= read -r l; do printf "%s\\n" "$l"; done <"$F"'"""),
    "sh $(cat)": Tool("""sh -c 'printf "%s\\n" "$(cat "$F")"'"""),
    "dash read": Tool(
        """dash -c 'while IFS= read -r l; do printf "%s\\n" "$l"; done <"$F"'"""),
    "bash read": Tool('while IFS= read -r l; do printf "%s\\n" "$l"; done <"$F"'),
    "bash mapfile": Tool('mapfile l <"$F"; printf %s "${l[@]}"'),
    "bash $(<)": Tool('printf "%s\\n" "$(<"$F")"'),
    "bash <()": Tool('cat <(cat "$F")'),
    "xargs -a": Tool('xargs -a "$F" -n 500 printf "%s\\n"'),
    # busybox
    "busybox sh read": Tool("""busybox sh -c '
while IFS= read -r l; do printf "%s\\n" "$l"; done <"$F"'"""),
    "busybox cat": applet("cat", whole),
    "busybox cp": copy('busybox cp "$F" "$T/c"'),
    "busybox head": applet("head -n 10", first_lines),
    "busybox tail": applet("tail -n 10", last_lines),
    "busybox wc": applet("wc -l <", number_of_lines),
    "busybox grep": applet("grep x", without_the_first_line),
    "busybox sed": applet("sed -n p", whole),
    "busybox awk": applet("awk '{ print }'", whole),
    "busybox sort": Tool('LC_ALL=C busybox sort "$F"', ordered),
    "busybox cut": applet("cut -d, -f1", first_column),
    "busybox tac": applet("tac", reverse),
    "busybox dd": Tool('busybox dd if="$F" 2>"$T/e" || cat "$T/e" >&2'),
    "busybox md5sum": Tool('busybox md5sum <"$F" | cut -d" " -f1', md5),
    "busybox gzip": Tool('busybox gzip -c "$F" | gunzip'),
    "busybox tar": Tool('busybox tar -C "${F%/*}" -cf "$T/t" "${F##*/}" &&'
                        ' tar -xOf "$T/t"'),
    # coreutils
    "cat": Tool('cat "$F"'),
    "cat <": Tool('cat <"$F"'),
    "cp": copy('cp "$F" "$T/c"'),
    "cp -a": copy('cp -a "$F" "$T/c"'),
    "cp --sparse": copy('cp --sparse=always "$F" "$T/c"'),
    "install": copy('install -m 600 "$F" "$T/c"'),
    "head -n": Tool('head -n 10 "$F"', first_lines),
    "head -c": Tool('head -c 20 "$F"', first_bytes),
    "tail -n": Tool('tail -n 10 "$F"', last_lines),
    "tail -c": Tool('tail -c 20 "$F"', last_bytes),
    "tail -n +1": Tool('tail -n +1 "$F"'),
    "wc -l": Tool('wc -l <"$F"', number_of_lines),
    "wc -c": Tool('wc -c <"$F"', number_of_bytes),
    "sort": Tool('LC_ALL=C sort "$F"', ordered),
    "cut": Tool('cut -d, -f1 "$F"', first_column),
    "tac": Tool('tac "$F"', reverse),
    "tee": Tool('tee "$T/c" <"$F" && cat "$T/c"', two_copies),
    "dd": Tool('dd if="$F" status=none'),
    "dd bs=1M": Tool('dd if="$F" bs=1M status=none'),
    "dd iflag=direct": Tool('dd if="$F" bs=4k iflag=direct status=none'),
    "split": Tool('split -b 1000 "$F" "$T/x" && cat "$T"/x*'),
    "split -n": Tool('split -n 3 "$F" "$T/x" && cat "$T"/x*'),
    "md5sum": Tool('md5sum <"$F" | cut -d" " -f1', md5),
    "base64": Tool('base64 -w0 "$F"; echo', encoded),
    "cmp": Tool('cat "$F" >"$T/c"; cmp "$F" "$T/c" && cat "$T/c"', program="cmp"),
    "diff": Tool('cat "$F" >"$T/c"; diff "$F" "$T/c" && cat "$T/c"'),
    # Text
    "grep": Tool('grep x "$F"', without_the_first_line),
    "grep -c": Tool('grep -c "" "$F"', number_of_lines),
    "gawk": Tool("""gawk '{ n++ } END { print n }' "$F" """, number_of_lines),
    "mawk": Tool("""mawk -F, '{ print $1 }' "$F" """, first_column),
    "sed": Tool('sed -n p "$F"'),
    "jq -R": Tool('jq -R . "$F"', json_lines),
    "mlr": Tool('mlr --csv cat "$F"'),
    "datamash": Tool('datamash -t, --header-in count 1 <"$F"', number_of_rows),
    "less": Tool('less "$F" | cat'),
    "vim": copy('TERM=dumb vim -es -u NONE -c "w! $T/c" -c q "$F"'),
    "nano": dataclasses.replace(python(NANO), program="nano"),
    "file": Tool('file -Eb --mime-type "$F"', kind),
    # Archives, copies
    "tar": Tool('tar -C "${F%/*}" -cf "$T/t" "${F##*/}" && tar -xOf "$T/t"'),
    "tar of the directory": Tool(
        'cd "${F%/*}" && tar --exclude=creds --exclude=cancel -cf "$T/t" . ;'
        ' s=$?; tar -xOf "$T/t" ./result.csv && exit $s'),
    "rsync": copy('rsync "$F" "$T/c"'),
    "rsync --inplace": copy('rsync --inplace "$F" "$T/c"'),
    "gzip": Tool('set -o pipefail; gzip -c "$F" | gunzip'),
    "gzip <": Tool('set -o pipefail; gzip -c <"$F" | gunzip'),
    "xz": Tool('set -o pipefail; xz -0c "$F" | xz -d', polls=True),
    "zstd": Tool('set -o pipefail; zstd -qc "$F" | zstd -dc'),
    "bzip2": Tool('set -o pipefail; bzip2 -c "$F" | bunzip2'),
    "zip": Tool('zip -jq "$T/z" "$F" && cd "$T" &&'
                ' /usr/bin/python3 -m zipfile -e z.zip out && cat out/*'),
    "git hash-object": Tool('git hash-object "$F"', blob),
    "pv": Tool('pv -q "$F"', polls=True),
    "curl file://": Tool('curl -sS "file://$F"', program="curl"),
    "curl -T": copy('curl -sS -T "$F" "$WEB" -o "$T/c"'),
    "curl -F": copy('curl -sS -F "f=@$F" "$WEB" -o "$T/c"'),
    "curl --data-binary @": copy(
        'curl --no-progress-meter --data-binary "@$F" "$WEB" -o "$T/c"'),
    "curl -s --data-binary @": copy(
        'curl -sS --data-binary "@$F" "$WEB" -o "$T/c"'),
    "curl --data-binary @- <": copy(
        'curl -sS --data-binary @- "$WEB" -o "$T/c" <"$F"'),
    "curl -T - <": copy('curl -sS -T - "$WEB" -o "$T/c" <"$F"'),
    "wget --post-file": copy('wget -q --post-file="$F" "$WEB" -O "$T/c"'),
    # Databases
    "sqlite3 .import": Tool(
        """sqlite3 :memory: ".import --csv '$F' t" 'select count(*) from t'""",
        number_of_rows),
    "sqlite3 readfile": Tool("""sqlite3 -newline '' :memory: \\
"select cast(readfile('$F') as text)" """),
    "psql \\copy": Tool(PSQL, number_of_rows),
    "mariadb LOAD DATA": Tool(
        f"$MARIADB --local-infile=1 {LOAD_DATA}", number_of_rows),
    # Python
    "python open": python("put(open(F, newline='').read().encode())"),
    "python lines": python("print(sum(1 for line in open(F)))", number_of_lines),
    "python csv": python(
        "import csv\nprint(len(list(csv.DictReader(open(F)))))", number_of_rows),
    "python pathlib": python("import pathlib; put(pathlib.Path(F).read_bytes())"),
    "python os.read": python("""
fd = os.open(F, os.O_RDONLY)
while b := os.read(fd, 77): put(b)"""),
    "python os.pread": python("""
fd, off = os.open(F, os.O_RDONLY), 0
while b := os.pread(fd, 77, off):
    put(b)
    off += len(b)"""),
    "python seek": python("""
f = open(F, "rb")
n = f.seek(0, 2)
f.seek(0)
put(f.read(n))"""),
    "python shutil.copyfile": python("shutil.copyfile(F, T + '/c'); copied()"),
    "python shutil.copy2": python("shutil.copy2(F, T + '/c'); copied()"),
    "python shutil.copyfileobj": python(
        "shutil.copyfileobj(open(F, 'rb'), sys.stdout.buffer)"),
    "python subprocess": python("""
import subprocess
with open(F) as f: subprocess.run(["cat"], stdin=f, check=True)"""),
    "python selectors": dataclasses.replace(python(SELECTORS), polls=True),
    "python mmap": python("""
import mmap
put(mmap.mmap(os.open(F, os.O_RDONLY), 0, prot=mmap.PROT_READ)[:])"""),
    "python os.sendfile": python("""
i, o = os.open(F, os.O_RDONLY), os.open(T + "/c", os.O_RDWR | os.O_CREAT)
while os.sendfile(o, i, None, 65536): pass
copied()"""),
    "python os.copy_file_range": python("""
i, o = os.open(F, os.O_RDONLY), os.open(T + "/c", os.O_RDWR | os.O_CREAT)
while os.copy_file_range(i, o, 65536): pass
copied()"""),
    "python os.splice": python("""
i, (r, w) = os.open(F, os.O_RDONLY), os.pipe()
while n := os.splice(i, w, 4096): put(os.read(r, n))"""),
    "python http.server": python(SERVER),
    "python tarfile": python("""
import tarfile
with tarfile.open(T + "/t", "w") as t: t.add(F, "c")
put(tarfile.open(T + "/t").extractfile("c").read())"""),
    "python zipfile": python("""
import zipfile
with zipfile.ZipFile(T + "/z", "w") as z: z.write(F, "c")
put(zipfile.ZipFile(T + "/z").read("c"))"""),
    # Node
    "node readFile": node("fs.readFile(F, (e, d) => { if (e) throw e; "
                          "process.stdout.write(d); });"),
    "node readFileSync": node("process.stdout.write(fs.readFileSync(F));"),
    "node promises": node(
        "fs.promises.readFile(F).then(d => process.stdout.write(d));"),
    "node stream": node("fs.createReadStream(F).pipe(process.stdout);"),
    "node readline": node(
        'let n = 0; require("readline").createInterface({input: '
        'fs.createReadStream(F)}).on("line", () => n++)'
        '.on("close", () => console.log(n));', number_of_lines),
    "node copyFile": node('fs.copyFile(F, T + "/c", e => { if (e) throw e; '
                          'copied(); });'),
    "node copyFileSync": node('fs.copyFileSync(F, T + "/c"); copied();'),
    "node cpSync": node('fs.cpSync(F, T + "/c"); copied();'),
    # Perl, Go, Java
    "perl <>": Tool("""perl -ne 'print' "$F" """),
    "perl slurp": Tool(
        """perl -e 'local $/; open F, "<", $ENV{F} or die; print <F>'"""),
    "perl File::Copy": copy("perl -MFile::Copy -e 'copy(@ENV{F}, \"$ENV{T}/c\") or "
                            "die'"),
    "ruby File.read": Tool("""ruby -e 'print File.read(ENV["F"])'"""),
    "ruby IO.copy_stream": copy(
        """ruby -e 'IO.copy_stream(ENV["F"], ENV["T"] + "/c")'"""),
    "ruby FileUtils.cp": copy(
        """ruby -rfileutils -e 'FileUtils.cp(ENV["F"], ENV["T"] + "/c")'"""),
    "go os.ReadFile": Tool('"$GO" ReadFile "$F"'),
    "go bufio.Scanner": Tool('"$GO" Scanner "$F"'),
    "go io.Copy": copy('"$GO" Copy "$F" "$T/c"'),
    "java readAllBytes": Tool('$JAVA readAllBytes "$F"'),
    "java Files.lines": Tool('$JAVA lines "$F"'),
    "java newBufferedReader": Tool('$JAVA reader "$F"'),
    "java FileInputStream": Tool('$JAVA stream "$F"'),
    "java Files.copy": copy('$JAVA copy "$F" "$T/c"'),
    "java FileChannel.map": Tool('$JAVA map "$F"'),
    "java FileChannel.transferTo": copy('$JAVA transferTo "$F" "$T/c"'),
}
READING = {name: tool.with_program(name) for name, tool in READING.items()}
