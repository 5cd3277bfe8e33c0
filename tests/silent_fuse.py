# SPDX-License-Identifier: MIT
"""A FUSE filesystem that does not answer, for what hostile callers do with it.

    silent_fuse.py MOUNTPOINT [SUBTYPE]

mounts one file, MOUNTPOINT/file, of 1 MiB. It can be found, opened and mapped;
a READ and a FLUSH are never answered. With O_NONBLOCK it is opened for direct
I/O. Prints a line for each: "mounted",
"READ", "FLUSH". Ends when it is unmounted or aborted. With a SUBTYPE it is
mounted as that, and nothing is answered but INIT.
"""

import ctypes
import errno
import os
import struct
import sys

LOOKUP, FORGET, GETATTR, OPEN, READ, FLUSH, INIT = 1, 2, 3, 14, 15, 25, 26
BATCH_FORGET = 42
SIZE = 1 << 20
HEADER = struct.Struct("<IIQQIIII")  # fuse_in_header
ROOT, FILE = 1, 2


def attr(node):
    mode = 0o040755 if node == ROOT else 0o100644
    size = 0 if node == ROOT else SIZE
    times = [0] * 6
    return struct.pack(
        "<QQQQQQIIIIIIIIII",
        *[node, size, 0, *times[:3], *times[3:]],
        *[mode, 1, 0, 0, 0, 4096, 0],
    )


def answer(opcode, node, body):
    """The body of the reply, a negative errno, or None: there is none."""
    if opcode == INIT:
        # Version 7.31 and max_write; the rest is zero.
        return struct.pack("<IIIIHHIIHHI28x", 7, 31, 65536, 0, 0, 0, 65536, 1, 0, 0, 0)
    if opcode == LOOKUP:
        return struct.pack("<QQQQII", FILE, 1, 3600, 3600, 0, 0) + attr(FILE)
    if opcode == GETATTR:
        return struct.pack("<QII", 3600, 0, 0) + attr(node)
    if opcode == OPEN:
        direct_io = struct.unpack_from("<I", body)[0] & os.O_NONBLOCK != 0
        keep_cache = 2  # else the kernel waits for locked pages at the open
        return struct.pack("<QII", 1, keep_cache | direct_io, 0)
    if opcode in (FORGET, BATCH_FORGET):
        return None
    if opcode in (READ, FLUSH):
        print({READ: "READ", FLUSH: "FLUSH"}[opcode], flush=True)
        return None
    return -errno.ENOSYS


def main(where, subtype=None):
    fstype = f"fuse.{subtype}" if subtype else "fuse"
    fd = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other"
    if libc.mount(b"silent", where.encode(), fstype.encode(), 6, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    print("mounted", flush=True)
    while True:
        try:
            request = os.read(fd, 1 << 20)
        except OSError as e:
            if e.errno == errno.ENODEV:  # unmounted
                return
            if e.errno in (errno.ENOENT, errno.EINTR):  # its caller is gone
                continue
            raise
        _, opcode, unique, node, *_ = HEADER.unpack_from(request)
        if subtype and opcode != INIT:
            continue
        body = answer(opcode, node, request[HEADER.size :])
        if body is None:
            continue
        error = 0
        if isinstance(body, int):
            body, error = b"", body
        os.write(fd, struct.pack("<IiQ", 16 + len(body), error, unique) + body)


if __name__ == "__main__":
    main(*sys.argv[1:])
