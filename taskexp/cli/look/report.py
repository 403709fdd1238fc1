"""Report: a page of a sweep, to look at in a browser and to send to others."""

import argparse
import sys

from taskexp.cli.look.dashes import accept_dashes
from taskexp.cli.look.folder import add_folder
from taskexp.cli.look.results import add_row_arguments, read_rows, write_file
from taskexp.record.excerpt import printable
from taskexp.words.counting import counted

EXAMPLE = "  taskexp report runs -o report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `report` takes."""
    add_folder(parser)
    add = parser.add_argument
    actions = [
        *add_row_arguments(parser),
        add("-o", "--output", metavar="FILE", default="report.html", help="the page (default: report.html)"),
        add("--title", help="its title (default: the name of the folder)"),
    ]
    accept_dashes(parser, actions, ("--where", "--metric"))


def main(arguments: argparse.Namespace) -> int:
    """Write the page. Raises ArgumentValueError, JournalError, MissingExtraError."""
    results = read_rows(arguments)
    page = results.report(title=arguments.title)
    write_file(arguments.output, page)
    told = f"{printable(arguments.output)}: {counted(len(results), 'run')}, {len(page) / 1e6:.1f} MB"
    print(f"taskexp: {told}", file=sys.stderr)
    return 0
