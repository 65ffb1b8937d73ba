import asyncio
from typing import Any

import pytest
from bson import ObjectId

from domain.accounts import Account
from domain.campaign import Campaign
from domain.campaigns.composing import Letter
from domain.campaigns.deliveries import delivery_id
from domain.campaigns.replies import Replies
from domain.campaigns.reply import Reply, ReplyState
from domain.campaigns.senders import Sender
from domain.contacts import Contacts
from domain.errors import InvalidState, InvalidValue, NotFound, ValueChanged
from domain.fields import FieldType
from domain.store.log import EntryKind, Reason
from tests.domain.campaigns.drafts import draft
from tests.domain.conftest import DEADLINE, World

CAPTURED, REVIEW, UNKNOWN = ReplyState.CAPTURED, ReplyState.NEEDS_REVIEW, ReplyState.UNKNOWN_SENDER
BIRTHDATE = "1990-05-03"


@pytest.fixture
def account(world: World) -> Account:
    return world.account


@pytest.fixture
async def campaign(world: World) -> Campaign:
    segment = await world.segment("No birthdate", "birthdate is empty")
    return await draft(world, segment, asks="birthdate")


async def sent(world: World, campaign: Campaign, *contacts: ObjectId) -> None:
    letter = Letter(address=None, subject=None, text="?")
    await world.account.deliveries.write(campaign.id, [(each, letter) for each in contacts], sent=True)


async def reply(world: World, text: str, contact: ObjectId | None = None, **more: Any) -> Reply:
    sender = Sender(contact=contact) if contact is not None else Sender(**more)
    return await world.account.replies.record(ObjectId(), text=text, sender=sender)


async def value(world: World, contact: ObjectId, key: str = "birthdate") -> Any:
    return (await world.account.contacts.require(contact)).values.get(key)


async def test_what_is_clear_is_captured_and_the_contact_leaves_the_segment_because_it_replied(
    world: World, campaign: Campaign
) -> None:
    ann = await world.contact()
    await sent(world, campaign, ann)
    segment = campaign.content.include[0].id
    async with world.engine():
        assert await world.size(segment) == 1
        taken = await reply(world, "The 3rd of May 1990!", ann)
        assert await world.size(segment) == 0
        events = await world.account.feed.history(segment, before=None, since=None, limit=5)
    assert (taken.state, taken.value, taken.before, taken.because) == (CAPTURED, BIRTHDATE, None, None)
    assert (taken.contact, taken.campaign, taken.field) == (ann, campaign.id, "birthdate")
    assert taken.text == "The 3rd of May 1990!"
    assert await value(world, ann) == BIRTHDATE
    assert (events[0].kind, events[0].reason) == (EntryKind.LEFT, Reason.REPLIED)


async def test_what_may_mean_several_things_waits_with_all_of_them_and_a_person_decides(
    world: World, campaign: Campaign, account: Account
) -> None:
    ann = await world.contact()
    await sent(world, campaign, ann)
    waits = await reply(world, "03/05/90", ann)
    assert (waits.state, waits.candidates) == (REVIEW, ["1990-03-05", BIRTHDATE])
    assert waits.because == "It may mean one of several values."
    assert await value(world, ann) is None
    with pytest.raises(InvalidValue) as refused:
        await account.replies.resolve(waits.id, value="03/05/90")
    assert refused.value.path == ("value",)
    decided = await account.replies.resolve(waits.id, value=BIRTHDATE)
    assert (decided.state, decided.value, decided.candidates, decided.text) == (
        CAPTURED,
        BIRTHDATE,
        [],
        "03/05/90",
    )
    assert decided.decided is not None
    assert await value(world, ann) == BIRTHDATE
    with pytest.raises(InvalidState, match="Undo it first"):
        await account.replies.resolve(waits.id, value="1990-03-05")


async def test_nonsense_waits_for_a_person_who_rejects_it_or_takes_another_view_later(
    world: World, campaign: Campaign, account: Account
) -> None:
    ann = await world.contact()
    await sent(world, campaign, ann)
    waits = await reply(world, "Who are you?", ann)
    assert (waits.state, waits.candidates, waits.because) == (REVIEW, [], "No value was found in it.")
    assert (await account.replies.resolve(waits.id, reject=True)).state is ReplyState.REJECTED
    assert (await account.replies.resolve(waits.id, value=BIRTHDATE)).state is CAPTURED


