"""Global identifiers: opaque to clients, they carry what kind of thing they name and its ObjectId.

Owns their form. An identifier that is unreadable, or names another kind, names nothing: it is answered as one that was
deleted (`NotFound`), so a client has one case to handle. Held by `tests/api/test_ids.py`.
"""

from __future__ import annotations

import base64
import binascii
from enum import StrEnum

import strawberry
from bson import ObjectId

from domain.errors import NotFound, PathPart


class Kind(StrEnum):
    """What an identifier names: a type of the schema that implements `Node`, or a file that was uploaded."""

    CONTACT = "Contact"
    GROUP = "Group"
    SEGMENT = "Segment"
    IMPORT = "Import"
    UPLOAD = "Upload"
    COPY = "GroupCopy"
    CAMPAIGN = "Campaign"
    DELIVERY = "Delivery"
    REPLY = "Reply"


_KINDS = {kind.value: kind for kind in Kind}

AUDIENCES = (Kind.GROUP, Kind.SEGMENT)


def to_id(kind: Kind, identifier: ObjectId) -> strawberry.ID:
    text = base64.urlsafe_b64encode(f"{kind}:{identifier}".encode()).decode()
    return strawberry.ID(text.rstrip("="))


def read_id(text: str) -> tuple[Kind, ObjectId] | None:
    """What an identifier names; None where it was not made here."""
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        return None
    name, _, identifier = plain.partition(":")
    kind = _KINDS.get(name)
    if kind is None or not ObjectId.is_valid(identifier):
        return None
    return kind, ObjectId(identifier)


def object_id_of(identifier: strawberry.ID) -> ObjectId:
    """Of an identifier that was made here."""
    known = read_id(identifier)
    assert known is not None
    return known[1]


def find_id(text: str, *kinds: Kind) -> ObjectId | None:
    """The ObjectId of an identifier of one of these kinds; None for any other text."""
    known = read_id(text)
    return known[1] if known is not None and known[0] in kinds else None


def require_id(text: str, *kinds: Kind, path: tuple[PathPart, ...] = ("id",)) -> ObjectId:
    """As `find_id`. Raises `NotFound`."""
    identifier = find_id(text, *kinds)
    if identifier is None:
        named = " or ".join(kind.lower() for kind in kinds)
        raise NotFound(f"There is no such {named}. It may have been deleted.", path=path)
    return identifier
