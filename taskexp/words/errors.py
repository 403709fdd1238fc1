"""The error tree: every error that TaskExp raises is a TaskExpError.

A mistake in how TaskExp is called is raised at that call, before anything starts. What happens to a
run is no error but a value (`outcome.RunResult`), unless the caller asks for `check=True`.
"""

from taskexp.words.outcome import RunResult


class TaskExpError(Exception):
    """The root of all errors that TaskExp raises."""


class ArgumentTypeError(TaskExpError, TypeError):
    """An argument has the wrong type; the message names the argument and the cure."""


class ArgumentValueError(TaskExpError, ValueError):
    """An argument has the right type and a wrong value; the message names both the argument and the cure."""


class DeviceError(TaskExpError, RuntimeError):
    """The devices that were asked for (`gpu_slots`, `cpu_slots`) are not to be had on this machine."""


class JournalError(TaskExpError):
    """A journal cannot be used or written: it is not ours, damaged, in use, or its disk is full."""


class MissingExtraError(TaskExpError, ImportError):
    """A library is missing that only this call needs; the message names the extra that installs it."""


class PointIndexError(TaskExpError, IndexError):
    """A point was asked for that lies outside the grid."""


class PointError(TaskExpError):
    """A function of the point (in `fixed`, `env`, `cwd` or `where`) failed at one point of the grid."""


class EngineError(TaskExpError, RuntimeError):
    """An engine cannot be reached, or cannot run what is asked for; the message says where, and the cure."""


class ExecutableStateError(TaskExpError, RuntimeError):
    """An executable or a loop was used out of turn: run twice, or read before it ran."""


class RunFailed(TaskExpError):
    """A run that was executed with `check=True` did not succeed.

    Args:
        result: what happened to the run; kept as the attribute `result`.
    """

    def __init__(self, result: RunResult) -> None:
        super().__init__(result)
        self.result = result

    def __str__(self) -> str:
        return f"run {self.result.index} {self.result.describe()}"
