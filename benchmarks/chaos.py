"""What is lost when everything goes wrong at once? Stubborn programs, run by drivers that are hit again and again.

Usage: python benchmarks/chaos.py [--runs 300] [--seconds 0] [--seed 0]

The programs fork, leave their session, are deaf to SIGTERM, flood, print bytes that are no text, close their streams,
die of every signal, outstay their timeout, and fill their memory up to a limit (stubborn.py). The driver is
interrupted (once, and again while it stops), terminated, stopped by Ctrl-Z and continued, and killed with SIGKILL, at
random moments; it is started again until the sweep comes to its end. So for at least as many runs and seconds as are
asked for.

Prints what was done and what went wrong; the exit code is 1 if a run was lost, recorded twice, not recorded at all,
run by two at a time, or if a process was left.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from stubborn import KINDS
from wreckage import compare, left_after, tell

from taskexp import RecordedRun, Status, open_results

WORKERS = 8
TIMEOUT_SECONDS = 0.6
GRACE_SECONDS = 0.3

FAULT_SECONDS = 2.0
"""How long a driver is left alone, on average."""

WATCHDOG_SECONDS = 5
"""How long the runs of a killed driver are waited for; it should take one second and a scan of a busy machine."""

DRIVER_SECONDS = 60
"""How long a driver that was told to stop is waited for."""

DRIVER = f"""
import sys
from taskexp import Task
folder, marker, points, program, *kinds = sys.argv[1:]
task = Task([sys.executable, "-I", "-S", program])
task.fixed(None, lambda p: kinds[p.index % len(kinds)]).fixed(None, lambda p: f"{{folder}}/points/{{p.index}}")
task.arg(None, range(int(points))).fixed(None, marker)
task.run(
    use_tqdm=False, ostreams=[], max_workers={WORKERS}, timeout={TIMEOUT_SECONDS}, grace={GRACE_SECONDS},
    order="shuffle", journal=folder + "/journal", rerun=["interrupted", "lost", "not_started"], notices=False,
)
"""

WRONG = (
    "runs lost",
    "runs recorded twice",
    "runs started without a record",
    "attempts at the same time",
    "processes left",
    "drivers that did not end",
    "drivers that failed",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300, help="how many points each sweep has")
    parser.add_argument("--seconds", type=float, default=0, help="sweep again and again for so long")
    parser.add_argument("--seed", type=int, default=0, help="which random moments")
    options = parser.parse_args()
    chance, began = random.Random(options.seed), time.monotonic()
    counts: Counter[str] = Counter()
    longest: dict[str, float] = {}
    while not counts["sweeps"] or time.monotonic() - began < options.seconds:
        with tempfile.TemporaryDirectory(prefix="taskexp-chaos-") as folder:
            Chaos(Path(folder), options.runs, chance, counts, longest).wreak()
    faults = sorted(name for name in counts if name.startswith("fault: "))
    counts["faults injected"] = sum(counts[name] for name in faults)
    counts["seconds"] = round(time.monotonic() - began)
    print(
        f"{options.runs} points a sweep, seed {options.seed}, {WORKERS} runs at once, Python {sys.version.split()[0]}"
    )
    tell(counts, "seconds", "sweeps", "drivers started", "runs started", "attempts cut off")
    tell(counts, "faults injected", *faults, *WRONG)
    for name, seconds in longest.items():
        print(f"{name:42} {seconds:7.2f} s")
    return int(any(counts[name] for name in WRONG))


class Chaos:
    """One sweep, and what befalls its drivers."""

    def __init__(
        self, folder: Path, points: int, chance: random.Random, counts: "Counter[str]", longest: dict[str, float]
    ) -> None:
        self.folder = folder
        self.points = points
        self.chance = chance
        self.counts = counts
        self.longest = longest
        self.marker = folder.name
        (folder / "points").mkdir()
        (folder / "driver.py").write_text(DRIVER)

    def wreak(self) -> None:
        """Start drivers until one comes to its end undisturbed."""
        self.counts["sweeps"] += 1
        while not self.drive():
            pass
        self.counts["processes left"] += left_after(self.marker, 5)
        compare(self.folder, self.points, is_over, self.counts)
        for row in open_results(self.folder / "journal", attempts=True):
            if row.status is Status.timed_out and row.duration is not None:
                allowed = TIMEOUT_SECONDS + (GRACE_SECONDS if row.returncode == -signal.SIGKILL else 0)
                self.note("longest time of a run past its deadline", row.duration.total_seconds() - allowed)

    def drive(self) -> bool:
        """Start a driver and let something befall it; returns whether the sweep has come to its end."""
        command = [sys.executable, self.folder / "driver.py", self.folder, self.marker, str(self.points)]
        command += [Path(__file__).with_name("stubborn.py"), *KINDS]
        self.counts["drivers started"] += 1
        with open(self.folder / "errors", "ab") as errors:
            # A group of its own and no session: only there does the kernel let Ctrl-Z stop it.
            driver = subprocess.Popen(command, process_group=0, stdin=subprocess.DEVNULL, stderr=errors)
        try:
            code = driver.wait(self.chance.expovariate(1 / FAULT_SECONDS))
        except subprocess.TimeoutExpired:
            fault = self.chance.choice([self.kill, self.kill, self.interrupt, self.hit_twice, self.suspend])
            fault(driver)
            return False
        if code:
            self.counts["drivers that failed"] += 1
            sys.stderr.write((self.folder / "errors").read_text()[-5000:])
        return True

    # ---- the faults

    def kill(self, driver: "subprocess.Popen[bytes]") -> None:
        """SIGKILL; half of the time the next driver does not wait until the watchdog has done its work."""
        self.counts["fault: SIGKILL"] += 1
        driver.kill()
        driver.wait()
        if self.chance.random() < 0.5:
            began = time.monotonic()
            self.counts["processes left"] += left_after(self.marker, WATCHDOG_SECONDS)
            self.note("longest life of a run after its driver", time.monotonic() - began)

    def interrupt(self, driver: "subprocess.Popen[bytes]") -> None:
        """One of the signals that stop a driver in order."""
        number = self.chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
        self.counts[f"fault: {number.name}"] += 1
        driver.send_signal(number)
        self.await_end(driver)

    def hit_twice(self, driver: "subprocess.Popen[bytes]") -> None:
        """A second signal while the driver stops: it kills at once."""
        self.counts["fault: SIGINT, and SIGINT again"] += 1
        driver.send_signal(signal.SIGINT)
        time.sleep(self.chance.uniform(0, 0.2))
        driver.send_signal(signal.SIGINT)
        self.await_end(driver)

    def suspend(self, driver: "subprocess.Popen[bytes]") -> None:
        """Ctrl-Z for a moment; then what else may befall a stopped driver, or nothing."""
        self.counts["fault: SIGTSTP"] += 1
        driver.send_signal(signal.SIGTSTP)
        time.sleep(self.chance.uniform(0, 0.4))
        after = self.chance.choice([self.kill, self.interrupt])
        if self.chance.random() < 0.7:
            os.kill(driver.pid, signal.SIGCONT)
            time.sleep(self.chance.uniform(0, 0.3))
            after(driver)
        elif after == self.kill:
            self.kill(driver)
        else:
            threading.Timer(0.05, os.kill, (driver.pid, signal.SIGCONT)).start()  # as a shell's `kill` does
            self.interrupt(driver)

    def await_end(self, driver: "subprocess.Popen[bytes]") -> None:
        """Wait for a driver that stops in order; it leaves nothing behind."""
        began = time.monotonic()
        try:
            driver.wait(DRIVER_SECONDS)
        except subprocess.TimeoutExpired:
            self.counts["drivers that did not end"] += 1
            driver.kill()
            driver.wait()
            return
        self.note("longest end of a driver past the grace", time.monotonic() - began - GRACE_SECONDS)
        self.counts["processes left"] += left_after(self.marker, 0.5)

    def note(self, name: str, seconds: float) -> None:
        """Keep the longest of the times of that name."""
        self.longest[name] = max(self.longest.get(name, 0.0), seconds)


def is_over(row: RecordedRun) -> bool:
    return row.status in (Status.succeeded, Status.failed, Status.timed_out)


if __name__ == "__main__":
    if not Path("/proc/self/stat").exists():
        raise SystemExit("needs /proc")
    sys.exit(main())
