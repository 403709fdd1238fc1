"""tracker.py MARKER: leave a helper that holds the pipes and ends by itself a moment after its parent."""

import os
import time

seen, held = os.pipe()
if os.fork() == 0:
    os.close(held)
    os.read(seen, 1)  # the end of the pipe is the end of the parent
    time.sleep(0.05)
    os._exit(0)
print("ready", flush=True)
