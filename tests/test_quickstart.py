# SPDX-License-Identifier: MIT
import pathlib

import pytest

from clients import sh, wait_for
from mount import ROOT, abort_connection, connection_of, daemons_of


# As the default is, directly below the root, and somewhere deeper.
@pytest.fixture(params=["below the root", "deeper"])
def mountpoint(test_dir, request):
    """For the quickstart, whose daemon runs on in the background."""
    top = request.param == "below the root"
    mnt = pathlib.Path(f"/{test_dir.name}-conn") if top else test_dir / "conn"
    yield mnt
    if connection_of(mnt):
        abort_connection(mnt)
        sh('umount -l "$M"', env={"M": str(mnt)})
    if mnt.exists():
        sh('chattr -R -i "$M" && rm -r "$M"', env={"M": str(mnt)})


# What the README promises, word for word, and that a second run is as good as
# the first.
@pytest.mark.timeout(900)
def test_quickstart_mounts_a_database_that_answers(mountpoint):
    env = {"M": str(mountpoint)}
    for _ in range(2):
        quickstart = sh(
            f'"{ROOT}/mount-helpers/quickstart" "$M"', env=env, timeout=400
        )
        assert quickstart.rc == 0, quickstart
        assert "\ncategory,sold,revenue\nwheels," in quickstart.out

        answer = sh(
            "printf 'select 1 as a;\\n' > $M/demo/query.sql; cat $M/demo/result.csv",
            env=env,
        )
        assert (answer.out, answer.err, answer.rc) == ("a\n1\n", "", 0)

    assert sh('umount "$M"', env=env).check()
    wait_for(lambda: not daemons_of(mountpoint), "the daemon ends")
