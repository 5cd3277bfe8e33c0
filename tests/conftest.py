# SPDX-License-Identifier: MIT
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

import clients
import mount as mounts
import servers


def pytest_configure(config):
    config.failed_tests = set()


def pytest_collection_modifyitems(config, items):
    """Time limits grow with sanitizers, those of single tests as well."""
    for item in items:
        limit = item.get_closest_marker("timeout")
        seconds = limit.args[0] if limit else float(config.getini("timeout"))
        scaled = pytest.mark.timeout(seconds * clients.SCALE)
        item.add_marker(scaled, append=False)


def refuse_skip(report):
    if report.skipped and os.environ.get("CONNFS_NO_SKIPS") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CONNFS_NO_SKIPS forbids: {report.longrepr}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    refuse_skip(report)
    if report.failed:
        item.config.failed_tests.add(item.nodeid)


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report():
    refuse_skip((yield).get_result())


@pytest.fixture(scope="session")
def session_dir():
    """Where everything of this run lies; root's, but open to the clients."""
    base = pathlib.Path(tempfile.mkdtemp(prefix="connfs-tests-", dir="/tmp"))
    base.chmod(0o755)
    yield base
    try:
        base.rmdir()
    except OSError:
        pass  # it holds what failed tests left


@pytest.fixture
def test_dir(session_dir, request):
    """A directory of the test's own, kept when the test fails."""
    name = re.sub(r"\W+", "-", request.node.name)[:60].strip("-")
    path = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=session_dir))
    path.chmod(0o755)
    yield path
    if request.node.nodeid in request.config.failed_tests:
        print(f"kept: {path}")
    else:
        shutil.rmtree(path)


@pytest.fixture(scope="session")
def pg():
    """The PostgreSQL server of this run (of this worker)."""
    server = servers.Postgres().start()
    yield server
    server.stop()


@pytest.fixture
def pg_server():
    """Makes PostgreSQL servers for this test alone, to break them."""
    started = []

    def make(**conf):
        started.append(servers.Postgres(**conf))
        return started[-1].start()

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def database(pg):
    """Name of an empty database on pg, for this test alone."""
    name = f"t{os.urandom(6).hex()}"
    pg.create_database(name)
    yield name
    pg.sql(f"DROP DATABASE {name} WITH (FORCE)", database="postgres")


@pytest.fixture(params=["postgres", "sqlite"])
def engine(request):
    """An empty database on each engine in turn, for what all must do alike."""
    if request.param == "postgres":
        return servers.PostgresEngine(
            request.getfixturevalue("pg"), request.getfixturevalue("database")
        )
    return servers.SqliteEngine(request.getfixturevalue("test_dir") / "test.db")


@pytest.fixture
def mount(test_dir, request):
    """mount(db=spec, ...) starts connfs with these connections and mounts it.

    The names are the conn_ids; one that is no Python name comes in a dict as
    the first argument. settings: object of that name in the specs; files: more
    files for SOURCE, {name: text or object}; options: for -o; env: of the
    daemon; flags: more of the command line (-d). When the test ends, each mount
    has to end cleanly: Mount.stop().
    """
    mounted = []

    def make(
        more_specs=None,
        *,
        settings=None,
        files=None,
        options=(),
        env=None,
        flags=(),
        **specs,
    ):
        where = test_dir / f"mount{len(mounted)}"
        specs = {**(more_specs or {}), **specs}
        m = mounts.Mount(where, specs, settings, files, options, env, flags)
        m.start()
        mounted.append(m)
        return m

    yield make
    problems = []
    for m in reversed(mounted):
        try:
            m.stop()
        except AssertionError as e:
            problems.append(str(e))
    if problems:
        request.config.failed_tests.add(request.node.nodeid)
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def source(test_dir):
    """source(content) writes it to a SOURCE: one file."""

    def write(content, name="connfs.json", mode=0o600):
        path = test_dir / name
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


@pytest.fixture
def mountpoint(test_dir):
    """For daemons in the background, which are gone when the test ends."""
    mnt = test_dir / "mnt"
    mnt.mkdir()
    yield mnt
    if mounts.connection_of(mnt):
        mounts.abort_connection(mnt)
        subprocess.run(["umount", "-l", mnt], check=True)
    clients.kill_all(mounts.daemons_of(mnt))


@pytest.fixture
def connfs(test_dir):
    """connfs(ARGUMENT...) runs the program to its end: the Result."""

    def run(*args, **how):
        return mounts.run(*args, log_path=test_dir / "sanitizer", **how)

    return run


@pytest.fixture(scope="session")
def busybox(session_dir):
    """A root directory for containers, with nothing but busybox."""
    root = clients.busybox_root(session_dir / "busybox")
    yield root
    shutil.rmtree(root)
