"""Clusters: a real Dask cluster on loopback for the tests of one session, started and stopped by pid."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REQUIRED = os.environ.get("TASKEXP_REQUIRE", "").split()
"""What must be there: its tests fail instead of being skipped."""

READY_SECONDS = 60.0


def skip_without(what: str, why: str) -> None:
    """Skip the tests of what this machine has not, or fail them where it must be there."""
    if what in REQUIRED:
        pytest.fail(f"{what} is required by TASKEXP_REQUIRE: {why}")
    pytest.skip(f"no {what} here: {why}")


class Daemon:
    """A process that is nobody's child here, so that no test takes it for its own."""

    def __init__(self, command: list[str], log: Path, **environ: str) -> None:
        self.log = log
        script = '"$@" >"$0" 2>&1 </dev/null & echo $!'
        started = subprocess.run(
            ["sh", "-c", script, str(log), *command],
            env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
            cwd=log.parent,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        self.pid = int(started.stdout)

    def says(self, text: str) -> "Daemon":
        """Wait until its log has a text."""
        deadline = time.monotonic() + READY_SECONDS
        while text not in (said := self.log.read_text(errors="replace")):
            assert time.monotonic() < deadline, f"{text!r} was not said:\n{said}"
            time.sleep(0.02)
        return self

    @property
    def is_alive(self) -> bool:
        """Whether it runs; a zombie, where nobody reaps orphans, does not."""
        with suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Signal it and wait until it is gone; after a while, kill it."""
        deadline = time.monotonic() + 10
        while self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
            time.sleep(0.02)
            if time.monotonic() > deadline:
                number = signal.SIGKILL


class DaskCluster:
    """A scheduler and its workers, each worker with 4 threads and 2 GPUs that are none.

    Args:
        folder: where their logs are.
        workers: how many.
        tls: options that give certificates.
    """

    def __init__(self, folder: Path, workers: int = 2, tls: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self._tls = tls
        self._number = 0
        self.workers: list[Daemon] = []
        self.file = folder / "scheduler.json"
        command = ["--port", "0", "--no-dashboard", "--scheduler-file", str(self.file)]
        self.scheduler = self._start("scheduler", *command)
        self.scheduler.says("Scheduler at:")
        self.address = self.scheduler.log.read_text().partition("Scheduler at:")[2].split()[0]
        self.workers = [self.start_worker() for _ in range(workers)]
        for worker in self.workers:
            worker.says("Registered to")

    @property
    def engine(self) -> str:
        """The word for it."""
        return "dask://" + self.address.partition("://")[2]

    def start_worker(self, *more: str, **environ: str) -> Daemon:
        """Start one more worker."""
        self._number += 1
        name = f"w{self._number}"
        return self._start(
            "worker",
            *(self.address, "--name", name, "--nworkers", "1", "--nthreads", "4", "--no-nanny", "--no-dashboard"),
            *("--memory-limit", "0", "--local-directory", str(self.folder / name), "--death-timeout", "60"),
            *(more or ("--resources", "GPU=2")),
            **environ,
        )

    def stop(self) -> None:
        """Stop everything, the workers first."""
        for each in (*self.workers, self.scheduler):
            each.stop(signal.SIGKILL)

    def _start(self, kind: str, *arguments: str, **environ: str) -> Daemon:
        where = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")
        log = self.folder / f"{kind}{self._number}.log"
        return Daemon([sys.executable, "-m", "dask", kind, *arguments, *where, *self._tls], log, **environ)
