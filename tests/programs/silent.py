"""silent.py MARKER [SECONDS]: print one line, then nothing more."""

import sys
import time

print("ready", flush=True)
time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 1000)
