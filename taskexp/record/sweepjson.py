"""Sweepjson: the file in a journal's folder that says what was asked for on the command line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from taskexp.record.plainfile import open_plain

FILE_NAME = "sweep.json"


def read_sweepjson(folder: Path) -> Mapping[str, Any]:
    """Read what was written, whatever it is worth; OSError or ValueError where there is nothing to be read."""
    with open_plain(folder / FILE_NAME) as file:
        text = file.read().decode()
    try:
        written = cast(object, json.loads(text))
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not isinstance(written, dict):
        raise ValueError("it is no object")
    return cast("Mapping[str, Any]", written)
