import pytest
from bson import ObjectId

from domain.errors import FieldInUse, NameTaken, NotFound, UnknownField, VersionConflict
from domain.fields import FieldType
from domain.rules.text import to_text
from tests.domain.conftest import World, rule


async def test_a_segment_keeps_its_rule_and_counts_its_versions(world: World) -> None:
    segment = await world.segment("High", "score >= 5")
    updated = await world.account.segments.update(segment, rule=rule("score >= 6"))
    same = await world.account.segments.update(segment, rule=rule("score  >=  6"), name="High")
    assert (to_text(updated.rule), updated.version, same.version) == ("score >= 6", 2, 2)


async def test_an_edit_on_an_older_version_is_refused(world: World) -> None:
    segment = await world.segment("High", "score >= 5")
    await world.account.segments.update(segment, name="Higher", expected_version=1)
    with pytest.raises(VersionConflict):
        await world.account.segments.update(segment, name="Highest", expected_version=1)


async def test_a_rule_over_an_unknown_field_is_refused_and_nothing_is_saved(world: World) -> None:
    with pytest.raises(UnknownField):
        await world.segment("Odd", "scor >= 5")
    assert (await world.account.definitions.current()).segments == {}


async def test_names_are_unique_and_what_is_not_there_is_not_found(world: World) -> None:
    await world.segment("High", "score >= 5")
    with pytest.raises(NameTaken):
        await world.segment("HIGH", "score >= 6")
    with pytest.raises(NotFound):
        await world.account.segments.update(ObjectId(), name="X")
    with pytest.raises(NotFound):
        await world.accounts.get("other").segments.delete(ObjectId())


async def test_a_field_that_a_segment_uses_is_not_deleted(world: World) -> None:
    segment = await world.segment("High", "score >= 5 or role is empty")
    with pytest.raises(FieldInUse, match="High"):
        await world.account.fields.delete("score")
    await world.account.segments.delete(segment)
    await world.account.fields.delete("score")
    with pytest.raises(UnknownField):
        await world.segment("High", "score >= 5")


async def test_a_deleted_fields_values_go_and_do_not_come_back_with_a_field_of_its_key(world: World) -> None:
    contact = await world.contact(score=7, role="staff")
    await world.account.fields.delete("score")
    await world.account.fields.create(key="score", label="Score", type=FieldType.TEXT)
    await world.change(contact, score="seven")
    await world.account.sweeper.idle()
    found = await world.account.contacts.require(contact)
    assert found.values == {"score": "seven", "role": "staff"}


async def test_what_a_deletion_left_undone_is_done_at_the_next_start(world: World) -> None:
    contact = await world.contact(score=7)
    group = (await world.account.groups.create(ObjectId(), name="G", description=None)).id
    await world.account.groups.add(group, ids=[contact])
    await world.account.groups.delete(group)
    await world.account.fields.delete("score")
    await world.account.sweeper.close()
    await world.account.sweeper.resume()
    await world.account.sweeper.idle()
    found = await world.account.contacts.require(contact)
    assert (found.values, found.document["groups"]) == ({}, [])
