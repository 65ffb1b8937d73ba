import asyncio
from datetime import UTC, datetime

import pytest
from bson import ObjectId, Timestamp

from domain.membership import hub as hubs
from domain.membership import position as positions
from domain.membership.hub import Hub
from domain.membership.messages import Progress, read_progress
from domain.membership.position import Position
from domain.store.log import EntryKind, LogEntry, Reason

AUDIENCE, OTHER = ObjectId(), ObjectId()
CONTACT = ObjectId()


def at(second: int) -> Position:
    return positions.of_change(Timestamp(second, 1), CONTACT)


def joined(second: int, audience: ObjectId = AUDIENCE) -> LogEntry:
    return LogEntry(
        account="a",
        audience=audience,
        position=at(second),
        kind=EntryKind.JOINED,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        size=second,
        reason=Reason.IMPORTED,
        contact=CONTACT,
    )


def progress(
    number: int,
    *entries: LogEntry,
    upto: int | None = None,
    logged: int = 0,
    run: str = "r1",
    term: int = 1,
    held: dict[ObjectId, Position] | None = None,
) -> Progress:
    second = upto if upto is not None else number
    return Progress(
        term=term,
        run=run,
        number=number,
        position=positions.end_of(Timestamp(second, 1)),
        logged=logged,
        entries=entries,
        held=held or {},
        fences={"w": number},
    )


def test_a_message_survives_the_wire() -> None:
    told = progress(3, joined(3), held={OTHER: at(2)})
    assert read_progress(told.to_text()) == told


def test_an_attachment_gets_what_is_told_behind_its_position() -> None:
    hub = Hub()
    hub.receive(progress(1))
    hub.receive(progress(2, joined(2)))
    hub.receive(progress(3, joined(3), joined(3, OTHER)))
    attachment, cap = hub.attach(AUDIENCE, at(2))
    hub.receive(progress(4, joined(4)))
    assert cap is None
    assert [entry.size for entry in attachment.waiting] == [3, 4]


def test_what_is_older_than_memory_is_for_the_log() -> None:
    hub = Hub()
    hub.receive(progress(7))
    hub.receive(progress(8, joined(8)))
    attachment, cap = hub.attach(AUDIENCE, at(2))
    assert cap == positions.end_of(Timestamp(7, 1))
    assert [entry.size for entry in attachment.waiting] == [8]


def test_an_audience_released_late_caps_the_log_before_its_first_entry_in_memory() -> None:
    """An edit was held back at second 3 while others went on to 7; the hub begins in between."""
    hub = Hub()
    hub.receive(progress(7, held={AUDIENCE: at(3)}))
    assert hub.is_held(AUDIENCE)
    assert hub.position_of(AUDIENCE) == at(3)
    hub.receive(progress(8, joined(4), joined(6)))
    attachment, cap = hub.attach(AUDIENCE, at(2))
    assert cap is not None
    assert at(3) < cap < at(4)
    assert [entry.size for entry in attachment.waiting] == [4, 6]


def test_a_lost_message_cuts_every_attachment() -> None:
    hub = Hub()
    hub.receive(progress(1))
    attachment, _ = hub.attach(AUDIENCE, at(1))
    hub.receive(progress(2, joined(2)))
    hub.receive(progress(4, joined(4)))
    assert attachment.cut
    assert [entry.size for entry in attachment.waiting] == [2]
    _, cap = hub.attach(AUDIENCE, at(2))
    assert cap is not None
    assert cap >= at(2)


def test_a_message_that_comes_twice_counts_once() -> None:
    hub = Hub()
    hub.receive(progress(1))
    attachment, _ = hub.attach(AUDIENCE, at(1))
    for _ in range(2):
        hub.receive(progress(2, joined(2)))
    assert [entry.size for entry in attachment.waiting] == [2]


async def test_what_was_told_before_the_hub_listened_is_waited_for_until_it_is_in_the_log() -> None:
    hub = Hub()
    hub.receive(progress(5, logged=3))
    waiting = asyncio.create_task(hub.until_complete())
    await asyncio.sleep(0)
    assert not waiting.done()
    hub.receive(progress(6, logged=4))
    await asyncio.wait_for(waiting, 5)


def test_another_run_sends_its_watchers_to_the_log_and_is_complete_where_the_last_one_was() -> None:
    hub = Hub()
    hub.receive(progress(1))
    attachment, _ = hub.attach(AUDIENCE, at(1))
    hub.receive(progress(2, joined(2)))
    hub.receive(progress(1, run="r2", upto=1))
    assert attachment.cut
    assert [entry.size for entry in attachment.waiting] == [2]
    assert not hub.is_complete()
    hub.receive(progress(2, joined(2), joined(3), run="r2", upto=3))
    assert hub.is_complete()
    fresh, cap = hub.attach(AUDIENCE, positions.end_of(Timestamp(1, 1)))
    assert cap is None
    assert [entry.size for entry in fresh.waiting] == [2, 3]


def test_what_an_engine_that_was_replaced_says_is_passed_over() -> None:
    hub = Hub()
    hub.receive(progress(1, run="paused"))
    hub.receive(progress(1, run="next", term=2, upto=1))
    attachment, _ = hub.attach(AUDIENCE, at(1))
    hub.receive(progress(2, joined(2), run="next", term=2))
    hub.receive(progress(2, joined(2), run="paused", upto=7))
    hub.receive(progress(1, run="paused and begun again", upto=7))
    hub.receive(progress(3, joined(3), run="next", term=2))
    assert not attachment.cut
    assert [entry.size for entry in attachment.waiting] == [2, 3]
    assert hub.position == hub.furthest == positions.end_of(Timestamp(3, 1))


async def test_what_a_run_told_and_did_not_write_is_waited_for_until_the_next_has_written_it() -> None:
    hub = Hub()
    hub.receive(progress(1))
    hub.receive(progress(2, joined(2)))
    waiting = asyncio.create_task(hub.until_logged())
    for told, done in (
        (progress(1, run="r2", term=2, upto=1), False),
        (progress(2, joined(2), run="r2", term=2), False),
        (progress(3, run="r2", term=2, logged=2), True),
    ):
        hub.receive(told)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert waiting.done() is done


def test_memory_is_bounded_and_lets_go_only_of_what_is_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "MAX_RECENT", 3)
    hub = Hub()
    hub.receive(progress(1))
    for number in range(2, 8):
        hub.receive(progress(number, joined(number), logged=4))
    attachment, cap = hub.attach(AUDIENCE, at(1))
    assert cap == positions.end_of(Timestamp(4, 1))
    assert [entry.size for entry in attachment.waiting] == [5, 6, 7]


def test_a_slow_watcher_is_cut_behind_what_it_has_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "MAX_QUEUE", 2)
    hub = Hub()
    hub.receive(progress(1))
    attachment, _ = hub.attach(AUDIENCE, at(1))
    quick, _ = hub.attach(AUDIENCE, at(1))
    for number in range(2, 6):
        hub.receive(progress(number, joined(number)))
        if quick.waiting:
            quick.waiting.popleft()
    assert attachment.cut
    assert [entry.size for entry in attachment.waiting] == [2, 3]
    assert not quick.cut


def test_detaching_leaves_nothing_behind() -> None:
    hub = Hub()
    attachment, _ = hub.attach(AUDIENCE, at(1))
    assert hub.watchers == 1
    hub.detach(attachment)
    hub.detach(attachment)
    assert hub.watchers == 0
