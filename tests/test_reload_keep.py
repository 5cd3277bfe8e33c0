# SPDX-License-Identifier: MIT
"""What is wrong in a SOURCE that is read again keeps what there was."""

import json

import pytest

import servers
from reloading import ask, names, status

JUNK = "{"
STAYS = "; the connection stays as it was"


@pytest.fixture
def db(test_dir):
    """The spec of a SQLite file."""
    return servers.Sqlite(test_dir / "test.db").spec()


class Source:
    """SOURCE as a directory of files that a test writes one by one."""

    def __init__(self, mount, db, **files):
        self.m = mount()
        (self.m.config / "connfs.json").unlink()
        self.db = db
        self.write(**files)
        assert self.read() == ""

    def path(self, name):
        return self.m.config / f"{name}.json"

    def write(self, **files):
        """name=text, or a list of conn_ids, or of objects; None: no such file."""
        for name, content in files.items():
            if content is None:
                self.path(name).unlink()
                continue
            if isinstance(content, list):
                content = json.dumps([self.spec(item) for item in content])
            self.path(name).write_text(content)
            self.path(name).chmod(0o600)

    def spec(self, item):
        return {"conn_id": item, **self.db} if isinstance(item, str) else item

    def bad(self, conn_id, **fields):
        return {"conn_id": conn_id, **self.db, "statement_timeout": {}, **fields}

    def read(self):
        """Reads it again: what is wrong, the directory's name left out. Who asked
        is told whether there is anything, and the log has each line once."""
        before = len(self.m.log)
        asked = ask(self.m)
        errors = self.m.read(".connfs", "errors")
        assert asked.rc == (0 if errors == "" else 1), asked
        assert errors == "" or "Invalid argument" in asked.err
        assert status(self.m)["source_ok"] is (errors == "")
        log = self.m.log[before:]
        for line in errors.splitlines():
            assert log.count(line.split(": not read again: ")[-1]) == 1
        return errors.replace(f"{self.m.config}/", "")

    def names(self):
        return names(self.m)[1:]

    def description(self, conn_id):
        text = self.m.read(*conn_id.split("/"), "connection.json")
        return json.loads(text).get("description")


@pytest.fixture
def source(mount, db):
    return lambda **files: Source(mount, db, **files)


# The others change meanwhile, and the one is used as it was, however often.
def test_a_bad_spec_keeps_the_old_one(source, db):
    s = source(x=[{"conn_id": "a", "description": "old", **db}, "b"])

    for name in "cde":
        s.write(x=[s.bad("a", description="new"), name])
        assert s.read().startswith("x.json: a: statement_timeout: must be ")
        assert s.m.read(".connfs", "errors").endswith(STAYS + "\n")
        assert s.names() == ["a", name]
        assert s.description("a") == "old"
        assert s.m.query("select 1 as x;", "a").out == "x\n1\n"

    s.write(x=[{"conn_id": "a", "description": "new", **db}])
    assert s.read() == ""
    assert s.description("a") == "new"


# There is nothing to keep of one that was wrong before, was not enabled, is not
# to be any more, or is gone.
def test_a_bad_spec_that_has_no_old_one(source, db):
    disabled = {"conn_id": "b", **db, "enabled": False}
    s = source(x=["a", disabled, "c"])

    s.write(x=[s.bad("a", enabled=False), s.bad("b"), s.bad("d")])

    errors = s.read()
    assert errors.count("\n") == 3
    assert STAYS not in errors
    assert s.names() == []
    assert s.read() == errors


# All that came from the file stay, but for what another file has by now.
@pytest.mark.parametrize("kind", ["junk", "unsafe", "large", "wrapper", "directory"])
def test_a_bad_file_keeps_its_connections(source, kind):
    s = source(x=["a", "b", "c"], y=["d", "e"])
    x = s.path("x")

    if kind == "unsafe":
        x.chmod(0o666)
    elif kind == "large":
        x.write_text(" " * (1024 * 1024 + 1))
    elif kind == "wrapper":
        x.write_text('{"connection": []}')
    elif kind == "directory":
        x.unlink()
        x.mkdir()
    else:
        x.write_text(JUNK)
    s.write(y=["b", "e"])

    for _ in range(3):
        errors = s.read()
        assert errors.startswith("x.json") or kind == "unsafe"
        assert errors.endswith("; the connections a, c stay as they were\n")
        assert errors.count("\n") == 1
        assert s.names() == ["a", "b", "c", "e"]
    if kind == "directory":
        x.rmdir()
    s.write(x=["c"])
    assert s.read() == ""
    assert s.names() == ["b", "c", "e"]


# A file that is gone is a change.
def test_a_file_that_is_gone_removes_its_connections(source):
    s = source(x=["a"], y=["b"])

    s.write(x=JUNK, y=None)
    assert s.read().endswith("; the connection a stays as it was\n")
    assert s.names() == ["a"]

    s.write(x=None)
    assert s.read() == ""
    assert s.names() == []


