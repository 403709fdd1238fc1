"""Sweepfile: what may be said of a sweep, as a table of a TOML file has it, of arguments, or of a folder's record.

Everything that is asked for on the command line becomes such a table first, so that a file, an argument and a sweep
that goes on mean the same.
"""

import difflib
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from taskexp.words.errors import ArgumentTypeError, ArgumentValueError

Table: TypeAlias = Mapping[str, Any]

OPTIONS: Mapping[str, tuple[type, ...]] = {
    "max_workers": (int,),
    "jobs": (int,),
    "timeout": (int, float),
    "idle_timeout": (int, float),
    "grace": (int, float),
    "retries": (int,),
    "retry_on": (str, int, list),
    "halt": (str,),
    "slots": (dict,),
    "gpus": (str, list),
    "order": (str,),
    "seed": (int,),
    "shard": (str,),
    "start": (int,),
    "rerun": (str, list),
    "dir": (str,),
    "engine": (str,),
    "resources": (dict,),
    "on_lost": (str,),
    "tls_ca_file": (str,),
    "tls_cert": (str,),
    "tls_key": (str,),
}
"""How a sweep is run, and the types of what is said; `jobs` is `max_workers` in short."""

KEYS: Mapping[str, tuple[type, ...]] = {
    "command": (str,),
    "shell": (bool,),
    "live": (bool,),
    "cwd": (str,),
    "stdin": (str,),
    "secret_env": (list,),
    "fixed": (dict,),
    "args": (dict,),
    "switches": (list,),
    "env": (dict,),
    "zip": (list,),
    "metrics": (dict,),
    "repeat": (int, dict),
    "sample": (int, dict),
    "options": (dict,),
}
"""What is run."""

_TYPES = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


def read_sweepfile(path: Path) -> Table:
    """Read a sweep file. Raises ArgumentValueError or ArgumentTypeError, with the key that is wrong."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArgumentValueError(f"{path}: there is no such file; give a sweep file or a quoted command") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentValueError(f"{path}: cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:  # of numbers with thousands of digits, and deep lists, too
        raise ArgumentValueError(f"{path}: this is no TOML: {error}") from error
    return checked_table(table, str(path))


def checked_table(table: Table, source: str) -> Table:
    """Check the keys of a table and the types of what they say; options may stand among the other keys, too."""
    options = table.get("options", {})
    _check(table, {**KEYS, **OPTIONS}, source)
    _check(options, OPTIONS, f"{source}: [options]")
    if twice := [name for name in OPTIONS if name in table and name in options]:
        raise ArgumentValueError(f"{source}: {twice[0]!r} stands in [options] and outside; say it once")
    if "command" not in table:
        raise ArgumentValueError(f"{source}: 'command' is missing; add a line such as command = 'python train.py'")
    _check_values({**table, **options}, source)
    outside = {name: value for name, value in table.items() if name in OPTIONS}
    rest = {name: value for name, value in table.items() if name not in OPTIONS}
    return {**rest, "options": _with_workers({**outside, **options}, source)}


def _with_workers(options: Table, source: str) -> Table:
    if "jobs" in options and "max_workers" in options:
        raise ArgumentValueError(f"{source}: 'jobs' and 'max_workers' are the same; say one of them")
    return {("max_workers" if name == "jobs" else name): value for name, value in options.items()}


def _check(table: Table, known: Mapping[str, tuple[type, ...]], where: str) -> None:
    for name, value in table.items():
        if name not in known:
            raise ArgumentValueError(f"{where}: {name!r} is not known; {_guess(name, known)}")
        if not _is_one_of(value, known[name]):
            wanted = " or ".join(_TYPES[kind] for kind in known[name])
            raise ArgumentTypeError(f"{where}: {name!r} is {wanted}, not {value!r}")


def _check_values(table: Table, source: str) -> None:
    """Refuse tables and lists where a value stands: their keys would be taken for values."""
    variables = [
        (f"zip: {name!r}", value) for each in table.get("zip", ()) for name, value in _items(each, "zip", source)
    ]
    for key in ("fixed", "args", "env", "slots"):
        variables += [(f"{key}: {name!r}", value) for name, value in table.get(key, {}).items()]
    variables += [("gpus", table.get("gpus", "")), ("switches", table.get("switches", ""))]
    for where, value in variables:
        if where.startswith("slots") and not isinstance(value, list):
            raise ArgumentTypeError(f"{source}: {where} is a list, a value for each slot, not {value!r}")
        for each in cast("list[object]", value) if isinstance(value, list) else [value]:
            if isinstance(each, dict | list):
                raise ArgumentTypeError(f"{source}: {where} is a value or a list of values, not {value!r}")


def _items(axes: object, key: str, source: str) -> list[tuple[str, object]]:
    """List the axes of a zip, those of its variables, too."""
    if not isinstance(axes, dict):
        raise ArgumentTypeError(f"{source}: {key} is a list of tables, not of {axes!r}; begin each with [[{key}]]")
    named = cast("dict[str, object]", axes)
    env = named.get("env", {})
    if not isinstance(env, dict):
        raise ArgumentTypeError(f"{source}: {key}: 'env' is a table of lists, not {env!r}")
    return [*((name, value) for name, value in named.items() if name != "env"), *cast("dict[str, object]", env).items()]


def _is_one_of(value: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _guess(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"the keys are {', '.join(known)}"


def merged(table: Table, more: Table) -> Table:
    """Put what was said later on top of a table: options, variables and metrics by their names, all else as a whole."""
    result = dict(table)
    for name, value in more.items():
        below = result.get(name)
        if isinstance(value, dict) and isinstance(below, dict) and name in ("options", "env", "metrics"):
            result[name] = {**cast("Table", below), **cast("Table", value)}
        else:
            result[name] = value
    return result
