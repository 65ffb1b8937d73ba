"""What an export holds, and for how long it can be had."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from domain.accounts import Account
from domain.errors import LimitExceeded, NotFound, UnknownField
from domain.exports import Export, Wanted
from domain.rules.text import parse
from domain.rules.tree import Limits
from domain.tables import FileKind
from tests.domain.conftest import World


@pytest.fixture
async def account(world: World) -> Account:
    for role, score in (("staff", 3), ("guest", None), ("staff", 5)):
        await world.contact(role=role, score=score, tags=["a", "b"])
    return world.account


async def rows(export: Export) -> list[list[Any]]:
    return [list(row) async for row in export.rows]


async def test_all_contacts_come_in_a_stable_order_with_all_fields(account: Account) -> None:
    found = await rows(await account.exports.now(Wanted(kind=FileKind.CSV)))
    assert found[0] == [
        "Key",
        "First name",
        "Last name",
        "Email",
        "Phone",
        "Birthdate",
        "Role",
        "Score",
        "Tags",
    ]
    assert [row[6:] for row in found[1:]] == [
        ["staff", 3, ["a", "b"]],
        ["guest", None, ["a", "b"]],
        ["staff", 5, ["a", "b"]],
    ]
    assert await rows(await account.exports.now(Wanted(kind=FileKind.CSV))) == found


async def test_an_audience_or_a_rule_and_chosen_columns(world: World, account: Account) -> None:
    staff = await world.segment("Staff", 'role is "staff"')
    wanted = Wanted(kind=FileKind.CSV, audience=staff, fields=("score", "key", "role"))
    export = await account.exports.now(wanted)
    assert export.name == "Staff.csv"
    assert await rows(export) == [["Score", "Key", "Role"], [3, None, "staff"], [5, None, "staff"]]
    catalogue = await account.definitions.current()
    rule = parse("score > 3", catalogue.fields, catalogue.settings, Limits())
    wanted = Wanted(kind=FileKind.XLSX, rule=rule, fields=("score",))
    identifier = ObjectId()
    await account.exports.create(identifier, wanted)
    export = await account.exports.open(identifier)
    assert (export.name, await rows(export)) == ("contacts.xlsx", [["Score"], [5]])


async def test_what_is_not_there_is_not_exported(
    world: World, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownField) as unknown:
        await account.exports.create(ObjectId(), Wanted(kind=FileKind.CSV, fields=("role", "rolle")))
    assert unknown.value.path == ("fields", 1)
    with pytest.raises(NotFound):
        await account.exports.create(ObjectId(), Wanted(kind=FileKind.CSV, audience=ObjectId()))
    with pytest.raises(NotFound):
        await account.exports.open(ObjectId())
    identifier = ObjectId()
    await account.exports.create(identifier, Wanted(kind=FileKind.CSV))
    with pytest.raises(NotFound):
        await world.accounts.get("other").exports.open(identifier)
    monkeypatch.setattr("domain.exports.MOST_ROWS_OF_A_SHEET", 3)
    with pytest.raises(LimitExceeded, match="Export as CSV"):
        await account.exports.create(identifier, Wanted(kind=FileKind.XLSX))