async def test_a_value_is_taken_back_only_where_it_is_still_the_one_that_was_written(
    world: World, campaign: Campaign, account: Account
) -> None:
    ann, ben = await world.contact(), await world.contact()
    await sent(world, campaign, ann, ben)
    taken, other = await reply(world, "3 May 1990", ann), await reply(world, "4 May 1990", ben)
    assert (await account.replies.undo(taken.id)).state is ReplyState.UNDONE
    assert await value(world, ann) is None
    assert (await account.replies.undo(taken.id)).state is ReplyState.UNDONE
    await world.change(ben, birthdate="1991-01-01")
    with pytest.raises(ValueChanged):
        await account.replies.undo(other.id)
    assert await value(world, ben) == "1991-01-01"
    waits = await reply(world, "?", ann)
    with pytest.raises(InvalidState):
        await account.replies.undo(waits.id)
    with pytest.raises(NotFound):
        await account.replies.undo(ObjectId())


async def test_two_who_undo_a_reply_at_one_time_have_both_undone_it(
    world: World, campaign: Campaign, account: Account
) -> None:
    contacts = [await world.contact() for _ in range(5)]
    await sent(world, campaign, *contacts)
    for contact in contacts:
        taken = await reply(world, "3 May 1990", contact)
        undone = await asyncio.gather(*(account.replies.undo(taken.id) for _ in range(3)))
        assert [each.state for each in undone] == [ReplyState.UNDONE] * 3
        assert await value(world, contact) is None


async def test_a_contact_may_correct_itself_and_what_others_entered_is_not_overwritten(
    world: World, campaign: Campaign, account: Account
) -> None:
    ann, ben = await world.contact(), await world.contact()
    await sent(world, campaign, ann, ben)
    await reply(world, "3 May 1990", ann)
    corrected = await reply(world, "sorry, 4 May 1990", ann)
    assert (corrected.state, corrected.before) == (CAPTURED, BIRTHDATE)
    assert await value(world, ann) == "1990-05-04"
    await account.replies.undo(corrected.id)
    assert await value(world, ann) == BIRTHDATE
    await world.change(ben, birthdate="1980-01-01")
    waits = await reply(world, "3 May 1990", ben)
    assert (waits.state, waits.candidates) == (REVIEW, [BIRTHDATE])
    assert waits.because == "Another value has been entered meanwhile."
    assert await value(world, ben) == "1980-01-01"
    assert (await account.replies.resolve(waits.id, value=BIRTHDATE)).before == "1980-01-01"


async def test_the_sender_is_found_by_address_number_key_or_the_delivery_itself(
    world: World, campaign: Campaign, account: Account
) -> None:
    ann = await account.contacts.create(
        ObjectId(), key="K1", attributes=[("email", "Ann@Example.org"), ("phone", "(202) 224-3441")]
    )
    await sent(world, campaign, ann.id)
    for sender in (
        {"email": "ann@example.org"},
        {"email": "Ann Archer <ANN@example.org>"},
        {"phone": "+1 202 224 3441"},
        {"key": " K1 "},
        {"delivery": delivery_id(campaign.id, ann.id)},
    ):
        taken = await reply(world, "?", **sender)
        assert (taken.contact, taken.campaign) == (ann.id, campaign.id), sender
    gone = ObjectId()
    kept = await reply(world, "?", delivery=gone)
    assert (kept.state, kept.sender, kept.because) == (
        UNKNOWN,
        str(gone),
        "Nothing that was sent has this reference.",
    )


async def test_a_reply_of_nobody_is_kept_until_somebody_says_whose_it_is(
    world: World, campaign: Campaign, account: Account
) -> None:
    addresses: list[dict[str, Any]] = [
        {"email": "nobody@example.org"},
        {"phone": "+1 202 224 9999"},
        {"phone": "12"},
        {"key": "K9"},
    ]
    for sender in addresses:
        taken = await reply(world, "3 May 1990", **sender)
        assert (taken.state, taken.contact, taken.because) == (UNKNOWN, None, "Nobody has this address.")
        assert taken.sender == next(iter(sender.values()))
    ann = await world.contact()
    await sent(world, campaign, ann)
    with pytest.raises(InvalidValue, match="whose reply"):
        await account.replies.resolve(taken.id, value=BIRTHDATE)
    known = await account.replies.resolve(taken.id, contact=ann)
    assert (known.state, known.contact, known.campaign) == (CAPTURED, ann, campaign.id)
    assert await account.replies.kept.count(None, UNKNOWN) == 3


async def test_of_several_with_one_address_it_is_the_one_that_was_asked_and_else_nobodys(
    world: World, campaign: Campaign
) -> None:
    ann, ben = await world.contact(phone="202-224-3441"), await world.contact(phone="202-224-3441")
    await sent(world, campaign, ann)
    assert (await reply(world, "?", phone="202-224-3441")).contact == ann
    await sent(world, campaign, ben)
    taken = await reply(world, "3 May 1990", phone="202-224-3441")
    assert (taken.state, taken.because, taken.campaign) == (
        UNKNOWN,
        "2 contacts have this address.",
        campaign.id,
    )


