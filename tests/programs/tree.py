"""tree.py MARKER [DEPTH [WIDTH]]: become a tree of sleeping processes and tell when it is whole."""

import os
import sys
import time

depth = int(sys.argv[2]) if len(sys.argv) > 2 else 3
width = int(sys.argv[3]) if len(sys.argv) > 3 else 3


def grow(levels):
    for _ in range(width if levels else 0):
        if os.fork() == 0:
            grow(levels - 1)
    os.write(grown, b"!")
    time.sleep(1000)


seen, grown = os.pipe()
if os.fork() == 0:
    grow(depth)
missing = sum(width**level for level in range(depth + 1))
while missing:
    missing -= len(os.read(seen, missing))
print("ready", flush=True)
time.sleep(1000)
