import asyncio
from dataclasses import replace

import pytest
from bson import ObjectId

from domain.campaign import CampaignState, Channel
from domain.campaigns import editing
from domain.campaigns.editing import held_because
from domain.errors import (
    AudienceInUse,
    BrokenSegment,
    FieldInUse,
    InvalidState,
    InvalidTemplate,
    InvalidValue,
    LimitExceeded,
    NameTaken,
    NotFound,
    ShoalError,
    UnknownAudience,
    UnknownField,
)
from domain.fields import FieldType
from domain.referring import KnownAudiences
from domain.rules.canonical import to_text
from domain.rules.tree import AudienceKind, AudienceRef
from domain.store.log import EntryKind
from tests.domain.campaigns.drafts import content, draft, group
from tests.domain.conftest import World, rule


async def test_a_campaign_reaches_whoever_is_in_any_of_these_and_none_of_those_and_lacks_what_it_asks_for(
    world: World,
) -> None:
    vips, lapsed = await group(world, "VIP"), await world.segment("Lapsed", "score < 1")
    staff = await world.segment("Staff", 'role is "staff"')
    campaign = await draft(world, vips, lapsed, exclude=(staff,), asks="birthdate")
    catalogue = await world.account.definitions.current()
    text = to_text(campaign.audience.rule, KnownAudiences(catalogue).name)
    assert text == (
        'in any of (group "VIP", segment "Lapsed") and in none of (segment "Staff") and birthdate is empty'
    )
    assert campaign.state is CampaignState.DRAFT
    # Its audience is none of the account's segments.
    assert campaign.id not in catalogue.segments
    assert catalogue.segments_of({"groups": [vips], "normal": {}}, world.account.feed.instant) == []


async def test_the_audience_of_a_campaign_has_a_feed_like_any_other(world: World) -> None:
    vips = await group(world, "VIP")
    async with world.engine():
        campaign = await draft(world, vips, asks="birthdate")
        assert await world.size(campaign.id) == 0
        ann = await world.contact()
        await world.account.groups.add(vips, ids=[ann])
        await world.change(ann, birthdate="1990-05-03")
        assert await world.size(campaign.id) == 0
        moves = await world.account.feed.history(campaign.id, before=None, since=None, limit=10)
        assert [move.kind for move in moves] == [EntryKind.LEFT, EntryKind.JOINED]
        await world.account.campaigns.delete(campaign.id)
        with pytest.raises(NotFound):
            await world.events(campaign.id, 1)


@pytest.mark.parametrize(
    ("more", "error", "path"),
    [
        ({"name": " "}, InvalidValue, ("name",)),
        ({"message": " \n"}, InvalidValue, ("message",)),
        ({"message": "{{nothing}}"}, UnknownField, ("message",)),
        ({"message": "{{"}, InvalidTemplate, ("message",)),
        ({"subject": "{{nothing}}"}, UnknownField, ("subject",)),
        ({"subject": "a\nb"}, InvalidValue, ("subject",)),
        ({"subject": "a" * 201}, InvalidValue, ("subject",)),
        ({"channel": Channel.SMTP}, InvalidValue, ("subject",)),
        ({"channel": Channel.SMTP, "subject": "Hi", "address": "phone"}, InvalidValue, ("addressField",)),
        ({"address": "birthdate"}, InvalidValue, ("addressField",)),
        ({"address": "nothing"}, InvalidValue, ("addressField",)),
        ({"asks": "nothing"}, UnknownField, ("asks",)),
        ({"asks": "first_name"}, InvalidValue, ("message",)),
        ({"include": ()}, InvalidValue, ("include",)),
        ({"description": "x" * 2_001}, InvalidValue, ("description",)),
        (
            {"include": (AudienceRef(kind=AudienceKind.SEGMENT, id=ObjectId()),)},
            UnknownAudience,
            ("include",),
        ),
        (
            {"exclude": tuple(AudienceRef(kind=AudienceKind.GROUP, id=ObjectId()) for _ in range(101))},
            LimitExceeded,
            ("exclude",),
        ),
    ],
)
async def test_what_cannot_be_saved_is_refused_with_its_path(
    world: World, more: dict[str, object], error: type[ShoalError], path: tuple[str, ...]
) -> None:
    wanted = replace(await content(world, await group(world, "VIP")), **more)  # type: ignore[arg-type] # one of many fields
    with pytest.raises(error) as refused:
        await world.account.campaigns.create(ObjectId(), wanted)
    assert refused.value.path == path
    assert (await world.account.definitions.current()).campaigns == {}


