"""Label: the varying part of a command, for a line on a screen."""

from collections.abc import Callable, Iterator, Mapping

from taskexp.plan.command import quote
from taskexp.plan.parts import Axis, Kind, Place, Template
from taskexp.plan.secrets import HIDDEN
from taskexp.plan.spec import Spec
from taskexp.plan.values import Value, text_of


def write_label(spec: Spec, values: Mapping[str, Value], repeat: int, hide: Callable[[str], str]) -> str:
    """Write what the loops add to one command, in their order; "" if they add nothing.

    Args:
        spec: what was asked for.
        values: the point's values by name.
        repeat: the number of its repeat.
        hide: takes secrets out of a text.
    """
    words: list[str] = []
    for part in spec.parts:
        if isinstance(part, Template):
            words += _script_words(part, values, hide) if part.is_script else _template_words(part, values, hide)
        elif isinstance(part, Axis) and part.place.kind is Kind.REPEAT:
            words += [f"#{repeat}"] if _is_alone(part, spec) else []
        elif isinstance(part, Axis):
            words += _axis_words(part.place, values[part.place.name], hide)
    return " ".join(words)


def _axis_words(place: Place, value: Value, hide: Callable[[str], str]) -> list[str]:
    if place.kind is Kind.ENV:
        return [f"{quote(place.key)}={HIDDEN if place.is_secret else quote(hide(text_of(value)))}"]
    return [quote(hide(word)) for word in place.words(value)]


def _template_words(template: Template, values: Mapping[str, Value], hide: Callable[[str], str]) -> list[str]:
    return [quote(hide(word)) for word in template.words(values)] if template.axes else []


def _script_words(template: Template, values: Mapping[str, Value], hide: Callable[[str], str]) -> Iterator[str]:
    """Tell each loop of a script by its name, if its option gives it one; its text is quoted as the user did it."""
    for place in template.axes:
        text = hide(text_of(values[place.name]))
        shown = text if text.isprintable() else quote(text)
        if place.key:
            yield f"{place.name}={shown}"
        elif shown:
            yield shown


def _is_alone(repeat: Axis, spec: Spec) -> bool:
    """Whether no option tells the number of the repeat."""
    return sum(isinstance(part, Axis) and part.dimension == repeat.dimension for part in spec.parts) == 1
