"""Freezing, stopped in the middle: whatever may happen while only some of the members carry the mark."""

import asyncio
from typing import Any

import pytest
from bson import ObjectId

from domain.membership import freezing
from domain.store.scope import Scoped


class Halfway:
    """Stops freezing when half of the marks are written, until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self._write = freezing._write
        monkeypatch.setattr(freezing, "_write", self._halfway)

    async def _halfway(self, contacts: Scoped, identifiers: set[ObjectId], update: dict[str, Any]) -> None:
        ordered = sorted(identifiers)
        await self._write(contacts, ordered[: len(ordered) // 2], update)
        self.reached.set()
        await self.go_on.wait()
        await self._write(contacts, ordered[len(ordered) // 2 :], update)
