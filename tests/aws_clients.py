# SPDX-License-Identifier: MIT
"""Clients of the fake AWS that are not connfs: botocore, and bare HTTP."""

import contextlib
import http.client
import json
import re
import urllib.parse

import botocore.config
import botocore.exceptions
import botocore.session
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SSM = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "AmazonSSM.GetParameter",
}


@contextlib.contextmanager
def client(aws, service, key=None):
    """One of botocore, which asks once; without a key it does not sign."""
    conf = {"retries": {"max_attempts": 0}}
    if key is None:
        conf["signature_version"] = botocore.UNSIGNED
    made = botocore.session.Session().create_client(
        service,
        region_name=aws.region,
        endpoint_url=aws.url + aws.base_path,
        aws_access_key_id=key and key.access_key,
        aws_secret_access_key=key and key.secret_key,
        aws_session_token=key and key.session_token,
        config=botocore.config.Config(**conf),
    )
    try:
        yield made
    finally:
        made.close()


def call(aws, service, method, key=None, **members):
    """What the method of botocore's client returns."""
    with client(aws, service, key) as c:
        return getattr(c, method)(**members)


def refusal(aws, service, method, key=None, **members):
    """The status and the code of the error that botocore raises."""
    with pytest.raises(botocore.exceptions.ClientError) as e:
        call(aws, service, method, key, **members)
    answer = e.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def send(aws, method, target, headers=(), body=b""):
    """(status, headers, body) of the answer to what is sent just like that.
    headers: pairs; none is added but for Content-Length."""
    where = urllib.parse.urlsplit(aws.url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=10)
    with contextlib.closing(connection):
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def get(aws, target, method="GET", **headers):
    """The same for what is not signed."""
    host = urllib.parse.urlsplit(aws.url).netloc
    return send(aws, method, target, [("Host", host), *headers.items()])


def credentials(key):
    return Credentials(key.access_key, key.secret_key, key.session_token)


class Forgetful(SigV4Auth):
    """Does not sign some headers that it should."""

    forgets = ()

    def headers_to_sign(self, request):
        headers = super().headers_to_sign(request)
        for name in self.forgets:
            del headers[name]
        return headers


def sign(
    aws,
    key,
    body=b'{"Name":"p"}',
    headers=None,
    service="ssm",
    region=None,
    forgets=(),
):
    """A request for a parameter, signed by botocore: its headers, as a dict.
    forgets: names of those that are not signed."""
    host = urllib.parse.urlsplit(aws.url).netloc
    headers = {"Host": host, **(SSM if headers is None else headers)}
    request = AWSRequest("POST", aws.url + "/", headers, body)
    auth = Forgetful(credentials(key), service, region or aws.region)
    auth.forgets = forgets
    auth.add_auth(request)
    return dict(request.headers.items())


def ask(aws, headers, body=b'{"Name":"p"}', more=()):
    """Sends those headers: the code of the error, None if there is none."""
    pairs = [*headers.items(), *more]
    status, _, content = send(aws, "POST", "/", pairs, body)
    return None if status == 200 else json.loads(content)["__type"]


def ask_form(aws, service, members, key=None):
    """The status and the code of the answer to a form, which may be any; without
    a key it is not signed."""
    body = urllib.parse.urlencode(members).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    if key:
        headers = sign(aws, key, body, headers, service)
    status, _, content = send(aws, "POST", "/", headers.items(), body)
    codes = re.findall("<Code>(.*)</Code>", content.decode())
    return status, codes[0] if codes else None


def token(aws, key, host, parameters, service="rds-db", expires=900, region=None):
    """A database token as `aws rds generate-db-auth-token` makes it."""
    url = f"https://{host}/?{urllib.parse.urlencode(parameters)}"
    request = AWSRequest("GET", url)
    auth = SigV4QueryAuth(
        credentials(key), service, region or aws.region, expires=expires
    )
    auth.add_auth(request)
    return request.url.removeprefix("https://")
