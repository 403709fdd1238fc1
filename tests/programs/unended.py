"""unended.py MARKER [exit|kill|sleep]: print without a last newline, then end that way."""

import os
import signal
import sys
import time

sys.stdout.write("whole\nunended")
sys.stdout.flush()
sys.stderr.write("unended too")
sys.stderr.flush()
if "kill" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
if "sleep" in sys.argv:
    time.sleep(1000)
