"""What is in force where a run of the engine stands: every account's definitions, as the stream has told them.

Owns their loading as of a checkpoint, and the questions that a run asks of all accounts at once. Memory: the definitions. Held by
`tests/domain/membership/test_engine.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from bson import ObjectId

from domain.audiences import Audience, Segment
from domain.catalogue import Catalogue
from domain.effects import Broke, Effect
from domain.membership.quarantine import concern
from domain.membership.turns import Key
from domain.rules.criterion import Criterion
from domain.rules.tree import paths_read
from domain.store.definitions import Definition
from domain.store.requests import Believed
from domain.store.store import Store


class InForce:
    """One run's."""

    def __init__(self) -> None:
        self.catalogues: dict[str, Catalogue] = {}
        self.revisions: Mapping[str, int] = {}
        """Each account's; another mapping whenever one of them changes, so that it can be kept."""
        self._broke: dict[ObjectId, Broke] = {}

    async def load(self, store: Store, revisions: Mapping[str, int] | None) -> None:
        """Take in all definitions up to these revisions; all that there are for None."""
        for definitions in (await store.definitions_in_force(revisions)).values():
            for definition in definitions:
                self.apply(definition)

    def apply(self, definition: Definition) -> list[Effect]:
        """Take in a version; what it did to audiences."""
        account = definition.account
        catalogue = self.catalogues.setdefault(account, Catalogue(account))
        effects = catalogue.apply(definition)
        self._broke |= {effect.segment.id: effect for effect in effects if isinstance(effect, Broke)}
        if catalogue.revision != self.revisions.get(account):
            self.revisions = {**self.revisions, account: catalogue.revision}
        return effects

    def find(self, key: Key) -> tuple[Audience, Criterion] | None:
        """An audience, and what decides who is in it; None where there is none any more."""
        catalogue = self.catalogues.get(key.account)
        audience = None if catalogue is None else catalogue.audience(key.audience)
        if catalogue is None or audience is None:
            return None
        return audience, catalogue.criterion(key.audience)

    def concerned_by(self, changed: frozenset[str] | None) -> list[Key]:
        """The audiences that look at one of these paths of a contact; all of them for None."""
        return [
            Key(account, audience.id)
            for account, catalogue in self.catalogues.items()
            for audience in catalogue.audiences()
            if concern(changed, paths_read(catalogue.criterion(audience.id).rule))
        ]

    def paths_read(self) -> set[str]:
        """The paths of a contact that decide who is in a segment."""
        return {
            path
            for catalogue in self.catalogues.values()
            for segment in catalogue.segments
            for path in paths_read(catalogue.criterion(segment).rule)
        }

    def unfinished_breaking(
        self, account: str, audience: Audience, believed: Believed | None, *, known: bool
    ) -> Broke | None:
        """How a segment broke, unless it was mended, or frozen by a run that came to its end with that.

        `known`: the log knows the segment.
        """
        if not isinstance(audience, Segment) or audience.broken is None:
            return None
        done = known and (believed is None or believed.revisions.get(account, 0) >= audience.broken.revision)
        return None if done else self._broke.get(audience.id)
