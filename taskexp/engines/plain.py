"""Plain: what goes from one machine to another, or through a file, as JSON: to read it runs nothing."""

import base64
import json
import os
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from taskexp.plan.command import Command
from taskexp.run.engine import Limits
from taskexp.words.outcome import Ending, Status


def write_ending(ending: Ending) -> str:
    """Write how a run ended."""
    facts: dict[str, Any] = {each.name: getattr(ending, each.name) for each in fields(ending)}
    facts |= {"start_time": ending.start_time.isoformat(), "end_time": ending.end_time.isoformat()}
    facts |= {
        "status": str(ending.status),
        "duration": ending.duration.total_seconds(),
        "devices": dict(ending.devices),
    }
    return json.dumps(facts)


def read_ending(text: str) -> Ending:
    """Read how a run ended. Raises ValueError, TypeError or KeyError for what is no ending."""
    facts: dict[str, Any] = json.loads(text)
    facts["status"] = Status(facts["status"])
    facts |= {name: datetime.fromisoformat(facts[name]) for name in ("start_time", "end_time")}
    facts["duration"] = timedelta(seconds=facts["duration"])
    return Ending(**facts)


def write_command(command: Command) -> dict[str, Any]:
    """Write a command; what it reads is a path, a text or bytes."""
    stdin = command.stdin
    kind, said = "none", ""
    if isinstance(stdin, bytes):
        kind, said = "bytes", base64.b64encode(stdin).decode()
    elif isinstance(stdin, str):
        kind, said = "text", stdin
    elif stdin is not None:
        kind, said = "path", os.fspath(stdin)
    facts = {"argv": list(command.argv), "env": dict(command.env), "cwd": command.cwd}
    return facts | {"stdin": [kind, said], "secrets": sorted(command.secrets)}


def read_command(facts: dict[str, Any]) -> Command:
    """Read a command. Raises ValueError, TypeError or KeyError for what is none."""
    kind, said = facts["stdin"]
    stdin = {"none": None, "text": said, "path": Path(said)}.get(kind)
    if kind == "bytes":
        stdin = base64.b64decode(said)
    return Command(tuple(facts["argv"]), facts["env"], facts["cwd"], stdin, frozenset(facts["secrets"]))


def write_limits(limits: Limits) -> dict[str, float | None]:
    """Write the limits of a run."""
    return asdict(limits)


def read_limits(facts: dict[str, float]) -> Limits:
    """Read the limits of a run. Raises TypeError for what is none."""
    return Limits(**facts)
