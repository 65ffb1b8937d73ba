"""Which reset concerns whom."""

from datetime import UTC, datetime

import pytest
from bson import ObjectId

from domain.membership.resets import Resets, concerns, newest_concerning, with_newest
from domain.store.log import EntryKind, LogEntry

AUDIENCE = ObjectId()


def reset(position: str, since: str | None = None) -> LogEntry:
    return LogEntry(
        account="a",
        audience=AUDIENCE,
        position=position,
        kind=EntryKind.RESET,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        size=0,
        since=since,
    )


@pytest.mark.parametrize(
    ("place", "since", "concerned"),
    [
        ("1", None, True),
        ("5", None, False),
        ("6", None, False),
        ("2", "3", False),
        ("3", "3", False),
        ("4", "3", True),
        ("5", "3", False),
    ],
)
def test_a_reset_concerns_who_stands_behind_what_is_believed_and_before_it(
    place: str,
    since: str | None,
    concerned: bool,  # noqa: FBT001 # a table
) -> None:
    assert concerns(reset("5", since), place) is concerned


def test_of_several_it_is_the_newest_that_concerns_and_it_need_not_be_the_last() -> None:
    everybody, some, others = reset("2"), reset("5", "4"), reset("8", "7")
    resets = (everybody, some, others)
    found = {place: newest_concerning(resets, place) for place in ("1", "3", "45", "6", "75", "9")}
    assert found == {"1": everybody, "3": None, "45": some, "6": None, "75": others, "9": None}


def test_those_that_concern_nobody_beyond_a_later_one_are_let_go_of() -> None:
    one, two, wider, everybody = reset("3", "1"), reset("6", "5"), reset("8", "4"), reset("9")
    kept: Resets = ()
    for newest, expected in (
        (one, (one,)),
        (two, (one, two)),
        (wider, (one, wider)),
        (everybody, (everybody,)),
    ):
        kept = with_newest(kept, newest)
        assert kept == expected


def test_whom_those_that_are_kept_concern_is_who_all_together_would() -> None:
    resets = [reset("3", "1"), reset("4"), reset("6", "5"), reset("8", "2"), reset("95", "9")]
    kept: Resets = ()
    for newest in resets:
        kept = with_newest(kept, newest)
    for place in ("0", "15", "25", "35", "5", "55", "7", "8", "91", "99"):
        assert newest_concerning(kept, place) == newest_concerning(resets, place)
