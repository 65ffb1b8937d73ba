"""Lists by name: of groups, segments and campaigns, all of which are in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Protocol, TypeVar

from bson import ObjectId

from api.connections import Connection, checked_first, from_cursor, to_connection, to_cursor
from domain.fields import fold


class Named(Protocol):
    @property
    def id(self) -> ObjectId: ...

    @property
    def name(self) -> str: ...


class Showing(Protocol):
    """What clients are shown of something that has a name."""

    @property
    def stored(self) -> Named: ...


Thing = TypeVar("Thing", bound=Named)
Shown = TypeVar("Shown", bound=Showing)


def by_name(things: Iterable[Thing], search: str | None) -> list[Thing]:
    part = fold(search or "")
    return sorted((thing for thing in things if part in fold(thing.name)), key=_place)


def named(of: str, things: list[Shown], first: int | None, after: str | None) -> Connection[Shown]:
    """A page of a list by name. The cursor names the place, so a rename moves an item and loses none."""
    limit = checked_first(first)
    following = things
    if after is not None:
        name, identifier = from_cursor(of, after, 2)
        following = things[bisect_right(things, (name, identifier), key=lambda thing: _place(thing.stored)) :]

    async def count() -> int:
        return len(things)

    return to_connection(
        following[: limit + 1],
        lambda thing: to_cursor(of, *_place(thing.stored)),
        first=limit,
        after=after,
        count=count,
    )


def _place(thing: Named) -> tuple[str, str]:
    return fold(thing.name), str(thing.id)
