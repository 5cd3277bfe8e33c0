# SPDX-License-Identifier: MIT
"""A place in a client's script where it waits until the test lets it go on.

The client stands there with `read x <$DOOR` (sh) or open(DOOR).readline(), each
door once.
"""

import os

from clients import wait_for


class Door:
    def __init__(self, path):
        self.path = str(path)
        self._fd = None
        os.mkfifo(self.path)
        os.chmod(self.path, 0o666)

    def __str__(self):
        return self.path

    def reached(self, timeout=20):
        """Waits until a client stands there."""
        if self._fd is None:
            wait_for(self._somebody_reads, f"a client at {self.path}", timeout)

    def open(self, timeout=20):
        """Waits for the client and lets it through; then the door is shut."""
        self.reached(timeout)
        os.write(self._fd, b"\n")
        os.close(self._fd)
        self._fd = None

    def _somebody_reads(self):
        try:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # ENXIO: nobody does
            return False
        return True
