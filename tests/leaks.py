# SPDX-License-Identifier: MIT
"""Where a secret could be seen, but for the memory of the daemon: memory.py."""

import pathlib

OTHER = 1000

# Statements that work, that fail, and a server that refuses: all of that is
# logged and shown.
USE = (
    'cd "$M"; for c in */; do echo 1 >$c/creds/refresh;'
    ' for sql in "select 1 as a;" "select nonsense;" "select * from none;"; do'
    ' echo "$sql" >$c/query.sql; cat $c/result.csv $c/error; done; done'
)


def use_everything(m):
    return m.sh(USE, timeout=50)


def files(m, uid):
    """What a user gets to see of all files of the mount, names as well; but for
    creds/token, which is there to show a secret."""
    script = 'cd "$M"; find . -type f ! -name token -print -exec cat {} \\;'
    ran = m.sh(script, uid=uid, timeout=50)
    return ran.stdout + ran.stderr


def tokens(m, uid=None):
    """What creds/token holds: connection -> secret, None where that is refused."""
    script = 'cd "$M"; for f in */creds/token; do echo "$f $(cat "$f")"; done'
    pairs = [line.split(" ", 1) for line in m.sh(script, uid=uid).lines]
    return {path.partition("/")[0]: secret or None for path, secret in pairs}


def seen(m):
    """What can be seen of it, and where."""
    proc = pathlib.Path(f"/proc/{m.pid}")
    return {
        **{f"files as {uid}": files(m, uid) for uid in (0, OTHER)},
        "cmdline": (proc / "cmdline").read_bytes(),
        "environ": (proc / "environ").read_bytes(),
        "log": m.log.encode(),
    }


def found(secrets, text):
    raw = text if isinstance(text, bytes) else text.encode()
    return [s for s in secrets if s.encode() in raw]
