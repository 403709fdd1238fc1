"""Server: the page of a sweep by HTTP while it runs. The only place that knows Starlette and uvicorn.

It only reads. On a loopback address it answers to the names of this machine alone, so that no page from elsewhere can
reach it under a name of its own that leads here (DNS rebinding). On any other address it answers to whoever has the
token, which is new each time. A log is found by its run in the journal, never by a path.
"""

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from taskexp.record.journal.history import Attempt, read_history
from taskexp.record.report.live import Live
from taskexp.record.report.page import LIVE_SCRIPTS, make_page
from taskexp.words.errors import ArgumentValueError, MissingExtraError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

USUAL_PORT = 8610
"""The port if none is asked for; a free one if that is taken."""

STOP_SECONDS = 2
"""How long answers that are on their way are waited for at the end."""

_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


@dataclass(frozen=True, slots=True)
class Gate:
    """Who is let in.

    Args:
        hosts: the names that a request may have been sent to; None is any.
        token: what it must hold; None is nothing.
    """

    hosts: frozenset[str] | None
    token: str | None

    def refusal(self, host: str, query: str) -> str | None:
        """Say why a request is refused; None lets it in.

        Args:
            host: its Host header.
            query: what follows the question mark in its address.
        """
        if self.hosts is not None and _name_in(host) not in self.hosts:
            return f"this server answers to {', '.join(sorted(self.hosts))} alone"
        if self.token is not None:
            given = parse_qs(query).get("token", [""])[0]
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                return "the token is missing or wrong; use the address that taskexp serve has written"
        return None


def make_gate(host: str) -> Gate:
    """Choose who is let in to an address: a name for this very machine needs no token."""
    if is_loopback(host):
        return Gate(frozenset({"localhost", "127.0.0.1", "::1", host}), None)
    return Gate(None, secrets.token_urlsafe(16))


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_socket(host: str, port: int | None) -> socket.socket:
    """Open the socket to listen at.

    Args:
        host: the address.
        port: 0 is a free one; None is `USUAL_PORT`, or a free one if that is taken.

    Raises:
        ArgumentValueError: it cannot be had.
    """
    try:
        return _listening(host, USUAL_PORT if port is None else port)
    except (OSError, OverflowError) as error:
        if port is None:
            return open_socket(host, 0)
        raise ArgumentValueError(f"serve: {host} port {port}: {error}; give another --port or --host") from error


def _listening(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family)


def serve(folder: Path, host: str, port: int | None, tell: Callable[[str], object]) -> None:
    """Show a sweep until Ctrl-C.

    Args:
        folder: the journal.
        host: the address to listen at.
        port: as `open_socket` has it.
        tell: told the address of the page.

    Raises:
        ArgumentValueError: the address cannot be had.
        KeyboardInterrupt: Ctrl-C; all is closed.
        MissingExtraError: Starlette or uvicorn is not installed.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise _missing() from error
    gate = make_gate(host)
    stopping: list[Callable[[], bool]] = []
    app = make_app(folder, gate, lambda: stopping[0]())
    listening = open_socket(host, port)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = uvicorn.Server(config)
    stopping.append(lambda: server.should_exit)
    with listening:
        tell(_address(listening, host, gate))
        server.run(sockets=[listening])


def make_app(folder: Path, gate: Gate, is_stopping: Callable[[], bool]) -> "ASGIApp":
    """Make the application. Raises MissingExtraError without Starlette."""
    try:
        from starlette.applications import Starlette
        from starlette.middleware.gzip import GZipMiddleware
        from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, StreamingResponse
        from starlette.routing import Route
    except ImportError as error:
        raise _missing() from error
    live = Live(folder, is_stopping)
    make_page(folder.name, {}, LIVE_SCRIPTS, connects=True)  # so that a missing extra is told now

    def page(_: "Request") -> "Response":
        return HTMLResponse(make_page(folder.name, {}, LIVE_SCRIPTS, connects=True))

    async def events(_: "Request") -> "Response":
        return StreamingResponse(live.sweep_events(), media_type="text/event-stream")

    def log(request: "Request") -> "Response":
        return StreamingResponse(live.log_events(_asked(folder, request)), media_type="text/event-stream")

    def log_file(request: "Request") -> "Response":
        path = _asked(folder, request).run.log_path
        if not path.is_file():
            raise ArgumentValueError(f"there is no log: {path}")
        return FileResponse(path, media_type="text/plain; charset=utf-8")

    async def refuse(_: "Request", error: Exception) -> "Response":
        return PlainTextResponse(f"{error}\n", 404)

    routes = [Route("/", page), Route("/events", events), Route("/log", log), Route("/log.txt", log_file)]
    app: ASGIApp = Starlette(routes=routes, exception_handlers={ArgumentValueError: refuse})
    return _Guard(app if gate.token is None else GZipMiddleware(app), gate)


class _Guard:
    """Lets requests in or refuses them, and gives answers the headers that a private page has."""

    def __init__(self, app: "ASGIApp", gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        async def send_private(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            await send(message)

        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        why = self._gate.refusal(headers.get(b"host", b"").decode("latin-1"), scope["query_string"].decode("latin-1"))
        if why is None:
            await self._app(scope, receive, send_private)
            return
        await send_private(
            {"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]}
        )
        await send_private({"type": "http.response.body", "body": f"{why}\n".encode()})


def _asked(folder: Path, request: "Request") -> Attempt:
    """Find the attempt whose log is asked for. Raises ArgumentValueError."""
    attempt = read_history(folder, request.query_params.get("run", "")).chosen(None)
    logs, path = (folder / "logs").resolve(), attempt.run.log_path.resolve()
    if not path.is_relative_to(logs):  # a journal from elsewhere may name any file
        raise ArgumentValueError(f"the log of run {attempt.run.index} is not in the folder of the journal")
    return attempt


def _name_in(host: str) -> str:
    """Return the name in a Host header, which may have a port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _address(listening: socket.socket, host: str, gate: Gate) -> str:
    """Write the address of the page; one that stands for all addresses, under this machine's name."""
    name = socket.gethostname() if host in ("0.0.0.0", "::", "") else host
    query = "" if gate.token is None else f"?token={gate.token}"
    return f"http://{f'[{name}]' if ':' in name else name}:{listening.getsockname()[1]}/{query}"


def _missing() -> MissingExtraError:
    return MissingExtraError("serve needs Starlette and uvicorn; pip install 'taskexp[serve]'")
