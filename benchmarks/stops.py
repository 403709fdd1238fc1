"""Question: what does it cost to stop many runs at once?

Starts N sleeping programs, closes the loop, and prints the time and the driver's CPU time per run. The second must not
grow with N: all stops of a moment share one look at the processes.

    python benchmarks/stops.py [N ...]
"""

import sys
import time

from taskexp import Task


def main() -> None:
    counts = [int(argument) for argument in sys.argv[1:]] or [50, 200, 800]
    print(f"{'runs':>6} {'seconds':>8} {'CPU ms a run':>13}")
    for count in counts:
        loop = Task("sleep 600").arg(None, ["0"] * count).executable_loop(max_workers=count, use_tqdm=False)
        for exe in loop:
            exe.execute(ostreams=[])
            if exe.index == count - 1:
                break
        began, began_cpu = time.perf_counter(), time.process_time()
        loop.close()
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
        print(f"{count:>6} {seconds:>8.2f} {1000 * cpu_seconds / count:>13.2f}")


if __name__ == "__main__":
    main()
