"""Folder: which journal a command is to look at."""

import argparse
from pathlib import Path

from taskexp.record.journal.database import FILE_NAME, check
from taskexp.words.errors import JournalError

_MOST_NAMED = 20


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names a journal."""
    parser.add_argument("folder", metavar="DIR", help=f"the folder of a journal, or the {FILE_NAME} in it")


def journal_folder(arguments: argparse.Namespace) -> Path:
    """Return the folder of the journal that was asked for. Raises JournalError as `find_journal` does."""
    return find_journal(arguments.folder)


def find_journal(folder: str) -> Path:
    """Return the folder of a journal, however it was named.

    Raises:
        JournalError: there is none, or it cannot be read; journals in sub-folders are named.
    """
    path = Path(folder).absolute()
    if path.name == FILE_NAME and path.is_file():
        path = path.parent
    if not (path / FILE_NAME).exists() and (inside := _journals_in(path)):
        more = [f"and {len(inside) - _MOST_NAMED} more"] if len(inside) > _MOST_NAMED else []
        listed = "\n  ".join([*(str(Path(folder) / each) for each in inside[:_MOST_NAMED]), *more])
        raise JournalError(f"{folder}: there is no journal, but these are in its folders:\n  {listed}")
    check(path / FILE_NAME)
    return path


def _journals_in(path: Path) -> list[str]:
    """Name the folders in a folder that hold journals, the newest first."""
    try:
        found = [(each.stat().st_mtime, each.parent.name) for each in path.glob(f"*/{FILE_NAME}")]
    except OSError:
        return []
    return [name for _, name in sorted(found, reverse=True)]
