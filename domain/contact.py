"""One contact: what its document looks like, and what may be written into it.

Owns the shape. A value is kept as entered and in its normal form, always written together; what another program may have
written in another shape counts as not there. Held by `tests/domain/test_contacts.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from domain.catalogue import Catalogue
from domain.definitions import now
from domain.errors import InvalidValue, ShoalError
from domain.fields import Entry, normalize
from domain.store.log import Reason

LONGEST_KEY = 500


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact as it was read. What another program may have written in another shape counts as not there."""

    document: Mapping[str, Any]

    @property
    def id(self) -> ObjectId:
        identifier: ObjectId = self.document["_id"]
        return identifier

    @property
    def key(self) -> str | None:
        key = self.document.get("key")
        return key if isinstance(key, str) else None

    @property
    def values(self) -> Mapping[str, Any]:
        """Each field's value as it was entered."""
        values = self.document.get("values")
        return values if isinstance(values, Mapping) else {}

    @property
    def created(self) -> datetime | None:
        return _moment(self.document.get("created"))

    @property
    def updated(self) -> datetime | None:
        return _moment(self.document.get("updated"))


def _moment(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) else None


Entries = Mapping[str, Entry | None]
"""What to write: a field's entry, or None to remove its value."""


def checked_key(key: str) -> str:
    """A key that a contact can have. Raises `InvalidValue`."""
    key = key.strip()
    if not key or len(key) > LONGEST_KEY or "\0" in key:
        raise InvalidValue(f"A key of 1 to {LONGEST_KEY} characters is wanted.", path=("key",))
    return key


def read_attributes(catalogue: Catalogue, attributes: Sequence[tuple[str, Any]]) -> dict[str, Entry | None]:
    """What the caller gave, as entries. Raises `UnknownField` and `InvalidValue` with the path to the attribute."""
    entries: dict[str, Entry | None] = {}
    for index, (key, value) in enumerate(attributes):
        try:
            field = catalogue.fields.require(key)
        except ShoalError as error:
            raise error.at("attributes", index, "key") from None
        if key in entries:
            raise InvalidValue(f"The field “{key}” is given twice.", path=("attributes", index, "key"))
        try:
            entries[key] = normalize(field, value, catalogue.settings)
        except ShoalError as error:
            raise error.at("attributes", index, "value") from None
    return entries


def cause(reason: Reason) -> dict[str, Any]:
    """The cause beside the values. The plain causes need none: the event itself tells them."""
    if reason in (Reason.CONTACT_CREATED, Reason.CONTACT_UPDATED):
        return {}
    return {"written": {"reason": reason.value, "nonce": ObjectId()}}


def new_document(identifier: ObjectId, key: str | None, entries: Entries, reason: Reason) -> dict[str, Any]:
    moment = now()
    document: dict[str, Any] = {"_id": identifier}
    if key is not None:
        document["key"] = key
    filled = {name: entry for name, entry in entries.items() if entry is not None}
    document["values"] = {name: entry.entered for name, entry in filled.items()}
    document["normal"] = {name: entry.normal for name, entry in filled.items()}
    document["anniversaries"] = {
        name: entry.anniversary for name, entry in filled.items() if entry.anniversary is not None
    }
    return {**document, "created": moment, "updated": moment, **cause(reason)}


def update_of(document: Mapping[str, Any], entries: Entries, reason: Reason) -> dict[str, Any] | None:
    """The update that makes `document` hold the entries; None where it does already."""
    values = Contact(document).values
    normal = document.get("normal")
    normal = normal if isinstance(normal, Mapping) else {}
    sets: dict[str, Any] = {}
    unsets: dict[str, str] = {}
    for name, entry in entries.items():
        if entry is None:
            if name in values or name in normal:
                unsets |= dict.fromkeys((f"values.{name}", f"normal.{name}", f"anniversaries.{name}"), "")
        elif not (_same(values.get(name), entry.entered) and _same(normal.get(name), entry.normal)):
            sets |= {f"values.{name}": entry.entered, f"normal.{name}": entry.normal}
            if entry.anniversary is not None:
                sets[f"anniversaries.{name}"] = entry.anniversary
    if not sets and not unsets:
        return None
    update: dict[str, Any] = {"$set": {**sets, "updated": now(), **cause(reason)}}
    if unsets:
        update["$unset"] = unsets
    return update


def retyped_of(
    document: Mapping[str, Any], key: str, entry: Entry | None
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The update that gives the value under `key` the normal form of `entry`, and leaves it as it was entered.

    Before it the query of the contact as it was read, as far as this field goes. None where there is nothing to do.
    """
    seen: dict[str, Any] = {f"values.{key}": Contact(document).values.get(key)}
    update: dict[str, dict[str, Any]] = {}
    for part, wanted in (
        ("normal", None if entry is None else entry.normal),
        ("anniversaries", None if entry is None else entry.anniversary),
    ):
        stored = document.get(part)
        known = stored.get(key) if isinstance(stored, Mapping) else None
        seen[f"{part}.{key}"] = known
        if not _same(known, wanted):
            update.setdefault("$unset" if wanted is None else "$set", {})[f"{part}.{key}"] = wanted
    if not update:
        return None
    # `$eq`, because other programs may have put there what reads as an operator.
    return {"_id": document["_id"], **{path: {"$eq": value} for path, value in seen.items()}}, update


def _same(stored: Any, wanted: Any) -> bool:
    """Equal, and of one kind: 1 is not True, and 3 is not 3.0 to whoever entered it."""
    return _kind(stored) is _kind(wanted) and bool(stored == wanted)


def _kind(value: Any) -> type:
    # The driver gives a 64-bit integer back as a type of its own.
    return int if isinstance(value, int) and not isinstance(value, bool) else type(value)
