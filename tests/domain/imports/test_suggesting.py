"""Where the columns of a file seem to belong."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from domain.errors import UnreadableFile
from domain.fields import BUILT_IN_FIELDS, Field, FieldRegistry, FieldType, Settings
from domain.imports.dates import DateOrder
from domain.imports.detection import FileFormat
from domain.imports.options import Match
from domain.imports.suggesting import Suggestion, suggest

UTF8 = FileFormat(encoding="utf-8-sig", delimiter=",")
KNOWN = FieldRegistry(
    [*BUILT_IN_FIELDS, Field(key="level", label="Loyalty Level", type=FieldType.CHOICE, options=("Gold",))]
)


def suggested(directory: Path, *rows: tuple[str, ...], known: FieldRegistry = KNOWN) -> Suggestion:
    path = directory / "file.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return suggest(path, UTF8, Settings(), known)


COLUMNS: list[tuple[str, list[tuple[str, str]], list[str]]] = [
    ("by key", [("First Name", "Ann"), ("LAST NAME", "Archer")], ["first_name", "last_name"]),
    ("by label", [("loyalty  level", "Gold")], ["level"]),
    ("by a common name", [("E-Mail", "ann@x.org"), ("Surname", "y")], ["email", "last_name"]),
    ("by another", [("Mobile", "202-224-3441"), ("DOB", "5/3/90")], ["phone", "birthdate"]),
    ("a day of birth", [("Birthday", "1990-05-03"), ("Name", "Ann")], ["birthdate", "name"]),
    ("as programs write it", [("Birthday", "19900503"), ("Founded", "19900503")], ["birthdate", "founded"]),
    ("another", [("Date of birth", "3 May 1990"), ("Birthday", "3 May")], ["birthdate", "birthday"]),
    ("a common name without content", [("D.O.B.", ""), ("FNAME", "Ann")], ["birthdate", "first_name"]),
    ("a common name of something else", [("Cell", "B 12"), ("Birthday", "3 May")], ["cell", "birthday"]),
    ("its own name whatever is in it", [("Phone", "B 12"), ("Birthdate", "3 May")], ["phone", "birthdate"]),
    ("by content", [("Contact", "ann@x.org"), ("Reach", "202-224-3441")], ["email", "phone"]),
    ("one of a kind", [("Mail", "ann@x.org"), ("Email Address", "b@x.org")], ["email", "email_address"]),
    ("content of two columns", [("Work", "ann@x.org"), ("Home", "b@x.org")], ["work", "home"]),
    ("no telephone", [("Fax", "202-224-3441")], ["fax"]),
    ("its own key first", [("Mail", "ann@x.org"), ("Email", "")], ["mail", "email"]),
    ("a new field", [("Founded", "1990-05-03"), ("", "x")], ["founded", "column_2"]),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "keys"), [case[1:] for case in COLUMNS], ids=[case[0] for case in COLUMNS])
def test_a_column_goes_to_the_field_that_it_is_meant_for(
    tmp_path: Path, cells: list[tuple[str, str]], keys: list[str]
) -> None:
    found = suggested(tmp_path, tuple(header for header, _ in cells), tuple(cell for _, cell in cells))
    assert [column.key for column in found.columns] == keys
    assert [column.known for column in found.columns] == [key in KNOWN for key in keys]


def test_half_of_its_cells_are_enough_for_a_column_of_a_common_name(tmp_path: Path) -> None:
    found = suggested(
        tmp_path, ("E-Mail", "Mobile"), ("ann@x.org", "B 12"), ("none", "C 13"), ("", "202-224-3441")
    )
    assert [column.key for column in found.columns] == ["email", "mobile"]


def test_the_key_of_an_export_is_the_contacts_own_and_no_field(tmp_path: Path) -> None:
    rows = [("Member No", "Key", "Email"), ("1", "a", "ann@x.org"), ("2", "b", "")]
    found = suggested(tmp_path, *rows)
    assert (found.match, found.key_column) == (Match.KEY, "Key")
    assert [(column.key, column.known) for column in found.columns] == [
        ("member_no", False),
        ("key", True),
        ("email", True),
    ]
    # Contacts without keys are told apart by what they have.
    found = suggested(tmp_path, ("Key", "Email"), ("", "ann@x.org"), ("", "bob@x.org"))
    assert (found.match, found.key_column) == (Match.EMAIL, "Email")
    assert found.columns[0].key == "key_2"


MATCHES: list[tuple[str, list[tuple[str, ...]], tuple[Match, str | None]]] = [
    ("an identifier", [("Name", "Member ID"), ("Ann", "7"), ("Ann", "8")], (Match.KEY, "Member ID")),
    ("with gaps", [("id", "Name"), ("7", "Ann"), ("8", "Bob"), ("", "Cleo")], (Match.KEY, "id")),
    ("a number that repeats", [("Class Number", "Email"), *[("1", f"p{n}@x.org") for n in range(5)]], (Match.EMAIL, "Email")),
    ("an address", [("Name", "Mail"), ("Ann", "ann@x.org"), ("Ann", "b@x.org")], (Match.EMAIL, "Mail")),
    ("whatever differs", [("Town", "Name"), ("Bonn", "Ann"), ("Bonn", "Bob")], (Match.KEY, "Name")),
    ("nothing", [("Town", "Name"), ("Bonn", "Ann"), ("Bonn", "Ann")], (Match.KEY, None)),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "match"), [case[1:] for case in MATCHES], ids=[case[0] for case in MATCHES])
def test_rows_are_matched_by_what_tells_them_apart(
    tmp_path: Path, rows: list[tuple[str, ...]], match: tuple[Match, str | None]
) -> None:
    found = suggested(tmp_path, *rows)
    assert (found.match, found.key_column) == match


def test_dates_tell_their_order_or_that_it_must_be_said(tmp_path: Path) -> None:
    found = suggested(
        tmp_path,
        ("Birthdate", "Seen", "Joined", "Name"),
        ("03/05/1990", "25/05/2026", "1990-05-03", "Ann"),
        ("unknown", "26/05/2026", "1990-05-04", "Bob"),
    )
    assert [(column.type, column.dates, column.dates_open) for column in found.columns] == [
        (FieldType.DATE, None, True),
        (FieldType.DATE, DateOrder.DAY_FIRST, False),
        (FieldType.DATE, DateOrder.DAY_FIRST, False),
        (FieldType.TEXT, None, False),
    ]


def test_samples_are_different_and_short(tmp_path: Path) -> None:
    found = suggested(
        tmp_path, ("Text",), *[(cell,) for cell in ("a", "a", " ", "b", "x" * 500, "c", "d", "e")]
    )
    assert found.columns[0].samples == ("a", "b", "x" * 100, "c", "d")


def test_a_header_alone_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="not a single row"):
        suggested(tmp_path, ("A", "B"))
