# SPDX-License-Identifier: MIT
"""The programs of docs/tools.md that write: how each writes the file $TEXT to
query.sql, which is $Q. In the directory $T there is room."""

import dataclasses

from tools_table import Tool


def python(code):
    return Tool(f"""/usr/bin/python3 - <<'END'
import os, shutil
Q, T, TEXT = os.environ["Q"], os.environ["T"], os.environ["TEXT"]
text = open(TEXT).read()
{code}
END""")


def node(code):
    return Tool(f"""node -e '
const fs = require("fs"); const {{Q, T, TEXT}} = process.env;
const text = fs.readFileSync(TEXT);
{code}'""")


# nano's prompts, and what is typed at each.
NANO = """
import subprocess, termios
fd, terminal = os.openpty()
termios.tcsetwinsize(terminal, (24, 80))
argv = ["nano", "-I", "--ignorercfiles", T + "/text"]
shutil.copy(TEXT, T + "/text")
nano = subprocess.Popen(argv, stdin=terminal, stdout=terminal,
                        env={**os.environ, "TERM": "vt100"})
screen = b""
def see(*texts):
    global screen
    while not any(text in screen for text in texts): screen += os.read(fd, 65536)
    seen, screen = screen, b""
    return seen
see(b"Help")
os.write(fd, b"\\x0f")
see(b"File Name to Write")
os.write(fd, b"\\x01\\x0b" + Q.encode() + b"\\r")
see(b"DIFFERENT NAME")
os.write(fd, b"y")
see(b"OVERWRITE", b"Overwrite", b"exists")
os.write(fd, b"y")
seen = see(b"rote", b"Error")
nano.kill()
nano.wait()
if b"Error" in seen: raise SystemExit(seen.decode(errors="replace"))"""

EXEC = """exec 3>"$Q"
cat "$TEXT" >&3; status=$?
exec 3>&-
exit $status"""

