import asyncio
from functools import partial

import pytest
from bson import ObjectId

from domain.catalogue import Catalogue
from domain.errors import AudienceInUse, FieldInUse, InvalidRule, LimitExceeded, UnknownAudience
from domain.referring import KnownAudiences
from domain.rules.canonical import to_text
from domain.rules.references import LIMITS
from domain.rules.tree import AudienceKind, AudienceRef, MemberOf, Quantifier, Rule
from tests.domain.conftest import World, rule


async def _group(world: World, name: str) -> ObjectId:
    return (await world.account.groups.create(ObjectId(), name=name, description=None)).id


def _just(rule: Rule, _: Catalogue) -> Rule:
    return rule


async def _text(world: World, segment: ObjectId) -> str:
    catalogue = await world.account.definitions.current()
    return to_text(catalogue.segments[segment].rule, KnownAudiences(catalogue).name)


async def test_a_segment_refers_to_groups_and_segments_by_their_names(world: World) -> None:
    await _group(world, "VIP")
    await world.segment("Lapsed", "score < 1")
    segment = await world.segment("Asked", 'in any of (group "vip", segment "LAPSED") and role is empty')
    assert await _text(world, segment) == 'in any of (group "VIP", segment "Lapsed") and role is empty'
    with pytest.raises(UnknownAudience, match=r"There is no group “VIPs”\. Did you mean “VIP”"):
        await world.segment("Others", 'in any of (group "VIPs")')


async def test_renaming_breaks_no_reference_and_the_text_shows_the_new_name(world: World) -> None:
    vips, lapsed = await _group(world, "VIP"), await world.segment("Lapsed", "score < 1")
    segment = await world.segment("Asked", 'in none of (group "VIP", segment "Lapsed")')
    await world.account.groups.update(vips, name="Best")
    await world.account.segments.update(lapsed, name='The "lost"')
    assert await _text(world, segment) == r'in none of (group "Best", segment "The \"lost\"")'
    # The old name is free, and whoever takes it is somebody else.
    await _group(world, "VIP")
    assert await _text(world, segment) == r'in none of (group "Best", segment "The \"lost\"")'


async def test_a_circle_is_refused_with_the_way_round_spelled_out_and_nothing_is_saved(world: World) -> None:
    a = await world.segment("A", "score > 1")
    b = await world.segment("B", 'in any of (segment "A") and role is empty')
    await world.segment("C", 'not in none of (segment "B")')
    for text, spelled in (
        ('in any of (segment "A")', "“A” -> “A”"),
        ('score > 2 or in all of (segment "B")', "“A” -> “B” -> “A”"),
        ('in any of (segment "C")', "“A” -> “C” -> “B” -> “A”"),
    ):
        with pytest.raises(InvalidRule) as refused:
            await world.account.segments.update(a, rule=rule(text))
        assert spelled in refused.value.message
        assert refused.value.path == ("rule",)
    assert await _text(world, a) == "score > 1"
    await world.account.segments.update(b, rule=rule("role is empty"))
    await world.account.segments.update(a, rule=rule('in any of (segment "B")'))


async def test_of_two_edits_at_once_that_make_a_circle_together_one_is_refused(world: World) -> None:
    a, b = await world.segment("A", "score > 1"), await world.segment("B", "score > 2")
    done = await asyncio.gather(
        world.account.segments.update(a, rule=rule('in any of (segment "B")')),
        world.account.segments.update(b, rule=rule('in any of (segment "A")')),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in done) == ["InvalidRule", "Segment"]


async def test_a_segment_is_told_that_it_cannot_refer_to_itself(world: World) -> None:
    with pytest.raises(UnknownAudience) as refused:
        await world.segment("Ring", 'in any of (segment "ring")')
    assert refused.value.message.endswith("There is no segment “ring”. A segment cannot refer to itself.")
    ring = await world.segment("Ring", "score > 0")
    with pytest.raises(InvalidRule, match="Take the reference to “Ring” out of its own rule"):
        await world.account.segments.update(ring, rule=rule('in any of (segment "Ring")'))


