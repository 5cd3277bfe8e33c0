# SPDX-License-Identifier: MIT
"""What the services of fake_aws.FakeAws do, once a request is let in.

A handler gets the FakeAws and the Call, and returns what the answer says, or
raises a Failure. They run one at a time, under the lock of the FakeAws.
"""

import base64
import dataclasses
import json
import re
import secrets
import typing
import urllib.parse
import uuid
import zlib

from aws_verify import Key, Request, same
from fake_aws_wire import Failure, decode_form, iso, reply_json, reply_text

ACCOUNT = "123456789012"
SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)


@dataclasses.dataclass
class Role:
    """What AssumeRole demands, and for how long it gives at most (s); tags:
    exactly those, as a dict."""

    external_id: str | None = None
    lifetime: float = 3600
    tags: dict | None = None


@dataclasses.dataclass
class Cluster:
    """users: who may be asked for, None for anybody."""

    users: set | None = None
    lifetime: float = 900


@dataclasses.dataclass
class Workgroup:
    lifetime: float = 900


@dataclasses.dataclass
class InstanceRole:
    """Of the instance or the container. key: what it hands out again and again,
    instead of a new one each time; code: "Success", or what went wrong."""

    name: str = "app-role"
    lifetime: float = 21600
    key: Key | None = None
    code: str = "Success"


class Sso:
    """The access portal, for one role of one account. access_tokens: token ->
    until when; refresh_tokens: those that are good once."""

    def __init__(self, region, now):
        self._region = region
        self._now = now
        self.account_id = ACCOUNT
        self.role_name = "reader"
        self.lifetime = 3600  # of the role's credentials
        self.token_lifetime = 28800  # of a refreshed access token
        self.access_tokens = {}
        self.refresh_tokens = set()
        self.client_id = secrets.token_urlsafe(16)
        self.client_secret = secrets.token_urlsafe(48)

    def new_access_token(self, lifetime):
        token = "aoa" + secrets.token_urlsafe(150)
        self.access_tokens[token] = self._now() + lifetime
        return token

    def new_refresh_token(self):
        token = "aor" + secrets.token_urlsafe(150)
        self.refresh_tokens.add(token)
        return token

    def login(self, lifetime=28800, session=True):
        """As `aws sso login` does: what then is in the cache of tokens."""
        cached = {
            "startUrl": "https://example.awsapps.com/start",
            "region": self._region,
            "accessToken": self.new_access_token(lifetime),
            "expiresAt": iso(self._now() + lifetime),
        }
        if session:
            cached["clientId"] = self.client_id
            cached["clientSecret"] = self.client_secret
            cached["registrationExpiresAt"] = iso(self._now() + 90 * 86400)
            cached["refreshToken"] = self.new_refresh_token()
        return cached


@dataclasses.dataclass
class Call:
    """One request to a known operation; key: who signed it, None if nobody."""

    operation: str
    request: Request
    members: dict
    key: Key | None = None


class Operation(typing.NamedTuple):
    """service: whose scope signs it, None if nothing does; members: what may be
    asked, name -> type, or what its list names its elements."""

    service: str | None
    protocol: str
    handler: typing.Callable
    members: dict = {}
    required: tuple = ()


def partition(region):
    for prefix, name in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
        if region.startswith(prefix):
            return name
    return "aws"


def arn(aws, service, rest, account=ACCOUNT):
    region = "" if service in ("iam", "sts") else aws.region
    return f"arn:{partition(aws.region)}:{service}:{region}:{account}:{rest}"


def denied(call, service):
    text = f"User: {call.key.arn if call.key else 'anonymous'} is not authorized"
    why = "because no identity-based policy allows the action"
    return f"{text} to perform: {service}:{call.operation} {why}"


def check_duration(asked, least, most, code):
    if not least <= asked <= most:
        text = f"Value '{asked}' at 'durationSeconds' failed to satisfy constraint:"
        raise Failure(code, f"{text} Member must be from {least} to {most}")
    return asked


# --- SSM and Secrets Manager


