from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId, Timestamp

from domain.membership import position as positions
from domain.membership.changes import Transition
from domain.membership.readings import IdList, Reading
from domain.rules.predicate import Predicate
from domain.store.log import EntryKind, Reason

IDS = [ObjectId(f"{number:024x}") for number in range(6)]


def scored(least: int) -> Predicate:
    def predicate(contact: Mapping[str, Any]) -> bool:
        return bool(contact["score"] >= least)

    return predicate


def reading(was: Predicate | None, becomes: Predicate) -> Reading:
    return Reading(
        account="a",
        audience=ObjectId(),
        position=positions.of_definition(Timestamp(5, 1)),
        at=datetime(2026, 1, 1, tzinfo=UTC),
        version=1,
        kind=EntryKind.OPENED if was is None else EntryKind.REDEFINED,
        was=was,
        becomes=becomes,
        entering={},
        leaving=None if was is None else {},
        restart_from=None,
    )


def touch(placed: Reading, contact: ObjectId, before: Mapping[str, Any] | None) -> None:
    """Let it note a change of a contact that was like this before."""
    placed.touch(
        Transition(
            account="a",
            contact=contact,
            before=before,
            after={"score": 0},
            at=placed.at,
            reason=Reason.CONTACT_UPDATED,
        ),
        Timestamp(6, 1),
    )


def test_an_id_list_keeps_what_it_was_given_and_finds_what_is_in_it() -> None:
    found = IdList()
    for identifier in IDS[:3]:
        found.append(identifier)
    assert (len(found), list(found)) == (3, IDS[:3])
    assert found.among(IDS[2:]) == {IDS[2]}
    assert found.among([]) == set()


def test_an_identifier_whose_bytes_straddle_two_others_is_not_found() -> None:
    found = IdList()
    found.append(ObjectId(b"\x00" * 6 + b"\x01" * 6))
    found.append(ObjectId(b"\x02" * 6 + b"\x00" * 6))
    assert found.among([ObjectId(b"\x01" * 6 + b"\x02" * 6)]) == set()


def test_a_size_counts_touched_contacts_as_they_were_at_the_position() -> None:
    opening = reading(None, scored(5))
    for identifier in IDS[:3]:  # read late: 0 was in, 1 came in meanwhile, 2 was in
        opening.entered.append(identifier)
    touch(opening, IDS[1], {"score": 1})
    touch(opening, IDS[2], {"score": 6})
    touch(opening, IDS[3], {"score": 9})  # left before it was read
    touch(opening, IDS[4], None)  # made meanwhile, and out again
    assert opening.tally().size == 3


def test_only_the_first_touch_counts() -> None:
    opening = reading(None, scored(5))
    opening.entered.append(IDS[0])
    touch(opening, IDS[0], {"score": 1})
    touch(opening, IDS[0], {"score": 7})
    assert opening.tally().size == 0


def test_an_edit_moves_whom_the_two_rules_judge_differently_at_its_position() -> None:
    edit = reading(scored(5), scored(3))
    for identifier in (IDS[3], IDS[0]):
        edit.entered.append(identifier)
    edit.left.append(IDS[4])
    touch(edit, IDS[3], {"score": 9})  # in by both rules: moved only later
    touch(edit, IDS[4], {"score": 4})  # in by the new rule alone at the position
    touch(edit, IDS[1], {"score": 4})  # read as outside, for it changed before it was read
    touch(edit, IDS[2], None)
    moves = list(edit.moves())
    assert [(move.contact, move.kind) for move in moves] == [
        (IDS[0], EntryKind.JOINED),
        (IDS[1], EntryKind.JOINED),
        (IDS[4], EntryKind.JOINED),
    ]
    places = [edit.definition()[0].position, *(move.position for move in moves)]
    assert places == sorted(set(places))


def test_an_opening_moves_nobody() -> None:
    opening = reading(None, scored(5))
    opening.entered.append(IDS[0])
    assert list(opening.moves()) == []
