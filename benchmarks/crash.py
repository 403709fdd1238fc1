"""How much is lost when drivers are killed? Sweeps with a journal, killed with SIGKILL at random moments and resumed.

Usage: python benchmarks/crash.py [--kills 200] [--seed 0]

Each sweep is started again and again until it comes to its end; most starts are killed after a random time, some of
them while the journal is being made. Every run says in a file of its own when it starts and when it ends. At the
end of each sweep the journal and these files are compared. Prints one table; the exit code is 1 if anything was
lost, recorded twice, run again although it was recorded, or left running.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from wreckage import compare, left_after, tell

from taskexp import Status

POINTS = 40
DRIVER = """
import sys
from taskexp import Task
folder, marker, points = sys.argv[1:]
task = Task(["sh", "-c", 'printf s >> "$1"; sleep 0.0$2; printf e >> "$1"; : ' + marker, "sh"])
task.fixed(None, lambda p: f"{folder}/points/{p.index}").arg(None, range(int(points)))
task.run(use_tqdm=False, ostreams=[], max_workers=4, journal=folder + "/journal")
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how many drivers are killed at the least")
    parser.add_argument("--seed", type=int, default=0, help="which random moments")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    counts: Counter[str] = Counter()
    while counts["drivers killed"] < options.kills:
        with tempfile.TemporaryDirectory(prefix="taskexp-crash-") as folder:
            counts += crash_one_sweep(Path(folder), chance)
    wrong = ("runs lost", "runs recorded twice", "runs started without a record", "processes left running")
    tell(counts, "sweeps", "drivers killed", "runs started", "attempts cut off", *wrong)
    return int(any(counts[name] for name in wrong))


def crash_one_sweep(folder: Path, chance: random.Random) -> "Counter[str]":
    """Start a sweep until it comes to its end, killing most of its drivers; compare what was done and recorded."""
    counts = Counter({"sweeps": 1})
    (folder / "points").mkdir()
    script = folder / "driver.py"
    script.write_text(DRIVER)
    marker = folder.name
    seconds = 0.05
    while True:
        driver = subprocess.Popen([sys.executable, script, folder, marker, str(POINTS)])
        try:
            code = driver.wait(chance.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()
            counts["drivers killed"] += 1
            seconds = min(seconds * 1.3, 1.5)  # the first ones die while the journal is made
        else:
            if code:
                raise SystemExit(f"a driver ended with exit code {code}")
            break
    compare(folder, POINTS, lambda row: row.status is Status.succeeded, counts)
    counts["processes left running"] += left_after(marker, 5)
    return counts


if __name__ == "__main__":
    if shutil.which("sh") is None or not Path("/proc").exists():
        raise SystemExit("needs sh and /proc")
    sys.exit(main())
