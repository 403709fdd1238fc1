"""Once: a sweep whose runs notice when one of them is at two places at once, and wait until they may end."""

import fcntl
from pathlib import Path

ONCE = """
echo "$TASKEXP_INDEX $TASKEXP_ATTEMPT $SLURMD_NODENAME" >> started
exec 9> "lock$TASKEXP_INDEX"
flock -n 9 || { echo "index $TASKEXP_INDEX runs twice"; exit 99; }
until flock -s gate true; do :; done  # Slurm may signal flock before its shell
echo "done $TASKEXP_INDEX"
"""

DRIVER = """
import sys
from taskexp import Task

engine, folder, script, runs, workers, on_lost = sys.argv[1:]
task = Task(["sh", "-c", script, folder + "-mark"], cwd=folder).repeat(int(runs))
results = task.run(engine=engine, max_workers=int(workers), journal=folder + "/j", ostreams=[], use_tqdm=False,
                   on_lost=on_lost)
print(sorted(result.index for result in results if result.status == "succeeded"))
"""


class Sweep:
    """Such a sweep.

    Args:
        folder: where its runs are, its journal "j", and what it says.
        runs: how many points it has.
        workers: how many run at once.
    """

    def __init__(self, folder: Path, runs: int, workers: int) -> None:
        self.folder, self.runs, self.workers = folder, runs, workers
        self.mark = f"{folder}-mark"
        """What is in the command line of each run."""
        (folder / "driver.py").write_text(DRIVER)
        self._gate = (folder / "gate").open("w")
        fcntl.flock(self._gate, fcntl.LOCK_EX)

    def command(self, engine: str, on_lost: str = "retry") -> list[str]:
        """Say how a Python runs it."""
        numbers = (str(self.runs), str(self.workers))
        return [str(self.folder / "driver.py"), engine, str(self.folder), ONCE, *numbers, on_lost]

    def started(self) -> list[tuple[int, int, str]]:
        """List what was started: index, attempt and node."""
        file = self.folder / "started"
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [(int(index), int(attempt), "".join(node)) for index, attempt, *node in lines]

    def open_gate(self) -> None:
        """Let the runs end."""
        self._gate.close()
