"""setsid.py MARKER [CODE [quiet]]: start two grandchildren in sessions of their own, one of them a daemon.

They hold the pipes unless they are quiet. Stay with them, or exit with CODE.
"""

import os
import sys
import time


def start_session(daemon):
    up, started = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        if daemon and os.fork() > 0:
            os._exit(0)
        if "quiet" in sys.argv:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 1)
            os.dup2(null, 2)
        os.write(started, b"!")
        time.sleep(1000)
        os._exit(0)
    os.read(up, 1)
    if daemon:
        os.waitpid(child, 0)


start_session(daemon=False)
start_session(daemon=True)
print("ready", flush=True)
if len(sys.argv) > 2:
    os._exit(int(sys.argv[2]))
time.sleep(1000)
