# SPDX-License-Identifier: MIT
"""The fake AWS, seen by clients that know the real one."""

import concurrent.futures
import http.client
import json
import socket
import time
import urllib.parse

import botocore.exceptions
import pytest
from botocore.httpsession import URLLib3Session
from botocore.utils import ContainerMetadataFetcher, InstanceMetadataFetcher

import aws_clients
from aws_clients import ask_form, call, get, refusal, sign
from fake_aws import Cluster, FakeAws, InstanceRole, Role, Workgroup

READER = "arn:aws:iam::123456789012:role/path/reader"
WRITER = "arn:aws:iam::123456789012:role/writer"


@pytest.fixture(autouse=True)
def regional(monkeypatch):
    """As every other client is by default."""
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "regional")


@pytest.fixture
def key(aws):
    return aws.key(temporary=True)


def parameter(aws, key, name, decrypt=True):
    found = call(aws, "ssm", "get_parameter", key, Name=name, WithDecryption=decrypt)
    return found["Parameter"]


def test_parameters(aws, key):
    aws.parameters = {"/app/db": "p&ß", "plain": ("String", "x"), "top": "y"}
    assert parameter(aws, key, "/app/db")["Value"] == "p&ß"
    found = parameter(aws, key, "plain", decrypt=False)
    assert (found["Value"], found["Type"]) == ("x", "String")
    sealed = parameter(aws, key, "/app/db", decrypt=False)
    assert (sealed["Type"], sealed["Value"][:6]) == ("SecureString", "AQICAH")
    for name in ("/app/db", "top"):
        found = parameter(aws, key, name)
        assert parameter(aws, key, found["ARN"])["Value"] == found["Value"]
    ask = "ssm", "get_parameter", key
    for name in ("none", "arn:aws:ssm:eu-west-2:123456789012:parameter/top"):
        assert refusal(aws, *ask, Name=name) == (400, "ParameterNotFound")
    assert refusal(aws, *ask, Name="top:3") == (400, "ParameterVersionNotFound")
    assert refusal(aws, *ask, Name="x" * 2049) == (400, "ValidationException")
    assert aws.count("GetParameter", ok=False) == 4


def test_secrets(aws, key):
    full = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:there-a1b2c3"
    aws.secrets = {
        "my/db": {"username": "u", "port": 5432},
        "text": "not JSON",
        "bytes": b"\0\xff",
        full: "by ARN",
        "gone": None,
    }

    def secret(name, **more):
        ask = "secretsmanager", "get_secret_value", key
        return call(aws, *ask, SecretId=name, **more)

    found = secret("my/db")
    assert json.loads(found["SecretString"]) == aws.secrets["my/db"]
    for name in (found["ARN"], found["ARN"][:-7]):
        assert secret(name)["SecretString"] == found["SecretString"]
    assert secret("text")["SecretString"] == "not JSON"
    assert secret("bytes")["SecretBinary"] == b"\0\xff"
    assert secret("my/db", VersionId=found["VersionId"])["Name"] == "my/db"
    for name in ("there", full, full[:-7]):
        assert secret(name)["SecretString"] == "by ARN"
    ask = "secretsmanager", "get_secret_value", key
    missing = 400, "ResourceNotFoundException"
    assert refusal(aws, *ask, SecretId="my") == missing
    assert refusal(aws, *ask, SecretId="text", VersionStage="AWSPREVIOUS") == missing
    assert refusal(aws, *ask, SecretId="text", VersionId="x" * 32) == missing
    assert refusal(aws, *ask, SecretId="gone") == (400, "InvalidRequestException")


def assume(aws, key, **more):
    m = {"RoleArn": READER, "RoleSessionName": "connfs-x", **more}
    return call(aws, "sts", "assume_role", key, **m)


def key_of(aws, answer):
    """The Key that was issued with that answer."""
    c = answer["Credentials"]
    issued = aws.keys[c["AccessKeyId"]]
    assert issued.session_token == c["SessionToken"]
    assert issued.secret_key == c["SecretAccessKey"]
    assert 0 <= issued.expires - c["Expiration"].timestamp() < 1
    return issued


