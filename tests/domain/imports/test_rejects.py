"""The file of what was refused."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from domain.imports.rejects import Rejection, rejects_file


def test_it_names_row_column_value_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    with rejects_file(path) as rejects:
        rejects.write(Rejection(row=3, column="Email", value='a, "b"\nc', reason="“a” is no address."))
        rejects.write(Rejection(row=4, column="Note", value="x" * 20_000, reason="Too long."))
        rejects.write(Rejection(row=4, column="@Name", value="=1+1", reason="No."))
        rejects.write(Rejection(row=5, column="", value="", reason="This row has 2 cells."))
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["Row", "Column", "Value", "Reason"],
            ["3", "Email", 'a, "b"\nc', "“a” is no address."],
            ["4", "Note", "x" * 1_000 + "…", "Too long."],
            ["4", "'@Name", "'=1+1", "No."],
            ["5", "", "", "This row has 2 cells."],
        ]


def test_where_nothing_is_refused_no_file_is_left_not_even_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    path.write_text("of an earlier import")
    with rejects_file(path):
        assert path.exists()
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_known_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), rejects_file(tmp_path / "nowhere" / "rejects.csv"):
        pytest.fail("it was entered")
