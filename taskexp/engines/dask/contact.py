"""Contact: a Dask cluster is reached, and fits: the same TaskExp and Python, and room for what each run takes."""

import platform
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from distributed import Client, Security

from taskexp.engines.address import Address, Tls, is_loopback
from taskexp.engines.dask.ledger import Ledger
from taskexp.engines.dask.outpost import Outpost
from taskexp.engines.dask.shapes import ClientShape
from taskexp.words.counting import counted
from taskexp.words.errors import EngineError
from taskexp.words.version import __version__

CONNECT_SECONDS = 10.0
"""How long a scheduler has to answer."""

WORKERS_SECONDS = 30.0
"""How long the first worker has to come."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that was reached.

    Args:
        client: speaks to its scheduler.
        name: what errors call it.
        is_ours: whether the client is ours to close.
    """

    client: ClientShape
    name: str
    is_ours: bool

    @property
    def address(self) -> str:
        """The address of its scheduler."""
        return _address_of(self.client)


def reach(contact: object) -> Cluster:
    """Connect to a scheduler. Raises EngineError."""
    if isinstance(contact, Client):
        given = cast(ClientShape, contact)
        if given.status != "running":
            raise EngineError(f"the Client of {_address_of(given)} is {given.status}; give one that is connected")
        return Cluster(given, _address_of(given), is_ours=False)
    if not isinstance(contact, Address):
        client = _connect(contact)
        return Cluster(client, _address_of(client), is_ours=True)
    security = _security(contact.tls) if contact.tls else _make_security()
    where = _read_scheduler_file(contact.file) if contact.file else contact.contact
    _knock(where, security)
    try:
        client = _connect(where, security=security)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise EngineError(
            f"there is no Dask scheduler that answers at {where} ({contact}): {_reason(error)}; start one by "
            "`dask scheduler`, or look whether it wants TLS (--tls-ca-file, --tls-cert, --tls-key)"
        ) from error
    return Cluster(client, where, is_ours=True)


def warnings_about(address: str) -> list[str]:
    """Tell what whoever uses a scheduler should know."""
    if not address.startswith("tcp://") or is_loopback(address):
        return []
    return [
        f"the connection to {address} is neither encrypted nor checked: whoever reaches that port can run programs as "
        "its workers' user, and read the commands with their environment; use TLS, or a network that is yours alone"
    ]


def fit_out(cluster: Cluster) -> None:
    """Have the scheduler and the workers do their part. Raises EngineError."""
    client = cluster.client
    try:
        client.wait_for_workers(1, timeout=WORKERS_SECONDS)
    except TimeoutError as error:
        raise EngineError(
            f"no worker has come to the scheduler at {cluster.name} in {WORKERS_SECONDS:g} s; start some by "
            f"`dask worker {_address_of(client)}`"
        ) from error
    _check_versions(cluster)
    try:
        client.register_plugin(Ledger())
        client.register_plugin(Outpost())
    except ImportError as error:
        raise EngineError(_missing(f"the scheduler at {cluster.name}", error)) from error


