"""Recall: what was asked for stays in the journal's folder, so that going on needs nothing but the folder.

The values of secrets are not written. A variable that has one value is taken from the environment when the sweep goes
on; of what else a secret was part the command has to be given again.
"""

import json
import os
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from taskexp.cli.sweep import JOURNALS, Sweep
from taskexp.cli.sweepfile import Table, checked_table
from taskexp.plan.secrets import HIDDEN, Secrets, checked_secrets, without_secrets
from taskexp.record.sweepjson import FILE_NAME, read_sweepjson
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError, JournalError
from taskexp.words.version import __version__

_FORMAT = 1


def remember(sweep: Sweep, folder: Path) -> None:
    """Write what was asked for into the folder of the journal. Raises JournalError."""
    table, is_whole = _without_secrets(sweep)
    written = {
        "format": _FORMAT,
        "taskexp": __version__,
        "cwd": os.getcwd(),
        "source": sweep.source,
        "file": None if sweep.file is None else str(sweep.file.absolute()),
        "points": sweep.task.route().step_count,
        "is_whole": is_whole,
        "table": table,
    }
    try:
        if folder.parent.name == JOURNALS.name and not (ignore := folder.parent / ".gitignore").exists():
            ignore.write_text("*\n")
        _replace(folder / FILE_NAME, json.dumps(written, indent=1) + "\n")
    except OSError as error:
        raise JournalError(
            f"{folder / FILE_NAME} cannot be written: {error.strerror}; make room, or use another folder by --dir"
        ) from error


def recall(folder: Path) -> tuple[Sweep, str]:
    """Read what was asked for, and the folder that it was started in.

    Raises:
        JournalError: nobody wrote it down, or it cannot be read.
        ArgumentTypeError, ArgumentValueError: it makes no sense, or a secret is missing.
    """
    path = folder / FILE_NAME
    try:
        written = read_sweepjson(folder)
        if written["format"] != _FORMAT:
            raise JournalError(f"{path}: it was written by another TaskExp ({written['taskexp']}); use that one")
        table, file = checked_table(_with_secrets(written, path), str(path)), written["file"]
        return Sweep(table, str(written["source"]), None if file is None else Path(file)), str(written["cwd"])
    except FileNotFoundError:
        raise JournalError(
            f"{folder}: no sweep of the command line is recorded here (there is no {FILE_NAME}); "
            "a sweep of a script goes on when the script is started again"
        ) from None
    except (ArgumentTypeError, ArgumentValueError):
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise JournalError(f"{path}: it cannot be read: {error}; give the command again") from error


def with_options(sweep: Sweep, options: Table) -> Sweep:
    """Say more of how a sweep is to be run."""
    return replace(sweep, table={**sweep.table, "options": {**sweep.options, **options}})


def _without_secrets(sweep: Sweep) -> tuple[Table, bool]:
    """Take the values of secrets out of what was asked for; also tells whether it can be had again as a whole."""
    table = sweep.table
    secrets = checked_secrets(table.get("secret_env"))
    env = {name: None if name in secrets else value for name, value in _table(table, "env").items()}
    is_whole = all(isinstance(_table(table, "env")[name], str | int | float) for name in env if env[name] is None)
    options = {name: value for name, value in sweep.options.items() if name not in ("dir", "rerun")}
    rest = {**table, "env": {}, "options": options}
    values = sweep.secret_values | _values_in([*_named(table), *_named(options)], secrets)
    hidden = cast("dict[str, Any]", _hidden(rest, values))
    return {**hidden, "env": env} if env else hidden, is_whole and hidden == rest


def _named(table: Table) -> list[Table]:
    """List the tables of variables that stand beside `env`."""
    zips = [_table(cast(Table, each), "env") for each in table.get("zip", ())]
    return [*zips, _table(table, "slots")]


def _values_in(tables: Collection[Table], secrets: Secrets) -> set[str]:
    return {str(value) for table in tables for name in table if name in secrets for value in table[name]}


def _hidden(said: Any, values: Collection[str]) -> Any:
    """Write `HIDDEN` for secrets wherever they stand; one that is a whole value may be as short as it likes."""
    if isinstance(said, dict):
        return {name: _hidden(value, values) for name, value in cast("dict[str, Any]", said).items()}
    if isinstance(said, list):
        return [_hidden(each, values) for each in cast("Iterable[Any]", said)]
    if str(said) in values:
        return HIDDEN
    return without_secrets(said, values) if isinstance(said, str) else said


def _table(table: Table, name: str) -> Table:
    return cast("Mapping[str, Any]", table.get(name, {}))


def _with_secrets(written: Mapping[str, Any], path: Path) -> Table:
    """Take the values of secrets from the environment."""
    table = cast("dict[str, Any]", written["table"])
    env = _table(table, "env")
    if not written["is_whole"]:
        raise ArgumentValueError(f"{path}: a part of the sweep is secret and was not written; give the command again")
    if missing := [name for name, value in env.items() if value is None and name not in os.environ]:
        raise ArgumentValueError(
            f"{path}: the value of {missing[0]} is a secret and was not written; set it in the environment"
        )
    return {**table, "env": {name: os.environ[name] if value is None else value for name, value in env.items()}}


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole, or leave it as it was."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
