# SPDX-License-Identifier: MIT
"""Certificates for the servers of the tests. They are good from 2020 to 2060,
for clients whose clock is not right."""

import atexit
import functools
import ipaddress
import pathlib
import shutil
import subprocess
import tempfile

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

# Of `openssl ca`, which is the one command that takes the first day.
CONF = """\
[ca]
default_ca = all
[all]
database = {name}.db
serial = {name}.serial
new_certs_dir = .
default_md = sha256
default_startdate = 20200101000000Z
default_enddate = 20600101000000Z
policy = any
unique_subject = no
[any]
commonName = supplied
"""

ROOT = """\
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""


class Authority:
    """A CA with its files in a directory; its certificate is NAME.crt there."""

    def __init__(self, where, name="ca"):
        self._where = pathlib.Path(where)
        self._name = name
        self.crt = str(self._where / f"{name}.crt")
        (self._where / f"{name}.conf").write_text(CONF.format(name=name))
        (self._where / f"{name}.serial").write_text("01\n")
        (self._where / f"{name}.db").touch()
        self._request(name, f"{name} CA")
        self._sign(name, ROOT, "-selfsign")

    def _openssl(self, *args):
        subprocess.run(
            ["openssl", *args], cwd=self._where, check=True, capture_output=True
        )

    def _request(self, name, subject):
        self._openssl(
            *["req", "-new", *KEY, "-subj", f"/CN={subject}"],
            *["-keyout", f"{name}.key", "-out", f"{name}.csr"],
        )

    def _sign(self, name, extensions, *how):
        (self._where / f"{name}.ext").write_text(extensions)
        self._openssl(
            *["ca", "-batch", "-notext", "-config", f"{self._name}.conf", *how],
            *["-keyfile", f"{self._name}.key", "-extfile", f"{name}.ext"],
            *["-in", f"{name}.csr", "-out", f"{name}.crt"],
        )

    def issue(self, names, files="server"):
        """A certificate for these names and addresses, in FILES.crt and
        FILES.key: their paths."""
        self._request(files, "connfs tests")
        names = ",".join(f"{kind_of(n)}:{n}" for n in names)
        self._sign(files, f"subjectAltName={names}\n", "-cert", self.crt)
        return [str(self._where / f"{files}.{end}") for end in ("crt", "key")]


def kind_of(name):
    try:
        ipaddress.ip_address(name)
        return "IP"
    except ValueError:
        return "DNS"


def make(where):
    """A CA, a certificate of it for localhost, and a CA that signed nothing."""
    Authority(where).issue(["localhost", "127.0.0.1"])
    Authority(where, "other")


@functools.cache
def common():
    """One CA for all of this process, with files that root owns."""
    where = pathlib.Path(tempfile.mkdtemp(prefix="connfs-ca-", dir="/tmp"))
    atexit.register(shutil.rmtree, where)
    where.chmod(0o755)
    return Authority(where)


@functools.cache
def common_for(name):
    """What issue() gives for that name; made once."""
    return common().issue([name], name)
