"""Names: everything that is public, loaded together when the first of it is asked for."""

from taskexp.experiment import TaskSum
from taskexp.loop.executable import AsyncTaskExecutable, TaskExecutable
from taskexp.loop.loop import CompletedRuns, ExecutableLoop
from taskexp.plan.point import Point
from taskexp.record.groups import Fold, Group, Groups
from taskexp.record.journal.reader import RecordedRun
from taskexp.record.logfile import create_log_fd
from taskexp.record.results import Results, open_results
from taskexp.run.devices import cpu_slots, gpu_slots
from taskexp.task import Task
from taskexp.words.errors import (
    ArgumentTypeError,
    ArgumentValueError,
    DeviceError,
    EngineError,
    ExecutableStateError,
    JournalError,
    MissingExtraError,
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
    "DeviceError",
    "EngineError",
    "ExecutableLoop",
    "ExecutableStateError",
    "Fold",
    "Group",
    "Groups",
    "JournalError",
    "MissingExtraError",
    "Point",
    "PointError",
    "PointIndexError",
    "RecordedRun",
    "Results",
    "RunFailed",
    "RunResult",
    "Status",
    "Task",
    "TaskExecutable",
    "TaskExpError",
    "TaskSum",
    "cpu_slots",
    "create_log_fd",
    "gpu_slots",
    "open_results",
]
