# SPDX-License-Identifier: MIT
"""What a core dump of a process would hold, and whether secrets are in there.

None is ever written: connfs forbids them. So the memory itself is read, as root
may: all of it but for what is marked to be left out of dumps.
"""

import mmap
import re

PAGE = mmap.PAGESIZE
HEADER = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)")
WORD = 8


def dumped(pid):
    """(name of the mapping, address, bytes) of each stretch of pages in use."""
    with (
        open(f"/proc/{pid}/mem", "rb", buffering=0) as mem,
        open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap,
    ):
        for name, start, end in mappings(pid):
            for first, last in pages_in_use(pagemap, start, end):
                yield name or "anonymous", first, read(mem, first, last - first)


def mappings(pid):
    """(name, start, end) of those that are in use and would be dumped."""
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            header = HEADER.match(line)
            if header:
                start, end = (int(part, 16) for part in header.groups()[:2])
                name, used = header.group(4), 0
            elif line.startswith(("Rss:", "Swap:")):
                used += int(line.split()[1])
            elif line.startswith("VmFlags:") and used and "dd" not in line.split():
                yield name, start, end


def pages_in_use(pagemap, start, end):
    """(start, end) of each stretch of pages that are in memory or swapped out."""
    step = 1 << 20  # pages
    first = None
    for at in range(start, end, step * PAGE):
        pagemap.seek(at // PAGE * WORD)
        count = min(step, (end - at) // PAGE)
        entries = memoryview(pagemap.read(count * WORD)).cast("Q")
        for i, entry in enumerate(entries):
            if entry >> 62 and first is None:
                first = at + i * PAGE
            elif not entry >> 62 and first is not None:
                yield first, at + i * PAGE
                first = None
    if first is not None:
        yield first, end


def read(mem, address, size):
    """Pages that have gone in the meantime are left out."""
    data = bytearray()
    mem.seek(address)
    while len(data) < size:
        try:
            more = mem.read(size - len(data))
        except OSError:
            more = b""
        if not more:
            break
        data += more
    del data[len(data) // WORD * WORD :]
    return data


def words_of(text):
    """Of eight bytes each, from any place of it, as numbers."""
    return {
        int.from_bytes(text[i : i + WORD], "little")
        for i in range(len(text) - WORD + 1)
    }


def found(pid, secrets):
    """Which of the secrets (name -> text) would stand in a dump, all of them or a
    piece that is large enough to be of use: two words of eight bytes, which any 23
    bytes of a secret have in them. As lines of text."""
    secrets = {name: text.encode() for name, text in secrets.items()}
    whose = {word: name for name, text in secrets.items() for word in words_of(text)}
    lines = []
    for mapping, start, data in dumped(pid):
        words = memoryview(data).cast("Q")
        if whose.keys().isdisjoint(words):
            continue
        for i, word in enumerate(words):
            at = i * WORD
            name = whose.get(word)
            if name and data[at : at + 2 * WORD] in secrets[name]:
                around = bytes(data[max(0, at - 32) : at + 64])
                lines.append(f"{name} at {start + at:x} ({mapping}): {around}")
    return lines
