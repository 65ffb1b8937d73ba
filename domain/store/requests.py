"""Requests to the engine: documents in the stream that ask it to hold its log against the database.

Owns their form. A request takes its place in the order of everything like a change of a contact or an edit, so what the engine
does about it follows from the stream and from the log before it, whichever engine meets it, and however often. It is done,
and written, when the checkpoint has come past it. A request is of no use behind that and forgets itself after a week.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from bson import ObjectId

from domain.store.client import Database, Document
from domain.store.indexes import REQUESTS

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """Up to where the log can be believed, and the definitions that were in force there."""

    position: str
    revisions: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginAfresh:
    """What happened before this request can no longer be told. An engine asks itself, where it has no place to go on from.

    `believed` is None where nothing vouches for the log.
    """

    because: str
    believed: Believed | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile:
    """Hold the log of an audience against its query, and correct it by changes where that can be done."""

    account: str
    audience: ObjectId


@dataclass(frozen=True, slots=True, kw_only=True)
class CountAfresh:
    """Tell the watchers of an audience that what lies before cannot be told, and go on from its query."""

    account: str
    audience: ObjectId
    because: str


@dataclass(frozen=True, slots=True)
class ComeHere:
    """Settle whatever is unclear, and save the checkpoint."""


Request = BeginAfresh | Reconcile | CountAfresh | ComeHere


class Requests:
    """Putting them into the stream."""

    def __init__(self, database: Database) -> None:
        self._collection = database[REQUESTS]

    async def put(self, request: Request) -> ObjectId:
        """Its identifier, by which it is known when it comes out of the stream."""
        identifier = ObjectId()
        await self._collection.insert_one(
            {"_id": identifier, "at": datetime.now(UTC), **_to_document(request)}
        )
        return identifier


def _to_document(request: Request) -> Document:
    match request:
        case BeginAfresh(because=because, believed=believed):
            return {
                "asks": "begin afresh",
                "because": because,
                "believed": None
                if believed is None
                else {
                    "position": believed.position,
                    "revisions": [
                        {"account": account, "revision": revision}
                        for account, revision in believed.revisions.items()
                    ],
                },
            }
        case Reconcile(account=account, audience=audience):
            return {"asks": "reconcile", "account": account, "audience": audience}
        case CountAfresh(account=account, audience=audience, because=because):
            return {"asks": "count afresh", "account": account, "audience": audience, "because": because}
        case ComeHere():
            return {"asks": "come here"}


def read_request(event: Mapping[str, Any]) -> tuple[ObjectId, Request] | None:
    """(identifier, request) of a change event of this collection; None for a removal, and for what is no request."""
    if event["operationType"] != "insert":
        return None
    document = event["fullDocument"]
    try:
        request = _from_document(document)
    except (KeyError, TypeError, ValueError) as error:
        log.warning("request.malformed", document=str(document.get("_id")), error=repr(error))
        return None
    return document["_id"], request


def _from_document(document: Mapping[str, Any]) -> Request:
    match document["asks"]:
        case "begin afresh":
            believed = document["believed"]
            return BeginAfresh(
                because=str(document["because"]),
                believed=None
                if believed is None
                else Believed(
                    position=str(believed["position"]),
                    revisions={item["account"]: int(item["revision"]) for item in believed["revisions"]},
                ),
            )
        case "reconcile":
            return Reconcile(account=document["account"], audience=document["audience"])
        case "count afresh":
            return CountAfresh(
                account=document["account"], audience=document["audience"], because=str(document["because"])
            )
        case "come here":
            return ComeHere()
        case other:
            raise ValueError(f"nothing that could be asked: {other}")
