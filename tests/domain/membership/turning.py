"""A clock that a test turns by hand: the stream's own times, carried on from certain places in it by so many seconds.

Where the clock was turned is remembered by cluster time, so whoever reads the stream again sees it turned in the same places.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from bson import Timestamp

from domain.store.store import Store
from domain.store.stream import Moment, StreamBatch


class TurnedStore(Store):
    """A store whose stream tells of other times than the server's clock. Time only ever goes forward."""

    _turns: list[tuple[Timestamp, int]]

    async def turn_to(self, wanted: datetime) -> None:
        """From what is written next on, it is this time, and goes on from there."""
        reply = await self._database.command("ping")
        here: Timestamp = reply["operationTime"]
        self._turns = [*getattr(self, "_turns", []), (here, int(wanted.timestamp()) - here.time)]
        assert [seconds for _, seconds in self._turns] == sorted(seconds for _, seconds in self._turns)

    async def follow(self, token: Mapping[str, Any] | None) -> AsyncGenerator[StreamBatch, None]:
        async with aclosing(super().follow(token)) as batches:
            async for batch in batches:
                yield StreamBatch([self._turned(moment) for moment in batch.moments], batch.token)

    def _turned(self, moment: Moment) -> Moment:
        later = max((seconds for since, seconds in self._turns if moment.time > since), default=0)
        for event in moment.events:
            event["clusterTime"] = Timestamp(moment.time.time + later, moment.time.inc)
            event.pop("wallTime", None)
        return Moment(Timestamp(moment.time.time + later, moment.time.inc), moment.events)


def berlin(text: str) -> datetime:
    """A wall clock reading in Berlin, as an instant."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
