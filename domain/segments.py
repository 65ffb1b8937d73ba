"""Segments: created, edited and deleted. Saving one writes one document, whatever the number of contacts.

Owns what may be saved. The rule is built on the very catalogue that the edit is decided on, so that a field deleted at the
same moment cannot slip through. Who joins and leaves by an edit is the engine's to find.
"""

from __future__ import annotations

from collections.abc import Callable

from bson import ObjectId

from domain.audiences import Segment
from domain.catalogue import Catalogue, segment_body
from domain.definitions import Definitions, Draft, checked_description, checked_name
from domain.errors import LimitExceeded, NameTaken, NotFound, VersionConflict
from domain.rules.tree import Rule, fields_used
from domain.store.definitions import Kind
from domain.store.store import Store

MAX_SEGMENTS = 10_000

BuildRule = Callable[[Catalogue], Rule]
"""Makes the rule of what the caller gave, by the account's fields and settings. Raises what is wrong with it."""


class Segments:
    """One account's segments."""

    def __init__(self, store: Store, definitions: Definitions) -> None:
        self._store = store
        self._definitions = definitions

    async def create(
        self, identifier: ObjectId, *, name: str, description: str | None, rule: BuildRule
    ) -> Segment:
        """Save a new segment under `identifier`; saving it again under the same one changes nothing.

        Raises `InvalidValue`, `NameTaken`, `LimitExceeded`, and what `rule` raises.
        """
        name, description = checked_name(name), checked_description(description)
        await self._prepare(rule)

        def decide(catalogue: Catalogue) -> Draft | None:
            if identifier in catalogue.segments:
                return None
            if len(catalogue.segments) >= MAX_SEGMENTS:
                raise LimitExceeded(f"An account has {MAX_SEGMENTS:,} segments at most. Delete one first.")
            check_name_free(catalogue, Kind.SEGMENT, name, identifier)
            body = segment_body(name, description, rule(catalogue))
            return Draft(kind=Kind.SEGMENT, id=identifier, version=1, body=body)

        catalogue = await self._definitions.edit(decide)
        return require_segment(catalogue, identifier)

    async def update(
        self,
        identifier: ObjectId,
        *,
        name: str | None = None,
        description: str | None = None,
        keep_description: bool = True,
        rule: BuildRule | None = None,
        expected_version: int | None = None,
    ) -> Segment:
        """Change what is given. Saving what is there already makes no new version.

        Raises `NotFound`, `VersionConflict` where it was edited since `expected_version`, and as `create` does.
        """
        wanted_name = None if name is None else checked_name(name)
        wanted_description = checked_description(description)
        if rule is not None:
            await self._prepare(rule)

        def decide(catalogue: Catalogue) -> Draft | None:
            segment = require_segment(catalogue, identifier)
            if expected_version is not None and segment.version != expected_version:
                raise VersionConflict(
                    f"The segment is at version {segment.version} by now. Read it again, then decide.",
                    path=("expectedVersion",),
                )
            if wanted_name is not None:
                check_name_free(catalogue, Kind.SEGMENT, wanted_name, identifier)
            body = segment_body(
                segment.name if wanted_name is None else wanted_name,
                segment.description if keep_description else wanted_description,
                segment.rule if rule is None else rule(catalogue),
            )
            if body == segment_body(segment.name, segment.description, segment.rule):
                return None
            return Draft(kind=Kind.SEGMENT, id=identifier, version=segment.version + 1, body=body)

        catalogue = await self._definitions.edit(decide)
        return require_segment(catalogue, identifier)

    async def delete(self, identifier: ObjectId) -> None:
        """End it: its watchers are told so, and nobody is told to have left. Raises `NotFound`."""

        def decide(catalogue: Catalogue) -> Draft:
            segment = require_segment(catalogue, identifier)
            return Draft(kind=Kind.SEGMENT, id=identifier, version=segment.version + 1, deleted=True)

        await self._definitions.edit(decide)

    async def _prepare(self, rule: BuildRule) -> None:
        """Make the indexes that the rule wants, before the engine reads by it."""
        await self._store.prepare_attributes(fields_used(rule(await self._definitions.current())))


def require_segment(catalogue: Catalogue, identifier: ObjectId) -> Segment:
    """Raises `NotFound`."""
    segment = catalogue.segments.get(identifier)
    if segment is None:
        raise NotFound("There is no such segment. It may have been deleted.", path=("id",))
    return segment


def check_name_free(catalogue: Catalogue, kind: Kind, name: str, identifier: ObjectId) -> None:
    """Raises `NameTaken` where another of the kind has the name, after folding."""
    if catalogue.named(kind, name) not in (None, identifier):
        raise NameTaken(f"There is a {kind} of the name “{name}” already. Choose another.", path=("name",))