def test_assume_role_and_chains(aws, key):
    aws.roles = {READER: Role(), WRITER: Role()}
    aws.parameters["p"] = "x"
    aws.token_bytes = 2048
    answer = assume(aws, key)
    name = "arn:aws:sts::123456789012:assumed-role/reader/connfs-x"
    assert answer["AssumedRoleUser"]["Arn"] == name
    first = key_of(aws, answer)
    assert len(first.session_token) == 2048 and first.role == READER
    second = key_of(aws, assume(aws, first, RoleArn=WRITER))
    assert parameter(aws, second, "p")["Value"] == "x"
    assert [e.key for e in aws.journal] == [key, first, second]
    who = call(aws, "sts", "get_caller_identity", second)
    assert who["Arn"].endswith(":assumed-role/writer/connfs-x")
    too_long = {"RoleArn": WRITER, "RoleSessionName": "x2", "DurationSeconds": 3601}
    code = refusal(aws, "sts", "assume_role", first, **too_long)
    assert code == (400, "ValidationError")
    assert assume(aws, key, **too_long)


def test_what_a_role_demands(aws, key):
    aws.roles[READER] = Role("ext/1", tags={"team": "a b+c", "x": ""})
    good = {
        "ExternalId": "ext/1",
        "Tags": [{"Key": "x", "Value": ""}, {"Key": "team", "Value": "a b+c"}],
    }
    assert assume(aws, key, **good)
    m = {"RoleArn": READER, "RoleSessionName": "connfs-x", **good}
    for wrong, answer in (
        ({"ExternalId": "other"}, (403, "AccessDenied")),
        ({"Tags": good["Tags"][:1]}, (403, "AccessDenied")),
        ({"Tags": []}, (403, "AccessDenied")),
        ({"RoleArn": WRITER}, (403, "AccessDenied")),
        ({"RoleSessionName": "a b"}, (400, "ValidationError")),
        ({"DurationSeconds": 43201}, (400, "ValidationError")),
        ({"RoleArn": "arn:aws:iam::1:role/reader"}, (400, "ValidationError")),
    ):
        assert refusal(aws, "sts", "assume_role", key, **{**m, **wrong}) == answer


@pytest.mark.parametrize(
    "members",
    [
        {"ExternalId": "x"},
        {"Tags.member.1.Key": "k"},
        {"Tags.member.1.Key": "", "Tags.member.1.Value": "v"},
        {"Tags.member.1.Key": "k", "Tags.member.1.Value": "v" * 257},
    ],
)
def test_what_no_role_takes(aws, key, members):
    aws.roles[READER] = Role()
    m = {"Action": "AssumeRole", "Version": "2011-06-15"}
    m.update({"RoleArn": READER, "RoleSessionName": "connfs-x"})
    assert ask_form(aws, "sts", m, key) == (200, None)
    refused = ask_form(aws, "sts", {**m, **members}, key)
    assert refused == (400, "ValidationError")


def test_lifetime_of_a_role(aws, key):
    aws.roles[READER] = Role(lifetime=3)
    aws.parameters["p"] = "x"
    issued = key_of(aws, assume(aws, key))
    assert 0 < issued.expires - aws.now() <= 3
    aws.clock_offset = 4
    expired = 400, "ExpiredTokenException"
    assert refusal(aws, "ssm", "get_parameter", issued, Name="p") == expired


def test_web_identity(aws):
    aws.roles[READER] = Role()
    aws.web_identity_tokens.add("eyJ.a.b")
    m = {"RoleArn": READER, "RoleSessionName": "connfs-x"}
    m["WebIdentityToken"] = "eyJ.a.b"
    ask = "sts", "assume_role_with_web_identity"
    issued = key_of(aws, call(aws, *ask, **m))
    assert issued.role == READER and aws.journal[-1].key is None
    bad = {**m, "WebIdentityToken": "other"}
    assert refusal(aws, *ask, **bad) == (400, "InvalidIdentityToken")
    bad = {**m, "RoleArn": WRITER}
    assert refusal(aws, *ask, **bad) == (403, "AccessDenied")
    raw = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", **m}
    assert ask_form(aws, "sts", raw) == (200, None)
    assert ask_form(aws, "sts", raw, aws.key()) == (403, "AccessDenied")
    bad = {**raw, "WebIdentityToken": "x"}
    assert ask_form(aws, "sts", bad) == (400, "ValidationError")


