"""Line: one command line with bash's braces, read into a spec; each outermost group is a loop.

Words are split and quotes removed as a POSIX shell does it; there are no variables, no globs, no comments and no
operators. With a shell, the line is the shell's, and only its groups are read here.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from taskexp.plan.braces import Group, parse_braces
from taskexp.plan.parts import Kind
from taskexp.plan.quoting import BLANKS, JOINT, mark, unquote, without, word_spans
from taskexp.plan.spec import Spec
from taskexp.plan.values import Value, checked_text
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError

_WHERE = "the command line"
_OPERATOR = re.compile(r"\|[|&]?|&&?|;[;&]?|[()]|[0-9]*(?:<<<|<<-?|<>|<|>>|>\||>)|[0-9]*[<>]&(?:[0-9]+|-)?|&>>?")
_OPERATORS = "|&;()<>"
"""What parts words in a shell, beside blanks."""
_INT = re.compile("0|-?[1-9][0-9]{0,4000}")
_FLOAT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[-+][0-9]+)?")
_QUOTES = "'\"\\"
_CURE = "give the command to run, such as 'python train.py --lr {0.1,0.2}'"


@dataclass(frozen=True, slots=True)
class _Word:
    """One word as it was written, and its place in the line."""

    pieces: Sequence[str | Group]
    begin: int
    end: int

    @property
    def text(self) -> str | None:
        """What the word says, if it has no group."""
        return None if self._groups else "".join(unquote(str(piece), _WHERE) for piece in self.pieces)

    @property
    def option(self) -> str | None:
        """The word as the key of the one behind it, if it looks like an option."""
        text = self.text
        return text if text and re.match(r"--?[^-=][^=]*\Z", text) else None

    @property
    def lone_group(self) -> Group | None:
        """Its group, if it is nothing else."""
        return self._groups[0] if len(self.pieces) == len(self._groups) == 1 else None

    @property
    def joined_group(self) -> tuple[str, Group] | None:
        """The key that ends in "=" and the group, if that is all of the word."""
        match self.pieces:
            case [str(head), Group() as group] if re.fullmatch(r"[^=]+=", key := unquote(head, _WHERE)):
                return key, group
            case _:
                return None

    @property
    def key(self) -> str:
        """What its loops are called: `--shape` of `--shape={64,128}x{64,128}`, `-O` of `-O{1,2}`; "" for nothing."""
        head = unquote(self.pieces[0], _WHERE) if isinstance(self.pieces[0], str) else ""
        key, equals, _ = head.partition("=")
        return key if equals or re.match(r"-+[^-]", head) else ""

    @property
    def may_vanish(self) -> bool:
        """Whether there are alternatives that leave nothing of it, not even quotes."""
        return all(isinstance(piece, Group) and _has_nothing(piece) for piece in self.pieces)

    @property
    def _groups(self) -> list[Group]:
        return [piece for piece in self.pieces if isinstance(piece, Group)]


def with_line(spec: Spec, line: object) -> Spec:
    """Put the program, the constants and the loops of a command line in the place of the spec's program."""
    words = _read_line(_checked_line(line))
    spec = replace(spec, program=())
    key: str | None = None
    for number, (word, follower) in enumerate(zip(words, [*words[1:], None], strict=True)):
        if number and follower is not None and _is_key_of(word, follower):
            key = word.option
            continue
        spec = _with_word(spec, word, key)
        key = None
    return spec


def with_script(spec: Spec, line: object) -> Spec:
    """Add a command line behind the words of a shell: one word, in which the groups are loops."""
    text = _checked_line(line)
    pieces: list[str | tuple[str, Sequence[Value]]] = []
    done, before = 0, None
    for word in _words(text, mark(text, _WHERE), BLANKS + _OPERATORS):
        pieces.append(text[done : word.begin])
        follows = before is not None and text[before.end : word.begin].isspace() and _is_key_of(before, word)
        key = (before.option if before is not None and follows else word.key) or ""
        pieces += [piece if isinstance(piece, str) else (key, _raw_values(piece)) for piece in word.pieces]
        done, before = word.end, word
    return spec.with_template(list(_merged([*pieces, text[done:]])), is_script=True)


