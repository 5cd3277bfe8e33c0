# SPDX-License-Identifier: MIT
"""A clock of the daemon's own: the one of the wall, the one that is monotonic,
and all that waits for either."""

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


class Clock:
    """mount(.., env=clock.env()). aws: whose clock goes with it, if any; speed:
    less than 1 makes all that connfs waits for take longer."""

    def __init__(self, path, aws=None, speed=1):
        self._path = path
        self._aws = aws
        self._speed = speed
        self.put_forward(0)

    def env(self):
        return {
            "LD_PRELOAD": FAKETIME,
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
        }

    def put_forward(self, seconds):
        """So many from now, however often it was put forward before."""
        if self._aws:
            self._aws.clock_offset = seconds
        new = self._path.with_suffix(".new")
        new.write_text(f"+{seconds} x{self._speed}\n")
        new.rename(self._path)
