"""Results: the recorded runs as a table, in an order and in groups, for the eye or for a program."""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from taskexp.cli.look.dashes import accept_dashes
from taskexp.cli.look.folder import add_folder, journal_folder
from taskexp.cli.table import colours, write_table
from taskexp.cli.text import write_out
from taskexp.record.journal.reader import RecordedRun
from taskexp.record.order import number_of, ordered
from taskexp.record.results import Results, brief_sheet, cell_of, open_results
from taskexp.record.table import Cell, Sheet, Table, chosen_columns, shown
from taskexp.run.cells import terminal_size
from taskexp.words.errors import ArgumentValueError

EXAMPLE = "  taskexp results runs --sort -throughput --columns index,throughput"

_FORMATS = ("table", "csv", "jsonl", "markdown")
_SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".md": "markdown", ".json": "json"}
_DASHED = ("--sort", "--group-by", "--columns", "--where", "--metric")


class SheetTable(Table):
    """A table that has been read.

    Args:
        sheet: its columns and rows.
    """

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet

    def sheet(self) -> Sheet:
        """Return the columns and rows."""
        return self._sheet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `results` takes."""
    add_folder(parser)
    add = parser.add_argument
    actions = [
        *add_row_arguments(parser),
        add("--sort", action="append", default=[], metavar="COL", help="by a column; -COL: the largest first"),
        add("--group-by", nargs="?", const="", metavar="COL,...", help="fold rows that agree; alone: fold the repeats"),
        add("--columns", metavar="COL,...", help="which columns, or 'all'"),
        add("--format", choices=_FORMATS, help="'table' if not given, or what -o FILE is called"),
        add("--json", action="store_const", const="json", dest="format", help="a JSON array of objects"),
        add("-o", "--output", metavar="FILE", help="write to a file"),
    ]
    accept_dashes(parser, actions, _DASHED)


def add_row_arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Add what says which rows are wanted."""
    add = parser.add_argument
    return [
        add("--where", action="append", default=[], metavar="COL=VALUE", help="only rows with a value"),
        add("--attempts", action="store_true", help="a row per attempt, not per run"),
        add("--metric", action="append", default=[], metavar="NAME=REGEX", help="a metric more, from the saved logs"),
    ]


def main(arguments: argparse.Namespace) -> int:
    """Write the table. Raises ArgumentValueError, JournalError."""
    kind = _format(arguments)
    results = read_rows(arguments)
    is_grouped = arguments.group_by is not None
    sheet = _grouped(results, arguments.group_by) if is_grouped else results.sheet()
    sheet = _sorted(sheet, arguments.sort)
    if arguments.columns is not None:
        sheet = _chosen(sheet, arguments.columns)
    elif kind in ("table", "markdown") and not is_grouped:
        sheet = brief_sheet(sheet)
    if not sheet.rows:
        print("taskexp: no run has ended that is asked for", file=sys.stderr)
    _write(sheet, kind, arguments.output)
    return 0


def _format(arguments: argparse.Namespace) -> str:
    return arguments.format or _SUFFIXES.get(Path(arguments.output or "").suffix, "table")


# ---- which rows


def read_rows(arguments: argparse.Namespace) -> Results:
    """Read the rows that are asked for, once. Raises ArgumentValueError, JournalError."""
    results = open_results(journal_folder(arguments), attempts=arguments.attempts)
    for name, pattern in (_pair("--metric", each, "NAME=REGEX") for each in arguments.metric):
        results = results.metric(name, pattern)
    rows = list(iter(results))
    kept = Results(lambda: iter(rows), journal_folder(arguments))
    for column, value in (_pair("--where", each, "COL=VALUE") for each in arguments.where):
        if rows:
            _names("--where", column, kept.columns, splits=False)
        kept = kept.filter(partial(_has, column=column, value=value))
    return kept


def _pair(option: str, text: str, form: str) -> tuple[str, str]:
    # A column may be called like an option, `--n=64`, but not with an equals sign.
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ArgumentValueError(f"{option}: {text!r} is not {form}")
    return name, value


def _has(row: RecordedRun, *, column: str, value: str) -> bool:
    """Tell whether a cell is what is written as a value: the same text, or the same number."""
    cell = cell_of(row, column)
    if value in (str("" if cell is None else cell), shown(cell)):
        return True
    number = None if isinstance(cell, bool) else number_of(cell)
    return number is not None and number == number_of(value)


# ---- which columns, and in what order


def _grouped(results: Results, columns: str) -> Sheet:
    names = _names("--group-by", columns, results.columns) if columns else []
    return results.group_by(*names).sheet()


def _sorted(sheet: Sheet, wanted: Sequence[str]) -> Sheet:
    keys = [_key(sheet, each) for text in wanted for each in _split(text, sheet.columns, _is_sort_key)]
    return Sheet(sheet.columns, ordered(sheet.rows, keys)) if sheet.rows else sheet


def _key(sheet: Sheet, wanted: str) -> tuple[Callable[[list[Cell]], Cell], bool]:
    descending = wanted not in sheet.columns and wanted.startswith("-")
    (name,) = _names("--sort", wanted[descending:], sheet.columns, splits=False) if sheet.rows else (sheet.columns[0],)
    place = sheet.columns.index(name)
    return lambda row: row[place], descending


def _chosen(sheet: Sheet, columns: str) -> Sheet:
    return sheet if columns == "all" else chosen_columns(sheet, _names("--columns", columns, sheet.columns))


def _is_sort_key(text: str, columns: Sequence[str]) -> bool:
    return text in columns or (text.startswith("-") and text[1:] in columns)


def _names(option: str, text: str, columns: Sequence[str], *, splits: bool = True) -> list[str]:
    """Read names of columns. Raises ArgumentValueError."""
    names = _split(text, columns, lambda each, known: each in known) if splits else [text]
    for name in names:
        if name not in columns:
            raise ArgumentValueError(f"{option}: there is no column {name!r}; the columns are {', '.join(columns)}")
    return names


def _split(text: str, columns: Sequence[str], is_name: Callable[[str, Sequence[str]], bool]) -> list[str]:
    """Split a text at its commas, unless all of it is a name."""
    return [text] if is_name(text, columns) else [each for each in re.split(r"\s*,\s*", text.strip()) if each]


# ---- on the way out


def _write(sheet: Sheet, kind: str, output: str | None) -> None:
    if output is None:
        write_out(_text(sheet, kind, sys.stdout.isatty()))
        return
    write_file(output, _text(sheet, kind, False))


def write_file(output: str, text: str) -> None:
    """Write what was asked for to a file. Raises ArgumentValueError if that cannot be."""
    try:
        Path(output).write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        raise ArgumentValueError(
            f"--output: {output}: {error.strerror or error}; give a file that can be written"
        ) from error


def _text(sheet: Sheet, kind: str, is_terminal: bool) -> str:
    if kind == "table":
        width = terminal_size(sys.stdout).columns if is_terminal else None
        return write_table(sheet, width, colour=is_terminal and colours(sys.stdout))
    table = SheetTable(sheet)
    writers: Mapping[str, Callable[[], str]] = {
        "csv": table.to_csv,
        "jsonl": table.to_jsonl,
        "markdown": table.to_markdown,
    }
    return writers[kind]() if kind in writers else _array(table.to_jsonl())


def _array(lines: str) -> str:
    return "[" + ",\n ".join(lines.splitlines()) + "]\n"
