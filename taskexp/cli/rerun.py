"""Rerun: recorded runs of a sweep run again."""

import argparse

from taskexp.cli.arguments import add_loop_arguments, options_of
from taskexp.cli.conduct import add_showing_arguments
from taskexp.cli.look.folder import add_folder
from taskexp.cli.resume import go_on
from taskexp.words.errors import ArgumentValueError

EXAMPLE = "  taskexp rerun .taskexp/python-train.py-1a2b3c4d --failed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_folder(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--failed", action="store_true", help="those that did not succeed")
    which.add_argument("--all", action="store_true", help="all of them")
    add_showing_arguments(parser)
    add_loop_arguments(parser)


def main(namespace: argparse.Namespace) -> int:
    """Run recorded runs again, and those that have not run yet."""
    chosen = "all" if namespace.all else namespace.rerun
    if not (chosen or namespace.failed):
        raise ArgumentValueError("rerun: nothing says which runs; give --failed, --all, or --rerun with statuses")
    if chosen and namespace.failed:
        raise ArgumentValueError("rerun: --failed and --rerun both say which runs; give one of them")
    options = {name: value for name, value in options_of(namespace).items() if name != "rerun"}
    return go_on(namespace, {**options, "rerun": chosen} if chosen else options)
