"""Engine: the seam between the loop and whatever runs its commands."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from taskexp.plan.command import Command
from taskexp.run.clock import Clock
from taskexp.run.taps import StreamName
from taskexp.words.errors import EngineError
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
        identify: tells what it is known by, whichever driver asks: the same for the same attempt of the same run.
        ask_to_end: asks the program to end where a SIGTERM to the process here would not; False is that it cannot.
        on_shortage: told why it has to wait, when the system has no room for one more.
    """

    command: Command
    limits: Limits
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    cpus: frozenset[int] | None = None
    on_start: Callable[[int], object] | None = None
    on_shortage: Callable[[str], object] | None = None
    identify: Callable[[], str] | None = None
    ask_to_end: Callable[[], bool] | None = None


def run_name(fingerprint: bytes, attempt: int) -> str:
    """Name an attempt of a run."""
    return f"{fingerprint.hex()[:16]}-{attempt}"


class Output(Protocol):
    """Where an engine brings a run's output; `taskexp.run.output.RunOutput` is the one."""

    def feed(self, stream: StreamName, chunk: bytes) -> bool:
        """Take a chunk; False asks for a pause until `when_drained` calls."""
        ...

    def when_drained(self, callback: Callable[[], object]) -> None:
        """Call `callback` once, from any thread, when more may be fed."""
        ...


class Engine(Protocol):
    """Runs commands, here or elsewhere. What has no word of another thread belongs to the event loop's.

    Wherever it runs them, a run has the environment of the process that starts it there, the variables of its command
    and those of its attempt; it starts in the driver's folder unless the command names one; and it ends by its
    limits, which are watched where it runs.
    """

    @property
    def warnings(self) -> Sequence[str]:
        """What whoever starts the sweep should know; once it is open."""
        ...

    @property
    def failure(self) -> EngineError | None:
        """Why nothing can run any more, once that is so: what ran then was displaced."""
        ...

    def open(self, changed: Callable[[], object]) -> None:
        """Get ready, which may take seconds; any thread but the event loop's, and again after `close`.

        Args:
            changed: called, from any thread, whenever `width` or `failure` may have changed.

        Raises:
            EngineError: it cannot be reached, or can never run what is asked for.
        """
        ...

    def width(self, wanted: int | None) -> int:
        """Say how many runs go on at once, at least 1, where so many are wanted; None is as many as it has room for."""
        ...

    clock: Clock
    """The time that the runs could use; their limits and durations are by it."""

    async def run(self, attempt: Attempt, output: Output) -> Ending:
        """Run a command to its end. Never raises for what the run does; cancelling it stops the run."""
        ...

    def stop(self, attempt: Attempt) -> None:
        """End a run gracefully: its `run` returns soon, with the status `interrupted`."""
        ...

    def pause(self) -> None:
        """Stop the processes of all runs, as SIGSTOP does, and the clock; what starts meanwhile is stopped, too.

        Elsewhere than on this machine runs go on while the driver is stopped, and so does their time.
        """
        ...

    def resume(self) -> None:
        """Let the processes and the clock go on."""
        ...

    def forget(self, attempt: Attempt) -> None:
        """Learn that the end of a run is recorded: nobody will ask for it again."""
        ...

    @property
    def holds_alone(self) -> bool:
        """Whether all that was asked for goes on when this program ends, and is found again by the next one."""
        ...

    def kill(self) -> None:
        """Kill everything at once, without waiting; safe in a signal handler."""
        ...

    def destroy(self) -> None:
        """Kill everything and wait until it is gone; any thread, for when the event loop is dead."""
        ...

    def strays(self) -> Mapping[int, str]:
        """Find what runs that ended by themselves left running, out of reach: pid to name of the program."""
        ...

    def close(self) -> None:
        """Give back what the engine holds; any thread. Nothing runs any more; what runs after all opens it again."""
        ...
