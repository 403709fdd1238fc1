"""Counting: how numbers of things are said."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Say how many there are of something: `1 run`, `2 runs`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
