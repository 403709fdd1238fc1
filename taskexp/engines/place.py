"""Place: what a command means by a folder, said so that it means the same elsewhere."""

import os
from dataclasses import replace
from pathlib import Path

from taskexp.plan.command import Command


def from_here(command: Command) -> Command:
    """Make the folder of a command, and the path that it reads, absolute: elsewhere it starts where it would here."""
    stdin = command.stdin
    if isinstance(stdin, os.PathLike):
        stdin = Path(os.path.abspath(stdin))
    return replace(command, cwd=os.path.abspath(command.cwd) if command.cwd else os.getcwd(), stdin=stdin)


def placed(command: Command) -> Command:
    """Leave out the folder of a command if this process is in it: it starts twice as fast so."""
    try:
        return replace(command, cwd=None) if command.cwd == os.getcwd() else command
    except FileNotFoundError:  # our own folder was deleted
        return command
