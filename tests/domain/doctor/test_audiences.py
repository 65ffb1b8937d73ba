import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
from bson import ObjectId

from domain.doctor.findings import What
from domain.membership.examining import present
from domain.membership.feed import Reset
from domain.membership.position import Position
from domain.store.log import EntryKind, LogEntry, Reason
from tests.domain.conftest import Watched, World, rule
from tests.domain.doctor.conftest import Examine, said
from tests.domain.membership.test_engine import CUSTOMERS, churn, logged, populated
from tests.domain.membership.test_reconciling import kinds, lose_history

MANY = 40


async def entry_of(world: World, audience: ObjectId, number: int) -> dict[str, Any]:
    """The log's document of an entry, counted from the opening."""
    entry = (await logged(world, audience))[number]
    found = await world.database["changes"].find_one({"audience": audience, "position": entry.position})
    assert found is not None
    return found


async def rewrite(world: World, contacts: list[ObjectId], **values: Any) -> None:
    """Write contacts as another program does that knows how."""
    update = {f"{part}.{key}": value for key, value in values.items() for part in ("values", "normal")}
    await world.database["contacts"].update_many({"_id": {"$in": contacts}}, {"$set": update})


async def customers(world: World, joined: int) -> ObjectId:
    """A segment that so many contacts have joined, beside many silent ones of another."""
    await populated(world, MANY)
    segment = await world.segment("Customers", CUSTOMERS)
    await world.segment("High", "score >= 5")
    for _ in range(joined):
        await world.contact(role="customer")
    await world.size(segment)
    return segment


async def test_a_sound_installation_is_found_sound_whatever_it_has_been_through(
    world: World, examine: Examine
) -> None:
    async with world.engine():
        segment = await customers(world, 3)
        group = (await world.account.groups.create(ObjectId(), name="VIP", description=None)).id
        await world.account.groups.add(group, ids=[await world.contact(role="staff")])
        await world.segment("In both", 'in all of (segment "Customers", group "VIP")')
        await world.segment("New", "created in the last 2 hours")
        gone = await world.segment("Gone", "role is empty")
        await world.account.segments.update(segment, rule=rule('role is not "customer"'))
        await world.account.segments.delete(gone)
        assert (await examine()).left == []
    await rewrite(world, [await world.contact(role="customer")], role="staff")
    # Nobody is at work: what has happened since is brought into the log first.
    assert (await examine()).left == []
    await lose_history(world)
    async with world.engine():
        examination = await examine()
    assert (examination.left, examination.accounts, examination.audiences) == ([], 1, 5)


async def test_nothing_is_found_while_contacts_are_written_and_segments_edited(
    world: World, examine: Examine
) -> None:
    stop = asyncio.Event()

    async def edit(segment: ObjectId) -> None:
        for least in (2, 4, 6):
            await world.account.segments.update(segment, rule=rule(f"score >= {least}"))
            await asyncio.sleep(0.5)

    async with world.engine():
        contacts = await populated(world, 60)
        segments = [await world.segment(f"At least {least}", f"score >= {least}") for least in range(4)]
        writing = asyncio.create_task(churn(world, contacts, 1, stop))
        editing = asyncio.create_task(edit(segments[0]))
        try:
            for _ in range(2):
                assert (await examine(deep=False)).left == []
        finally:
            stop.set()
            await asyncio.gather(writing, editing)


async def test_an_entry_that_was_removed_is_missed_and_watchers_begin_anew(
    world: World, examine: Examine, watched: Callable[[ObjectId], Watched]
) -> None:
    async with world.engine():
        segment = await customers(world, 3)
        watcher = watched(segment)
        first = (await watcher.until(1))[0]
        removed = await entry_of(world, segment, 2)
        await world.database["changes"].delete_one({"_id": removed["_id"]})
        (found,) = (await examine()).left
        assert said([found]) == [("log_broken", "Customers")]
        assert "it says 3 members where 2 members would follow" in found.says
        mended = await examine(repair=True)
        assert (said(mended.found), mended.left) == ([("log_broken", "Customers")], [])
        reset = (await watcher.until(2))[1]
        assert isinstance(reset, Reset)
        assert (reset.size, reset.because) == (3, "its log did not add up and was begun anew")
        assert (await world.events(segment, 1, after=Position(first.position)))[0] == reset
        assert (await examine()).left == []
    await watcher.stop()


