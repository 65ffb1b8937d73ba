"""A file into contacts, on a real database."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from domain.accounts import Account
from domain.errors import InvalidMapping, LimitExceeded, NameTaken, UnreadableFile, VersionConflict
from domain.fields import Field, FieldType
from domain.imports import batching
from domain.imports.batching import Batch
from domain.imports.mapping import FieldChoice
from domain.imports.options import Options
from domain.imports.planning import Plans
from domain.imports.rejects import Rejection
from domain.imports.running import Progress, Report
from domain.imports.steps import Counts
from domain.imports.writing import Writer
from domain.membership.messages import Progress as Told
from domain.store.log import Reason
from tests.domain.conftest import World


class Imported:
    """What an import told."""

    def __init__(self) -> None:
        self.report = Report()
        self.rejections: list[Rejection] = []
        self.progress: list[Progress] = []

    @property
    def counts(self) -> tuple[int, int, int, int]:
        report = self.report
        return report.counts.created, report.counts.updated, report.counts.unchanged, report.counts.rejected


@pytest.fixture
def account(world: World) -> Account:
    return world.account


async def imported(account: Account, path: Path, **options: Any) -> Imported:
    told = Imported()
    importer = account.imports.importer(reject=told.rejections.append, progress=told.progress.append)
    await importer.run(path, Options(**{"key_column": "No", **options}), told.report)
    assert told.report.counts.rows == sum(told.counts) + told.report.counts.superseded
    return told


def sheet(directory: Path, *rows: Sequence[str], name: str = "sheet.csv") -> Path:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path = directory / name
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    return path


async def stored(account: Account, key: str) -> dict[str, Any]:
    contact = await account.contacts.get_by_key(key)
    assert contact is not None
    return dict(contact.document)


async def snapshot(database: AsyncDatabase[dict[str, Any]]) -> list[dict[str, Any]]:
    return await database.contacts.find().sort("_id").to_list()


async def test_columns_become_fields_and_rows_become_contacts(account: Account, tmp_path: Path) -> None:
    path = sheet(
        tmp_path,
        ("No", "First Name", "Born", "Seen", "Mail", "Tel.", "Terms Served", "Active", "Code", "Chambers", "Nothing"),
        ("7", "Ann", "1965-01-31", "2026-05-03 10:00", "Ann@X.org", "202-224-3441", "1,250.50", "yes", "012", "House;Senate", ""),
        ("8", "Bob", "", "", "bob@x.org", "", "3", "n", "7", "House", ""),
    )  # fmt: skip
    told = await imported(account, path)
    assert told.counts == (2, 0, 0, 0)
    assert {field.key: field.type.value for field in told.report.made} == {
        "no": "number",
        "born": "date",
        "seen": "datetime",
        "mail": "email",
        "tel": "phone",
        "terms_served": "number",
        "active": "boolean",
        "code": "text",
        "chambers": "tags",
        "nothing": "text",
    }
    document = await stored(account, "7")
    assert document["normal"] == {
        "no": 7,
        "first_name": "ann",
        "born": "1965-01-31",
        "seen": datetime(2026, 5, 3, 10, tzinfo=UTC),
        "mail": "ann@x.org",
        "tel": "+12022243441",
        "terms_served": 1250.5,
        "active": True,
        "code": "012",
        "chambers": ["house", "senate"],
    }
    assert document["values"]["mail"] == "Ann@X.org"
    assert document["values"]["chambers"] == ["House", "Senate"]
    assert document["anniversaries"] == {"born": "01-31"}
    assert document["written"]["reason"] == Reason.IMPORTED
    assert (await stored(account, "8"))["normal"] == {
        "no": 8,
        "first_name": "bob",
        "mail": "bob@x.org",
        "terms_served": 3,
        "active": False,
        "code": "7",
        "chambers": ["house"],
    }


async def test_the_same_file_again_writes_nothing(
    account: Account, database: AsyncDatabase[dict[str, Any]], tmp_path: Path
) -> None:
    rows = [
        *[
            (str(n), f"n{n}", f"{n * 10}", f"{n}.5", "2026-05-03T10:00:00.123Z", "A; b;a", "yes")
            for n in range(40)
        ],
        *[(str(n), f"again {n}", f"{n}", f"{n}", "", "", "") for n in range(20)],
    ]
    path = sheet(tmp_path, ("No", "Name", "Big", "Half", "At", "Tags", "Yes"), *rows)
    first = await imported(account, path)
    assert (first.counts, first.report.counts.superseded) == ((40, 0, 0, 0), 20)
    before = await snapshot(database)
    again = await imported(account, path)
    assert (again.counts, again.report.counts.superseded) == ((0, 0, 40, 0), 20)
    assert again.report.made == ()
    assert await snapshot(database) == before


async def test_a_number_beyond_32_bits_is_unchanged_as_well(account: Account, tmp_path: Path) -> None:
    path = sheet(tmp_path, ("No", "Big"), ("7", "9007199254740993"))
    await imported(account, path)
    assert (await imported(account, path)).counts == (0, 0, 1, 0)


async def test_an_empty_cell_removes_and_a_column_that_is_not_there_leaves_alone(
    account: Account, tmp_path: Path
) -> None:
    await imported(
        account, sheet(tmp_path, ("No", "Name", "Born", "Role"), ("7", "Ann", "1965-01-31", "Staff"))
    )
    told = await imported(
        account, sheet(tmp_path, ("No", "Name", "Born"), ("7", "Ann", " "), ("8", "Bob", ""))
    )
    assert told.counts == (1, 1, 0, 0)
    document = await stored(account, "7")
    assert document["values"] == {"no": 7, "name": "Ann", "role": "Staff"}
    assert document["anniversaries"] == {}


@pytest.mark.parametrize("batch", [1, 2, 500])
async def test_a_later_row_of_the_same_key_wins_wherever_the_batches_end(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(batching, "BATCH", batch)
    path = sheet(
        tmp_path,
        ("No", "Name", "Town"),
        ("7", "A", "x"),
        ("8", "B", ""),
        (" 7 ", "C", ""),
        ("9", "D", ""),
        ("7", "E", ""),
    )
    told = await imported(account, path)
    assert (told.counts, told.report.counts.superseded) == ((3, 0, 0, 0), 2)
    assert (await stored(account, "7"))["values"] == {"no": 7, "name": "E"}


BAD = (
    ("No", "Email", "Score", "Name"),
    ("1", "ann@x.org", "5", "Ann"),
    ("2", "none", "x", "Bob"),
    ("", "eve@x.org", "7", "Eve"),
    ("3", "carl@x.org", "8", "Car\0l"),
    ("4", "dan@x.org"),
    ("x" * 501, "", "", ""),
)


async def test_a_refused_cell_is_left_out_and_its_row_goes_in(account: Account, tmp_path: Path) -> None:
    told = await imported(account, sheet(tmp_path, *BAD))
    assert (told.counts, told.report.counts.cells_left_out) == ((3, 0, 0, 3), 3)
    assert [(refused.row, refused.column, refused.value[:9]) for refused in told.rejections] == [
        (3, "Email", "none"),
        (3, "Score", "x"),
        (4, "No", ""),
        (5, "Name", "Car\0l"),
        (6, "", ""),
        (7, "No", "xxxxxxxxx"),
    ]
    assert [refused.reason[:40] for refused in told.rejections] == [
        "“none” is not an email address. An email",
        "“x” is not a number; one such as 1250.5 ",
        "This row has no key.",
        "A text cannot contain the NUL character.",
        "This row has 2 cells and the header 4: w",
        "A key of 1 to 500 characters is wanted.",
    ]
    assert (await stored(account, "2"))["values"] == {"no": "2", "name": "Bob"}


async def test_a_refused_cell_leaves_the_value_that_was_there(account: Account, tmp_path: Path) -> None:
    await imported(account, sheet(tmp_path, ("No", "Email"), ("7", "ann@x.org")))
    told = await imported(account, sheet(tmp_path, ("No", "Email"), ("7", "none")))
    assert (told.counts, told.report.counts.cells_left_out) == ((0, 0, 1, 0), 1)
    assert (await stored(account, "7"))["values"]["email"] == "ann@x.org"


async def test_strictly_a_refused_cell_rejects_its_row(account: Account, tmp_path: Path) -> None:
    told = await imported(account, sheet(tmp_path, *BAD), strict=True)
    assert (told.counts, told.report.counts.cells_left_out) == ((1, 0, 0, 5), 0)
    assert [(refused.row, refused.column) for refused in told.rejections] == [
        *((3, "Email"), (3, "Score"), (4, "No"), (5, "Name"), (6, ""), (7, "No"))
    ]
    assert await account.contacts.get_by_key("2") is None


async def test_strictly_a_rejected_last_row_leaves_its_contact_as_it_was(
    account: Account, tmp_path: Path
) -> None:
    await imported(account, sheet(tmp_path, ("No", "Email"), ("7", "first@x.org")))
    path = sheet(tmp_path, ("No", "Email"), ("7", "second@x.org"), ("7", "none"))
    told = await imported(account, path, strict=True)
    assert (told.counts, told.report.counts.superseded) == ((0, 0, 0, 1), 1)
    assert (await stored(account, "7"))["values"]["email"] == "first@x.org"


async def test_a_column_goes_where_it_is_said(account: Account, tmp_path: Path) -> None:
    path = sheet(tmp_path, ("No", "Birthday", "Level"), ("7", "1965-01-31", "01"))
    choices = (
        FieldChoice(header="Birthday", key="birthdate", type=FieldType.DATE),
        FieldChoice(header="Level", key="level", type=FieldType.NUMBER),
    )
    told = await imported(account, path, choices=choices)
    assert [field.key for field in told.report.made] == ["no", "level"]
    assert (await stored(account, "7"))["normal"] == {"no": 7, "birthdate": "1965-01-31", "level": 1}


async def test_another_separator_and_dialect(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "west.csv"
    path.write_bytes("No;Name;Kinds\n7;José Núñez;a|b\n8;Zoë Müller;c\n".encode("cp1252"))
    told = await imported(account, path, separator="|")
    assert told.report.file_format is not None
    assert (told.report.file_format.encoding, told.report.file_format.delimiter) == ("cp1252", ";")
    document = await stored(account, "7")
    assert document["values"] == {"no": 7, "name": "José Núñez", "kinds": ["a", "b"]}


REFUSED: list[tuple[str, bytes, type[Exception], str]] = [
    ("no CSV", b"%PDF-1.7\n", UnreadableFile, "PDF"),
    ("header only", b"No,Name\n\n", UnreadableFile, "a header and not a single row"),
    ("no key column", b"Number,Name\n7,Ann\n", InvalidMapping, "no column “No”.*“Number”, “Name”"),
    ("duplicate headers", b"No,Name,Name\n7,a,b\n", UnreadableFile, "the same header, “Name”"),
    (
        "an open quotation mark far down",
        b"No,Name\n" + b"7,Ann\n" * 3_000 + b'8,"Bob\n',
        UnreadableFile,
        "Row 3,002",
    ),
    (
        "too many columns",
        b"No," + b",".join(b"c%d" % n for n in range(1_100)) + b"\n7\n",
        LimitExceeded,
        "1,101 columns",
    ),
    (
        "too many fields",
        b"No," + b",".join(b"c%d" % n for n in range(998)) + b"\n" + b"7" + b",x" * 998,
        LimitExceeded,
        "999 new",
    ),
]


@pytest.mark.parametrize(
    ("content", "error", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
async def test_a_file_that_is_refused_leaves_nothing_behind(
    account: Account, tmp_path: Path, content: bytes, error: type[Exception], message: str
) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes(content)
    before = (await account.definitions.current()).revision
    with pytest.raises(error, match=message):
        await imported(account, path)
    assert (await account.definitions.current()).revision == before
    assert await account.contacts.count({}) == 0


async def test_a_field_made_by_somebody_else_meanwhile_with_another_type_stops_the_import(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = account.fields.create

    async def overtaken(**wanted: Any) -> Field:
        await create(**{**wanted, "type": FieldType.TAGS})
        return await create(**wanted)

    monkeypatch.setattr(account.fields, "create", overtaken)
    with pytest.raises(NameTaken, match="already, of type tags"):
        await imported(account, sheet(tmp_path, ("No", "Level"), ("7", "x")))
    assert await account.contacts.count({}) == 0


@pytest.mark.parametrize("becomes", [FieldType.TAGS, None])
async def test_a_field_that_is_deleted_or_gets_another_type_meanwhile_stops_the_import(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, becomes: FieldType | None
) -> None:
    path = sheet(tmp_path, ("No", "Level"), *[(str(number), "x") for number in range(3 * batching.BATCH)])
    carry_out = Writer.carry_out

    async def overtaken(self: Writer, batch: Batch, counts: Counts, planned: Plans | None = None) -> Counts:
        carried = await carry_out(self, batch, counts, planned)
        if becomes is None:
            await account.fields.delete("level")
        else:
            await account.fields.update("level", type=becomes)
        return carried

    monkeypatch.setattr(Writer, "carry_out", overtaken)
    with pytest.raises(VersionConflict, match="“level” was deleted, or got another type, while"):
        await imported(account, path)
    assert await account.contacts.count({}) == batching.BATCH


async def test_progress_rises_to_the_end_of_each_pass(account: Account, tmp_path: Path) -> None:
    path = sheet(tmp_path, ("No", "Name"), *[(str(number), "Ann") for number in range(1_200)])
    told = await imported(account, path)
    size = path.stat().st_size
    for writing in (False, True):
        positions = [progress.position for progress in told.progress if progress.writing is writing]
        assert positions == sorted(positions)
        assert positions[-1] == size
    assert [progress.writing for progress in told.progress] == sorted(
        progress.writing for progress in told.progress
    )


async def test_watchers_are_told_once_and_with_the_reason(world: World, tmp_path: Path) -> None:
    segment = await world.segment("High", "score > 5")
    rows = [("7", "3"), ("8", "9"), ("9", "9"), ("8", "2"), ("7", "6")]
    path = sheet(tmp_path, ("No", "Score"), *rows)
    async with world.engine():
        await imported(world.account, path)
        assert await world.size(segment) == 2
        told = len(entries(world.told))
        await imported(world.account, path)
        assert await world.size(segment) == 2
    joined = [entry for entry in entries(world.told) if entry.contact is not None]
    assert [(entry.kind.value, entry.reason) for entry in joined] == [("joined", Reason.IMPORTED)] * 2
    assert len(entries(world.told)) == told


def entries(told: Sequence[Told]) -> list[Any]:
    return [entry for progress in told for entry in progress.entries]
