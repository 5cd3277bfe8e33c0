# SPDX-License-Identifier: MIT
"""Python programs that look at a result by system calls, as clients of a mount."""

import hashlib

from clients import wait_for

# Statements that run on count as settled soon: nobody waits for rows here.
SOON = {"settle_time": 0.05}

# For the programs that look at a result by system calls.
PRELUDE = """
import errno, hashlib, mmap, os, random, select, stat, sys, time
C = os.environ["C"]
RESULT = C + "/result.csv"

def run(sql):
    with open(C + "/query.sql", "w") as f:
        f.write(sql)

def say(*words, end="\\n"):
    print(*words, end=end, flush=True)

def code(call, *args):
    try:
        call(*args)
    except OSError as e:
        return errno.errorcode[e.errno]
    return "OK"

def read_all(fd, size=65536):
    data = b""
    while True:
        piece = os.read(fd, size)
        if not piece:
            return data
        data += piece
"""


def program(code):
    return PRELUDE + code


def said(client, word):
    wait_for(lambda: word.encode() in client.stdout or not client.running, word)
    assert word.encode() in client.stdout, client.wait()


def numbers(n):
    return ("n\n" + "".join(f"{i}\n" for i in range(1, n + 1))).encode()


def digest(data):
    return hashlib.md5(data).hexdigest()


# ready(seconds): fd can be read, and is nothing else.
POLLERS = {
    "poll": """
p = select.poll()
p.register(fd, select.POLLIN)
ready = lambda wait: [e for _, e in p.poll(wait * 1000)] == [select.POLLIN]
""",
    "select": "ready = lambda wait: select.select([fd], [], [], wait)[0] == [fd]\n",
    "epoll": """
p = select.epoll()
p.register(fd, select.EPOLLIN)
ready = lambda wait: [e for _, e in p.poll(wait)] == [select.EPOLLIN]
""",
}


# And for those that open query.sql for reading and writing.
EXCHANGE = """
import signal, threading

def opened():
    return os.open(C + "/query.sql", os.O_RDWR)

def put(fd, text):
    os.write(fd, text.encode())

def ask(fd, text):
    put(fd, text)
    return read_all(fd).decode()

def error(fd):
    return os.getxattr(fd, "user.connfs.error").decode()
"""


def exchange(code):
    return program(EXCHANGE + code)
