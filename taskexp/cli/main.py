"""Main: what was typed, brought to the command that does it; and how the program ends.

Exit codes: 0 all is well, 1 some run failed, 2 wrong use, 130 interrupted, 143 terminated. Only the module of the
command that was asked for is loaded, so that `--help` and a typing error are answered at once.
"""

import os
import sys

from taskexp.cli.parser import make_parser

WRONG_USE = 2
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows the program's name; None is what was typed.

    Returns:
        The exit code.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        return _answer(words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read us has seen enough
        _silence()
        return 0


def _answer(words: list[str]) -> int:
    """Do what was asked for, and say what is wrong with it on stderr."""
    parser = make_parser(words)
    namespace, unknown = parser.parse_known_args(words)
    if unknown:
        cure = "; the command is one word: put quotes around it" if "sweep" in namespace else ""
        parser.error(f"not known: {' '.join(unknown)}{cure}")
    from taskexp.words.errors import TaskExpError

    try:
        code: int = namespace.main(namespace)
        sys.stdout.flush()
    except TaskExpError as error:
        return _refuse(str(error))
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        return _refuse(str(error))
    return code


def _refuse(why: str) -> int:
    print(f"taskexp: error: {why}", file=sys.stderr)
    return WRONG_USE


def _silence() -> None:
    """Let the interpreter's last flush find something that takes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
