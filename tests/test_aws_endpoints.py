# SPDX-License-Identifier: MIT
"""Where calls of AWS go: endpoints, regions, proxies. What is asked is enough here:
each connection is refreshed, and logs in nowhere."""

import json
import re

import pytest

from aws_sources import Recorder, static
from fake_aws import Cluster, InstanceRole, Role, Workgroup

NOWHERE = "http://127.0.0.1:9"  # where nobody listens
REFRESH = 'echo 1 >"$C/creds/refresh"'
ROLE = "arn:aws:iam::123456789012:role/etl"
DATABASE = {"enabled": True, "host": "db.example.com", "database": "app"}
SSM = {**DATABASE, "type": "postgres", "user": "app", "password": "/app/password"}
SECRET = {"type": "postgres", "enabled": True, "secret_id": "prod/app"}
REDSHIFT = {
    **DATABASE,
    "type": "redshift",
    "user": "app",
    "cluster_id": "shop",
    "region": "eu-west-1",
}
SERVERLESS = {
    **DATABASE,
    "type": "redshift-serverless",
    "workgroup": "shop",
    "region": "eu-west-1",
}
RDS = {**DATABASE, "type": "postgres-rds", "user": "app"}
STS = {**RDS, "host": "db.abcdefgh.eu-west-1.rds.amazonaws.com", "role_arn": ROLE}
SSO = (
    "[profile sso]\nsso_start_url = https://example.awsapps.com/start\n"
    "sso_region = eu-west-1\nsso_account_id = 123456789012\nsso_role_name = reader\n"
)


@pytest.fixture
def filled(aws):
    """An AWS that has all that the specs above ask for."""
    aws.parameters["/app/password"] = "hunter2"
    aws.secrets["prod/app"] = {
        "host": "db.example.com",
        "username": "app",
        "password": "hunter2",
        "dbname": "app",
    }
    aws.roles[ROLE] = Role()
    aws.clusters["shop"] = Cluster()
    aws.workgroups["shop"] = Workgroup()
    return aws


@pytest.fixture
def recorder():
    made = Recorder()
    yield made
    made.close()


def refresh(m, conn="db"):
    """Obtains its credential; None, or creds/error."""
    done = m.sh(REFRESH, conn, shell="bash")
    error = m.read(conn, "creds", "error").rstrip("\n")
    assert (done.rc == 0) == (error == "")
    return error or None


# --- Overrides


# A variable of its own for each, which goes before the one for all.
def test_each_service_can_be_elsewhere(mount, filled, home):
    session = f"{SSO.replace('profile sso', 'sso-session corp')}"
    home.write(
        f"{session}[profile sso]\nsso_session = corp\n"
        "sso_account_id = 123456789012\nsso_role_name = reader\n"
    )
    home.log_in("corp", filled.sso.login(lifetime=600))
    services = {
        "SSM": ("GetParameter", SSM),
        "SECRETS_MANAGER": ("GetSecretValue", SECRET),
        "STS": ("AssumeRole", STS),
        "REDSHIFT": ("GetClusterCredentials", REDSHIFT),
        "REDSHIFT_SERVERLESS": ("GetCredentials", SERVERLESS),
        "SSO_OIDC": ("CreateToken", None),
        "SSO": ("GetRoleCredentials", {**RDS, "profile": "sso"}),
    }
    env = filled.env(filled.key(), **home.env(), AWS_ENDPOINT_URL=NOWHERE)
    env.update({f"AWS_ENDPOINT_URL_{name}": filled.url for name in services})
    specs = {name: spec for name, (_, spec) in services.items() if spec}
    m = mount(specs, env=env)

    for name in specs:
        assert refresh(m, name) is None
    for operation, _ in services.values():
        assert filled.count(operation, ok=True) == 1

    # And without them, the one for all.
    m = mount(db=SSM, env={k: v for k, v in env.items() if not k.endswith("_SSM")})
    assert "127.0.0.1:9: Connection refused" in refresh(m)


# A base path is kept and signed; region and service stay those of AWS.
def test_an_endpoint_may_have_a_base_path_and_keeps_the_region(mount, filled):
    filled.base_path = "/gate/of-a/b/"
    filled.any_region = True
    env = filled.env(filled.key(temporary=True))
    m = mount(
        ssm=SSM,
        far={**SECRET, "region": "ap-southeast-2"},
        sts={**STS, "region": "cn-north-1"},
        env=env,
    )

    for conn in ("ssm", "far", "sts"):
        assert refresh(m, conn) is None

    assert [entry.target for entry in filled.journal] == ["/gate/of-a/b/"] * 3
    signed = [(entry.signed.service, entry.signed.region) for entry in filled.journal]
    assert signed == [
        ("ssm", "eu-west-1"),
        ("secretsmanager", "ap-southeast-2"),
        ("sts", "cn-north-1"),
    ]


