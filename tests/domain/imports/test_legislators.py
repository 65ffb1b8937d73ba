"""A real contact list with the gaps that real lists have, where it is at hand: 537 members of the United States Congress.

`SHOAL_TEST_LEGISLATORS` names the file; without it, it is looked for beside the repository.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
import xlsxwriter

from domain.accounts import Account
from domain.fields import FieldType
from domain.imports.options import Options
from domain.imports.rejects import Rejection
from domain.imports.running import Report
from domain.rules.query import to_query
from domain.rules.text import parse
from domain.rules.tree import Limits
from tests.domain.conftest import World

LIST = Path(
    os.environ.get("SHOAL_TEST_LEGISLATORS")
    or Path(__file__).parents[3].parent / "shared" / "data" / "legislators.csv"
)
pytestmark = pytest.mark.skipif(not LIST.exists(), reason=f"{LIST.name} is not here")

SIZES = {
    'role is "Senator"': 100,
    "contact_form is empty": 448,
    "contact_form is not empty": 89,
    "birthday on or after 1965-01-01": 287,
    'twitter is empty and role is "Representative"': 21,
    'chambers has all of ("House", "Senate")': 44,
    'party is "Independent"': 3,
}


async def imported(account: Account, path: Path) -> Report:
    report = Report()
    refused: list[Rejection] = []
    importer = account.imports.importer(reject=refused.append, progress=lambda _: None)
    await importer.run(path, Options(key_column="Member ID"), report)
    assert refused == []
    return report


@pytest.mark.parametrize("kind", ["as it is", "semicolons and Latin-1", "an Excel workbook"])
async def test_the_list_comes_in_whole_and_its_segments_have_the_sizes_counted_by_hand(
    world: World, tmp_path: Path, kind: str
) -> None:
    path = {"as it is": lambda _: LIST, "semicolons and Latin-1": western, "an Excel workbook": workbook}[
        kind
    ](tmp_path)
    report = await imported(world.account, path)
    assert (report.counts.created, report.counts.rows) == (537, 537)
    catalogue = await world.account.definitions.current()
    types = {key: catalogue.fields[key].type for key in ("birthday", "terms_served", "chambers", "phone")}
    assert types == {
        "birthday": FieldType.DATE,
        "terms_served": FieldType.NUMBER,
        "chambers": FieldType.TAGS,
        "phone": FieldType.PHONE,
    }
    sizes = {}
    for text in SIZES:
        rule = parse(text, catalogue.fields, catalogue.settings, Limits())
        sizes[text] = await world.account.contacts.count(to_query(rule))
    assert sizes == SIZES

    again = await imported(world.account, path)
    assert (again.counts.unchanged, again.counts.rows, again.made) == (537, 537, ())


def western(directory: Path) -> Path:
    path = directory / "western.csv"
    with (
        LIST.open(encoding="utf-8", newline="") as source,
        path.open("w", encoding="latin-1", newline="") as file,
    ):
        csv.writer(file, delimiter=";").writerows(csv.reader(source))
    return path


def workbook(directory: Path) -> Path:
    path = directory / "book.xlsx"
    with LIST.open(encoding="utf-8", newline="") as source, xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("Members")
        for number, row in enumerate(csv.reader(source)):
            sheet.write_row(number, 0, row)
    return path
