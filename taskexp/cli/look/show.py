"""Show: all that is known of one run."""

import argparse
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from taskexp.cli.look.folder import add_folder, journal_folder
from taskexp.cli.text import write_out
from taskexp.plan.command import Command, quote
from taskexp.plan.secrets import HIDDEN
from taskexp.record.excerpt import last_lines, printable
from taskexp.record.journal.history import AnyRun, Attempt, History, read_history
from taskexp.record.journal.lock import Holder
from taskexp.record.journal.reader import RecordedRun
from taskexp.record.state import CUT_OFF, find_driver, find_pids
from taskexp.record.sweepjson import read_sweepjson
from taskexp.record.table import json_value, shown

EXAMPLE = "  taskexp show runs 3"

LAST_LINES = 10
"""How many lines of the output are shown."""

_MARGIN = 12


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a run and one of its attempts."""
    add_folder(parser)
    parser.add_argument("run", metavar="INDEX", help="the index of the run, or at least 6 digits of its id")
    parser.add_argument("--attempt", type=int, metavar="N", help="an earlier attempt; the last one if not given")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `show` takes."""
    add_run(parser)
    parser.add_argument("--json", action="store_true", help="write a JSON object")


def main(arguments: argparse.Namespace) -> int:
    """Write what is known of a run. Raises ArgumentValueError, JournalError."""
    folder = journal_folder(arguments)
    driver = find_driver(folder)
    history = read_history(folder, arguments.run)
    attempt = history.chosen(arguments.attempt)
    write_out(_json(history, attempt, driver) if arguments.json else _text(folder, history, attempt, driver))
    return 0


# ---- what is said


def describe(attempt: Attempt, driver: Holder | None) -> str:
    """Say how an attempt ended, or that it has not."""
    if isinstance(attempt.run, RecordedRun):
        return attempt.run.describe() + ("" if attempt.has_outcome else "; it will run again")
    return "running" if driver is not None else f"{CUT_OFF}: its driver died while it ran; it will run again"


def command_line(attempt: Attempt) -> str:
    """Write a line for a shell that repeats an attempt, in its folder and with what its slot gave it.

    A secret is taken from the variable of its name in that shell. The numbers of the run are set where the command
    names them.
    """
    run = attempt.run
    env = {**run.env, **_own_variables(run), **run.devices}
    secrets = frozenset(name for name, value in env.items() if value == HIDDEN)
    line = Command(tuple(run.argv), env, secrets=secrets).display() if run.argv else "# its command could not be made"
    return f"cd {quote(_folder(attempt))} && {line}"


def _own_variables(run: AnyRun) -> dict[str, str]:
    values = {"TASKEXP_INDEX": run.index, "TASKEXP_SLOT": run.slot, "TASKEXP_ATTEMPT": run.attempt}
    words = "\0".join(run.argv)
    return {name: str(value) for name, value in values.items() if value is not None and name in words}


def _folder(attempt: Attempt) -> str:
    return os.path.normpath(os.path.join(attempt.driver_folder, attempt.run.cwd or ""))


def _pid(run: AnyRun, driver: Holder | None) -> int | None:
    return run.pid if isinstance(run, RecordedRun) else find_pids(driver).get((run.index, run.attempt))


# ---- as text


def _text(folder: Path, history: History, attempt: Attempt, driver: Holder | None) -> str:
    run = attempt.run
    facts: dict[str, str | Sequence[str]] = {
        "index": f"{run.index}{_others(history)}",
        "id": run.id,
        "status": describe(attempt, driver),
        "attempt": _attempts(history, attempt, driver),
        "repeat": str(run.repeat),
        "params": [f"{name} = {_value(value)}" for name, value in run.params.items()],
        **(_course(run) if isinstance(run, RecordedRun) else {"since": f"{run.start_time:%Y-%m-%d %H:%M:%S}"}),
        "slot": _slot(run),
        "pid": str(_pid(run, driver) or ""),
        "folder": _folder(attempt),
        "log": str(run.log_path),
    }
    lines = [line for name, value in facts.items() for line in _lines(name, value)]
    output = [f"  {line}" for line in last_lines(run.log_path, LAST_LINES)]
    lines += ["", f"last lines of its output ({LAST_LINES} at most):", *output] if output else []
    return "\n".join([*lines, "", "to run it again:", f"  {command_line(attempt)}", *_missing(folder, attempt)]) + "\n"