def test_redshift(aws, key):
    aws.clusters = {"c1": Cluster(users={"app"}), "c2": Cluster(lifetime=3)}
    ask = "redshift", "get_cluster_credentials", key

    def login(**m):
        answer = call(aws, *ask, **{"DbUser": "app", "ClusterIdentifier": "c1", **m})
        assert aws.redshift_ok(answer["DbUser"], answer["DbPassword"])
        assert not aws.redshift_ok(answer["DbUser"], answer["DbPassword"] + "x")
        assert not aws.redshift_ok("app", answer["DbPassword"])
        return answer["DbUser"]

    assert login() == "IAM:app"
    assert login(AutoCreate=True, DbGroups=["g", "h"]) == "IAMA:app:g:h"
    assert login(ClusterIdentifier="c2", DbUser="x", DurationSeconds=3600) == "IAM:x"
    aws.clock_offset = 4
    assert login() == "IAM:app"
    # Each until its own end: those of c1, of both times, and no longer that of c2.
    given = [(user, password) for password, (user, _) in aws.redshift_passwords.items()]
    assert [aws.redshift_ok(*each) for each in given] == [True, True, False, True]
    m = {"DbUser": "app", "ClusterIdentifier": "c1"}
    for wrong, answer in (
        ({"ClusterIdentifier": "c3"}, (404, "ClusterNotFound")),
        ({"DbUser": "other"}, (403, "AccessDenied")),
        ({"DbUser": "a:b"}, (400, "InvalidParameterValue")),
        ({"DurationSeconds": 899}, (400, "InvalidParameterValue")),
    ):
        assert refusal(aws, *ask, **{**m, **wrong}) == answer


def test_redshift_with_iam(aws, key):
    aws.clusters["c1"] = Cluster()
    aws.roles[READER] = Role()
    ask = "redshift", "get_cluster_credentials_with_iam"
    answer = call(aws, *ask, key, ClusterIdentifier="c1", DbName="db")
    assert answer["DbUser"] == "IAM:app"
    assert aws.redshift_ok("IAM:app", answer["DbPassword"])
    answer = call(aws, *ask, key_of(aws, assume(aws, key)), ClusterIdentifier="c1")
    assert answer["DbUser"] == "IAMR:reader"


def test_redshift_by_custom_domain(aws, key):
    aws.clusters["c1"] = Cluster()
    aws.domains["db.example.com"] = "c1"
    m = {"Action": "GetClusterCredentials", "Version": "2012-12-01", "DbUser": "u"}
    for domain, answer in (
        ("db.example.com", (200, None)),
        ("other.example.com", (404, "CustomDomainAssociationNotFoundFault")),
    ):
        raw = {**m, "CustomDomainName": domain}
        assert ask_form(aws, "redshift", raw, key) == answer


def test_redshift_serverless(aws, key):
    aws.workgroups["wgr"] = Workgroup(lifetime=900)
    ask = "redshift-serverless", "get_credentials", key
    answer = call(aws, *ask, workgroupName="wgr", durationSeconds=3600)
    assert aws.redshift_ok("IAM:app", answer["dbPassword"])
    assert 0 < answer["expiration"].timestamp() - aws.now() <= 900
    missing = 400, "ResourceNotFoundException"
    assert refusal(aws, *ask, workgroupName="other") == missing
    bad = {"workgroupName": "wgr", "durationSeconds": 3601}
    assert refusal(aws, *ask, **bad) == (400, "ValidationException")
    aws.domains["dw.example.com"] = "wgr"
    target = {"X-Amz-Target": "RedshiftServerless.GetCredentials"}
    for body, code in (
        (b"{}", "ValidationException"),
        (b'{"customDomainName":"dw.example.com"}', None),
        (b'{"customDomainName":"x.example.com"}', "ResourceNotFoundException"),
    ):
        how = {"headers": {**aws_clients.SSM, **target}, "service": ask[0]}
        assert aws_clients.ask(aws, sign(aws, key, body, **how), body) == code


def test_sso(aws):
    cached = aws.sso.login(lifetime=100)
    ask = "sso", "get_role_credentials"
    m = {"accountId": "123456789012", "roleName": "reader"}
    answer = call(aws, *ask, accessToken=cached["accessToken"], **m)
    c = answer["roleCredentials"]
    issued = aws.keys[c["accessKeyId"]]
    assert c["expiration"] == int(issued.expires * 1000)
    who = call(aws, "sts", "get_caller_identity", issued)
    assert who["Arn"].endswith("AWSReservedSSO_reader_0123456789/app@example.com")
    unauthorized = 401, "UnauthorizedException"
    assert refusal(aws, *ask, accessToken="other", **m) == unauthorized
    other = {**m, "accessToken": cached["accessToken"], "roleName": "writer"}
    assert refusal(aws, *ask, **other) == (403, "ForbiddenException")
    path = "/federation/credentials?account_id=123456789012"
    token = {"x-amz-sso_bearer_token": cached["accessToken"]}
    assert get(aws, f"{path}&role_name=reader", **token)[0] == 200
    assert get(aws, f"{path}&role_name=reader")[0] == 400
    assert get(aws, path, **token)[0] == 400
    aws.clock_offset = 101
    late = refusal(aws, *ask, accessToken=cached["accessToken"], **m)
    assert late == unauthorized


