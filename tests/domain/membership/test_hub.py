import asyncio
from dataclasses import replace
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


def end(second: int) -> Position:
    return positions.end_of(Timestamp(second, 1))


def progress(
    number: int,
    *entries: LogEntry,
    upto: int | None = None,
    since: Position | None = None,
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
        since=since if since is not None else end(second - 1),
        position=end(second),
        logged=logged,
        entries=entries,
        held=held or {},
        fences={"w": number},
    )


def told(hub: Hub, after: Position, audience: ObjectId = AUDIENCE) -> list[int]:
    """The sizes, which are the seconds, of what memory holds behind a place."""
    return [entry.size for entry in hub.told(audience, after=after, limit=100)]


def test_a_message_survives_the_wire() -> None:
    message = progress(3, joined(3), held={OTHER: at(2)})
    assert read_progress(message.to_text()) == message


def test_memory_tells_what_is_behind_a_place_of_an_audience() -> None:
    hub = Hub()
    hub.receive(progress(1))
    hub.receive(progress(2, joined(2)))
    hub.receive(progress(3, joined(3), joined(3, OTHER)))
    hub.receive(progress(4, joined(4)))
    assert hub.reaches_back_to(AUDIENCE) <= at(2)
    assert told(hub, at(2)) == [3, 4]
    assert [entry.size for entry in hub.told(AUDIENCE, after=at(1), limit=2)] == [2, 3]
    assert told(hub, at(4)) == []
    assert told(hub, at(1), OTHER) == [3]


def test_what_is_older_than_memory_is_for_the_log() -> None:
    hub = Hub()
    hub.receive(progress(7))
    hub.receive(progress(8, joined(8)))
    assert hub.reaches_back_to(AUDIENCE) == end(6)
    assert told(hub, end(6)) == [8]


def test_an_audience_released_late_is_read_in_the_log_up_to_its_first_entry_in_memory() -> None:
    """An edit was held back at second 3 while others went on to 7; the hub begins in between."""
    hub = Hub()
    hub.receive(progress(7, held={AUDIENCE: at(3)}))
    assert hub.is_held(AUDIENCE)
    assert hub.position_of(AUDIENCE) == at(3)
    # The engine may be writing what it has not told here yet: nothing behind second 3 may be read in the log.
    assert hub.reaches_back_to(AUDIENCE) == at(3)
    hub.receive(progress(8, joined(4), joined(6)))
    assert at(3) < hub.reaches_back_to(AUDIENCE) < at(4)
    assert told(hub, at(2)) == [4, 6]


def test_a_hub_that_begins_among_the_parts_of_much_sends_to_the_log_for_the_parts_before() -> None:
    """What one batch brings is told in parts: 11 and 12 in messages that reach no further than second 9."""
    hub = Hub()
    hub.receive(progress(3, joined(12), upto=9, since=at(11), held={OTHER: at(10)}))
    assert hub.reaches_back_to(AUDIENCE) == at(11)
    assert told(hub, at(11)) == [12]
    assert hub.reaches_back_to(OTHER) == at(10)
    bell = hub.attach(OTHER)
    # The edit of the other audience was told by the message that was lost as well. Nothing more comes of it.
    hub.receive(progress(4, upto=12, since=at(12)))
    assert bell.wake.is_set()
    assert hub.reaches_back_to(OTHER) == at(11)


def test_a_lost_message_wakes_everybody_to_look_in_the_log() -> None:
    hub = Hub()
    hub.receive(progress(1))
    hub.receive(progress(2, joined(2)))
    bell = hub.attach(OTHER)
    hub.receive(progress(4, joined(4)))
    assert bell.wake.is_set()
    assert told(hub, at(1)) == [4]
    assert hub.reaches_back_to(AUDIENCE) == end(3)
    assert not hub.is_complete()
    hub.receive(progress(5, logged=3))
    assert hub.is_complete()