def room(workers: Sequence[Mapping[str, Any]], resources: Mapping[str, float]) -> int:
    """Count the runs that go on at once on some workers, which give each of them resources."""
    return sum(
        min(
            [
                worker["threads"],
                *(int(worker["resources"].get(name, 0) // amount) for name, amount in resources.items()),
            ]
        )
        for worker in workers
    )


def check_room(cluster: Cluster, workers: Sequence[Mapping[str, Any]], resources: Mapping[str, float]) -> None:
    """Refuse what no worker can ever give: Dask would let it wait for ever. Raises EngineError."""
    if room(workers, resources):
        return
    told = ", ".join(f"{name}={amount:g}" for name, amount in resources.items())
    given = sorted({", ".join(f"{k}={v:g}" for k, v in worker["resources"].items()) or "none" for worker in workers})
    raise EngineError(
        f"resources: no worker at {cluster.name} can give a run {told}; {counted(len(workers), 'worker')} "
        f"there, with {' or '.join(given)}; start workers by `dask worker ... --resources '{told.replace(', ', ' ')}'`"
    )


def describe() -> dict[str, str]:
    """Say what a worker has; runs there."""
    major, minor, _ = platform.python_version_tuple()
    return {"taskexp": __version__, "python": f"{major}.{minor}", "host": socket.gethostname()}


def _check_versions(cluster: Cluster) -> None:
    ours = describe()
    answers: Mapping[str, Any] = cluster.client.run(describe, on_error="return")
    for address, answer in answers.items():
        if isinstance(answer, ImportError):
            raise EngineError(_missing(f"the worker {address}", answer))
        if isinstance(answer, BaseException):
            raise EngineError(f"the worker {address} does not answer: {answer!r}")
        for name, spoken in (("taskexp", "TaskExp"), ("python", "Python")):
            if answer[name] != ours[name]:
                raise EngineError(
                    f"the worker {address} on {answer['host']} has {spoken} {answer[name]}, and this program has "
                    f"{ours[name]}; run both in environments of the same versions"
                )


def _missing(who: str, error: ImportError) -> str:
    return f"{who} has not our TaskExp ({error}); there, pip install 'taskexp[dask]=={__version__}'"


def _read_scheduler_file(file: str) -> str:
    import json

    try:
        return str(json.loads(Path(file).read_text(encoding="utf-8"))["address"])
    except FileNotFoundError as error:
        raise EngineError(
            f"there is no scheduler file {file}; the scheduler writes it: `dask scheduler --scheduler-file {file}`"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{file} is no scheduler file of Dask: {error!r}") from error


def _security(tls: Tls) -> Any:
    for name, path in (("tls_ca_file", tls.ca_file), ("tls_cert", tls.cert), ("tls_key", tls.key)):
        if not Path(path).is_file():
            raise EngineError(f"{name}: there is no file {path}")
    return _make_security(
        tls_ca_file=tls.ca_file, tls_client_cert=tls.cert, tls_client_key=tls.key, require_encryption=True
    )


def _knock(where: str, security: Any) -> None:
    """Look whether somebody listens, and shows the right certificate: Dask itself would try on for long, and not tell.

    Raises:
        EngineError: nobody does.
    """
    parts = urlsplit(where)
    if parts.hostname is None or parts.port is None:  # inproc://, ucx://
        return
    try:
        with socket.create_connection((parts.hostname, parts.port), CONNECT_SECONDS) as connection:
            if parts.scheme == "tls":
                context = security.get_connection_args("client").get("ssl_context")
                if context is None:
                    raise EngineError(
                        f"the scheduler at {where} wants TLS; give --tls-ca-file, --tls-cert and --tls-key, "
                        "or a Client with a Security object"
                    )
                with context.wrap_socket(connection):
                    pass
    except (ssl.SSLError, ConnectionResetError) as error:
        raise EngineError(
            f"the scheduler at {where} and this program do not trust each other: {_reason(error)}; "
            "look at the certificates, and whether it was started with TLS"
        ) from error
    except OSError as error:
        raise EngineError(
            f"nobody listens at {where}: {_reason(error)}; start a scheduler by `dask scheduler`, or look at the "
            "address"
        ) from error


def _connect(where: object, **how: object) -> ClientShape:
    make = cast("Callable[..., ClientShape]", Client)
    return make(where, timeout=CONNECT_SECONDS, set_as_default=False, name="taskexp", **how)


def _make_security(**how: object) -> Any:
    """Make a Security; what is not said is as Dask's configuration has it."""
    return cast("Callable[..., object]", Security)(**how)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _address_of(client: ClientShape) -> str:
    scheduler = client.scheduler
    return str(getattr(scheduler, "address", None) or "the cluster")
