"""Which row of a key is its last one."""

from __future__ import annotations

import random

from domain.imports.repeats import LastRows


def test_the_last_row_of_a_key_is_not_superseded() -> None:
    with LastRows() as rows:
        rows.note([("a", 2), ("b", 3), ("a", 4)])
        rows.note([("c", 5), ("b", 6)])
        assert [
            rows.superseded(key, row) for key, row in [("a", 2), ("b", 3), ("a", 4), ("c", 5), ("b", 6)]
        ] == [*(True, True, False, False, False)]


def test_where_no_key_is_repeated_no_row_is_superseded() -> None:
    with LastRows() as rows:
        rows.note([("a", 2), ("b", 3)])
        assert not rows.superseded("a", 2)
        assert not rows.superseded("never seen", 1)


def test_many_keys_are_told_apart() -> None:
    keys = [f"key {random.Random(number).randrange(20_000)}" for number in range(30_000)]
    last = {key: row for row, key in enumerate(keys)}
    with LastRows() as rows:
        for start in range(0, len(keys), 1_000):
            rows.note([(keys[row], row) for row in range(start, start + 1_000)])
        assert all(rows.superseded(key, row) is (last[key] > row) for row, key in enumerate(keys))
