# SPDX-License-Identifier: MIT
"""The lines for AppArmor that are installed: they are understood, and count."""

import re
import subprocess

import pytest

from mount import ROOT

PROFILES = ROOT / "mount-helpers/apparmor"

# As Ubuntu's own is built: what users may mount upon, and what is added here.
FUSERMOUNT = """
abi <abi/3.0>,
include <tunables/global>

profile fusermount3 /usr/bin/fusermount3 {
  include <abstractions/base>
  capability sys_admin,
  mount fstype={fuse,fuse.*} options=(nosuid,nodev) -> @{HOME}/**/,
  umount @{HOME}/**/,
  include if exists <local/fusermount3>
}
"""


def compiled(profile, local):
    """What would be loaded into the kernel, bytes; local: its <local/..>."""
    argv = ["apparmor_parser", "--skip-kernel-load", "--skip-cache", "--stdout"]
    # For a kernel that knows rules about mounts, whatever this one knows.
    argv += ["--kernel-features", "/etc/apparmor.d/abi/3.0"]
    argv += ["-I", str(local.parent), "-I", "/etc/apparmor.d"]
    done = subprocess.run(argv, input=profile.encode(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture
def local(test_dir):
    where = test_dir / "local"
    where.mkdir()
    return where


# Lines that are left out, or that nothing comes of, would be found out on the
# first machine with that profile.
def test_the_lines_for_fusermount3_add_to_its_profile(local):
    before = compiled(FUSERMOUNT, local)
    (local / "fusermount3").write_text((PROFILES / "fusermount3").read_text())

    after = compiled(FUSERMOUNT, local)

    assert len(after) > len(before) > 0


# The parser of Debian 12 does not know rules about user namespaces: the rest.
def test_the_profile_of_connfs_job_is_understood(local):
    text = (PROFILES / "connfs-job").read_text()
    assert "\nabi <abi/4.0>,\n" in text and "\n  userns,\n" in text

    older = text.replace("abi/4.0", "abi/3.0").replace("\n  userns,\n", "\n")

    assert b"connfs-job" in compiled(older, local)


# Whoever reads the document copies from it.
def test_the_document_names_what_is_installed():
    text = (ROOT / "docs/apparmor.md").read_text()
    build = (ROOT / "meson.build").read_text()

    named = set(re.findall(r"share/connfs/apparmor/([a-z0-9-]+)", text))

    assert named == {p.name for p in PROFILES.iterdir()}
    assert all(f"'mount-helpers/apparmor/{name}'" in build for name in named)
