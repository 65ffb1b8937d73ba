"""Quarantine: contacts that were changed while nobody can say what they were before.

A pre-image is missing where retention took it, where the contact was written before images were on, or where somebody
switched them off. Nothing that such a contact does is told from there on of the audiences that look at what was changed, until
the engine comes to a request in the stream; there it is held against its last state in the log (`reconciling`). What the other
contacts of these audiences do is told meanwhile, but no size, for it would not be exact.

Pure. Owns who is in quarantine, and since when. Held by `tests/domain/membership/test_reconciling.py`. Memory: one
note for each contact and audience.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bson import ObjectId

from domain.membership.position import Position, just_before
from domain.membership.readings import Occurrence
from domain.membership.turns import Key
from domain.store.checkpoint import Checkpoint

MOST_CONTACTS = 1_000
"""In quarantine at once. Beyond that the stream tells too little to be followed."""


class Quarantine:
    """One run's."""

    def __init__(self) -> None:
        self._since: dict[Key, dict[ObjectId, Position]] = {}
        self._contacts: set[ObjectId] = set()
        self._restart_from: Checkpoint | None = None

    def __len__(self) -> int:
        """How many contacts are in."""
        return len(self._contacts)

    def add(
        self, contact: ObjectId, keys: Iterable[Key], since: Position, restart_from: Checkpoint | None
    ) -> None:
        """What the contact does behind `since` in these audiences is unclear."""
        if not self._contacts:
            self._restart_from = restart_from
        self._contacts.add(contact)
        for key in keys:
            self._since.setdefault(key, {}).setdefault(contact, since)

    def holds(self, key: Key, happened: Occurrence) -> bool:
        """Whether what happened is unclear."""
        contacts = self._since.get(key)
        return contacts is not None and covers(contacts, happened)

    def held(self) -> Mapping[ObjectId, Position]:
        """Up to where everything of each audience is clear."""
        return {key.audience: just_before(min(since.values())) for key, since in self._since.items()}

    def release(self) -> Mapping[Key, Mapping[ObjectId, Position]]:
        """Everybody who was in, and since when, for each audience; nobody is in afterwards."""
        released, self._since = self._since, {}
        self._contacts.clear()
        return released

    def restart_from(self, otherwise: Checkpoint | None) -> Checkpoint | None:
        """Before the first who is in, so that a new run puts them in again."""
        if not self._contacts or self._restart_from is None or otherwise is None:
            return otherwise
        return min(otherwise, self._restart_from, key=lambda checkpoint: checkpoint.position)


def covers(since: Mapping[ObjectId, Position], happened: Occurrence) -> bool:
    """Whether it happened to one of these contacts, and behind the position that stands there."""
    return (
        happened.contact is not None
        and happened.contact in since
        and happened.position >= since[happened.contact]
    )


def concern(changed: frozenset[str] | None, read: Iterable[str]) -> bool:
    """Whether a change of these paths of a document can change what is read of it."""
    if changed is None:
        return True
    # Whoever changes the account makes another contact of it.
    return any(_overlap(one, other) for one in changed for other in (*read, "account"))


def _overlap(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")
