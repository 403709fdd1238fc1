"""Experiment: what can be looped over; a task, or a sum of tasks."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, SupportsIndex

from taskexp.engines.resolve import EngineLike, engine_maker
from taskexp.loop.halt import checked_halt
from taskexp.loop.loop import CompletedRuns, ExecutableLoop
from taskexp.loop.options import LoopOptions, OutputMode, checked_folder, execute_options
from taskexp.loop.retry import OnLost, Reason, checked_retry
from taskexp.loop.slots import checked_slots
from taskexp.plan.point import Point
from taskexp.plan.points import Points
from taskexp.plan.route import Order, Route
from taskexp.plan.secrets import Secrets
from taskexp.plan.spec import Spec
from taskexp.plan.values import Value, checked_int
from taskexp.record.journal.rerun import checked_rerun
from taskexp.run.taps import LineCallback
from taskexp.words.errors import ArgumentValueError
from taskexp.words.outcome import RunResult


class Experiment(ABC):
    """The points of one or more tasks, and the loops over them."""

    @abstractmethod
    def _specs(self) -> tuple[Spec, ...]:
        """Return what was asked for, task by task."""

    # ---- the grid

    @property
    def size(self) -> int:
        """The number of points of the full grid, however large; `where` and `sample` do not change it."""
        return self._points().size

    def __len__(self) -> int:
        """The number of points of the full grid; `size` has it where it is above `sys.maxsize`."""
        return self.size

    def __bool__(self) -> bool:
        return True  # a grid has at least one point; `len` ends at sys.maxsize

    def __getitem__(self, index: SupportsIndex) -> Point:
        """Return point `index` of the full grid, counted from 0 (a negative one from the end).

        That takes no longer for a large index or a large grid.

        Raises:
            PointIndexError: it lies outside the grid.
        """
        return self._points()[checked_int(index, "the index of a point")]

    def __iter__(self) -> Iterator[Point]:
        """Go over the points that a loop would run, in its order, without running anything.

        A point at which a `where` raises is among them; its `command` raises the PointError.
        """
        points = self._points()
        route = Route(points)
        visited = (points[route.index(step)] for step in range(route.step_count))
        return (point for point in visited if point.admitted())

    def route(
        self, order: Order = "loop", seed: int = 0, shard: tuple[int, int] | None = None, start: int = 0
    ) -> Route:
        """Return the way of a loop through the points, without running anything.

        Step `i` of `range(route.first_step, route.step_count)` goes to the point `exp[route.index(i)]`, unless a
        `where` drops it. The arguments are those of `executable_loop`.
        """
        return Route(self._points(), order, seed, start, shard)

    def __add__(self, other: "Experiment") -> "TaskSum":
        """Put another experiment behind this one: one loop, one bar, one index space."""
        return TaskSum((*self._specs(), *other._specs())) if isinstance(other, Experiment) else NotImplemented

    def __radd__(self, other: int) -> "Experiment":
        """Begin a sum, so that `sum(tasks)` is one sweep."""
        return self if other == 0 else NotImplemented

    def _points(self) -> Points:
        return Points(self._specs())

    # ---- running it

    def executable_loop(
        self,
        start: int = 0,
        use_tqdm: bool = True,
        *,
        max_workers: int | None = 1,
        output: OutputMode = "group",
        order: Order = "loop",
        seed: int = 0,
        shard: tuple[int, int] | None = None,
        slots: Mapping[str, Iterable[Value]] | None = None,
        retries: int = 0,
        retry_on: Reason | str | Iterable[Reason | str] | None = None,
        halt: str | None = None,
        journal: str | os.PathLike[str] | None = None,
        rerun: str | Iterable[str] | None = None,
        show_runs: bool = False,
        notices: bool = True,
        engine: EngineLike = "local",
        resources: Mapping[str, float] | None = None,
        on_lost: OnLost = "retry",
    ) -> ExecutableLoop:
        """Make the loop that hands out each point as an executable, for `for` and for `async for`.

        Args:
            start: the position to begin at, from 0: a place in the chosen order, counted before `where` drops
                points and over all shards. In the default order, and without samples, it is the index.
            use_tqdm: show a progress bar on stderr.
            max_workers: how many commands run at once; above 1, `execute` of a plain loop returns at once. None is as
                many as the engine has room for; "local" has as much as there are CPUs.
            output: with several workers, "group" writes all of a run as one block when it is over, "line"
                writes its lines as they come, each behind the run's index.
            order: "loop" is the order of the builder's calls, "shuffle" a random one, "interleave" runs every
                point once before any point of a `repeat` runs again. The last two keep drift (a machine that
                warms up) from looking like an effect.
            seed: which random order; the same seed gives the same one everywhere.
            shard: (k, n) runs part k of n, k from 0: every n-th position of the order. Together the n parts run
                every point once.
            slots: variables and their values, one value per slot: `{"CUDA_VISIBLE_DEVICES": ["0", "1"]}`, or what
                `gpu_slots` and `cpu_slots` return. A run has the values of its slot, and no two runs at a time share a
                slot. With fewer slots than `max_workers`, the slots decide.
            retries: how often a run that did not succeed is tried again.
            retry_on: for which reasons: statuses, exit codes (-N for signal N), regular expressions on the last
                64 KiB of output; one or a list. None is "failed", "timed_out" and "lost". Before each
                further attempt a run rests, up to half a second at first, then twice as long each time.
            halt: when to give up: "now,fail=1", "soon,fail=3", "soon,fail=10%", "now,success=1". "now" stops what
                is running, "soon" lets it end; fail counts all that did not succeed; a percentage is one of the
                points of this loop. The loop then ends as it does after its last point. None is never.
            journal: a folder where every run is recorded, with its output. Runs that it knows, by their content, are
                not run again: a sweep that was stopped goes on where it was. None records nothing.
            rerun: which runs that the journal knows run again: statuses, one or a list, or "all". None is all but
                "succeeded". What had not come to its end runs again in any case.
            show_runs: under the bar, on a terminal, a row for each running command: its index, its age, what tells it
                from the others, and the newest line of its output.
            notices: tell on stderr at once of a run that cannot be started or times out; False is for a body that
                tells it by itself. The summary at the end tells it in any case.
            engine: what runs the commands: "local" is this machine; "dask://host:8786", "dask-file:scheduler.json", a
                Client or a Cluster is Dask distributed; "srun" is the steps of a Slurm allocation that this program
                runs in, "sbatch" jobs of Slurm. Options of the Slurm command may follow: "sbatch --partition=gpu".
            resources: what each run takes of its worker, such as `{"GPU": 1}`, on engines other than "local". Of GPUs
                it has numbers of its own, in CUDA_VISIBLE_DEVICES.
            on_lost: what becomes of a run whose machine or worker is lost: "retry" repeats it, up to three times
                beside the `retries`, "fail" leaves it as it is, `lost`.

        Raises:
            ArgumentTypeError, ArgumentValueError: an argument makes no sense; nothing was started.
            JournalError: the journal cannot be used; the loop raises it, too, if it cannot be written.
            MissingExtraError: the engine needs a library that is not installed.
            EngineError: raised by the loop's first step: the engine cannot be reached, or cannot run what is asked for.
        """
        route = Route(self._points(), order, seed, start, shard)
        options = _options(
            route,
            use_tqdm,
            max_workers,
            output,
            slots,
            retries,
            retry_on,
            halt,
            journal,
            rerun,
            show_runs,
            notices,
            engine,
            resources,
            on_lost,
        )
        return ExecutableLoop(route, options)

    def as_completed(
        self,
        *,
        timeout: float | None = None,
        ostreams: Sequence[IO[Any]] | None = None,
        on_verbose: LineCallback | None = None,
        idle_timeout: float | None = None,
        grace: float = 5.0,
        check: bool = False,
        start: int = 0,
        use_tqdm: bool = True,
        max_workers: int | None = 1,
        output: OutputMode = "group",
        order: Order = "loop",
        seed: int = 0,
        shard: tuple[int, int] | None = None,
        slots: Mapping[str, Iterable[Value]] | None = None,
        retries: int = 0,
        retry_on: Reason | str | Iterable[Reason | str] | None = None,
        halt: str | None = None,
        journal: str | os.PathLike[str] | None = None,
        rerun: str | Iterable[str] | None = None,
        show_runs: bool = False,
        notices: bool = True,
        engine: EngineLike = "local",
        resources: Mapping[str, float] | None = None,
        on_lost: OnLost = "retry",
    ) -> CompletedRuns:
        """Run every point and hand out each executable when its run is over, in order of completion.

        For `for` and for `async for`. `on_verbose` is called in one thread of the loop's. With `check=True`
        the first run that does not succeed stops the others and raises RunFailed. The arguments are those
        of `executable_loop` and of `TaskExecutable.execute`; here `timeout` is None, no limit, by default.
        """
        route = Route(self._points(), order, seed, start, shard)
        options = _options(
            route,
            use_tqdm,
            max_workers,
            output,
            slots,
            retries,
            retry_on,
            halt,
            journal,
            rerun,
            show_runs,
            notices,
            engine,
            resources,
            on_lost,
        )
        return CompletedRuns(route, options, execute_options(timeout, ostreams, on_verbose, idle_timeout, grace, check))

    def run(
        self,
        *,
        timeout: float | None = None,
        ostreams: Sequence[IO[Any]] | None = None,
        on_verbose: LineCallback | None = None,
        idle_timeout: float | None = None,
        grace: float = 5.0,
        check: bool = False,
        start: int = 0,
        use_tqdm: bool = True,
        max_workers: int | None = 1,
        output: OutputMode = "group",
        order: Order = "loop",
        seed: int = 0,
        shard: tuple[int, int] | None = None,
        slots: Mapping[str, Iterable[Value]] | None = None,
        retries: int = 0,
        retry_on: Reason | str | Iterable[Reason | str] | None = None,
        halt: str | None = None,
        journal: str | os.PathLike[str] | None = None,
        rerun: str | Iterable[str] | None = None,
        show_runs: bool = False,
        notices: bool = True,
        engine: EngineLike = "local",
        resources: Mapping[str, float] | None = None,
        on_lost: OnLost = "retry",
    ) -> list[RunResult]:
        """Run every point; returns the results in the order of their indices. See `as_completed`.

        With a journal, the recorded results of the runs that it knows are among them.
        """
        route = Route(self._points(), order, seed, start, shard)
        options = _options(
            route,
            use_tqdm,
            max_workers,
            output,
            slots,
            retries,
            retry_on,
            halt,
            journal,
            rerun,
            show_runs,
            notices,
            engine,
            resources,
            on_lost,
        )
        execute = execute_options(timeout, ostreams, on_verbose, idle_timeout, grace, check)
        with CompletedRuns(route, options, execute, lists_recorded=True) as completed:
            results = [executable.result for executable in completed]
        return sorted([*results, *completed.recorded_results()], key=lambda result: result.index)


class TaskSum(Experiment):
    """Tasks one behind the other, as `task_a + task_b` makes them; later calls of their builders do not change it.

    Args:
        specs: what was asked for, task by task.
    """

    def __init__(self, specs: tuple[Spec, ...]) -> None:
        self._summands = specs

    def _specs(self) -> tuple[Spec, ...]:
        return self._summands

    def __repr__(self) -> str:
        return f"<TaskSum of {len(self._summands)} tasks: {self.size} points>"


def _options(
    route: Route,
    use_tqdm: bool,
    max_workers: int | None,
    output: OutputMode,
    slots: object,
    retries: object,
    retry_on: object,
    halt: object,
    journal: object,
    rerun: object,
    show_runs: bool,
    notices: bool,
    engine: EngineLike,
    resources: object,
    on_lost: object,
) -> LoopOptions:
    """Check what is said to a loop."""
    environs = checked_slots(slots, route.points.variables)
    retry, until = checked_retry(retries, retry_on, on_lost), checked_halt(halt)
    if rerun is not None and journal is None:
        raise ArgumentValueError("rerun without a journal has no effect; give journal='build/sweep'")
    again = checked_rerun(rerun)
    folder = checked_folder(journal)
    make_engine = engine_maker(engine, resources, environs[0] if environs else (), folder)
    secrets = {value for environ in environs for name, value in environ.items() if name in Secrets()}
    hidden = frozenset(secrets | route.points.secret_values) if journal is not None else frozenset[str]()
    return LoopOptions(
        use_tqdm, max_workers, output, environs, retry, until, folder, again, show_runs, notices, hidden, make_engine
    )
