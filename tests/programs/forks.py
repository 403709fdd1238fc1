"""forks.py MARKER [CODE]: fork a child that holds the pipes; stay with it, or exit with CODE."""

import os
import sys
import time

if os.fork() == 0:
    time.sleep(1000)
print("ready", flush=True)
if len(sys.argv) > 2:
    os._exit(int(sys.argv[2]))
time.sleep(1000)
