"""Step: the runs of a loop as steps of the allocation that this program runs in, one `srun` each.

A step has the environment that this program has, as Slurm has it. The local engine supervises its `srun`, with the
same limits; but that answers a SIGTERM by killing the program at once, so a program is asked to end by `scancel`.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from taskexp.engines.remote import RemoteEngine
from taskexp.engines.slurm.tools import (
    Node,
    call,
    check_installed,
    cpus_of,
    environ_of_job,
    options_for,
    read_allocation,
    reason_of,
)
from taskexp.engines.slurm.words import SHIM, StepOutput, is_lost, node_of, returncode_of
from taskexp.run.clock import Clock
from taskexp.run.devices import GPUS
from taskexp.run.engine import Attempt, Output
from taskexp.run.local import LocalEngine
from taskexp.run.strand import THREAD_PREFIX
from taskexp.words.errors import EngineError
from taskexp.words.outcome import Ending, Status


class StepEngine(RemoteEngine):
    """Runs commands as steps of an allocation.

    Args:
        options: more options for srun.
        resources: what each run takes of its node.
    """

    def __init__(self, options: Sequence[str], resources: Mapping[str, float]) -> None:
        self.warnings: Sequence[str] = ()
        self.failure: EngineError | None = None
        self.clock = Clock()
        self.holds_alone = False
        self._resources = resources
        self._prefix = (
            *("srun", "--quiet", "--unbuffered", "--nodes=1", "--ntasks=1", "--exact"),
            *options_for(resources),
            *([] if resources.keys() - {"CPU"} else ["--gres=none"]),  # else each step takes all that the job has
            *options,
            *("sh", "-c", SHIM, "taskexp"),
        )
        self._more: Sequence[str] = ()
        """More options for srun, once a node was lost."""
        self._local = LocalEngine()
        self._steps: dict[Attempt, Attempt] = {}
        self._room = 1
        self._job = ""
        self._changed: Callable[[], object] = _nothing

    def open(self, changed: Callable[[], object]) -> None:
        """Look what the allocation has; see `Engine.open`. Raises EngineError."""
        check_installed("srun", "scancel", "scontrol")
        job = environ_of_job()
        if job is None:
            raise EngineError(
                "engine='srun' runs inside an allocation, and SLURM_JOB_ID is not set; start this program by "
                "`salloc -N2 ...` or in a batch script, or use engine='sbatch'"
            )
        nodes = read_allocation(job)
        self._room = sum(self._fits(node) for node in nodes)
        if not self._room:
            told = ", ".join(f"{name}={amount:g}" for name, amount in self._resources.items()) or "one CPU"
            most = f"{max((n.cpus for n in nodes), default=0)} CPUs and {max((n.gpus for n in nodes), default=0)} GPUs"
            raise EngineError(
                f"resources: no node of the allocation {job} can give a run {told}; a node has {most} at the most"
            )
        self._changed, self._job = changed, job
        self._local.open(changed)

    def _fits(self, node: Node) -> int:
        """Count the runs that a node takes at once."""
        gpus = int(self._resources.get("GPU", 0))
        runs = node.cpus // cpus_of(self._resources)
        return min(runs, node.gpus // gpus) if gpus else runs

    def width(self, wanted: int | None) -> int:
        """As many as are wanted and the allocation takes at once; see `Engine.width`."""
        return max(1, min(wanted or self._room, self._room))

    async def run(self, attempt: Attempt, output: Output) -> Ending:
        """Run a command as a step; see `Engine.run`."""
        words = StepOutput(output)
        prefix = (self._prefix[0], *self._more, *self._prefix[1:])
        command = replace(attempt.command, argv=(*prefix, *attempt.command.argv))
        step = replace(attempt, command=command, ask_to_end=lambda: self._signal(words, "TERM"))
        self._steps[attempt] = step
        try:
            ending = await self._local.run(step, words)
        finally:
            del self._steps[attempt]
        words.finish()
        if ending.status in (Status.timed_out, Status.interrupted):
            self._signal(words, "KILL")  # srun may have been killed before it could
        return self._made_of(ending, attempt.command.argv[0], words)

    def _made_of(self, ending: Ending, program: str, words: StepOutput) -> Ending:
        """Say of the program what the local engine says of its srun."""
        place = words.place
        host, worker = (place.node, f"step {place.step}") if place is not None else ("", f"job {self._job}")
        host = host or node_of(words.said)
        code = returncode_of(words.said)
        if is_lost(words.said) and ending.status is not Status.interrupted:
            # Slurm 22.05 counts the CPUs of steps that were lost as taken, and a new step would wait for them.
            # How many run at once is counted here; GPUs are not concerned.
            self._more = ("--overcommit",)
            self._look_at_job()
            return Ending.displaced(f"{reason_of(words.said)}", ending.start_time, host, worker)
        if ending.status in (Status.succeeded, Status.failed):
            if place is None and code is None:  # a program that is killed at once may not get out where it is
                why = f"could not start {program!r} as a step: {reason_of(words.said)} (on {host or 'no node'})"
                return Ending.unstarted(Status.not_started, why, host, worker)
            if place is not None and not place.is_fit:
                why = f"could not start {program!r}: there is no such program (on {host})"
                return Ending.unstarted(Status.not_started, why, host, worker)
        error = ending.error
        if error is not None:  # the local engine speaks of its srun
            error = re.sub(r"^srun\b", program, error).replace("could not start 'srun'", f"could not start {program!r}")
        return replace(
            ending,
            returncode=ending.returncode if code is None else code,
            error=error,
            host=host,
            worker=worker,
            devices={GPUS: place.gpus} if place is not None and self._resources.get("GPU") else {},
            max_rss_bytes=None,  # what is known is of srun, and so below
            max_rss_inherited=False,
            user_seconds=None,
            system_seconds=None,
        )

    def _look_at_job(self) -> None:
        """Learn, aside, what the allocation has left: a step that does not fit would wait, and block others."""
        threading.Thread(target=self._check_job, name=THREAD_PREFIX + "squeue", daemon=True).start()

    def _check_job(self) -> None:
        try:
            self._room = sum(self._fits(node) for node in read_allocation(self._job))
            error = None if self._room else EngineError("no node is left that fits")
        except EngineError as lost:
            error = lost
        if error is not None:
            self.failure = EngineError(f"the allocation {self._job} is lost: {error}; get another one and go on there")
        self._changed()

    def _signal(self, words: StepOutput, name: str) -> bool:
        """Signal a step's program, aside; False if there is no step yet."""
        if words.place is None:
            return False
        command = ("scancel", f"--signal={name}", words.place.step)
        threading.Thread(target=lambda: call(*command), name=THREAD_PREFIX + "scancel", daemon=True).start()
        return True

    def stop(self, attempt: Attempt) -> None:
        """End a run gracefully; see `Engine.stop`."""
        if (step := self._steps.get(attempt)) is not None:
            self._local.stop(step)

    def kill(self) -> None:
        """Kill everything at once; see `Engine.kill`."""
        self._local.kill()

    def destroy(self) -> None:
        """Kill everything and wait until it is gone; see `Engine.destroy`."""
        self._local.destroy()

    def close(self) -> None:
        """Give back what the local engine holds; see `Engine.close`."""
        self._local.close()


def _nothing() -> None:
    return
