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
    "recipe": "write a batch script that starts Dask workers in a job of Slurm",
    "report": "make a page of a sweep: its runs as a table and as plots",
    "compare": "put two sweeps side by side, point by point",
    "serve": "show a sweep in a browser while it runs",
    "completion": "write the completion of this command line for a shell",
}

_PURPOSE = "Turns a parameter sweep of command lines into one loop."
_EXAMPLE = """\
example:
  taskexp run -j 4 --timeout 600 'python train.py --lr {1e-3,1e-4} --seed {1..5} {--amp,}'

`taskexp COMMAND --help` has the options and an example of each command.
"""

_FORM = argparse.RawDescriptionHelpFormatter  # examples keep their lines


def make_parser(asked: Collection[str]) -> argparse.ArgumentParser:
    """Make the parser.

    Args:
        asked: what was typed; of the commands, those that are among it have their arguments.
    """
    parser = argparse.ArgumentParser(
        "taskexp", description=_PURPOSE, epilog=_EXAMPLE, formatter_class=_FORM, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"taskexp {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(
            name, help=purpose, description=f"{purpose.capitalize()}.", formatter_class=_FORM, allow_abbrev=False
        )
        if name in asked:
            module = _load(name)
            command.epilog = f"example:\n{module.EXAMPLE}"
            module.add_arguments(command)
            command.set_defaults(main=module.main, make_whole_parser=partial(make_parser, COMMANDS))
    return parser


def _load(name: str) -> ModuleType:
    """Load the module of a command."""
    match name:
        case "run":
            import taskexp.cli.run as run

            return run
        case "plan":
            import taskexp.cli.plan as plan

            return plan
        case "resume":
            import taskexp.cli.resume as resume

            return resume
        case "rerun":
            import taskexp.cli.rerun as rerun

            return rerun
        case "status":
            import taskexp.cli.look.status as status

            return status
        case "show":
            import taskexp.cli.look.show as show

            return show
        case "logs":
            import taskexp.cli.look.logs as logs

            return logs
        case "results":
            import taskexp.cli.look.results as results

            return results
        case "recipe":
            import taskexp.cli.recipe as recipe

            return recipe
        case "report":
            import taskexp.cli.look.report as report

            return report
        case "compare":
            import taskexp.cli.look.compare as compare

            return compare
        case "serve":
            import taskexp.cli.look.serve as serve

            return serve
        case _:
            import taskexp.cli.completion as completion

            return completion
