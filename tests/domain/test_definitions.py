import asyncio

import pytest
from bson import ObjectId

from domain.definitions import Definitions
from domain.errors import InvalidField, NameTaken, UnknownField
from domain.fields import FieldType, LeapDay, Settings
from tests.domain.conftest import World


async def test_what_one_process_defines_another_sees_at_once(world: World) -> None:
    elsewhere = Definitions(world.store.definitions("default"))
    segment = await world.segment("High", "score >= 5")
    assert segment in (await elsewhere.current()).segments
    await world.account.segments.delete(segment)
    assert segment not in (await elsewhere.current()).segments


async def test_many_editors_at_once_take_turns_and_none_is_lost(world: World) -> None:
    groups = world.account.groups
    names = [f"G{number}" for number in range(20)]
    await asyncio.gather(*[groups.create(ObjectId(), name=name, description=None) for name in names])
    catalogue = await world.account.definitions.current()
    assert sorted(group.name for group in catalogue.groups.values()) == sorted(names)
    revisions = [definition.revision for definition in await world.store.definitions("default").since(0)]
    assert revisions == list(range(1, len(revisions) + 1))


async def test_of_two_who_want_one_name_one_gets_it(world: World) -> None:
    groups = world.account.groups
    found = await asyncio.gather(
        *[groups.create(ObjectId(), name="VIP", description=None) for _ in range(5)], return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in found) == ["Group", *["NameTaken"] * 4]


async def test_accounts_have_definitions_of_their_own(world: World) -> None:
    await world.segment("High", "score >= 5")
    other = await world.accounts.get("other").definitions.current()
    assert (other.segments, other.revision) == ({}, 0)
    assert "score" not in other.fields


async def test_a_field_is_made_once_and_the_same_again_is_no_error(world: World) -> None:
    fields = world.account.fields
    made = await fields.create(key=None, label="Contact Form", type=FieldType.TEXT)
    assert made.key == "contact_form"
    again = await fields.create(key="contact_form", label="Contact Form", type=FieldType.TEXT)
    assert again == made
    with pytest.raises(NameTaken, match="of type text"):
        await fields.create(key="contact_form", label="Contact Form", type=FieldType.NUMBER)
    second = await fields.create(key=None, label="Contact form!", type=FieldType.TEXT)
    assert second.key == "contact_form_2"


async def test_a_field_is_relabelled_and_a_built_in_one_stays(world: World) -> None:
    fields = world.account.fields
    assert (await fields.update("email", label="E-mail")).built_in
    assert (await fields.update("score", label="Points")).label == "Points"
    with pytest.raises(InvalidField, match="built in"):
        await fields.delete("email")
    with pytest.raises(UnknownField):
        await fields.update("nothing", label="X")


async def test_settings_are_edited_one_by_one(world: World) -> None:
    await world.account.settings.update(region="GB")
    settings = await world.account.settings.update(time_zone="Europe/Berlin", leap_day=LeapDay.MARCH_1)
    assert settings == Settings(region="GB", time_zone="Europe/Berlin", leap_day=LeapDay.MARCH_1)
    assert isinstance(settings.leap_day, LeapDay)
    contact = await world.contact(phone="020 7946 0958")
    assert (await world.account.contacts.require(contact)).document["normal"]["phone"] == "+442079460958"
