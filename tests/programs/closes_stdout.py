"""closes_stdout.py MARKER [SECONDS [CODE]]: close stdout and stderr, live on, exit with CODE."""

import os
import sys
import time

os.write(1, b"closing\n")
os.close(1)
os.close(2)
time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 0.5)
os._exit(int(sys.argv[3]) if len(sys.argv) > 3 else 7)
