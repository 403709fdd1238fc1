"""Quoting: which characters of a command line stand for themselves, as a POSIX shell reads quotes and backslashes.

A line is marked once, one mark per character; words, braces and the removal of quotes all go by the marks.
"""

import re
from collections.abc import Iterator

from taskexp.words.errors import ArgumentValueError

PLAIN = "p"
"""Outside quotes: it may part words or begin braces."""
QUOTED = "q"
"""Within quotes or behind a backslash: it is text, whatever it is."""
SYNTAX = "s"
"""A quote or a backslash that quotes: it is taken away in the end."""
JOINT = "j"
"""A backslash and the end of its line: the line goes on in the next one."""

BLANKS = " \t\r\n"
"""What parts words."""
_SPECIAL = re.compile(r"""[\\'"]""")
_IN_DOUBLE_QUOTES = re.compile(r'[\\"]')
_CURE = "close it, or write a backslash in front of it if it is meant as text"


def mark(text: str, where: str) -> str:
    """Mark each character of a text. Raises ArgumentValueError where a quote is not closed."""
    marks: list[str] = []
    place = 0
    while found := _SPECIAL.search(text, place):
        marks.append(PLAIN * (found.start() - place))
        place = found.start()
        read = {"\\": _mark_escape, "'": _mark_single, '"': _mark_double}[text[place]]
        marks.append(read(text, place, where))
        place += len(marks[-1])
    return "".join([*marks, PLAIN * (len(text) - place)])


def unquote(text: str, where: str) -> str:
    """Take the quotes away, as a shell does with a word at the end."""
    return without(text, mark(text, where), SYNTAX + JOINT) if _SPECIAL.search(text) else text


def without(text: str, marks: str, taken: str) -> str:
    """Leave out the characters that have one of these marks."""
    return "".join(character for character, each in zip(text, marks, strict=True) if each not in taken)


def word_spans(text: str, marks: str, parting: str = BLANKS) -> Iterator[tuple[int, int]]:
    """Find where each word begins and ends; characters that part words belong to none."""
    begin = 0
    for place, (character, each) in enumerate(zip(text, marks, strict=True)):
        if each == PLAIN and character in parting:
            if begin < place:
                yield begin, place
            begin = place + 1
    if begin < len(text):
        yield begin, len(text)


def _mark_escape(text: str, place: int, where: str) -> str:
    if place + 1 == len(text):
        raise ArgumentValueError(rf"{where}: the backslash at the end quotes nothing; remove it, or write \\ for one")
    return JOINT * 2 if text[place + 1] == "\n" else SYNTAX + QUOTED


def _mark_single(text: str, place: int, where: str) -> str:
    end = text.find("'", place + 1)
    if end < 0:
        raise ArgumentValueError(f"{where}: the ' at {_shown(text, place)} is not closed; {_CURE}")
    return SYNTAX + QUOTED * (end - place - 1) + SYNTAX


def _mark_double(text: str, place: int, where: str) -> str:
    marks = [SYNTAX]
    begin = place + 1
    while found := _IN_DOUBLE_QUOTES.search(text, begin):
        marks.append(QUOTED * (found.start() - begin))
        begin = found.start() + 1
        if found.group() == '"':
            return "".join([*marks, SYNTAX])
        marks.append(_mark_escape_in_double(text[begin : begin + 1]))
        begin += 1
    raise ArgumentValueError(f'{where}: the " at {_shown(text, place)} is not closed; {_CURE}')


def _mark_escape_in_double(escaped: str) -> str:
    """Mark a backslash and what follows: in double quotes it quotes only what would be special there."""
    if escaped == "\n":
        return JOINT * 2
    return SYNTAX + QUOTED if escaped and escaped in '$`"\\' else QUOTED * 2


def _shown(text: str, place: int) -> str:
    return repr(text[place : place + 20] + ("..." if len(text) > place + 20 else ""))
