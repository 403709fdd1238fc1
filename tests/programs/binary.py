"""binary.py MARKER [BYTES]: print every byte value, then that many random ones (always the same)."""

import random
import sys

size = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
sys.stdout.buffer.write(bytes(range(256)) + random.Random(7).randbytes(size))