# Whose conn_id cannot be read may be any of its file's.
def test_a_spec_without_a_name_keeps_what_is_missing(source, db):
    s = source(x=["a", "b"], y=["c"])

    s.write(x=[{"con_id": "a", **db}, "new"], y=[])

    assert s.read() == (
        "x.json: spec 1: conn_id: is missing; the connections a, b stay as they"
        " were\n"
    )
    assert s.names() == ["a", "b", "new"]


# Where the bad one stands counts from then on, and not where the old one stood.
def test_a_spec_that_went_bad_in_another_file(source):
    s = source(x=["a"])

    s.write(x=[], y=[s.bad("a")])
    assert s.read().endswith(STAYS + "\n")
    s.write(y=JUNK)
    for _ in range(2):
        assert s.read().endswith("; the connection a stays as it was\n")
        assert s.names() == ["a"]

    s.write(y=None)
    assert s.read() == ""
    assert s.names() == []


# Many of them are not all named.
def test_a_bad_file_of_many(source):
    ids = [f"c{i:02}" for i in range(13)]
    s = source(x=ids)

    s.write(x=JUNK)

    assert s.read().endswith(
        f"; the connections {', '.join(ids[:10])} and 3 more stay as they were\n"
    )
    assert s.names() == ids


# The first of two counts, also when it is the bad one.
def test_a_bad_spec_before_a_good_one(source, db):
    s = source(y=[{"conn_id": "a", "description": "old", **db}])

    s.write(x=[s.bad("a")], y=[{"conn_id": "a", "description": "new", **db}])

    first, second = s.read().splitlines()
    assert first.startswith("x.json: a: ") and first.endswith(STAYS)
    assert second == f"y.json: a: conn_id: is defined in {s.path('x')} already".replace(
        f"{s.m.config}/", ""
    )
    assert s.description("a") == "old"


# Its settings stay as well: of them other specs are made.
def test_a_bad_file_keeps_its_settings(source, db):
    s = source(x='{"settings": {"max_connections": 3, "realm": "r"}}', y=["a"])

    def limit():
        return json.loads(s.m.read("a", "connection.json"))["max_connections"]

    s.write(x=JUNK, y=["a", "b"])
    for _ in range(2):
        assert s.read().endswith("; its settings stay as they were\n")
        assert limit() == 3
        assert s.names() == ["a", "b"]

    s.write(z='{"settings": {"max_connections": 4}}')
    assert s.read().endswith("; its settings stay as they were\n")
    assert limit() == 4
    s.write(x=None, z=None)
    assert s.read() == ""
    assert limit() == 10


# SOURCE as a whole, and a setting: everything stays.
@pytest.mark.parametrize("kind", ["setting", "gone"])
def test_a_bad_whole_keeps_everything(source, kind):
    s = source(x=["a"])
    away = s.m.dir / "away"

    if kind == "gone":
        s.m.config.rename(away)
    else:
        s.write(x=["b"], y='{"settings": {"x": 1}}')

    errors = s.read()
    assert f"{s.m.config}: not read again: " in s.m.read(".connfs", "errors")
    assert errors.count("\n") == 1
    assert s.names() == ["a"]
    assert s.m.query("select 1 as x;", "a").out == "x\n1\n"
    if kind == "gone":
        away.rename(s.m.config)
        assert s.read() == ""


# The complaint tells all of it: settings, and connections.
def test_what_a_bad_file_with_settings_says(mount, db):
    m = mount(db=db)
    source = m.config / "connfs.json"
    good = source.read_text()

    source.write_text('{"connections": [}')

    assert "Invalid argument" in ask(m).err
    assert m.read(".connfs", "errors") == (
        f"{source}:1:18: unexpected token; its settings stay as they were;"
        " the connection db stays as it was\n"
    )
    assert m.query("select 1 as x;", "db").out == "x\n1\n"
    source.write_text(good)
    ask(m).check()
    assert m.read(".connfs", "errors") == ""


# What is kept is what it was: what runs in it is not disturbed.
def test_a_kept_connection_keeps_its_session(source, pg):
    s = source(x="[]")
    s.write(x=json.dumps([{"conn_id": "a", **pg.spec()}]))
    s.m.secrets.add(pg.passwords["app"])
    assert s.read() == ""
    client = s.m.start_sh(
        'echo "create temp table t as select 7 as a;" >"$C/query.sql"; echo ready;'
        ' until [ -e "$GO" ]; do :; done; echo "table t;" >"$C/query.sql";'
        ' cat "$C/result.csv"',
        "a",
        env={"GO": str(s.m.dir / "go")},
    )
    while client.stdout != b"ready\n":
        assert client.running

    s.write(x=JUNK)
    assert s.read().endswith("; the connection a stays as it was\n")
    (s.m.dir / "go").touch()

    assert client.wait().check().out == "ready\na\n7\n"
