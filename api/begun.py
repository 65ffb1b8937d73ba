"""Beginning a subscription: what is refused is refused before anything is promised, and how often events may come is bounded."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from domain.errors import InvalidValue, NotFound

MAX_EVERY_MS = 60_000

T = TypeVar("T")


class Begun(AsyncIterator[T]):
    """A generator that has given its first item already. One that never does raises before anything was promised."""

    def __init__(self, first: T, rest: AsyncGenerator[T, None]) -> None:
        self._waiting: list[T] = [first]
        self._rest = rest

    async def __anext__(self) -> T:
        return self._waiting.pop() if self._waiting else await anext(self._rest)

    async def aclose(self) -> None:
        await self._rest.aclose()


async def begun(items: AsyncGenerator[T, None]) -> Begun[T]:
    try:
        return Begun(await anext(items), items)
    except StopAsyncIteration:
        raise NotFound(
            "There is no such group or segment. It may have been deleted.", path=("audience",)
        ) from None


def checked_every(milliseconds: int, *, least: int) -> float:
    """The least time between two events, in seconds. Raises `InvalidValue`."""
    if not least <= milliseconds <= MAX_EVERY_MS:
        raise InvalidValue(f"{least} to {MAX_EVERY_MS:,} milliseconds are wanted.", path=("atMostEveryMs",))
    return milliseconds / 1000
