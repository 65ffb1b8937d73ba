"""Openings: how often a client has opened each change stream.

A driver opens a stream again by itself where its cursor is gone, and tells nobody. But behind whatever took the cursor the
database may be another: put back to an earlier state. Whoever rests on what it has read compares the counts. What counts is the
command that goes to the server, known by its comment, so nothing is missed, whatever the reason. Held by
`tests/domain/store/test_stream.py`. Cost: some 40 µs of processor time for each command that the client sends, a tenth of what a
small one takes of it anyway.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent


class Openings(CommandListener):
    """Of one client, which it is given to when that is made: the number of openings by the comment of the stream."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "aggregate" and isinstance(comment := event.command.get("comment"), str):
            self.of[comment] += 1

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


def openings_of(client: AsyncMongoClient[Any]) -> Openings:
    """Raises `LookupError` where the client was made without."""
    for listener in client.options.event_listeners:
        if isinstance(listener, Openings):
            return listener
    raise LookupError("the client was not made by `connect`, and does not count how often it opens a stream")
