"""A sheet of an Excel workbook as a CSV file."""

from __future__ import annotations

import struct
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from domain.errors import InvalidMapping, LimitExceeded, ShoalError, UnreadableFile
from domain.imports import workbooks
from domain.imports.options import Options
from domain.imports.reading import open_table
from domain.imports.sources import to_table

FORMATS = {date: "yyyy-mm-dd", datetime: "yyyy-mm-dd hh:mm", time: "hh:mm"}


def workbook(directory: Path, sheets: dict[str, list[list[Any]]], *, hidden: str | None = None) -> Path:
    path = directory / "book.xlsx"
    with xlsxwriter.Workbook(path) as book:
        formats = {type_: book.add_format({"num_format": text}) for type_, text in FORMATS.items()}
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                for position, value in enumerate(row):
                    match value:
                        case {"formula": formula, "value": cached}:
                            sheet.write_formula(number, position, formula, None, cached)
                        case date() | time():
                            sheet.write_datetime(number, position, value, formats[type(value)])
                        case str():
                            sheet.write_string(number, position, value)
                        case _:
                            sheet.write(number, position, value)
            if name == hidden:
                sheet.hide()
            else:
                sheet.activate()
                sheet.set_first_sheet()
    return path


async def table(path: Path, directory: Path, **options: Any) -> tuple[tuple[str, ...], list[Any], str | None]:
    source = await to_table(path, Options(key_column="No", **options), directory)
    with open_table(source.path, source.format) as opened:
        return opened.headers, list(opened.rows()), source.format.sheet


CELLS: list[tuple[Any, str]] = [
    ("Zoë", "Zoë"),
    ("01234", "01234"),
    (" two\nlines, and “marks” ", " two\nlines, and “marks” "),
    (1250.0, "1250"),
    (1250.5, "1250.5"),
    (-3, "-3"),
    (123456789012345, "123456789012345"),
    (True, "true"),
    (date(1990, 5, 3), "1990-05-03"),
    (datetime(1990, 5, 3, 10, 30), "1990-05-03 10:30:00"),  # noqa: DTZ001 # a spreadsheet knows no time zone
    (time(10, 30), "10:30:00"),
    ({"formula": "=1+2", "value": 3}, "3"),
    ({"formula": '=CONCATENATE("a","b")', "value": "ab"}, "ab"),
    ({"formula": "=1/0", "value": "#DIV/0!"}, ""),
]


async def test_cells_are_read_as_their_text_would_be_and_of_a_formula_its_value_is_taken(
    tmp_path: Path,
) -> None:
    rows = [["No", "Value"], *([f"K{number}", cell] for number, (cell, _) in enumerate(CELLS))]
    headers, found, _ = await table(workbook(tmp_path, {"List": rows}), tmp_path)
    assert headers == ("No", "Value")
    assert [row.cells[1] for row in found] == [text for _, text in CELLS]
    assert [row.row for row in found] == list(range(2, len(CELLS) + 2))


async def test_rows_keep_the_numbers_that_the_spreadsheet_shows(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"List": [[], [], ["No", "Name"], [], ["1", "Ann"]]})
    _, (row,), _ = await table(path, tmp_path)
    assert row.row == 5


SHEETS: dict[str, list[list[Any]]] = {
    "Notes": [["Read me"]],
    "List": [["No"], ["1"]],
    "More": [["No"], ["2"]],
}


async def test_the_sheet_is_the_first_that_can_be_seen_or_the_one_that_is_said(tmp_path: Path) -> None:
    path = workbook(tmp_path, SHEETS, hidden="Notes")
    assert (await table(path, tmp_path))[2] == "List"
    assert [row.cells for row in (await table(path, tmp_path, sheet="More"))[1]] == [["2"]]
    with pytest.raises(InvalidMapping, match=r"no sheet “Lists”. The sheets are “Notes”, “List”, “More”"):
        await table(path, tmp_path, sheet="Lists")
    plain = tmp_path / "plain.csv"
    plain.write_text("No,Name\n1,Ann\n")
    with pytest.raises(InvalidMapping, match="this is no workbook"):
        await table(plain, tmp_path, sheet="List")


def bomb(directory: Path, *, declared: int | None = None) -> Path:
    """A workbook whose sheet unpacks to 64 MB; `declared`: what the archive says that it does."""
    path = workbook(directory, {"List": [["No"], ["1"]]})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    begin, end = parts["xl/worksheets/sheet1.xml"].split(b"</sheetData>")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            if name != "xl/worksheets/sheet1.xml":
                archive.writestr(name, content)
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            sheet.write(begin + b'<row r="3"><c r="A3" t="inlineStr"><is><t>')
            for _ in range(64):
                sheet.write(b"x" * (1 << 20))
            sheet.write(b"</t></is></c></row></sheetData>" + end)
        size = archive.getinfo("xl/worksheets/sheet1.xml").file_size
    if declared:
        content = path.read_bytes()
        assert content.count(struct.pack("<L", size))
        path.write_bytes(content.replace(struct.pack("<L", size), struct.pack("<L", declared)))
    return path


async def test_a_bomb_is_refused_by_what_it_says_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "MOST_UNPACKED", 64 << 20)
    with pytest.raises(LimitExceeded, match=r"unpacks to 67,.* 67,108,864 is the most"):
        await table(bomb(tmp_path), tmp_path)


async def test_a_bomb_that_lies_of_itself_ends_its_own_process_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "MEMORY", 100 << 20)
    with pytest.raises(ShoalError):
        await table(bomb(tmp_path, declared=5_000), tmp_path)


async def test_a_sheet_of_two_cells_far_apart_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sparse.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "No")
        sheet.write(1_048_575, 16_383, "1")
    with pytest.raises(LimitExceeded, match="cannot be read within 2 GB"):
        await table(path, tmp_path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("cut off", "is broken"), ("no workbook", "a ZIP archive"), ("nonsense inside", "cannot be read")],
)
async def test_what_is_no_whole_workbook_is_refused(tmp_path: Path, kind: str, message: str) -> None:
    path = tmp_path / "book.xlsx"
    if kind == "cut off":
        path = workbook(tmp_path, SHEETS)
        path.write_bytes(path.read_bytes()[:-200])
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("xl/workbook.xml" if kind == "nonsense inside" else "a.txt", "<nonsense")
    with pytest.raises(UnreadableFile, match=message):
        await table(path, tmp_path)


async def test_an_empty_sheet_is_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="empty"):
        await table(workbook(tmp_path, {"List": []}), tmp_path)
