"""Main: what was typed, brought to the command that does it; and how the program ends.

Exit codes: 0 all is well, 1 some run failed or something could not be written, 2 wrong use, 130 interrupted, 129, 131
and 143 after SIGHUP, SIGQUIT and SIGTERM. Only the module of the command that was asked for is loaded, so that `--help`
and a typing error are answered at once.
"""

import os
import sys

from taskexp.cli.parser import make_parser

FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows the program's name; None is what was typed.

    Returns:
        The exit code.
    """
    _open_missing_streams()
    words = sys.argv[1:] if arguments is None else arguments
    try:
        return _answer(words)
    except KeyboardInterrupt:
        return INTERRUPTED


def _answer(words: list[str]) -> int:
    """Do what was asked for, and say what is wrong with it on stderr."""
    parser = make_parser(words)
    namespace, unknown = parser.parse_known_args(words)
    if unknown:
        is_unquoted = "sweep" in namespace and not unknown[0].startswith("-")
        cure = "; the command is one word: put quotes around it" if is_unquoted else ""
        parser.error(f"not known: {' '.join(unknown)}{cure}")
    from taskexp.cli.text import divert, say
    from taskexp.words.errors import TaskExpError

    try:
        code: int = namespace.main(namespace)
        sys.stdout.flush()
    except TaskExpError as error:
        say(f"taskexp: error: {error}")
        return WRONG_USE
    except BrokenPipeError:  # whoever read us has seen enough
        divert(sys.stdout)
        return 0
    except OSError as error:
        divert(sys.stdout)
        say(f"taskexp: error: what was asked for cannot be written or read: {error}")
        return FAILED
    return code


def _open_missing_streams() -> None:
    """Put /dev/null in the place of a standard stream that was closed, so that no file of ours gets its number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115 - as long as we live
