"""chatty.py MARKER [LINES [PAUSE]]: print a numbered line every PAUSE seconds; without LINES, for ever."""

import itertools
import sys
import time

lines = int(sys.argv[2]) if len(sys.argv) > 2 else None
pause = float(sys.argv[3]) if len(sys.argv) > 3 else 0.02
for number in itertools.count() if lines is None else range(lines):
    print(f"line {number}", flush=True)
    time.sleep(pause)
