"""Engine: the seam between the loop and whatever runs its commands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from taskexp.plan.command import Command
from taskexp.run.clock import Clock
from taskexp.run.taps import StreamName
from taskexp.words.outcome import Ending


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run is stopped; seconds on the engine's clock.

    Args:
        timeout: for the whole run; None is no limit.
        idle_timeout: without any output; None is no limit.
        grace: between SIGTERM and SIGKILL.
    """

    timeout: float | None = None
    idle_timeout: float | None = None
    grace: float = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One try to run a command; its identity is its name at the engine.

    Args:
        command: what to start.
        limits: when it is stopped.
        environ: variables that this attempt has beside those of the command: its slot's and its number.
        cpus: the CPUs it is pinned to; None is wherever the driver may run.
        on_start: told the number of the process once it runs.
        on_shortage: told why it has to wait, when the system has no room for one more.
    """

    command: Command
    limits: Limits
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    cpus: frozenset[int] | None = None
    on_start: Callable[[int], object] | None = None
    on_shortage: Callable[[str], object] | None = None


class Output(Protocol):
    """Where an engine brings a run's output; `taskexp.run.output.RunOutput` is the one."""

    def feed(self, stream: StreamName, chunk: bytes) -> bool:
        """Take a chunk; False asks for a pause until `when_drained` calls."""
        ...

    def when_drained(self, callback: Callable[[], object]) -> None:
        """Call `callback` once, from any thread, when more may be fed."""
        ...


class Engine(Protocol):
    """Runs commands. All methods but `kill` belong to the event loop's thread."""

    clock: Clock
    """The time that the runs could use; their limits and durations are by it."""

    async def run(self, attempt: Attempt, output: Output) -> Ending:
        """Run a command to its end. Never raises for what the run does; cancelling it stops the run."""
        ...

    def stop(self, attempt: Attempt) -> None:
        """End a run gracefully: its `run` returns soon, with the status `interrupted`."""
        ...

    def pause(self) -> None:
        """Stop the processes of all runs, as SIGSTOP does, and the clock; what starts meanwhile is stopped, too."""
        ...

    def resume(self) -> None:
        """Let the processes and the clock go on."""
        ...

    def kill(self) -> None:
        """Kill everything at once, without waiting; safe in a signal handler."""
        ...

    def destroy(self) -> None:
        """Kill everything and wait until it is gone; for when the event loop is dead."""
        ...

    def strays(self) -> Mapping[int, str]:
        """Find what runs that ended by themselves left running, out of reach: pid to name of the program."""
        ...

    def close(self) -> None:
        """Give back what the engine holds; nothing runs any more."""
        ...
