"""Recall: `sweep.json` in a journal's folder, so that going on needs nothing but the folder.

The values of secret variables are not written; whoever goes on has them in the environment.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from taskexp.cli.sweep import JOURNALS, Sweep
from taskexp.cli.sweepfile import Table, checked_table
from taskexp.plan.secrets import checked_secrets
from taskexp.words.errors import ArgumentValueError, JournalError
from taskexp.words.version import __version__

FILE_NAME = "sweep.json"
_FORMAT = 1


def remember(sweep: Sweep, folder: Path) -> None:
    """Write what was asked for into the folder of the journal, which is made if need be. Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.parent.name == JOURNALS.name and not (ignore := folder.parent / ".gitignore").exists():
        ignore.write_text("*\n")
    folder.mkdir(mode=0o700, exist_ok=True)
    written = {
        "format": _FORMAT,
        "taskexp": __version__,
        "cwd": os.getcwd(),
        "source": sweep.source,
        "file": None if sweep.file is None else str(sweep.file.absolute()),
        "points": sweep.route.step_count - sweep.route.first_step,
        "table": _without_secrets(sweep.table),
    }
    _replace(folder / FILE_NAME, json.dumps(written, indent=1) + "\n")


def recall(folder: Path) -> tuple[Sweep, str]:
    """Read what was asked for, and the folder that it was started in. Raises JournalError or ArgumentValueError."""
    path = folder / FILE_NAME
    try:
        written = json.loads(path.read_text())
        if written["format"] != _FORMAT:
            raise JournalError(f"{path}: it was written by another TaskExp ({written['taskexp']}); use that one")
        table, file = checked_table(written["table"], str(path)), written["file"]
        sweep = Sweep(_with_secrets(table, path), str(written["source"]), None if file is None else Path(file))
        return sweep, str(written["cwd"])
    except FileNotFoundError:
        raise JournalError(
            f"{folder}: no sweep of the command line is recorded here (there is no {FILE_NAME}); "
            "a sweep of a script goes on when the script is started again"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, ArgumentValueError):
            raise
        raise JournalError(f"{path}: it cannot be read: {error}; give the command again") from error


def with_options(sweep: Sweep, options: Table) -> Sweep:
    """Say more of how a sweep is to be run."""
    return replace(sweep, table={**sweep.table, "options": {**sweep.options, **options}})


def _without_secrets(table: Table) -> Table:
    secrets = checked_secrets(table.get("secret_env"))
    env = cast("Mapping[str, Any]", table.get("env", {}))
    shown = {name: None if name in secrets else value for name, value in env.items()}
    options = {name: value for name, value in table["options"].items() if name not in ("dir", "rerun")}
    return {**table, "options": options, **({"env": shown} if env else {})}


def _with_secrets(table: Table, path: Path) -> Table:
    env = cast("Mapping[str, Any]", table.get("env", {}))
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
