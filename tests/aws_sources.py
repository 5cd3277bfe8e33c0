# SPDX-License-Identifier: MIT
"""Where connfs gets its AWS keys from, as tests set it up: profiles, a network of
their own, and a database that tells whose keys signed."""

import contextlib
import ctypes
import hashlib
import json
import os
import re
import socket
import subprocess
import threading
import urllib.parse

from proxy import Proxy

CLONE_NEWNET = 0x40000000
WRITE = 'echo "select 1 as a;" >"$C/query.sql"'  # in bash, which tells the errno


def static(key):
    """The lines of a profile with that key."""
    lines = f"aws_access_key_id = {key.access_key}\n"
    lines += f"aws_secret_access_key = {key.secret_key}\n"
    if key.session_token:
        lines += f"aws_session_token = {key.session_token}\n"
    return lines


def key_json(key, **more):
    """What a credential_process prints."""
    named = {
        "Version": 1,
        "AccessKeyId": key.access_key,
        "SecretAccessKey": key.secret_key,
        "SessionToken": key.session_token,
        **more,
    }
    return json.dumps({k: v for k, v in named.items() if v is not None})


class Home:
    """A home directory with the files of AWS's tools."""

    def __init__(self, where):
        self.dir = where
        self.config = where / ".aws/config"
        self.credentials = where / ".aws/credentials"
        (where / ".aws/sso/cache").mkdir(parents=True)
        where.chmod(0o700)

    def env(self):
        """For aws.env(**home.env()): this is where HOME is, and the files are."""
        return {
            "HOME": str(self.dir),
            "AWS_CONFIG_FILE": None,
            "AWS_SHARED_CREDENTIALS_FILE": None,
        }

    def write(self, config=None, credentials=None, mode=0o600):
        """Files that are replaced, as tools do it; None leaves one as it is."""
        for path, text in ((self.config, config), (self.credentials, credentials)):
            if text is None:
                continue
            fresh = path.with_name("fresh")
            fresh.write_bytes(text if isinstance(text, bytes) else text.encode())
            fresh.chmod(mode)
            fresh.rename(path)

    def program(self, script, name="program"):
        """A program of that shell script: its path."""
        path = self.dir / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return path

    def sso_cache(self, name):
        """The file of the login of a session, or to a start URL."""
        digest = hashlib.sha1(name.encode()).hexdigest()
        return self.dir / f".aws/sso/cache/{digest}.json"

    def log_in(self, name, cached):
        """As `aws sso login` does; cached: of aws.sso.login()."""
        path = self.sso_cache(name)
        path.write_text(json.dumps(cached))
        path.chmod(0o600)


class Rds:
    """A database of RDS behind a gateway, mounts that log in there by tokens, and
    whose keys have signed them."""

    def __init__(self, aws, gateway, make_mount):
        self.aws = aws
        self.gateway = gateway
        self._make = make_mount
        self._mounts = []

    def mount(self, env, flags=(), **conns):
        """conns: name -> fields of its spec; by default one, db."""
        specs = {
            name: self.gateway.spec(**fields)
            for name, fields in (conns or {"db": {}}).items()
        }
        m = self._make(specs, env=env, flags=flags)
        self._mounts.append(m)
        return m

    def close(self):
        """Before the mounts end: no secret may stand in their logs."""
        for key in self.aws.keys.values():
            for m in self._mounts:
                m.secrets.update({key.secret_key, key.session_token} - {None})

    def key(self, m, conn="db"):
        """Whose token it is that a first statement logs in with."""
        before = len(self.gateway.ok)
        assert m.query("select 1 as a;", conn).check().out == "a\n1\n"
        (login,) = self.gateway.ok[before:]
        query = urllib.parse.parse_qs(login.password.partition("?")[2])
        return self.aws.keys[query["X-Amz-Credential"][0].partition("/")[0]]

    def source(self, m, conn="db"):
        """Of the keys, as creds/ says."""
        return self.status(m, conn)["keys_source"]

    def status(self, m, conn="db"):
        return json.loads(m.read(conn, "creds", "status.json"))

    def error(self, m, conn="db"):
        """Of a statement that gets no login: creds/error, and the server was not
        even asked."""
        before = len(self.gateway.logins)
        refused = m.sh(WRITE, conn, shell="bash")
        assert "Key was rejected by service" in refused.err, refused
        assert len(self.gateway.logins) == before
        text = m.read(conn, "creds", "error")
        assert self.status(m, conn)["state"] == "failed"
        assert re.fullmatch(".+\n", text), text
        return text[:-1]


class Network:
    """A network of its own: in it there are the addresses that are asked for, and
    what they lead to here."""

    def __init__(self, *addresses):
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._call("unshare", CLONE_NEWNET)
        try:
            self._own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            lines = ["link set lo up"]
            # At once: nobody else in there could have the same one.
            lines += [f"address add {address} dev lo nodad" for address in addresses]
            batch = "\n".join(lines).encode()
            subprocess.run(["ip", "-batch", "-"], input=batch, check=True)
        finally:
            self._call("setns", self._home, CLONE_NEWNET)
        self._proxies = []

    def _call(self, name, *args):
        if getattr(self._libc, name)(*args) != 0:
            raise OSError(ctypes.get_errno(), name)

    @contextlib.contextmanager
    def inside(self):
        """For this thread, and what it starts."""
        self._call("setns", self._own, CLONE_NEWNET)
        try:
            yield
        finally:
            self._call("setns", self._home, CLONE_NEWNET)

    def lead(self, address, port, to_port):
        """From there to 127.0.0.1:to_port here."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.inside():
            listener = socket.create_server((address, port), family=family)
        self._proxies.append(Proxy(to_port, listener))

    def close(self):
        for proxy in self._proxies:
            proxy.close()
        os.close(self._own)
        os.close(self._home)


class Recorder:
    """A proxy for HTTP that takes note of who comes, and says no."""

    def __init__(self):
        self.asked = []  # the first line of each request
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def env(self):
        names = ["http_proxy", "https_proxy", "all_proxy"]
        return {n: self.url for name in names for n in (name, name.upper())}

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, contextlib.suppress(OSError):
                    line = client.makefile("rb").readline()
                    self.asked.append(line.decode().strip())
                    client.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
