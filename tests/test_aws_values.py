# SPDX-License-Identifier: MIT
"""Logins by what SSM Parameter Store and Secrets Manager keep."""

import json

import pytest

from aws_logins import (
    FAMILIES,
    PARAMETER,
    PASSWORD,
    REJECTED,
    SECRET,
    WRITE,
    bash,
    creds,
    gateway_of,
    log_in,
    minimal,
    secret_of,
)
from fake_aws import Role
from fake_aws_services import secret_arn
from readers import numbers

RDS_HOST = "db.abcdefgh.eu-west-1.rds.amazonaws.com"
ARN = f"arn:aws:ssm:eu-west-1:123456789012:parameter{PARAMETER}"
SERIES = {
    "postgres": "select n from generate_series(1, 100000) as s(n);",
    "mysql": "select seq as n from seq_1_to_100000;",
}


@pytest.fixture
def gateway(request, aws):
    """A PostgreSQL that wants a password."""
    return gateway_of(request, aws, "postgres")


@pytest.fixture(params=list(FAMILIES))
def each_gateway(request, aws):
    """And a server of either family."""
    return gateway_of(request, aws, request.param)


@pytest.fixture
def connfs_of(mount, aws):
    """connfs_of(ttl=None, db=spec, ..): a mount whose keys may ask for values."""

    def make(specs=None, ttl=None, env=None, **more):
        settings = {} if ttl is None else {"param_cache_ttl": ttl}
        env = env or aws.env(aws.key())
        m = mount({**(specs or {}), **more}, settings=settings, env=env)
        m.secrets.add(PASSWORD)
        return m

    return make


def verdicts(gateway):
    return [login.verdict for login in gateway.logins]


# ------------------------------------------------------- what a spec need not say


# The least that can be written, and the whole of a large result.
@pytest.mark.parametrize("variant", ["", "-aurora"])
def test_a_secret_is_all_that_a_spec_needs(connfs_of, aws, each_gateway, variant):
    family = each_gateway.family
    aws.secrets[SECRET] = secret_of(each_gateway, engine=family)
    m = connfs_of(db=minimal(family + variant))

    result = m.query(SERIES[family]).check()

    assert result.stdout == numbers(100000)
    assert [entry.operation for entry in aws.journal] == ["GetSecretValue"]
    assert aws.journal[0].members == {"SecretId": SECRET}
    assert creds(m)["source"] == "secretsmanager"


# What counts has exactly these names; the rest is for others.
def test_the_rest_of_a_secret_is_for_others(connfs_of, aws, gateway):
    for_others = {
        "user": "wrong",
        "Username": "wrong",
        "PASSWORD": "wrong",
        "database": "wrong",
        "hostname": "192.0.2.1",
        "ssl": "no",
        "dbInstanceIdentifier": "shop",
        "dbClusterIdentifier": "shop",
        "serviceName": "x",
        "sid": None,
        "masterarn": ["arn:aws:secretsmanager"],
        "region": "us-east-1",
        "init_sql": "drop table t",
        "proxy": {"host": "192.0.2.1", "port": 1, "password": "wrong"},
    }
    aws.secrets[SECRET] = json.dumps({**secret_of(gateway), **for_others})
    m = connfs_of(db=minimal())

    log_in(m)

    login = gateway.ok[0]
    found = [login.user, login.password, login.params["database"]]
    assert found == ["app", PASSWORD, "app"]
    assert "description" not in json.loads(m.read("db", "connection.json"))


@pytest.mark.parametrize("as_text", [str, int])
def test_a_port_is_a_number_or_a_text(connfs_of, aws, each_gateway, as_text):
    aws.secrets[SECRET] = secret_of(each_gateway, port=as_text(each_gateway.port))
    m = connfs_of(db=minimal(each_gateway.family))

    log_in(m)

    assert creds(m)["port"] == each_gateway.port
    assert json.loads(m.read("db", "connection.json"))["port"] == each_gateway.port


# The spec's port, then the secret's, then the type's.
def test_without_a_port_it_is_the_usual_one(connfs_of, aws, gateway):
    # Who says where to dial has a name and a port for show.
    dial = {"connect_to": f"127.0.0.1:{gateway.port}"}
    aws.secrets[SECRET] = secret_of(gateway, port=6000)
    aws.secrets["no/port"] = secret_of(gateway, port=None)
    aws.secrets["null/port"] = json.dumps({**secret_of(gateway), "port": None})
    m = connfs_of(
        spec=minimal(**dial, port=7000),
        secret=minimal(**dial),
        none=minimal(**dial, secret_id="no/port"),
        null=minimal(**dial, secret_id="null/port"),
        redshift=minimal("redshift", **dial, secret_id="no/port"),
    )
    wanted = {"spec": 7000, "secret": 6000, "none": 5432, "null": 5432}
    wanted["redshift"] = 5439

    for conn in wanted:
        log_in(m, conn)

    assert {conn: creds(m, conn)["port"] for conn in wanted} == wanted


