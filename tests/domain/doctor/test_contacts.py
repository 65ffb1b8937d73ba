from typing import Any

import pytest
from bson import ObjectId

from domain.fields import FieldType
from domain.store.log import Reason
from tests.domain.conftest import World
from tests.domain.doctor.conftest import Examine, said
from tests.domain.membership.test_engine import CUSTOMERS, check_against_the_query

DAMAGE: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"role": "Customer"}, {"$set": {"normal.role": "custommer"}}, "role"),
    ({"role": "Customer"}, {"$unset": {"normal.role": ""}}, "role"),
    ({"role": "Customer"}, {"$unset": {"values.role": ""}}, "role"),
    ({"role": "Customer"}, {"$set": {"values.role": "Staff"}}, "role"),
    ({"score": 3}, {"$set": {"normal.score": "3"}}, "score"),
    ({"tags": ["B", "a"]}, {"$set": {"normal.tags": ["b", "a"]}}, "tags"),
    ({"birthdate": "1996-02-29"}, {"$set": {"anniversaries.birthdate": "02-28"}}, "birthdate"),
    ({"birthdate": "1996-02-29"}, {"$unset": {"anniversaries.birthdate": ""}}, "birthdate"),
    ({}, {"$set": {"anniversaries.birthdate": "02-28"}}, "birthdate"),
]


async def test_normal_forms_that_are_out_of_date_are_found_and_written_anew(
    world: World, examine: Examine
) -> None:
    async with world.engine():
        await world.contact(role="customer", score=1, tags=["a"], birthdate="2000-01-01")
        damaged: dict[str, list[ObjectId]] = {}
        for values, damage, field in DAMAGE:
            contact = await world.contact(**values)
            await world.database["contacts"].update_one({"_id": contact}, damage)
            damaged.setdefault(field, []).append(contact)
        found = (await examine()).left
        assert said(found) == [("normal_form", field) for field in sorted(damaged)]
        for finding, field in zip(found, sorted(damaged), strict=True):
            count = len(damaged[field])
            contacts = "1 contact holds" if count == 1 else f"{count} contacts hold"
            assert f"{contacts} another normal form of the field “{field}”" in finding.says
            assert any(str(contact) in finding.says for contact in damaged[field])
        mended = await examine(repair=True)
        assert (said(mended.found), mended.left) == (said(found), [])
        assert (await examine()).left == []


async def test_whoever_was_in_a_wrong_segment_by_it_moves(world: World, examine: Examine) -> None:
    async with world.engine():
        segment = await world.segment("Customers", CUSTOMERS)
        contact = await world.contact(role="Customer")
        await world.database["contacts"].update_one({"_id": contact}, {"$set": {"normal.role": "staff"}})
        await examine(repair=True)
        entries = await check_against_the_query(world, segment, set())
    assert [each.reason for each in entries[1:]] == [
        Reason.CONTACT_CREATED,
        Reason.CONTACT_UPDATED,
        Reason.CONTACT_UPDATED,
    ]


async def test_what_was_right_when_it_was_written_stays(world: World, examine: Examine) -> None:
    """A number of a region that the account had then, a choice that is no option any more, and what no field knows."""
    await world.account.fields.create(
        key="plan", label="Plan", type=FieldType.CHOICE, options=("Free", "Paid")
    )
    await world.account.settings.update(region="DE")
    contact = await world.contact(phone="030 901820", plan="Free")
    await world.account.settings.update(region="US")
    await world.account.fields.update("plan", options=("Paid",))
    await world.database["contacts"].update_one(
        {"_id": contact}, {"$set": {"values.unknown": 1, "normal.unknown": 2}}
    )
    odd = {"account": "default", "values": [], "normal": 7, "groups": 7, "frozen": {"a": 1}}
    await world.database["contacts"].insert_one(odd)
    assert (await examine()).left == []


async def test_all_contacts_are_looked_at_only_where_that_is_asked_for(
    world: World, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.doctor.contacts.SAMPLE", 3)
    contacts = [await world.contact(role="customer") for _ in range(9)]
    await world.database["contacts"].update_one({"_id": contacts[4]}, {"$set": {"normal.role": "x"}})
    assert (await examine(deep=False)).left == []
    assert said((await examine(deep=True)).left) == [("normal_form", "role")]
    await world.database["contacts"].update_one({"_id": contacts[-1]}, {"$set": {"normal.role": "x"}})
    assert "1 contact" in (await examine(deep=False)).left[0].says
    assert "2 contacts" in (await examine(deep=True)).left[0].says


async def test_groups_and_marks_that_belong_to_nothing_are_taken_off(world: World, examine: Examine) -> None:
    async with world.engine():
        group = (await world.account.groups.create(ObjectId(), name="VIP", description=None)).id
        contact = await world.contact()
        await world.account.groups.add(group, ids=[contact])
        nothing, mark = ObjectId(), f"{ObjectId()}:3"
        await world.database["contacts"].update_one(
            {"_id": contact}, {"$push": {"groups": nothing, "frozen": mark}}
        )
        found = (await examine()).left
        assert said(found) == [("group_left_over", str(nothing)), ("mark_left_over", mark)]
        assert (await examine(repair=True)).left == []
        assert (await examine()).left == []
        document = (await world.account.contacts.require(contact)).document
        assert (document["groups"], document["frozen"]) == ([group], [])
        entries = await check_against_the_query(world, group, set())
    assert len(entries) == 2
