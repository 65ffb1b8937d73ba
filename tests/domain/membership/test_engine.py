import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from bson import Code, ObjectId
from pymongo import UpdateOne

from domain.errors import FeedWasReset
from domain.membership.feed import Reset, Started
from domain.membership.position import Position
from domain.store.log import EntryKind, LogEntry, Reason
from tests.domain.conftest import DEADLINE, Watched, World, rule

CUSTOMERS = 'role is "customer"'


async def logged(world: World, audience: ObjectId) -> list[LogEntry]:
    """What the log holds of an audience, once everything so far is in it."""
    await world.size(audience)
    await world.hub.until_logged()
    return await world.store.log.of("default").read(audience, after="", upto="~", limit=100_000)


async def members(world: World, audience: ObjectId) -> set[ObjectId]:
    """What the query says."""
    criterion = (await world.account.definitions.current()).criterion(audience)
    query = criterion.query(world.account.feed.instant)
    documents = await world.store.contacts("default").find(query, projection={"_id": 1})
    return {document["_id"] for document in documents}


async def check_against_the_query(
    world: World, audience: ObjectId, opened_with: set[ObjectId]
) -> list[LogEntry]:
    """Replaying the log gives what the query gives; every size is right at its place; places rise; nobody moves twice."""
    entries = await logged(world, audience)
    inside = set(opened_with)
    assert [entry.position for entry in entries] == sorted({entry.position for entry in entries})
    for entry in entries:
        if entry.kind is EntryKind.JOINED:
            assert entry.contact is not None
            assert entry.contact not in inside
            inside.add(entry.contact)
        elif entry.kind is EntryKind.LEFT:
            assert entry.contact is not None
            inside.remove(entry.contact)
        assert entry.size == len(inside)
    assert inside == await members(world, audience)
    assert await world.size(audience) == len(inside)
    return entries


async def test_a_new_segment_opens_with_its_size_and_nobody_joins(world: World) -> None:
    async with world.engine():
        for role in ("customer", "staff", "customer"):
            await world.contact(role=role)
        segment = await world.segment("Customers", CUSTOMERS)
        (opened,) = await logged(world, segment)
    assert (opened.kind, opened.size, opened.version) == (EntryKind.OPENED, 2, 1)


