"""Printing: how texts and times are written so that a person can read them on a terminal."""

import re

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-_])")


def printable(text: str) -> str:
    """Take out what moves a cursor or colours a terminal; what else does not print becomes `?`."""
    plain = _ESCAPES.sub("", text).expandtabs()
    return plain if plain.isprintable() else "".join(char if char.isprintable() else "?" for char in plain)


def seconds_text(seconds: float) -> str:
    """Write a time as a person would: `0.3 s`, `42 s`, `3m05s`, `2h03m`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}m{rest:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"
