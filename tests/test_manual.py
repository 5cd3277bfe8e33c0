# SPDX-License-Identifier: MIT
"""The manual page says what the code accepts, and nothing else."""

import re

import servers
from mount import ROOT

MANUAL = (ROOT / "docs/connfs.1.md").read_text()


def section(title):
    """Text below a heading, up to the next."""
    return re.search(
        rf"^#+ {title}\n(.*?)(?=^#+ |\Z)", MANUAL, re.M | re.S
    ).group(1)


def rows(title):
    """The cells of the rows of a section's table."""
    table = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def documented(title):
    return sorted(row[0].split()[0].strip("`") for row in rows(title))


def source(path):
    return (ROOT / path).read_text()


def spec_keys():
    """{key: scope} of what a connection may have."""
    text = source("fs/config_spec.c")
    table = text[text.index("fields[] = {") : text.index("N_FIELDS")]
    found = re.findall(r'(?:FIELD|OTHER)\("(\w+)"(?:[^()]|\([^)]*\))*?(\w+)\)', table)
    return dict(found)


def test_every_setting_is_in_the_manual():
    accepted = re.findall(r'\bRULE\("(\w+)"', source("fs/config_settings.c"))

    assert len(accepted) > 5
    assert documented("Settings") == sorted(accepted)


# So is the usage that connfs shows.
def test_every_setting_is_in_the_usage(connfs):
    accepted = re.findall(r'\bRULE\("(\w+)"', source("fs/config_settings.c"))
    usage = connfs("--help").check().out

    assert [key for key in accepted if key not in usage] == []


def test_every_key_of_a_connection_is_in_the_manual():
    keys = spec_keys()
    iam = {"IAM", "DSQL", "CLUSTER", "REDSHIFT", "SERVERLESS"}

    assert set(keys.values()) == {"ANY", "LOGIN", "MYSQL", "LAX", "UNUSED"} | iam
    assert documented("Connections") == sorted(keys)


def test_every_type_is_in_the_manual_with_its_port():
    text = source("fs/engines.c")
    ports = dict(re.findall(r"(\w+_PORT) = (\d+)", text))
    accepted = {"sqlite3": "", "dsql": ports["PG_PORT"]}
    for macro, port in [("POSTGRES", "PG"), ("REDSHIFT",) * 2, ("MYSQL",) * 2]:
        names = re.findall(rf'\b{macro}\("([^"]+)"', text)
        accepted |= dict.fromkeys(names, ports[f"{port}_PORT"])

    shown = {row[0].strip("`"): row[1] for row in rows("Types")}

    assert shown == accepted


def test_every_option_is_in_the_manual():
    text = source("fs/options.c")
    short = re.search(r'getopt_long\(argc, argv, "(\w[\w:]*)"', text).group(1)
    known = {f"-{c}" for c in short.replace(":", "")} - {"-h", "-V"}
    known |= {f"--{name}" for name in re.findall(r'\{"(\w+)", \w+_argument', text)}

    assert set(documented("Options")) == known


# The tree of a real mount, with a result in it.
def test_every_file_of_the_mount_is_in_the_manual(mount, test_dir):
    spec = servers.Sqlite(test_dir / "a.db").spec(queries={"NAME": "select 1"})
    login = {"type": "postgres", "enabled": True, "host": "db", "database": "d"}
    m = mount(CONN=spec, token={**login, "user": "u", "expose_token": True})
    m_list = m.sh(
        'echo "select 1;" >"$C/query.sql"; cd "$M"; find . -type f -printf "%P %m\\n"',
        "CONN",
    ).check()
    there = dict(line.rsplit(" ", 1) for line in m_list.lines)
    there = {k.replace("results/1", "results/N"): mode for k, mode in there.items()}
    there["CONN/creds/token"] = there.pop("token/creds/token")
    there = {name: mode for name, mode in there.items() if name[:6] != "token/"}

    shown = {row[0].strip("`"): row[1].lstrip("0") for row in rows("Files")}

    assert shown == there
