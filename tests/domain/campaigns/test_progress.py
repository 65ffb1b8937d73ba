import asyncio
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from bson import ObjectId

from domain.campaigns.deliveries import DeliveryState
from domain.campaigns.progress import Forecast, Progress, forecast
from domain.campaigns.senders import Sender
from domain.errors import InvalidState, NotFound
from domain.membership.history import Growth
from tests.domain.campaigns.drafts import draft, group
from tests.domain.campaigns.test_replies import sent
from tests.domain.conftest import DEADLINE, World

MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)
NOTHING = Progress(
    waiting=0, reached=0, unreachable=0, left=0, failed=0, replied=0, captured=0, in_review=0, missing=0
)


def growth(launch: int, halfway: int, end: int, *, days: float = 2) -> Growth:
    moments = [MONDAY, MONDAY + timedelta(days=days / 2), MONDAY + timedelta(days=days)]
    return Growth(
        sizes=list(zip(moments, (launch, halfway, end), strict=True)), left_out=0, complete_since=None
    )


@pytest.mark.parametrize(
    ("found", "empty_on"),
    [
        # 50 a day, and 100 to go: two days from Wednesday.
        (growth(200, 150, 100), date(2026, 11, 20)),
        # Replies get fewer: 90 a day over all, 20 a day lately.
        (growth(200, 40, 20), date(2026, 11, 19)),
        # They get more: the launch counts as well.
        (growth(200, 190, 100), date(2026, 11, 20)),
        # Within hours.
        (growth(100, 60, 5, days=1 / 12), date(2026, 11, 16)),
        # Few have answered lately, or none, or more have come.
        (growth(200, 104, 100), None),
        (growth(200, 100, 100), None),
        (growth(100, 150, 140), None),
        (growth(100, 100, 120), None),
        # Everybody has answered.
        (growth(200, 100, 0), None),
        # More than a year.
        (growth(100_010, 100_005, 100_000), None),
        (Growth(sizes=[(MONDAY, 10)], left_out=2, complete_since=None), None),
    ],
)
def test_the_forecast_goes_on_at_the_slower_pace_and_is_silent_where_a_line_means_nothing(
    found: Growth, empty_on: date | None
) -> None:
    told = forecast(found, UTC)
    assert (told.empty_on if told else None) == empty_on


def test_the_day_is_one_of_the_accounts_time_zone() -> None:
    # 50 a day, 100 to go: at nine in the morning in UTC.
    assert forecast(growth(200, 150, 100), ZoneInfo("Pacific/Kiritimati")) == Forecast(
        empty_on=date(2026, 11, 20), per_day=50
    )
    assert forecast(growth(200, 150, 100), ZoneInfo("Pacific/Pago_Pago")) == Forecast(
        empty_on=date(2026, 11, 19), per_day=50
    )


async def test_progress_counts_contacts_where_they_are(world: World) -> None:
    ann, ben, cleo, dora = [await world.contact() for _ in range(4)]
    campaign = await draft(world, await group(world, "VIP", ann, ben, cleo, dora), asks="birthdate")
    progresses, replies = world.account.progresses, world.account.replies
    with pytest.raises(NotFound):
        await progresses.of(ObjectId())
    with pytest.raises(InvalidState):
        await progresses.missing_over_time(campaign.id, 2)
    assert await progresses.forecast(campaign.id) is None
    await sent(world, campaign, ann, ben, cleo)
    for contact, text in ((ann, "3 May 1990"), (ann, "thanks"), (ben, "03/05/90"), (ben, "?")):
        await replies.record(ObjectId(), text=text, sender=Sender(contact=contact), campaign=campaign.id)
    assert await progresses.of(campaign.id) == Progress(
        waiting=0, reached=3, unreachable=0, left=0, failed=0, replied=2, captured=1, in_review=2, missing=3
    )
    (delivery,) = [
        each
        for each in await world.account.deliveries.page(campaign.id, None, after=None, limit=10)
        if each.contact == cleo
    ]
    await world.account.deliveries.end([(delivery, DeliveryState.FAILED, "no")])
    told = await progresses.of(campaign.id)
    assert (told.reached, told.failed) == (2, 1)
    silent = await draft(world, await group(world, "Others", ann), name="News")
    assert (await progresses.of(silent.id)).missing is None


async def test_progress_is_told_when_it_changes_and_ends_with_the_campaign(world: World) -> None:
    ann = await world.contact()
    campaign = await draft(world, await group(world, "VIP", ann), asks="birthdate")
    progresses = world.account.progresses
    async with asyncio.timeout(DEADLINE), aclosing(progresses.watch(campaign.id, 0.01)) as told:
        assert (await anext(told)).missing == 1
        async with aclosing(progresses.watch(campaign.id, 0.01)) as other:
            assert (await anext(other)).missing == 1
            assert len(progresses._watched) == 1
        await world.change(ann, birthdate="1990-05-03")
        assert await anext(told) == NOTHING
        await world.account.campaigns.delete(campaign.id)
        with pytest.raises(StopAsyncIteration):
            await anext(told)
    assert progresses._watched == {}
    with pytest.raises(NotFound):
        await anext(progresses.watch(campaign.id, 0.01))


async def test_how_many_were_missing_is_the_history_of_the_campaigns_audience(world: World) -> None:
    ann, ben = await world.contact(), await world.contact()
    async with world.engine():
        campaign = await draft(world, await group(world, "VIP", ann, ben), asks="birthdate")
        assert await world.size(campaign.id) == 2
        await world.account.campaigns.launch(campaign.id)
        await world.change(ann, birthdate="1990-05-03")
        assert await world.size(campaign.id) == 1
        # A size is told as of whole seconds.
        async with asyncio.timeout(DEADLINE):
            while True:
                found = await world.account.progresses.missing_over_time(campaign.id, 10)
                if found.sizes and found.sizes[-1][1] == 1:
                    break
                await asyncio.sleep(0.1)
        assert {size for _, size in found.sizes} <= {1, 2}
        assert await world.account.progresses.forecast(campaign.id) is None
