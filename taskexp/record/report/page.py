"""Page: one HTML file that has all it shows in itself: style, script, plotly.js and content.

What programs print and parameters hold is content, which is JSON in a script element of another type: it is never
parsed as HTML, the script puts it into the page as text, and by the page's policy (CSP) no script but ours runs.
"""

import base64
import hashlib
import html
import json
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from string import Template

from taskexp.words.errors import MissingExtraError
from taskexp.words.moment import local_now
from taskexp.words.version import __version__

COMMON_SCRIPTS = ("values.js", "theme.js", "runs.js", "table.js", "figures.js", "plots.js", "report.js")
FILE_SCRIPTS = (*COMMON_SCRIPTS, "file.js")
LIVE_SCRIPTS = (*COMMON_SCRIPTS, "live.js")

_ESCAPES = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026"}


def make_page(title: str, content: Mapping[str, object], scripts: Sequence[str], *, connects: bool = False) -> str:
    """Make a page.

    Args:
        title: its title, as text.
        content: what its scripts show.
        scripts: their names.
        connects: whether they may ask the server that the page came from.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    plotly, script = _plotly(), "\n".join(map(_asset, scripts))
    return Template(_asset("page.html")).substitute(
        policy=_policy([plotly, script], connects=connects),
        title=html.escape(title),
        version=__version__,
        style=_asset("page.css"),
        made=f"{local_now():%Y-%m-%d %H:%M:%S %z}",
        content=embedded(content),
        plotly=plotly,
        script=script,
    )


def embedded(content: Mapping[str, object]) -> str:
    """Write JSON so that it may stand in a script element: nothing in it ends that, or begins a comment."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _policy(scripts: Sequence[str], *, connects: bool) -> str:
    """Write a policy under which the given scripts run, nothing else does, and nothing is fetched from elsewhere.

    plotly.js compiles the shaders' calls of its parallel coordinates at run time, hence 'unsafe-eval'; only scripts
    that run anyway can use it. It styles by attributes, hence 'unsafe-inline' for styles alone.
    """
    hashes = " ".join(map(_hash, scripts))
    connection = " connect-src 'self';" if connects else ""
    return (
        f"default-src 'none'; script-src {hashes} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:;"
        f"{connection} base-uri 'none'; form-action 'none'"
    )


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    data = pkgutil.get_data("taskexp.record.report", f"assets/{name}")
    assert data is not None  # the package has it
    return data.decode().strip()


def _plotly() -> str:
    """Read plotly.js, which plotly's package carries."""
    try:
        from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]  # pyright: ignore
    except ImportError as error:
        raise MissingExtraError("a report needs plotly; pip install 'taskexp[report]'") from error
    return str(get_plotlyjs()).strip()
