import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from domain.contact import Contact, read_attributes
from domain.contacts import MAX_AT_ONCE, Outcome, Row
from domain.errors import DuplicateKey, InvalidValue, LimitExceeded, NotFound, UnknownField
from domain.store.log import Reason
from tests.domain.conftest import World


async def made(world: World, key: str | None = None, **attributes: Any) -> Contact:
    return await world.account.contacts.create(ObjectId(), key=key, attributes=list(attributes.items()))


async def rows(world: World, *given: tuple[str, dict[str, Any]]) -> list[Row]:
    catalogue = await world.account.definitions.current()
    return [Row(key=key, entries=read_attributes(catalogue, list(values.items()))) for key, values in given]


async def test_a_contact_keeps_what_was_entered_and_beside_it_what_rules_read(world: World) -> None:
    contact = await made(
        world, "C1", first_name="  Ann ", birthdate="1990-05-03", tags=["Shoes", "shoes "], score=3
    )
    assert contact.values == {
        "first_name": "  Ann ",
        "birthdate": "1990-05-03",
        "tags": ["Shoes"],
        "score": 3,
    }
    assert contact.document["normal"] == {
        "first_name": "ann",
        "birthdate": "1990-05-03",
        "tags": ["shoes"],
        "score": 3,
    }
    assert contact.document["anniversaries"] == {"birthdate": "05-03"}
    assert contact.key == "C1"


async def test_an_update_removes_what_is_null_and_leaves_what_is_omitted(world: World) -> None:
    contact = await made(world, first_name="Ann", birthdate="1990-05-03", score=1)
    updated = await world.account.contacts.update(contact.id, attributes=[("birthdate", None), ("score", 2)])
    assert updated.values == {"first_name": "Ann", "score": 2}
    assert updated.document["normal"] == {"first_name": "ann", "score": 2}
    assert updated.document["anniversaries"] == {}


@pytest.mark.parametrize("empty", [None, "", "  ", []])
async def test_an_empty_value_removes(world: World, empty: Any) -> None:
    contact = await made(world, tags=["a"])
    updated = await world.account.contacts.update(contact.id, attributes=[("tags", empty)])
    assert updated.values == {}


async def test_an_update_that_changes_nothing_writes_nothing(world: World) -> None:
    contact = await made(world, first_name="Ann", score=1)
    again = await world.account.contacts.update(contact.id, attributes=[("first_name", "Ann"), ("score", 1)])
    assert again.document == contact.document


async def test_another_spelling_of_the_same_value_is_stored(world: World) -> None:
    contact = await made(world, first_name="Ann", score=1)
    again = await world.account.contacts.update(
        contact.id, attributes=[("first_name", "ANN"), ("score", 1.0)]
    )
    assert again.values == {"first_name": "ANN", "score": 1.0}


async def test_a_key_is_unique_in_its_account_and_free_in_another(world: World) -> None:
    await made(world, "C1")
    with pytest.raises(DuplicateKey) as caught:
        await made(world, "C1")
    assert caught.value.path == ("key",)
    other = world.accounts.get("other").contacts
    assert (await other.create(ObjectId(), key="C1", attributes=[])).key == "C1"


async def test_contacts_without_a_key_do_not_get_into_each_others_way(world: World) -> None:
    assert (await made(world)).id != (await made(world)).id


async def test_making_a_contact_again_under_its_identifier_changes_nothing(world: World) -> None:
    identifier = ObjectId()
    for _ in range(2):
        contact = await world.account.contacts.create(identifier, key="C1", attributes=[("score", 1)])
    assert contact.id == identifier
    assert await world.account.contacts.count({}) == 1


async def test_what_is_wrong_is_said_with_its_place(world: World) -> None:
    with pytest.raises(UnknownField) as unknown:
        await made(world, score=1, scor=2)
    assert unknown.value.path == ("attributes", 1, "key")
    assert "score" in unknown.value.message
    with pytest.raises(InvalidValue) as invalid:
        await made(world, score="three")
    assert invalid.value.path == ("attributes", 0, "value")
    contact = await made(world)
    with pytest.raises(InvalidValue, match="twice"):
        await world.account.contacts.update(contact.id, attributes=[("score", 1), ("score", 2)])
    for key in ("", "  ", "x" * 501, "a\0b"):
        with pytest.raises(InvalidValue):
            await made(world, key)
    assert await world.account.contacts.count({}) == 1