# -------------------------------------------------------------- what goes before


# A field of the spec goes before the secret's.
def test_the_spec_goes_before_the_secret(connfs_of, aws, each_gateway):
    right = secret_of(each_gateway)
    fields = {
        "user": ("username", "nobody"),
        "host": ("host", "192.0.2.1"),
        "port": ("port", 9),
        "database": ("dbname", "nowhere"),
        "password_plain": ("password", "wrong"),
    }
    specs = {}
    for field, (member, wrong) in fields.items():
        aws.secrets[field] = {**right, member: wrong}
        own = {field: right[member], "secret_id": field}
        specs[field] = minimal(each_gateway.family, **own)
    m = connfs_of(specs)

    for field in fields:
        log_in(m, field)

    assert [e.members["SecretId"] for e in aws.journal] == list(fields)
    assert verdicts(each_gateway) == ["ok"] * len(fields)


# A spec that says all leaves nothing to be asked for.
def test_a_secret_that_adds_nothing_is_not_asked_for(connfs_of, aws, gateway):
    aws.parameters[PARAMETER] = PASSWORD
    spec = gateway.spec(secret_id=SECRET)
    m = connfs_of(
        plain={**spec, "password_plain": PASSWORD},
        ssm={**spec, "password": PARAMETER},
    )

    log_in(m, "plain")
    asked = aws.count()
    log_in(m, "ssm")

    assert (asked, aws.count("GetSecretValue"), aws.count("GetParameter")) == (0, 0, 1)


# SSM goes before the secret, which has the rest.
def test_a_parameter_goes_before_the_secret(connfs_of, aws, each_gateway):
    aws.parameters[PARAMETER] = PASSWORD
    aws.secrets[SECRET] = secret_of(each_gateway, password="wrong")
    m = connfs_of(db=minimal(each_gateway.family, password=PARAMETER))

    log_in(m)

    assert (creds(m)["source"], creds(m)["user"]) == ("ssm", "app")
    assert [e.operation for e in aws.journal] == ["GetParameter", "GetSecretValue"]
    asked = {"Name": PARAMETER, "WithDecryption": True}
    assert aws.journal[0].members == asked


# A token is what is left when there is no password anywhere.
@pytest.mark.parametrize("where", ["plain", "ssm", "secret", "nowhere"])
def test_a_token_comes_last(connfs_of, aws, pg_gateway, where):
    aws.parameters[PARAMETER] = PASSWORD
    aws.secrets[SECRET] = {"username": "app", "dbname": "app"}
    if where == "secret":
        aws.secrets[SECRET]["password"] = PASSWORD
    how = {"kind": "rds"} if where == "nowhere" else {"kind": "password"}
    gateway = pg_gateway(aws, password=PASSWORD, host=RDS_HOST, **how)
    own = {"plain": {"password_plain": PASSWORD}, "ssm": {"password": PARAMETER}}
    fields = {"type": "postgres-rds", "user": None, "database": None}
    spec = gateway.spec(**fields, secret_id=SECRET, sslmode="verify-full")
    m = connfs_of(db={**spec, **own.get(where, {})})

    log_in(m)

    sources = {"plain": "static", "secret": "secretsmanager", "nowhere": "rds-iam"}
    assert creds(m)["source"] == sources.get(where, where)
    assert ("X-Amz-Signature" in gateway.ok[0].password) == (where == "nowhere")


# -------------------------------------------------------- what cannot be used


def refused(m, conn, text, why):
    """The statement fails for want of a credential, and all say why."""
    client = bash(m, f'{WRITE}; cd "$C"; cat creds/error creds/state error', conn)
    assert REJECTED in client.err, client
    error, state, *shown = client.lines
    assert state == "failed"
    assert error.startswith(text)
    for part in why:
        assert part in error
    assert error in "\n".join(shown)


NO_OBJECT = "secret_id: the secret prod/shop is not a JSON object"
BAD_PORT = 'secret_id: "port" in the secret prod/shop must be a number from 1 to 65535'


def not_known(key, member):
    where = f'it is neither in the spec nor, as "{member}", in the secret prod/shop'
    return f"{key}: is not known: {where}"


