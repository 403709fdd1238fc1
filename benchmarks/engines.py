"""Engines beside themselves bare: runs per second, and how old a line is when it comes.

    python benchmarks/engines.py [--runs 500] [--rounds 3] [--only local dask srun sbatch]

Dask and Slurm are started for it, on loopback; Slurm needs root. Bare Dask is `client.map` of `subprocess.run`, which
gives no line before the end, until the scheduler is rid of it; bare `srun` is called by as many threads as there are
slots; bare `sbatch` is one array of the command, until Slurm has ended it. All take turns. First, what each run of ours
says is compared byte for byte. CPU time per run is that of the driver, the scheduler and the workers, and of what they
run; what Slurm's daemons start is not in it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from clusters import DASK_MODULES, DaskCluster, SlurmCluster
from nursery import Nursery

from taskexp import Task

COMMAND = ["sh", "-c", 'echo "out $0"; echo "err $0" >&2']
TELLS_TIME = "import time\nfor _ in range(50): print(time.time(), flush=True); time.sleep(0.01)"
SLOTS = 8


def ours(engine: object, runs: int, **how: Any) -> None:
    workers = SLOTS if engine == "local" else None
    task = Task(COMMAND).arg(None, range(runs))
    results = task.run(engine=engine, max_workers=workers, ostreams=[], use_tqdm=False, **how)
    assert all(result.status == "succeeded" for result in results)


def prove(engine: object, runs: int) -> None:
    """Compare what each run says byte for byte."""
    said: dict[str, list[str]] = {"stdout": [], "stderr": []}
    ours(engine, runs, on_verbose=lambda line, stream, _: said[stream.name].append(line))
    assert sorted(said["stdout"]) == sorted(f"out {number}\n" for number in range(runs))
    assert sorted(said["stderr"]) == sorted(f"err {number}\n" for number in range(runs))


def latency(engine: object) -> float:
    """Return the median age of a line, in ms."""
    ages: list[float] = []
    task = Task([sys.executable, "-c", TELLS_TIME])
    task.run(
        engine=engine,
        ostreams=[],
        use_tqdm=False,
        on_verbose=lambda line, *_: ages.append(1000 * (time.time() - float(line))),
    )
    return statistics.median(ages)


def run_quietly(number: int) -> None:
    subprocess.run([*COMMAND, str(number)], capture_output=True, check=True)


def bare_local(runs: int) -> None:
    with ThreadPoolExecutor(SLOTS) as pool:
        list(pool.map(run_quietly, range(runs)))


def count_tasks(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)


def bare_dask(client: Any, runs: int) -> None:
    futures = client.map(run_quietly, range(runs), pure=False)
    client.gather(futures)
    del futures
    while client.run_on_scheduler(count_tasks):
        time.sleep(0.002)


def bare_srun(runs: int) -> None:
    step = ["srun", "--quiet", "--nodes=1", "--ntasks=1", "--exact", "--cpus-per-task=1", "--gres=none", *COMMAND]
    with ThreadPoolExecutor(SLOTS) as pool:
        list(pool.map(lambda i: subprocess.run([*step, str(i)], capture_output=True, check=True), range(runs)))


def bare_sbatch(folder: Path, runs: int) -> None:
    command = ["sbatch", "--wait", "--quiet", f"--array=0-{runs - 1}", f"--output={folder}/%a.out", "--wrap"]
    subprocess.run([*command, "echo out $SLURM_ARRAY_TASK_ID; echo err >&2"], capture_output=True, check=True)


class Row:
    """What is compared: an engine, and itself bare.

    Args:
        name: what it is called.
        engine: what is given to the loop.
        bare: does a number of runs without us.
        runs: how many.
        pids: the processes whose CPU time counts, beside this one.
    """

    def __init__(
        self, name: str, engine: object, bare: Callable[[int], None], runs: int, pids: Sequence[int] = ()
    ) -> None:
        self.name, self.engine, self.bare, self.runs = name, engine, bare, runs
        self._pids = (os.getpid(), *pids)

    def measure(self, rounds: int) -> None:
        """Take turns, and print the medians."""
        works: dict[str, Callable[[int], None]] = {"ours": lambda runs: ours(self.engine, runs), "bare": self.bare}
        prove(self.engine, self.runs)
        self.bare(SLOTS)  # what is set up once
        rates: dict[str, list[float]] = {who: [] for who in works}
        costs: dict[str, list[float]] = {who: [] for who in works}
        for _ in range(rounds):
            for who, work in works.items():
                began, cost = time.perf_counter(), self._cpu_seconds()
                work(self.runs)
                rates[who].append(self.runs / (time.perf_counter() - began))
                costs[who].append(1000 * (self._cpu_seconds() - cost) / self.runs)
        mine, theirs = (statistics.median(rates[who]) for who in works)
        spent, bare = (statistics.median(costs[who]) for who in works)
        row = f"{self.name:8}{mine:8.0f}{theirs:8.0f}{mine / theirs:8.2f}{spent:10.2f}{bare:8.2f}"
        print(f"{row}{latency(self.engine):14.1f}", flush=True)

    def _cpu_seconds(self) -> float:
        facts = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pids]
        return sum(int(number) for each in facts for number in each[11:15]) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    engines = ("local", "dask", "srun", "sbatch")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500, help="a fifth of it with Slurm")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=engines, default=engines)
    wanted = parser.parse_args()
    runs, rounds = wanted.runs, wanted.rounds
    print(f"{'engine':8}{'runs/s':>8}{'bare':>8}{'ratio':>8}{'CPU, ms':>10}{'bare':>8}{'line age, ms':>14}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place)
        if "local" in wanted.only:
            Row("local", "local", bare_local, runs).measure(rounds)
        if "dask" in wanted.only:
            from distributed import Client

            nursery = Nursery(*DASK_MODULES)
            cluster = DaskCluster(nursery, folder)
            try:
                pids = [cluster.scheduler.pid, *(worker.pid for worker in cluster.workers)]
                with Client(cluster.address) as client:  # both use it: connecting is not what is measured
                    Row("dask", client, partial(bare_dask, client), runs, pids).measure(rounds)
            finally:
                nursery.close()
        if {"srun", "sbatch"} & set(wanted.only):
            (folder / "slurm").mkdir()
            slurm = SlurmCluster(folder / "slurm")
            os.environ |= slurm.environ
            try:
                if "sbatch" in wanted.only:
                    Row("sbatch", "sbatch", partial(bare_sbatch, folder), runs // 5).measure(1)
                if "srun" in wanted.only:
                    os.environ |= slurm.allocate("-n8")
                    Row("srun", "srun", bare_srun, runs // 5).measure(rounds)
            finally:
                slurm.stop()


if __name__ == "__main__":
    main()
