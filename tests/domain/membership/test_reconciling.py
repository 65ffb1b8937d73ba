"""What is told where the stream cannot tell what happened: as changes where that is known, else as a reset."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from domain.membership.engine import Engine
from domain.membership.feed import Reset, Started
from domain.membership.lease import Candidate
from domain.membership.position import Position
from domain.membership.writer import LogWriter
from domain.store.checkpoint import Checkpoint, Checkpoints
from domain.store.log import EntryKind, LogEntry, Reason
from tests.domain.conftest import DEADLINE, Watched, World, rule
from tests.domain.membership.test_engine import CUSTOMERS, check_against_the_query, churn, logged, populated

JOINED, LEFT = EntryKind.JOINED, EntryKind.LEFT
MANY = 40
"""More contacts than can be worked out of a checksum."""


async def lose_history(world: World) -> None:
    """What a token amounts to that the server no longer knows, or that is of another server."""
    await world.database["checkpoints"].update_one({}, {"$set": {"token": {"_data": "82" + "00" * 20}}})


async def rewrite(world: World, contacts: list[ObjectId], **normal: Any) -> None:
    """Write contacts as another program does: nothing but what rules read."""
    update = {"$set": {f"normal.{key}": value for key, value in normal.items()}}
    await world.database["contacts"].update_many({"_id": {"$in": contacts}}, update)


async def images(world: World, *, on: bool) -> None:
    await world.database.command("collMod", "contacts", changeStreamPreAndPostImages={"enabled": on})


def moves(entries: list[LogEntry]) -> list[tuple[ObjectId | None, EntryKind, Reason | None]]:
    return [
        (each.contact, each.kind, each.reason)
        for each in entries
        if each.kind not in (EntryKind.OPENED, EntryKind.RESET)
    ]


def kinds(watcher: Watched) -> list[Any]:
    return [event.kind if isinstance(event, LogEntry) else type(event) for event in watcher.events]


async def test_a_lost_history_in_which_nothing_happened_tells_nobody_anything(
    world: World, watched: Callable[[ObjectId], Watched]
) -> None:
    async with world.engine():
        silent = await world.contact(role="customer")
        segment = await world.segment("Customers", CUSTOMERS)
        moved = await world.contact(role="customer")
        watcher = watched(segment)
        first = (await watcher.until(1))[0]
    await lose_history(world)
    async with world.engine():
        entries = await check_against_the_query(world, segment, {silent})
        assert moves(entries) == [(moved, JOINED, Reason.CONTACT_CREATED)]
        (resumed,) = await world.events(segment, 1, after=Position(first.position))
        assert isinstance(resumed, Started)
        await world.contact(role="customer")
        await watcher.until(2)
        assert kinds(watcher) == [Started, JOINED]
    await watcher.stop()


async def test_whoever_has_entries_and_changed_while_history_was_lost_joins_and_leaves(
    world: World, watched: Callable[[ObjectId], Watched]
) -> None:
    async with world.engine():
        await populated(world, MANY)
        segment = await world.segment("Customers", CUSTOMERS)
        inside, outside, deleted = [await world.contact(role="customer") for _ in range(3)]
        await world.change(outside, role="staff")
        watcher = watched(segment)
        started = (await watcher.until(1))[0]
    await rewrite(world, [inside], role="staff")
    await rewrite(world, [outside], role="customer")
    await world.account.contacts.delete(deleted)
    await lose_history(world)
    async with world.engine():
        entries = await check_against_the_query(world, segment, set())
        told = await watcher.until(4)
        resumed = await world.events(segment, 4, after=Position(started.position))
    assert moves(entries)[-3:] == [
        (inside, LEFT, Reason.RECONCILED),
        (outside, JOINED, Reason.RECONCILED),
        (deleted, LEFT, Reason.RECONCILED),
    ]
    assert told[1:] == resumed[1:] == entries[-3:]
    await watcher.stop()


async def test_a_few_contacts_that_never_moved_before_are_found_by_the_checksum(world: World) -> None:
    async with world.engine():
        await populated(world, MANY)
        leaving, staying = [await world.contact(role="customer") for _ in range(2)]
        segment = await world.segment("Customers", CUSTOMERS)
        await world.size(segment)
    joining = await world.contact(role="customer")
    await world.change(leaving, role="staff")
    await lose_history(world)
    async with world.engine():
        entries = await check_against_the_query(world, segment, {leaving, staying})
    assert moves(entries) == [(leaving, LEFT, Reason.RECONCILED), (joining, JOINED, Reason.RECONCILED)]


async def test_a_gap_that_cannot_be_told_resets_the_audiences_that_it_concerns_and_no_others(
    world: World, watched: Callable[[ObjectId], Watched]
) -> None:
    """As many left as joined, so that no size shows it."""
    async with world.engine():
        contacts = await populated(world, 3 * MANY)
        await rewrite(world, contacts[:MANY], role="customer")
        customers = await world.segment("Customers", CUSTOMERS)
        high = await world.segment("High", "score >= 5")
        size = await world.size(high)
        watchers = [watched(customers), watched(high)]
        for watcher in watchers:
            await watcher.until(1)
    await rewrite(world, contacts[:MANY], role="staff")
    await rewrite(world, contacts[MANY : 2 * MANY], role="customer")
    await lose_history(world)
    async with world.engine():
        reset = (await watchers[0].until(2))[1]
        assert isinstance(reset, Reset)
        assert reset.size == await world.size(customers) == MANY
        assert "can no longer be told" in reset.because
        await rewrite(world, contacts[:1], role="customer", score=9)
        await watchers[0].until(3)
        await watchers[1].until(2)
        assert [kinds(watcher) for watcher in watchers] == [[Started, Reset, JOINED], [Started, JOINED]]
        assert await world.size(high) == size + 1
    for watcher in watchers:
        await watcher.stop()


async def test_a_lost_history_is_reconciled_exactly_while_contacts_are_written(world: World) -> None:
    stop = asyncio.Event()
    async with world.engine():
        contacts = await populated(world, 100)
        segments = [await world.segment(f"At least {least}", f"score >= {least}") for least in (2, 5, 8)]
        for segment in segments:
            await world.size(segment)
        writer = asyncio.create_task(churn(world, contacts, 1, stop))
    for _ in range(3):
        await lose_history(world)
        async with world.engine():
            for segment in segments:
                await world.size(segment)
    stop.set()
    await writer
    async with world.engine():
        for segment in segments:
            await check_from_the_last_reset(world, segment)


async def check_from_the_last_reset(world: World, audience: ObjectId) -> None:
    """What follows the last reset of everybody adds up to what the query says."""
    entries = await logged(world, audience)
    whole = [
        number
        for number, entry in enumerate(entries)
        if entry.kind is EntryKind.OPENED or (entry.kind is EntryKind.RESET and entry.since is None)
    ]
    size, inside = entries[whole[-1]].size, dict[ObjectId, bool]()
    for entry in entries[whole[-1] :]:
        if entry.contact is not None:
            joined = entry.kind is JOINED
            assert inside.get(entry.contact) is not joined
            inside[entry.contact] = joined
            size += 1 if joined else -1
        assert entry.size == size
    criterion = (await world.account.definitions.current()).criterion(audience)
    contacts = await world.store.contacts("default").find(criterion.query(world.account.feed.instant))
    found = {contact["_id"] for contact in contacts}
    assert len(found) == size
    assert all((contact in found) is joined for contact, joined in inside.items())


@pytest.mark.parametrize(
    "seconds", [0, 0.05, 0.2, *(pytest.param(each, marks=pytest.mark.soak) for each in (0.02, 0.1))]
)
async def test_an_engine_killed_while_it_reconciles_is_carried_on_by_the_next(
    world: World, seconds: float
) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        contacts = [await world.contact(role="customer") for _ in range(MANY)]
        await world.size(segment)
    await rewrite(world, contacts[: MANY // 2], role="staff")
    await lose_history(world)
    async with world.killed_engine():
        await asyncio.sleep(seconds)
    await rewrite(world, contacts[MANY // 2 :], role="staff")
    async with world.engine():
        entries = await check_against_the_query(world, segment, set())
    assert len(moves(entries)) == 2 * MANY
    assert entries[-1].size == 0


async def test_whoever_was_told_what_was_never_written_is_told_of_a_reset_and_others_are_not(
    world: World, watched: Callable[[ObjectId], Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        before = (await world.events(segment, 1))[0]
        contact = await world.contact(role="customer")
        await world.size(segment)

    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(LogWriter, "work", never)
        async with world.killed_engine():
            watcher = watched(segment)
            await watcher.until(1)
            await world.change(contact, role="staff")
            told = (await watcher.until(2))[1]
            assert isinstance(told, LogEntry)
    await lose_history(world)
    async with world.engine():
        reset = (await watcher.until(3))[2]
        assert isinstance(reset, Reset)
        (by_cursor,) = await world.events(segment, 1, after=Position(told.position))
        assert isinstance(by_cursor, Reset)
        resumed = await world.events(segment, 3, after=Position(before.position))
    assert isinstance(resumed[0], Started)
    assert moves([each for each in resumed if isinstance(each, LogEntry)]) == [
        (contact, JOINED, Reason.CONTACT_CREATED),
        (contact, LEFT, Reason.RECONCILED),
    ]
    await watcher.stop()


async def test_an_engine_that_is_replaced_while_it_begins_afresh_withdraws_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        await world.contact(role="customer")
        entries = await logged(world, segment)
    ahead = f"{int(entries[-1].position[:8], 16) + 1_000_000:08x}{entries[-1].position[8:]}"
    await world.store.log.write([replace(entries[-1], position=ahead)])
    await lose_history(world)
    save, take, lost = Checkpoints.save, Candidate.take, asyncio.Event()

    async def replaced(
        self: Checkpoints, checkpoint: Checkpoint, *, term: int, seen: str | None = None, back: bool = False
    ) -> bool:
        stands = await save(self, checkpoint, term=term, seen=seen, back=back)
        if back:
            await world.store.leases.take(await world.store.leases.load(), "another")
        return stands

    async def taken(self: Candidate, stopping: asyncio.Event) -> int | None:
        if not world.told[told:] and self.holds():
            lost.set()
        return await take(self, stopping)

    told = len(world.told)
    monkeypatch.setattr(Checkpoints, "save", replaced)
    monkeypatch.setattr(Candidate, "take", taken)
    engine = Engine(world.store, world.publish)
    work = asyncio.create_task(engine.work())
    async with asyncio.timeout(DEADLINE):
        await lost.wait()
    engine.stop()
    await work
    assert world.told[told:] == []
    log_of_account = world.store.log.of("default")
    assert await log_of_account.newest(segment, upto=ahead) == replace(entries[-1], position=ahead)


# ---- pre-images that are missing -----------------------------------------------------------------------------------


async def test_a_contact_without_a_pre_image_is_held_against_its_last_state_in_the_log(
    world: World, watched: Callable[[ObjectId], Watched]
) -> None:
    async with world.engine():
        await populated(world, MANY)
        segment = await world.segment("Customers", CUSTOMERS)
        high = await world.segment("High", "score >= 5")
        watcher = watched(segment)
        await watcher.until(1)
        inside, outside, same = [await world.contact(role="customer") for _ in range(3)]
        await world.change(outside, role="staff")
        await watcher.until(5)
    # An engine that sees the first of them switches images on again.
    await images(world, on=False)
    await rewrite(world, [inside], role="staff")
    await rewrite(world, [outside], role="customer")
    await rewrite(world, [same], role="customer", tags=["x"])
    await images(world, on=True)
    async with world.engine():
        told = await watcher.until(7)
        entries = await check_against_the_query(world, segment, set())
        assert moves(entries)[-2:] == [
            (inside, LEFT, Reason.RECONCILED),
            (outside, JOINED, Reason.RECONCILED),
        ]
        assert told[1:] == entries[1:]
        assert not [each for each in await logged(world, high) if each.reason is Reason.RECONCILED]
        await world.contact(role="customer")
        assert (await watcher.until(8))[7].size == 3
    await watcher.stop()


@pytest.mark.parametrize("change", ["update", "replace", "delete"])
async def test_a_contact_that_never_moved_and_has_no_pre_image_is_found_by_the_checksum(
    world: World, change: str
) -> None:
    contacts = world.database["contacts"]
    async with world.engine():
        silent = await world.contact(role="customer", score=9)
        others = await populated(world, MANY)
        await rewrite(world, others[:3], role="customer")
        segment = await world.segment("Customers", CUSTOMERS)
        high = await world.segment("High", "score >= 5")
        await world.size(segment)
        opened = await members_of(world, segment), await members_of(world, high)
        await images(world, on=False)
        match change:
            case "update":
                await contacts.update_one({"_id": silent}, {"$set": {"normal.role": "staff"}})
            case "replace":
                await contacts.replace_one({"_id": silent}, {"account": "default", "normal": {}})
            case _:
                await contacts.delete_one({"_id": silent})
        entries = await check_against_the_query(world, segment, opened[0])
        assert moves(entries) == [(silent, LEFT, Reason.RECONCILED)]
        expected = [] if change == "update" else [(silent, LEFT, Reason.RECONCILED)]
        assert moves(await check_against_the_query(world, high, opened[1])) == expected
        # The engine has switched them on again.
        again = await world.contact(role="customer")
        await world.change(again, role="staff")
        entries = await check_against_the_query(world, segment, opened[0])
    assert [each[2] for each in moves(entries)[-2:]] == [Reason.CONTACT_CREATED, Reason.CONTACT_UPDATED]


async def members_of(world: World, audience: ObjectId) -> set[ObjectId]:
    criterion = (await world.account.definitions.current()).criterion(audience)
    found = await world.store.contacts("default").find(criterion.query(world.account.feed.instant))
    return {contact["_id"] for contact in found}


async def test_what_happens_beside_a_missing_pre_image_is_told_as_ever(world: World) -> None:
    """Images come and go while contacts are written at full speed, and segments are edited."""
    stop = asyncio.Event()
    async with world.engine():
        contacts = await populated(world, 60)
        segment = await world.segment("High", "score >= 5")
        opened = await members_of(world, segment)
        writers = [asyncio.create_task(churn(world, contacts[:30], seed, stop)) for seed in range(2)]
        other = await world.segment("Low", "score < 3")
        await world.size(segment)
        await images(world, on=False)
        await rewrite(world, contacts[30:33], score=7)
        await images(world, on=True)
        await world.account.segments.update(other, rule=rule("score < 4"))
        await world.size(other)
        stop.set()
        await asyncio.gather(*writers)
        for audience in (segment, other):
            await world.size(audience)
            await check_from_the_last_reset(world, audience)
        entries = await logged(world, segment)
    assert any(each.reason is Reason.RECONCILED for each in entries) or opened


async def test_an_engine_killed_over_a_missing_pre_image_leaves_nothing_out(world: World) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        contacts = [await world.contact(role="customer") for _ in range(6)]
        await world.size(segment)
    await images(world, on=False)
    await rewrite(world, contacts[:2], role="staff")
    await images(world, on=True)
    await world.change(contacts[0], role="customer", score=1)
    await world.change(contacts[2], role="staff")
    for seconds in (0.0, 0.02, 0.1):
        async with world.killed_engine():
            await asyncio.sleep(seconds)
    async with world.engine():
        entries = await check_against_the_query(world, segment, set())
    assert moves(entries)[6:] == [
        (contacts[2], LEFT, Reason.CONTACT_UPDATED),
        (contacts[1], LEFT, Reason.RECONCILED),
    ]


async def test_too_many_missing_pre_images_are_a_lost_history(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.membership.run.MOST_CONTACTS", 5)
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        contacts = [await world.contact(role="customer") for _ in range(20)]
        await world.size(segment)
    await images(world, on=False)
    await rewrite(world, contacts[:12], role="staff")
    async with world.engine():
        entries = await check_against_the_query(world, segment, set())
    assert {each[2] for each in moves(entries)[20:]} == {Reason.RECONCILED}


# ---- the database itself -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["drop", "rename"])
async def test_contacts_that_were_dropped_have_left_and_the_engine_goes_on(
    world: World, watched: Callable[[ObjectId], Watched], loss: str
) -> None:
    async with world.engine():
        await populated(world, MANY)
        segment = await world.segment("Customers", CUSTOMERS)
        everybody = await world.segment("Everybody", "role is not empty or score is not empty")
        contact = await world.contact(role="customer")
        watchers = [watched(segment), watched(everybody)]
        for watcher in watchers:
            await watcher.until(1)
        if loss == "drop":
            await world.database["contacts"].drop()
        else:
            await world.database["contacts"].rename("contacts_of_old")
        await watchers[0].until(2)
        left, reset = (await watchers[0].until(2))[1], (await watchers[1].until(2))[1]
        assert isinstance(left, LogEntry)
        assert (left.contact, left.kind, left.reason) == (contact, LEFT, Reason.RECONCILED)
        assert isinstance(reset, Reset)
        assert reset.size == 0
        again = await world.contact(role="customer")
        await world.change(again, role="staff")
        entries = await check_against_the_query(world, segment, set())
        # With a pre-image, as before.
        assert [each[2] for each in moves(entries)[-2:]] == [Reason.CONTACT_CREATED, Reason.CONTACT_UPDATED]
    indexes = await world.database["contacts"].index_information()
    assert [("account", 1), ("normal.role", 1)] in [index["key"] for index in indexes.values()]
    for watcher in watchers:
        await watcher.stop()
