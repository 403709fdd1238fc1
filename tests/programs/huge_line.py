"""huge_line.py MARKER BYTES [newline]: print one line of that many bytes, with or without a newline."""

import os
import sys

left = int(sys.argv[2])
block = b"0123456789abcdef" * 4096
while left:
    left -= os.write(1, block[:left])
if "newline" in sys.argv:
    os.write(1, b"\n")
