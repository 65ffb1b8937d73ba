import pytest

from domain.campaign import Campaign
from domain.campaigns.composing import Composer, Letter, Unreachable
from domain.campaigns.previewing import Preview
from domain.errors import BrokenSegment
from tests.domain.campaigns.drafts import draft, group
from tests.domain.conftest import World


async def counts(world: World, campaign: Campaign) -> Preview:
    catalogue = await world.account.definitions.current()
    return await world.account.previews.counts(catalogue, campaign, world.account.feed.instant)


async def test_every_contact_is_counted_once_and_for_the_first_reason_that_keeps_it_out(world: World) -> None:
    reached = [
        await world.contact(first_name="Ann", email="ann@example.org"),
        await world.contact(first_name="Ben", email="ben@example.org"),
    ]
    excluded = await world.contact(first_name="Cleo", email="cleo@example.org", birthdate="1990-05-03")
    answered = await world.contact(first_name="Dora", birthdate="1990-05-03")
    without_address = [await world.contact(first_name="Eve"), await world.contact()]
    without_values = await world.contact(email="finn@example.org")
    everybody = [*reached, excluded, answered, *without_address, without_values]
    vips, staff = await group(world, "VIP", *everybody), await group(world, "Staff", excluded)
    await world.contact(first_name="Gus", email="gus@example.org")
    campaign = await draft(
        world,
        vips,
        exclude=(staff,),
        address="email",
        asks="birthdate",
        message="{{first_name}}, {{last_name|?}}",
    )
    assert await counts(world, campaign) == Preview(
        included=7, reached=2, excluded=1, answered=1, without_address=2, without_values=1
    )
    catalogue = await world.account.definitions.current()
    sample = await world.account.previews.sample(catalogue, campaign, world.account.feed.instant, limit=1)
    assert [(contact.id, letter) for contact, letter in sample] == [
        (reached[0], Letter(address="ann@example.org", subject=None, text="Ann, ?"))
    ]
    # What is counted is what sending would do.
    composer = Composer(catalogue, campaign)
    found = await world.account.contacts.get_many(everybody)
    composed = {each: composer.compose(found[each]) for each in everybody}
    assert [each for each in everybody if isinstance(composed[each], Letter)] == [*reached, excluded]
    assert composed[without_values] == Unreachable(
        "The message names “first_name”, where the contact has no value."
    )
    assert composed[without_address[1]] == Unreachable("The contact has no address in “email”.")


async def test_a_campaign_that_wants_nothing_of_its_contacts_reaches_them_all(world: World) -> None:
    vips = await group(world, "VIP", await world.contact(), await world.contact())
    campaign = await draft(world, vips, subject="Hello\t {{first_name|you}}", message="Hi")
    assert await counts(world, campaign) == Preview(
        included=2, reached=2, excluded=0, answered=0, without_address=0, without_values=0
    )
    catalogue = await world.account.definitions.current()
    sample = await world.account.previews.sample(catalogue, campaign, world.account.feed.instant, limit=5)
    assert {letter for _, letter in sample} == {Letter(address=None, subject="Hello you", text="Hi")}


async def test_whom_a_broken_campaign_would_reach_is_not_told(world: World) -> None:
    campaign = await draft(world, await world.segment("Lapsed", "score < 1"))
    await world.account.fields.delete("score", break_segments=True)
    with pytest.raises(BrokenSegment):
        await counts(world, campaign)
