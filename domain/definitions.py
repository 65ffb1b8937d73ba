"""Reading and editing an account's definitions: the newest catalogue, and decisions made on it.

Owns the loop of optimistic editing: decide on the newest catalogue, take the next revision, and where another writer had
it first, look again and decide again. Held by `tests/domain/test_definitions.py`.

Cost: reading is one indexed query that usually finds nothing, shared by all who ask at once; an edit is one insert.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from domain.catalogue import Catalogue
from domain.errors import InvalidValue, Unavailable
from domain.fields import fold
from domain.rounds import Rounds
from domain.store.definitions import Definition, DefinitionLog, Kind
from domain.store.scope import Duplicate

MAX_ATTEMPTS = 50
LONGEST_NAME = 200
LONGEST_DESCRIPTION = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A version to be appended, but for its revision."""

    kind: Kind
    id: ObjectId | str
    version: int
    deleted: bool = False
    body: Mapping[str, Any] = field(default_factory=dict)


Decide = Callable[[Catalogue], Draft | None]
"""Decides on the newest catalogue; None where there is nothing to do; raises what the caller is to be told."""


class Definitions:
    """One account's definitions, as this process knows them."""

    def __init__(self, log: DefinitionLog) -> None:
        self._log = log
        self._catalogue = Catalogue(log.account)
        self._rounds = Rounds(self._catch_up)

    async def current(self) -> Catalogue:
        """The catalogue with everything that was defined before this call. It goes on changing: read it, do not keep it."""
        await self._rounds.join()
        return self._catalogue

    @property
    def known(self) -> Catalogue:
        """The catalogue as it was last read: good for whoever has just read it by way of something else."""
        return self._catalogue

    async def edit(self, decide: Decide) -> Catalogue:
        """Append what `decide` wants. The catalogue after it. Raises what `decide` raises."""
        for _ in range(MAX_ATTEMPTS):
            catalogue = await self.current()
            draft = decide(catalogue)
            if draft is None:
                return catalogue
            definition = Definition(
                account=self._log.account,
                revision=catalogue.revision + 1,
                kind=draft.kind,
                id=draft.id,
                version=draft.version,
                deleted=draft.deleted,
                at=now(),
                body=draft.body,
            )
            try:
                await self._log.append(definition)
            except Duplicate:
                continue
            return await self.current()
        raise Unavailable(
            "Too many others are editing definitions at the moment. Try again in a few seconds."
        )

    async def _catch_up(self) -> None:
        for definition in await self._log.since(self._catalogue.revision):
            self._catalogue.apply(definition)


def now() -> datetime:
    """The time now, as MongoDB keeps it: in milliseconds."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def checked_name(name: str) -> str:
    """A name that can be given. Raises `InvalidValue`."""
    name = name.strip()
    if not fold(name) or len(name) > LONGEST_NAME or "\0" in name:
        raise InvalidValue(f"A name of 1 to {LONGEST_NAME} characters is wanted.", path=("name",))
    return name


def checked_description(description: str | None) -> str | None:
    """A description that can be given; blank is none. Raises `InvalidValue`."""
    if description is None or not description.strip():
        return None
    if len(description) > LONGEST_DESCRIPTION or "\0" in description:
        raise InvalidValue(
            f"A description has {LONGEST_DESCRIPTION:,} characters at most.", path=("description",)
        )
    return description.strip()