# The text begins with the key of the spec, and names the secret. It does not
# show what is in it.
def test_a_secret_that_says_no_login_is_refused(connfs_of, aws, gateway):
    right = secret_of(gateway)
    cases = [
        ("geheim", NO_OBJECT),
        (json.dumps(right)[:-1], NO_OBJECT),
        ('["geheim"]', NO_OBJECT),
        ('"geheim"', NO_OBJECT),
        ("12", NO_OBJECT),
        ("", "secret_id: secret prod/shop is empty"),
        (b"geheim", "secret_id: secret prod/shop is binary"),
        ({}, not_known("host", "host")),
    ]
    for port in [0, 65536, -1, 1.5, "geheim", " 1", "1e3", True, [1], {}]:
        cases.append(({**right, "port": port}, BAD_PORT))
    for key, member in [
        ("user", "username"),
        ("host", "host"),
        ("database", "dbname"),
        ("password", "password"),
    ]:
        for none in [None, ""]:
            cases.append(({**right, member: none}, not_known(key, member)))
        text = f'secret_id: "{member}" in the secret prod/shop must be a string'
        for wrong in [["geheim"], {"a": "geheim"}, False]:
            cases.append(({**right, member: wrong}, text))
    # A connection each: a session that is there would not log in again.
    m = connfs_of({f"c{n}": minimal() for n, _ in enumerate(cases)}, ttl=0)
    m.secrets.add("geheim")

    for n, (secret, text) in enumerate(cases):
        aws.secrets[SECRET] = (
            json.dumps(secret) if isinstance(secret, dict) else secret
        )
        refused(m, f"c{n}", text, [])
        assert "geheim" not in m.read(f"c{n}", "creds", "status.json")

    assert gateway.logins == []


KMS = (
    "The ciphertext refers to a customer master key that does not exist, does not"
    " exist in this region, or you are not allowed to access."
)
GONE = "check the name and the region eu-west-1"
IS_KEY_USABLE = "cannot be decrypted (is its KMS key enabled, is kms:Decrypt allowed?)"
SECRETS = {  # what spoils the call, and what is said of it
    "missing": ({}, ["ResourceNotFoundException", GONE]),
    "deleted": ({}, ["is marked for deletion (restore it, or name another)"]),
    "denied": ({}, ["user/app", "allow secretsmanager:GetSecretValue in IAM"]),
    "undecipherable": (
        {"code": "DecryptionFailure", "message": "can't decrypt it"},
        [IS_KEY_USABLE, "can't decrypt it"],
    ),
    "kms": (
        {"code": "AccessDeniedException", "message": "Access to KMS is not allowed"},
        ["Access to KMS", "allow kms:Decrypt in IAM"],
    ),
}


# AWS's own refusals, in its words and with what to do.
@pytest.mark.parametrize("case", SECRETS)
def test_a_secret_that_aws_does_not_give(connfs_of, aws, gateway, case):
    fault, parts = SECRETS[case]
    if case != "missing":
        aws.secrets[SECRET] = None if case == "deleted" else secret_of(gateway)
    if case == "denied":
        aws.denied.add("GetSecretValue")
    if fault:
        aws.fault("GetSecretValue", **fault)
    m = connfs_of(db=minimal())

    refused(m, "db", "secret_id: secret prod/shop", parts)

    # Nothing of it is an accident of the network, which more calls would help.
    assert aws.count("GetSecretValue") == 1


