"""Logfile: a new log for an experiment, never the same file twice."""

import os
from datetime import datetime
from pathlib import Path
from typing import TextIO

from taskexp.plan.values import checked_text
from taskexp.record.provenance import find_provenance
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError
from taskexp.words.moment import local_now


def create_log_fd(name: str, basedir: str | os.PathLike[str]) -> TextIO:
    """Open a new log file `basedir/name/<time>.log`.

    The folders are made. The name holds the local time down to the microsecond and no ":"; a name that
    is taken, by this or another process, is never opened again. The head of the file tells when and
    where it was opened, by which script, and at which git commit.

    Args:
        name: the experiment's name, a folder (or folders, "a/b") under `basedir`.
        basedir: the folder that holds the logs of all experiments.

    Returns:
        A text stream in UTF-8, for the caller to close. What cannot be encoded is written as an escape.

    Raises:
        ArgumentTypeError, ArgumentValueError: the name is no str, is empty, or leads out of `basedir`.
        OSError: the folder or the file cannot be made.
    """
    if not isinstance(basedir, str | os.PathLike) or not isinstance(os.fspath(basedir), str):
        raise ArgumentTypeError(f"create_log_fd: basedir is the path of a folder, not {basedir!r}")
    folder = Path(basedir) / _checked_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        now = local_now()
        path = folder / f"{now:%Y-%m-%d_%H-%M-%S-%f}.log"
        try:
            log = path.open("x", encoding="utf-8", errors="backslashreplace", newline="\n")
        except FileExistsError:  # the clock has moved on by the next try
            continue
        log.write(_head(name, now))
        log.flush()
        return log


def _checked_name(name: object) -> str:
    if not isinstance(name, str):
        raise ArgumentTypeError(f"create_log_fd: the name is a str, not {type(name).__name__} ({name!r})")
    if not name or Path(name).is_absolute() or ".." in Path(name).parts or set(":\0") & set(name):
        raise ArgumentValueError(
            f"create_log_fd: {name!r} cannot name a folder under basedir; give a relative name without '..' and ':'"
        )
    return checked_text(name, "create_log_fd: the name")


def _head(name: str, now: datetime) -> str:
    provenance = find_provenance()
    facts = {
        "log": name,
        "time": now.isoformat(),
        "host": provenance.driver.host,
        "folder": provenance.cwd,
        "script": provenance.script or "(interactive)",
        "python": provenance.python,
        "git": provenance.git,
    }
    return "".join(f"# {key}: {value}\n" for key, value in facts.items()) + "\n"
