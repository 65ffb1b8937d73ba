"""What the engine tells every process over the bus: entries, how far it has come, what is written, which fences it saw.

Owns the wire form (JSON text). A message is a hint: each carries the number of its predecessor in its run, so that a
receiver notices a lost one and repairs from the log, which is the truth.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import ObjectId
from bson.errors import BSONError

from domain.membership.position import Position
from domain.store.log import EntryKind, LogEntry, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One message of an engine's run.

    After it, every entry up to `position` has been told, but for the audiences in `held`, which stand at the position
    given there until an edit of theirs is done. No entry told before it lies behind `since`, so that whoever hears it first
    knows what to look for in the log. Of a run's messages, those up to number `logged` are in the log. `term` is that of the
    engine's lease: what an earlier term says after a later one is the word of an engine that was taken for dead. `afresh`: how
    far earlier runs had come does not count, as after a database was put back to an earlier state.
    """

    term: int
    run: str
    number: int
    since: Position
    position: Position
    logged: int
    entries: tuple[LogEntry, ...] = ()
    fences: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[ObjectId, Position] = field(default_factory=dict)
    afresh: bool = False

    def to_text(self) -> str:
        return json.dumps(
            {
                "term": self.term,
                "run": self.run,
                "number": self.number,
                "since": self.since,
                "position": self.position,
                "logged": self.logged,
                "entries": [_entry_to_json(entry) for entry in self.entries],
                "fences": dict(self.fences),
                "held": {str(audience): position for audience, position in self.held.items()},
                "afresh": self.afresh,
            },
            separators=(",", ":"),
        )


def read_progress(text: str) -> Progress:
    """Raises `ValueError` for what is no message, or one of another version."""
    try:
        return _progress_from_json(json.loads(text))
    except (KeyError, TypeError, AttributeError, BSONError) as error:
        raise ValueError(f"no message of this version: {error!r}") from error


def _progress_from_json(data: Any) -> Progress:
    return Progress(
        term=data["term"],
        run=data["run"],
        number=data["number"],
        since=Position(data["since"]),
        position=Position(data["position"]),
        logged=data["logged"],
        entries=tuple(_entry_from_json(entry) for entry in data["entries"]),
        fences=data["fences"],
        held={ObjectId(audience): Position(position) for audience, position in data["held"].items()},
        afresh=data["afresh"],
    )


def _entry_to_json(entry: LogEntry) -> list[Any]:
    return [
        entry.account,
        str(entry.audience),
        entry.position,
        entry.kind.value,
        entry.at.isoformat(),
        entry.size,
        entry.checksum,
        None if entry.reason is None else entry.reason.value,
        None if entry.contact is None else str(entry.contact),
        entry.version,
        entry.because,
        entry.since,
    ]


def _entry_from_json(data: list[Any]) -> LogEntry:
    account, audience, position, kind, at, size, checksum, reason, contact, version, because, since = data
    return LogEntry(
        account=account,
        audience=ObjectId(audience),
        position=position,
        kind=EntryKind(kind),
        at=datetime.fromisoformat(at),
        size=size,
        checksum=checksum,
        reason=None if reason is None else Reason(reason),
        contact=None if contact is None else ObjectId(contact),
        version=version,
        because=because,
        since=since,
    )
