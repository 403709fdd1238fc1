"""Diagnosis: why a command could not be started, in words.

The system says "No such file or directory" for a missing program, a missing folder and a missing
interpreter alike; a person needs to know which.
"""

import errno
import os
import shutil
from collections.abc import Mapping

from taskexp.plan.command import Command

_ARGUMENT_LIMIT_BYTES = 131_071  # MAX_ARG_STRLEN of Linux, less the NUL


def why_not_started(command: Command, env: Mapping[str, str], error: OSError) -> str:
    """Say what could not be started, the system's reason, and what to look at."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = _hint(command, env, error.errno or 0)
    return f"could not start {command.argv[0]!r}: {reason}" + (f" ({hint})" if hint else "")


def _hint(command: Command, env: Mapping[str, str], code: int) -> str:
    if command.cwd is not None and not os.path.isdir(command.cwd):
        kind = "is not a folder" if os.path.exists(command.cwd) else "does not exist"
        return f"the working directory {command.cwd!r} {kind}"
    if code == errno.E2BIG:
        return _longest(command, env)
    path = _find(command, env)
    if path is None:
        return f"no program {command.argv[0]!r} on PATH"
    if not os.path.exists(path):
        return f"the file {path!r} does not exist"
    if os.path.isdir(path):
        return f"{path!r} is a folder"
    if code in (errno.ENOENT, errno.EACCES) and (interpreter := _interpreter(path)) and os.access(path, os.X_OK):
        end = "; its #! line ends with a carriage return" if interpreter.endswith("\r") else ""
        return f"the interpreter {interpreter!r} of {path!r} cannot be run{end}"
    return {
        errno.EACCES: f"{path!r} is not executable; chmod +x makes it so",
        errno.ENOEXEC: f"{path!r} has no #! line and is no program for this machine",
        errno.ETXTBSY: f"{path!r} is open for writing in another process",
    }.get(code, "")


def _find(command: Command, env: Mapping[str, str]) -> str | None:
    program = command.argv[0]
    if os.sep in program:
        return os.path.join(command.cwd or "", program)
    return shutil.which(program, mode=os.F_OK, path=env.get("PATH"))


def _interpreter(path: str) -> str | None:
    """Read the interpreter from a script's #! line."""
    try:
        with open(path, "rb") as file:
            head = file.readline(256)
    except OSError:
        return None
    words = head[2:].strip(b" \t\n").split(None, 1) if head.startswith(b"#!") else []
    word = head[2:].strip(b" \t\n").split(b" ")[0] if words else b""
    return os.fsdecode(word) if word else None


def _longest(command: Command, env: Mapping[str, str]) -> str:
    words = [(f"argument {place}", os.fsencode(word)) for place, word in enumerate(command.argv)]
    words += [(f"variable {name}", os.fsencode(f"{name}={value}")) for name, value in env.items()]
    name, longest = max(words, key=lambda word: len(word[1]))
    if len(longest) > _ARGUMENT_LIMIT_BYTES:
        before = command.argv[int(name.split()[1]) - 1] if name.startswith("argument") else ""
        after = f", behind {before!r}," if before.startswith("-") else ""
        return f"{name}{after} is {len(longest)} bytes long; the limit is {_ARGUMENT_LIMIT_BYTES}"
    return f"arguments and environment are {sum(len(word) + 1 for _, word in words)} bytes together"
