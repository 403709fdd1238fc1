"""Dashes: options whose values may begin with a dash, as columns do that are called like options: `--sort -loss`.

argparse takes such a word for an option. It is joined to the option before it, as `--sort=-loss`, unless it is an
option of the command itself.
"""

import argparse
import sys
from collections.abc import Collection, Sequence


def accept_dashes(parser: argparse.ArgumentParser, actions: Sequence[argparse.Action], names: Collection[str]) -> None:
    """Have a parser take words with a dash in front for the values of some of its options.

    Args:
        parser: the parser; it may be that of a subcommand.
        actions: all its options.
        names: those with such values, as `--sort`.
    """
    known = {"-h", "--help"} | {name for action in actions for name in action.option_strings}
    parse = parser.parse_known_args

    def parse_joined(args: Sequence[str] | None = None, namespace: object = None) -> object:
        return parse(joined(sys.argv[1:] if args is None else args, names, known), namespace)

    parser.parse_known_args = parse_joined  # type: ignore[method-assign, assignment]


def joined(words: Sequence[str], names: Collection[str], known: Collection[str]) -> list[str]:
    """Join the options of some names with the words after them that begin with a dash and are no known options."""
    result: list[str] = []
    for place, word in enumerate(words):
        if word == "--":
            return result + list(words[place:])
        is_value = word.startswith("-") and word.partition("=")[0] not in known and place > 0
        if is_value and words[place - 1] in names:
            result[-1] += f"={word}"
        else:
            result.append(word)
    return result
