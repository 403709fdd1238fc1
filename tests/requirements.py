"""Requirements: what some tests need and not every machine has. CI names what it installs: there it must be there."""

import os
import shutil
from importlib.util import find_spec

import pytest

REQUIRED = os.environ.get("TESTS_REQUIRE", "").split()
"""What must be there: a test that needs it fails where it would be skipped elsewhere."""


def requires(*names: str) -> pytest.MarkDecorator:
    """Mark what needs commands on PATH or importable packages: it is skipped where one is missing."""
    return pytest.mark.requires(*names)


def is_there(name: str) -> bool:
    """Tell whether a command is on PATH, or a package can be imported."""
    return shutil.which(name) is not None or find_spec(name) is not None


def skip_without(what: str, why: str = "it is not on this machine") -> None:
    """Skip a test of what this machine has not, or fail it where that must be there."""
    if what in REQUIRED:
        pytest.fail(f"TESTS_REQUIRE has {what}: {why}", pytrace=False)
    pytest.skip(f"no {what}: {why}")
