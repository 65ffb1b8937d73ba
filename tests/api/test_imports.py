"""Imports through the API: uploads, the two ways of sending a file, what is told, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import os
import struct
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
import xlsxwriter

from api.server import serving
from api.settings import Settings
from tests.api.client import PATIENCE_SECONDS, Client
from tests.api.conftest import CALLERS, key_of

LIST = Path(
    os.environ.get("SHOAL_TEST_LEGISLATORS")
    or Path(__file__).parents[2].parent / "shared" / "data" / "legislators.csv"
)
REPORT = "report { rows created updated unchanged skipped superseded rejected cellsLeftOut }"
IMPORT = f"""
import {{ id name bytes state percent totalRows match keyColumn error {{ code message }} undone {{ reverted kept }} rejectsUrl
  format {{ encoding delimiter sheet sheets }} {REPORT}
  columns {{ name samples key label type known dateOrder dateOrderOpen }}
  forecast {{ {REPORT} newFields {{ key label type }} audiences {{ audience {{ id }} joining leaving }} }}
}}
"""
PROGRESS = (
    f"subscription ($id: ID!) {{ importProgress(id: $id) {{ {IMPORT.strip().removeprefix('import {')} }}"
)
PEOPLE = "No,Name,Email,Born\n1,Ann,ann@x.org,1990-05-03\n2,Bob,,\n3,Cleo,none,1984-11-30\n"


async def upload(client: Client, content: bytes | AsyncIterator[bytes], name: str = "people.csv") -> Any:
    url = client.url.replace("/graphql", "/imports")
    return await client.http.post(url, params={"name": name}, content=content)


async def created(client: Client, content: bytes | str, name: str = "people.csv", **options: Any) -> Any:
    content = content.encode() if isinstance(content, str) else content
    sent = (await upload(client, content, name)).json()
    return (await client.do("createImport", {"upload": sent["upload"]["id"], **options}, IMPORT))["import"]


async def started(client: Client, identifier: str, **options: Any) -> None:
    payload = await client.attempt("startImport", {"id": identifier, **options}, "import { state }")
    assert payload["errors"] == []


async def ended(client: Client, identifier: str) -> Any:
    """The import when nobody is at work on it any more, as the subscription tells it."""
    async with client.socket() as socket:
        await socket.subscribe(PROGRESS, id=identifier)
        found = None
        with anyio.fail_after(4 * PATIENCE_SECONDS):
            while (message := await socket.receive())["type"] == "next":
                assert "errors" not in message["payload"], message
                (found,) = message["payload"]["data"].values()
        assert message["type"] == "complete"
        assert found is not None
        return found


async def imported(client: Client, content: bytes | str, name: str = "people.csv", **options: Any) -> Any:
    made = await created(client, content, name)
    await started(client, made["id"], **options)
    found = await ended(client, made["id"])
    assert found["state"] == "DONE", found["error"]
    return found


def report(found: Any) -> dict[str, int]:
    return {name: count for name, count in found["report"].items() if count and name != "rows"}


async def test_a_file_is_sent_looked_at_and_brought_in(client: Client) -> None:
    made = await created(client, PEOPLE)
    assert {key: made[key] for key in ("name", "bytes", "state", "match", "keyColumn", "report")} == {
        "name": "people.csv",
        "bytes": len(PEOPLE),
        "state": "READY",
        "match": "KEY",
        "keyColumn": "No",
        "report": None,
    }
    assert made["format"] == {"encoding": "utf-8", "delimiter": ",", "sheet": None, "sheets": []}
    assert [(column["key"], column["type"], column["known"]) for column in made["columns"]] == [
        ("no", "NUMBER", False),
        ("name", "TEXT", False),
        ("email", "EMAIL", True),
        ("born", "DATE", False),
    ]
    assert made["columns"][2]["samples"] == ["ann@x.org", "none"]
    await started(client, made["id"])
    found = await ended(client, made["id"])
    assert (found["state"], found["percent"], found["totalRows"]) == ("DONE", 100, 3)
    assert report(found) == {"created": 3, "cellsLeftOut": 1}
    rejects = await client.http.get(
        client.url.replace("/graphql", found["rejectsUrl"]), headers={"authorization": ""}
    )
    assert rejects.headers["content-disposition"].startswith('attachment; filename="people.rejects.csv"')
    rows = list(csv.reader(io.StringIO(rejects.content.decode("utf-8-sig"))))
    assert rows[0] == ["Row", "Column", "Value", "Reason"]
    assert rows[1][:3] == ["4", "Email", "none"]
    assert "not an email address" in rows[1][3]
    listed = await client.data("{ imports { totalCount nodes { id state } } }")
    assert listed == {"totalCount": 1, "nodes": [{"id": made["id"], "state": "DONE"}]}
    again = await client.data(
        f"query ($id: ID!) {{ node(id: $id) {{ ... on Import {{ {REPORT} }} }} }}", id=made["id"]
    )
    assert again["report"] == found["report"]


async def test_a_file_comes_in_one_request_by_the_convention_for_forms(client: Client) -> None:
    query = f"mutation ($input: CreateImportInput!) {{ createImport(input: $input) {{ errors {{ code message }} {IMPORT} }} }}"
    operations = {"query": query, "variables": {"input": {"file": None, "clientMutationId": "one"}}}
    form = {"operations": json.dumps(operations), "map": json.dumps({"0": ["variables.input.file"]})}
    big = PEOPLE + "".join(f"{number},Ann,,\n" for number in range(4, 150_000))
    answers = [
        (await client.http.post(client.url, data=form, files={"0": ("people.csv", big.encode())})).json()
        for _ in range(2)
    ]
    made, again = (answer["data"]["createImport"]["import"] for answer in answers)
    assert (made["name"], made["bytes"], made["id"]) == ("people.csv", len(big), again["id"])
    for wrong in (
        {"map": "{}"},
        {"map": "[]"},
        {"map": '{"0": ["variables.nothing.at.all"]}'},
        {"operations": "{"},
    ):
        response = await client.http.post(client.url, data={**form, **wrong}, files={"0": ("a.csv", b"a")})
        answer = response.json()
        assert response.status_code == 400 or answer["data"]["createImport"]["errors"], (wrong, answer)
    broken = await client.http.post(
        client.url, content=b"nonsense", headers={"content-type": "multipart/form-data"}
    )
    assert broken.status_code == 400


async def test_a_trial_tells_how_each_segment_would_change(client: Client) -> None:
    await client.upsert({"1": {"email": "old@x.org"}, "2": {}})
    without = await client.segment("No email", "email is empty")
    made = await created(client, PEOPLE)
    await started(client, made["id"], dryRun=True)
    found = await ended(client, made["id"])
    assert (found["state"], found["report"]) == ("READY", None)
    assert report(found["forecast"]) == {"created": 1, "updated": 2, "cellsLeftOut": 1}
    assert found["forecast"]["audiences"] == [{"audience": {"id": without}, "joining": 1, "leaving": 0}]
    assert [each["key"] for each in found["forecast"]["newFields"]] == ["no", "name", "born"]
    assert await client.data("{ contacts { totalCount } }") == {"totalCount": 2}
    before = await client.size(without)
    await started(client, made["id"])
    assert report(await ended(client, made["id"])) == {"created": 1, "updated": 2, "cellsLeftOut": 1}
    assert await client.size(without) == before + 1


async def test_an_import_is_taken_back(client: Client) -> None:
    found = await imported(client, PEOPLE)
    query = (
        "mutation ($input: ImportInput!) { undoImport(input: $input) { errors { code } import { state } } }"
    )
    assert (await client.data(query, input={"id": found["id"]}))["errors"] == []
    undone = await ended(client, found["id"])
    assert (undone["state"], undone["undone"]) == ("UNDONE", {"reverted": 3, "kept": 0})
    assert await client.data("{ contacts { totalCount } }") == {"totalCount": 0}
    assert (await client.data(query, input={"id": found["id"]}))["errors"][0]["code"] == "VERSION_CONFLICT"


def workbook(rows: list[list[Any]]) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        sheet = book.add_worksheet("List")
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    return file.getvalue()


def formula() -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        sheet = book.add_worksheet("List")
        sheet.write_row(0, 0, ["No", "Sum"])
        sheet.write_row(1, 0, ["1"])
        sheet.write_formula(1, 1, "=1+2", None, 3)
    return file.getvalue()


def bomb() -> bytes:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/workbook.xml", "w") as part,
    ):
        part.write(bytes(1 << 20))
    # What the archive says of it is all that is looked at before anything is unpacked.
    return file.getvalue().replace(struct.pack("<L", 1 << 20), struct.pack("<L", (1 << 32) - 2))


def wide() -> bytes:
    return ",".join(f"c{number}" for number in range(10_000)).encode()


async def giant() -> AsyncIterator[bytes]:
    yield b"No,Name\n1,"
    for _ in range(100):
        yield b"x" * 1_000_000


BAD: list[tuple[str, Callable[[], Any], str, str]] = [
    ("empty", bytes, "UNREADABLE_FILE", "empty"),
    ("header only", lambda: b"No,Name\n", "UNREADABLE_FILE", "not a single row"),
    ("duplicate headers", lambda: b"No,Name,No\n1,2,3\n", "UNREADABLE_FILE", "the same header"),
    ("10,000 columns", wide, "LIMIT_EXCEEDED", "10,000 columns"),
    ("a bomb", bomb, "LIMIT_EXCEEDED", "unpacks to"),
    ("a PDF", lambda: b"%PDF-1.7\n1 0 obj", "UNREADABLE_FILE", "a PDF document"),
    ("a giant cell", giant, "UNREADABLE_FILE", "more than 1,000,000 characters"),
    ("zeros", lambda: bytes(5_000), "UNREADABLE_FILE", "not those of a text"),
    ("an empty workbook", lambda: workbook([[]]), "UNREADABLE_FILE", "empty"),
    ("a cut workbook", lambda: workbook([["No"], ["1"]])[:-100], "UNREADABLE_FILE", "broken"),
]


@pytest.mark.parametrize(
    ("content", "code", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
async def test_what_is_no_list_is_refused_with_a_reason(
    client: Client, content: Callable[[], Any], code: str, message: str
) -> None:
    sent = (await upload(client, content(), "list.xlsx")).json()["upload"]
    (error,) = (await client.attempt("createImport", {"upload": sent["id"]}))["errors"]
    assert error["code"] == code
    assert message in error["message"]


async def test_single_rows_that_are_wrong_are_told_of_and_the_others_go_in(client: Client) -> None:
    content = "No,Name,Email\n1,Ann\n2,N\0UL,\n3,Bob,bob@x.org,more\n,Nobody,\n4,Dora,\n4,Dora Again,\n"
    found = await imported(client, content)
    assert report(found) == {"created": 2, "superseded": 1, "rejected": 3, "cellsLeftOut": 1}
    rejects = await client.http.get(client.url.replace("/graphql", found["rejectsUrl"]))
    rows = list(csv.reader(io.StringIO(rejects.content.decode("utf-8-sig").replace("\0", "?"))))
    assert [(row[0], row[3][:30]) for row in rows[1:]] == [
        ("2", "This row has 2 cells and the h"),
        ("3", "A text cannot contain the NUL "),
        ("4", "This row has 4 cells and the h"),
        ("5", "This row has no key."),
    ]


async def test_of_a_formula_its_value_is_taken(client: Client) -> None:
    await imported(client, formula(), "list.xlsx")
    found = await client.data('{ contact(key: "1") { attribute(key: "sum") { value } } }')
    assert found["attribute"] == {"value": 3}


async def test_what_may_not_be_sent_is_refused_before_it_is_kept(settings: Settings) -> None:
    async with (
        serving(replace(settings, upload_megabytes=1), CALLERS) as here,
        Client(here.url, key_of("default")) as client,
    ):

        async def too_much() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"x" * 100_000

        for content in (b"x" * 2_000_000, too_much()):
            response = await upload(client, content)
            assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (
                413,
                "LIMIT_EXCEEDED",
            )
        url = here.url.replace("/graphql", "/imports")
        assert (
            await client.http.post(url, content=b"a", headers={"authorization": "Bearer wrong"})
        ).status_code == 401
        assert (await client.http.get(url)).status_code == 405
        query = "mutation ($file: Upload!) { createImport(input: {file: $file}) { errors { code } } }"
        form = {
            "operations": json.dumps({"query": query, "variables": {"file": None}}),
            "map": json.dumps({"0": ["variables.file"]}),
        }
        answer = (await client.http.post(here.url, data=form, files={"0": ("a.csv", b"%PDF-1.7")})).json()
        assert answer == {"data": {"createImport": {"errors": [{"code": "UNREADABLE_FILE"}]}}}
        assert await here.shoal.store.uploads("default").count({}) == 0


async def test_nothing_of_another_account_can_be_had(client: Client, other_client: Client) -> None:
    sent = (await upload(client, PEOPLE.encode())).json()["upload"]
    assert (
        await other_client.code(
            "mutation ($input: CreateImportInput!) { createImport(input: $input) { errors { code } } }",
            input={"upload": sent["id"]},
        )
        == "NOT_FOUND"
    )
    made = await created(client, PEOPLE)
    payload = await other_client.attempt("startImport", {"id": made["id"]})
    assert payload["errors"][0]["code"] == "NOT_FOUND"
    assert await other_client.data("query ($id: ID!) { import(id: $id) { id } }", id=made["id"]) is None
    async with other_client.socket() as socket:
        await socket.subscribe(PROGRESS, id=made["id"])
        message = await socket.receive()
        assert message["payload"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_a_link_that_was_changed_leads_nowhere(client: Client) -> None:
    found = await imported(client, PEOPLE)
    path = found["rejectsUrl"]
    for wrong in (
        path[:-2],
        path.replace(".", "x."),
        path.rpartition(".")[0],
        "/downloads/nonsense",
        "/downloads/é.é",
    ):
        response = await client.http.get(client.url.replace("/graphql", wrong))
        assert response.status_code == 404, wrong
        assert response.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"


def as_workbook(content: bytes) -> bytes:
    return workbook(list(csv.reader(io.StringIO(content.decode()))))


def as_western(content: bytes) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=";").writerows(csv.reader(io.StringIO(content.decode())))
    return text.getvalue().encode("latin-1")


SIZES = {
    'role is "Senator"': 100,
    "contact_form is empty": 448,
    "birthdate on or after 1965-01-01": 287,
    'twitter is empty and role is "Representative"': 21,
    'chambers has all of ("House", "Senate")': 44,
}


@pytest.mark.skipif(not LIST.exists(), reason=f"{LIST.name} is not here")
@pytest.mark.parametrize(
    "kind", [bytes, as_western, as_workbook], ids=["as it is", "semicolons and Latin-1", "a workbook"]
)
async def test_a_real_list_gives_the_same_in_every_form_and_again_moves_nobody(
    client: Client, kind: Callable[[bytes], bytes]
) -> None:
    content = kind(await anyio.Path(LIST).read_bytes())
    found = await imported(client, content, "legislators")
    assert report(found) == {"created": 537}
    sizes = {}
    segments = []
    for number, rule in enumerate(SIZES):
        segments.append(await client.segment(f"S{number}", rule))
        sizes[rule] = await client.size(segments[-1])
    assert sizes == SIZES
    assert report(await imported(client, content, "legislators")) == {"unchanged": 537}
    for segment in segments:
        changes = await client.data(
            "query ($id: ID!) { segment(id: $id) { changes { totalCount } } }", id=segment
        )
        assert changes == {"changes": {"totalCount": 0}}


async def test_watchers_are_told_of_each_that_joined_and_why(client: Client) -> None:
    await client.field("Name")
    segment = await client.segment("All", "name is not empty")
    content = "No,Name\n" + "".join(f"{number},Ann\n" for number in range(500))
    async with client.watching(segment) as watcher:
        await watcher.event()
        await imported(client, content)
        events = await watcher.events(500)
    assert {event["reason"] for event in events} == {"IMPORTED"}
    assert [event["size"] for event in events] == list(range(1, 501))
