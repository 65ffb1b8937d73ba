"""Segments: created, edited and deleted. Saving one writes one document, whatever the number of contacts.

Owns what may be saved. The rule is built on the very catalogue that the edit is decided on, so that a field or an audience deleted
at the same moment cannot slip through. Who joins and leaves by an edit is the engine's to find.
"""

from __future__ import annotations

from collections.abc import Callable

from bson import ObjectId

from domain.audiences import Segment
from domain.bodies import segment_body
from domain.catalogue import Catalogue
from domain.definitions import Definitions, Draft, checked_description, checked_name
from domain.errors import LimitExceeded, NameTaken, NotFound, ShoalError, UnknownAudience, VersionConflict
from domain.fields import fold
from domain.referring import check_rule, check_unused
from domain.rules.tree import AudienceKind, AudienceRef, Rule, paths_read
from domain.store.definitions import Kind
from domain.store.store import Store
from domain.sweeping import Sweeper

MAX_SEGMENTS = 10_000

BuildRule = Callable[[Catalogue], Rule]
"""Makes the rule of what the caller gave, by the account's fields and settings. Raises what is wrong with it."""


class Segments:
    """One account's segments."""

    def __init__(self, store: Store, definitions: Definitions, sweeper: Sweeper) -> None:
        self._store = store
        self._definitions = definitions
        self._sweeper = sweeper

    async def create(
        self, identifier: ObjectId, *, name: str, description: str | None, rule: BuildRule
    ) -> Segment:
        """Save a new segment under `identifier`; saving it again under the same one changes nothing.

        Raises `InvalidValue`, `NameTaken`, `LimitExceeded`, and what `rule` and `domain.referring.check_rule` raise.
        """
        name, description = checked_name(name), checked_description(description)
        try:
            await self._prepare(rule)
        except UnknownAudience as error:
            if error.sought is not None and fold(error.sought) == fold(name):
                error.message += " A segment cannot refer to itself."
            raise

        def decide(catalogue: Catalogue) -> Draft | None:
            if identifier in catalogue.segments:
                return None
            if len(catalogue.segments) >= MAX_SEGMENTS:
                raise LimitExceeded(f"An account has {MAX_SEGMENTS:,} segments at most. Delete one first.")
            check_name_free(catalogue, Kind.SEGMENT, name, identifier)
            built = rule(catalogue)
            check_rule(catalogue, identifier, name, built)
            body = segment_body(name, description, built, rule_version=1)
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
            version = segment.version + 1
            new_name = segment.name if wanted_name is None else wanted_name
            new_rule, rule_version = segment.rule, segment.rule_version
            if rule is not None:
                new_rule = rule(catalogue)
                check_rule(catalogue, identifier, new_name, new_rule)
                # Saving its very rule mends a broken segment, for what it needs may be there again.
                if new_rule != segment.rule or segment.broken is not None:
                    rule_version = version
            new_description = segment.description if keep_description else wanted_description
            body = segment_body(new_name, new_description, new_rule, rule_version)
            if body == segment_body(segment.name, segment.description, segment.rule, segment.rule_version):
                return None
            return Draft(kind=Kind.SEGMENT, id=identifier, version=version, body=body)

        catalogue = await self._definitions.edit(decide)
        # Those that it, and others with it, carried until it was mended.
        self._sweeper.strip_marks()
        return require_segment(catalogue, identifier)

    async def delete(self, identifier: ObjectId) -> None:
        """End it: its watchers are told so, and nobody is told to have left. Raises `NotFound`, `AudienceInUse`."""

        def decide(catalogue: Catalogue) -> Draft:
            segment = require_segment(catalogue, identifier)
            check_unused(catalogue, AudienceRef(kind=AudienceKind.SEGMENT, id=identifier))
            return Draft(kind=Kind.SEGMENT, id=identifier, version=segment.version + 1, deleted=True)

        await self._definitions.edit(decide)
        self._sweeper.strip_marks()

    async def _prepare(self, rule: BuildRule) -> None:
        """Make the indexes that the rule wants, before the engine reads by it."""
        catalogue = await self._definitions.current()
        built = rule(catalogue)
        try:
            followed = catalogue.criterion_of(built).rule
        except ShoalError:
            # Refused when the edit is decided, which says where it goes wrong.
            return
        await self._store.prepare_attributes(paths_read(followed))


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