def test_a_message_that_comes_twice_or_late_counts_once() -> None:
    hub = Hub()
    hub.receive(progress(1))
    for number in (2, 2, 3, 2, 3):
        hub.receive(progress(number, joined(number)))
    assert told(hub, at(1)) == [2, 3]
    assert hub.era == 1


def test_a_bell_rings_for_its_audience_alone() -> None:
    hub = Hub()
    hub.receive(progress(1))
    bell, other = hub.attach(AUDIENCE), hub.attach(OTHER)
    hub.receive(progress(2, joined(2)))
    assert bell.wake.is_set()
    assert not other.wake.is_set()


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
    bell = hub.attach(AUDIENCE)
    hub.receive(progress(2, joined(2)))
    bell.wake.clear()
    hub.receive(progress(1, run="r2", upto=1))
    assert bell.wake.is_set()
    assert told(hub, at(1)) == []
    assert not hub.is_complete()
    hub.receive(progress(2, joined(2), joined(3), run="r2", upto=3))
    assert hub.is_complete()
    assert told(hub, at(1)) == [2, 3]


async def test_what_one_run_told_is_logged_once_the_next_has_told_and_logged_it() -> None:
    hub = Hub()
    hub.receive(progress(1))
    hub.receive(progress(2, joined(2)))
    waiting = asyncio.create_task(hub.until_logged())
    await asyncio.sleep(0)
    for message, logged in (
        (progress(1, run="r2", upto=1), False),
        (progress(2, joined(2), run="r2", upto=2), False),
        (progress(3, run="r2", upto=3, logged=3), True),
    ):
        hub.receive(message)
        for _ in range(3):
            await asyncio.sleep(0)
        assert waiting.done() is logged
    await waiting


async def test_what_is_told_while_it_is_waited_for_the_log_is_not_taken_to_be_in_it() -> None:
    hub = Hub()
    hub.receive(progress(1))
    hub.receive(progress(2, joined(2)))
    waiting = asyncio.create_task(hub.until_logged_of(AUDIENCE))
    await asyncio.sleep(0)
    hub.receive(progress(3, joined(3), logged=2))
    assert await asyncio.wait_for(waiting, 5) == end(2)


async def test_an_edit_that_the_next_run_places_again_is_not_taken_to_be_in_the_log() -> None:
    hub = Hub()
    hub.receive(progress(1))
    hub.receive(progress(2, joined(2)))
    waiting = asyncio.create_task(hub.until_logged_of(AUDIENCE))
    await asyncio.sleep(0)
    hub.receive(progress(1, run="r2", upto=2, logged=1, held={AUDIENCE: at(1)}))
    assert await asyncio.wait_for(waiting, 5) == at(1)


def test_what_an_engine_that_was_replaced_says_is_passed_over() -> None:
    hub = Hub()
    hub.receive(progress(1, run="paused"))
    hub.receive(progress(1, run="next", term=2, upto=1))
    hub.receive(progress(2, joined(2), run="next", term=2))
    hub.receive(progress(2, joined(2), run="paused", upto=7))
    hub.receive(progress(1, run="paused and begun again", upto=7))
    hub.receive(progress(3, joined(3), run="next", term=2))
    assert hub.era == 2
    assert told(hub, at(1)) == [2, 3]
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
    assert hub.reaches_back_to(AUDIENCE) == at(4)
    assert told(hub, at(4)) == [5, 6, 7]
    # Of an audience of which nothing was let go, nothing is looked for in the log.
    assert hub.reaches_back_to(OTHER) == end(0)


def test_the_newest_entry_at_a_place_is_known_as_far_as_memory_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "MAX_RECENT", 3)
    hub = Hub()
    hub.receive(progress(1))
    assert hub.told_before(AUDIENCE, end(1)) is None
    hub.learn(joined(1))
    assert hub.told_before(AUDIENCE, end(1)) == joined(1)
    for number in range(2, 8):
        hub.receive(progress(number, joined(number), logged=4))
    assert [hub.told_before(AUDIENCE, place) for place in (at(4), at(5), end(5), end(9))] == [
        None,
        joined(5),
        joined(5),
        joined(7),
    ]


