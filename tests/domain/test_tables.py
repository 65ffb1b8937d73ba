"""Rows as files: what a cell looks like, and that nothing is taken for a formula."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import python_calamine

from domain.errors import LimitExceeded
from domain.tables import MOST_ROWS_OF_A_SHEET, FileKind, _write, written


async def rows_of(rows: Sequence[Sequence[Any]]) -> AsyncIterator[Sequence[Any]]:
    for row in rows:
        yield row


async def file_of(kind: FileKind, rows: AsyncIterator[Sequence[Any]]) -> bytes:
    return b"".join([part async for part in written(kind, rows)])


CELLS: list[tuple[Any, str, Any]] = [
    (None, "", ""),
    ("Zoë", "Zoë", "Zoë"),
    ("two\nlines", "two\nlines", "two\nlines"),
    ("=1+2", "'=1+2", "=1+2"),
    ("+1 202", "'+1 202", "+1 202"),
    ("-1+cmd|' /C calc'!A0", "'-1+cmd|' /C calc'!A0", "-1+cmd|' /C calc'!A0"),
    ("@SUM(A1)", "'@SUM(A1)", "@SUM(A1)"),
    ("\t=1", "'\t=1", "\t=1"),
    ("\r=1", "'\r=1", "\r=1"),
    (["=1", "b"], "'=1;b", "=1;b"),
    (-5, "-5", -5.0),
    (-5.5, "-5.5", -5.5),
    (2**60, str(2**60), str(2**60)),
    (True, "true", True),
    (datetime(2026, 5, 3, 10, tzinfo=UTC), "2026-05-03T10:00:00.000Z", "2026-05-03T10:00:00.000Z"),
]


async def test_no_cell_is_a_formula_and_each_reads_as_it_was_meant() -> None:
    rows = [["=Value", "End"], *([cell, "end"] for cell, _, _ in CELLS)]
    content = (await file_of(FileKind.CSV, rows_of(rows))).decode("utf-8-sig")
    found = list(csv.reader(io.StringIO(content, newline="")))
    assert [row[0] for row in found] == ["'=Value", *(text for _, text, _ in CELLS)]
    book = python_calamine.load_workbook(io.BytesIO(await file_of(FileKind.XLSX, rows_of(rows))))
    assert [row[0] for row in book.get_sheet_by_index(0).iter_rows()] == [
        "=Value",
        *(value for _, _, value in CELLS),
    ]


async def many(count: int) -> AsyncIterator[Sequence[Any]]:
    for number in range(count):
        yield [f"K{number}", "Ann, the many times great", number, "=1"]


@pytest.mark.parametrize("kind", FileKind)
async def test_memory_does_not_grow_with_the_rows(kind: FileKind) -> None:
    peaks = []
    for count in (1_000, 8_000):
        tracemalloc.start()
        try:
            size = 0
            async for part in written(kind, many(count)):
                size += len(part)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert size > count * 10
    assert peaks[1] < peaks[0] + 1_000_000


def test_a_sheet_takes_no_more_rows_than_it_has() -> None:
    with pytest.raises(LimitExceeded, match="Export as CSV"):
        _write(None, MOST_ROWS_OF_A_SHEET - 1, [["a"], ["b"]])