PARAMETERS = {
    "list": (("StringList", "geheim,x"), {}, ["is a StringList, and a SecureString"]),
    "empty": ("", {}, ["is empty"]),
    "missing": (None, {}, ["ParameterNotFound", GONE]),
    "version": (PASSWORD, {}, ["ParameterVersionNotFound", GONE]),
    "denied": (PASSWORD, {}, ["user/app", "allow ssm:GetParameter in IAM"]),
    "key": (
        PASSWORD,
        {"code": "InvalidKeyId", "message": "is disabled"},
        [IS_KEY_USABLE, "is disabled"],
    ),
    "kms": (
        PASSWORD,
        {"code": "AccessDeniedException", "message": KMS},
        ["allow kms:Decrypt in IAM"],
    ),
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_a_parameter_that_is_no_password(connfs_of, aws, gateway, case):
    value, fault, parts = PARAMETERS[case]
    if value is not None:
        aws.parameters[PARAMETER] = value
    if case == "denied":
        aws.denied.add("GetParameter")
    if fault:
        aws.fault("GetParameter", **fault)
    name = f"{PARAMETER}:7" if case == "version" else PARAMETER
    m = connfs_of(db=gateway.spec(password=name))

    refused(m, "db", f"password: parameter {name}", parts)

    assert "geheim" not in creds(m)["error"]
    assert gateway.logins == []
    assert aws.count("GetParameter") == 1


# A String will do as well; the name may be an ARN.
def test_a_parameter_is_a_password(connfs_of, aws, each_gateway):
    aws.parameters[PARAMETER] = PASSWORD
    aws.parameters["plain"] = ("String", PASSWORD)
    names = {"secure": PARAMETER, "by_arn": ARN, "plain": "plain"}
    specs = {c: each_gateway.spec(password=name) for c, name in names.items()}
    m = connfs_of(specs)

    for conn in names:
        log_in(m, conn)
        assert creds(m, conn)["source"] == "ssm"

    assert [login.password for login in each_gateway.ok] == [PASSWORD] * 3
    assert [e.members["Name"] for e in aws.journal] == list(names.values())


# ------------------------------------------------------------ external_id, region


@pytest.fixture
def assuming(aws, pg_gateway):
    """A spec whose role wants an external id, which SSM has."""
    role = "arn:aws:iam::123456789012:role/etl"
    aws.roles[role] = Role(external_id="partner-7")
    return pg_gateway(aws).spec(role_arn=role, external_id="/prod/shop/external")


@pytest.mark.parametrize("kind", ["SecureString", "String"])
def test_the_external_id_is_a_parameter(connfs_of, aws, assuming, kind):
    aws.parameters["/prod/shop/external"] = (kind, "partner-7")
    m = connfs_of(db=assuming)

    log_in(m)

    assert aws.entries("AssumeRole")[0].members["ExternalId"] == "partner-7"
    assert creds(m)["source"] == "rds-iam"


@pytest.mark.parametrize(
    "case, why",
    [
        ("missing", GONE),
        ("denied", "allow ssm:GetParameter in IAM"),
        ("list", "is a StringList"),
    ],
)
def test_an_external_id_that_is_none(connfs_of, aws, assuming, case, why):
    if case != "missing":
        kind = "StringList" if case == "list" else "String"
        aws.parameters["/prod/shop/external"] = (kind, "partner-7")
    if case == "denied":
        aws.denied.add("GetParameter")
    m = connfs_of(db=assuming)

    refused(m, "db", "external_id: parameter /prod/shop/external", [why])

    assert aws.count("AssumeRole") == 0


# An ARN says in which region it is; then the spec; then the environment.
@pytest.mark.parametrize("by", ["arn", "spec", "environment"])
def test_the_region_that_is_asked(connfs_of, aws, gateway, by):
    aws.parameters[PARAMETER] = PASSWORD
    aws.secrets[SECRET] = {"username": "app"}
    spec = gateway.spec(user=None, password=PARAMETER, secret_id=SECRET)
    elsewhere = {"AWS_REGION": "eu-west-1" if by == "environment" else "us-east-1"}
    if by == "arn":
        spec.update(password=ARN, secret_id=secret_arn(aws, SECRET), region="us-west-2")
    if by == "spec":
        spec.update(region="eu-west-1")
    m = connfs_of(db=spec, env=aws.env(aws.key(), **elsewhere))

    log_in(m)

    regions = [(e.operation, e.signed.region, e.ok) for e in aws.journal]
    assert regions == [
        ("GetParameter", "eu-west-1", True),
        ("GetSecretValue", "eu-west-1", True),
    ]


# Without one nobody can be asked, and the text names the field.
@pytest.mark.parametrize("key", ["password", "secret_id"])
def test_a_region_that_nobody_tells(connfs_of, aws, gateway, key):
    where = "parameter /prod/shop/password" if key == "password" else "secret prod/shop"
    spec = {
        "password": gateway.spec(password=PARAMETER),
        "secret_id": minimal(),
    }[key]
    m = connfs_of(db=spec, env=aws.env(aws.key(), AWS_REGION=None))

    text = f"{key}: {where}: region: not known: set it in the spec, in AWS_REGION"
    refused(m, "db", text, [])

    assert aws.journal == []


# A connection that nobody uses, or that is not enabled, asks nobody, whatever
# happens to its neighbours.
def test_only_who_is_used_asks(connfs_of, aws, gateway):
    aws.parameters[PARAMETER] = PASSWORD
    spec = gateway.spec()
    m = connfs_of(
        used={**spec, "password": PARAMETER},
        unused={**spec, "password": "/prod/unused"},
        off={**spec, "password": "/prod/off", "secret_id": "off", "enabled": False},
        absent={k: v for k, v in minimal(secret_id="absent").items() if k != "enabled"},
    )

    log_in(m, "used", 2)
    m.sh('ls -lR "$M"; cat "$M"/unused/creds/[!r]* "$M/.connfs/status.json"')

    names = [entry.members.get("Name") for entry in aws.journal]
    assert names == [PARAMETER]
    assert m.sh('ls "$M"').lines == ["README", "unused", "used"]