def test_what_is_learned_late_does_not_hide_what_was_told() -> None:
    hub = Hub()
    hub.receive(progress(1))
    hub.receive(progress(2, joined(2)))
    hub.learn(joined(1))
    assert hub.latest(AUDIENCE) == joined(2)


def test_detaching_leaves_nothing_behind() -> None:
    hub = Hub()
    attachment = hub.attach(AUDIENCE)
    assert hub.watchers == 1
    hub.detach(attachment)
    hub.detach(attachment)
    assert hub.watchers == 0


def reset(second: int, since: int | None = None) -> LogEntry:
    return replace(
        joined(second), kind=EntryKind.RESET, contact=None, since=None if since is None else end(since)
    )


def test_a_run_on_a_database_that_was_put_back_is_not_waited_for_until_it_has_come_as_far() -> None:
    hub = Hub()
    hub.receive(progress(1, upto=100, logged=1))
    era = hub.era
    hub.receive(replace(progress(1, upto=20, run="r2", logged=1), afresh=True))
    assert hub.is_complete()
    assert hub.furthest == end(20)
    # Who was told of more than that was told of another past; who comes from now on was not.
    assert [hub.is_of_another_past(end(second), era) for second in (19, 20, 21, 100)] == [
        False,
        False,
        True,
        True,
    ]
    hub.receive(replace(progress(2, upto=30, run="r2", logged=2), afresh=True))
    assert hub.is_of_another_past(end(21), era)
    assert not hub.is_of_another_past(end(30), hub.era)
    # A lost message of the same run takes nothing back.
    hub.receive(replace(progress(9, upto=40, run="r2", logged=9), afresh=True))
    hub.receive(replace(progress(10, upto=41, run="r2", logged=10), afresh=True))
    assert not hub.is_of_another_past(end(40), hub.era - 1)


def test_who_was_told_of_another_past_learns_it_though_two_runs_have_begun_afresh_since() -> None:
    hub = Hub()
    hub.receive(progress(1, upto=20))
    era = hub.era
    hub.receive(replace(progress(1, upto=10, run="r2"), afresh=True))
    between = hub.era
    hub.receive(replace(progress(1, upto=30, run="r3"), afresh=True))
    assert hub.is_of_another_past(end(20), era)
    assert not hub.is_of_another_past(end(20), between)
    assert not hub.is_of_another_past(end(10), era)


def test_of_many_runs_that_began_afresh_few_are_kept_and_nobody_is_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hubs, "MAX_CAME_BACK", 3)
    hub = Hub()
    hub.receive(progress(1, upto=20))
    era = hub.era
    for number in range(10):
        hub.receive(replace(progress(1, upto=10 + number, run=f"afresh {number}"), afresh=True))
    assert len(hub._came_back) == 3
    assert hub.is_of_another_past(end(11), era)
    assert not hub.is_of_another_past(end(10), era)
    assert not hub.is_of_another_past(end(20), hub.era)


def test_what_was_read_of_the_log_is_of_another_edition_after_a_reset_and_in_another_era() -> None:
    hub = Hub()
    hub.receive(progress(1, joined(1)))
    first = hub.edition(AUDIENCE)
    hub.receive(progress(2, joined(2)))
    assert hub.edition(AUDIENCE) == first
    hub.receive(progress(3, reset(3, since=1)))
    second = hub.edition(AUDIENCE)
    assert second != first
    assert hub.edition(OTHER) == first
    assert hub.resets(AUDIENCE) == (reset(3, since=1),)
    hub.receive(progress(4, reset(4)))
    assert hub.edition(AUDIENCE) not in (first, second)
    assert hub.resets(AUDIENCE) == (reset(4),)
    hub.receive(progress(7))
    assert hub.edition(AUDIENCE) not in (first, second)
    assert hub.resets(AUDIENCE) == ()
