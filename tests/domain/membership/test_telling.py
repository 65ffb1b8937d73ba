from datetime import UTC, datetime

from bson import ObjectId, Timestamp

from domain.membership import position as positions
from domain.membership.messages import Progress
from domain.membership.position import Position
from domain.membership.telling import Teller
from domain.store.log import EntryKind, LogEntry

AUDIENCE, OTHER = ObjectId(), ObjectId()


def end(second: int) -> Position:
    return positions.end_of(Timestamp(second, 1))


def joined(second: int) -> LogEntry:
    return LogEntry(
        account="a",
        audience=AUDIENCE,
        position=positions.of_change(Timestamp(second, 1), ObjectId()),
        kind=EntryKind.JOINED,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        size=second,
    )


async def test_each_message_says_how_far_those_before_it_went_and_a_part_what_is_held_by_now() -> None:
    told: list[Progress] = []

    async def publish(progress: Progress) -> None:
        told.append(progress)

    teller = Teller(publish, term=1)
    teller.settle(end(1), {})
    await teller.tell()
    part, rest = joined(5), joined(7)
    teller.hold({OTHER: end(4)})
    await teller.tell((part,))
    # An audience that was held before stands where it stood, though its next edit waits behind.
    teller.hold({OTHER: end(6)})
    await teller.tell((rest,))
    teller.settle(end(8), {})
    await teller.tell()
    await teller.tell()
    assert [message.number for message in told] == [1, 2, 3, 4, 5]
    assert [message.position for message in told] == [end(1), end(1), end(1), end(8), end(8)]
    assert [message.since for message in told] == [end(1), end(1), part.position, rest.position, end(8)]
    assert [message.held for message in told] == [{}, {OTHER: end(4)}, {OTHER: end(4)}, {}, {}]
