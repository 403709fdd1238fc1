"""Provenance: who drives a sweep: the script, the commit, the machine, the versions."""

import os
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from taskexp.plan.secrets import without_secret_options, without_secrets
from taskexp.run.identity import Identity, own_identity
from taskexp.run.process import capture

_GIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is known of this process and what it runs.

    Args:
        driver: which process it is.
        script: the file that runs, None in an interactive session.
        arguments: its arguments; the values of options that are called like a secret are hidden.
        cwd: the folder it runs in.
        git_commit: the commit of the script's folder, None without one.
        git_dirty: whether there are changes on top of it, None if nobody knows.
        python: the version of Python.
    """

    driver: Identity
    script: str | None
    arguments: tuple[str, ...]
    cwd: str
    git_commit: str | None
    git_dirty: bool | None
    python: str

    @property
    def git(self) -> str:
        """The state of the code in words."""
        return git_state(self.git_commit, self.git_dirty)


def git_state(commit: str | None, dirty: bool | None) -> str:
    """Say in words at which commit code is, and whether there are changes on top of it, None if nobody knows."""
    if commit is None:
        return "(none)"
    return commit + {None: " (changes unknown)", True: " with uncommitted changes", False: ""}[dirty]


def find_provenance(secret_values: Collection[str] = ()) -> Provenance:
    """Look who drives; asks git, for `_GIT_SECONDS` at the most.

    Args:
        secret_values: what is hidden in the arguments, beside what is called like a secret.
    """
    arguments = [without_secrets(word, secret_values) for word in without_secret_options(sys.argv[1:])]
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    script = os.path.abspath(main) if main else None
    commit, dirty = _git_state(os.path.dirname(script) if script else os.getcwd())
    return Provenance(
        driver=own_identity(),
        script=script,
        arguments=tuple(arguments),
        cwd=os.getcwd(),
        git_commit=commit,
        git_dirty=dirty,
        python=sys.version.split()[0],
    )


def _git_state(folder: str) -> tuple[str | None, bool | None]:
    if not Path(folder).is_dir():
        return None, None
    commit = capture(["git", "rev-parse", "HEAD"], folder, _GIT_SECONDS)
    if commit is None:
        return None, None
    changes = capture(
        ["git", "--no-optional-locks", "status", "--porcelain", "--untracked-files=no"], folder, _GIT_SECONDS
    )
    return commit.strip(), None if changes is None else bool(changes)