def test_oidc(aws):
    cached = aws.sso.login(lifetime=0)
    m = {
        "clientId": cached["clientId"],
        "clientSecret": cached["clientSecret"],
        "grantType": "refresh_token",
        "refreshToken": cached["refreshToken"],
    }
    ask = "sso-oidc", "create_token"
    for wrong, answer in (
        ({"clientSecret": "x"}, (401, "InvalidClientException")),
        ({"grantType": "password"}, (400, "UnsupportedGrantTypeException")),
        ({"refreshToken": "x"}, (400, "InvalidGrantException")),
    ):
        assert refusal(aws, *ask, **{**m, **wrong}) == answer
    answer = call(aws, *ask, **m)
    assert aws.sso.access_tokens[answer["accessToken"]] > aws.now()
    # Once, and the next one with the one that came.
    assert refusal(aws, *ask, **m) == (400, "InvalidGrantException")
    assert call(aws, *ask, **{**m, "refreshToken": answer["refreshToken"]})
    assert "refreshToken" not in aws.sso.login(session=False)


def test_container(aws):
    aws.container_token = "S3cret"
    env = aws.container_env()
    url = env["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    session = URLLib3Session(timeout=10)
    fetcher = ContainerMetadataFetcher(session=session)
    headers = {"Authorization": env["AWS_CONTAINER_AUTHORIZATION_TOKEN"]}
    answer = fetcher.retrieve_full_uri(url, headers=headers)
    session.close()
    assert aws.keys[answer["AccessKeyId"]].session_token == answer["Token"]
    path = urllib.parse.urlsplit(url).path
    assert get(aws, path)[0] == 401
    assert get(aws, path, Authorization="S3cret\t")[0] == 200  # blanks do not count
    assert get(aws, path, Authorization="S3cret2")[0] == 401
    aws.container.code = "InternalServerError"
    status, _, body = get(aws, path, Authorization="S3cret")
    assert (status, json.loads(body)["Code"]) == (500, "InternalServerError")
    aws.container = None
    status, _, body = get(aws, path, Authorization="S3cret")
    assert (status, json.loads(body)["Code"]) == (404, "InvalidIdInRequest")
    token_file = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
    assert aws.container_env(token_file="/t")[token_file] == "/t"


def test_instance(aws, key):
    aws.instance_role = InstanceRole("web-role", lifetime=100)
    fetcher = InstanceMetadataFetcher(
        timeout=10, config={"ec2_metadata_service_endpoint": aws.url + "/"}
    )
    answer = fetcher.retrieve_iam_role_credentials()
    fetcher._session.close()
    issued = aws.keys[answer["access_key"]]
    assert issued.session_token == answer["token"]
    assert 0 < issued.expires - aws.now() <= 100
    operations = [e.operation for e in aws.journal]
    assert operations == ["ImdsToken", "ImdsRole", "ImdsCredentials"]


def imds_token(aws, seconds="21600"):
    age = {"x-aws-ec2-metadata-token-ttl-seconds": seconds}
    status, _, body = get(aws, "/latest/api/token", "PUT", **age)
    assert status == 200
    return {"x-aws-ec2-metadata-token": body.decode()}


def test_instance_is_asked_with_a_token(aws, key):
    base = "/latest/meta-data/iam/security-credentials/"
    assert get(aws, "/latest/api/token", "PUT")[0] == 400
    assert get(aws, "/latest/api/token")[0] == 404
    age = {"x-aws-ec2-metadata-token-ttl-seconds": "60"}
    age["X-Forwarded-For"] = "::1"
    proxied = get(aws, "/latest/api/token", "PUT", **age)
    assert proxied[0] == 403
    token = imds_token(aws, "60")
    assert get(aws, base, **token)[0] == 404  # it has no role
    aws.instance_role = InstanceRole(key=key)
    assert get(aws, base)[0] == 401
    assert get(aws, base, **token)[2] == b"app-role"
    assert get(aws, base + "other", **token)[0] == 404
    for _ in range(2):
        answer = json.loads(get(aws, base + "app-role", **token)[2])
        assert answer["AccessKeyId"] == key.access_key
    place = get(aws, "/latest/meta-data/placement/region", **token)
    assert place[2] == b"eu-west-1"
    aws.instance_role.code = "AssumeRoleUnauthorizedAccess"
    status, _, body = get(aws, base + "app-role", **token)
    assert status == 200 and "AccessKeyId" not in json.loads(body)
    aws.clock_offset = 61
    assert get(aws, base, **token)[0] == 401
    assert get(aws, base, **imds_token(aws))[0] == 200


def test_denied(aws, key):
    aws.parameters["p"] = "x"
    aws.clusters["c1"] = Cluster()
    aws.denied = {"GetParameter", "GetClusterCredentials", "GetRoleCredentials"}
    ask = "ssm", "get_parameter", key
    assert refusal(aws, *ask, Name="p") == (400, "AccessDeniedException")
    m = {"DbUser": "u", "ClusterIdentifier": "c1"}
    denied = refusal(aws, "redshift", "get_cluster_credentials", key, **m)
    assert denied == (403, "AccessDenied")
    m = {"roleName": "r", "accountId": "1", "accessToken": "x"}
    denied = refusal(aws, "sso", "get_role_credentials", **m)
    assert denied == (403, "ForbiddenException")
    aws.denied.clear()
    assert parameter(aws, key, "p")["Value"] == "x"


@pytest.mark.parametrize(
    "body, code",
    [
        (b'{"Name":"p","name":"p"}', "ValidationException"),
        (b'{"WithDecryption":true}', "ValidationException"),
        (b'{"Name":"p","WithDecryption":"true"}', "SerializationException"),
        (b'["Name"]', "SerializationException"),
        (b"Name=p", "SerializationException"),
        (b"", "SerializationException"),
    ],
)
def test_malformed_json(aws, key, body, code):
    aws.parameters["p"] = "x"
    assert aws_clients.ask(aws, sign(aws, key, body), body) == code


@pytest.mark.parametrize(
    "body",
    [
        "ClusterIdentifier=c1&DbUser=u&DbUser=u",
        "ClusterIdentifier=c1",
        "ClusterIdentifier=c1&DbUser=u&AutoCreate=True",
        "ClusterIdentifier=c1&DbUser=u&DurationSeconds=900s",
        "ClusterIdentifier=c1&DbUser=u&Duration=900",
        "ClusterIdentifier=c1&DbUser=u&DbGroups.member.1=g",
        "ClusterIdentifier=c1&DbUser=u&DbGroups.DbGroup.2=g",
        "ClusterIdentifier=c1&DbUser=u&DbGroups=g",
        "DbUser=u",
    ],
)
def test_malformed_query(aws, key, body):
    aws.clusters["c1"] = Cluster()
    text = f"Action=GetClusterCredentials&Version=2012-12-01&{body}"
    members = urllib.parse.parse_qsl(text)
    assert ask_form(aws, "redshift", members, key)[0] == 400
    assert aws.journal[-1].verdict == "refused" or body == "DbUser=u"


def test_unknown_operations(aws, key):
    target = {**aws_clients.SSM, "X-Amz-Target": "AmazonSSM.PutParameter"}
    code = "UnknownOperationException"
    assert aws_clients.ask(aws, sign(aws, key, headers=target)) == code
    assert refusal(aws, "redshift", "describe_clusters", key) == (400, "InvalidAction")
    wrong = {**target, "X-Amz-Target": "secretsmanager.GetParameter"}
    assert aws_clients.ask(aws, sign(aws, key, headers=wrong)) == code
    assert get(aws, "/")[0] == 404
    assert get(aws, "/latest/user-data")[0] == 404
    assert [e.operation for e in aws.journal] == [None] * 5


def test_no_http(aws):
    where = urllib.parse.urlsplit(aws.url)
    with socket.create_connection((where.hostname, where.port)) as s:
        s.sendall(b"what?\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 400 ")
    assert aws.journal[-1].target == "what?" and not aws.journal[-1].ok


# --- Faults


def test_fault_codes_are_of_the_protocol(aws, key):
    aws.parameters["p"] = "x"
    aws.fault("GetParameter", times=2, code="ThrottlingException")
    ask = "ssm", "get_parameter", key
    for _ in range(2):
        assert refusal(aws, *ask, Name="p") == (400, "ThrottlingException")
    assert parameter(aws, key, "p")["Value"] == "x"
    aws.fault(code="Throttling", message="Rate exceeded", headers={"Retry-After": "1"})
    throttled = refusal(aws, "sts", "get_caller_identity", key)
    assert throttled == (400, "Throttling")
    reply = aws.journal[-1].reply
    assert reply.headers["Retry-After"] == "1" and b"Rate exceeded" in reply.body
    aws.fault("ImdsToken", status=403)
    assert get(aws, "/latest/api/token", "PUT")[0] == 403
    verdicts = ["fault", "fault", "ok", "fault", "fault"]
    assert [e.verdict for e in aws.journal] == verdicts
    assert all(e.signed for e in aws.journal[:4])


def test_fault_bodies(aws):
    aws.fault(status=502, body="<html>Bad Gateway</html>")
    status, headers, body = get(aws, "/nothing")
    assert (status, body) == (502, b"<html>Bad Gateway</html>")
    assert headers["Content-Type"] == "text/html"
    aws.fault(body=b"x" * 10_000_000)
    assert len(get(aws, "/nothing")[2]) == 10_000_000
    aws.fault(redirect="http://127.0.0.1:1/")
    status, headers, _ = get(aws, "/nothing")
    assert (status, headers["Location"]) == (307, "http://127.0.0.1:1/")
    aws.fault(headers={"Date": None, "Age": "5"})
    status, headers, _ = get(aws, "/nothing")
    assert (status, headers["Date"], headers["Age"]) == (404, None, "5")


def test_fault_drop(aws):
    aws.fault(drop=True)
    with pytest.raises(http.client.RemoteDisconnected):
        get(aws, "/nothing")
    assert aws.journal[-1].verdict == "fault" and aws.journal[-1].reply is None


def test_fault_delay(aws):
    fault = aws.fault("ImdsToken", delay=600)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(imds_token, aws)
        aws.wait_for("ImdsToken")
        assert not answer.done()
        fault.release()
        assert answer.result(10)


def test_fault_drip(aws):
    aws.fault(drip=True, body="ab")
    where = urllib.parse.urlsplit(aws.url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=10)
    connection.request("GET", "/nothing")
    with connection.getresponse() as answer:
        assert answer.read(5) == b"ababa"
    connection.close()


def test_faults_last_until_healed(aws):
    aws.fault("ImdsToken", times=None, status=500)
    for _ in range(3):
        assert get(aws, "/latest/api/token", "PUT")[0] == 500
    assert get(aws, "/nothing")[0] == 404
    aws.heal()
    assert imds_token(aws)


def test_close_ends_what_hangs():
    aws = FakeAws()
    aws.fault(delay=600)
    aws.fault(drip=True)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        late = pool.submit(get, aws, "/nothing")
        aws.wait_for(None, 1)
        dripping = pool.submit(get, aws, "/nothing")
        aws.wait_for(None, 2)
        started = time.monotonic()
        aws.close()
        assert time.monotonic() - started < 10
        for answer in (late, dripping):
            # Cut off, or answered as the last thing of all.
            broken = answer.exception(10) or OSError()
            assert isinstance(broken, (OSError, http.client.HTTPException))


def test_a_failure_in_itself_is_told():
    aws = FakeAws()
    aws.parameters["p"] = object()
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        parameter(aws, aws.key(), "p")
    with pytest.raises(RuntimeError, match="AttributeError|TypeError"):
        aws.close()


# --- The rest


def test_environment(aws, key):
    env = aws.env(key, AWS_REGION=None, AWS_PROFILE="x", **aws.imds_env())
    assert env["AWS_ENDPOINT_URL"] == aws.url
    assert env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] == aws.url
    assert env["AWS_SESSION_TOKEN"] == key.session_token
    assert env["AWS_EC2_METADATA_DISABLED"] == "false"
    assert "AWS_REGION" not in env and env["AWS_PROFILE"] == "x"
    assert "AWS_SESSION_TOKEN" not in aws.env(aws.key())
    assert "AWS_ACCESS_KEY_ID" not in aws.env()


def test_many_at_once_on_kept_connections(aws):
    aws.instance_role = InstanceRole()
    headers = imds_token(aws)
    path = "/latest/meta-data/iam/security-credentials/"
    where = urllib.parse.urlsplit(aws.url)

    def ask(_):
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
        for _ in range(3):
            connection.request("GET", path, headers=headers)
            assert connection.getresponse().read() == b"app-role"
            assert connection.sock is not None
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        list(pool.map(ask, range(100)))
    assert aws.count("ImdsRole", ok=True) == 300
    aws.clear()
    assert aws.count() == 0
    with pytest.raises(TimeoutError):
        aws.wait_for("ImdsRole", timeout=0)
