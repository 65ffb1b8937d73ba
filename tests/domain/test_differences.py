from bson import ObjectId

from domain.differences import differences
from domain.rules.query import Query
from tests.domain.conftest import World
from tests.domain.membership.test_dependants import edit, rule, segment


async def found(world: World, query: Query) -> set[ObjectId]:
    return {each["_id"] for each in await world.store.contacts("default").find(query, projection={"_id": 1})}


async def test_what_is_foretold_of_an_edit_is_what_it_does(world: World) -> None:
    async with world.engine():
        one, two, three = [await world.contact(role="customer", score=score) for score in (1, 5, 9)]
        inner = await segment(world, "Inner", "score < 6")
        outer = await segment(world, "Outer", 'in none of (segment "Inner") and role is "customer"')
        unmoved = await segment(world, "Unmoved", 'in any of (segment "Inner") or score is not empty')
        await segment(world, "Elsewhere", 'role is "customer"')
        catalogue = await world.account.definitions.current()
        new_rule = "score > 4"
        told = differences(catalogue, inner, rule(new_rule)(catalogue), world.account.feed.instant)
        changed = [
            (each.segment.id, await found(world, each.joining), await found(world, each.leaving))
            for each in told
        ]
        assert changed[0] == (inner, {three}, {one})
        assert sorted(changed[1:]) == sorted([(outer, {one}, {three}), (unmoved, set(), set())])
        await edit(world, inner, new_rule)
        catalogue = await world.account.definitions.current()
        instant = world.account.feed.instant
        assert await found(world, catalogue.criterion(inner).query(instant)) == {two, three}
        assert await found(world, catalogue.criterion(outer).query(instant)) == {one}


async def test_an_edit_that_changes_nothing_foretells_nothing(world: World) -> None:
    inner = await segment(world, "Inner", "score < 6")
    await segment(world, "Outer", 'in none of (segment "Inner")')
    catalogue = await world.account.definitions.current()
    told = differences(catalogue, inner, rule("score < 6")(catalogue), world.account.feed.instant)
    assert [each.segment.id for each in told] == [inner]
