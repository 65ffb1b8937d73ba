"""Connections: pages of a list, by the Relay cursor connections specification.

Owns the shape, the bounds of `first`, and keyset cursors: a cursor names the last item's place in the list's order and the
list itself, so that items which come and go shift nothing, and a cursor of another list is refused. Held by
`tests/api/test_connections.py`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Generic, Protocol, TypeVar

import strawberry
from bson import ObjectId

from api.ids import object_id_of
from domain.errors import InvalidCursor, InvalidValue, LimitExceeded

MAX_FIRST = 200

First = Annotated[
    int | None, strawberry.argument(description=f"How many to give at most, from 0 to {MAX_FIRST}.")
]
After = Annotated[
    str | None,
    strawberry.argument(description="Begin behind this cursor, one that a page of the same list gave."),
]
Search = Annotated[
    str | None,
    strawberry.argument(description="Only those whose name has this text in it, whatever the case."),
]

T = TypeVar("T")
Stored = TypeVar("Stored")


class Identified(Protocol):
    """What clients are shown under a global identifier."""

    id: strawberry.ID


Shown = TypeVar("Shown", bound=Identified)


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more items follow.")
    has_previous_page: bool = strawberry.field(
        description="Whether the page was asked for behind a cursor, so that items may precede it."
    )
    start_cursor: str | None = strawberry.field(description="The cursor of the first item on the page.")
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last item on the page: `after` for the next one."
    )


@strawberry.type(description="An item of a list with its place in it.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="The item's place in this list: `after` for what follows it.")
    node: T = strawberry.field(description="The item.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="The items, each with its cursor.")
    page_info: PageInfo = strawberry.field(description="Where the page stands in the list.")
    count: strawberry.Private[Callable[[], Awaitable[int]]]

    @strawberry.field(description="The items without their cursors.")
    def nodes(self) -> list[T]:
        return [edge.node for edge in self.edges]

    @strawberry.field(
        description="How many items the whole list has, with its filter: exact, and counted only where it is asked for."
    )
    async def total_count(self) -> int:
        return await self.count()


def checked_first(first: int | None, default: int = 50) -> int:
    """A page's size within bounds; an explicit null is the default. Raises `InvalidValue` and `LimitExceeded`."""
    if first is None:
        return default
    if first < 0:
        raise InvalidValue("A number that is not negative is wanted.", path=("first",))
    if first > MAX_FIRST:
        raise LimitExceeded(
            f"A page has {MAX_FIRST} items at most; go on behind its last cursor.", path=("first",)
        )
    return first


def page_info(cursors: Sequence[str], *, after: str | None, more: bool) -> PageInfo:
    return PageInfo(
        has_next_page=more,
        has_previous_page=after is not None,
        start_cursor=cursors[0] if cursors else None,
        end_cursor=cursors[-1] if cursors else None,
    )


def to_connection(
    nodes: Sequence[T],
    cursor: Callable[[T], str],
    *,
    first: int,
    after: str | None,
    count: Callable[[], Awaitable[int]],
) -> Connection[T]:
    """A page of what was fetched for it: one item more than `first` says that there are more."""
    edges = [Edge(cursor=cursor(node), node=node) for node in nodes[:first]]
    return Connection(
        edges=edges,
        page_info=page_info([edge.cursor for edge in edges], after=after, more=len(nodes) > first),
        count=count,
    )


async def by_identifier(
    of: str,
    read: Callable[[ObjectId | None, int], Awaitable[Sequence[Stored]]],
    show: Callable[[Stored], Shown],
    count: Callable[[], Awaitable[int]],
    *,
    first: int | None,
    after: str | None,
) -> Connection[Shown]:
    """A page of a list in the order of its identifiers, of which `read` gives so many at most behind one."""
    limit = checked_first(first)
    nodes = [show(each) for each in await read(None if after is None else _identifier(of, after), limit + 1)]
    return to_connection(
        nodes, lambda node: to_cursor(of, str(object_id_of(node.id))), first=limit, after=after, count=count
    )


def _identifier(of: str, cursor: str) -> ObjectId:
    (text,) = from_cursor(of, cursor, 1)
    if not ObjectId.is_valid(text):
        raise InvalidCursor("This is not a cursor of a list. Use one that a page has given.", path=("after",))
    return ObjectId(text)


def to_cursor(of: str, *place: str) -> str:
    """A cursor of the list `of`."""
    text = json.dumps([of, *place], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def from_cursor(of: str, cursor: str, parts: int) -> list[str]:
    """The place that a cursor of the list `of` names. Raises `InvalidCursor` for any other text."""
    try:
        plain = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        given: Any = json.loads(plain)
    except (ValueError, binascii.Error, RecursionError):
        given = None
    if not (
        isinstance(given, list) and len(given) == parts + 1 and all(isinstance(part, str) for part in given)
    ):
        raise InvalidCursor("This is not a cursor of a list. Use one that a page has given.", path=("after",))
    if given[0] != of:
        raise InvalidCursor(
            "This cursor belongs to another list. A cursor works only for the list that gave it.",
            path=("after",),
        )
    return given[1:]
