"""Run: a sweep that is given as a quoted command, or as a file."""

import argparse

from taskexp.cli.arguments import add_sweep_arguments, sweep_of
from taskexp.cli.conduct import add_showing_arguments, conduct, showing_of
from taskexp.cli.plan import write_commands

EXAMPLE = """\
  taskexp run -j 4 --timeout 600 'python train.py --lr {1e-3,1e-4} --seed {1..5} {--amp,}'

The journal is kept under .taskexp/ in this folder. The same command finds it again and goes on where it was."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--dir", metavar="DIR", help="the folder of the journal (default: .taskexp/NAME)")
    parser.add_argument("--dry-run", action="store_true", help="write the commands, and run none")
    add_showing_arguments(parser)
    add_sweep_arguments(parser)


def main(namespace: argparse.Namespace) -> int:
    """Run the sweep; see `taskexp.cli.main` for the exit code."""
    sweep = sweep_of(namespace)
    if namespace.dry_run:
        return write_commands(sweep, as_json=namespace.json)
    return conduct(sweep, sweep.folder, showing_of(namespace))