WRITING = {
    # Shells
    "sh echo": Tool("""sh -c 'echo "$(cat "$TEXT")" >"$Q"'"""),
    "sh here-document": Tool("""sh -c 'cat >"$Q" <<END
$(cat "$TEXT")
END'"""),
    "dash printf": Tool("""dash -c 'printf "%s\\n" "$(cat "$TEXT")" >"$Q"'"""),
    "bash echo": Tool('echo "$(cat "$TEXT")" >"$Q"'),
    "bash printf": Tool('printf "%s\\n" "$(cat "$TEXT")" >"$Q"'),
    "bash echo >>": Tool('echo "$(cat "$TEXT")" >>"$Q"'),
    "bash exec 3>": Tool(EXEC),
    "bash while read": Tool(
        'while IFS= read -r l; do echo "$l"; done <"$TEXT" >"$Q"'),
    "busybox sh echo": Tool("""busybox sh -c 'echo "$(cat "$TEXT")" >"$Q"'"""),
    "busybox cat >": Tool('busybox cat "$TEXT" >"$Q"'),
    "busybox cp": Tool('busybox cp "$TEXT" "$Q"'),
    "busybox dd": Tool(
        'busybox dd bs=700 if="$TEXT" of="$Q" 2>"$T/e" || cat "$T/e" >&2'),
    "busybox tee": Tool('busybox tee "$Q" <"$TEXT" >/dev/null'),
    # coreutils
    "cat >": Tool('cat "$TEXT" >"$Q"'),
    "cp": Tool('cp "$TEXT" "$Q"'),
    "cp -f": Tool('cp -f "$TEXT" "$Q"'),
    "install": Tool('install "$TEXT" "$Q"'),
    "mv": Tool('cp "$TEXT" "$T/m" && mv "$T/m" "$Q"'),
    "cp, mv": Tool('cp "$TEXT" "${Q%/*}/new.sql" && mv "${Q%/*}/new.sql" "$Q"'),
    "tee": Tool('tee "$Q" <"$TEXT" >/dev/null'),
    "tee -a": Tool('tee -a "$Q" <"$TEXT" >/dev/null'),
    "dd": Tool('dd if="$TEXT" of="$Q" status=none'),
    "dd conv=fsync": Tool('dd if="$TEXT" of="$Q" conv=fsync status=none'),
    "dd bs=1M": Tool('dd if="$TEXT" of="$Q" bs=1M status=none'),
    # Text
    "sed w": Tool('sed -n "w $Q" "$TEXT"'),
    "gawk": Tool("""gawk '{ print >ENVIRON["Q"] }' "$TEXT" """),
    "mawk": Tool("""mawk '{ print >ENVIRON["Q"] }' "$TEXT" """),
    "jq": Tool('jq -Rr . "$TEXT" >"$Q"'),
    "gzip -d": Tool('gzip -c "$TEXT" >"$T/z"; gzip -dc "$T/z" >"$Q"'),
    "vim": Tool('TERM=dumb vim -es -u NONE -c "w! $Q" -c q! "$TEXT" </dev/null'),
    "nano": dataclasses.replace(python(NANO), program="nano"),
    # Copies
    "curl": Tool('curl -sS "file://$TEXT" -o "$Q"'),
    "rsync -I": Tool('rsync -I "$TEXT" "$Q"'),
    "rsync -I --inplace": Tool('rsync -I --inplace "$TEXT" "$Q"'),
    "tar": Tool('cp "$TEXT" "$T/query.sql"; tar -C "$T" -cf - query.sql |'
                ' tar -C "${Q%/*}" -xf -'),
    "tar --overwrite": Tool(
        'cp "$TEXT" "$T/query.sql"; tar -C "$T" -cf - query.sql |'
        ' tar -C "${Q%/*}" --overwrite -xf -'),
    # Databases
    "sqlite3 .once": Tool("""sqlite3 -newline '' :memory: ".once $Q" \\
"select cast(readfile('$TEXT') as text)" """),
    # Languages
    "python write": python("""
f = open(Q, "w")
f.write(text)
f.close()"""),
    "python with": python("with open(Q, 'w') as f: f.write(text)"),
    "python writelines": python("""
with open(Q, "w", 1) as f: f.writelines(open(TEXT))"""),
    "python without close": python("open(Q, 'w').write(text)"),
    "python print": python("with open(Q, 'w') as f: print(text, end='', file=f)"),
    "python pathlib": python("import pathlib; pathlib.Path(Q).write_text(text)"),
    "python shutil.copyfile": python("shutil.copyfile(TEXT, Q)"),
    "python os.write": python("""
fd = os.open(Q, os.O_WRONLY)
while text: text = text[os.write(fd, text.encode()):]
os.close(fd)"""),
    "python subprocess": python("""
import subprocess
with open(Q, "w") as f: subprocess.run(["cat", TEXT], stdout=f, check=True)"""),
    "node writeFile": node("fs.writeFile(Q, text, e => { if (e) throw e; });"),
    "node writeFileSync": node("fs.writeFileSync(Q, text);"),
    "node promises": node("fs.promises.writeFile(Q, text);"),
    "node stream": node("fs.createReadStream(TEXT, {highWaterMark: 500})"
                        ".pipe(fs.createWriteStream(Q));"),
    "node copyFileSync": node("fs.copyFileSync(TEXT, Q);"),
    "perl print": Tool("""perl -pe 'BEGIN { open STDOUT, ">", $ENV{Q} or die }
END { close STDOUT or die $! }' "$TEXT" """),
    "perl syswrite": Tool("""perl -e 'open F, ">", $ENV{Q} or die;
while (<>) { syswrite F, $_ or die $! } close F or die $!' "$TEXT" """),
    "perl without close": Tool(
        """perl -e 'open F, ">", $ENV{Q} or die; print F <>;' "$TEXT" """),
    "perl File::Copy": Tool(
        "perl -MFile::Copy -e 'copy(@ENV{qw(TEXT Q)}) or die $!'"),
    "go os.WriteFile": Tool('"$GO" WriteFile "$Q" "$TEXT"'),
    "java writeString": Tool('$JAVA writeString "$Q" "$TEXT"'),
}
WRITING["cp, mv"] = dataclasses.replace(WRITING["cp, mv"], program="mv")
WRITING = {name: tool.with_program(name) for name, tool in WRITING.items()}