async def test_what_is_not_there_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await world.account.contacts.update(ObjectId(), attributes=[])
    with pytest.raises(NotFound):
        await world.account.contacts.delete(ObjectId())
    contact = await made(world)
    other = world.accounts.get("other").contacts
    assert await other.get(contact.id) is None
    with pytest.raises(NotFound):
        await other.delete(contact.id)
    assert await world.account.contacts.get(contact.id) is not None


async def test_upserts_tell_what_became_of_each(world: World) -> None:
    contacts = world.account.contacts
    given = await rows(world, ("a", {"score": 1}), ("b", {"score": 2}))
    first = await contacts.upsert(given, reason=Reason.IMPORTED)
    assert [outcome for _, outcome in first] == [Outcome.CREATED, Outcome.CREATED]
    given = await rows(world, ("a", {"score": 1}), ("b", {"score": 3}), ("c", {}))
    second = await contacts.upsert(given, reason=Reason.IMPORTED)
    assert [outcome for _, outcome in second] == [Outcome.UNCHANGED, Outcome.UPDATED, Outcome.CREATED]
    assert [identifier for identifier, _ in second[:2]] == [identifier for identifier, _ in first]


async def test_of_rows_with_one_key_the_later_is_written_over_the_earlier(world: World) -> None:
    given = await rows(world, ("a", {"score": 1, "role": "x"}), ("a", {"score": 2}), ("a", {"role": None}))
    outcomes = await world.account.contacts.upsert(given, reason=Reason.IMPORTED)
    assert len(set(outcomes)) == 1
    contact = await world.account.contacts.get_by_key("a")
    assert contact is not None
    assert contact.values == {"score": 2}


async def test_upserts_of_many_writers_at_once_make_each_contact_once(world: World) -> None:
    contacts = world.account.contacts
    batches = [await rows(world, *[(f"k{n}", {"score": writer}) for n in range(50)]) for writer in range(6)]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(contacts.upsert(batch, reason=Reason.IMPORTED)) for batch in batches]
    assert await contacts.count({}) == 50
    outcomes = [outcome for task in running for _, outcome in task.result()]
    assert outcomes.count(Outcome.CREATED) == 50


async def test_a_contact_deleted_while_it_is_upserted_is_made_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    contacts = world.account.contacts
    contact = await made(world, "a", score=1)
    write = contacts._collection.write

    async def delete_first(**parts: Any) -> Any:
        await world.database["contacts"].delete_one({"_id": contact.id})
        return await write(**parts)

    monkeypatch.setattr(contacts._collection, "write", delete_first)
    ((identifier, outcome),) = await contacts.upsert(
        await rows(world, ("a", {"score": 2})), reason=Reason.IMPORTED
    )
    assert outcome is Outcome.CREATED
    assert identifier != contact.id


async def test_too_many_at_once_are_refused(world: World) -> None:
    with pytest.raises(LimitExceeded, match="1,001"):
        await world.account.contacts.upsert(
            [Row(key=str(number), entries={}) for number in range(MAX_AT_ONCE + 1)], reason=Reason.IMPORTED
        )


async def test_a_page_begins_behind_the_last_contact_of_the_page_before(world: World) -> None:
    contacts = world.account.contacts
    everybody = [(await made(world, score=number)).id for number in range(7)]
    first = await contacts.page({}, after=None, limit=3)
    await contacts.delete(everybody[1])
    await made(world, score=9)
    second = await contacts.page({}, after=first[-1].id, limit=3)
    assert [contact.id for contact in [*first, *second]] == everybody[:6]


async def test_several_pages_come_in_one_command(world: World) -> None:
    for number in range(6):
        await made(world, score=number)
    low, none, high = await world.account.contacts.pages(
        [
            ({"normal.score": {"$lt": 3}}, None, 2),
            ({"normal.score": 99}, None, 5),
            ({"normal.score": {"$gte": 3}}, None, 9),
        ]
    )
    assert [contact.values["score"] for contact in low] == [0, 1]
    assert none == []
    assert [contact.values["score"] for contact in high] == [3, 4, 5]


async def test_times_are_kept_to_the_millisecond_and_move_with_the_values_alone(world: World) -> None:
    contact = await made(world, score=1)
    assert contact.created == contact.updated
    assert contact.created is not None
    assert contact.created <= datetime.now(UTC)
    assert contact.created.microsecond % 1000 == 0
    group = await world.account.groups.create(ObjectId(), name="G", description=None)
    await world.account.groups.add(group.id, ids=[contact.id])
    assert (await world.account.contacts.require(contact.id)).updated == contact.updated
