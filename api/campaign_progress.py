"""Progress of campaigns: how far one has come, live and over time, and when it will have its answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date
from typing import Annotated

import strawberry

from api.begun import Begun, begun, checked_every
from api.context import Info
from api.ids import Kind, require_id
from domain.campaigns.progress import Forecast
from domain.campaigns.progress import Progress as StoredProgress

EVERY_MS = 1_000


@strawberry.type(description="How far a campaign has come: how many contacts are where.")
class CampaignProgress:
    waiting: int = strawberry.field(description="Are still to be sent it.")
    reached: int = strawberry.field(description="Were sent it.")
    unreachable: int = strawberry.field(
        description="Could not be: they have no address, or lack a value for a placeholder."
    )
    left: int = strawberry.field(description="Had left the audience before it was sent, so it was not.")
    failed: int = strawberry.field(description="Were given up. `resendDeliveries` tries again.")
    replied: int = strawberry.field(description="Have replied, whatever it was.")
    captured: int = strawberry.field(description="Have a reply whose value was written into the contact.")
    in_review: int = strawberry.field(description="Have a reply that waits for a person.")
    missing: int | None = strawberry.field(
        description="Have no value yet in the field that is asked for: the size of the campaign's audience. "
        "Null where nothing is asked."
    )


@strawberry.type(
    description="When nobody will be missing any more: a straight line, at the slower of two paces, that from the "
    "launch to now and "
    "that of the second half of this time. Replies mostly get fewer, so it may take longer."
)
class CampaignForecast:
    empty_on: date = strawberry.field(description="The day, in the account's time zone.")
    per_day: float = strawberry.field(description="How many fewer are missing each day, at this pace.")


def to_progress(progress: StoredProgress) -> CampaignProgress:
    return CampaignProgress(
        waiting=progress.waiting,
        reached=progress.reached,
        unreachable=progress.unreachable,
        left=progress.left,
        failed=progress.failed,
        replied=progress.replied,
        captured=progress.captured,
        in_review=progress.in_review,
        missing=progress.missing,
    )


def to_forecast(found: Forecast | None) -> CampaignForecast | None:
    return None if found is None else CampaignForecast(empty_on=found.empty_on, per_day=found.per_day)


@strawberry.type
class CampaignSubscriptions:
    @strawberry.subscription(
        description="How far a campaign has come: at once, and then when it has changed, which is looked at once in "
        "the given time. "
        "It completes when the campaign is deleted."
    )
    async def campaign_progress(
        self,
        info: Info,
        campaign: Annotated[strawberry.ID, strawberry.argument(description="The campaign to watch.")],
        at_most_every_ms: Annotated[
            int | None,
            strawberry.argument(description="The least time between two events, 250 to 60,000 milliseconds."),
        ] = EVERY_MS,
    ) -> AsyncGenerator[CampaignProgress, None]:
        identifier = require_id(campaign, Kind.CAMPAIGN, path=("campaign",))
        every = checked_every(EVERY_MS if at_most_every_ms is None else at_most_every_ms, least=250)
        return _events(await begun(info.context.account.progresses.watch(identifier, every)))


async def _events(found: Begun[StoredProgress]) -> AsyncGenerator[CampaignProgress, None]:
    async with aclosing(found) as progresses:
        async for progress in progresses:
            yield to_progress(progress)
