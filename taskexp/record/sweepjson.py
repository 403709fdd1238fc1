"""Sweepjson: the file in a journal's folder that says what was asked for on the command line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

FILE_NAME = "sweep.json"


def read_sweepjson(folder: Path) -> Mapping[str, Any]:
    """Read what was written, whatever it is worth; OSError or ValueError where there is nothing to be read."""
    written = cast(object, json.loads((folder / FILE_NAME).read_text(encoding="utf-8")))
    if not isinstance(written, dict):
        raise ValueError("it is no object")
    return cast("Mapping[str, Any]", written)
