"""TaskExp turns a parameter sweep of command lines into one loop."""

from taskexp.loop.executable import AsyncTaskExecutable, TaskExecutable
from taskexp.loop.loop import CompletedRuns, ExecutableLoop
from taskexp.plan.grid import Point
from taskexp.record.logfile import create_log_fd
from taskexp.task import Task
from taskexp.words.errors import (
    ArgumentTypeError,
    ArgumentValueError,
    ExecutableStateError,
    PointError,
    PointIndexError,
    RunFailed,
    TaskExpError,
)
from taskexp.words.outcome import RunResult, Status

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "AsyncTaskExecutable",
    "CompletedRuns",
    "ExecutableLoop",
    "ExecutableStateError",
    "Point",
    "PointError",
    "PointIndexError",
    "RunFailed",
    "RunResult",
    "Status",
    "Task",
    "TaskExecutable",
    "TaskExpError",
    "create_log_fd",
]
