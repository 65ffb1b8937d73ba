import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from domain import converting
from domain.accounts import Account, Accounts
from domain.catalogue import Retyping
from domain.converting import Conversion, Stage
from domain.errors import InvalidField, InvalidValue
from domain.fields import Field, FieldType, Settings, reread
from domain.store.log import EntryKind, Reason
from domain.store.scope import Scoped, Written
from tests.domain.conftest import DEADLINE, World
from tests.domain.membership.test_engine import check_against_the_query, members

TEXT, NUMBER, DATE, TAGS = FieldType.TEXT, FieldType.NUMBER, FieldType.DATE, FieldType.TAGS


@pytest.fixture(autouse=True)
def nobody_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converting, "LATE_WRITERS", timedelta(0))


async def retype(account: Account, type_: FieldType, key: str = "code") -> None:
    await account.fields.update(key, type=type_, break_segments=True)


async def idle(account: Account) -> None:
    async with asyncio.timeout(DEADLINE):
        await account.converter.idle()


async def report(account: Account, key: str = "code") -> Conversion:
    return (await account.converter.of(await account.definitions.current(), [key]))[key]


async def documents(world: World) -> dict[ObjectId, dict[str, Any]]:
    return {each["_id"]: each async for each in world.database["contacts"].find({})}


def read(document: Mapping[str, Any], type_: FieldType, key: str = "code") -> tuple[Any, Any]:
    """The normal form and the anniversary that a contact should have."""
    try:
        field = Field(key=key, label=key, type=type_)
        entry = reread(field, document["values"].get(key), Settings())
    except InvalidValue:
        return None, None
    return (None, None) if entry is None else (entry.normal, entry.anniversary)


def stored(document: Mapping[str, Any], key: str = "code") -> tuple[Any, Any]:
    return document["normal"].get(key), document.get("anniversaries", {}).get(key)


@pytest.fixture
async def account(world: World) -> Account:
    await world.account.fields.create(key="code", label="Code", type=TEXT)
    return world.account


TEXTS = ["1,250.50", "yes", "0", "1965-01-31", "2026-05-03T23:30:00Z", "a@b.org", "+12022243441", "x; Y", "7"]


async def test_a_field_goes_through_every_type_and_rules_read_what_makes_sense(
    world: World, account: Account
) -> None:
    contacts = [await world.contact(code=text) for text in TEXTS]
    await world.contact(role="staff")
    before = await documents(world)
    for type_ in [*FieldType, TEXT]:
        if (await account.definitions.current()).fields["code"].type is type_:
            continue
        await retype(account, type_)
        await idle(account)
        found = await documents(world)
        expected = {contact: read(before[contact], type_) for contact in contacts}
        assert {contact: stored(found[contact]) for contact in contacts} == expected
        assert [each["values"] for each in found.values()] == [each["values"] for each in before.values()]
        made = [normal for normal, _ in expected.values() if normal is not None]
        told = await report(account)
        assert (told.after, told.stage, told.progress) == (type_, Stage.DONE, 100)
        assert (told.total, told.done, told.converted, told.failed) == (
            len(TEXTS),
            len(TEXTS),
            len(made),
            len(TEXTS) - len(made),
        )
        assert told.converted > 0
    # There and back, nothing is lost, and nobody's data count as changed.
    assert await documents(world) == before


async def test_what_cannot_be_converted_stays_as_entered_is_empty_to_rules_and_is_reported(
    world: World, account: Account
) -> None:
    good, bad = await world.contact(code=" 7 "), await world.contact(code="seven")
    await world.contact()
    await retype(account, NUMBER)
    await idle(account)
    found = await documents(world)
    assert (found[good]["values"], found[good]["normal"]) == ({"code": " 7 "}, {"code": 7})
    assert (found[bad]["values"], found[bad]["normal"]) == ({"code": "seven"}, {})
    told = await report(account)
    assert (told.before, told.after) == (TEXT, NUMBER)
    assert (told.total, told.done, told.converted, told.failed) == (2, 2, 1, 1)
    (failure,) = told.failures
    assert (failure.contact, failure.value) == (bad, "seven")
    assert failure.message == "“seven” is not a number; one such as 1250.5 or 1,250.50 is wanted."
    assert told.finished is not None
    assert told.started <= told.finished


