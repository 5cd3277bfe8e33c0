# SPDX-License-Identifier: MIT
"""A connection for each way to a login, and the secrets of all of them."""

import re
import secrets
import urllib.parse

from aws_sources import key_json, static
from fake_aws import Cluster, InstanceRole, Role, Workgroup

ROLE = "arn:aws:iam::123456789012:role/{}"
EVERYONE = {"everyone": True}
WG1 = "wg1.123456789012.eu-west-1.redshift-serverless.amazonaws.com"
SSO_SESSION = """\
[sso-session {}]
sso_region = eu-west-1
sso_start_url = https://example.awsapps.com/start
"""
SSO_PROFILE = """\
sso_session = {}
sso_account_id = 123456789012
sso_role_name = reader
"""


class Logins:
    """specs, which everybody may use; env: of the daemon. make_pg, make_mysql: of
    gateways. known: the secrets that are there from the start, by name; issued():
    all of them, with what AWS gave and what was signed since then."""

    def __init__(self, aws, home, pg, mariadb, make_pg, make_mysql):
        self.aws = aws
        self.home = home
        self.key = aws.key(temporary=True)
        self.gateways = []
        self.known = {}
        self.specs = {}
        aws.container_token = self.secret("container token")
        self.env = aws.env(
            self.key, **home.env(), **aws.container_env(), **aws.imds_env()
        )
        self.external = self.secret("external id")
        self.rds = self._gateway(make_pg)
        self._by_profile()
        self._by_token(make_pg, make_mysql)
        self._by_value("pg", make_pg)
        self._by_value("my", make_mysql)
        self._by_password("pg", pg)
        self._by_password("my", mariadb)
        for spec in self.specs.values():
            spec["access"] = EVERYONE

    def secret(self, name):
        """A new one, under that name."""
        self.known[name] = secrets.token_urlsafe(30)
        return self.known[name]

    def _gateway(self, make, **how):
        self.gateways.append(make(self.aws, **how))
        return self.gateways[-1]

    def add_profiles(self, **profiles):
        """And a connection by-NAME for each; they are texts."""
        config = self.home.config
        text = config.read_text() if config.exists() else ""
        for name, lines in profiles.items():
            text += f"[profile {name}]\n{lines}"
            spec = self.rds.spec(profile=name, access=EVERYONE)
            self.specs[f"by-{name}"] = spec
        self.home.write(text)

    def _role(self, name, **how):
        arn = ROLE.format(name)
        self.aws.roles[arn] = Role(**how)
        return f"role_arn = {arn}\n"

    def _by_profile(self):
        """Each kind of keys that a profile may have."""
        aws, home = self.aws, self.home
        aws.instance_role = InstanceRole()
        token = home.dir / "token"
        token.write_text(self.secret("web identity token"))
        aws.web_identity_tokens = {token.read_text()}
        keys = home.dir / "keys.json"
        keys.write_text(key_json(aws.key(temporary=True)))
        # So near its end that it is renewed.
        home.log_in("mine", aws.sso.login(lifetime=60))
        external = f"external_id = {self.external}\n"
        role = self._role("role", external_id=self.external) + external
        self.add_profiles(
            static=static(aws.key(temporary=True)),
            process=f"credential_process = {home.program(f'cat {keys}')}\n",
            web=f"{self._role('web')}web_identity_token_file = {token}\n",
            sso=SSO_PROFILE.format("mine") + SSO_SESSION.format("mine"),
            container=f"{role}credential_source = EcsContainer\n",
            instance=f"{role}credential_source = Ec2InstanceMetadata\n",
            source=f"{role}source_profile = static\n",
        )

    def _by_token(self, make_pg, make_mysql):
        """Of each kind, for the keys of the environment and of a role."""
        aws = self.aws
        aws.parameters["/external"] = self.external
        self._role("etl", external_id=self.external)
        role = {"role_arn": ROLE.format("etl"), "external_id": "/external"}
        aws.clusters["shop"] = Cluster()
        aws.workgroups["wg1"] = Workgroup()
        mysql = self._gateway(make_mysql)
        dsql = self._gateway(make_pg, kind="dsql")
        redshift = self._gateway(make_pg, kind="redshift")
        serverless = self._gateway(make_pg, kind="redshift", host=WG1)
        own = {"type": "redshift-serverless", "user": None, **role}
        self.specs |= {
            "rds": self.rds.spec(),
            "rds-role": self.rds.spec(**role),
            "mysql-rds": mysql.spec(),
            "mysql-rds-role": mysql.spec(**role),
            "dsql": dsql.spec(),
            "redshift": redshift.spec(),
            "serverless": serverless.spec(**own),
        }

    def _by_value(self, kind, make):
        """Passwords that AWS keeps."""
        aws = self.aws
        for source in ("parameter", "secret"):
            name = f"{kind}-{source}"
            password = self.secret(name)
            gateway = self._gateway(make, kind="password", password=password)
            if source == "secret":
                aws.secrets[name] = {"username": "app", "password": password}
                own = {"secret_id": name, "user": None}
            else:
                aws.parameters[name] = password
                own = {"password": name}
            self.specs[name] = gateway.spec(**own)

    def _by_password(self, kind, server):
        """From the sources here, for a server that has no gateway before it."""
        for source in ("env", "command", "file", "plain"):
            login = f"{kind}{source}"
            if login not in server.passwords:
                server.create_user(login, secrets.token_urlsafe(30))
                server.create_database(login, owner=login)
            password = self.known[login] = server.passwords[login]
            own = {"user": login, "database": login}
            own |= self._source(source, login, password)
            self.specs[login] = server.spec(**own)
            self.specs[f"{login}-tls"] = server.spec(tcp=True, ssl=True, **own)

    def _source(self, source, login, password):
        if source == "plain":
            return {}
        if source == "env":
            self.env[f"PASSWORD_{login}"] = password
            return {"password_plain": None, "password_env": f"PASSWORD_{login}"}
        path = self.home.dir / login
        path.write_text(password + "\n")
        path.chmod(0o600)
        if source == "file":
            return {"password_plain": None, "password_file": str(path)}
        return {"password_plain": None, "password_command": ["/bin/cat", str(path)]}

    def issued(self):
        """name -> secret; as it stands in a token, too, where that differs."""
        aws = self.aws
        known = dict(self.known)
        for key in aws.keys.values():
            known[f"secret key of {key.access_key}"] = key.secret_key
            known[f"session token of {key.access_key}"] = key.session_token or ""
        for password, (user, until) in aws.redshift_passwords.items():
            known[f"password of {user} until {until}"] = password
        tokens = [*aws.sso.access_tokens, *aws.sso.refresh_tokens, *aws.imds_tokens]
        renewals = aws.entries("CreateToken")
        tokens += [entry.members["refreshToken"] for entry in renewals]
        tokens.append(aws.sso.client_secret)
        shown = [login.password for g in self.gateways for login in g.logins]
        tokens += re.findall("X-Amz-Signature=([0-9a-f]{64})", " ".join(shown))
        known |= {f"token {i}": token for i, token in enumerate(tokens)}
        encoded = {
            f"{name}, encoded": urllib.parse.quote(secret, safe="")
            for name, secret in known.items()
        }
        new = {k: v for k, v in encoded.items() if v not in known.values()}
        return {name: secret for name, secret in {**known, **new}.items() if secret}
