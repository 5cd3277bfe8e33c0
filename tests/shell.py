# SPDX-License-Identifier: MIT
"""A database's shell that stays, for SQL beside connfs: a login and a process
for each statement would cost more than most tests do."""

import subprocess
import tempfile
import threading

END = "--end of what was asked--"


class Shell:
    """argv: a shell that runs statements line by line as they come, prints rows
    and nothing else, and ends at the first error. Any thread."""

    def __init__(self, argv, env):
        self._lock = threading.Lock()
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=env,
            cwd="/",
        )

    def run(self, text):
        """What the statements print; RuntimeError when one fails."""
        with self._lock:
            try:
                self._process.stdin.write(f"{text};\nselect '{END}';\n".encode())
                self._process.stdin.flush()
            except BrokenPipeError:
                pass  # why stands in what it has printed
            lines = []
            for line in self._process.stdout:
                if line == f"{END}\n".encode():
                    return b"".join(lines).decode(errors="surrogateescape")
                lines.append(line)
            self._errors.seek(0)
            errors = self._errors.read().decode(errors="replace")
            self.close()
            raise RuntimeError(errors)

    @property
    def running(self):
        return self._process.poll() is None

    def close(self):
        self._process.kill()
        self._process.stdout.close()
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait()
        self._errors.close()
