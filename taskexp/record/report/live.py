"""Live: what a page is sent while a sweep runs, as server-sent events.

The form of the events is https://html.spec.whatwg.org/multipage/server-sent-events.html. The journal is read in
threads, by one reader for all pages, and not more often than pages can make use of.
"""

import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path

import anyio
import anyio.to_thread

from taskexp.record.journal.history import Attempt
from taskexp.record.report.feed import Feed
from taskexp.record.report.following import Following
from taskexp.words.errors import JournalError

LOOK_SECONDS = 0.5
"""How often the journal is looked at."""

LOG_SECONDS = 0.2
"""How often a log is looked at."""

LARGEST_SHARE = 0.2
"""How much of the time is spent with looking at the journal at most, where a look takes long."""

PING_SECONDS = 15.0
"""How long nothing is sent at most: a page that has gone is noticed when it is written to."""


class Live:
    """What the pages of one sweep are sent.

    Args:
        folder: the journal.
        is_stopping: asked whether the server ends.
    """

    def __init__(self, folder: Path, is_stopping: Callable[[], bool]) -> None:
        self._folder = folder
        self._is_stopping = is_stopping
        self._feed = Feed(folder)
        self._lock = anyio.Lock()
        self._due = 0.0

    async def sweep_events(self) -> AsyncIterator[bytes]:
        """Send all of the sweep once, then what is new, until the server ends."""
        position, state, sent_at = -1, "", time.monotonic()
        while not self._is_stopping():
            try:
                messages, position, state = await self._news(position, state)
            except JournalError as error:
                messages = [_event("trouble", {"text": str(error)})]
            if not messages and time.monotonic() - sent_at > PING_SECONDS:
                messages = [b": still there\n\n"]
            for message in messages:
                yield message
                sent_at = time.monotonic()
            await anyio.sleep(LOOK_SECONDS)

    async def log_events(self, attempt: Attempt) -> AsyncIterator[bytes]:
        """Send the log of an attempt, until it or the server ends."""
        following, begun = Following(self._folder, attempt), ""
        yield _event("begin", {"attempt": attempt.run.attempt, "path": str(attempt.run.log_path)})
        while not self._is_stopping():
            try:
                news = await anyio.to_thread.run_sync(following.read)
            except JournalError as error:
                yield _event("end", {"text": f"cannot be followed: {error}"})
                return
            if news.lines or news.begun != begun:
                begun = news.begun
                yield _event("lines", asdict(news))
            if following.is_over:
                yield _event("end", {"text": following.ending})
                return
            if not news.lines:
                await anyio.sleep(LOG_SECONDS)

    async def _news(self, position: int, state: str) -> tuple[list[bytes], int, str]:
        async with self._lock:
            return await anyio.to_thread.run_sync(self._look, position, state)

    def _look(self, position: int, state: str) -> tuple[list[bytes], int, str]:
        """Look what a page does not know, that was sent all up to a position (nothing: -1) and a state."""
        began = time.monotonic()
        if began >= self._due:
            self._feed.read()
            self._due = time.monotonic() + max(LOOK_SECONDS / 2, (time.monotonic() - began) / LARGEST_SHARE)
        told = self._feed.told_state()
        now = json.dumps(told)
        if self._feed.position != position:
            content = self._feed.content_since(max(position, 0))
            return [_event("content", {**content, "state": told, "all": position < 0})], self._feed.position, now
        return [_event("state", told)] if now != state else [], position, now


def _event(name: str, data: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
