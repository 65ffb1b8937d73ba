"""What a change of a contact is: from the events of one moment to the contact before, the contact after, and the cause.

Pure. Owns the reading of change events. *Before* is the first event's pre-image; *after* is the pre-image with the events'
own descriptions applied, never a looked-up document, which may be later than the event. Several events of one contact in
one moment (a transaction) are one change: there and back is none. A contact whose pre-image is missing is told apart:
nothing is guessed. Held by `tests/domain/membership/test_changes.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from domain.store.log import Reason

ContactDocument = Mapping[str, Any]


class MissingPreImage(Exception):
    """An event does not say what the contact was before: retention took it, or it was written before images were on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One contact from before a moment to after it, in one account. None: it did not exist."""

    account: str
    contact: ObjectId
    before: ContactDocument | None
    after: ContactDocument | None
    at: datetime
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclear:
    """A contact that was changed, while what it was before is not known, nor then what it is now.

    `paths`: what was changed in its document; None where it may be anything.
    """

    contact: ObjectId
    paths: frozenset[str] | None


def transitions(events: Sequence[Mapping[str, Any]]) -> tuple[list[Transition], list[Unclear]]:
    """The changes that a moment's contact events amount to, in the order of contacts, and those that cannot be told.

    Documents that are no contacts (no account, an identifier that is no ObjectId) are passed over. A contact that moves to
    another account is deleted in the one and created in the other.
    """
    by_contact: dict[ObjectId, list[Mapping[str, Any]]] = {}
    for event in events:
        identifier = event["documentKey"]["_id"]
        if isinstance(identifier, ObjectId):
            by_contact.setdefault(identifier, []).append(event)
    found: list[Transition] = []
    unclear: list[Unclear] = []
    for contact in sorted(by_contact):
        try:
            found += _transition(contact, by_contact[contact])
        except MissingPreImage:
            unclear.append(Unclear(contact=contact, paths=_paths_changed(by_contact[contact])))
    return found, unclear


def _paths_changed(events: Sequence[Mapping[str, Any]]) -> frozenset[str] | None:
    paths: set[str] = set()
    for event in events:
        if event["operationType"] != "update":
            return None
        description = event["updateDescription"]
        paths |= (description.get("updatedFields") or {}).keys()
        paths |= set(description.get("removedFields") or ())
        paths |= {truncated["field"] for truncated in description.get("truncatedArrays") or ()}
    return frozenset(paths)


def _transition(contact: ObjectId, events: Sequence[Mapping[str, Any]]) -> list[Transition]:
    before = _before(events[0])
    after: ContactDocument | None = before
    for event in events:
        after = _after(after, event)
    at = moment_of(events[-1])
    old, new = _account(before), _account(after)
    if old == new:
        if old is None or before == after:
            return []
        return [
            Transition(
                account=old, contact=contact, before=before, after=after, at=at, reason=_reason(before, after)
            )
        ]
    result = []
    if old is not None:
        result.append(
            Transition(
                account=old,
                contact=contact,
                before=before,
                after=None,
                at=at,
                reason=_reason(before, None),
            )
        )
    if new is not None:
        result.append(
            Transition(
                account=new, contact=contact, before=None, after=after, at=at, reason=_reason(None, after)
            )
        )
    return result


def moment_of(event: Mapping[str, Any]) -> datetime:
    """When the server carried the event out: its wall time where it tells it (MongoDB 6), else its cluster time's second."""
    wall = event.get("wallTime")
    if isinstance(wall, datetime):
        return wall
    return datetime.fromtimestamp(event["clusterTime"].time, tz=UTC)


def _account(document: ContactDocument | None) -> str | None:
    account = None if document is None else document.get("account")
    return account if isinstance(account, str) else None


def _reason(before: ContactDocument | None, after: ContactDocument | None) -> Reason:
    """The cause that the writer put beside the values counts only where this very change renewed its nonce."""
    if after is None:
        return Reason.CONTACT_DELETED
    written = after.get("written")
    if isinstance(written, Mapping):
        earlier = None if before is None else before.get("written")
        nonce = earlier.get("nonce") if isinstance(earlier, Mapping) else None
        reason = written.get("reason")
        if written.get("nonce") != nonce and isinstance(reason, str) and reason in Reason.__members__:
            return Reason(reason)
    return Reason.CONTACT_CREATED if before is None else Reason.CONTACT_UPDATED


def _before(event: Mapping[str, Any]) -> ContactDocument | None:
    if event["operationType"] == "insert":
        return None
    before = event.get("fullDocumentBeforeChange")
    if before is None:
        raise MissingPreImage(str(event["documentKey"]["_id"]))
    if not isinstance(before, Mapping):
        raise TypeError("a pre-image is a document")
    return before


def _after(before: ContactDocument | None, event: Mapping[str, Any]) -> ContactDocument | None:
    match event["operationType"]:
        case "insert" | "replace":
            document: ContactDocument = event["fullDocument"]
            return document
        case "delete":
            return None
        case "update":
            if before is None:
                raise MissingPreImage(str(event["documentKey"]["_id"]))
            return apply_update(before, event["updateDescription"])
        case other:
            raise ValueError(f"no such change of a document: {other}")


def apply_update(before: ContactDocument, description: Mapping[str, Any]) -> ContactDocument:
    """The document that an update made of `before`, by the event's own description.

    `before` is left as it is; what the update does not touch is shared with it.
    """
    after = _Copy(before)
    for truncated in description.get("truncatedArrays") or ():
        container, last = after.holder(truncated["field"])
        container[last] = container[last][: truncated["newSize"]]
    for path, value in (description.get("updatedFields") or {}).items():
        container, last = after.holder(path)
        if isinstance(container, list):
            container.extend([None] * (last + 1 - len(container)))
        container[last] = value
    for path in description.get("removedFields") or ():
        container, last = after.holder(path)
        if isinstance(container, dict):
            container.pop(last, None)
    return after.document


class _Copy:
    """A copy of a document, in which only the containers on the way to what is changed are copied."""

    def __init__(self, document: ContactDocument) -> None:
        self.document = dict(document)
        self._own = {id(self.document)}

    def holder(self, path: str) -> tuple[Any, Any]:
        """The container that holds the last part of a dotted path, made where it is missing, and its key or index there."""
        container: Any = self.document
        *parts, last = path.split(".")
        for part in parts:
            key: Any = int(part) if isinstance(container, list) else part
            child = container[key] if isinstance(container, list) else container.get(key, {})
            if not isinstance(child, (dict, list)):
                # A key with a dot in it, which a path cannot tell from two keys.
                raise MissingPreImage(f"the update of {path} cannot be told from its description")
            if id(child) not in self._own:
                child = child.copy()
                self._own.add(id(child))
            container[key] = child
            container = child
        return container, int(last) if isinstance(container, list) else last
