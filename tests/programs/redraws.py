r"""redraws.py MARKER [TIMES [PAUSE]]: redraw a line with \r as a progress bar does, then end it."""

import sys
import time

times = int(sys.argv[2]) if len(sys.argv) > 2 else 30
pause = float(sys.argv[3]) if len(sys.argv) > 3 else 0.01
for step in range(times):
    sys.stdout.write(f"\rstep {step + 1} of {times}")
    sys.stdout.flush()
    time.sleep(pause)
sys.stdout.write("\ndone\n")
