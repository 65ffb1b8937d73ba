"""Cancelling: whoever is cancelled in the middle of an operation of the database's stops there, always.

Before Python 3.12 `asyncio.wait_for` forgets a cancellation that comes in the moment in which the wait is over anyway
(python/cpython#86296), and PyMongo sends everything through it: of a hundred operations that were cancelled at random, three to
six went on as if nobody had said anything, and whoever waited for the end of their task waited for ever. So in those versions it
is replaced, for the process, by what it is in later ones. Held by `tests/domain/store/test_cancelling.py`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import TypeVar

from pymongo import lock

T = TypeVar("T")


async def wait_for(awaitable: Awaitable[T], timeout: float | None) -> T:
    """What it gives; raises `TimeoutError` after so many seconds, and cancels it then."""
    async with asyncio.timeout(timeout):
        return await awaitable


def heed_cancellation() -> None:
    """For everything that PyMongo does in this process, and for whoever else waits."""
    if sys.version_info < (3, 12):
        asyncio.wait_for = wait_for  # type: ignore[assignment]
        lock.wait_for = wait_for  # type: ignore[attr-defined, assignment]