async def test_the_last_entry_removed_is_told_again_as_a_change(
    world: World, examine: Examine, watched: Callable[[ObjectId], Watched]
) -> None:
    async with world.engine():
        segment = await customers(world, 3)
        watcher = watched(segment)
        await watcher.until(1)
        removed = await entry_of(world, segment, 3)
        await world.database["changes"].delete_one({"_id": removed["_id"]})
        (found,) = (await examine()).left
        assert said([found]) == [("members_differ", "Customers")]
        assert "has 2 members by its log, while its rule finds 3" in found.says
        assert (await examine(repair=True)).left == []
        told = (await watcher.until(2))[1]
        assert isinstance(told, LogEntry)
        assert (told.contact, told.kind, told.reason, told.size) == (
            removed["contact"],
            EntryKind.JOINED,
            Reason.RECONCILED,
            3,
        )
        assert (await examine()).left == []
    await watcher.stop()


async def doubled(world: World, segment: ObjectId) -> None:
    entry = await entry_of(world, segment, 2)
    position = f"{entry['position'][:17]}{'f' * 24}"
    await world.database["changes"].insert_one(
        {**entry, "_id": f"{segment}:{position}", "position": position}
    )


async def doubled_at_the_end(world: World, segment: ObjectId) -> None:
    entry = await entry_of(world, segment, 3)
    position = f"{entry['position'][:17]}{'f' * 24}"
    entry |= {"_id": f"{segment}:{position}", "position": position, "size": entry["size"] + 1}
    await world.database["changes"].insert_one(entry)


async def of_a_wrong_size(world: World, segment: ObjectId) -> None:
    entry = await entry_of(world, segment, 2)
    await world.database["changes"].update_one({"_id": entry["_id"]}, {"$inc": {"size": 7}})


async def of_a_wrong_size_at_the_end(world: World, segment: ObjectId) -> None:
    entry = await entry_of(world, segment, 3)
    await world.database["changes"].update_one({"_id": entry["_id"]}, {"$inc": {"size": -7}})


async def of_another_contact(world: World, segment: ObjectId) -> None:
    entry = await entry_of(world, segment, 2)
    await world.database["changes"].update_one({"_id": entry["_id"]}, {"$set": {"contact": ObjectId()}})


LIKE_THESE = (doubled, of_a_wrong_size_at_the_end, of_another_contact)


@pytest.mark.parametrize(
    "damage",
    [
        doubled_at_the_end,
        of_a_wrong_size,
        *(pytest.param(each, marks=pytest.mark.soak) for each in LIKE_THESE),
    ],
)
async def test_a_log_that_does_not_add_up_is_begun_anew(
    world: World,
    examine: Examine,
    watched: Callable[[ObjectId], Watched],
    damage: Callable[[World, ObjectId], Any],
) -> None:
    async with world.engine():
        segment = await customers(world, 3)
        watcher = watched(segment)
        await watcher.until(1)
        await damage(world, segment)
        assert said((await examine()).left) == [("log_broken", "Customers")]
        assert (await examine(repair=True)).left == []
        reset = (await watcher.until(2))[1]
        assert isinstance(reset, Reset)
        assert reset.size == 3
        contact = await world.contact(role="customer")
        joined = (await watcher.until(3))[2]
        assert isinstance(joined, LogEntry)
        assert (joined.contact, joined.size) == (contact, 4)
        assert (await examine()).left == []
    await watcher.stop()


async def test_a_contact_that_changed_while_no_engine_ran_and_whose_history_is_lost_is_put_right(
    world: World, examine: Examine
) -> None:
    async with world.engine():
        segment = await customers(world, 3)
        contact = await world.contact(role="customer")
        await world.size(segment)
    await rewrite(world, [contact], role="staff")
    await lose_history(world)
    assert said((await examine()).left) == [("history_lost", None)]
    # Only looking has put nothing right on the way.
    assert said((await examine()).left) == [("history_lost", None)]
    mended = await examine(repair=True)
    assert (said(mended.found), mended.left) == ([("history_lost", None)], [])
    assert (await examine()).left == []
    async with world.engine():
        entries = await logged(world, segment)
    assert [(each.kind, each.reason) for each in entries if each.contact == contact] == [
        (EntryKind.JOINED, Reason.CONTACT_CREATED),
        (EntryKind.LEFT, Reason.RECONCILED),
    ]


