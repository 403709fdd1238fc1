"""Completion: what a shell needs to complete this command line, made by shtab (extra `completion`)."""

import argparse

from taskexp.words.errors import MissingExtraError

EXAMPLE = """\
  taskexp completion bash > ~/.local/share/bash-completion/completions/taskexp"""
_SHELLS = ("bash", "zsh", "tcsh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("shell", choices=_SHELLS, help="for which shell")


def main(namespace: argparse.Namespace) -> int:
    """Write the completion. Raises MissingExtraError without shtab."""
    try:
        import shtab
    except ImportError as error:
        raise MissingExtraError("completion needs shtab; pip install 'taskexp[completion]'") from error
    print(shtab.complete(namespace.make_whole_parser(), namespace.shell))
    return 0
