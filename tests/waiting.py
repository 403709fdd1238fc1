"""Waiting: for what comes to hold, with a generous bound."""

import time
from collections.abc import Callable

import pytest


def eventually(holds: Callable[[], object], otherwise: str | Callable[[], str], seconds: float = 10.0) -> None:
    """Wait for a condition with a generous bound; fail with `otherwise` when it never holds."""
    deadline = time.monotonic() + seconds
    while True:
        looked_at = time.monotonic()
        if holds():
            return
        looked_seconds = time.monotonic() - looked_at
        if time.monotonic() > deadline:
            pytest.fail(otherwise if isinstance(otherwise, str) else otherwise())
        time.sleep(max(0.005, 4 * looked_seconds))  # a look at all processes is dear, and others want the CPU
