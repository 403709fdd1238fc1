"""Arguments: the options that several commands share, and the table that they say."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taskexp.cli.sweep import Sweep
from taskexp.cli.sweepfile import OPTIONS, Table, checked_table, merged, read_sweepfile
from taskexp.words.errors import ArgumentValueError

_ORDERS = ("loop", "shuffle", "interleave")


def add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which sweep it is, and how it is run."""
    parser.add_argument(
        "sweep",
        metavar="COMMAND|FILE.toml",
        help="the command as one quoted word, with the braces of bash: {a,b}, {1..5}, {01..10..3}, {--flag,}; or a "
        "sweep file",
    )
    what = parser.add_argument_group("what is run")
    what.add_argument("--shell", action="store_const", const=True, help="run each command by /bin/sh")
    what.add_argument("--env", type=_named_values, action="append", metavar="NAME=A,B", help="loop over a variable")
    what.add_argument("--repeat", type=int, metavar="N", help="run each point N times")
    what.add_argument("--sample", type=int, metavar="N", help="run N points drawn at random")
    what.add_argument("--cwd", metavar="DIR", help="the folder that every run starts in")
    what.add_argument("--stdin", metavar="FILE", help="what every run reads (default: nothing)")
    what.add_argument("--live", action="store_const", const=True, help="ask Python programs not to buffer their output")
    what.add_argument("--secret-env", action="append", metavar="NAME", help="a variable that holds a secret")
    what.add_argument(
        "--metric", type=_named_text, action="append", metavar="NAME=REGEX", help="read a number from the output"
    )
    add_loop_arguments(parser)


def add_loop_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says how a sweep is run."""
    how = parser.add_argument_group("how it is run")
    how.add_argument("-j", "--max-workers", "--jobs", type=int, metavar="N", help="N at once (default: 1, or as slots)")
    how.add_argument("--timeout", type=_number, metavar="SECONDS", help="stop a run after so long")
    how.add_argument("--idle-timeout", type=_number, metavar="SECONDS", help="stop a run that is silent for so long")
    how.add_argument("--grace", type=_number, metavar="SECONDS", help="between SIGTERM and SIGKILL (default: 5)")
    how.add_argument("--retries", type=int, metavar="N", help="try a run that did not succeed N times again")
    how.add_argument(
        "--retry-on",
        action="append",
        type=_reason,
        metavar="WHY",
        help="a status, an exit code or a regex on the output",
    )
    how.add_argument("--halt", metavar="WHEN", help="when to give up: now,fail=1 soon,fail=10%% now,success=1")
    how.add_argument("--slots", type=_named_values, action="append", metavar="NAME=A,B", help="a value for each slot")
    how.add_argument("--gpus", metavar="auto|LIST", help="a GPU of its own for each run")
    where = parser.add_argument_group("where it is run")
    where.add_argument(
        "--engine",
        metavar="ENGINE",
        help="local (default), dask://HOST:PORT, dask-file:SCHEDULER.json, srun, sbatch; options of the Slurm command "
        "may follow in the same word: 'sbatch --partition=gpu'",
    )
    where.add_argument(
        "--resources", type=_amounts, metavar="NAME=N,...", help="what each run takes of its worker: GPU=1,CPU=4"
    )
    where.add_argument("--on-lost", choices=("retry", "fail"), help="when a machine is lost (default: retry)")
    where.add_argument("--tls-ca-file", metavar="PEM", help="whom to trust at a Dask scheduler")
    where.add_argument("--tls-cert", metavar="PEM", help="the certificate to show it")
    where.add_argument("--tls-key", metavar="PEM", help="the key of that")
    how.add_argument("--order", choices=_ORDERS, help="in which order the points run (default: loop)")
    how.add_argument("--seed", type=int, metavar="N", help="which random order")
    how.add_argument("--shard", metavar="K/N", help="run part K of N, from 1")
    how.add_argument("--start", type=int, metavar="N", help="begin at position N of the order, from 0")
    how.add_argument(
        "--rerun",
        metavar="STATUSES|all",
        type=_listed,
        help="which runs run again (default: all but succeeded)",
    )


def sweep_of(namespace: argparse.Namespace) -> Sweep:
    """Make the sweep that was asked for. Raises ArgumentTypeError or ArgumentValueError."""
    said = _table_of(namespace)
    word: str = namespace.sweep
    if _names_file(word):
        file = Path(word)
        return Sweep(merged(read_sweepfile(file), said), str(file), file)
    return Sweep(checked_table({"command": word, **said}, "the command line"), "the command line")


def options_of(namespace: argparse.Namespace) -> Table:
    """Read how the sweep is to be run; only what was said."""
    options = {name: getattr(namespace, name, None) for name in OPTIONS}
    options["slots"] = _once("--slots", options["slots"] or [])
    return {name: value for name, value in options.items() if value is not None}


def _table_of(namespace: argparse.Namespace) -> Table:
    said: dict[str, Any] = {
        name: getattr(namespace, name) for name in ("shell", "live", "cwd", "stdin", "secret_env", "sample")
    }
    said["env"] = _once("--env", [(name, _one_or_all(values)) for name, values in namespace.env or ()])
    said["metrics"] = _once("--metric", namespace.metric or ())
    said["repeat"] = namespace.repeat
    return {**{name: value for name, value in said.items() if value is not None}, "options": options_of(namespace)}


def _once(option: str, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any] | None:
    """Make a table of what was said by name; None if nothing was."""
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ArgumentValueError(f"{option} {twice[0]} is given twice; give it once")
    return dict(pairs) or None


def _names_file(word: str) -> bool:
    return word.endswith(".toml") and (not re.search(r"[\s{]", word) or Path(word).is_file())


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def _named(text: str, what: str) -> tuple[str, str]:
    name, equals, rest = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return name, rest


def _named_text(text: str) -> tuple[str, str]:
    return _named(text, "NAME=REGEX")


def _named_values(text: str) -> tuple[str, list[str]]:
    name, rest = _named(text, "NAME=A,B")
    return name, [value.replace("\\,", ",") for value in re.split(r"(?<!\\),", rest)]


def _amounts(text: str) -> dict[str, float]:
    named = [_named(word, "NAME=N") for word in text.split(",")]
    return {name: _number(amount) for name, amount in named}


def _number(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _reason(text: str) -> int | str:
    return int(text) if re.fullmatch(r"-?\d+", text, re.ASCII) else text


def _listed(text: str) -> str | list[str]:
    return text if text == "all" else [word.strip() for word in text.split(",")]


_amounts.__name__ = "list such as GPU=1,CPU=4"
_number.__name__ = "number of seconds"  # argparse names the function in its message