def typed(text: str) -> Value:
    """Make a number of a text, if the number is written as that very text."""
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and str(number := float(text)) == text:
        return number
    return text


def _checked_line(line: object) -> str:
    if not isinstance(line, str):
        raise ArgumentTypeError(f"{_WHERE} is a str, not {type(line).__name__}; a list of words goes to Task(...)")
    if not line.strip():
        raise ArgumentValueError(f"{_WHERE} is empty; {_CURE}")
    return checked_text(line, _WHERE)


def _read_line(line: str) -> list[_Word]:
    """Read the words of a command that no shell will see."""
    line = without(line, mark(line, _WHERE), JOINT)
    words = list(_words(line, mark(line, _WHERE), BLANKS))
    for written in (line[word.begin : word.end] for word in words):
        if _OPERATOR.fullmatch(written):
            raise ArgumentValueError(
                f"{_WHERE}: {written!r} is a shell's, and no shell runs the command; give shell=True / --shell, or "
                "quote it if the program is to be given it"
            )
    if not words or words[0].text == "" or all(word.may_vanish for word in words):
        raise ArgumentValueError(f"{_WHERE} is empty, or would be at one of its points; {_CURE}")
    return words


def _words(line: str, marks: str, parting: str) -> Iterator[_Word]:
    for begin, end in word_spans(line, marks, parting):
        yield _Word(parse_braces(line[begin:end], marks[begin:end], _WHERE), begin, end)


def _is_key_of(word: _Word, follower: _Word) -> bool:
    """Whether a word is an option and the one behind it, in every alternative, its value."""
    group = follower.lone_group
    return group is not None and word.option is not None and not _has_nothing(group)


def _with_word(spec: Spec, word: _Word, key: str | None) -> Spec:
    """Add a word, as the value of the key before it or by itself."""
    group = word.lone_group
    if (text := word.text) is not None:
        is_program = all(part.place.kind is Kind.ENV for part in spec.parts)
        return replace(spec, program=(*spec.program, text)) if is_program else spec.with_template([text])
    if joined := word.joined_group:
        key, group = joined
    if group is not None and (key is not None or not _has_quoted_nothing(group)):
        return spec.with_axis(key, _values(group))
    return _with_pieces(spec, word)


def _with_pieces(spec: Spec, word: _Word) -> Spec:
    """Add a word of texts and groups. None is an alternative that leaves nothing, where nothing else may be left."""
    nothing = None if word.may_vanish else ""
    return spec.with_template(
        [
            unquote(piece, _WHERE) if isinstance(piece, str) else (word.key, _values(piece, nothing))
            for piece in word.pieces
        ]
    )


def _values(group: Group, nothing: Value = "") -> Sequence[Value]:
    """Return the values of a group, quotes removed."""
    if isinstance(group.alternatives, range):
        return group.alternatives
    return tuple(typed(unquote(text, _WHERE)) if text else nothing for text in group.alternatives)


def _raw_values(group: Group) -> Sequence[Value]:
    """Return the values of a group as they were written: the shell removes the quotes."""
    if isinstance(group.alternatives, range):
        return group.alternatives
    return tuple(map(typed, group.alternatives))


def _has_nothing(group: Group) -> bool:
    return not isinstance(group.alternatives, range) and "" in group.alternatives


def _has_quoted_nothing(group: Group) -> bool:
    """Whether an alternative is an empty argument, as in `{'',a}`."""
    if isinstance(group.alternatives, range):
        return False
    return any(text[:1] in _QUOTES and not unquote(text, _WHERE) for text in group.alternatives if text)


def _merged(pieces: Sequence[str | tuple[str, Sequence[Value]]]) -> Iterator[str | tuple[str, Sequence[Value]]]:
    """Put texts that stand beside each other together."""
    for is_text, run in groupby(pieces, lambda piece: isinstance(piece, str)):
        if is_text:
            yield "".join(map(str, run))
        else:
            yield from run
