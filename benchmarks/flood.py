"""Question: what does a child that prints a gigabyte cost the driver, in memory?

Once as many lines, once as one line with no newline at all; into a text log, with a callback per line, and
grouped with a second run. Prints the driver's peak memory (VmHWM) for each, measured in a process of its own.

    python benchmarks/flood.py [MEGABYTES]
"""

import subprocess
import sys

from measuring import machine, print_table

CHILDREN = {
    "lines": "import os\nline = b'x' * 63 + b'\\n'\nfor _ in range({megabytes}): os.write(1, line * 16384)",
    "one line": "import os\nfor _ in range({megabytes}): os.write(1, b'x' * 1048576)",
}
WAYS = {
    "text log": "exe.execute(ostreams=[log])",
    "binary log": "exe.execute(ostreams=[log.buffer])",
    "on_verbose": "exe.execute(ostreams=[], on_verbose=count)",
    "two grouped": "exe.execute(ostreams=[log])",
}
DRIVER = """
import sys, time
from taskexp import Task
seen = 0
def count(line, stream, when):
    global seen
    seen += len(line)
log = open("/dev/null", "w")
began = time.perf_counter()
exp = Task([sys.executable, "-c", {child!r}]).arg(None, range({points}))
for exe in exp.executable_loop(use_tqdm=False, max_workers={points}):
    {way}
seconds = time.perf_counter() - began
status = open("/proc/self/status").read()
peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
print(f"{{peak}} {{seconds:.1f}}")
"""


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    print(machine())
    print(f"A child that prints {megabytes} MiB: peak memory of the driver")
    rows: list[tuple[str, ...]] = []
    for output, child in CHILDREN.items():
        for way, call in WAYS.items():
            points = 2 if way == "two grouped" else 1
            text = DRIVER.format(child=child.format(megabytes=megabytes // points), way=call, points=points)
            done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
            rows.append((f"{output}, {way}", *done.stdout.split()))
    print_table(("output", "peak MiB", "seconds"), rows)


if __name__ == "__main__":
    main()