# The block of the service, else the profile's own URL; the environment goes before
# both.
def test_a_profile_can_say_where_services_are(mount, filled, home):
    keys = static(filled.key())
    home.write(
        f"[profile own]\nservices = vpc\nendpoint_url = {NOWHERE}\n{keys}"
        f"[profile all]\nservices = other\nendpoint_url = {filled.url}/\n{keys}"
        f"[profile none]\nservices = gone\n{keys}"
        f"[services vpc]\nssm =\n  endpoint_url = {filled.url}\n  x = y\n"
        f"secrets_manager =\n  endpoint_url = {filled.url}\n"
        f"[services other]\ns3 =\n  endpoint_url = {NOWHERE}\n"
    )
    env = filled.env(**home.env(), AWS_ENDPOINT_URL=None)
    of = {name: {"profile": name} for name in ("own", "all", "none")}
    m = mount(
        ssm={**SSM, **of["own"]},
        secret={**SECRET, **of["own"]},
        sts={**STS, **of["own"]},
        all={**SSM, **of["all"]},
        none={**SSM, **of["none"]},
        env=env,
    )

    assert refresh(m, "ssm") is None
    assert refresh(m, "secret") is None
    assert "127.0.0.1:9: Connection refused" in refresh(m, "sts")
    assert refresh(m, "all") is None
    gone = f"services: there is no [services gone] in {home.config}"
    assert gone in refresh(m, "none")

    m = mount(db={**SSM, **of["own"]}, env={**env, "AWS_ENDPOINT_URL": NOWHERE})
    assert "127.0.0.1:9: Connection refused" in refresh(m)
    m = mount(
        db={**STS, **of["own"]}, env={**env, "AWS_ENDPOINT_URL_STS": filled.url}
    )
    assert refresh(m) is None


@pytest.mark.parametrize("url", ["ssm.example.com", "ftp://x", "http://", "http://a b"])
def test_an_endpoint_that_is_no_url_says_which(mount, filled, url):
    m = mount(db=SSM, env=filled.env(filled.key(), AWS_ENDPOINT_URL_SSM=url))

    assert refresh(m).endswith(
        "AWS_ENDPOINT_URL_SSM: not the http:// or https:// URL of a host"
    )
    assert filled.journal == []


# Where AWS itself would be asked shows at a proxy, which lets nothing through.
def asked_at(recorder, m, conn="db"):
    recorder.asked.clear()
    assert "the proxy answers HTTP 403" in refresh(m, conn)
    hosts = {re.fullmatch(r"CONNECT (\S+):443 .*", line)[1] for line in recorder.asked}
    (host,) = hosts
    return host


def test_the_endpoints_of_aws_itself(mount, filled, home, recorder):
    keys = static(filled.key())
    home.write(
        f"[profile plain]\n{keys}"
        f"[profile fips]\nuse_fips_endpoint = true\n{keys}"
        f"[profile dual]\nuse_dualstack_endpoint = true\n{keys}"
        f"[profile ignore]\nendpoint_url = {NOWHERE}\n"
        f"ignore_configured_endpoint_urls = true\n{keys}"
    )
    regions = {
        "us-gov-west-1": "ssm.us-gov-west-1.amazonaws.com",
        "cn-north-1": "ssm.cn-north-1.amazonaws.com.cn",
        "eusc-de-east-1": "ssm.eusc-de-east-1.amazonaws.eu",
        "us-isob-east-1": "ssm.us-isob-east-1.sc2s.sgov.gov",
        "xx-new-1": "ssm.xx-new-1.amazonaws.com",
    }
    profiles = {
        "plain": "ssm.eu-west-1.amazonaws.com",
        "fips": "ssm-fips.eu-west-1.amazonaws.com",
        "dual": "ssm.eu-west-1.api.aws",
        "ignore": "ssm.eu-west-1.amazonaws.com",
    }
    specs = {name: {**SSM, "profile": name} for name in profiles}
    specs.update({r: {**SSM, "profile": "plain", "region": r} for r in regions})
    specs["secret"] = {**SECRET, "profile": "plain"}
    specs["role"] = {**STS, "profile": "plain"}
    env = filled.env(**home.env(), AWS_ENDPOINT_URL=None, AWS_MAX_ATTEMPTS=1)
    m = mount(specs, env={**env, **recorder.env()})

    for conn, host in {**profiles, **regions}.items():
        assert asked_at(recorder, m, conn) == host
    assert asked_at(recorder, m, "secret") == "secretsmanager.eu-west-1.amazonaws.com"
    assert asked_at(recorder, m, "role") == "sts.eu-west-1.amazonaws.com"


def test_configured_endpoints_can_be_ignored(mount, filled, home, recorder):
    home.write(f"[default]\nendpoint_url = {NOWHERE}\n{static(filled.key())}")
    env = filled.env(
        **home.env(),
        **recorder.env(),
        AWS_ENDPOINT_URL_SSM=filled.url,
        AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="true",
        AWS_MAX_ATTEMPTS=1,
    )
    m = mount(db=SSM, env=env)

    assert asked_at(recorder, m) == "ssm.eu-west-1.amazonaws.com"
    assert filled.journal == []


# --- Proxies


