import asyncio

import pytest
from bson import ObjectId

from domain.audiences import Group
from domain.errors import InvalidValue, LimitExceeded, NameTaken, NotFound, TooManyGroups
from domain.groups import MAX_GROUPS_OF_A_CONTACT
from tests.domain.conftest import World


async def group(world: World, name: str = "VIP") -> Group:
    return await world.account.groups.create(ObjectId(), name=name, description=None)


async def test_contacts_go_in_by_identifiers_and_keys_and_each_failure_has_its_place(world: World) -> None:
    vip = (await group(world)).id
    first = await world.contact()
    await world.account.contacts.create(ObjectId(), key="K", attributes=[])
    done = await world.account.groups.add(vip, ids=[first, ObjectId(), None], keys=["K", "nobody"])
    assert (done.moved, done.unchanged) == (2, 0)
    assert [(type(error), error.path) for error in done.errors] == [
        (NotFound, ("contacts", "ids", 1)),
        (NotFound, ("contacts", "ids", 2)),
        (NotFound, ("contacts", "keys", 1)),
    ]
    again = await world.account.groups.add(vip, ids=[first], keys=["K"])
    assert (again.moved, again.unchanged) == (0, 2)
    gone = await world.account.groups.remove(vip, ids=[first])
    assert (gone.moved, gone.unchanged) == (1, 0)
    assert await world.account.contacts.count({"groups": vip}) == 1


async def test_a_contact_is_in_at_most_200_groups_whoever_writes_at_the_same_time(world: World) -> None:
    contact, other = await world.contact(), await world.contact()
    full = [ObjectId() for _ in range(MAX_GROUPS_OF_A_CONTACT - 1)]
    await world.database["contacts"].update_one({"_id": contact}, {"$set": {"groups": full}})
    groups = [(await group(world, f"G{number}")).id for number in range(4)]
    done = await asyncio.gather(*[world.account.groups.add(each, ids=[contact, other]) for each in groups])
    assert sorted(each.moved for each in done) == [1, 1, 1, 2]
    errors = [error for each in done for error in each.errors]
    assert [type(error) for error in errors] == [TooManyGroups] * 3
    assert {error.path for error in errors} == {("contacts", "ids", 0)}
    found = await world.account.contacts.require(contact)
    assert len(found.document["groups"]) == MAX_GROUPS_OF_A_CONTACT


async def test_names_are_unique_in_their_kind_after_folding(world: World) -> None:
    vip = await group(world, "VIP")
    with pytest.raises(NameTaken) as caught:
        await group(world, " vip ")
    assert caught.value.path == ("name",)
    await world.segment("VIP", "score is empty")
    assert (await world.account.groups.update(vip.id, name="Vip")).name == "Vip"
    await world.account.groups.delete(vip.id)
    await group(world, "vip")


async def test_an_edit_changes_what_is_given_and_an_explicit_null_removes(world: World) -> None:
    made = await world.account.groups.create(ObjectId(), name="A", description="Who they are")
    renamed = await world.account.groups.update(made.id, name="B")
    assert (renamed.name, renamed.description, renamed.version) == ("B", "Who they are", 2)
    bare = await world.account.groups.update(made.id, description=None, keep_description=False)
    assert (bare.description, bare.version) == (None, 3)
    assert (await world.account.groups.update(made.id, name="B")).version == 3


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\0b"])
async def test_a_name_that_cannot_be_is_refused(world: World, name: str) -> None:
    with pytest.raises(InvalidValue):
        await group(world, name)


async def test_what_is_not_there_is_not_found(world: World) -> None:
    vip = await group(world)
    other = world.accounts.get("other").groups
    for identifier, groups in ((ObjectId(), world.account.groups), (vip.id, other)):
        with pytest.raises(NotFound):
            await groups.add(identifier, ids=[])
        with pytest.raises(NotFound):
            await groups.update(identifier, name="X")
        with pytest.raises(NotFound):
            await groups.delete(identifier)


async def test_too_many_at_once_are_refused(world: World) -> None:
    vip = await group(world)
    with pytest.raises(LimitExceeded):
        await world.account.groups.add(vip.id, ids=[ObjectId()] * 600, keys=["k"] * 401)
