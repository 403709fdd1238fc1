"""stderr_first.py MARKER [BYTES]: fill stderr, then stdout, then stderr once more."""

import sys

size = int(sys.argv[2]) if len(sys.argv) > 2 else 5_000_000
line = "x" * 99 + "\n"
for stream in (sys.stderr, sys.stdout, sys.stderr):
    stream.write(line * (size // len(line)))
    stream.flush()