# What has the keys of this machine is never behind a proxy, nor is what runs on
# it: the proxy would see the keys, and ask for its own.
def test_no_proxy_comes_between_this_machine_and_its_keys(
    mount, filled, home, recorder
):
    filled.instance_role = InstanceRole()
    home.write(
        f"[profile task]\nrole_arn = {ROLE}\ncredential_source = EcsContainer\n"
        f"[profile box]\nrole_arn = {ROLE}\ncredential_source = Ec2InstanceMetadata\n"
    )
    env = filled.env(
        **home.env(),
        **filled.imds_env(),
        **filled.container_env(),
        **recorder.env(),
        AWS_MAX_ATTEMPTS=1,
    )
    m = mount(
        task={**SSM, "profile": "task"},
        box={**SSM, "profile": "box"},
        env=env,
    )

    assert (refresh(m, "task"), refresh(m, "box")) == (None, None)
    assert {entry.operation for entry in filled.journal} == {
        *("ContainerCredentials", "ImdsToken", "ImdsRole", "ImdsCredentials"),
        *("AssumeRole", "GetParameter"),
    }
    assert recorder.asked == []

    # For others there is one, but for those that NO_PROXY names.
    env["AWS_ENDPOINT_URL_SSM"] = "http://ssm.example.test"
    m = mount(db={**SSM, "profile": "task"}, env=env)
    refresh(m)
    assert recorder.asked[0].startswith("POST http://ssm.example.test/ HTTP/1.1")
    recorder.asked.clear()
    m = mount(
        db={**SSM, "profile": "task"}, env={**env, "NO_PROXY": "ssm.example.test"}
    )
    assert "ssm.example.test" in refresh(m)
    assert recorder.asked == []


# Over TLS anybody may be the agent of a container: who it is has been proven.
def test_an_agent_elsewhere_is_asked_over_tls(mount, filled, recorder):
    env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://agent.example.test/keys"}
    m = mount(db=SSM, env=filled.env(**env, **recorder.env()))

    assert asked_at(recorder, m) == "agent.example.test"


# --- Regions


# Spec, AWS_REGION, AWS_DEFAULT_REGION, profile, instance: each is taken away in
# turn. A name that is an ARN goes before all of them.
def test_the_region_of_a_secret(mount, filled, home):
    filled.any_region = True
    filled.instance_role = InstanceRole()
    filled.region = "sa-east-1"
    arn = "arn:aws:secretsmanager:ca-central-1:123456789012:secret:x-AbCdEf"
    filled.secrets[arn] = filled.secrets["prod/app"]
    home.write(f"[default]\nregion = eu-north-1\n{static(filled.key())}")
    env = filled.env(
        **home.env(),
        **filled.imds_env(),
        AWS_REGION="eu-central-1",
        AWS_DEFAULT_REGION="eu-west-3",
    )

    def asked(**fields):
        m = mount(db={**SECRET, "x-test": 1, **fields}, env=env)
        assert refresh(m) is None
        return filled.entries("GetSecretValue")[-1].signed.region

    assert asked(region="eu-south-1", secret_id=arn) == "ca-central-1"
    assert asked(region="eu-south-1") == "eu-south-1"
    assert asked() == "eu-central-1"
    del env["AWS_REGION"]
    assert asked() == "eu-west-3"
    del env["AWS_DEFAULT_REGION"]
    assert asked() == "eu-north-1"
    assert filled.count("ImdsRegion") == 0
    home.write(f"[default]\n{static(filled.key())}")
    assert asked() == "sa-east-1"
    assert filled.count("ImdsRegion") == 1


def test_a_region_that_nobody_knows(mount, filled):
    env = filled.env(filled.key(), AWS_REGION=None)
    m = mount(db=SECRET, env=env)

    assert refresh(m) == (
        "secret_id: secret prod/app: region: not known: set it in the spec, in"
        " AWS_REGION, or in the profile"
    )
    assert filled.journal == []


# The region of a token is the host's, whatever else says; a name that tells none
# says which field would.
def test_the_region_of_a_token_is_that_of_the_host(rds, aws, home):
    key = aws.key()
    home.write(f"[default]\nregion = eu-north-1\n{static(key)}")
    env = aws.env(**home.env(), AWS_REGION="eu-central-1")
    m = rds.mount(env, db={}, own={"region": "eu-west-1"})

    assert rds.key(m) == key
    assert rds.key(m, "own") == key


def test_a_host_that_tells_no_region(mount, filled, home):
    home.write(f"[default]\n{static(filled.key())}")
    env = filled.env(**home.env(), AWS_REGION=None)
    m = mount(db=RDS, named={**RDS, "region": "eu-west-1"}, env=env)

    error = refresh(m)
    assert error.startswith("region: not known: set it in the spec, in AWS_REGION, or")
    assert "the host db.example.com does not tell it" in error
    assert refresh(m, "named") is None
    shown = json.loads(m.read("named", "creds", "status.json"))
    assert (shown["source"], shown["keys_source"]) == ("rds-iam", "profile default")
