"""Resume: a sweep that was stopped goes on."""

import argparse
import os

from taskexp.cli.arguments import add_loop_arguments, options_of
from taskexp.cli.conduct import add_showing_arguments, conduct, showing_of
from taskexp.cli.look.folder import add_folder, journal_folder
from taskexp.cli.plan import write_commands
from taskexp.cli.recall import recall, with_options
from taskexp.cli.sweepfile import Table
from taskexp.plan.command import quote
from taskexp.words.errors import JournalError

EXAMPLE = """\
  taskexp resume .taskexp/python-train.py-1a2b3c4d

It runs as it was started; options that are given here count instead of those that were given then. Of a folder that
somebody else gave you, look first at what it would run: --dry-run writes the commands."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_folder(parser)
    parser.add_argument("--dry-run", action="store_true", help="write the commands of the sweep, and run none")
    add_showing_arguments(parser)
    add_loop_arguments(parser)


def main(namespace: argparse.Namespace) -> int:
    """Go on with the sweep."""
    if namespace.dry_run:
        sweep, cwd = recall(journal_folder(namespace))
        print(f"cd {quote(cwd)}")
        return write_commands(with_options(sweep, options_of(namespace)), as_json=namespace.json)
    return go_on(namespace, options_of(namespace))


def go_on(namespace: argparse.Namespace, options: Table) -> int:
    """Run what is left of a recorded sweep, in the folder that it was started in."""
    folder = journal_folder(namespace)
    sweep, cwd = recall(folder)
    try:
        os.chdir(cwd)
    except OSError as error:
        raise JournalError(f"{folder}: the sweep was started in {cwd}, which is not there: {error.strerror}") from error
    return conduct(with_options(sweep, options), folder, showing_of(namespace))
