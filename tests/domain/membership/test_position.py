import pytest
from bson import ObjectId, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidCursor
from domain.membership import position as positions

FIRST = positions.end_of(Timestamp(1, 1))
LOW, HIGH = ObjectId("000000000000000000000001"), ObjectId("ffffffffffffffffffffffff")
times = st.builds(Timestamp, st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))
contacts = st.binary(min_size=12, max_size=12).map(ObjectId)


@given(times, times, contacts)
def test_positions_sort_as_the_stream_does(earlier: Timestamp, later: Timestamp, contact: ObjectId) -> None:
    if earlier == later:
        return
    earlier, later = sorted((earlier, later))
    defined = positions.of_definition(later)
    in_order = [
        positions.of_change(earlier, contact),
        positions.end_of(earlier),
        positions.right_before(defined),
        defined,
        positions.of_edit(defined, LOW),
        positions.of_edit(defined, HIGH),
        positions.of_change(later, LOW),
        positions.of_change(later, HIGH),
        positions.end_of(later),
    ]
    assert in_order == sorted(in_order)
    assert len(set(in_order)) == len(in_order)
    cursors = [positions.to_cursor(HIGH, position) for position in in_order if "~" not in position]
    assert cursors == sorted(cursors)
    assert positions.end_of(earlier) <= positions.just_before(defined) < defined


@given(contacts, times, contacts)
def test_a_cursor_gives_its_position_back(audience: ObjectId, time: Timestamp, contact: ObjectId) -> None:
    for position in (
        positions.of_change(time, contact),
        positions.of_edit(positions.of_definition(time), contact),
        positions.of_definition(time),
        positions.end_of(time),
    ):
        assert positions.from_cursor(audience, positions.to_cursor(audience, position)) == position


def test_a_cursor_of_another_audience_is_refused() -> None:
    cursor = positions.to_cursor(LOW, positions.end_of(Timestamp(1, 1)))
    with pytest.raises(InvalidCursor, match="another audience"):
        positions.from_cursor(HIGH, cursor)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "äö",
        "AAAA",
        "a" * 10_000,
        "====",
        positions.to_cursor(LOW, FIRST) + "0",
        positions.to_cursor(LOW, FIRST).upper(),
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor, match="not a cursor"):
        positions.from_cursor(LOW, text)
