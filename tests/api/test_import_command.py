"""The command `import`, as somebody types it."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from api.app import Shoal, admin, running
from api.commands.import_ import read_choice
from api.settings import Settings
from domain.accounts import DEFAULT_ACCOUNT
from domain.errors import InvalidMapping
from domain.fields import FieldType
from domain.imports.mapping import FieldChoice
from domain.membership.feed import Size
from domain.rules.text import parse
from domain.rules.tree import Limits
from domain.store.log import EntryKind, Reason

ROOT = Path(__file__).parents[2]
DEADLINE = 120.0

Run = Callable[..., Any]


def members(directory: Path, rows: int = 300) -> Path:
    """A list like one of a parliament, with the gaps that real lists have."""
    rng = random.Random(rows)
    path = directory / "members.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        write = csv.writer(file).writerow
        write(
            (
                "Member ID",
                "First Name",
                "Birthday",
                "Phone",
                "Contact Form",
                "Terms Served",
                "ZIP",
                "Chambers",
            )
        )
        for number in range(rows):
            write(
                (
                    f"M{number:06}",
                    rng.choice(("Ann", "José", "Zoë", "Bob")),
                    f"19{rng.randrange(30, 99)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
                    if number % 7
                    else "",
                    f"202-224-{rng.randrange(10_000):04}" if number % 5 else "",
                    f"https://example.org/{number}" if number % 10 == 0 else "",
                    rng.randrange(1, 20),
                    f"{number:05}",
                    rng.choice(("House", "Senate", "House;Senate")),
                )
            )
    return path


async def run_import(
    cwd: Path, *arguments: str | Path, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **variables}
    with anyio.fail_after(DEADLINE):
        return await anyio.run_process(
            [sys.executable, "-m", "api", "import", *map(str, arguments)],
            cwd=cwd,
            env=environment,
            check=False,
        )


def settings_of(data_dir: Path) -> Settings:
    return Settings(data_dir=data_dir, port=0)


async def segment_of(shoal: Shoal, text: str) -> ObjectId:
    account = shoal.accounts.get(DEFAULT_ACCOUNT)
    segment = await account.segments.create(
        ObjectId(),
        name=text,
        description=None,
        rule=lambda catalogue: parse(text, catalogue.fields, catalogue.settings, Limits()),
    )
    return segment.id


async def size_of(shoal: Shoal, segment: ObjectId) -> Size:
    with anyio.fail_after(DEADLINE):
        return (await shoal.accounts.get(DEFAULT_ACCOUNT).feed.sizes([segment]))[segment]


async def test_an_import_needs_no_server_disturbs_none_and_the_next_one_catches_up(tmp_path: Path) -> None:
    data = {"SHOAL_DATA_DIR": str(tmp_path / "data")}
    path = members(tmp_path)
    first = await run_import(tmp_path, path, "--key-column", "Member ID", **data)
    assert (first.returncode, first.stderr.decode()) == (0, "")
    assert first.stdout.decode().splitlines() == [
        "      300 created",
        "        0 updated",
        "        0 unchanged",
        "        0 rejected",
        "Columns that were taken for fields of other names:",
        "    Birthday  birthdate",
        "5 fields were made:",
        "    member_id     text",
        "    contact_form  text",
        "    terms_served  number",
        "    zip           text",
        "    chambers      tags",
        "Read as utf-8, with commas between columns.",
    ]
    assert not (tmp_path / "members.rejects.csv").exists()
    async with running(settings_of(tmp_path / "data"), admin("a-key-of-the-tests")) as shoal:
        await shoal.hub.until_complete()
        segment = await segment_of(shoal, "contact_form is empty")
        before = await size_of(shoal, segment)
        assert before.size == 270
        # Beside a running server, which it does not disturb, and whose segments follow.
        again = await run_import(tmp_path, path, "--key-column", "Member ID", **data)
        assert again.stdout.decode().splitlines()[:4] == [
            "        0 created",
            "        0 updated",
            "      300 unchanged",
            "        0 rejected",
        ]
        path.write_text("Member ID,Contact Form\nM000003,https://example.org\n")
        beside = await run_import(tmp_path, path, "--key-column", "Member ID", **data)
        assert (beside.returncode, beside.stderr.decode()) == (0, "")
        assert beside.stdout.decode().splitlines()[1] == "        1 updated"
        assert (await size_of(shoal, segment)).size == 269
        assert not shoal.failed.is_set()

    path.write_text(
        "Member ID,Contact Form\nM000001,https://example.org\nM000010,\nM000002,https://example.org\n"
    )
    third = await run_import(tmp_path, path, "--key-column", "Member ID", **data)
    assert third.stdout.decode().splitlines()[1] == "        3 updated"
    async with running(settings_of(tmp_path / "data"), admin("a-key-of-the-tests")) as shoal:
        await shoal.hub.until_complete()
        assert (await size_of(shoal, segment)).size == 268
        watched = shoal.accounts.get(DEFAULT_ACCOUNT).feed.watch(segment, before.position)
        told: list[Any] = []
        with anyio.fail_after(DEADLINE):
            async with aclosing(watched) as bursts:
                while len(told) < 5:
                    told += await anext(bursts)
        assert [(entry.kind, entry.reason) for entry in told[1:]] == [
            (EntryKind.LEFT, Reason.IMPORTED),
            (EntryKind.LEFT, Reason.IMPORTED),
            (EntryKind.JOINED, Reason.IMPORTED),
            (EntryKind.LEFT, Reason.IMPORTED),
        ]


@pytest.fixture
def into(database: AsyncDatabase[dict[str, Any]], mongodb_uri: str, tmp_path: Path) -> Run:
    """Runs the command on a database of the test's own."""

    async def run(content: str | bytes, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        path = tmp_path / "list.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return await run_import(
            tmp_path, path, *arguments, SHOAL_MONGODB_URI=mongodb_uri, SHOAL_DATABASE=database.name
        )

    return run


