"""Plan: what a sweep would run; nothing is started and nothing is written."""

import argparse
import json
from collections.abc import Iterator

from taskexp.cli.arguments import add_sweep_arguments, sweep_of
from taskexp.cli.sweep import Sweep
from taskexp.plan.point import Point
from taskexp.plan.secrets import without_secrets
from taskexp.words.counting import counted
from taskexp.words.errors import ArgumentValueError, PointError

EXAMPLE = "  taskexp plan 'gcc -O{0..3} {-g,} main.c'"
SHOWN = 3
"""How many commands are shown at each end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--json", action="store_true", help="one object with count, first and last")
    add_sweep_arguments(parser)


def main(namespace: argparse.Namespace) -> int:
    """Say how many runs there would be, and the first and the last of them."""
    sweep = sweep_of(namespace)
    sweep.check()
    steps = _steps(sweep)
    first, last = (_command(sweep, steps[0]), _command(sweep, steps[-1])) if steps else (None, None)
    if namespace.json:
        print(json.dumps({"count": _count(steps), "first": first, "last": last, "folder": str(sweep.folder)}))
        return 0
    print(f"{counted(_count(steps), 'run')}; {sweep.folder} is the journal's folder")
    for line in _lines(sweep, steps):
        print(f"  {line}")
    return 0


def write_commands(sweep: Sweep, *, as_json: bool) -> int:
    """Write every command of a sweep, in its order: a dry run. Raises ArgumentValueError."""
    if as_json:
        raise ArgumentValueError("--dry-run writes lines for people and shells; `taskexp plan --json` is for programs")
    sweep.check()
    for step in _steps(sweep):
        print(_command(sweep, step))
    return 0


def _steps(sweep: Sweep) -> range:
    return range(sweep.route.first_step, sweep.route.step_count)


def _count(steps: range) -> int:
    return max(0, steps.stop - steps.start)


def _lines(sweep: Sweep, steps: range) -> Iterator[str]:
    if _count(steps) <= 2 * SHOWN:
        yield from (_command(sweep, step) for step in steps)
        return
    yield from (_command(sweep, step) for step in steps[:SHOWN])
    yield "..."
    yield from (_command(sweep, step) for step in steps[-SHOWN:])


def _command(sweep: Sweep, step: int) -> str:
    return without_secrets(_display(sweep.route.points[sweep.route.index(step)]), sweep.secret_values)


def _display(point: Point) -> str:
    try:
        return point.command.display()
    except PointError as error:
        return f"# {error}"
