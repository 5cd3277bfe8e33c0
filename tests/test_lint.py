# SPDX-License-Identifier: MIT
"""The rules of the house that a program can check."""

import ast
import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLANG_BUILD = pathlib.Path(os.environ.get("CONNFS_CLANG_BUILD", ROOT / "build/clang"))

# Which directories may include headers of which, besides their own.
ARROWS = {
    "common": [],
    "backends": ["common"],
    "auth": ["common"],
    "fs": ["backends", "auth", "common"],
    "mount-helpers": ["fs", "common"],
    "tests": ["fs", "backends", "auth", "common"],  # unit tests
    "bench": [],
}
# All that the filesystem sees of a database.
BACKENDS_FOR_FS = {"backends/db.h", "backends/sql.h"}

BANNED = (
    "sprintf strcpy strcat strncpy strtok gets atoi atol system popen alloca"
    " rand signal localtime gmtime strerror"
).split()

MAX_LINES = 600
# Longer files, and why.
LONG_FILES = {}

CPPCHECK = [
    "cppcheck",
    "--quiet",
    "--error-exitcode=1",
    "--std=c11",
    "--language=c",
    "--enable=warning,performance,portability",
    "--inline-suppr",
    "-D_GNU_SOURCE",
    "-DCONNFS_FAKE_BACKEND",
    f"-I{ROOT}",
]


def files_of(*directories):
    """What is in the checkout: build/ and caches are not."""
    for directory in directories:
        for path in sorted((ROOT / directory).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def scripts(*interpreters):
    for path in files_of(".ci", "bench", "fs", "mount-helpers", "tests"):
        with path.open("rb") as f:
            first = f.readline()
        words = first.decode(errors="replace").strip().split("/")
        if first.startswith(b"#!") and words[-1].split()[-1] in interpreters:
            yield path


TEXTS = [
    p
    for p in [
        *files_of(*ARROWS, "docs", ".ci"),
        *(p for p in sorted(ROOT.iterdir()) if p.is_file()),
    ]
    if p.suffix != ".csv"
]
C_FILES = [p for p in files_of(*ARROWS) if p.suffix in (".c", ".h")]
C_SOURCES = [p for p in C_FILES if p.suffix == ".c"]
SHELL = list(scripts("sh", "bash"))
PYTHON = [*(p for p in files_of("tests", "bench") if p.suffix == ".py")]
PYTHON += list(scripts("python3"))
TESTS = [p for p in files_of("tests") if p.match("test_*.py")]


def name(path):
    return str(path.relative_to(ROOT))


def run(argv):
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def lines_with(paths, pattern):
    return [
        f"{name(path)}:{number}: {line}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(pattern, line)
    ]


def code_of(path):
    """C without comments and literals, line for line."""
    text = re.sub(
        r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
        lambda m: "\n" * m.group(0).count("\n"),
        path.read_text(),
        flags=re.S,
    )
    return text.splitlines()


def includes_of(path):
    return re.findall(r'^#include "([^"]+)"', path.read_text(), re.M)


def test_clang_format():
    _, output = run(["clang-format", "--dry-run", "-Werror", *C_FILES])
    unformatted = set(re.findall(r"^(\S+):\d+:\d+: error:", output, re.M))

    assert not output, "run clang-format -i on: " + " ".join(sorted(unformatted))


# One test a file, so that all workers share the work. gcc's options would
# confuse it: it reads how clang compiled.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", C_SOURCES, ids=name)
def test_clang_tidy(path):
    how = ["-p", CLANG_BUILD]
    options = []
    if path.parent.name == "bench":  # compiled by bench/run, not by meson
        how = []
        options = ["--", "-std=gnu17", "-D_GNU_SOURCE", f"-I{ROOT}"]
        options += ["-I/usr/include/postgresql", "-I/usr/include/mariadb"]
    rc, output = run(["clang-tidy", "--quiet", *how, path, *options])

    assert rc == 0 and "warning:" not in output, output


# What is not built is not looked at by anybody, and can go.
def test_every_source_is_compiled():
    commands = json.loads((CLANG_BUILD / "compile_commands.json").read_text())
    compiled = {(CLANG_BUILD / c["directory"] / c["file"]).resolve() for c in commands}

    # What stands beside the tests is compiled by the test that needs it.
    left_out = [
        name(p) for p in C_SOURCES if p.parent.name not in ("bench", "tests")
    ]
    left_out = [p for p in left_out if ROOT / p not in compiled]

    assert not left_out


@pytest.mark.timeout(300)
def test_cppcheck():
    rc, output = run([*CPPCHECK, *C_SOURCES])

    assert rc == 0, output


def test_no_banned_calls():
    call = re.compile(r"\b(" + "|".join(BANNED) + r")\s*\(")
    found = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in C_FILES
        for number, line in enumerate(code_of(path), 1)
        if call.search(line)
    ]

    assert not found, "\n".join(found)