def get_parameter(aws, call):
    asked = call.members["Name"]
    if not 1 <= len(asked) <= 2048:
        raise Failure("ValidationException", "Invalid length of 'name'")
    name = asked
    if name.startswith("arn:"):
        prefix = arn(aws, "ssm", "parameter")
        if not name.startswith(prefix + "/"):
            raise Failure("ParameterNotFound")
        name = name[len(prefix) :]
        if name not in aws.parameters:
            name = name[1:]
    found = aws.parameters.get(name)
    if found is None:
        if name.partition(":")[0] in aws.parameters:
            raise Failure("ParameterVersionNotFound")
        raise Failure("ParameterNotFound")
    kind, value = found if isinstance(found, tuple) else ("SecureString", found)
    if kind == "SecureString" and not call.members.get("WithDecryption", False):
        value = "AQICAH" + base64.b64encode(zlib.compress(value.encode())).decode()
    parameter = {
        "Name": name,
        "Type": kind,
        "Value": value,
        "Version": 1,
        "LastModifiedDate": 1700000000.123,
        "ARN": arn(aws, "ssm", "parameter/" + name.lstrip("/")),
        "DataType": "text",
    }
    return {"Parameter": parameter}


def secret_arn(aws, name):
    """Its last six characters are AWS's choice."""
    if name.startswith("arn:"):
        return name
    suffix = f"{zlib.crc32(name.encode()):08x}"[:6]
    return arn(aws, "secretsmanager", f"secret:{name}-{suffix}")


def get_secret_value(aws, call):
    asked = call.members["SecretId"]
    for known, secret in aws.secrets.items():
        full = secret_arn(aws, known)
        partial = re.sub(r"-\w{6}$", "", full)
        name = partial.split(":", 6)[6]
        if asked in (known, full, partial, name):
            break
    else:
        text = "Secrets Manager can't find the specified secret."
        raise Failure("ResourceNotFoundException", text)
    if secret is None:
        text = "You can't perform this operation on the secret because it was marked"
        raise Failure("InvalidRequestException", f"{text} for deletion.")
    version = str(uuid.uuid5(uuid.NAMESPACE_URL, full + repr(secret)))
    stage = call.members.get("VersionStage", "AWSCURRENT")
    if stage != "AWSCURRENT" or call.members.get("VersionId", version) != version:
        text = "Secrets Manager can't find the specified secret value for"
        raise Failure("ResourceNotFoundException", f"{text} staging label: {stage}")
    answer = {"ARN": full, "Name": name, "VersionId": version}
    if isinstance(secret, bytes):
        answer["SecretBinary"] = base64.b64encode(secret).decode()
    else:
        answer["SecretString"] = (
            json.dumps(secret) if isinstance(secret, dict) else secret
        )
    return {**answer, "VersionStages": ["AWSCURRENT"], "CreatedDate": 1700000000.5}


# --- STS


def role_of(aws, call, why):
    """The Role that is asked for, and for how long its keys shall live."""
    m = call.members
    if not ROLE_ARN.fullmatch(m["RoleArn"]) or not 20 <= len(m["RoleArn"]) <= 2048:
        raise Failure("ValidationError", f"{m['RoleArn']} is invalid")
    if not SESSION_NAME.fullmatch(m["RoleSessionName"]):
        text = f"Value '{m['RoleSessionName']}' at 'roleSessionName' failed to"
        raise Failure("ValidationError", f"{text} satisfy constraint")
    asked = m.get("DurationSeconds", 3600)
    check_duration(asked, 900, 43200, "ValidationError")
    if asked > 3600 and call.key and call.key.role:
        text = "The requested DurationSeconds exceeds the 1 hour session limit"
        raise Failure("ValidationError", f"{text} for roles assumed by role chaining.")
    role = aws.roles.get(m["RoleArn"])
    if role is None:
        raise Failure("AccessDenied", why, 403)
    return role, min(asked, role.lifetime)


def new_session(aws, call, lifetime):
    """What both ways to a role answer with."""
    role_arn, session = call.members["RoleArn"], call.members["RoleSessionName"]
    key = aws.issue(role_arn, session, lifetime)
    role_id = f"AROA{zlib.crc32(role_arn.encode()):08X}EXAMPLE0"
    return {
        "Credentials": {
            "AccessKeyId": key.access_key,
            "SecretAccessKey": key.secret_key,
            "SessionToken": key.session_token,
            "Expiration": iso(key.expires),
        },
        "AssumedRoleUser": {"AssumedRoleId": f"{role_id}:{session}", "Arn": key.arn},
    }


