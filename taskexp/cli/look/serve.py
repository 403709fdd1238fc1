"""Serve: the page of a sweep in a browser while it runs."""

import argparse
import sys

from taskexp.cli.look.folder import add_folder, journal_folder
from taskexp.cli.text import write_out
from taskexp.record.excerpt import printable
from taskexp.record.report.server import USUAL_PORT, is_loopback, serve

EXAMPLE = "  taskexp serve runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `serve` takes."""
    add_folder(parser)
    parser.add_argument(
        "--port", type=int, metavar="N", help=f"the port; 0 is a free one (default: {USUAL_PORT}, or a free one)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="the address to listen at (default: 127.0.0.1, for this machine alone); any other asks for a token",
    )


def main(arguments: argparse.Namespace) -> int:
    """Show the sweep until Ctrl-C. Raises ArgumentValueError, JournalError, MissingExtraError."""
    folder = journal_folder(arguments)
    whom = "this machine alone" if is_loopback(arguments.host) else "whoever has the address with its token"

    def tell(address: str) -> None:
        write_out(f"{address}\n")
        print(f"taskexp: {printable(str(folder))} is shown to {whom}; Ctrl-C ends", file=sys.stderr, flush=True)

    serve(folder, arguments.host, arguments.port, tell)
    return 0
