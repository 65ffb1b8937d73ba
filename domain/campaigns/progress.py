"""Progress: how far a campaign has come, over time, and when it will have its answers.

Owns the figures and the forecast. What is still missing is the size of the campaign's audience, which those who answered have left;
so its history is that audience's, from the log of memberships. The forecast is a straight line, and says so: it takes the pace from
the launch to now and the pace of the second half of that time, and goes on with the slower one, for replies mostly get fewer. It
is silent where the line means nothing: few have answered lately, more come than go, or the end is more than a year away.
Held by `tests/domain/campaigns/test_progress.py`.

Cost: a count over the campaign's deliveries, and one over its replies. Whoever watches the same campaign shares them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from bson import ObjectId

from domain.campaigns.deliveries import WAITING, Deliveries, DeliveryState
from domain.campaigns.editing import require_campaign
from domain.campaigns.reply import KeptReplies, ReplyState
from domain.contacts import Contacts
from domain.definitions import Definitions, now
from domain.errors import InvalidState, NotFound
from domain.membership.feed import Feed
from domain.membership.history import Growth, History
from domain.rounds import Rounds

FEWEST_ANSWERED = 5
FURTHEST = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Contacts, all of them. `missing` is None where nothing is asked for."""

    waiting: int
    reached: int
    unreachable: int
    left: int
    failed: int
    replied: int
    captured: int
    in_review: int
    missing: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """On which of the account's days nobody is missing any more, if it goes on at this pace."""

    empty_on: date
    per_day: float


class Progresses:
    """One account's."""

    def __init__(
        self,
        definitions: Definitions,
        contacts: Contacts,
        deliveries: Deliveries,
        replies: KeptReplies,
        feed: Feed,
        history: History,
    ) -> None:
        self._definitions = definitions
        self._contacts = contacts
        self._deliveries = deliveries
        self._replies = replies
        self._feed = feed
        self._history = history
        self._watched: dict[ObjectId, _Watched] = {}

    async def of(self, identifier: ObjectId) -> Progress:
        """Raises `NotFound`."""
        catalogue = await self._definitions.current()
        campaign = require_campaign(catalogue, identifier)
        query = catalogue.criterion(identifier).query(self._feed.instant)
        counts, replied, captured, in_review, missing = await asyncio.gather(
            self._deliveries.counts(identifier),
            self._replies.contacts_of(identifier),
            self._replies.contacts_of(identifier, ReplyState.CAPTURED),
            self._replies.contacts_of(identifier, ReplyState.NEEDS_REVIEW),
            self._contacts.count(query),
        )
        return Progress(
            waiting=sum(counts[state] for state in WAITING),
            reached=counts[DeliveryState.SENT],
            unreachable=counts[DeliveryState.UNREACHABLE],
            left=counts[DeliveryState.LEFT],
            failed=counts[DeliveryState.FAILED],
            replied=replied,
            captured=captured,
            in_review=in_review,
            missing=None if campaign.content.asks is None else missing,
        )

    async def watch(self, identifier: ObjectId, every: float) -> AsyncGenerator[Progress, None]:
        """The progress at once, and then whenever it has changed, looked at once in so many seconds; ends with the campaign."""
        watched = self._watched.setdefault(identifier, _Watched(self, identifier))
        watched.by += 1
        told: Progress | None = None
        try:
            while True:
                try:
                    progress = await watched.read()
                except NotFound:
                    if told is None:
                        raise
                    return
                if progress != told:
                    told = progress
                    yield progress
                await asyncio.sleep(every)
        finally:
            watched.by -= 1
            if not watched.by:
                self._watched.pop(identifier, None)

    async def missing_over_time(self, identifier: ObjectId, points: int) -> Growth:
        """How many were missing, from the launch to now. Raises `NotFound`, `InvalidState`, and as `History.growth` does."""
        campaign = require_campaign(await self._definitions.current(), identifier)
        if campaign.launched is None:
            raise InvalidState("The campaign was not launched yet.", path=("id",))
        # Of a campaign that was launched in this very second there are two seconds to show.
        since = min(campaign.launched, now() - timedelta(seconds=2))
        return await self._history.growth(identifier, since=since, until=None, points=points)

    async def forecast(self, identifier: ObjectId) -> Forecast | None:
        """None where it cannot be told. Raises `NotFound`."""
        catalogue = await self._definitions.current()
        campaign = require_campaign(catalogue, identifier)
        if campaign.launched is None or campaign.content.asks is None or campaign.audience.broken is not None:
            return None
        growth = await self.missing_over_time(identifier, 3)
        return forecast(growth, catalogue.settings.zone) if not growth.left_out else None


def forecast(growth: Growth, zone: tzinfo) -> Forecast | None:
    """By the sizes at the launch, halfway, and now."""
    if len(growth.sizes) != 3:
        return None
    (launch, at_launch), (halfway, at_half), (end, at_end) = growth.sizes
    if not at_end or at_half - at_end < FEWEST_ANSWERED:
        return None
    paces = [
        (size - at_end) / (end - moment).total_seconds()
        for moment, size in ((launch, at_launch), (halfway, at_half))
    ]
    slower = min(paces)
    if slower <= 0 or at_end / slower > FURTHEST.total_seconds():
        return None
    empty = end + timedelta(seconds=at_end / slower)
    return Forecast(empty_on=empty.astimezone(zone).date(), per_day=slower * 86_400)


class _Watched:
    """A campaign that is watched: whoever asks at the same time shares one reading."""

    def __init__(self, progresses: Progresses, identifier: ObjectId) -> None:
        self.by = 0
        self._progresses = progresses
        self._identifier = identifier
        self._progress: Progress | None = None
        self._rounds = Rounds(self._read)

    async def read(self) -> Progress:
        await self._rounds.join()
        assert self._progress is not None
        return self._progress

    async def _read(self) -> None:
        self._progress = await self._progresses.of(self._identifier)