async def test_the_first_failures_are_told_and_the_number_of_all_and_long_values_by_their_beginning(
    world: World, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converting, "MOST_FAILURES", 3)
    monkeypatch.setattr(converting, "BATCH", 2)
    for number in range(7):
        await world.contact(code=f"{number} " + "x" * 9_000)
    await retype(account, NUMBER)
    await idle(account)
    told = await report(account)
    assert (told.failed, len(told.failures)) == (7, 3)
    assert {len(failure.value) for failure in told.failures} == {201}


async def test_a_list_is_told_by_its_beginning_too(world: World, account: Account) -> None:
    await account.fields.create(key="many", label="Many", type=TAGS)
    await world.contact(many=[f"tag {number}" for number in range(100)])
    await retype(account, NUMBER, "many")
    await idle(account)
    (failure,) = (await report(account, "many")).failures
    assert failure.value == [*(f"tag {number}" for number in range(20)), "…"]


async def test_progress_rises_to_the_end(
    world: World, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converting, "BATCH", 3)
    monkeypatch.setattr(converting, "TELL_EVERY_SECONDS", 0.0)
    for number in range(10):
        await world.contact(code=str(number))
    seen: list[Conversion] = []
    note = account.converter._note

    async def noted(*given: Any, **news: Any) -> None:
        await note(*given, **news)
        seen.append(await report(account))

    monkeypatch.setattr(account.converter, "_note", noted)
    await retype(account, NUMBER)
    booked = await report(account)
    assert (booked.stage, booked.progress, booked.finished) == (Stage.WAITING, 0, None)
    await idle(account)
    assert [(told.stage, told.progress) for told in seen] == [
        (Stage.RUNNING, 0),
        (Stage.RUNNING, 30),
        (Stage.RUNNING, 60),
        (Stage.RUNNING, 90),
        (Stage.DONE, 100),
        (Stage.DONE, 100),
    ]


async def test_no_field_has_a_conversion_before_its_type_changes(world: World, account: Account) -> None:
    catalogue = await account.definitions.current()
    assert await account.converter.of(catalogue, catalogue.fields) == {}
    await account.fields.update("code", label="Other")
    await account.fields.update("code", type=TEXT)
    assert await account.converter.of(await account.definitions.current(), ["code"]) == {}
    assert await world.store.conversions("default").count({}) == 0


async def test_a_process_that_ended_in_the_middle_is_taken_up_by_the_next(
    world: World, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converting, "BATCH", 3)
    contacts = [await world.contact(code=str(number) if number % 2 else "odd") for number in range(20)]
    half, never = asyncio.Event(), asyncio.Event()
    take = account.converter._take

    async def halfway(*given: Any) -> None:
        await take(*given)
        if await account.contacts.count({"normal.code": {"$type": "number"}}) >= 4:
            half.set()
            await never.wait()

    monkeypatch.setattr(account.converter, "_take", halfway)
    await retype(account, NUMBER)
    await asyncio.wait_for(half.wait(), DEADLINE)
    await account.close()
    assert (await report(account)).stage is Stage.RUNNING

    world.accounts = Accounts(world.store, world.hub)
    await world.account.resume()
    await idle(world.account)
    found = await documents(world)
    assert [stored(found[contact])[0] for contact in contacts] == [
        number if number % 2 else None for number in range(20)
    ]
    told = await report(world.account)
    assert (told.stage, told.done, told.converted, told.failed) == (Stage.DONE, 20, 10, 10)
    # What is done is left alone.
    await world.account.resume()
    assert not world.account.converter._tasks


