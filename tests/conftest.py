# SPDX-License-Identifier: MIT
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

import aws_sources
import clients
import containers
import engines
import fake_aws
import gate as gates
import gateway_mysql
import gateway_pg
import job_mounts
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


@pytest.fixture
def db(test_dir):
    """An SQLite file with a table; some files of tests have another one."""
    file = servers.Sqlite(test_dir / "test.db")
    file.script("create table t (n int); insert into t values (1)")
    return file


def running(server):
    """For a fixture: the server, from its start to its end."""
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def pg():
    """The PostgreSQL server of this run (of this worker)."""
    yield from running(servers.Postgres())


@pytest.fixture(scope="session")
def mariadb():
    """The MariaDB server of this run (of this worker)."""
    yield from running(servers.Mariadb())


def maker(kind):
    """For a fixture: makes servers for one test alone, to break them."""
    started = []

    def make(**conf):
        started.append(kind(**conf))
        return started[-1].start()

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def pg_server():
    """Makes PostgreSQL servers for this test alone."""
    yield from maker(servers.Postgres)


@pytest.fixture
def mariadb_server():
    """Makes MariaDB servers for this test alone."""
    yield from maker(servers.Mariadb)


def empty_database(server):
    """For a fixture: the name of a database."""
    name = f"t{os.urandom(6).hex()}"
    server.create_database(name)
    yield name
    server.drop_database(name)


@pytest.fixture
def database(pg):
    """Name of an empty database on pg, for this test alone."""
    yield from empty_database(pg)


@pytest.fixture
def mariadb_database(mariadb):
    """And on mariadb."""
    yield from empty_database(mariadb)


def gateways(kind, server):
    """For a fixture: make(aws, server=another, **how)."""
    made = []

    def make(aws, server=server, **how):
        made.append(kind(aws, server, **how))
        return made[-1]

    yield make
    for gateway in made:
        gateway.close()


@pytest.fixture
def pg_gateway(pg):
    """pg_gateway(aws, ...) makes a gateway_pg.PgGateway in front of pg."""
    yield from gateways(gateway_pg.PgGateway, pg)


@pytest.fixture
def cluster(pg, database):
    """An empty database on pg, for dsql()."""
    return engines.PostgresEngine(pg, database)


@pytest.fixture
def dsql(aws, pg_gateway, cluster):
    """dsql(...) makes the gateway of an Aurora DSQL cluster."""
    return lambda **how: pg_gateway(aws, server=cluster, kind="dsql", **how)


@pytest.fixture
def mysql_gateway(mariadb):
    """And a gateway_mysql.MysqlGateway in front of mariadb."""
    yield from gateways(gateway_mysql.MysqlGateway, mariadb)


def engine_of(request):
    get = request.getfixturevalue
    if request.param == "postgres":
        return engines.PostgresEngine(get("pg"), get("database"))
    if request.param == "mariadb":
        return engines.MariadbEngine(get("mariadb"), get("mariadb_database"))
    return engines.SqliteEngine(get("test_dir") / "test.db")


@pytest.fixture
def sqlite(test_dir):
    """An empty SQLite file."""
    return engines.SqliteEngine(test_dir / "test.db")


@pytest.fixture(params=engines.ALL)
def engine(request):
    """An empty database on each engine in turn, for what all must do alike."""
    return engine_of(request)


@pytest.fixture(params=engines.SERVERS)
def server(request):
    """And on each that is a server, which can be looked at from beside."""
    return engine_of(request)


@pytest.fixture(params=engines.SERVERS)
def own_server(request):
    """A database on a server of the test's own, to break it, for each kind."""
    make = request.getfixturevalue(
        {"postgres": "pg_server", "mariadb": "mariadb_server"}[request.param]
    )
    return engines.of_server(request.param)(make(), "app")


@pytest.fixture
def aws():
    """An AWS of this test alone; it must not have failed in itself."""
    fake = fake_aws.FakeAws()
    yield fake
    fake.close()


@pytest.fixture
def gate(server):
    """gate(...) makes the gate.Gate of a database of `server`."""
    made = []

    def make(**how):
        made.append(gates.KINDS[server.name](server, **how))
        return made[-1]

    yield make
    for g in made:
        g.close()


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
def rds(aws, pg_gateway, mount):
    """An aws_sources.Rds: mounts that log in by tokens for keys of that AWS."""
    database = aws_sources.Rds(aws, pg_gateway(aws), mount)
    yield database
    database.close()


@pytest.fixture
def home(test_dir):
    """An aws_sources.Home of this test."""
    return aws_sources.Home(test_dir / "home")


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
    mounts.keep_bare(mnt)
    yield mnt
    if mounts.connection_of(mnt):
        mounts.abort_connection(mnt)
        subprocess.run(["umount", "-l", mnt], check=True)
    clients.kill_all(mounts.daemons_of(mnt))


@pytest.fixture
def job(test_dir):
    """A job_mounts.Job: connfs-job as root."""
    job = job_mounts.Job(test_dir / "job")
    yield job
    job.end()


@pytest.fixture
def user_job(test_dir):
    """And as a user who is nobody in particular."""
    job = job_mounts.Job(test_dir / "job", job_mounts.USER)
    yield job
    job.end()


@pytest.fixture
def connfs(test_dir):
    """connfs(ARGUMENT...) runs the program to its end: the Result."""

    def run(*args, **how):
        return mounts.run(*args, log_path=test_dir / "sanitizer", **how)

    return run


@pytest.fixture
def attach(connfs):
    """attach(mount, container) runs connfs attach: the Result."""

    def run(m, container, at="/conn"):
        return connfs("attach", "--from", m.mnt, "--at", at, container.pid)

    return run


@pytest.fixture
def detach(connfs):
    """detach(container) likewise."""

    def run(container, at="/conn"):
        return connfs("detach", "--at", at, container.pid)

    return run


@pytest.fixture(scope="session")
def busybox(session_dir):
    """A root directory for containers, with nothing but busybox."""
    root = clients.busybox_root(session_dir / "busybox")
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def machine(session_dir):
    """A containers.Machine with podman, for root and for the user "job"."""
    m = containers.Machine(session_dir / "machine").with_podman()
    m.podman_import(job=True)
    yield m
    assert not m.end()


@pytest.fixture(scope="session")
def compiled(session_dir):
    """compiled(source) is the program of a Go source."""
    where = session_dir / "go"
    where.mkdir()
    count = itertools.count(1)

    def build(source):
        program = where / f"program{next(count)}"
        program.with_suffix(".go").write_text(source)
        env = {
            "PATH": os.environ["PATH"],
            "GOCACHE": str(where / "cache"),
            "GOFLAGS": "-mod=mod",
            "GO111MODULE": "off",
        }
        argv = ["go", "build", "-o", program, program.with_suffix(".go")]
        subprocess.run(argv, cwd=where, env=env, check=True)
        return program

    yield build
    shutil.rmtree(where)


@pytest.fixture(scope="session")
def go_tool(compiled):
    """The program of tests/data/tools.go."""
    return str(compiled((mounts.ROOT / "tests/data/tools.go").read_text()))


@pytest.fixture(scope="session")
def java_tool(session_dir):
    """How to start that of Tools.java; nothing where there is no compiler."""
    if not shutil.which("javac"):
        yield ""
        return
    where = session_dir / "java"
    source = mounts.ROOT / "tests/data/Tools.java"
    subprocess.run(["javac", "-d", where, source], check=True)
    yield f"java -Xshare:auto -XX:TieredStopAtLevel=1 -cp {where} Tools"
    shutil.rmtree(where)
