"""Positions: where in the order of everything a change of membership stands, and the cursors made of them.

A position is a string whose lexical order is the order of the stream: cluster time (seconds, then ordinal), a phase within
that moment, and the contact. Positions follow from their cause alone, so that working through the same stream twice
gives the same ones. Unique within an audience. Held by `tests/domain/membership/test_position.py`.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import NewType

from bson import ObjectId, Timestamp

from domain.errors import InvalidCursor

Position = NewType("Position", str)

BEGINNING = Position("")
"""Before everything."""

LATEST = Position("~")
"""Behind everything."""

# Phases of a moment. The passing of time comes before any event of its second.
_TURNED, _DEFINED, _EDITED, _CHANGED, _END = "0", "1", "2", "3", "f"

_LAST_SECOND = 2**32 - 1
_MOMENT_AND_PHASE = 17
_LONGEST_CURSOR = 64
_POSITION = re.compile(r"[0-9a-f]{16}([1f]|[023][0-9a-f]{24})")


def _moment(time: Timestamp) -> str:
    return f"{time.time:08x}{time.inc:08x}"


def of_definition(time: Timestamp) -> Position:
    """Where an audience was opened, redefined or ended."""
    return Position(_moment(time) + _DEFINED)


def of_edit(defined: Position, contact: ObjectId) -> Position:
    """Where a contact joined or left by the edit at `defined`: right behind it, in the order of contacts."""
    return Position(f"{defined[:16]}{_EDITED}{contact}")


def of_change(time: Timestamp, contact: ObjectId) -> Position:
    """Where a contact joined or left by a change of its own."""
    return Position(f"{_moment(time)}{_CHANGED}{contact}")


def of_turn(second: int) -> Position:
    """Where rules turn as time comes to this second (of the Unix epoch): before any event of it."""
    return Position(_moment(Timestamp(second, 0)) + _TURNED)


def of_passing(second: int, contact: ObjectId) -> Position:
    """Where a contact joined or left because time came to this second."""
    return Position(f"{of_turn(second)}{contact}")


def before_second(second: int) -> Position:
    """Before everything of this second (of the Unix epoch), or of the nearest one that positions reach to."""
    return Position(f"{min(max(second, 0), _LAST_SECOND):08x}")


def at_second(second: int) -> Position:
    """Behind what the coming of this second moves, and before any event of it."""
    return end_of(Timestamp(second, 0))


def names_contact(position: Position) -> bool:
    """Whether it is that of a contact's move, and not of a moment or of what befell the audience."""
    return len(position) > _MOMENT_AND_PHASE


def second_of(position: Position) -> int:
    """The second (of the Unix epoch) in which it lies; 0 for the beginning of everything."""
    return int(position[:8] or "0", 16)


def instant(second: int) -> datetime:
    """A second of the Unix epoch as rules take it."""
    return datetime.fromtimestamp(second, tz=UTC)


def end_of(time: Timestamp) -> Position:
    """Behind everything of this cluster time."""
    return Position(_moment(time) + _END)


def just_before(position: Position) -> Position:
    """Behind everything of the cluster times before that of `position`."""
    moment = int(position[:16], 16) - 1
    return Position(f"{moment:016x}{_END}")


def right_before(position: Position) -> Position:
    """Behind everything that stands before `position`: the greatest bound that excludes it."""
    return Position(f"{int(position, 16) - 1:0{len(position)}x}~")


def right_behind(position: Position) -> Position:
    """Before everything that stands behind `position`: the least bound that includes it."""
    return Position(f"{position}!")


def to_cursor(audience: ObjectId, position: Position) -> str:
    """An opaque cursor, good for this audience alone. Cursors of an audience sort as their positions do."""
    # The phase is one digit; a zero before it makes whole bytes. Base 32 with extended hex keeps the order of bytes.
    packed = audience.binary + bytes.fromhex(f"{position[:16]}0{position[16:]}")
    return base64.b32hexencode(packed).decode().rstrip("=").lower()


def from_cursor(audience: ObjectId, cursor: str) -> Position:
    """The position of a cursor of this audience. Raises `InvalidCursor` for any other text."""
    try:
        packed = base64.b32hexdecode(cursor[:_LONGEST_CURSOR].upper() + "=" * (-len(cursor) % 8))
    except (ValueError, binascii.Error):
        packed = b""
    owner, place = packed[:12], packed[12:].hex()
    position = Position(place[:16] + place[17:])
    if not _POSITION.fullmatch(position) or to_cursor(ObjectId(owner), position) != cursor:
        raise InvalidCursor("This is not a cursor of a feed. Use one that `cursor` or an event has given.")
    if ObjectId(owner) != audience:
        raise InvalidCursor(
            "This cursor belongs to another audience. A cursor works only for the one that gave it."
        )
    return position