async def test_members_whom_the_log_does_not_know_are_found_by_who_they_are_and_not_by_how_many(
    world: World, examine: Examine, watched: Callable[[ObjectId], Watched]
) -> None:
    """As many have left as joined, unseen, as behind the back of an engine that was put to another database for a while."""
    async with world.engine():
        contacts = await populated(world, 3 * MANY)
        await rewrite(world, contacts[:MANY], role="customer", tags=["x"])
        segment = await world.segment("Customers", CUSTOMERS)
        tagged = await world.segment("Tagged", 'tags has any of ("x")')
        watchers = [watched(segment), watched(tagged)]
        for watcher in watchers:
            await watcher.until(1)
    await rewrite(world, contacts[:MANY], role="staff")
    await rewrite(world, contacts[MANY : 2 * MANY], role="customer")
    await world.account.contacts.delete(contacts[0])
    await skip_to_now(world)
    async with world.engine():
        found = (await examine()).left
        assert {each.what for each in found} == {What.MEMBERS_DIFFER}
        says = {each.name: each.says for each in found}
        assert says.keys() == {"Customers", "Tagged"}
        assert "as many of whom others are those that its rule finds" in says["Customers"]
        assert "has 40 members by its log, while its rule finds 39" in says["Tagged"]
        assert (await examine(repair=True)).left == []
        for watcher in watchers:
            await watcher.until(2)
            assert kinds(watcher)[1] is Reset
    for watcher in watchers:
        await watcher.stop()


async def skip_to_now(world: World) -> None:
    """Put the checkpoint where the stream is now, so that what happened before is never told."""
    here = await present(world.store)
    async with aclosing(world.store.follow(None)) as batches:
        token = (await anext(batches)).token
    await world.database["checkpoints"].update_one({}, {"$set": {"token": dict(token), "position": here}})


async def test_an_audience_that_the_log_does_not_know_is_opened(world: World, examine: Examine) -> None:
    async with world.engine():
        segment = await customers(world, 2)
        await logged(world, segment)
        await world.database["changes"].delete_many({"audience": segment})
        assert said((await examine()).left) == [("not_opened", "Customers")]
        mended = await examine(repair=True)
        assert mended.left == []
        (opened,) = await logged(world, segment)
    assert (opened.kind, opened.size) == (EntryKind.OPENED, 2)


async def test_an_audience_that_nobody_has_defined_is_told_of(world: World, examine: Examine) -> None:
    async with world.engine():
        segment = await customers(world, 1)
        await world.database["definitions"].delete_many({"id": segment})
        other = ObjectId()
        entry = await entry_of(world, segment, 1)
        entry |= {"_id": f"{other}:{entry['position']}", "audience": other}
        await world.database["changes"].insert_one(entry)
        found = (await examine(repair=True)).left
    assert ("not_defined", str(other)) in said(found)
    assert all(each.mend is None for each in found)


async def test_entries_of_a_time_to_which_the_database_has_not_come_are_removed(
    world: World, examine: Examine, watched: Callable[[ObjectId], Watched]
) -> None:
    async with world.engine():
        segment = await customers(world, 3)
        watcher = watched(segment)
        await watcher.until(1)
        entry = await entry_of(world, segment, 3)
        position = f"{int(entry['position'][:8], 16) + 1_000_000:08x}{entry['position'][8:]}"
        entry |= {"_id": f"{segment}:{position}", "position": position, "size": 9}
        await world.database["changes"].insert_one(entry)
        assert said((await examine()).left) == [("log_ahead", "Customers")]
        assert (await examine(repair=True)).left == []
        reset = (await watcher.until(2))[1]
        assert isinstance(reset, Reset)
        assert reset.size == 3
        assert (await examine()).left == []
    await watcher.stop()