def assume_role(aws, call):
    m = call.members
    why = f"{denied(call, 'sts')} on resource: {m['RoleArn']}"
    role, lifetime = role_of(aws, call, why)
    external_id = m.get("ExternalId")
    if external_id is not None and not 2 <= len(external_id) <= 1224:
        raise Failure("ValidationError", "Invalid length of 'externalId'")
    tags = tags_of(m.get("Tags", []))
    if role.external_id is not None and not same(role.external_id, external_id):
        raise Failure("AccessDenied", why, 403)
    if role.tags is not None and role.tags != tags:
        raise Failure("AccessDenied", why, 403)
    return new_session(aws, call, lifetime)


def tags_of(elements):
    tags = {}
    for tag in elements:
        if set(tag) != {"Key", "Value"} or not 1 <= len(tag["Key"]) <= 128:
            raise Failure("ValidationError", "Invalid 'tags'")
        if len(tag["Value"]) > 256 or tag["Key"] in tags or len(elements) > 50:
            raise Failure("ValidationError", "Invalid 'tags'")
        tags[tag["Key"]] = tag["Value"]
    return tags


def assume_role_with_web_identity(aws, call):
    m = call.members
    why = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
    _, lifetime = role_of(aws, call, why)
    token = m["WebIdentityToken"]
    if not 4 <= len(token) <= 20000:
        raise Failure("ValidationError", "Invalid length of 'webIdentityToken'")
    if token not in aws.web_identity_tokens:
        text = "No OpenIDConnect provider found in your account for this token"
        raise Failure("InvalidIdentityToken", text)
    subject = "system:serviceaccount:default:app"
    return {
        **new_session(aws, call, lifetime),
        "SubjectFromWebIdentityToken": subject,
        "Provider": "https://oidc.example.com/id",
        "Audience": "sts.amazonaws.com",
    }


def get_caller_identity(aws, call):
    identity = "AIDA" + call.key.access_key[4:]
    return {"Arn": call.key.arn, "UserId": identity, "Account": ACCOUNT}


# --- Redshift


def new_password(aws, user, lifetime):
    """The passwords are such that XML has to say them otherwise."""
    password = f"{secrets.token_urlsafe(24)}&<+>'\"{secrets.token_urlsafe(12)}"
    expires = aws.now() + lifetime
    aws.redshift_passwords[password] = (user, expires)
    return password, expires


def cluster_of(aws, call):
    m = call.members
    name = m.get("ClusterIdentifier")
    if "CustomDomainName" in m:
        if m["CustomDomainName"] not in aws.domains:
            text = f"Custom domain name {m['CustomDomainName']} not found."
            raise Failure("CustomDomainAssociationNotFoundFault", text, 404)
        name = aws.domains[m["CustomDomainName"]]
    if name is None:
        raise Failure("MissingParameter", "No ClusterIdentifier was given.")
    cluster = aws.clusters.get(name)
    if cluster is None:
        raise Failure("ClusterNotFound", f"Cluster {name} not found.", 404)
    asked = m.get("DurationSeconds", 900)
    check_duration(asked, 900, 3600, "InvalidParameterValue")
    return cluster, min(asked, cluster.lifetime)


def get_cluster_credentials(aws, call):
    m = call.members
    cluster, lifetime = cluster_of(aws, call)
    if not re.fullmatch(r"[A-Za-z][\w+.@-]{0,63}", m["DbUser"], re.ASCII):
        text = "The parameter DbUser is not a valid user name."
        raise Failure("InvalidParameterValue", text)
    if cluster.users is not None and m["DbUser"] not in cluster.users:
        raise Failure("AccessDenied", denied(call, "redshift"), 403)
    prefix = "IAMA" if m.get("AutoCreate", False) else "IAM"
    user = ":".join([prefix, m["DbUser"], *m.get("DbGroups", [])])
    password, expires = new_password(aws, user, lifetime)
    return {"DbUser": user, "DbPassword": password, "Expiration": iso(expires)}


def identity_user(key):
    """As which user of the database whoever signed comes."""
    if key.role:
        return f"IAMR:{key.role.rpartition('/')[2]}"
    return f"IAM:{key.arn.rpartition('/')[2]}"


