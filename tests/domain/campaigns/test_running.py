"""What a campaign sends, to whom, and that it is once, whatever happens meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bson import ObjectId

from domain import courier
from domain.accounts import Account, Accounts
from domain.campaign import CampaignState, Channel
from domain.campaigns import deliveries, running
from domain.campaigns.composing import Composer, Letter
from domain.campaigns.deliveries import Delivery, DeliveryState, delivery_id
from domain.campaigns.running import Runs
from domain.courier import Courier
from domain.errors import InvalidState, NotFound
from domain.membership.feed import Reset
from tests.domain.campaigns.drafts import draft, group
from tests.domain.conftest import DEADLINE, World, rule
from tests.receiver import SECRET, Receiver, receiving

SENT, PENDING, LEFT = DeliveryState.SENT, DeliveryState.PENDING, DeliveryState.LEFT
UNREACHABLE, FAILED = DeliveryState.UNREACHABLE, DeliveryState.FAILED


@pytest.fixture(autouse=True)
def in_short_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(running, "FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(courier, "LOOK_SECONDS", 0.02)


@pytest.fixture
def account(world: World) -> Account:
    world.accounts = Accounts(world.store, world.hub, private_targets=True)
    return world.account


@asynccontextmanager
async def sending(world: World) -> AsyncIterator[Courier]:
    sends = Courier(world.store, world.accounts)
    work = asyncio.create_task(sends.work())
    try:
        yield sends
    finally:
        sends.stop()
        async with asyncio.timeout(DEADLINE):
            await work


async def kept(world: World, campaign: ObjectId) -> dict[ObjectId, Delivery]:
    found = await world.account.deliveries.page(campaign, None, after=None, limit=0)
    return {each.contact: each for each in found}


async def states(world: World, campaign: ObjectId) -> dict[ObjectId, DeliveryState]:
    return {contact: each.state for contact, each in (await kept(world, campaign)).items()}


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await condition():  # noqa: ASYNC110 # of a database, which tells nobody
            await asyncio.sleep(0.01)


async def finished(world: World, campaign: ObjectId) -> None:
    async def is_finished() -> bool:
        catalogue = await world.account.definitions.current()
        return catalogue.campaigns[campaign].state is CampaignState.FINISHED

    await eventually(is_finished)


async def webhook(world: World, receiver: Receiver) -> None:
    await world.account.channels.set_webhook(url=receiver.url, secret=SECRET)


async def test_everybody_in_the_audience_has_the_message_in_the_outbox_and_nobody_else(
    world: World, account: Account
) -> None:
    ann = await world.contact(first_name="Ann", email="ANN@example.org")
    ben, cleo = await world.contact(email="ben@example.org"), await world.contact(first_name="Cleo")
    await world.contact(first_name="Dora", email="dora@example.org")
    campaign = await draft(
        world, await group(world, "VIP", ann, ben, cleo), message="Dear {{first_name}}", address="email"
    )
    await account.campaigns.launch(campaign.id)
    async with sending(world):
        await finished(world, campaign.id)
    found = await kept(world, campaign.id)
    assert {contact: each.state for contact, each in found.items()} == {
        ann: SENT,
        ben: UNREACHABLE,
        cleo: UNREACHABLE,
    }
    letter = found[ann].letter
    assert letter is not None
    assert (letter.address, letter.text, found[ann].id) == (
        "ann@example.org",
        "Dear Ann",
        delivery_id(campaign.id, ann),
    )
    assert found[ben].because == "The message names “first_name”, where the contact has no value."
    assert await account.deliveries.counts(campaign.id) == {
        **dict.fromkeys(DeliveryState, 0),
        SENT: 1,
        UNREACHABLE: 2,
    }
    # Nothing is left to do, and nobody looks at it any more.
    assert await world.store.open_runs() == []


async def test_more_than_a_page_is_gone_through_and_a_process_that_ends_anywhere_leaves_nobody_out(
    world: World, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PAGE", 10)
    members = [await world.contact() for _ in range(45)]
    campaign = await draft(world, await group(world, "VIP", *members))
    await account.campaigns.launch(campaign.id)
    note, writes = Runs._note, deliveries.Deliveries.write
    written: Counter[ObjectId] = Counter()
    steps = iter(range(1_000))

    class Killed(BaseException):
        pass

    def dies() -> bool:
        """At the first steps, again and again, and at each of them."""
        return next(steps) in {1, 3, 6, 8, 11}

    async def noting(self: Runs, identifier: ObjectId, **news: Any) -> None:
        if dies():
            raise Killed
        await note(self, identifier, **news)

    async def writing(self: deliveries.Deliveries, identifier: ObjectId, letters: Any, *, sent: bool) -> None:
        letters = list(letters)
        if dies():
            # After some were written, and before the place is kept.
            await writes(self, identifier, letters[:4], sent=sent)
            raise Killed
        await writes(self, identifier, letters, sent=sent)
        written.update(contact for contact, _ in letters)

    monkeypatch.setattr(Runs, "_note", noting)
    monkeypatch.setattr(deliveries.Deliveries, "write", writing)
    died = 0
    while (await account.definitions.current()).campaigns[campaign.id].state is CampaignState.RUNNING:
        try:
            await account.runs.work(campaign.id)
        except* Killed:
            died += 1
    assert died == 5
    assert max(written.values()) > 1
    assert await states(world, campaign.id) == dict.fromkeys(members, SENT)
    assert await world.database["deliveries"].count_documents({}) == 45


async def test_each_is_posted_once_and_tried_again_where_it_was_refused(
    world: World, account: Account
) -> None:
    members = [await world.contact(first_name=f"N{number}") for number in range(30)]
    campaign = await draft(world, await group(world, "VIP", *members), channel=Channel.WEBHOOK)
    async with receiving(lambda number: "500 Oh" if number % 3 == 0 else "200 OK") as receiver:
        await webhook(world, receiver)
        await account.campaigns.launch(campaign.id)
        async with sending(world):
            await finished(world, campaign.id)
    assert receiver.taken == {f"msg_{delivery_id(campaign.id, member)}": 1 for member in members}
    assert receiver.requests > 30
    assert await states(world, campaign.id) == dict.fromkeys(members, SENT)
    texts = {each["text"] for each in receiver.data()}
    assert texts == {f"Dear N{number}, when were you born?" for number in range(30)}


async def test_what_is_refused_again_and_again_is_given_up_seen_and_can_be_sent_again(
    world: World, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "MAX_ATTEMPTS", 3)
    ann, ben = await world.contact(first_name="Ann"), await world.contact()
    campaign = await draft(
        world, await group(world, "VIP", ann, ben), channel=Channel.WEBHOOK, message="{{first_name}}"
    )
    fails = True
    async with receiving(lambda _: "500 Oh" if fails else "200 OK") as receiver:
        await webhook(world, receiver)
        await account.campaigns.launch(campaign.id)
        async with sending(world):
            await finished(world, campaign.id)
            found = await kept(world, campaign.id)
            assert (found[ann].state, found[ann].attempts) == (FAILED, 3)
            assert (
                found[ann].because == "The receiver answered with the status 500. Given up after 3 attempts."
            )
            assert found[ben].state is UNREACHABLE
            fails = False
            # What was said once is said again, though the contact is called otherwise by now.
            await world.change(ann, first_name="Anna")
            await world.change(ben, first_name="Ben")
            assert await account.runs.send_again(campaign.id, None) == 2
            await eventually(lambda: _all(world, campaign.id, SENT))
    assert {each["text"] for each in receiver.data()} == {"Ann", "Ben"}
    assert receiver.taken.total() == 2
    with pytest.raises(InvalidState, match="Only what has failed"):
        await account.runs.send_again(campaign.id, [found[ann].id])
    with pytest.raises(NotFound):
        await account.runs.send_again(campaign.id, [ObjectId()])


async def _all(world: World, campaign: ObjectId, state: DeliveryState) -> bool:
    return set((await states(world, campaign)).values()) == {state}


async def test_who_has_left_before_it_is_sent_is_sent_nothing(world: World, account: Account) -> None:
    ann, ben, cleo = [await world.contact() for _ in range(3)]
    campaign = await draft(
        world, await group(world, "VIP", ann, ben, cleo), channel=Channel.WEBHOOK, asks="birthdate"
    )
    down = True
    async with receiving(lambda _: "503 No" if down else "200 OK") as receiver:
        await webhook(world, receiver)
        await account.campaigns.launch(campaign.id)
        async with sending(world):
            await eventually(lambda: _is(receiver.requests > 0))
            await world.change(ann, birthdate="1990-05-03")
            await account.contacts.delete(ben)
            await eventually(lambda: _in(world, campaign.id, ann, LEFT))
            await eventually(lambda: _in(world, campaign.id, ben, LEFT))
            down = False
            await finished(world, campaign.id)
    assert await states(world, campaign.id) == {ann: LEFT, ben: LEFT, cleo: SENT}
    assert list(receiver.taken) == [f"msg_{delivery_id(campaign.id, cleo)}"]


async def _is(true: bool) -> bool:  # noqa: FBT001 # of a condition
    return true


async def _in(world: World, campaign: ObjectId, contact: ObjectId, state: DeliveryState) -> bool:
    return (await states(world, campaign)).get(contact) is state


async def test_an_ongoing_campaign_reaches_whoever_joins_once_also_over_restarts(
    world: World, account: Account
) -> None:
    segment = await world.segment("No role", "role is empty")
    campaign = await draft(world, segment, ongoing=True)
    ann = await world.contact()
    async with world.engine():
        await account.campaigns.launch(campaign.id)
        async with sending(world):
            await eventually(lambda: _in(world, campaign.id, ann, SENT))
            ben = await world.contact()
            await eventually(lambda: _in(world, campaign.id, ben, SENT))
        # While nobody sends: one joins, one joins and leaves, one who has it leaves and joins.
        cleo, dora = await world.contact(), await world.contact()
        await world.change(dora, role="staff")
        await world.change(ann, role="staff")
        await world.change(ann, role=None)
        async with sending(world):
            await eventually(lambda: _in(world, campaign.id, cleo, SENT))
            last = await world.contact()
            await eventually(lambda: _in(world, campaign.id, last, SENT))
            assert (await account.definitions.current()).campaigns[campaign.id].state is CampaignState.RUNNING
            await account.campaigns.cancel(campaign.id)
            await eventually(lambda: _closed(world))
        await world.contact()
    assert await states(world, campaign.id) == dict.fromkeys([ann, ben, cleo, last], SENT)


async def _closed(world: World) -> bool:
    return await world.store.open_runs() == []


async def test_where_the_feed_can_no_longer_tell_who_joined_everybody_is_compared_with_what_was_sent(
    world: World, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = await world.segment("No role", "role is empty")
    campaign = await draft(world, segment, ongoing=True)
    ann = await world.contact()
    async with world.engine():
        await account.campaigns.launch(campaign.id)
        async with sending(world):
            await eventually(lambda: _in(world, campaign.id, ann, SENT))
        ben = await world.contact()
        here = (await account.feed.sizes([campaign.id]))[campaign.id]
        watch = account.feed.watch
        resets: list[Any] = []

        async def reset(audience: ObjectId, after: Any) -> AsyncIterator[Any]:
            if not resets:
                resets.append(after)
                yield [Reset(here.position, here.size, "it was removed")]
                return
            async for burst in watch(audience, after):
                yield burst

        monkeypatch.setattr(account.feed, "watch", reset)
        async with sending(world):
            await eventually(lambda: _in(world, campaign.id, ben, SENT))
            cleo = await world.contact()
            await eventually(lambda: _in(world, campaign.id, cleo, SENT))
    assert len(resets) == 1
    assert await states(world, campaign.id) == dict.fromkeys([ann, ben, cleo], SENT)


async def test_a_paused_campaign_sends_nothing_and_forgets_nobody(world: World, account: Account) -> None:
    campaign = await draft(world, await world.segment("No role", "role is empty"), ongoing=True)
    async with world.engine(), sending(world):
        await account.campaigns.launch(campaign.id)
        ann = await world.contact()
        await eventually(lambda: _in(world, campaign.id, ann, SENT))
        await account.campaigns.pause(campaign.id)
        ben = await world.contact()
        assert await world.size(campaign.id) == 2
        assert ben not in await states(world, campaign.id)
        await account.campaigns.resume(campaign.id)
        await eventually(lambda: _in(world, campaign.id, ben, SENT))


async def test_sends_to_a_broken_segment_are_held_until_its_rule_is_mended(
    world: World, account: Account
) -> None:
    """RULES.md, section 3: "sends to it are held"."""
    segment = await world.segment("Low", "score < 1")
    other = await world.segment("Others", 'role is "other"')
    held = await draft(world, segment, ongoing=True, channel=Channel.WEBHOOK)
    free = await draft(world, other, ongoing=True, channel=Channel.WEBHOOK, name="Free")
    ann, ben = await world.contact(score=0), await world.contact(role="other")
    down = True
    async with receiving(lambda _: "503 No" if down else "200 OK") as receiver:
        await webhook(world, receiver)
        async with world.engine(), sending(world):
            await account.campaigns.launch(held.id)
            await account.campaigns.launch(free.id)
            await eventually(lambda: _in(world, held.id, ann, PENDING))
            await account.fields.delete("score", break_segments=True)
            await eventually(lambda: _in(world, held.id, ann, PENDING))
            down = False
            # "and every other segment goes on"
            await eventually(lambda: _in(world, free.id, ben, SENT))
            assert (await states(world, held.id))[ann] is not SENT
            assert list(receiver.taken) == [f"msg_{delivery_id(free.id, ben)}"]
            cleo = await world.contact(role="low")
            # "Mending the rule makes it live again, and the difference is reported as membership changes."
            await account.segments.update(segment, rule=rule('role is "low" or role is empty'))
            await eventually(lambda: _in(world, held.id, ann, SENT))
            await eventually(lambda: _in(world, held.id, cleo, SENT))


async def test_a_campaign_that_was_deleted_takes_what_it_sent_with_it(world: World, account: Account) -> None:
    ann = await world.contact()
    campaign = await draft(world, await group(world, "VIP", ann))
    kept_one = await draft(world, await group(world, "Others", ann), name="Kept")
    async with sending(world):
        for each in (campaign.id, kept_one.id):
            await account.campaigns.launch(each)
            await finished(world, each)
        await account.campaigns.delete(campaign.id)
        await eventually(lambda: _gone(world, campaign.id))
    assert await states(world, kept_one.id) == {ann: SENT}
    assert await world.database["campaign_runs"].find_one({"_id": kept_one.id}) is not None


async def _gone(world: World, campaign: ObjectId) -> bool:
    runs = world.database["campaign_runs"]
    return not await kept(world, campaign) and await runs.find_one({"_id": campaign}) is None


async def test_what_another_process_was_sending_when_it_ended_is_sent_again_under_the_same_identifier(
    world: World, account: Account
) -> None:
    ann = await world.contact()
    campaign = await draft(world, await group(world, "VIP", ann), channel=Channel.WEBHOOK)
    async with receiving() as receiver:
        await webhook(world, receiver)
        await account.campaigns.launch(campaign.id)
        catalogue = await account.definitions.current()
        contact = await account.contacts.require(ann)
        assert await account.runs._write(campaign.id, [contact])
        (delivery,) = (await kept(world, campaign.id)).values()
        letter = Composer(catalogue, campaign).compose(contact)
        assert isinstance(letter, Letter)
        await account.deliveries.begin([(delivery, letter)])
        assert await states(world, campaign.id) == {ann: DeliveryState.SENDING}
        async with sending(world):
            await finished(world, campaign.id)
    assert receiver.taken == {f"msg_{delivery.id}": 1}
    assert (await kept(world, campaign.id))[ann].attempts == 2


async def test_of_many_couriers_one_sends_and_another_takes_over(world: World, account: Account) -> None:
    members = [await world.contact() for _ in range(20)]
    campaign = await draft(world, await group(world, "VIP", *members), channel=Channel.WEBHOOK)
    async with receiving() as receiver:
        await webhook(world, receiver)
        await account.campaigns.launch(campaign.id)
        async with sending(world), sending(world), sending(world):
            await finished(world, campaign.id)
    assert receiver.taken == {f"msg_{delivery_id(campaign.id, member)}": 1 for member in members}


def test_the_pause_before_another_attempt_grows_and_is_never_the_same_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "FIRST_RETRY_SECONDS", 5.0)
    for attempts, longest in ((1, 5), (2, 10), (5, 80), (12, 10_240), (40, 21_600)):
        pauses = {running._back_off(attempts) for _ in range(50)}
        assert len(pauses) > 1
        assert longest / 2 <= min(pauses) <= max(pauses) <= longest
