"""Command: one point rendered to what the system starts, and to the line that a person can paste."""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from taskexp.plan.secrets import HIDDEN, without_secrets

# Words that a shell takes for its own where a program should stand.
_RESERVED = frozenset(
    {"if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in", "function"}
    | {"time", "select", "coproc"}
)
# Variables that bash refuses to assign.
_READ_ONLY = frozenset(("UID", "EUID", "PPID", "BASHOPTS", "BASH_VERSINFO", "SHELLOPTS", "_"))
_ESCAPES = {"\\": r"\\", "'": r"\'", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Command:
    """One command, ready to be started.

    Args:
        argv: the program and its arguments; no shell is involved.
        env: variables added to the driver's environment.
        cwd: the folder to start in; None is the driver's.
        stdin: text, bytes or a path to read; None is /dev/null.
        secrets: which variables hold secrets, whose values are not displayed.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: str | None = None
    stdin: str | bytes | os.PathLike[str] | None = None
    secrets: frozenset[str] = frozenset()

    @property
    def displayed_env(self) -> dict[str, str]:
        """The added variables without the values of secrets."""
        return {name: HIDDEN if name in self.secrets else self.hide(value) for name, value in self.env.items()}

    def hide(self, text: str) -> str:
        """Take the values of secrets out of a text."""
        return without_secrets(text, [self.env[name] for name in self.secrets]) if self.secrets else text

    def display(self) -> str:
        """Write the command as one line for a shell: the added environment, then the words.

        For a secret stands the variable of that name in the shell that the line is pasted into.
        """
        assigned = {name: value for name, value in self.env.items() if _assignable(name)}
        others = {name: value for name, value in self.env.items() if name not in assigned}
        overlay = [f"{name}={self._shown(name, value)}" for name, value in assigned.items()]
        strange = [quote(f"{name}={self.displayed_env[name]}") for name in others]
        program, *arguments = map(self.hide, self.argv)
        words = [_quote_program(program), *map(quote, arguments)]
        return " ".join([*overlay, *(["env", "--", *strange] if strange else []), *words])

    def _shown(self, name: str, value: str) -> str:
        return f'"${name}"' if name in self.secrets else quote(self.hide(value))


def _assignable(name: str) -> bool:
    return _NAME.match(name) is not None and name not in _READ_ONLY


def _quote_program(word: str) -> str:
    """Quote the first word so that a shell takes it for a program, not for an assignment or a word of its own."""
    quoted = quote(word)
    return f"'{word}'" if quoted == word and ("=" in word or word in _RESERVED) else quoted


def quote(word: str) -> str:
    r"""Quote a word for a shell; one with control or invisible characters as `$'…'`.

    Bytes that must not reach a terminal as they are (an escape sequence in a parameter could clear the
    screen or hide text) are written in octal, so the line stays one line and still pastes into bash,
    zsh and ksh.
    """
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(map(_escape, word)) + "'"


def _escape(character: str) -> str:
    if (letter := _ESCAPES.get(character)) is not None:
        return letter
    if character.isprintable():
        return character
    # Octal: three digits at most, so that a hex digit that follows is never taken for part of it.
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))