def get_cluster_credentials_with_iam(aws, call):
    _, lifetime = cluster_of(aws, call)
    user = identity_user(call.key)
    password, expires = new_password(aws, user, lifetime)
    return {
        "DbUser": user,
        "DbPassword": password,
        "Expiration": iso(expires),
        "NextRefreshTime": iso(expires - lifetime / 2),
    }


def get_credentials(aws, call):
    m = call.members
    name = m.get("workgroupName")
    if "customDomainName" in m:
        name = aws.domains.get(m["customDomainName"])
    elif name is None:
        text = "Either workgroupName or customDomainName must be given."
        raise Failure("ValidationException", text)
    if name not in aws.workgroups:
        text = f"Workgroup with name {name} could not be found."
        raise Failure("ResourceNotFoundException", text)
    asked = m.get("durationSeconds", 900)
    check_duration(asked, 900, 3600, "ValidationException")
    lifetime = min(asked, aws.workgroups[name].lifetime)
    user = identity_user(call.key)
    password, expires = new_password(aws, user, lifetime)
    return {
        "dbUser": user,
        "dbPassword": password,
        "expiration": round(expires, 3),
        "nextRefreshTime": round(expires - lifetime / 2, 3),
    }


# --- SSO: the portal, and OIDC


def get_role_credentials(aws, call):
    sso, headers = aws.sso, call.request.headers
    token = headers.get("x-amz-sso_bearer_token")
    if token is None:
        raise Failure("InvalidRequestException", "No access token was given.")
    if sso.access_tokens.get(token, 0) <= aws.now():
        text = "Session token not found or invalid"
        raise Failure("UnauthorizedException", text, 401)
    query = urllib.parse.urlsplit(call.request.target).query
    asked = decode_form(query.encode())
    if set(asked) != {"account_id", "role_name"}:
        raise Failure("InvalidRequestException", "account_id or role_name is missing")
    if (asked["account_id"], asked["role_name"]) != (sso.account_id, sso.role_name):
        raise Failure("ForbiddenException", "No access", 403)
    name = f"aws-reserved/sso.amazonaws.com/AWSReservedSSO_{sso.role_name}_0123456789"
    key = aws.issue(arn(aws, "iam", f"role/{name}"), "app@example.com", sso.lifetime)
    return {
        "roleCredentials": {
            "accessKeyId": key.access_key,
            "secretAccessKey": key.secret_key,
            "sessionToken": key.session_token,
            "expiration": int(key.expires * 1000),
        }
    }


def create_token(aws, call):
    sso, m = aws.sso, call.members
    if (m["clientId"], m["clientSecret"]) != (sso.client_id, sso.client_secret):
        raise Failure("invalid_client", "Invalid client provided", 401)
    if m["grantType"] != "refresh_token":
        raise Failure("unsupported_grant_type", "Unsupported grant type")
    if m.get("refreshToken") not in sso.refresh_tokens:
        raise Failure("invalid_grant", "Invalid refresh token provided")
    sso.refresh_tokens.remove(m["refreshToken"])
    return {
        "accessToken": sso.new_access_token(sso.token_lifetime),
        "tokenType": "Bearer",
        "expiresIn": sso.token_lifetime,
        "refreshToken": sso.new_refresh_token(),
    }


# --- Containers and instances


def handed_out(aws, role):
    """The key of a container or an instance, in their form."""
    role_arn = arn(aws, "iam", f"role/{role.name}")
    key = role.key or aws.issue(role_arn, "i-0123456789abcdef0", role.lifetime)
    return {
        "AccessKeyId": key.access_key,
        "SecretAccessKey": key.secret_key,
        "Token": key.session_token,
        "Expiration": iso(key.expires),
    }


def container_credentials(aws, call):
    stated = call.request.headers.get("Authorization")
    if not same(aws.container_token, stated):
        text = "The authorization token is missing or wrong"
        raise Failure("AccessDeniedException", text, 401)
    if aws.container is None:
        raise Failure("InvalidIdInRequest", "No role for this container", 404)
    if aws.container.code != "Success":
        raise Failure(aws.container.code, "Unable to get credentials", 500)
    role_arn = arn(aws, "iam", f"role/{aws.container.name}")
    return {"RoleArn": role_arn, **handed_out(aws, aws.container)}