async def test_names_are_unique_and_saving_again_under_one_identifier_changes_nothing(world: World) -> None:
    vips = await group(world, "VIP")
    campaign = await draft(world, vips)
    again = await world.account.campaigns.create(campaign.id, await content(world, vips, name="Other"))
    assert again == campaign
    with pytest.raises(NameTaken, match="There is a campaign of the name “BIRTHDAYS” already"):
        await draft(world, vips, name="BIRTHDAYS")
    # A segment may have the name of a campaign.
    await world.segment("Birthdays", "score > 1")


async def test_a_draft_is_edited_and_what_was_launched_is_not(world: World) -> None:
    vips, others = await group(world, "VIP"), await group(world, "Others")
    campaign = await draft(world, vips)
    campaigns = world.account.campaigns
    edited = await campaigns.update(campaign.id, lambda known: replace(known, message="Hi"))
    assert (edited.content.message, edited.version) == ("Hi", 2)
    assert edited.audience.rule_version == 1
    same = await campaigns.update(campaign.id, lambda known: known)
    assert same.version == 2
    wanted = (await content(world, others)).include
    edited = await campaigns.update(campaign.id, lambda known: replace(known, include=wanted))
    assert edited.audience.rule_version == 3
    await world.account.groups.delete(vips)
    await campaigns.launch(campaign.id)
    with pytest.raises(InvalidState):
        await campaigns.update(campaign.id, lambda known: replace(known, message="Ho"))
    with pytest.raises(NotFound):
        await campaigns.update(ObjectId(), lambda known: known)


async def test_each_step_follows_upon_certain_others_and_doing_one_twice_is_doing_it_once(
    world: World,
) -> None:
    campaigns = world.account.campaigns
    vips = await group(world, "VIP")
    steps = {
        "launch": (campaigns.launch, CampaignState.RUNNING),
        "pause": (campaigns.pause, CampaignState.PAUSED),
        "resume": (campaigns.resume, CampaignState.RUNNING),
        "cancel": (campaigns.cancel, CampaignState.CANCELLED),
    }
    ways = {
        ("launch", "pause", "resume", "pause", "cancel"): ("launch", "pause", "resume"),
        ("launch",): (),
        (): ("pause", "resume", "cancel"),
        ("launch", "cancel"): ("launch", "pause", "resume"),
        ("launch", "pause"): ("launch",),
    }
    for number, (way, refused) in enumerate(ways.items()):
        campaign = await draft(world, vips, name=f"Campaign {number}")
        for step in way:
            act, state = steps[step]
            once, twice = await act(campaign.id), await act(campaign.id)
            assert (once.state, twice.version) == (state, once.version)
        for step in refused:
            with pytest.raises(InvalidState, match="The campaign is"):
                await steps[step][0](campaign.id)


async def test_of_many_who_launch_at_once_one_does(world: World) -> None:
    campaign = await draft(world, await group(world, "VIP"))
    launched = await asyncio.gather(*[world.account.campaigns.launch(campaign.id) for _ in range(5)])
    assert {each.version for each in launched} == {2}
    assert {each.launched for each in launched} == {launched[0].launched}


async def test_a_draft_and_what_has_ended_is_deleted_and_what_runs_is_not(world: World) -> None:
    campaigns = world.account.campaigns
    campaign = await draft(world, await group(world, "VIP"))
    await campaigns.launch(campaign.id)
    with pytest.raises(InvalidState, match="Cancel it first"):
        await campaigns.delete(campaign.id)
    await campaigns.cancel(campaign.id)
    await campaigns.delete(campaign.id)
    with pytest.raises(NotFound):
        await campaigns.delete(campaign.id)
    await draft(world, await group(world, "Others"))


