"""Address: where a Dask scheduler is, and with which certificates it is spoken to."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from taskexp.words.errors import ArgumentValueError


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificates: files in PEM. All three, since scheduler and client prove themselves to each other.

    Args:
        ca_file: whom to trust.
        cert: who we are.
        key: the private key of that.
    """

    ca_file: str
    cert: str
    key: str


@dataclass(frozen=True, slots=True)
class Address:
    """A Dask scheduler.

    Args:
        url: `dask://HOST:PORT`, or what the scheduler itself prints: `tcp://HOST:PORT`, `tls://HOST:PORT`.
        file: the scheduler file, if it is known by one; then `url` is empty.
        tls: the certificates; None is a plain connection, or what Dask's own configuration says.
    """

    url: str = ""
    file: str = ""
    tls: Tls | None = None

    def __post_init__(self) -> None:
        if self.file:
            return
        if not _is_whole(self.url):
            raise ArgumentValueError(f"engine={self.url!r} is no address of a scheduler; write dask://HOST:PORT")

    def __str__(self) -> str:
        return self.url or self.file

    @property
    def contact(self) -> str:
        """The address as Dask has it."""
        scheme, _, rest = self.url.partition("://")
        return f"{('tls' if self.tls else 'tcp') if scheme == 'dask' else scheme}://{rest.rstrip('/')}"


def _is_whole(url: str) -> bool:
    try:
        parts = urlsplit(url)
        has_place = parts.scheme in ("dask", "tcp", "tls") and bool(parts.hostname and parts.port)
    except ValueError:  # a port that is no number
        return False
    return has_place and parts.path in ("", "/") and not parts.query


def is_loopback(url: str) -> bool:
    """Tell whether an address is of this machine alone."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
