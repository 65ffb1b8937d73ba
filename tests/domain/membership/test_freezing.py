from datetime import UTC, datetime
from typing import Any

from bson import ObjectId, Timestamp
from pymongo.asynchronous.database import AsyncDatabase

from domain.membership import position as positions
from domain.membership.changes import ContactDocument, Transition, apply_update
from domain.membership.freezing import Freezing
from domain.membership.readings import Occurrence
from domain.rules.tree import Carries
from domain.store.client import open_database
from domain.store.log import EntryKind, Reason
from domain.store.store import open_store

MARK = Carries(path="frozen", value="s:7")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
IN, OUT = {"score": 9}, {"score": 1}
IDS = [ObjectId(f"{number:024x}") for number in range(6)]


def freezing() -> Freezing:
    return Freezing(
        account="default",
        audience=ObjectId(),
        position=positions.of_definition(Timestamp(5, 1)),
        restart_from=None,
        was=lambda contact: contact["score"] > 5,
        query={"score": {"$gt": 5}},
        frozen=MARK,
    )


def change(contact: ObjectId, before: ContactDocument | None, after: ContactDocument | None) -> Transition:
    reason = Reason.CONTACT_UPDATED if after else Reason.CONTACT_DELETED
    return Transition(account="default", contact=contact, before=before, after=after, at=NOW, reason=reason)


async def test_whoever_was_in_at_the_position_is_marked_and_deletions_alone_are_told(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    contacts = (await open_store(open_database(database.client, database.name))).contacts("default")
    # As they stand when they are read; what they were at the position is told by their first change behind it.
    for contact, document in ((0, IN), (1, OUT), (2, OUT), (3, IN), (5, IN)):
        await contacts.insert_one({"_id": IDS[contact], **document})
    placed = freezing()
    placed.touch(change(IDS[2], IN, OUT), Timestamp(6, 1))
    placed.touch(change(IDS[3], OUT, IN), Timestamp(6, 2))
    placed.touch(change(IDS[4], IN, None), Timestamp(6, 3))
    passed = []

    async def pass_fence() -> None:
        # Deleted before it could be marked: it was a member and leaves.
        placed.touch(change(IDS[5], IN, None), Timestamp(7, 1))
        passed.append(True)

    await placed.ask(contacts, pass_fence)
    assert passed
    marked = await contacts.find({MARK.path: MARK.value})
    assert [document["_id"] for document in marked] == [IDS[0], IDS[2]]
    placed.hold(
        Occurrence(
            position=positions.of_change(Timestamp(8, 1), IDS[0]),
            kind=EntryKind.JOINED,
            at=NOW,
            reason=Reason.CONTACT_UPDATED,
            contact=IDS[0],
        )
    )
    placed.hold(Occurrence(position=positions.of_definition(Timestamp(9, 1)), kind=EntryKind.ENDED, at=NOW))
    told = placed.occurrences(9)
    assert [(each.kind, each.contact) for each in told] == [
        (EntryKind.LEFT, IDS[4]),
        (EntryKind.LEFT, IDS[5]),
        (EntryKind.ENDED, None),
    ]
    assert placed.done.is_set()
    assert [placed.holds(contact) for contact in IDS] == [True, False, True, False, False, False]


async def test_what_is_deleted_after_the_segment_was_mended_is_not_told_by_its_freezing(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    contacts = (await open_store(open_database(database.client, database.name))).contacts("default")
    await contacts.insert_one({"_id": IDS[0], **IN})
    placed = freezing()

    async def pass_fence() -> None:
        placed.end(6)
        placed.touch(change(IDS[0], IN, None), Timestamp(7, 1))

    await placed.ask(contacts, pass_fence)
    assert placed.occurrences(9) == []
    assert placed.holds(IDS[0])


async def test_a_member_deleted_and_made_again_under_its_identifier_meanwhile_has_left(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    contacts = (await open_store(open_database(database.client, database.name))).contacts("default")
    await contacts.insert_one({"_id": IDS[0], **IN})
    placed = freezing()
    passed = []

    async def pass_fence() -> None:
        passed.append(await contacts.find({MARK.path: MARK.value}))
        if len(passed) == 2:
            # The marks are written, and only now the stream tells that one of them was written on another contact.
            placed.touch(change(IDS[0], IN, None), Timestamp(7, 1))
            placed.touch(change(IDS[0], None, IN), Timestamp(7, 2))

    await placed.ask(contacts, pass_fence)
    assert [len(marked) for marked in passed] == [0, 1]
    assert await contacts.count({MARK.path: MARK.value}) == 0
    assert [(each.kind, each.contact) for each in placed.occurrences(9)] == [(EntryKind.LEFT, IDS[0])]
    assert not placed.holds(IDS[0])


async def test_marks_and_what_they_say_are_not_kept_in_memory() -> None:
    placed = freezing()
    for contact in IDS[:3]:
        marked = apply_update(IN, {"updatedFields": {"frozen": ["other:3"]}})
        placed.touch(change(contact, IN, marked), Timestamp(6, 1))
    changed = apply_update(IN, {"updatedFields": {"frozen": ["other:3"], "score": 1}})
    placed.touch(change(IDS[3], IN, changed), Timestamp(6, 2))
    assert placed._touched == {IDS[3]: True}
    placed.hold(
        Occurrence(
            position=positions.of_change(Timestamp(8, 1), IDS[0]),
            kind=EntryKind.JOINED,
            at=NOW,
            reason=Reason.CONTACT_UPDATED,
            contact=IDS[0],
        )
    )
    assert placed.held == []


async def test_a_freezing_that_is_done_again_later_by_another_engine_writes_nothing_more(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    contacts = (await open_store(open_database(database.client, database.name))).contacts("default")
    for contact, document in ((0, IN), (1, OUT), (2, IN), (3, IN)):
        await contacts.insert_one({"_id": IDS[contact], **document})

    async def nothing_happens() -> None:
        pass

    await freezing().ask(contacts, nothing_happens)
    # One left by its data, one came in, one is deleted: all of that behind the position.
    await contacts.update_one({"_id": IDS[0]}, {"$set": OUT})
    await contacts.update_one({"_id": IDS[1]}, {"$set": IN})
    await contacts.delete_one({"_id": IDS[2]})
    after_the_first = await contacts.find({})
    late = freezing()
    late.touch(change(IDS[0], IN, OUT), Timestamp(6, 1))
    late.touch(change(IDS[1], OUT, IN), Timestamp(6, 2))
    late.touch(change(IDS[2], IN, None), Timestamp(6, 3))
    await late.ask(contacts, nothing_happens)
    assert await contacts.find({}) == after_the_first
    assert [document["_id"] for document in await contacts.find({MARK.path: MARK.value})] == [IDS[0], IDS[3]]
