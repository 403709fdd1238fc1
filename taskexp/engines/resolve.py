"""Resolve: from what a user calls an engine to what makes it.

Nothing of an engine but the local one is imported before it is asked for.
"""

import difflib
import math
import numbers
import shlex
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, cast

from taskexp.engines.address import Address, Tls
from taskexp.engines.slurm.depot import FOLDER, kept_runs
from taskexp.run.devices import CPUS, GPUS
from taskexp.run.engine import Engine
from taskexp.run.local import LocalEngine
from taskexp.words.counting import counted
from taskexp.words.errors import ArgumentTypeError, ArgumentValueError, MissingExtraError

EngineLike: TypeAlias = object
"""A word such as "local" or "dask://host:8786", or a Client or a Cluster of Dask distributed."""

_WORDS = ("local", "srun", "sbatch")
_GRAMMAR = (
    "an engine is 'local', 'dask://HOST:PORT', 'dask-file:SCHEDULER.json', 'srun' or 'sbatch', "
    "or a Client or a Cluster of Dask distributed"
)
_SCHEMES = ("dask://", "tcp://", "tls://")


def engine_maker(
    engine: object, resources: object = None, slot_variables: Collection[str] = (), journal: Path | None = None
) -> Callable[[], Engine]:
    """Check what is said of an engine; returns what makes it.

    Args:
        engine: see `EngineLike`.
        resources: what each run takes of its worker; None is nothing.
        slot_variables: the variables that the loop's own slots have.
        journal: the folder of the journal, None if there is none.

    Raises:
        ArgumentTypeError, ArgumentValueError: there is no such engine, or it cannot do so.
        MissingExtraError: it needs a library that is not installed.
    """
    wanted = _checked_resources(resources)
    is_detached = isinstance(engine, str) and engine.split(" ")[0] == "sbatch"
    if journal is not None and not is_detached and (kept := kept_runs(journal)):
        raise ArgumentValueError(
            f"engine={engine!r}: {counted(len(kept), 'run')} of {journal} may still run with Slurm; go on with "
            f"engine='sbatch', or cancel the jobs taskexp-* that are listed in {journal / FOLDER} and remove it"
        )
    if engine == "local":
        if wanted:
            raise ArgumentValueError(
                "resources: the local engine has none; give slots=gpu_slots() or slots=cpu_slots()"
            )
        return LocalEngine
    if devices := [name for name in (CPUS, GPUS) if name in slot_variables]:
        raise ArgumentValueError(
            f"slots: {devices[0]} names devices of this machine, and engine={engine!r} runs on others; "
            "give resources={'GPU': 1} or {'CPU': 1}"
        )
    return _slurm_maker(engine, wanted, journal) or _dask_maker(engine, wanted)


def with_tls(engine: object, tls: Tls) -> Address:
    """Have a scheduler spoken to with certificates. Raises ArgumentValueError for what is no address of one."""
    if isinstance(engine, str) and (engine.startswith(_SCHEMES) or engine.startswith("dask-file:")):
        return replace(_read_address(engine), tls=tls)
    raise ArgumentValueError(f"tls_ca_file: certificates are for dask://HOST:PORT, not for engine={engine!r}")


def _slurm_maker(engine: object, resources: Mapping[str, float], journal: Path | None) -> Callable[[], Engine] | None:
    if not isinstance(engine, str):
        return None
    try:
        word, *options = shlex.split(engine) or [""]
    except ValueError as error:
        raise ArgumentValueError(f"engine={engine!r} cannot be read: {error}; {_GRAMMAR}") from error
    if word == "srun":
        from taskexp.engines.slurm.step import StepEngine

        return partial(StepEngine, tuple(options), resources)
    if word == "sbatch":
        from taskexp.engines.slurm.array import ArrayEngine

        return partial(ArrayEngine, tuple(options), resources, journal)
    return None


def _dask_maker(engine: object, resources: Mapping[str, float]) -> Callable[[], Engine]:
    address = _address(engine)
    try:
        from taskexp.engines.dask.engine import DaskEngine
    except ImportError as error:
        if error.name is None or not error.name.startswith(("distributed", "dask", "tornado")):
            raise
        raise MissingExtraError(f"engine={engine!r} needs Dask distributed; pip install 'taskexp[dask]'") from error
    return partial(DaskEngine, address, resources)


def _address(engine: object) -> object:
    """Read where a Dask cluster is: an Address, or the user's own Client or Cluster."""
    if isinstance(engine, Address):
        return engine
    if isinstance(engine, str):
        return _read_address(engine)
    dask: Any = sys.modules.get("distributed")  # whoever has one of its objects has imported it
    if dask is not None and isinstance(engine, (dask.Client, dask.deploy.Cluster)):
        if getattr(engine, "asynchronous", False):
            raise ArgumentValueError(
                "engine: this Client or Cluster belongs to an event loop of its own (asynchronous=True); "
                "give the address of its scheduler, or a plain one"
            )
        return engine
    raise ArgumentTypeError(f"engine={engine!r}: {_GRAMMAR}")


def _read_address(word: str) -> Address:
    if word.startswith("dask-file:"):
        return Address(file=word.removeprefix("dask-file:"))
    if word.endswith(".json"):
        return Address(file=word)
    if word.startswith(_SCHEMES):
        return Address(word)
    close = difflib.get_close_matches(word, _WORDS, 1)
    guess = f"; did you mean {close[0]!r}?" if close else ""
    raise ArgumentValueError(f"engine={word!r} is not known{guess}; {_GRAMMAR}")


def _checked_resources(resources: object) -> Mapping[str, float]:
    if resources is None:
        return {}
    if not isinstance(resources, Mapping):
        raise ArgumentTypeError(f"resources is a dict such as {{'GPU': 1}}, not {resources!r}")
    return {
        _checked_name(name): _checked_amount(name, amount)
        for name, amount in cast("Mapping[object, object]", resources).items()
    }


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ArgumentTypeError(f"resources: the name of a resource is a str such as 'GPU', not {name!r}")
    return name


def _checked_amount(name: object, amount: object) -> float:
    if isinstance(amount, bool) or not isinstance(amount, numbers.Real):
        raise ArgumentTypeError(f"resources[{name!r}] is a number, not {amount!r}")
    number = float(amount)
    if not 0 < number < math.inf:
        raise ArgumentValueError(f"resources[{name!r}]={amount!r}: give what each run takes, above 0, or leave it out")
    if name == "GPU" and not number.is_integer():
        raise ArgumentValueError(f"resources['GPU']={amount!r}: a run has whole GPUs of its own; give 1 or more")
    return number
