"""polite.py MARKER: on SIGTERM, say goodbye without a newline and exit with code 3."""

import signal
import sys
import time


def say_goodbye(*_):
    sys.stdout.write("goodbye")
    sys.exit(3)


signal.signal(signal.SIGTERM, say_goodbye)
print("ready", flush=True)
time.sleep(1000)