async def test_a_process_that_ended_before_it_booked_the_conversion_is_taken_up_as_well(
    world: World, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    contact = await world.contact(code="7")

    async def ended(_: str) -> None:
        return

    with monkeypatch.context() as patch:
        patch.setattr(account.converter, "convert", ended)
        await retype(account, NUMBER)
    told = await report(account)
    assert (told.stage, told.progress, told.total) == (Stage.WAITING, 0, 0)
    await account.resume()
    await idle(account)
    assert stored((await documents(world))[contact]) == (7, None)


async def test_writers_and_two_processes_at_once_leave_each_value_with_its_own_normal_form(
    world: World, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converting, "BATCH", 5)
    chance = random.Random(3)
    contacts = [await world.contact(code=str(chance.randrange(100))) for _ in range(60)]
    elsewhere = Accounts(world.store, world.hub).get("default")
    written = 0
    finished = asyncio.Event()

    async def write() -> None:
        nonlocal written
        while not finished.is_set():
            type_ = (await account.definitions.current()).fields["code"].type
            value = chance.randrange(100)
            with suppress(InvalidValue):  # of another type in the meantime
                await world.change(chance.choice(contacts), code=value if type_ is NUMBER else str(value))
                written += 1

    writer = asyncio.create_task(write())
    await retype(account, NUMBER)
    await elsewhere.resume()
    await idle(account)
    await idle(elsewhere)
    finished.set()
    await writer
    assert written > 0
    for document in (await documents(world)).values():
        assert stored(document) == read(document, NUMBER)
    told = await report(account)
    assert (told.stage, told.done, told.failed) == (Stage.DONE, 60, 0)
    await elsewhere.close()


@pytest.mark.parametrize("gone", [False, True], ids=["changed", "deleted"])
async def test_a_contact_that_is_changed_between_the_look_and_the_write_is_looked_at_again(
    world: World,
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    gone: bool,  # noqa: FBT001 # a case of the table
) -> None:
    one, other = [await world.contact(code="7") for _ in range(2)]
    write, meanwhile = Scoped.write, [True]

    async def late(self: Scoped, **what: Any) -> Written:
        if meanwhile:
            meanwhile.clear()
            await (account.contacts.delete(one) if gone else world.change(one, code=8))
        return await write(self, **what)

    # No last look, which would find it as well.
    monkeypatch.setattr(converting, "LATE_WRITERS", timedelta(hours=1))
    done = asyncio.Event()
    note = account.converter._note

    async def noted(*given: Any, **news: Any) -> None:
        await note(*given, **news)
        if news.get("stage") == Stage.DONE:
            done.set()

    monkeypatch.setattr(account.converter, "_note", noted)
    await retype(account, NUMBER)
    monkeypatch.setattr(Scoped, "write", late)
    await asyncio.wait_for(done.wait(), DEADLINE)
    found = await documents(world)
    expected = {other: ({"code": "7"}, {"code": 7}), **({} if gone else {one: ({"code": 8}, {"code": 8})})}
    assert {contact: (each["values"], each["normal"]) for contact, each in found.items()} == expected
    told = await report(account)
    assert (told.done, told.converted) == (len(expected), len(expected))


async def test_who_wrote_by_the_old_type_until_the_end_is_found_by_the_last_look(
    world: World, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    contacts = [await world.contact(code="1965-01-31") for _ in range(3)]
    await retype(account, DATE)
    await idle(account)
    passes = account.converter._pass

    async def overtaken(*given: Any, telling: bool) -> Any:
        tally = await passes(*given, telling=telling)
        if telling:
            await world.database["contacts"].update_one(
                {"_id": contacts[1]},
                {
                    "$set": {
                        "values.code": "1970-12-24",
                        "normal.code": "1970-12-24",
                        "anniversaries.code": "12-24",
                    }
                },
            )
        return tally

    monkeypatch.setattr(account.converter, "_pass", overtaken)
    await retype(account, NUMBER)
    await idle(account)
    for document in (await documents(world)).values():
        assert stored(document) == (None, None)
    told = await report(account)
    assert (told.failed, told.failures[1].value) == (3, "1970-12-24")


async def test_yet_another_type_puts_an_end_to_the_conversion_before(
    world: World, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converting, "BATCH", 2)
    contacts = [await world.contact(code=text) for text in ("1", "yes", "2", "no", "0")]
    passes, ended = account.converter._pass, list[FieldType]()

    async def counted(retyping: Retyping, *, telling: bool) -> Any:
        tally = await passes(retyping, telling=telling)
        ended.append(retyping.after)
        return tally

    monkeypatch.setattr(account.converter, "_pass", counted)
    await retype(account, NUMBER)
    await retype(account, FieldType.BOOLEAN)
    await idle(account)
    assert ended == [FieldType.BOOLEAN] * 2
    found = await documents(world)
    assert [stored(found[contact])[0] for contact in contacts] == [True, True, None, False, False]
    told = await report(account)
    assert (told.before, told.after, told.failed) == (NUMBER, FieldType.BOOLEAN, 1)
    assert await world.store.conversions("default").count({}) == 1


async def test_a_deleted_field_takes_its_conversion_with_it(world: World, account: Account) -> None:
    contact = await world.contact(code="7")
    await retype(account, NUMBER)
    await account.fields.delete("code")
    await idle(account)
    await account.sweeper.idle()
    found = (await documents(world))[contact]
    assert (found["values"], found["normal"]) == ({}, {})
    await account.fields.create(key="code", label="Code", type=NUMBER)
    catalogue = await account.definitions.current()
    assert await account.converter.of(catalogue, ["code"]) == {}
    assert await world.store.conversions("default").count({}) == 0


async def test_members_come_and_go_as_their_values_are_converted_and_broken_ones_stay(
    world: World, account: Account
) -> None:
    async with world.engine():
        seven, eight = await world.contact(code="7"), await world.contact(code="8")
        await world.contact(code="none")
        frozen = await world.segment("Seven", 'code is "7"')
        await retype(account, NUMBER)
        large = await world.segment("Large", "code > 7")
        filled = await world.segment("Filled", "code is not empty")
        await idle(account)
        entries = await check_against_the_query(world, large, set())
        assert [(each.kind, each.contact, each.reason) for each in entries[1:]] in (
            [(EntryKind.JOINED, eight, Reason.CONTACT_UPDATED)],
            [],  # it was converted before the segment was saved
        )
        assert await members(world, large) == {eight}
        assert await members(world, filled) == {seven, eight}
        assert await members(world, frozen) == {seven}
        assert (await check_against_the_query(world, frozen, {seven}))[1:] == []


async def test_nothing_is_converted_before_what_broke_is_frozen(world: World, account: Account) -> None:
    contact = await world.contact(code="7")
    segment = await world.segment("Seven", 'code is "7"')
    await retype(account, NUMBER)
    await account.contacts.count({})
    assert stored((await documents(world))[contact]) == ("7", None)
    assert (await report(account)).stage is Stage.WAITING
    async with world.engine():
        await idle(account)
        assert stored((await documents(world))[contact]) == (7, None)
        assert await members(world, segment) == {contact}


ODD: list[dict[str, Any]] = [
    {"values": 7},
    {"values": [{"code": "7"}]},
    {"values": {"code": {"$gt": 1}}, "normal": {"code": "x"}},
    {"values": {"code": None}, "normal": {"code": "x"}},
    {"values": {"code": "7"}, "normal": 7},
    {"values": {"code": "7"}, "anniversaries": []},
    {"_id": 7, "values": {"code": "7"}, "normal": {"code": "7"}},
]


async def test_documents_of_odd_shapes_stop_nobody(world: World, account: Account) -> None:
    for odd in ODD:
        await world.database["contacts"].insert_one({**odd, "account": "default"})
    contact = await world.contact(code="7")
    await retype(account, NUMBER)
    await idle(account)
    assert stored((await documents(world))[contact]) == (7, None)
    told = await report(account)
    assert told.stage is Stage.DONE
    assert [failure.value for failure in told.failures] == ["{'$gt': 1}"]


async def test_another_accounts_contacts_are_left_alone(world: World, account: Account) -> None:
    other = world.accounts.get("other")
    await other.fields.create(key="code", label="Code", type=TEXT)
    theirs = await other.contacts.create(ObjectId(), key=None, attributes=[("code", "7")])
    await world.contact(code="7")
    await retype(account, NUMBER)
    await idle(account)
    assert (await other.contacts.require(theirs.id)).document["normal"] == {"code": "7"}
    assert await other.converter.of(await other.definitions.current(), ["code"]) == {}
    assert (await report(account)).total == 1


async def test_options_go_with_the_choice_and_are_kept_where_it_stays_one(
    world: World, account: Account
) -> None:
    fields = account.fields
    await fields.update("code", type=FieldType.CHOICE, options=("Gold", "Silver"))
    assert (await fields.update("code", label="Level")).options == ("Gold", "Silver")
    assert (await fields.update("code", type=TEXT)).options == ()
    with pytest.raises(InvalidField, match="Only a choice"):
        await fields.update("code", type=NUMBER, options=("Gold",))
    await world.contact(code="gold")
    bronze = await world.contact(code="bronze")
    await fields.update("code", type=FieldType.CHOICE, options=("Gold",))
    await idle(account)
    assert [failure.contact for failure in (await report(account)).failures] == [bronze]