def test_includes_point_one_way():
    wrong = []
    for path in C_FILES:
        mine = name(path).split("/")[0]
        for header in includes_of(path):
            target = header.split("/")[0]
            if target != mine and target not in ARROWS[mine]:
                wrong.append(f"{name(path)}: {header}")
            if not (ROOT / header).is_file():
                wrong.append(f"{name(path)}: {header} is not a path from the root")

    assert not wrong, "\n".join(wrong)


def test_fs_sees_only_the_interface_of_backends():
    wrong = [
        f"{name(path)}: {header}"
        for path in files_of("fs")
        for header in includes_of(path)
        if header.startswith("backends/") and header not in BACKENDS_FOR_FS
    ]

    assert not wrong, "\n".join(wrong)


# Which proves that each header stands alone.
def test_own_header_comes_first():
    wrong = [
        name(path)
        for path in C_SOURCES
        if path.with_suffix(".h").exists()
        and re.findall(r"^#include (.*)", path.read_text(), re.M)[0]
        != f'"{name(path.with_suffix(".h"))}"'
    ]

    assert not wrong, "\n".join(wrong)


def test_header_guards_are_named_after_the_path():
    wrong = []
    for path in C_FILES:
        guard = "CONNFS_" + re.sub(r"\W", "_", name(path)).upper()
        if path.suffix != ".h":
            continue
        if f"#ifndef {guard}\n" not in path.read_text():
            wrong.append(f"{name(path)}: {guard}")

    assert not wrong, "\n".join(wrong)


def test_no_file_is_too_long():
    long = {
        name(path): len(path.read_text().splitlines())
        for path in C_FILES + SHELL + PYTHON
        if len(path.read_text().splitlines()) > MAX_LINES
    }

    assert set(long) == set(LONG_FILES), long


def test_every_source_names_its_license():
    wrong = []
    for path in C_FILES:
        if not path.read_text().startswith("/* SPDX-License-Identifier: MIT */\n"):
            wrong.append(name(path))
    for path in {*SHELL, *PYTHON}:
        head = path.read_text().splitlines()[:2]
        if "# SPDX-License-Identifier: MIT" not in head:
            wrong.append(name(path))

    assert not wrong, "\n".join(wrong)


def test_nothing_is_put_off():
    this = pathlib.Path(__file__)
    found = lines_with([p for p in TEXTS if p != this], r"\b(TODO|FIXME|XXX)\b")

    assert not found, "\n".join(found)


def test_text_files_are_tidy():
    wrong = []
    for path in TEXTS:
        text = path.read_bytes().decode()
        if text and not text.endswith("\n"):
            wrong.append(f"{name(path)}: no newline at the end")
        if "\r" in text:
            wrong.append(f"{name(path)}: carriage return")
    wrong += lines_with([p for p in TEXTS if p.suffix != ".md"], r"[ \t]$")

    assert not wrong, "\n".join(wrong)


def test_python_lines_are_short():
    found = lines_with(PYTHON, r"^.{89}")

    assert not found, "\n".join(found)


def test_pyflakes():
    rc, output = run(["/usr/bin/python3", "-m", "pyflakes", *PYTHON])

    assert rc == 0, output


def test_shellcheck():
    rc, output = run(["shellcheck", *SHELL])

    assert rc == 0, output


# Sleeps that do not stand for "by now it will have happened".
SLEEPS = {
    "tests/test_cancel.py": "sleep(0.002 * $i)",  # sweeps the moment of a signal
    "tests/test_signals.py": "sleep 0.1 & sleep 0.2 &",  # children that end
}


# A test that sleeps is slow on a fast machine and wrong on a slow one; one
# that skips does not test. Looking at a condition again and again is no
# sleep, and a long one is a process that lives until it is ended.
def test_tests_do_not_sleep_or_skip():
    found = []
    for path in TESTS:
        lines = path.read_text().splitlines()
        for before, line in zip(["", *lines], lines):
            if path.name == "test_lint.py" or "while" in before + line:
                continue
            if SLEEPS.get(name(path), "\n") in line:
                continue
            if re.search(
                r"\bsleep\((?!600)|(?<!pg_)\bsleep +[0-9.]{1,2}\b"
                r"|\bskip(if|test)?\(|importorskip|\bxfail\b",
                line,
            ):
                found.append(f"{name(path)}: {line}")

    assert not found, "\n".join(found)


def asserts(node):
    for child in ast.walk(node):
        if isinstance(child, ast.Assert):
            return True
        if isinstance(child, ast.Attribute) and child.attr == "raises":
            return True
        if isinstance(child, ast.Call):
            called = getattr(child.func, "attr", getattr(child.func, "id", ""))
            if re.match(r"check|assert|expect|wait_", called):
                return True
    return False


def test_every_test_asserts_something():
    empty = [
        f"{name(path)}:{node.lineno}: {node.name}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("test_")
        and not asserts(node)
    ]

    assert not empty, "\n".join(empty)
