"""Secrets: which variables are passed to runs and never written, and how a text is kept free of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import cast

from taskexp.plan.parts import checked_env_name
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError

PATTERNS = (
    *("TOKEN", "*_TOKEN", "APIKEY", "*_APIKEY", "*_KEY", "*_PAT", "*_PASS"),
    *("*PASSWORD*", "*PASSWD*", "*PASSPHRASE*", "*SECRET*", "*CREDENTIAL*"),
)
"""Variables that hold a secret by their name, in capitals or not; `fnmatch` patterns."""

HIDDEN = "***"
"""What stands for a secret where nothing better can."""

SHORTEST = 6
"""A value of fewer characters is not looked for in other texts: it may stand there for something else."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Variables that hold secrets.

    Args:
        patterns: their names, or `fnmatch` patterns of them, beside the usual ones.
        spared: names or patterns of variables that hold none, although one of the usual patterns fits.
    """

    patterns: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        return _holds(self, name)


@lru_cache(maxsize=1000)
def _holds(secrets: Secrets, name: str) -> bool:
    if any(fnmatchcase(name, each) for each in secrets.spared):
        return False
    return any(fnmatchcase(name, each) for each in secrets.patterns) or any(
        fnmatchcase(name.upper(), each) for each in PATTERNS
    )


def checked_secrets(names: object) -> Secrets:
    """Check the names of variables that hold secrets, and with a "!" in front of those that hold none."""
    if names is None:
        return Secrets()
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise ArgumentTypeError(f"secret_env is a list of names of variables, not {names!r}; write ['HF_TOKEN']")
    checked = [checked_env_name(name, "secret_env") for name in cast("Iterable[object]", names)]
    if "!" in checked:
        raise ArgumentValueError("secret_env: '!' names no variable; write '!SORT_KEY' for one that holds no secret")
    spared = tuple(name[1:] for name in checked if name.startswith("!"))
    return Secrets(tuple(name for name in checked if not name.startswith("!")), spared)


def without_secrets(text: str, values: Iterable[str]) -> str:
    """Write `HIDDEN` for every one of the secret values in a text."""
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= SHORTEST:
            text = text.replace(value, HIDDEN)
    return text


def without_secret_options(arguments: Iterable[str]) -> list[str]:
    """Write `HIDDEN` for what is called like a secret: `--hf-token hf_...`, `--api-key=...`, `HF_TOKEN=...`."""
    shown: list[str] = []
    hides_next = False
    for word in arguments:
        option, equals, _ = word.partition("=")
        is_secret = option.lstrip("-").replace("-", "_") in Secrets() and (option.startswith("-") or equals != "")
        shown.append(HIDDEN if hides_next else f"{option}={HIDDEN}" if is_secret and equals else word)
        hides_next = is_secret and not equals
    return shown
