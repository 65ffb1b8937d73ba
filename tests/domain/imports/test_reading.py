"""A CSV file as a table: what counts as a row, and what is refused."""

from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import LimitExceeded, UnreadableFile
from domain.imports.detection import FileFormat
from domain.imports.reading import LONGEST_CELL, Ragged, Record, open_table

UTF8 = FileFormat(encoding="utf-8-sig", delimiter=",")


def table_of(
    directory: Path, content: str | bytes, file_format: FileFormat = UTF8
) -> tuple[tuple[str, ...], list[Record | Ragged]]:
    path = directory / "file.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with open_table(path, file_format) as table:
        return table.headers, list(table.rows())


ROWS: list[tuple[str, str, list[Record | Ragged]]] = [
    ("plain", "a,b\n1,2\n3,4\n", [Record(2, ["1", "2"]), Record(3, ["3", "4"])]),
    ("no line end after the last row", "a,b\n1,2", [Record(2, ["1", "2"])]),
    ("Windows line ends", "a,b\r\n1,2\r\n", [Record(2, ["1", "2"])]),
    ("old Macintosh line ends", "a,b\r1,2\r", [Record(2, ["1", "2"])]),
    ("byte order mark", "\ufeffa,b\n1,2\n", [Record(2, ["1", "2"])]),
    (
        "lines in a cell",
        'a,b\n"one\r\ntwo",2\n3,4\n',
        [Record(2, ["one\r\ntwo", "2"]), Record(3, ["3", "4"])],
    ),
    ("quotation marks", 'a,b\n"say ""hi""","x, y"\n', [Record(2, ['say "hi"', "x, y"])]),
    ("a mark within a cell", 'a,b\n5" pipe,2\n', [Record(2, ['5" pipe', "2"])]),
    ("blank rows", "a,b\n\n1,2\n,\n  , \n3,4\n\n", [Record(3, ["1", "2"]), Record(6, ["3", "4"])]),
    ("blank rows before the header", "\n,\na,b\n1,2\n", [Record(4, ["1", "2"])]),
    ("a line that says the delimiter", "sep=,\na,b\n1,2\n", [Record(3, ["1", "2"])]),
    ("one that says another", "sep=;\r\na,b\n1,2\n", [Record(3, ["1", "2"])]),
    ("too few cells", "a,b\n1\n2,3\n", [Ragged(2, 1), Record(3, ["2", "3"])]),
    ("too many cells", "a,b\n1,2,3\n4,5\n", [Ragged(2, 3), Record(3, ["4", "5"])]),
    ("empty cells at the end", "a,b\n1,2,, ,\n", [Record(2, ["1", "2"])]),
    ("NUL", "a,b\n1,x\0y\n", [Record(2, ["1", "x\0y"])]),
    ("a big cell", f"a,b\n1,{'x' * 200_000}\n", [Record(2, ["1", "x" * 200_000])]),
    ("white space stays", "a,b\n 1 ,\t2\n", [Record(2, [" 1 ", "\t2"])]),
    ("header only", "a,b\n", []),
    ("an apostrophe before a formula", "a,b\n'=1,'1\n", [Record(2, ["=1", "'1"])]),
]


@pytest.mark.parametrize(("content", "rows"), [case[1:] for case in ROWS], ids=[case[0] for case in ROWS])
def test_rows_are_numbered_as_a_spreadsheet_does(
    tmp_path: Path, content: str, rows: list[Record | Ragged]
) -> None:
    assert table_of(tmp_path, content) == (("a", "b"), rows)


def test_headers_are_trimmed_and_may_be_missing(tmp_path: Path) -> None:
    headers, _ = table_of(tmp_path, ' Member  ID ,"First\nName",, \n1,2,3,4\n')
    assert headers == ("Member ID", "First Name", "", "")


BROKEN = [
    ("nothing", "", "empty"),
    ("blank rows only", "\n,,\n", "empty"),
    ("duplicate headers", "Key,Name,Key\n1,2,3\n", "columns 1 and 3 have the same header, “Key”"),
    ("an open quotation mark", 'a,b\n1,"2\n3,4\n', "Row 2 opens a quotation mark that is never closed"),
    (
        "a giant cell",
        f"a,b\n1,{'x' * (LONGEST_CELL + 1)}\n",
        "Row 2 is not readable: it has a cell of more than 1,000,000",
    ),
    ("a giant line", "a,b\n1,2\n" + "x," * 3_000_000, "Row 3 is not readable"),
    ("a giant header", "x" * 5_000_000, "Row 1 is not readable"),
    (
        "a giant row of many lines",
        'a,b\n1,"' + ("x\n" * 400_000 + '","') * 8 + '"\n',
        "Row 2 is not readable",
    ),
    ("a line that says the delimiter only", "sep=;\n", "empty"),
    ("another encoding", b"a,b\n1,2\n3,Jos\xe9\n", "cannot be read as utf-8-sig"),
]


@pytest.mark.parametrize(
    ("content", "message"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_what_leaves_the_rest_in_doubt_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(UnreadableFile, match=message):
        table_of(tmp_path, content)


def test_ten_thousand_columns_are_too_many(tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded, match=r"10,000 columns; 1,000 is the most"):
        table_of(tmp_path, ",".join(f"c{number}" for number in range(10_000)) + "\n")


def test_a_cell_of_a_hundred_megabytes_is_refused_without_being_held(tmp_path: Path) -> None:
    path = tmp_path / "giant.csv"
    with path.open("w") as file:
        file.write("a,b\n1,")
        for _ in range(100):
            file.write("x" * 1_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableFile, match="Row 2"), open_table(path, UTF8) as table:
            list(table.rows())
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


CELL = st.text(st.characters(exclude_categories=["Cs"]), min_size=0, max_size=6).filter(
    lambda cell: not cell.startswith("'")
)


@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=6), st.sampled_from([",", ";", "\t", "|"]))
def test_what_a_spreadsheet_writes_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], delimiter: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / "file.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("a", "b", "c"), *rows])
    with open_table(path, FileFormat(encoding="utf-8-sig", delimiter=delimiter)) as table:
        read = [row.cells for row in table.rows() if isinstance(row, Record)]
    assert read == [list(row) for row in rows if any(map(str.strip, row))]
