"""Imports of an account: looked at, tried, carried out, cancelled, and taken back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from bson import ObjectId

from domain.accounts import Account
from domain.errors import InvalidMapping, LimitExceeded, NotFound, UnreadableFile, VersionConflict
from domain.imports.dates import DateOrder
from domain.imports.imports import KIND
from domain.imports.mapping import FieldChoice
from domain.imports.options import Match, Mode
from domain.imports.wanted import Wanted
from domain.store.client import Document
from tests.domain.conftest import DEADLINE, World

PEOPLE = "No,Name,E-mail,Score,Kinds\n1,Ann,ann@x.org,3,a;b\n2,Bob,,4,\n3,Cleo,cleo@x.org,,c\n"


@pytest.fixture
def account(world: World) -> Account:
    return world.account


async def parts(content: bytes, size: int = 1 << 16) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def looked_at(account: Account, content: str | bytes, **options: Any) -> ObjectId:
    content = content.encode() if isinstance(content, str) else content
    upload = await account.uploads.take(parts(content), name="people.csv", most=1 << 30)
    identifier = ObjectId()
    await account.imports.create(identifier, upload.id, **options)
    return identifier


async def ended(account: Account, identifier: ObjectId) -> Document:
    async with asyncio.timeout(DEADLINE):
        async for job in account.jobs.follow(KIND, identifier):
            found = job
    return found


async def imported(account: Account, content: str | bytes, **wanted: Any) -> Document:
    identifier = await looked_at(account, content)
    await account.imports.start(identifier, Wanted(**wanted))
    job = await ended(account, identifier)
    assert job["state"] == "done", job["error"]
    return job


async def gone(account: Account, job: Document) -> None:
    """Until the file of an import is there no more, which is soon after the import has ended."""
    with suppress(NotFound):
        async with asyncio.timeout(DEADLINE):
            while True:
                await account.uploads.require(job["upload"])
                await asyncio.sleep(0.01)


def counts(job: Document) -> dict[str, int]:
    return {name: count for name, count in job["counts"].items() if count}


async def values(account: Account) -> dict[str | None, dict[str, Any]]:
    found = await account.contacts.page({}, after=None, limit=0)
    return {contact.key: dict(contact.values) for contact in found}


async def test_a_file_is_looked_at_before_anything_is_written(account: Account) -> None:
    job = await account.imports.require(await looked_at(account, PEOPLE))
    assert (job["state"], job["match"], job["key_column"]) == ("ready", "key", "No")
    assert job["format"] == {"encoding": "utf-8-sig", "delimiter": ",", "sheet": None}
    assert [(column["key"], column["type"], column["known"]) for column in job["columns"]] == [
        ("no", "number", False),
        ("name", "text", False),
        ("email", "email", True),
        ("score", "number", True),
        ("kinds", "tags", False),
    ]
    assert job["columns"][1]["samples"] == ["Ann", "Bob", "Cleo"]
    assert await values(account) == {}


async def test_what_was_suggested_is_imported_and_again_changes_nothing(account: Account) -> None:
    first = await imported(account, PEOPLE)
    assert counts(first) == {"created": 3}
    assert (first["percent"], first["total"]) == (100, 3)
    assert await values(account) == {
        "1": {"no": 1, "name": "Ann", "email": "ann@x.org", "score": 3, "kinds": ["a", "b"]},
        "2": {"no": 2, "name": "Bob", "score": 4},
        "3": {"no": 3, "name": "Cleo", "email": "cleo@x.org", "kinds": ["c"]},
    }
    assert counts(await imported(account, PEOPLE)) == {"unchanged": 3}


async def test_what_is_said_of_a_column_comes_before_what_was_suggested(account: Account) -> None:
    choices = (FieldChoice(header="E-mail", key="work_email"), FieldChoice(header="Name", key="first_name"))
    await imported(account, PEOPLE, choices=choices, left_out=("Score", "No"))
    assert (await values(account))["1"] == {
        "first_name": "Ann",
        "work_email": "ann@x.org",
        "kinds": ["a", "b"],
    }


async def test_an_exported_list_comes_back_without_a_field_for_its_key(account: Account) -> None:
    await imported(account, PEOPLE, left_out=("No",))
    content = "Key,Name,Email\n1,Anna,ann@x.org\n4,Dora,\n"
    assert counts(await imported(account, content)) == {"updated": 1, "created": 1}
    assert (await values(account))["4"] == {"name": "Dora"}
    assert not {"key", "key_2"} & {*(await account.definitions.current()).fields}


async def test_a_column_can_be_said_to_be_the_contacts_own_key(account: Account) -> None:
    choices = (FieldChoice(header="Name", key="key"), FieldChoice(header="No", key="no"))
    assert counts(await imported(account, PEOPLE, choices=choices)) == {"created": 3}
    assert (await values(account))["Bob"] == {"no": 2, "score": 4}
    identifier = await looked_at(account, PEOPLE)
    for wanted in (Wanted(choices=choices, key_column="No"), Wanted(choices=choices, match=Match.EMAIL)):
        with pytest.raises(InvalidMapping, match="Only the column that rows are matched by is the key"):
            await account.imports.start(identifier, wanted)


MODES: list[tuple[dict[str, Any], dict[str, int], dict[str, Any]]] = [
    ({}, {"updated": 1, "created": 1}, {"name": "Anna", "score": 1}),
    ({"mode": Mode.CREATE}, {"skipped": 1, "created": 1}, {"name": "Ann", "score": 1, "role": "x"}),
    ({"mode": Mode.UPDATE}, {"updated": 1, "skipped": 1}, {"name": "Anna", "score": 1}),
    ({"keep_existing": True}, {"unchanged": 1, "created": 1}, {"name": "Ann", "score": 1, "role": "x"}),
    ({"empty_removes": False}, {"updated": 1, "created": 1}, {"name": "Anna", "score": 1, "role": "x"}),
]


@pytest.mark.parametrize(("wanted", "became", "ann"), MODES, ids=[str(case[0]) for case in MODES])
async def test_what_becomes_of_contacts_that_are_there_is_said(
    account: Account, wanted: dict[str, Any], became: dict[str, int], ann: dict[str, Any]
) -> None:
    await imported(account, "No,Name,Role,Score\nA,Ann,x,1\n")
    job = await imported(account, "No,Name,Role\nA,Anna,\nB,Bob,y\n", **wanted)
    assert counts(job) == became
    assert (await values(account))["A"] == {"no": "A", **ann}


@pytest.mark.parametrize(
    ("match", "column", "cells"),
    [
        (Match.EMAIL, "E-mail", ["Ann@X.org", "new@x.org", "twin@x.org", "none"]),
        (Match.PHONE, "Mobile", ["(202) 224-3441", "202-224-3442", "202-224-3443", "none"]),
    ],
)
async def test_rows_are_matched_by_address_or_number(
    account: Account, match: Match, column: str, cells: list[str]
) -> None:
    field = match.value
    for key, value in (("A", cells[0].lower()), ("T1", cells[2]), ("T2", cells[2])):
        await account.contacts.create(ObjectId(), key=key, attributes=[(field, value)])
    content = f"{column},Name\n" + "".join(f"{cell},N{number}\n" for number, cell in enumerate(cells))
    job = await imported(account, content, match=match, key_column=column, empty_removes=False)
    assert counts(job) == {"created": 1, "updated": 1, "rejected": 2}
    assert (await values(account))["A"]["name"] == "N0"
    assert (await values(account))[None]["name"] == "N1"
    rejections = [each async for each in account.imports.steps_of(job["_id"]).rejections()]
    assert [(each.row, each.column) for each in rejections] == [(5, column), (4, column)]
    assert "2 contacts have this" in rejections[1].reason


async def test_all_are_put_into_a_group(account: Account) -> None:
    group = await account.groups.create(ObjectId(), name="VIP", description=None)
    await imported(account, "No,Name\nA,Ann\n")
    job = await imported(account, "No,Name\nA,Ann\nB,Bob\n", group=group.id)
    assert counts(job) == {"created": 1, "updated": 1}
    assert await account.contacts.count({"groups": group.id}) == 2
    assert counts(await imported(account, "No,Name\nA,Ann\nB,Bob\n", group=group.id)) == {"unchanged": 2}


async def test_dates_that_could_mean_either_are_asked_for_before_anything_is_begun(account: Account) -> None:
    content = "No,Birth date\nA,03/05/1990\n"
    identifier = await looked_at(account, content)
    (_, column) = (await account.imports.require(identifier))["columns"]
    assert (column["key"], column["dates"], column["dates_open"]) == ("birthdate", None, True)
    with pytest.raises(InvalidMapping, match="Say which"):
        await account.imports.start(identifier, Wanted())
    await account.imports.start(identifier, Wanted(dates=DateOrder.DAY_FIRST))
    assert counts(await ended(account, identifier)) == {"created": 1}
    assert (await values(account))["A"]["birthdate"] == "1990-05-03"


async def test_a_trial_tells_what_would_happen_and_writes_nothing(world: World, account: Account) -> None:
    async with world.engine():
        await imported(account, "No,Role\nA,staff\nB,staff\nC,guest\n")
        staff = await world.segment("Staff", 'role is "staff"')
        nobody = await world.segment("Nobody", 'role is "nobody"')
        before = await account.contacts.page({}, after=None, limit=0)
        identifier = await looked_at(account, "No,Role,New\nA,guest,1\nC,staff,\nD,staff,2\nE,,3\n,x,4\n")
        await account.imports.start(identifier, Wanted(), trial=True)
        job = await ended(account, identifier)
        assert (job["state"], job["error"]) == ("ready", None)
        assert {name: count for name, count in job["trial"]["counts"].items() if count} == {
            "created": 2,
            "updated": 2,
            "rejected": 1,
        }
        assert job["trial"]["audiences"] == [{"id": staff, "joining": 2, "leaving": 1}]
        assert [each["key"] for each in job["trial"]["made"]] == ["new"]
        assert await account.contacts.page({}, after=None, limit=0) == before
        assert "new" not in (await account.definitions.current()).fields
        sizes = (await world.size(staff), await world.size(nobody))
        await account.imports.start(identifier, Wanted())
        assert counts(await ended(account, identifier)) == {"created": 2, "updated": 2, "rejected": 1}
        assert (await world.size(staff), await world.size(nobody)) == (sizes[0] + 1, 0)


async def test_an_import_is_taken_back_for_whom_nothing_else_has_changed(account: Account) -> None:
    group = await account.groups.create(ObjectId(), name="VIP", description=None)
    await imported(account, "No,Name,Role\n" + "".join(f"{each},Old,x\n" for each in "ABC"))
    before = await values(account)
    content = "No,Name,Score\n" + "".join(f"{each},New,1\n" for each in "ABCDEF")
    job = await imported(account, content, group=group.id)
    changed = [
        contact
        for contact in await account.contacts.page({}, after=None, limit=0)
        if contact.key in {"C", "F"}
    ]
    for contact in changed:
        await account.contacts.update(contact.id, attributes=[("role", "changed")])
    await account.imports.undo(job["_id"])
    undone = await ended(account, job["_id"])
    assert (undone["state"], undone["undone"]) == ("undone", {"reverted": 4, "kept": 2})
    after = await values(account)
    assert {key: after[key] for key in "AB"} == {key: before[key] for key in "AB"}
    assert sorted(str(key) for key in after) == ["A", "B", "C", "F"]
    assert after["C"] == {"no": "C", "name": "New", "score": 1, "role": "changed"}
    assert await account.contacts.count({"groups": group.id}) == 2
    with pytest.raises(VersionConflict, match="once"):
        await account.imports.undo(job["_id"])


async def test_a_file_goes_when_it_has_been_imported(account: Account) -> None:
    job = await imported(account, PEOPLE)
    await gone(account, job)
    with pytest.raises(VersionConflict, match="started already"):
        await account.imports.start(job["_id"], Wanted())


async def test_what_cannot_be_imported_leaves_nothing_behind_and_can_be_said_otherwise(
    account: Account,
) -> None:
    rows = "".join(f"{number},05/25/1990\n" for number in range(6_000))
    identifier = await looked_at(account, f'No,Seen\n{rows}last,25/05/1990x\nopen,"unclosed\n')
    await account.imports.start(identifier, Wanted())
    job = await ended(account, identifier)
    assert (job["state"], job["error"]["code"]) == ("failed", UnreadableFile.code)
    assert "never closed" in job["error"]["message"]
    assert await values(account) == {}
    await account.imports.start(identifier, Wanted())
    assert (await ended(account, identifier))["state"] == "failed"


async def test_a_cancelled_import_keeps_what_is_written_and_can_be_taken_back(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "No,Name\n" + "".join(f"{number},Ann\n" for number in range(3_000))
    identifier = await looked_at(account, content)
    monkeypatch.setattr("domain.jobs.RENEW_SECONDS", 0.01)
    monkeypatch.setattr("domain.imports.batching.BATCH", 100)
    await account.imports.start(identifier, Wanted())
    async with asyncio.timeout(DEADLINE):
        while not await account.contacts.count({}):  # noqa: ASYNC110 # a job of the account's
            await asyncio.sleep(0.01)
    await account.imports.cancel(identifier)
    job = await ended(account, identifier)
    written = await account.contacts.count({})
    assert job["state"] == "cancelled"
    assert 0 < written < 3_000
    assert job["counts"]["created"] == written
    await gone(account, job)
    await account.imports.undo(identifier)
    assert (await ended(account, identifier))["undone"] == {"reverted": written, "kept": 0}
    assert await account.contacts.count({}) == 0
    with pytest.raises(VersionConflict, match="started already"):
        await account.imports.start(identifier, Wanted())


async def test_one_that_waits_for_others_is_cancelled_without_waiting(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account.imports, "_running", asyncio.Semaphore(0))
    monkeypatch.setattr("domain.imports.imports.TURN_SECONDS", 0.01)
    monkeypatch.setattr("domain.jobs.RENEW_SECONDS", 0.01)
    identifier = await looked_at(account, PEOPLE)
    await account.imports.start(identifier, Wanted())
    await account.imports.cancel(identifier)
    assert (await ended(account, identifier))["state"] == "cancelled"


async def test_what_takes_too_long_to_be_looked_at_is_refused(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.imports.imports.LOOK_SECONDS", 0.0)
    with pytest.raises(LimitExceeded, match="within 0 seconds"):
        await looked_at(account, PEOPLE)
