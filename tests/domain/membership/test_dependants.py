"""What an edit of one segment, of the settings or of a group does to the segments that rest on it."""

import asyncio
import random
from typing import Any

from bson import ObjectId

from domain.referring import KnownAudiences
from domain.rules.text import parse
from domain.rules.tree import Limits
from domain.segments import BuildRule
from domain.store.log import EntryKind, LogEntry, Reason
from tests.domain.conftest import World
from tests.domain.membership.test_engine import check_against_the_query, logged

RULE_EDITED, JOINED, LEFT = Reason.RULE_EDITED, EntryKind.JOINED, EntryKind.LEFT


def rule(text: str) -> BuildRule:
    return lambda catalogue: parse(
        text, catalogue.fields, catalogue.settings, Limits(), KnownAudiences(catalogue)
    )


async def segment(world: World, name: str, text: str) -> ObjectId:
    found = await world.account.segments.create(ObjectId(), name=name, description=None, rule=rule(text))
    return found.id


async def edit(world: World, identifier: ObjectId, text: str) -> None:
    await world.account.segments.update(identifier, rule=rule(text))


def moves(entries: list[LogEntry]) -> list[tuple[EntryKind, ObjectId | None, Reason | None]]:
    return [(each.kind, each.contact, each.reason) for each in entries[1:]]


async def test_an_edit_of_an_inner_segment_moves_members_of_the_outer_ones_as_theirs(world: World) -> None:
    async with world.engine():
        customer = await world.contact(role="customer", score=1)
        staff = await world.contact(role="staff", score=1)
        inner = await segment(world, "Inner", 'role is "customer"')
        outer = await segment(world, "Outer", 'in any of (segment "Inner") and score is 1')
        outermost = await segment(world, "Outermost", 'in none of (segment "outer")')
        await edit(world, inner, 'role is "staff"')
        for each, opened_with, expected in (
            (
                inner,
                {customer},
                [
                    (EntryKind.REDEFINED, None, None),
                    (LEFT, customer, RULE_EDITED),
                    (JOINED, staff, RULE_EDITED),
                ],
            ),
            (outer, {customer}, [(LEFT, customer, RULE_EDITED), (JOINED, staff, RULE_EDITED)]),
            (outermost, {staff}, [(JOINED, customer, RULE_EDITED), (LEFT, staff, RULE_EDITED)]),
        ):
            entries = await check_against_the_query(world, each, opened_with)
            assert moves(entries) == expected
        positions = {(await logged(world, each))[-1].position[:16] for each in (inner, outer, outermost)}
    assert len(positions) == 1


async def test_what_changes_a_contacts_groups_moves_it_through_the_segments_that_refer_to_them(
    world: World,
) -> None:
    async with world.engine():
        vip = (await world.account.groups.create(ObjectId(), name="VIP", description=None)).id
        outer = await segment(
            world, "Outer", 'in any of (group "vip") and role is not "staff" excluding missing'
        )
        one, two = await world.contact(role="customer"), await world.contact(role="staff")
        await world.account.groups.add(vip, ids=[one, two])
        await world.change(two, role="customer")
        await world.account.groups.remove(vip, ids=[one])
        entries = await check_against_the_query(world, outer, set())
    assert moves(entries) == [
        (JOINED, one, Reason.GROUP_EDITED),
        (JOINED, two, Reason.CONTACT_UPDATED),
        (LEFT, one, Reason.GROUP_EDITED),
    ]


async def test_renaming_what_is_referred_to_moves_nobody(world: World) -> None:
    async with world.engine():
        contact = await world.contact(role="customer")
        inner = await segment(world, "Inner", 'role is "customer"')
        outer = await segment(world, "Outer", 'in any of (segment "Inner")')
        await world.account.segments.update(inner, name="Another name")
        entries = await check_against_the_query(world, outer, {contact})
    assert moves(entries) == []


async def test_edits_all_over_while_contacts_are_written_add_up(world: World) -> None:
    """Segments that rest on each other are edited while contacts and groups change: each log adds up to what its query says."""
    chance = random.Random(5)
    plain = (
        'role is "customer"',
        "score > 5",
        'tags has any of ("a", "b")',
        "score is empty",
        'role is not "staff"',
    )
    async with world.engine():
        vip = (await world.account.groups.create(ObjectId(), name="VIP", description=None)).id
        one = await segment(world, "One", plain[0])
        two = await segment(world, "Two", 'in any of (segment "One", group "VIP")')
        three = await segment(world, "Three", 'in none of (segment "Two") and score >= 2')
        four = await segment(
            world, "Four", 'in all of (segment "Two", segment "Three") or in any of (group "VIP")'
        )
        contacts: list[ObjectId] = []

        def values() -> dict[str, Any]:
            return {
                "role": chance.choice(["customer", "staff", None]),
                "score": chance.choice([None, 1, 3, 8]),
                "tags": chance.choice([None, ["a"], ["c"]]),
            }

        async def write() -> None:
            for _ in range(120):
                match chance.randrange(6):
                    case 0:
                        contacts.append(await world.contact(**values()))
                    case 1 if len(contacts) > 3:
                        await world.account.contacts.delete(contacts.pop())
                    case 2 if contacts:
                        await world.account.groups.add(vip, ids=[chance.choice(contacts)])
                    case 3 if contacts:
                        await world.account.groups.remove(vip, ids=[chance.choice(contacts)])
                    case _:
                        if not contacts:
                            continue
                        await world.change(chance.choice(contacts), **values())

        async def rework() -> None:
            for _ in range(12):
                await edit(world, one, chance.choice(plain))
                await edit(world, three, f'{chance.choice(plain)} and in none of (segment "Two")')
                await edit(
                    world,
                    two,
                    chance.choice(['in any of (segment "One", group "VIP")', 'in all of (segment "One")']),
                )

        await asyncio.gather(write(), rework())
        for each in (one, two, three, four):
            await check_against_the_query(world, each, set())
