"""Static groups: made, edited and deleted; contacts put in and taken out.

Owns the limit of groups for a contact, which the database itself enforces in the update, so that no two writers together
can pass it. A group's membership stands on the contact; deleting the group ends it at once, and the contacts are
stripped of it afterwards. Held by `tests/domain/test_groups.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bson import ObjectId

from domain.audiences import Group
from domain.bodies import group_body
from domain.catalogue import Catalogue
from domain.contact import cause
from domain.contacts import MAX_AT_ONCE
from domain.definitions import Definitions, Draft, checked_description, checked_name
from domain.errors import LimitExceeded, NotFound, ShoalError, TooManyGroups
from domain.referring import check_unused
from domain.rules.tree import AudienceKind, AudienceRef
from domain.segments import check_name_free
from domain.store.definitions import Kind
from domain.store.log import Reason
from domain.store.scope import Scoped
from domain.sweeping import Sweeper

MAX_GROUPS = 10_000
MAX_GROUPS_OF_A_CONTACT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Regrouped:
    """What became of adding or removing: how many moved, how many were where they should be, and who could not be helped."""

    moved: int
    unchanged: int
    errors: tuple[ShoalError, ...]


class Groups:
    """One account's groups."""

    def __init__(self, contacts: Scoped, definitions: Definitions, sweeper: Sweeper) -> None:
        self._contacts = contacts
        self._definitions = definitions
        self._sweeper = sweeper

    async def create(self, identifier: ObjectId, *, name: str, description: str | None) -> Group:
        """Make a group under `identifier`; making it again changes nothing.

        Raises `InvalidValue`, `NameTaken`, `LimitExceeded`.
        """
        name, description = checked_name(name), checked_description(description)

        def decide(catalogue: Catalogue) -> Draft | None:
            if identifier in catalogue.groups:
                return None
            if len(catalogue.groups) >= MAX_GROUPS:
                raise LimitExceeded(f"An account has {MAX_GROUPS:,} groups at most. Delete one first.")
            check_name_free(catalogue, Kind.GROUP, name, identifier)
            return Draft(kind=Kind.GROUP, id=identifier, version=1, body=group_body(name, description))

        return require_group(await self._definitions.edit(decide), identifier)

    async def update(
        self,
        identifier: ObjectId,
        *,
        name: str | None = None,
        description: str | None = None,
        keep_description: bool = True,
    ) -> Group:
        """Change what is given. Raises `NotFound`, `InvalidValue`, `NameTaken`."""
        wanted_name = None if name is None else checked_name(name)
        wanted_description = checked_description(description)

        def decide(catalogue: Catalogue) -> Draft | None:
            group = require_group(catalogue, identifier)
            if wanted_name is not None:
                check_name_free(catalogue, Kind.GROUP, wanted_name, identifier)
            body = group_body(
                group.name if wanted_name is None else wanted_name,
                group.description if keep_description else wanted_description,
            )
            if body == group_body(group.name, group.description):
                return None
            return Draft(kind=Kind.GROUP, id=identifier, version=group.version + 1, body=body)

        return require_group(await self._definitions.edit(decide), identifier)

    async def delete(self, identifier: ObjectId) -> None:
        """End it: its watchers are told so, and nobody is told to have left. Raises `NotFound`, `AudienceInUse`."""

        def decide(catalogue: Catalogue) -> Draft:
            group = require_group(catalogue, identifier)
            check_unused(catalogue, AudienceRef(kind=AudienceKind.GROUP, id=identifier))
            return Draft(kind=Kind.GROUP, id=identifier, version=group.version + 1, deleted=True)

        await self._definitions.edit(decide)
        self._sweeper.strip_group(identifier)

    async def add(
        self, identifier: ObjectId, *, ids: Sequence[ObjectId | None] = (), keys: Sequence[str] = ()
    ) -> Regrouped:
        """Put contacts in, by identifiers or by keys, 1,000 at most.

        An identifier that was unreadable is None, and not found. Raises `NotFound` for the group, `LimitExceeded`; a contact
        that is not there or in too many groups is told among the errors, and the others go in.
        """
        contacts, errors = await self._find(identifier, ids, keys)
        room = f"groups.{MAX_GROUPS_OF_A_CONTACT - 1}"
        written = await self._contacts.write(
            updates=[
                (
                    {"_id": contact, "groups": {"$ne": identifier}, room: {"$exists": False}},
                    {"$push": {"groups": identifier}, "$set": cause(Reason.GROUP_EDITED)},
                )
                for contact in contacts
            ]
        )
        if written.matched < len(contacts):
            outside = await self._contacts.find_among(
                "_id", list(contacts), {"groups": {"$ne": identifier}}, projection={"_id": 1}
            )
            errors += [
                TooManyGroups(
                    f"The contact is in {MAX_GROUPS_OF_A_CONTACT} groups, which is the most. Take it out of one first.",
                    path=contacts[document["_id"]],
                )
                for document in outside
            ]
        return Regrouped(
            moved=written.modified,
            unchanged=len(ids) + len(keys) - written.modified - len(errors),
            errors=tuple(errors),
        )

    async def remove(
        self, identifier: ObjectId, *, ids: Sequence[ObjectId | None] = (), keys: Sequence[str] = ()
    ) -> Regrouped:
        """Take contacts out. As `add`."""
        contacts, errors = await self._find(identifier, ids, keys)
        written = await self._contacts.write(
            updates=[
                (
                    {"_id": contact, "groups": identifier},
                    {"$pull": {"groups": identifier}, "$set": cause(Reason.GROUP_EDITED)},
                )
                for contact in contacts
            ]
        )
        return Regrouped(
            moved=written.modified,
            unchanged=len(ids) + len(keys) - written.modified - len(errors),
            errors=tuple(errors),
        )

    async def _find(
        self, identifier: ObjectId, ids: Sequence[ObjectId | None], keys: Sequence[str]
    ) -> tuple[dict[ObjectId, tuple[str | int, ...]], list[ShoalError]]:
        """The contacts that exist, each with its path into the input, and an error for each that does not."""
        if len(ids) + len(keys) > MAX_AT_ONCE:
            raise LimitExceeded(
                f"{len(ids) + len(keys):,} contacts are too many at once: send {MAX_AT_ONCE:,} at most.",
                path=("contacts",),
            )
        require_group(await self._definitions.current(), identifier)
        found = await self._contacts.find_among("_id", [each for each in ids if each], projection={"_id": 1})
        by_key = await self._contacts.find_among("key", keys, projection={"_id": 1, "key": 1})
        known_ids = {document["_id"] for document in found}
        known_keys = {document["key"]: document["_id"] for document in by_key}
        contacts: dict[ObjectId, tuple[str | int, ...]] = {}
        errors: list[ShoalError] = []
        for index, given in enumerate(ids):
            if given is not None and given in known_ids:
                contacts.setdefault(given, ("contacts", "ids", index))
            else:
                errors.append(_unknown("contacts", "ids", index))
        for index, key in enumerate(keys):
            if key in known_keys:
                contacts.setdefault(known_keys[key], ("contacts", "keys", index))
            else:
                errors.append(_unknown("contacts", "keys", index))
        return contacts, errors


def require_group(catalogue: Catalogue, identifier: ObjectId) -> Group:
    """Raises `NotFound`."""
    group = catalogue.groups.get(identifier)
    if group is None:
        raise NotFound("There is no such group. It may have been deleted.", path=("id",))
    return group


def _unknown(*path: str | int) -> NotFound:
    return NotFound("There is no such contact.", path=path)