async def test_contacts_join_and_leave_as_their_data_change(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        contact = await world.contact(role="customer")
        await world.change(contact, role="staff")
        await world.change(contact, score=3)
        await world.change(contact, role=" CUSTOMER ")
        await world.account.contacts.delete(contact)
        entries = await logged(world, segment)
    assert [(entry.kind, entry.reason, entry.size) for entry in entries[1:]] == [
        (EntryKind.JOINED, Reason.CONTACT_CREATED, 1),
        (EntryKind.LEFT, Reason.CONTACT_UPDATED, 0),
        (EntryKind.JOINED, Reason.CONTACT_UPDATED, 1),
        (EntryKind.LEFT, Reason.CONTACT_DELETED, 0),
    ]
    assert {entry.contact for entry in entries[1:]} == {contact}


async def test_a_static_group_has_a_feed_like_a_segment(world: World) -> None:
    async with world.engine():
        group = (await world.account.groups.create(ObjectId(), name="VIP", description=None)).id
        contacts = [await world.contact() for _ in range(3)]
        await world.account.groups.add(group, ids=contacts)
        await world.account.groups.remove(group, ids=contacts[:1])
        await world.account.contacts.delete(contacts[1])
        entries = await check_against_the_query(world, group, set())
    assert [(entry.kind, entry.reason) for entry in entries[1:]] == [
        *[(EntryKind.JOINED, Reason.GROUP_EDITED)] * 3,
        (EntryKind.LEFT, Reason.GROUP_EDITED),
        (EntryKind.LEFT, Reason.CONTACT_DELETED),
    ]


async def test_a_contact_written_by_another_program_moves_through_the_same_feed(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        contact = await world.contact(role="staff")
        await world.database["contacts"].update_one(
            {"_id": contact}, {"$set": {"values.role": "Customer", "normal.role": "customer"}}
        )
        await world.database["contacts"].insert_one(
            {"account": "default", "values": {"role": "Customer"}, "normal": {"role": "customer"}}
        )
        entries = await check_against_the_query(world, segment, set())
    assert [entry.reason for entry in entries[1:]] == [Reason.CONTACT_UPDATED, Reason.CONTACT_CREATED]


ODD: list[dict[str, Any]] = [
    {},
    {"account": 7},
    {"account": "default"},
    {"account": "default", "normal": 7, "values": [], "groups": 7, "written": 7},
    {
        "account": "default",
        "normal": {"role": {"a": 1}},
        "groups": [{"a": 1}, None, 7],
        "written": {"reason": []},
    },
    {"account": "default", "normal": {"role": ["customer"], "score": "x", "tags": 3}, "groups": "x"},
    {"_id": 7, "account": "default", "normal": {"role": "customer"}},
    {"account": "default", "normal": {"role": Code("x")}},
]


async def test_documents_of_odd_shapes_stop_nobody(world: World) -> None:
    async with world.engine():
        group = (await world.account.groups.create(ObjectId(), name="VIP", description=None)).id
        segment = await world.segment("Customers", f"{CUSTOMERS} and not score >= 5")
        contacts = world.database["contacts"]
        for odd in ODD:
            made = await contacts.insert_one(dict(odd))
            if isinstance(odd.get("normal", {}), dict):
                await contacts.update_one({"_id": made.inserted_id}, {"$set": {"normal.role": "customer"}})
            await contacts.replace_one({"_id": made.inserted_id}, dict(odd))
            await contacts.delete_one({"_id": made.inserted_id})
        await world.database["fences"].insert_one({"_id": "odd", "number": "x"})
        await world.database["definitions"].insert_one({"account": "default", "revision": 10**6})
        contact = await world.contact(role="customer")
        await world.account.groups.add(group, ids=[contact])
        assert (await check_against_the_query(world, segment, set()))[-1].contact == contact
        assert (await check_against_the_query(world, group, set()))[-1].contact == contact


async def test_a_transaction_is_one_change_and_there_and_back_is_none(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        stays, moves = await world.contact(role="customer"), await world.contact(role="staff")
        contacts = world.database["contacts"]
        async with world.database.client.start_session() as session, await session.start_transaction():
            for contact, role in ((stays, "staff"), (moves, "x"), (stays, "customer"), (moves, "customer")):
                await contacts.update_one({"_id": contact}, {"$set": {"normal.role": role}}, session=session)
        entries = await check_against_the_query(world, segment, set())
    assert [entry.contact for entry in entries[1:]] == [stays, moves]


async def test_a_deleted_segment_ends_and_nobody_is_told_to_have_left(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        await world.contact(role="customer")
        await world.account.segments.delete(segment)
        await world.contact(role="customer")
        other = await world.segment("Others", "role is empty")
        await world.size(other)
        await world.hub.until_logged()
        entries = await world.store.log.of("default").read(segment, after="", upto="~", limit=100)
    assert [entry.kind for entry in entries] == [EntryKind.OPENED, EntryKind.JOINED, EntryKind.ENDED]


async def test_a_deleted_group_ends_and_its_contacts_are_stripped_of_it_in_silence(world: World) -> None:
    async with world.engine():
        group = (await world.account.groups.create(ObjectId(), name="VIP", description=None)).id
        contact = await world.contact()
        await world.account.groups.add(group, ids=[contact])
        await world.account.groups.delete(group)
        await world.account.sweeper.idle()
        other = await world.segment("Others", "role is empty")
        await world.size(other)
        await world.hub.until_logged()
        entries = await world.store.log.of("default").read(group, after="", upto="~", limit=100)
    assert [entry.kind for entry in entries] == [EntryKind.OPENED, EntryKind.JOINED, EntryKind.ENDED]
    found = await world.account.contacts.get(contact)
    assert found is not None
    assert found.document["groups"] == []


async def test_renaming_a_segment_moves_nobody_and_tells_nothing(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        await world.account.segments.update(segment, name="Clients")
        assert [entry.kind for entry in await logged(world, segment)] == [EntryKind.OPENED]


async def test_a_rule_edit_tells_who_joins_and_who_leaves_by_it(world: World) -> None:
    async with world.engine():
        low, high = await world.contact(role="customer", score=1), await world.contact(role="staff", score=9)
        both = await world.contact(role="customer", score=9)
        segment = await world.segment("Some", CUSTOMERS)
        await world.account.segments.update(segment, rule=rule("score >= 5"))
        entries = await check_against_the_query(world, segment, {low, both})
    assert [entry.kind for entry in entries[:2]] == [EntryKind.OPENED, EntryKind.REDEFINED]
    assert {(entry.contact, entry.kind, entry.reason) for entry in entries[2:]} == {
        (low, EntryKind.LEFT, Reason.RULE_EDITED),
        (high, EntryKind.JOINED, Reason.RULE_EDITED),
    }


async def churn(world: World, contacts: list[ObjectId], seed: int, stop: asyncio.Event) -> int:
    """Write contacts at full speed, values and normal form together, until told to stop."""
    generator = random.Random(seed)
    collection = world.database["contacts"]
    written = 0
    while not stop.is_set():
        operations: list[UpdateOne] = []
        for contact in generator.sample(contacts, 10):
            score = generator.randrange(10)
            operations.append(
                UpdateOne({"_id": contact}, {"$set": {"normal.score": score, "values.score": score}})
            )
        await collection.bulk_write(operations, ordered=False)
        written += len(operations)
    return written


async def populated(world: World, count: int) -> list[ObjectId]:
    documents: list[dict[str, Any]] = [
        {
            "_id": ObjectId(),
            "account": "default",
            "values": {"score": number % 10},
            "normal": {"score": number % 10},
        }
        for number in range(count)
    ]
    await world.database["contacts"].insert_many(documents)
    return [document["_id"] for document in documents]


async def test_segments_opened_and_edited_while_contacts_are_written_at_full_speed_are_exact(
    world: World,
) -> None:
    async with world.engine():
        contacts = await populated(world, 300)
        stop = asyncio.Event()
        writers = [asyncio.create_task(churn(world, contacts, seed, stop)) for seed in range(3)]
        segments = []
        for least in range(1, 9):
            segment = await world.segment(f"At least {least}", f"score >= {least}")
            segments.append(segment)
            await world.account.segments.update(segment, rule=rule(f"score >= {least - 1}"))
            await world.account.segments.update(segment, rule=rule(f"score < {least} or score is 9"))
        for segment in segments:
            await world.size(segment)
        stop.set()
        assert sum(await asyncio.gather(*writers)) > 0
        for segment in segments:
            entries = await logged(world, segment)
            kinds = [entry.kind for entry in entries if entry.kind not in (EntryKind.JOINED, EntryKind.LEFT)]
            assert kinds == [EntryKind.OPENED, EntryKind.REDEFINED, EntryKind.REDEFINED]
            size = entries[0].size
            for entry in entries:
                size += {EntryKind.JOINED: 1, EntryKind.LEFT: -1}.get(entry.kind, 0)
                assert entry.size == size
            assert size == len(await members(world, segment))


async def test_an_engine_killed_at_any_moment_goes_on_without_gap_or_double(
    world: World, watched: Callable[[ObjectId], Watched]
) -> None:
    async with world.engine():
        contacts = await populated(world, 100)
        segment = await world.segment("High", "score >= 5")
        inside = await members(world, segment)
        watcher = watched(segment)
        await watcher.until(1)
    stop = asyncio.Event()
    writer = asyncio.create_task(churn(world, contacts, 1, stop))
    edits = 0
    for pause in range(6):
        async with world.killed_engine():
            edits += 1
            await world.account.segments.update(segment, rule=rule(f"score >= {4 + pause % 2}"))
            told = len(world.told)
            async with asyncio.timeout(DEADLINE):
                await world.hub.until(lambda told=told, pause=pause: len(world.told) > told + 3 * pause)  # type: ignore[misc]
    async with world.engine():
        stop.set()
        await writer
        entries = await check_against_the_query(world, segment, inside)
        moves = [entry for entry in entries if entry.kind is not EntryKind.OPENED]
        seen = await watcher.until(1 + len(moves))
        assert isinstance(seen[0], Started)
        assert seen[1:] == moves
    assert sum(entry.kind is EntryKind.REDEFINED for entry in entries) == edits
    await watcher.stop()


async def test_working_through_the_same_stream_again_writes_the_same_entries(world: World) -> None:
    async with world.engine():
        contacts = await populated(world, 50)
        await world.size(await world.segment("Any", "score is not empty"))
    checkpoint = await world.store.checkpoints.load()
    assert checkpoint is not None
    stop = asyncio.Event()
    async with world.engine():
        writer = asyncio.create_task(churn(world, contacts, 2, stop))
        segment = await world.segment("High", "score >= 5")
        await world.account.segments.update(segment, rule=rule("score >= 3"))
        await world.size(segment)
        stop.set()
        await writer
        first = await logged(world, segment)
    await world.database["changes"].delete_many({"audience": segment, "position": {"$gt": first[2].position}})
    await world.database["checkpoints"].delete_many({})
    await world.store.checkpoints.save(checkpoint, term=0)
    async with world.engine():
        again = await logged(world, segment)
    assert len(first) > 5
    assert again == first


async def test_a_lost_history_counts_every_audience_afresh_and_tells_its_watchers(
    world: World, watched: Callable[[ObjectId], Watched]
) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        watcher = watched(segment)
        await watcher.until(1)
    await world.contact(role="customer")
    # What an operator's restore or an expired token amounts to: the engine has no place to go on from.
    await world.database["checkpoints"].delete_many({})
    async with world.engine():
        started, reset = await watcher.until(2)
        assert isinstance(started, Started)
        assert isinstance(reset, Reset)
        assert (started.size, reset.size) == (0, 1)
        (resumed,) = await world.events(segment, 1, after=started.position)
        assert resumed == reset
        with pytest.raises(FeedWasReset):
            await world.account.feed.history_since(segment, after=started.position, limit=10)
        await world.contact(role="customer")
        joined = (await watcher.until(3))[2]
        assert isinstance(joined, LogEntry)
        assert joined.size == 2
        assert await world.size(segment) == len(await members(world, segment)) == 2
    await watcher.stop()


async def test_an_audience_deleted_while_history_was_lost_ends_all_the_same(
    world: World, watched: Callable[[ObjectId], Watched]
) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        watcher = watched(segment)
        await watcher.until(1)
    await world.account.segments.delete(segment)
    await world.database["checkpoints"].delete_many({})
    async with world.engine():
        ended = (await watcher.until(2))[1]
        assert isinstance(ended, LogEntry)
        assert ended.kind is EntryKind.ENDED
    await watcher.stop()


async def test_what_is_asked_before_an_engine_follows_the_stream_is_answered_when_it_does(
    world: World,
) -> None:
    early = asyncio.create_task(world.account.feed.sizes([]))
    await asyncio.sleep(0)
    async with world.engine():
        assert await asyncio.wait_for(early, DEADLINE) == {}


async def test_definitions_made_while_no_engine_runs_are_opened_by_the_next(world: World) -> None:
    async with world.engine():
        pass
    segment = await world.segment("Customers", CUSTOMERS)
    contact = await world.contact(role="customer")
    async with world.engine():
        entries = await check_against_the_query(world, segment, set())
    assert [entry.contact for entry in entries] == [None, contact]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (1, 2))])
async def test_whatever_happens_to_contacts_groups_and_rules_log_and_query_agree(
    world: World, seed: int
) -> None:
    generator = random.Random(seed)
    texts = ["score >= 5", CUSTOMERS, "score is empty", 'tags has any of ("a", "b")', 'role is not "staff"']
    async with world.engine():
        group = (await world.account.groups.create(ObjectId(), name="G", description=None)).id
        segments = [await world.segment(f"S{number}", text) for number, text in enumerate(texts)]
        contacts: list[ObjectId] = []
        for _ in range(150):
            match generator.randrange(6):
                case 0:
                    contacts.append(await world.contact(role=generator.choice(["customer", "staff", ""])))
                case 1 if contacts:
                    await world.account.contacts.delete(contacts.pop(generator.randrange(len(contacts))))
                case 2 if contacts:
                    await world.account.groups.add(group, ids=[generator.choice(contacts)])
                case 3 if contacts:
                    await world.account.groups.remove(group, ids=[generator.choice(contacts)])
                case _:
                    if not contacts:
                        continue
                    await world.change(
                        generator.choice(contacts),
                        score=generator.choice([None, 1, 5, 9]),
                        tags=generator.choice([[], ["A"], ["b", "c"]]),
                        role=generator.choice(["customer", "staff", None]),
                    )
        for audience in (group, *segments):
            await check_against_the_query(world, audience, set())


async def test_an_edit_that_moves_many_is_told_in_parts_and_held_until_all_of_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.membership.run.MOST_TOLD_AT_ONCE", 40)
    monkeypatch.setattr("domain.membership.hub.MAX_RECENT", 10)
    await world.database["contacts"].insert_many(
        [{"account": "default", "normal": {"score": number % 2}} for number in range(500)]
    )
    async with world.engine():
        segment = await world.segment("Even", "score is 0")
        watched = Watched(world, segment)
        await watched.until(1)
        await world.account.segments.update(segment, rule=rule("score is 1"))
        events = await watched.until(502)
        left = [each for each in events if isinstance(each, LogEntry) and each.kind is EntryKind.LEFT]
        await check_against_the_query(world, segment, {each.contact for each in left if each.contact})
        # Somebody who comes in between has the rest, from memory or from the log.
        middle = Position(events[300].position)
        rest = await world.events(segment, 202, after=middle)
        await watched.stop()
    assert [each.position for each in rest[1:]] == [each.position for each in events[301:]]
    parts = [len(progress.entries) for progress in world.told if progress.entries]
    assert max(parts) <= 40
    assert sum(parts) == 502
