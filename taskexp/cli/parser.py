"""Parser: the commands, and the arguments of the one that was asked for."""

import argparse
from collections.abc import Collection
from functools import partial
from types import ModuleType

from taskexp.words.version import __version__

COMMANDS = {
    "run": "run a sweep: a quoted command with braces, or a file",
    "plan": "say what a sweep would run, and run nothing",
    "resume": "go on with a sweep that was stopped",
    "rerun": "run recorded runs of a sweep again",
    "status": "say how far a sweep is",
    "show": "say all that is known of a run",
    "logs": "write what a run has printed",
    "results": "write the results of a sweep as a table",
    "completion": "write the completion of this command line for a shell",
}

_EXAMPLE = """\
example:
  taskexp run -j 4 --timeout 600 'python train.py --lr {1e-3,1e-4} --seed {1..5} {--amp,}'

`taskexp COMMAND --help` has the options and an example of each command.
"""


class Parser(argparse.ArgumentParser):
    """A parser that keeps the line breaks of its examples, and guesses no abbreviations.

    Args:
        prog: what was typed to get here.
        description: what the command does.
        epilog: an example.
    """

    def __init__(self, prog: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )


def make_parser(asked: Collection[str]) -> argparse.ArgumentParser:
    """Make the parser.

    Args:
        asked: what was typed; of the commands, those that are among it have their arguments.
    """
    parser = Parser("taskexp", "Turns a parameter sweep of command lines into one loop.", _EXAMPLE)
    parser.add_argument("--version", action="version", version=f"taskexp {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True, parser_class=_parser_of_command)
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose)
        if name in asked:
            module = _load(name)
            command.epilog = f"example:\n{module.EXAMPLE}"
            module.add_arguments(command)
            command.set_defaults(main=module.main, make_whole_parser=partial(make_parser, COMMANDS))
    return parser


def _parser_of_command(*, prog: str, **_: object) -> Parser:
    return Parser(prog, COMMANDS[prog.split()[-1]].capitalize() + ".", "")


def _load(name: str) -> ModuleType:
    """Load the module of a command."""
    match name:
        case "run":
            from taskexp.cli import run as module
        case "plan":
            from taskexp.cli import plan as module
        case "resume":
            from taskexp.cli import resume as module
        case "rerun":
            from taskexp.cli import rerun as module
        case "status":
            from taskexp.cli.look import status as module
        case "show":
            from taskexp.cli.look import show as module
        case "logs":
            from taskexp.cli.look import logs as module
        case "results":
            from taskexp.cli.look import results as module
        case _:
            from taskexp.cli import completion as module
    return module
