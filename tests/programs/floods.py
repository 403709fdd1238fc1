"""floods.py MARKER [BYTES]: print lines as fast as they are taken; without BYTES, for ever."""

import itertools
import os
import sys

BLOCK = (b"x" * 63 + b"\n") * 1024
blocks = int(sys.argv[2]) // len(BLOCK) if len(sys.argv) > 2 else None
for _ in itertools.count() if blocks is None else range(blocks):
    rest = memoryview(BLOCK)
    while rest:
        rest = rest[os.write(1, rest) :]