async def test_without_a_campaign_it_is_to_the_last_that_asks_for_something(
    world: World, campaign: Campaign, account: Account
) -> None:
    ann = await world.contact()
    none = await reply(world, "3 May 1990", ann)
    assert (none.state, none.because) == (REVIEW, "It is not known what the contact was asked for.")
    segment = campaign.content.include[0].id
    later = await draft(world, segment, name="Roles", asks="role")
    silent = await draft(world, segment, name="News")
    for each in (campaign, later, silent):
        await sent(world, each, ann)
        # Deliveries are told apart by milliseconds.
        await asyncio.sleep(0.005)
    assert (await reply(world, "Senator", ann)).campaign == later.id
    assert await value(world, ann, "role") == "Senator"
    said = await account.replies.record(
        ObjectId(), text="3 May 1990", sender=Sender(contact=ann), campaign=campaign.id
    )
    assert said.state is CAPTURED
    assert (await account.replies.resolve(none.id, campaign=campaign.id)).value == BIRTHDATE
    with pytest.raises(NotFound):
        await account.replies.record(ObjectId(), text="x", sender=Sender(contact=ann), campaign=ObjectId())
    with pytest.raises(NotFound):
        await reply(world, "x", ObjectId())


@pytest.mark.parametrize("text", ["", " \n", "x" * 10_001, "a\0b", "\ud800"])
async def test_what_is_no_text_is_refused(world: World, text: str) -> None:
    with pytest.raises(InvalidValue):
        await reply(world, text, await world.contact())


async def test_the_same_reply_twice_is_one(world: World, campaign: Campaign, account: Account) -> None:
    ann = await world.contact()
    await sent(world, campaign, ann)

    async def record(identifier: ObjectId, message: str | None = None) -> Reply:
        return await account.replies.record(
            identifier, text="3 May 1990", sender=Sender(contact=ann), message=message
        )

    one = ObjectId()
    assert {each.id for each in await asyncio.gather(*[record(one) for _ in range(5)])} == {one}
    same = await asyncio.gather(*[record(ObjectId(), "m1") for _ in range(5)])
    assert len({each.id for each in same}) == 1
    assert await account.replies.kept.count(None, None) == 2
    assert await account.replies.kept.contacts_of(campaign.id) == 1
    assert await account.replies.kept.contacts_of(campaign.id, REVIEW) == 0


async def test_a_process_that_ends_while_a_reply_is_read_leaves_it_to_the_next_one(
    world: World, campaign: Campaign, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    contacts = [await world.contact() for _ in range(3)]
    await sent(world, campaign, *contacts)

    class Killed(BaseException):
        pass

    def killed_in(owner: type, name: str, *, after: bool) -> None:
        whole = getattr(owner, name)

        async def dies(self: Any, *arguments: Any, **more: Any) -> Any:
            if after:
                await whole(self, *arguments, **more)
            raise Killed

        monkeypatch.setattr(owner, name, dies)

    # Before it is read, before the contact is written, and after that.
    for (owner, name, after), contact in zip(
        ((Replies, "_finish", False), (Contacts, "exchange", False), (Contacts, "exchange", True)),
        contacts,
        strict=True,
    ):
        killed_in(owner, name, after=after)
        with pytest.raises(Killed):
            await reply(world, "3 May 1990", contact)
        monkeypatch.undo()
    assert await account.replies.kept.count(None, ReplyState.RECEIVED) == 3
    account.replies.resume()
    async with asyncio.timeout(DEADLINE):
        await account.replies.idle()
    found = await account.replies.kept.page(None, CAPTURED, after=None, limit=10)
    assert [(each.value, each.before) for each in found] == [(BIRTHDATE, None)] * 3
    # So each can be taken back.
    for each in found:
        await account.replies.undo(each.id)
    assert [await value(world, contact) for contact in contacts] == [None] * 3


async def test_a_field_that_got_another_type_is_read_as_it_is_now(world: World, account: Account) -> None:
    segment = await world.segment("Everybody", "first_name is empty")
    asks = await draft(world, segment, asks="score")
    ann = await world.contact()
    await sent(world, asks, ann)
    assert (await reply(world, "about 7", ann)).value == 7
    await account.fields.update("score", type=FieldType.TEXT, break_segments=True)
    assert (await reply(world, "about 7", ann)).state is REVIEW
    await account.fields.delete("score", break_segments=True)
    assert (await reply(world, "about 7", ann)).because == "It is not known what the contact was asked for."
