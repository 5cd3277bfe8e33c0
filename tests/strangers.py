# SPDX-License-Identifier: MIT
"""Python programs, as clients of a mount, in which two uids share a descriptor."""

# Prints the errno name of each call, one a line; "ok" when it succeeds.
TRY = """
import errno, os, sys
def tell(call):
    try:
        call()
        print("ok")
    except OSError as e:
        print(errno.errorcode[e.errno])
C = os.environ.get("C")
M = os.environ["M"]
"""

PASS_FD = """
import array, json, os, socket, sys
ALICE = 20001
ours, theirs = socket.socketpair()
def as_alice(call):
    # Another process, of another uid.
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(ALICE, ALICE, ALICE)
        os.setresuid(ALICE, ALICE, ALICE)
        call()
        os._exit(0)
    return pid
def send(fd):
    socket.send_fds(theirs, [b"x"], [fd])
def receive():
    return socket.recv_fds(ours, 1, 1)[1][0]
"""


def reopened(name, text, onto):
    """Writes text onto a file and opens another by a descriptor that only names
    it (O_PATH): first as another uid, then as itself. {C} and {M} in the names
    are the directories. Prints the errno name of each."""
    return TRY + PASS_FD + f"""
with open({onto!r}.format(C=C, M=M), "w") as f:
    f.write({text!r})
fd = os.open({name!r}.format(C=C, M=M), os.O_PATH)
def reopen():
    with open(f"/proc/self/fd/{{fd}}", "rb") as f:
        f.read()
pid = as_alice(lambda: tell(reopen) or sys.stdout.flush())
os.waitpid(pid, 0)
tell(reopen)
"""