async def test_what_rules_refer_to_is_not_deleted_and_those_that_do_are_named(world: World) -> None:
    vips, lapsed = await _group(world, "VIP"), await world.segment("Lapsed", "score < 1")
    users = [
        await world.segment(f"S{number:02}", 'score > 0 and in any of (group "VIP", segment "Lapsed")')
        for number in range(13)
    ]
    first = ", ".join(f"“S{number:02}”" for number in range(10))
    for deletion, named in (
        (world.account.groups.delete(vips), "group “VIP”"),
        (world.account.segments.delete(lapsed), "segment “Lapsed”"),
    ):
        with pytest.raises(AudienceInUse) as refused:
            await deletion
        assert refused.value.message == (
            f"The rules of these segments refer to the {named}: {first} and 3 more. Edit or delete them first."
        )
        assert refused.value.path == ("id",)
    await asyncio.gather(*map(world.account.segments.delete, users[1:]))
    with pytest.raises(
        AudienceInUse, match=r"^The rule of one segment refers to .*“VIP”: “S00”\. Edit or delete it"
    ):
        await world.account.groups.delete(vips)
    await world.account.segments.update(users[0], rule=rule('in any of (segment "Lapsed")'))
    await world.account.groups.delete(vips)
    await world.account.segments.delete(users[0])
    await world.account.segments.delete(lapsed)


async def test_a_reference_and_the_deletion_of_what_it_is_to_do_not_pass_each_other(world: World) -> None:
    for number in range(5):
        group = await _group(world, f"G{number}")
        done = await asyncio.gather(
            world.account.groups.delete(group),
            world.segment(f"S{number}", f'in any of (group "G{number}")'),
            return_exceptions=True,
        )
        assert [isinstance(each, AudienceInUse | UnknownAudience) for each in done].count(True) == 1


async def test_a_rule_that_refers_to_what_is_not_there_is_refused_however_it_was_made(world: World) -> None:
    group = await _group(world, "VIP")
    foreign = (
        await world.accounts.get("other").groups.create(ObjectId(), name="Foreign", description=None)
    ).id
    for kind, identifier in (
        (AudienceKind.SEGMENT, group),
        (AudienceKind.GROUP, ObjectId()),
        (AudienceKind.GROUP, foreign),
    ):
        reference = MemberOf(quantifier=Quantifier.ANY, audiences=(AudienceRef(kind=kind, id=identifier),))
        with pytest.raises(UnknownAudience) as refused:
            await world.account.segments.create(
                ObjectId(), name="Odd", description=None, rule=partial(_just, reference)
            )
        assert refused.value.path == ("rule",)
    assert (await world.account.definitions.current()).segments == {}


async def test_an_inner_rule_may_not_grow_beyond_what_an_outer_one_can_hold(world: World) -> None:
    inner = await world.segment("Inner", "score is 0")
    twice = " or ".join(f'role is "{number}" and in any of (segment "Inner")' for number in range(100))
    await world.segment("Outer", twice)
    outermost = " or ".join(f'role is "{number}" and in any of (segment "Outer")' for number in range(10))
    await world.segment("Outermost", outermost)
    conditions = 10 * (1 + 100 * 2)
    assert conditions <= LIMITS.followed_conditions < 10 * (1 + 100 * 3)
    with pytest.raises(LimitExceeded, match=r"2,500 conditions.*“Outermost” would have more") as refused:
        await world.account.segments.update(inner, rule=rule("score is 0 or score is 1"))
    assert refused.value.path == ("rule",)
    with pytest.raises(LimitExceeded, match=r"2,500 conditions.*this one has more"):
        await world.segment("Largest", outermost.replace("Outer", "Outermost"))
    await world.account.segments.update(inner, rule=rule("score is 1"))


async def test_references_go_so_deep_and_no_deeper(world: World) -> None:
    first = await world.segment("0", "score is 0")
    for number in range(1, LIMITS.followed_depth + 1):
        await world.segment(str(number), f'in any of (segment "{number - 1}")')
    with pytest.raises(LimitExceeded, match=r"40 levels.*this one has more"):
        await world.segment("41", 'in any of (segment "40")')
    with pytest.raises(LimitExceeded, match=r"40 levels.*“40” would have more"):
        await world.account.segments.update(first, rule=rule("score is 0 and role is empty"))


async def test_a_field_that_only_a_referred_to_segment_uses_is_not_deleted(world: World) -> None:
    await world.segment("Inner", "score > 1")
    await world.segment("Outer", 'in any of (segment "Inner")')
    with pytest.raises(FieldInUse, match=r"^One segment uses the field “score”: “Inner”\. Edit or delete it"):
        await world.account.fields.delete("score")