def imds_token(aws, call):
    seconds = call.request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
    if not re.fullmatch(r"\d{1,5}", seconds) or not 1 <= int(seconds) <= 21600:
        raise Failure("BadRequest", status=400)
    if call.request.headers.get("X-Forwarded-For"):
        raise Failure("Forbidden", status=403)
    token = secrets.token_urlsafe(40) + "=="
    aws.imds_tokens[token] = aws.now() + int(seconds)
    return reply_text(token, **{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": seconds})


def check_imds_token(aws, call):
    token = call.request.headers.get("X-aws-ec2-metadata-token")
    if aws.imds_tokens.get(token, 0) <= aws.now():
        raise Failure("Unauthorized", status=401)


def imds_role(aws, call):
    check_imds_token(aws, call)
    if aws.instance_role is None:
        raise Failure("NotFound", status=404)
    return reply_text(aws.instance_role.name)


def imds_credentials(aws, call):
    check_imds_token(aws, call)
    role = aws.instance_role
    asked = call.request.target.partition("?")[0].rpartition("/")[2]
    if role is None or asked != role.name:
        raise Failure("NotFound", status=404)
    head = {"Code": role.code, "LastUpdated": iso(aws.now())}
    if role.code != "Success":
        message = "EC2 cannot assume the role. Please see documentation."
        return reply_json({**head, "Message": message}, "text/plain")
    content = {**head, "Type": "AWS-HMAC", **handed_out(aws, role)}
    return reply_json(content, "text/plain")


def imds_region(aws, call):
    check_imds_token(aws, call)
    return reply_text(aws.region)


# --- Which request is for what

ROLE = {"RoleArn": str, "RoleSessionName": str, "DurationSeconds": int}
CLUSTER = {
    "ClusterIdentifier": str,
    "CustomDomainName": str,
    "DbName": str,
    "DurationSeconds": int,
}
OPERATIONS = {
    "GetParameter": Operation(
        *("ssm", "json", get_parameter),
        {"Name": str, "WithDecryption": bool},
        ("Name",),
    ),
    "GetSecretValue": Operation(
        *("secretsmanager", "json", get_secret_value),
        {"SecretId": str, "VersionId": str, "VersionStage": str},
        ("SecretId",),
    ),
    "AssumeRole": Operation(
        *("sts", "query", assume_role),
        {**ROLE, "ExternalId": str, "Tags": ["member"]},
        ("RoleArn", "RoleSessionName"),
    ),
    "AssumeRoleWithWebIdentity": Operation(
        *(None, "query", assume_role_with_web_identity),
        {**ROLE, "WebIdentityToken": str},
        ("RoleArn", "RoleSessionName", "WebIdentityToken"),
    ),
    "GetCallerIdentity": Operation("sts", "query", get_caller_identity),
    "GetClusterCredentials": Operation(
        *("redshift", "query", get_cluster_credentials),
        {**CLUSTER, "DbUser": str, "AutoCreate": bool, "DbGroups": ["DbGroup"]},
        ("DbUser",),
    ),
    "GetClusterCredentialsWithIAM": Operation(
        *("redshift", "query", get_cluster_credentials_with_iam), CLUSTER
    ),
    "GetCredentials": Operation(
        *("redshift-serverless", "json", get_credentials),
        {
            "workgroupName": str,
            "customDomainName": str,
            "dbName": str,
            "durationSeconds": int,
        },
    ),
    "GetRoleCredentials": Operation(None, "sso", get_role_credentials),
    "CreateToken": Operation(
        *(None, "oidc", create_token),
        {
            "clientId": str,
            "clientSecret": str,
            "grantType": str,
            "refreshToken": str,
        },
        ("clientId", "clientSecret", "grantType"),
    ),
    "ContainerCredentials": Operation(None, "container", container_credentials),
    "ImdsToken": Operation(None, "imds", imds_token),
    "ImdsRole": Operation(None, "imds", imds_role),
    "ImdsCredentials": Operation(None, "imds", imds_credentials),
    "ImdsRegion": Operation(None, "imds", imds_region),
}