async def test_what_a_campaign_refers_to_cannot_be_deleted_and_the_campaign_is_named(world: World) -> None:
    vips, lapsed = await group(world, "VIP"), await world.segment("Lapsed", "score < 1")
    campaign = await draft(world, vips, exclude=(lapsed,))
    with pytest.raises(AudienceInUse, match="One campaign includes or excludes the group “VIP”: “Birthdays”"):
        await world.account.groups.delete(vips)
    await draft(world, lapsed, name="Come back")
    await world.segment("Both", 'in any of (segment "Lapsed") and score > 0')
    with pytest.raises(
        AudienceInUse,
        match=r"The rule of one segment refers to the segment “Lapsed”: “Both”\. These campaigns include or exclude the segment"
        r" “Lapsed”: “Birthdays”, “Come back”\. Edit or delete them first\.",
    ):
        await world.account.segments.delete(lapsed)
    await world.account.campaigns.delete(campaign.id)
    await world.account.groups.delete(vips)


async def test_a_segment_that_a_campaign_reaches_breaks_it_and_mends_it(world: World) -> None:
    """RULES.md, section 3: "segments that refer to it break with it, sends to it are held"."""
    lapsed = await world.segment("Lapsed", "score < 1")
    campaign = await draft(world, lapsed)
    with pytest.raises(FieldInUse, match="and with them “Birthdays” by reference"):
        await world.account.fields.delete("score")
    await world.account.campaigns.launch(campaign.id)
    async with world.engine():
        await world.account.fields.delete("score", break_segments=True)
        catalogue = await world.account.definitions.current()
        broken = catalogue.campaigns[campaign.id]
        assert broken.audience.broken is not None
        said = held_because(catalogue, broken)
        assert said is not None
        assert said.startswith("The segment “Lapsed” does not follow its rule any more")
        with pytest.raises(BrokenSegment):
            await draft(world, lapsed, name="Another")
        await world.account.segments.update(lapsed, rule=rule("role is empty"))
        mended = (await world.account.definitions.current()).campaigns[campaign.id]
    assert mended.audience.broken is None
    assert held_because(await world.account.definitions.current(), mended) is None


async def test_the_field_that_is_asked_for_is_used_and_a_campaign_that_lost_it_is_resumed_with_the_new_one(
    world: World,
) -> None:
    vips = await group(world, "VIP")
    await world.account.fields.create(key="size", label="Size", type=FieldType.NUMBER)
    campaign = await draft(world, vips, asks="size")
    with pytest.raises(FieldInUse, match="One campaign uses the field “size”: “Birthdays”"):
        await world.account.fields.update("size", type=FieldType.TEXT)
    await world.account.campaigns.launch(campaign.id)
    async with world.engine():
        await world.account.fields.update("size", type=FieldType.TEXT, break_segments=True)
        catalogue = await world.account.definitions.current()
        assert held_because(catalogue, catalogue.campaigns[campaign.id]) == (
            "The field “size”, which the campaign asks for, was deleted or has another type now."
            " Resume the campaign to ask for it as it is, or cancel it."
        )
        resumed = await world.account.campaigns.resume(campaign.id)
        assert resumed.audience.broken is None
        await world.account.fields.delete("size", break_segments=True)
        with pytest.raises(UnknownField):
            await world.account.campaigns.resume(campaign.id)


async def test_a_message_whose_field_is_gone_is_held(world: World) -> None:
    campaign = await draft(world, await group(world, "VIP"), message="{{role|you}}", address=None)
    await world.account.fields.delete("role")
    catalogue = await world.account.definitions.current()
    said = held_because(catalogue, catalogue.campaigns[campaign.id])
    assert said is not None
    assert said.startswith("The message cannot be made any more: There is no field “role”")


async def test_an_account_has_so_many_campaigns_at_most(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editing, "MAX_CAMPAIGNS", 1)
    vips = await group(world, "VIP")
    await draft(world, vips)
    with pytest.raises(LimitExceeded):
        await draft(world, vips, name="Another")