def _lines(name: str, value: str | Sequence[str]) -> Iterable[str]:
    """Write a fact; one without a value is left out."""
    values = [value] if isinstance(value, str) else value
    names = [name, *[""] * len(values)]
    return [f"{name:{_MARGIN}}{printable(each)}" for name, each in zip(names, values, strict=False) if each]


def _course(run: RecordedRun) -> dict[str, str | Sequence[str]]:
    """Tell how an attempt that has ended went."""
    at_most = "at most " if run.max_rss_inherited else ""
    cpu = None if run.user_seconds is None else f"{run.user_seconds:.2f} s user, {run.system_seconds or 0:.2f} s system"
    return {
        "metrics": [f"{name} = {shown(value)}" for name, value in run.metrics.items()],
        "when": f"{run.start_time:%Y-%m-%d %H:%M:%S} to {run.end_time:%Y-%m-%d %H:%M:%S}",
        "duration": f"{run.duration.total_seconds():.3f} s",
        "CPU": cpu or "",
        "memory": "" if run.max_rss_bytes is None else f"{at_most}{run.max_rss_bytes / 2**20:.1f} MiB at its peak",
        "leaked": "it left processes behind, which were stopped" if run.leaked else "",
        "host": f"{run.host} (worker {run.worker})" if run.worker else run.host,
    }


def _others(history: History) -> str:
    ids = ", ".join(history.others)
    return f" (the newest with this index; there is also {ids}, from a grid of another shape)" if ids else ""


def _attempts(history: History, attempt: Attempt, driver: Holder | None) -> list[str]:
    """Name the attempt, and all of them if there are more."""
    number = str(attempt.run.attempt)
    if len(history.attempts) == 1:
        return [number]
    return [f"{number}, of these:", *(f"{each.run.attempt}: {describe(each, driver)}" for each in history.attempts)]


def _slot(run: AnyRun) -> str:
    devices = " ".join(f"{name}={value}" for name, value in run.devices.items())
    return "" if run.slot is None else f"{run.slot} ({devices})" if devices else str(run.slot)


def _value(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool | None) else str(value)


def _missing(folder: Path, attempt: Attempt) -> list[str]:
    """Warn of what the line to paste does not hold."""
    is_cut = any(HIDDEN in word for word in attempt.run.argv)
    notes = [f"  # {HIDDEN} stands for a secret that was not written down"] if is_cut else []
    stdin = _stdin(folder)
    return [*notes, f"  # it read {quote(stdin)}: add < {quote(stdin)}"] if stdin else notes


def _stdin(folder: Path) -> str | None:
    """Tell what every run reads, where the command line wrote it down."""
    try:
        table = read_sweepjson(folder)["table"]
        return str(table["stdin"]) if "stdin" in table else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


# ---- as JSON


def _json(history: History, attempt: Attempt, driver: Holder | None) -> str:
    run = attempt.run
    shown_run: dict[str, object] = {
        "index": run.index,
        "id": run.id,
        "others": list(history.others),
        "repeat": run.repeat,
        "attempt": run.attempt,
        "status": _status(attempt, driver),
        "description": describe(attempt, driver),
        "attempts": [{"attempt": each.run.attempt, "status": _status(each, driver)} for each in history.attempts],
        "params": run.params,
        "argv": run.argv,
        "env": run.env,
        "folder": _folder(attempt),
        "slot": run.slot,
        "devices": run.devices,
        "pid": _pid(run, driver),
        "log_path": str(run.log_path),
        "start_time": run.start_time.isoformat(),
        **(_json_course(run) if isinstance(run, RecordedRun) else {}),
        "last_lines": last_lines(run.log_path, LAST_LINES),
        "command": command_line(attempt),
    }
    return json.dumps(shown_run) + "\n"


def _json_course(run: RecordedRun) -> Mapping[str, object]:
    return {
        "end_time": run.end_time.isoformat(),
        "duration": run.duration.total_seconds(),
        "returncode": run.returncode,
        "error": run.error,
        "metrics": {name: json_value(value) for name, value in run.metrics.items()},
        "user_seconds": run.user_seconds,
        "system_seconds": run.system_seconds,
        "max_rss_bytes": run.max_rss_bytes,
        "max_rss_inherited": run.max_rss_inherited,
        "leaked": run.leaked,
        "host": run.host,
        "worker": run.worker,
    }


def _status(attempt: Attempt, driver: Holder | None) -> str:
    if isinstance(attempt.run, RecordedRun):
        return str(attempt.run.status)
    return "running" if driver is not None else CUT_OFF.replace(" ", "_")
