"""What the demonstration has seen: each audience's size, live from its subscriptions, and who joined and left.

Owns the reading of events, and the comparison at the end of what was seen live with what is asked afresh. Both feeds of each
audience are followed, sizes and changes: they must tell the same.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from api.demo.client import Client, Refused, Socket
from api.demo.story import Audience

KEPT_MOVES = 40
KEPT_DELAYS = 200
RATE_SECONDS = 5.0
SETTLE_SECONDS = 10.0

_CHANGES = """subscription ($audience: ID!) {
  membershipChanges(audience: $audience) {
    __typename
    ... on FeedStarted { size }
    ... on ContactJoined { at reason size contact { ...name } }
    ... on ContactLeft { at reason size contact { ...name } }
  }
}
fragment name on Contact { first: attribute(key: "first_name") { value } last: attribute(key: "last_name") { value } }"""
_SIZES = "subscription ($audience: ID!) { audienceSize(audience: $audience) { size } }"
_SIZE = "query ($audience: ID!) { node(id: $audience) { ... on Audience { size } } }"
_COUNT = "query ($rule: String!) { previewRule(rule: { expression: $rule }) { size } }"
_MEMBERS = """query ($audience: ID!, $after: String) {
  node(id: $audience) {
    ... on Audience { members(first: 200, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }
  }
}"""


@dataclass(slots=True, kw_only=True)
class Standing:
    """An audience as it is seen live. `size` is what `audienceSize` told last, `told` what the last change did."""

    audience: Audience
    start: int = 0
    size: int = 0
    told: int = 0
    joined: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    at: datetime
    name: str
    joined: bool
    audience: str
    reason: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An audience at the end: as it was seen live, as the server says afresh, as its members are counted."""

    standing: Standing
    asked: int
    counted: int

    @property
    def agree(self) -> bool:
        seen = self.standing
        return {seen.size, seen.told, seen.start + seen.joined - seen.left, self.counted} == {self.asked}


@dataclass(slots=True)
class Rate:
    """How many a second, over the last few seconds."""

    _times: deque[float] = field(default_factory=deque)
    _since: float = field(default_factory=time.monotonic)

    def count(self) -> None:
        self._times.append(time.monotonic())

    def each_second(self) -> float:
        now = time.monotonic()
        while self._times and self._times[0] < now - RATE_SECONDS:
            self._times.popleft()
        return len(self._times) / max(1.0, min(RATE_SECONDS, now - self._since))


class Board:
    """What the views show."""

    def __init__(self, audiences: list[Audience]) -> None:
        self.standings = [Standing(audience=audience) for audience in audiences]
        self.moves: deque[Move] = deque(maxlen=KEPT_MOVES)
        self._began = time.monotonic()
        self.replies = Rate()
        self.events = Rate()
        self._delays: deque[float] = deque(maxlen=KEPT_DELAYS)
        self._begun: set[tuple[str, str]] = set()
        self._complete = asyncio.Event()
        self._told = asyncio.Event()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    @property
    def joined(self) -> int:
        return sum(standing.joined for standing in self.standings)

    @property
    def left(self) -> int:
        return sum(standing.left for standing in self.standings)

    @property
    def delay_ms(self) -> float | None:
        """The median of the last events' time from the change to here. Server and client share a clock."""
        return 1000 * statistics.median(self._delays) if self._delays else None

    def following(self, socket: Socket) -> Iterator[Coroutine[None, None, None]]:
        """What follows each feed. Each raises `Refused` where its feed ends."""
        for standing in self.standings:
            yield self._follow_changes(socket, standing)
            yield self._follow_size(socket, standing)

    async def until_complete(self) -> None:
        """Wait until every feed has begun; from then on nothing is missed."""
        await self._complete.wait()
        self._began = time.monotonic()

    async def _follow_changes(self, socket: Socket, standing: Standing) -> None:
        async with aclosing(socket.subscribe(_CHANGES, audience=standing.audience.id)) as events:
            async for data in events:
                self._take(standing, data["membershipChanges"])
                self._told.set()
        raise Refused(f"The feed of “{standing.audience.name}” ended.")

    async def _follow_size(self, socket: Socket, standing: Standing) -> None:
        async with aclosing(socket.subscribe(_SIZES, audience=standing.audience.id)) as events:
            async for data in events:
                standing.size = data["audienceSize"]["size"]
                self._told.set()
                self._begin(standing, "size")
        raise Refused(f"The sizes of “{standing.audience.name}” ended.")

    async def verdicts(self, client: Client) -> list[Verdict]:
        """The comparison, once nothing happens any more. What is still on its way is waited for a few seconds."""
        found = [await self._verdict(client, standing) for standing in self.standings]
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while not all(verdict.agree for verdict in found):
                    self._told.clear()
                    await self._told.wait()
        return found

    async def _verdict(self, client: Client, standing: Standing) -> Verdict:
        audience = standing.audience
        asked: int = (await client.ask(_SIZE, audience=audience.id))["node"]["size"]
        if audience.rule is None:
            counted = await _count_members(client, audience)
        else:
            counted = (await client.ask(_COUNT, rule=audience.rule))["previewRule"]["size"]
        return Verdict(standing=standing, asked=asked, counted=counted)

    def _begin(self, standing: Standing, feed: str) -> None:
        self._begun.add((standing.audience.id, feed))
        if len(self._begun) == 2 * len(self.standings):
            self._complete.set()

    def _take(self, standing: Standing, event: dict[str, Any]) -> None:
        match event["__typename"]:
            case "FeedStarted":
                standing.start = standing.told = event["size"]
                self._begin(standing, "changes")
                return
            case "ContactJoined":
                standing.joined += 1
            case "ContactLeft":
                standing.left += 1
            case other:
                raise Refused(f"Nothing in this story brings a {other} of “{standing.audience.name}”.")
        standing.told = event["size"]
        at = datetime.fromisoformat(event["at"])
        self._delays.append((datetime.now(UTC) - at).total_seconds())
        self.events.count()
        self.moves.append(
            Move(
                at=at,
                name=_name(event["contact"]),
                joined=event["__typename"] == "ContactJoined",
                audience=standing.audience.name,
                reason=event["reason"].replace("_", " ").lower(),
                size=event["size"],
            )
        )


async def _count_members(client: Client, audience: Audience) -> int:
    count, after = 0, None
    while True:
        page = (await client.ask(_MEMBERS, audience=audience.id, after=after))["node"]["members"]
        count += len(page["nodes"])
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return count


def _name(contact: dict[str, Any] | None) -> str:
    if contact is None:
        return "somebody who was deleted since"
    return " ".join(part["value"] for part in (contact["first"], contact["last"]) if part is not None)
