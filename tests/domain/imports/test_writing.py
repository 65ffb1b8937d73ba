"""Batches into contacts: broken off anywhere and carried out again, and beside other writers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from domain.accounts import Account
from domain.contacts import Row
from domain.fields import Entry
from domain.imports.batching import Batch
from domain.imports.options import Match, Options
from domain.imports.planning import Planner, rows_of
from domain.imports.steps import Counts, Overtaken, Steps
from domain.imports.writing import Writer
from domain.store.scope import Scoped, Written
from tests.domain.conftest import World


@pytest.fixture
def account(world: World) -> Account:
    return world.account


@pytest.fixture
def contacts(world: World) -> Scoped:
    return world.store.contacts("default")


@pytest.fixture
def steps(world: World) -> Steps:
    return Steps(world.store.steps("default"), ObjectId())


def batch(*keys: str, first: int = 2, role: str = "new") -> Batch:
    rows = [Row(key=key, entries={"role": Entry(entered=role, normal=role)}) for key in keys]
    numbers = list(range(first, first + len(rows)))
    return Batch(last=numbers[-1], rows=rows, numbers=numbers)


def writer(contacts: Scoped, steps: Steps, last: Any = None, **options: Any) -> Writer:
    wanted = Options(key_column="No", **options)
    path = "key" if wanted.match is Match.KEY else "normal.email"
    return Writer(contacts, Planner(contacts, wanted, path), "No", steps, last)


async def roles(account: Account) -> dict[str | None, str]:
    return {
        contact.key: contact.values["role"]
        for contact in await account.contacts.page({}, after=None, limit=0)
    }


class Broken(Exception):
    pass


def break_off(monkeypatch: pytest.MonkeyPatch, keep: Callable[[list[Any]], list[Any]]) -> None:
    """Let the next bulk write be carried out in part only, and the process end with it."""
    write = Scoped.write

    async def broken(self: Scoped, *, inserts: Any = (), updates: Any = (), deletes: Any = ()) -> Written:
        monkeypatch.setattr(Scoped, "write", write)
        await write(self, inserts=keep(list(inserts)), updates=keep(list(updates)), deletes=deletes)
        raise Broken

    monkeypatch.setattr(Scoped, "write", broken)


PARTS: list[Callable[[list[Any]], list[Any]]] = [
    lambda _: [],
    lambda writes: writes,
    lambda writes: writes[:1],
    lambda writes: writes[1:],
]


@pytest.mark.parametrize("keep", PARTS, ids=["nothing", "all", "the first ones", "the last ones"])
async def test_what_was_broken_off_is_gone_on_with_as_it_was_planned(
    account: Account,
    contacts: Scoped,
    steps: Steps,
    monkeypatch: pytest.MonkeyPatch,
    keep: Callable[[list[Any]], list[Any]],
) -> None:
    await writer(contacts, steps).carry_out(batch("A", "B", role="old"), Counts())
    wanted = batch("A", "B", "C", "D", first=4)
    ours = writer(contacts, steps, await steps.last())
    counts = await ours.carry_out(batch("A", "B", role="old"), Counts())
    assert counts == Counts(created=2)
    break_off(monkeypatch, keep)
    with pytest.raises(Broken):
        await ours.carry_out(wanted, counts)
    again = writer(contacts, steps, await steps.last())
    counts = await again.carry_out(wanted, Counts())
    assert counts == Counts(created=4, updated=2)
    assert await roles(account) == dict.fromkeys("ABCD", "new")
    step = await steps.last()
    assert step is not None
    documents = {each.id: each.document for each in await account.contacts.page({}, after=None, limit=0)}
    for change in step.changes:
        assert documents[change.contact]["written"]["nonce"] == change.nonce
        assert documents[change.contact]["updated"] == change.updated


async def test_what_was_changed_by_somebody_else_after_the_break_stays_changed(
    account: Account, contacts: Scoped, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(monkeypatch, lambda writes: writes)
    with pytest.raises(Broken):
        await writer(contacts, steps).carry_out(batch("A", "B"), Counts())
    found = await account.contacts.get_by_key("A")
    assert found is not None
    await account.contacts.update(found.id, attributes=[("role", "changed")])
    await writer(contacts, steps, await steps.last()).carry_out(batch("A", "B"), Counts())
    assert await roles(account) == {"A": "changed", "B": "new"}


async def test_of_two_processes_at_one_place_one_is_told_that_it_was_overtaken(
    account: Account, contacts: Scoped, steps: Steps
) -> None:
    first, second = writer(contacts, steps), writer(contacts, steps)
    await first.carry_out(batch("A"), Counts())
    with pytest.raises(Overtaken):
        await second.carry_out(batch("A", role="late"), Counts())
    assert await roles(account) == {"A": "new"}


async def test_a_contact_that_somebody_makes_in_between_is_met_again(
    account: Account, contacts: Scoped, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Scoped.write

    async def overtaken(self: Scoped, **writes: Any) -> Written:
        monkeypatch.setattr(Scoped, "write", write)
        await account.contacts.create(ObjectId(), key="A", attributes=[("role", "theirs"), ("score", 1)])
        return await write(self, **writes)

    monkeypatch.setattr(Scoped, "write", overtaken)
    counts = await writer(contacts, steps).carry_out(batch("A", "B"), Counts())
    assert counts == Counts(created=1, updated=1)
    found = await account.contacts.get_by_key("A")
    assert found is not None
    assert dict(found.values) == {"role": "new", "score": 1}
    step = await steps.last()
    assert step is not None
    assert {change.contact for change in step.changes if not change.made} == {found.id}
    assert step.counts == counts


async def test_what_was_planned_before_somebody_else_wrote_is_planned_anew(
    account: Account, contacts: Scoped, steps: Steps
) -> None:
    known = await account.contacts.create(ObjectId(), key="A", attributes=[("role", "old")])
    wanted = batch("A", "B", "C")
    planned = await Planner(contacts, Options(key_column="No"), "key").plan(rows_of(wanted), "No")
    await account.contacts.delete(known.id)
    await account.contacts.create(ObjectId(), key="B", attributes=[("role", "theirs")])
    counts = await writer(contacts, steps).carry_out(wanted, Counts(), planned)
    assert counts == Counts(created=2, updated=1)
    assert await roles(account) == dict.fromkeys("ABC", "new")
    step = await steps.last()
    assert step is not None
    assert {change.contact for change in step.changes} == {
        contact.id for contact in await account.contacts.page({}, after=None, limit=0)
    }


async def test_a_contact_that_somebody_deletes_in_between_is_made_again(
    account: Account, contacts: Scoped, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await account.contacts.create(ObjectId(), key="A", attributes=[("role", "old")])
    write = Scoped.write

    async def overtaken(self: Scoped, **writes: Any) -> Written:
        monkeypatch.setattr(Scoped, "write", write)
        await account.contacts.delete(known.id)
        return await write(self, **writes)

    monkeypatch.setattr(Scoped, "write", overtaken)
    assert await writer(contacts, steps).carry_out(batch("A"), Counts()) == Counts(created=1)
    assert await roles(account) == {"A": "new"}


async def test_a_contact_in_as_many_groups_as_can_be_is_told_of(
    account: Account, contacts: Scoped, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.imports.planning.MAX_GROUPS_OF_A_CONTACT", 1)
    monkeypatch.setattr("domain.imports.planning._ROOM", "groups.0")
    known = await account.contacts.create(ObjectId(), key="A", attributes=[])
    first, second = [
        await account.groups.create(ObjectId(), name=name, description=None) for name in ("One", "Two")
    ]
    await account.groups.add(first.id, ids=[known.id])
    wanted = batch("A", "B")
    counts = await writer(contacts, steps, group=second.id).carry_out(wanted, Counts())
    assert counts == Counts(created=1, updated=1)
    assert [(each.row, each.reason[:27]) for each in wanted.rejections] == [
        (2, "The contact is in 1 groups,")
    ]
    assert await account.contacts.count({"groups": second.id}) == 1


async def test_a_step_that_would_be_too_big_becomes_several(
    account: Account, contacts: Scoped, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.imports.steps.MOST_BYTES", 1_000)
    keys = [f"K{number}" for number in range(20)]
    counts = await writer(contacts, steps).carry_out(batch(*keys), Counts())
    assert counts == Counts(created=20)
    found = [step async for step, _ in steps.backwards()]
    assert len(found) > 1
    assert [step.since for step in found[:-1]] == [step.through for step in found[1:]]
    assert sum(len(step.changes) for step in found) == len(await roles(account)) == 20
