"""Secrets: which environment variables are passed to runs and never written."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import cast

from taskexp.plan.parts import checked_env_name
from taskexp.words.errors import ArgumentTypeError

PATTERNS = ("*_TOKEN", "*_KEY", "*PASSWORD*", "*PASSWD*", "*SECRET*", "*CREDENTIAL*")
"""Variables that hold a secret by their name, in capitals or not; `fnmatch` patterns."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Variables that hold secrets.

    Args:
        patterns: their names, or `fnmatch` patterns of them, beside the usual ones.
    """

    patterns: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        return any(fnmatchcase(name, each) for each in self.patterns) or any(
            fnmatchcase(name.upper(), each) for each in PATTERNS
        )


def checked_secrets(names: object) -> Secrets:
    """Check the names of variables that hold secrets."""
    if names is None:
        return Secrets()
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise ArgumentTypeError(f"secret_env is a list of names of variables, not {names!r}; write ['HF_TOKEN']")
    return Secrets(tuple(checked_env_name(name, "secret_env") for name in cast("Iterable[object]", names)))
