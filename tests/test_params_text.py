# SPDX-License-Identifier: MIT
"""params.json: what is taken for parameters, and what is refused."""

import pytest

import servers
from params import run


@pytest.fixture
def pg_db(mount, pg, database):
    return mount(db=pg.spec(database=database))


@pytest.fixture
def lite(mount, test_dir):
    """A mount db of an SQLite file."""
    return mount(db=servers.Sqlite(test_dir / "test.db").spec())


@pytest.mark.parametrize(
    "text, place",
    [
        ("[1, 2, oops]", "line 1, column 8"),
        ("{'a': 1}", "line 1, column 2"),
        ("[1]\n[2]", "line 2, column 1"),
        ('["caf\\u00e9",\n "\\ud800"]', "line 2, column 9"),
        ('["a\nb"]', "line 1, column 4"),
        ("42", "line 1, column 1"),
        ('{"a": 1, "a": 2}', "line 1, column 10"),
        ('["\\u0000"]', "line 1, column 8"),
    ],
)
def test_a_mistake_fails_the_write(lite, text, place):
    refused, after = run(lite, (text, "select 1;"), (None, "select 2;"))

    assert refused.params == "EINVAL"
    assert refused.pending == ""
    assert after.error == ""
    got = lite.python(_AFTER_PARAMS, stdin=text).check()
    assert got.lines[0] == "EINVAL"
    assert got.lines[1].startswith(f"ERROR:  params.json, {place}: ")
    assert got.lines[2] == "ERRNO:  EINVAL"


# What `error` says between a refused text and the next statement.
_AFTER_PARAMS = r"""
import errno, os, sys
try:
    with open(os.environ["C"] + "/params.json", "wb", 0) as f:
        f.write(sys.stdin.buffer.read())
except OSError as e:
    print(errno.errorcode[e.errno])
print(end=open(os.environ["C"] + "/error").read())
"""


def test_incomplete_text_fails_the_close(lite):
    got = lite.python(_AFTER_PARAMS, stdin="[1,\n 2").check()

    assert got.lines == [
        "EINVAL",
        "ERROR:  params.json, line 2, column 3: the text ends before its last ]",
        "ERRNO:  EINVAL",
    ]


@pytest.mark.parametrize("shell", ["sh", "bash", "busybox sh"])
def test_shells_see_the_mistake(lite, shell):
    got = lite.sh(
        f"exec {shell} -c 'echo \"[1, oops]\" >\"$C/params.json\";"
        ' echo "rc $?"; echo "[1]" >"$C/params.json"; echo "rc $?"\''
    )

    assert got.lines == ["rc 1", "rc 0"]


# Dash writes at once, bash line by line, cat what it reads.
@pytest.mark.parametrize(
    "writer",
    [
        'printf "%s\\n" "$T" >"$C/params.json"',
        "bash -c 'echo \"$T\" >\"$C/params.json\"'",
        "bash -c 'for ((i = 0; i < ${#T}; i++)); do"
        ' printf %s "${T:i:1}"; done >"$C/params.json"\'',
        'printf %s "$T" | cat >"$C/params.json"',
        'printf %s "$T" | tee "$C/params.json" >/dev/null',
        'printf %s "$T" | dd of="$C/params.json" bs=3 status=none',
        'printf %s "$T" >/tmp/$$; cp /tmp/$$ "$C/params.json"; rm /tmp/$$',
        '{ echo "["; /bin/echo "\\"a\\\\nb\\","; echo "[1]"; echo "]"; }'
        ' >"$C/params.json"',
        'exec 3>"$C/params.json"; printf %s "$T" >&3; exec 3>&-',
        'jq -n \'["a\\nb", [1]]\' >"$C/params.json"',
    ],
)
def test_every_writer_is_understood(pg_db, writer):
    got = pg_db.sh(
        f'{writer}\necho "select \\$1::text || (\\$2::int[])[1]" >"$C/query.sql";'
        ' cat "$C/result.csv"',
        env={"T": '["a\\nb", [1]]'},
    ).check()

    assert got.lines[1:] == ['"a', 'b1"']


@pytest.mark.parametrize(
    "clear",
    [
        ': >"$C/params.json"',
        'cp /dev/null "$C/params.json"',
        'echo "[]" >"$C/params.json"',
        'echo "{}" >"$C/params.json"',
        'truncate -s 0 "$C/params.json"',
        'echo >"$C/params.json"',
    ],
)
@pytest.mark.parametrize("echo", ["echo", "/bin/echo"])
def test_cut_to_nothing_they_are_gone(lite, clear, echo):
    got = lite.sh(
        f'{echo} "[1]" >"$C/params.json"; {clear}; cat "$C/params.json" |'
        ' tr -d "[]{}\\n"; echo "select 2;" >"$C/query.sql"; cat "$C/result.csv";'
        ' cat "$C/params.json"'
    ).check()

    assert got.lines == ["2", "2"]


# A descriptor that is not closed yet; and one text for each.
def test_they_count_from_the_write_that_completes_them(lite):
    got = lite.sh(
        'exec 3>"$C/params.json"; printf "[1" >&3; cat "$C/params.json";'
        ' printf "]\\n" >&3; cat "$C/params.json";'
        ' echo "select ? + 1" >"$C/query.sql"; tail -n 1 "$C/result.csv";'
        ' printf "\\n" >&3 && echo blank; printf "[2]" >&3 || echo refused'
    )

    assert got.lines == ["[1]", "2", "blank", "refused"]


def test_more_than_16_mib_is_too_large(lite):
    got = lite.python(
        "import errno, os\n"
        "try:\n"
        "    with open(os.environ['C'] + '/params.json', 'wb', 0) as f:\n"
        "        f.write(b'[\"')\n"
        "        for i in range(256):\n"
        "            f.write(b'x' * 65536)\n"
        "except OSError as e:\n"
        "    print(i, errno.errorcode[e.errno])\n"
        "print(open(os.environ['C'] + '/error').read())\n"
    ).check()

    assert got.lines[0] == "255 EFBIG"
    assert "params.json takes 16 MiB of text at most" in got.out


def test_vim_writes_them(lite):
    got = lite.sh(
        "vim -es -u NONE -c 'normal i[1, 2]' -c wq \"$C/params.json\" </dev/null &&"
        " vim -es -u NONE -c '%s/1/3/' -c wq \"$C/params.json\" </dev/null &&"
        ' cat "$C/params.json"; ls -A "$C" | grep swp'
    )

    assert (got.out, got.err) == ("[3, 2]\n", "")