LIST = (
    'No,Email,Born,Kinds\n1,ann@x.org,1965-01-31,a|b\n2,none,1970-02-30,\n,,,x\n1,ann@x.org,1965-02-28,"c"\n'
)


async def test_what_is_refused_stands_in_a_file(
    into: Run, database: AsyncDatabase[dict[str, Any]], tmp_path: Path
) -> None:
    done = await into(
        LIST,
        "--key-column",
        "No",
        "--field",
        "Born=birthdate:date",
        "--field",
        "No=number:text",
        "--separator",
        "|",
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert done.stdout.decode().splitlines() == [
        "        2 created",
        "        0 updated",
        "        0 unchanged",
        "        1 rejected",
        "        1 passed over, since their key comes again further down",
        "        2 cells left out, which their fields refuse",
        "What was refused, and why, stands in list.rejects.csv",
        "2 fields were made:",
        "    number  text",
        "    kinds   tags",
        "Read as utf-8, with commas between columns.",
    ]
    with (tmp_path / "list.rejects.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    assert [line[:3] for line in lines] == [
        ["Row", "Column", "Value"],
        ["3", "Email", "none"],
        ["3", "Born", "1970-02-30"],
        ["4", "No", ""],
    ]
    assert [document["values"] for document in await database.contacts.find().sort("key").to_list()] == [
        {"number": "1", "email": "ann@x.org", "birthdate": "1965-02-28", "kinds": ["c"]},
        {"number": "2"},
    ]


async def test_strictly_the_row_is_rejected(into: Run, tmp_path: Path) -> None:
    done = await into(LIST, "--key-column", "No", "--strict", "--rejects", "refused.csv")
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[:4] == [
        "        1 created",
        "        0 updated",
        "        0 unchanged",
        "        2 rejected",
    ]
    assert (tmp_path / "refused.csv").exists()


ERRORS: list[tuple[str, bytes, Sequence[str], str]] = [
    (
        "key column",
        b"No,Name\n1,a\n",
        ("--key-column", "Nr"),
        "There is no column “Nr”. Did you mean “No”? The columns are",
    ),
    ("PDF", b"%PDF-1.7\n", ("--key-column", "No"), "This is no CSV file but a PDF document."),
    (
        "choice",
        b"No\n1\n",
        ("--key-column", "No", "--field", "No"),
        "--field No: HEADER=KEY or HEADER=KEY:TYPE is wanted",
    ),
    (
        "rejects",
        b"No\n1\n",
        ("--key-column", "No", "--rejects", "nowhere/x.csv"),
        "nowhere/x.csv: No such file or directory.",
    ),
    (
        "itself",
        b"No\n1\n",
        ("--key-column", "No", "--rejects", "list.csv"),
        "which is the very file to be imported",
    ),
]


@pytest.mark.parametrize(
    ("content", "arguments", "message"), [case[1:] for case in ERRORS], ids=[case[0] for case in ERRORS]
)
async def test_an_error_is_a_message_and_never_a_trace(
    into: Run, database: AsyncDatabase[dict[str, Any]], content: bytes, arguments: Sequence[str], message: str
) -> None:
    done = await into(content, *arguments)
    assert (done.returncode, done.stdout) == (1, b"")
    assert message in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert done.stderr.decode().count("\n") == 1
    assert await database.contacts.count_documents({}) == 0


@pytest.mark.soak
async def test_a_file_that_is_none_and_a_database_that_cannot_be_are_named(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "nothing.csv", "There is no file"), (tmp_path, "is no ordinary file")):
        done = await run_import(tmp_path, path, "--key-column", "No")
        assert done.returncode == 1
        assert message in done.stderr.decode()
    (tmp_path / "list.csv").write_text("No\n1\n")
    uri = "mongodb://shoal:secret@127.0.0.1:port/"
    done = await run_import(tmp_path, "list.csv", "--key-column", "No", SHOAL_MONGODB_URI=uri)
    assert done.returncode == 1
    assert "The database cannot be used: Port" in done.stderr.decode()
    assert "secret" not in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


CHOICES = [
    ("Birthday=birthdate:date", FieldChoice(header="Birthday", key="birthdate", type=FieldType.DATE)),
    ("Birthday=birthdate", FieldChoice(header="Birthday", key="birthdate")),
    ("a=b=c", FieldChoice(header="a=b", key="c")),
    ("Time: from=start : datetime", FieldChoice(header="Time: from", key="start", type=FieldType.DATETIME)),
]


@pytest.mark.parametrize(("text", "choice"), CHOICES)
def test_a_choice_is_read(text: str, choice: FieldChoice) -> None:
    assert read_choice(text) == choice


@pytest.mark.parametrize(
    "text", ["", "Birthday", "=key", "Birthday=", "Birthday=:date", "Birthday=b:day", "Birthday=b:"]
)
def test_a_choice_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidMapping, match="--field"):
        read_choice(text)
