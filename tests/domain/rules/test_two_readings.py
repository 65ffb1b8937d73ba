"""A rule's two readings agree: `find(query)` returns exactly the contacts that the predicate accepts."""

from typing import Any

import pytest
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from domain.audiences import difference
from domain.fields import FieldType
from domain.rules.calendar import Now
from domain.rules.moving import at, is_moving
from domain.rules.operators import Fixed, Operator, operators_of
from domain.rules.predicate import to_predicate
from domain.rules.query import to_query
from domain.rules.references import referred
from domain.rules.text import parse
from domain.rules.tree import (
    Limits,
    MemberOf,
    Quantifier,
    Rule,
    all_of,
    any_of,
    conditions,
    negate,
    within,
)
from tests.domain.rules.generate import FIELDS, LIMITS, NOWS, SETTINGS, SUBJECTS, Generator

Document = dict[str, Any]

SEED = 20260503
CONTACTS = 150
TREES = 60
TREES_AT_AN_INSTANT = 8


def _rules(generator: Generator) -> list[Rule]:
    """A condition of every operator on every field that has it, missing values in and out, and trees of them."""
    singles = [
        generator.condition(key, operator, include_missing=include_missing)
        for key, type_ in SUBJECTS.items()
        for operator in operators_of(type_)
        for include_missing in ([True, False] if operator.value.negative else [None])
    ]
    return singles + [generator.rule() for _ in range(TREES)]


def _moving_rules(generator: Generator) -> list[Rule]:
    """A condition of every moving operator on every field that has it, and trees with moving conditions in them."""
    singles = [
        generator.condition(key, operator)
        for key, type_ in SUBJECTS.items()
        for operator in operators_of(type_)
        if not isinstance(operator.value.means, Fixed)
    ]
    trees: list[Rule] = []
    while len(trees) < TREES_AT_AN_INSTANT:
        if is_moving(tree := generator.rule()):
            trees.append(tree)
    return singles + trees


async def _stored(contacts: AsyncCollection[Document], generator: Generator) -> list[Document]:
    """Contacts of two accounts, as they come back from the database."""
    await contacts.insert_many(
        [
            {"_id": number, "account": "ours" if number % 5 else "theirs", **generator.contact()}
            for number in range(CONTACTS)
        ]
    )
    return await contacts.find().to_list()


async def _disagreements(
    contacts: AsyncCollection[Document], scope: Document, stored: list[Document], rules: list[Rule], now: Now
) -> list[str]:
    found: list[str] = []
    documents = {document["_id"]: document for document in stored}
    for each in rules:
        fixed = at(each, now)
        query = {**scope, **to_query(fixed)}
        predicate = to_predicate(fixed)
        wanted = {document["_id"] for document in stored if predicate(document)}
        selected = {document["_id"] async for document in contacts.find(query, {"_id": 1})}
        found.extend(
            f"{each} at {now}\n    {query}\n"
            f"    {'only the query' if number in selected else 'only the predicate'} takes {documents[number]}"
            for number in sorted(selected ^ wanted)
        )
    return found


def _indexes() -> list[IndexModel]:
    paths = [f"normal.{key}" for key in FIELDS] + [
        f"anniversaries.{key}" for key, field in FIELDS.items() if field.type is FieldType.DATE
    ]
    return [IndexModel([("account", ASCENDING), (path, ASCENDING)]) for path in paths]


async def test_both_readings_accept_the_same_contacts(database: AsyncDatabase[Document]) -> None:
    generator = Generator(SEED)
    rules, now = _rules(generator), NOWS[0]
    generator.aim(rules, now)
    stored = await _stored(database["contacts"], generator)
    assert len(rules) * len(stored) >= 20_000
    assert await _disagreements(database["contacts"], {}, stored, rules, now) == []


async def test_both_readings_agree_within_an_account_whose_fields_are_indexed(
    database: AsyncDatabase[Document],
) -> None:
    generator = Generator(SEED + 1, tame=True)
    rules, now = _rules(generator), NOWS[0]
    generator.aim(rules, now)
    await database["contacts"].create_indexes(_indexes())
    stored = await _stored(database["contacts"], generator)
    ours = [document for document in stored if document["account"] == "ours"]
    assert await _disagreements(database["contacts"], {"account": "ours"}, ours, rules, now) == []


@pytest.mark.parametrize("now", NOWS, ids=lambda now: f"{now.settings.time_zone} {now.instant:%Y-%m-%d}")
async def test_both_readings_of_moving_rules_agree_at_every_instant(
    database: AsyncDatabase[Document], now: Now
) -> None:
    # By turns with indexes and without, so that both see clocks change and leap days pass.
    indexed = NOWS.index(now) % 2 == 1
    generator = Generator(SEED + NOWS.index(now), tame=indexed)
    rules = _moving_rules(generator)
    generator.aim(rules, now)
    if indexed:
        await database["contacts"].create_indexes(_indexes())
    stored = await _stored(database["contacts"], generator)
    ours = [document for document in stored if document["account"] == "ours"]
    assert await _disagreements(database["contacts"], {"account": "ours"}, ours, rules, now) == []


@pytest.mark.parametrize("indexed", [False, True], ids=["plain", "indexed"])
async def test_both_readings_of_rules_that_refer_to_others_agree_at_several_instants(
    *, database: AsyncDatabase[Document], indexed: bool
) -> None:
    generator = Generator(SEED + 2, tame=indexed, refers=True)
    if indexed:
        groups = IndexModel([("account", ASCENDING), ("groups", ASCENDING)])
        await database["contacts"].create_indexes([groups, *_indexes()])
    memberships = [
        MemberOf(quantifier=quantifier, audiences=tuple(audiences))
        for quantifier in Quantifier
        for audiences in (generator.referable[:1], generator.referable[-1:], generator.referable[2:7])
    ]
    drawn = [generator.rule() for _ in range(TREES)]
    # Some more of those that move, if only by what they refer to.
    drawn += [
        rule for rule in (generator.rule() for _ in range(TREES)) if is_moving(generator.followed(rule))
    ]
    said = [*memberships, *generator.segments.values(), *drawn]
    assert sum(bool(referred(rule)) for rule in said) > TREES / 2
    rules = [generator.followed(rule) for rule in said]
    assert sum(is_moving(rule) for rule, each in zip(rules, said, strict=True) if referred(each)) >= 10
    nows = NOWS[int(indexed) :: 9]
    generator.aim(rules, *nows)
    stored = await _stored(database["contacts"], generator)
    ours = [document for document in stored if document["account"] == "ours"]
    for now in nows:
        assert await _disagreements(database["contacts"], {"account": "ours"}, ours, rules, now) == []
        answers = {to_predicate(at(rule, now))(document) for rule in rules[:9] for document in ours}
        assert answers == {True, False}


async def test_the_deepest_rule_that_may_be_followed_is_found(database: AsyncDatabase[Document]) -> None:
    def said(text: str) -> Rule:
        return parse(text, FIELDS, SETTINGS, LIMITS)

    # The shape that takes most of a query's depth: of two alternatives side by side, one stands under `$and`.
    rule = said("score is 1")
    for level in range(LIMITS.followed_depth // 2):
        rule = all_of(
            [
                said('city is "a" or city is "b"'),
                any_of([said(f"score is {100 + level}"), rule]),
            ]
        )
    assert within(rule, Limits(depth=LIMITS.followed_depth)) is rule
    contacts = database["contacts"]
    normals = [
        {"city": "a", "score": 1},
        {"city": "b", "score": 107},
        {"city": "a", "score": 3},
    ]
    await contacts.insert_many([{"account": "ours", "normal": normal} for normal in normals])
    stored = await contacts.find().to_list()
    assert await _disagreements(contacts, {"account": "ours"}, stored, [rule, negate(rule)], NOWS[0]) == []
    edited = difference(to_query(said("score is not empty")), to_query(rule))
    assert len(await contacts.find({"$and": [{"account": "ours"}, edited]}).to_list()) == 1


def test_the_generator_meets_every_operator_with_both_answers() -> None:
    generator = Generator(SEED)
    rules, now = _rules(generator), NOWS[0]
    generator.aim(rules, now)
    contacts = [generator.contact() for _ in range(CONTACTS)]
    answers: dict[Operator, set[bool]] = {operator: set() for operator in Operator}
    missing: dict[Operator, set[bool | None]] = {operator: set() for operator in Operator}
    for each in {one for tree in rules for one in conditions(tree)}:
        predicate = to_predicate(at(each, now))
        answers[each.operator] |= {predicate(document) for document in contacts}
        missing[each.operator].add(each.include_missing)
    assert {operator.name: found for operator, found in answers.items() if found != {True, False}} == {}
    for operator in Operator:
        assert missing[operator] == ({True, False} if operator.value.negative else {None})


# What was once judged differently by the two readings, or by two servers, or was nearly written wrongly: the rule, what is
# stored under `normal`, and which of it the rule accepts.
NAMED_CASES: dict[str, tuple[str, list[Any], list[int]]] = {
    "true is no number": ("score is 1", [{"score": True}, {"score": 1}, {"score": 1.0}], [1, 2]),
    "1 is not true": ("newsletter is true", [{"newsletter": 1}, {"newsletter": True}], [1]),
    "true is not among 1 and 2": ("score is any of (1, 2)", [{"score": True}, {"score": 2.0}], [1]),
    "false is not below 1": ("score < 1", [{"score": False}, {"score": 0}], [1]),
    "a double beside the integer that it cannot be": (
        "score is 9007199254740993",
        [{"score": 2**53 + 1}, {"score": float(2**53)}, {"score": 2**53}],
        [0],
    ),
    "order of integers and doubles beyond 2**53": (
        "score > 9007199254740992",
        [{"score": 2**53 + 1}, {"score": float(2**53)}, {"score": float(2**53 + 2)}],
        [0, 2],
    ),
    "the greatest int64 is below the double 2**63": (
        "score >= 9.223372036854775808e18",
        [{"score": 2**63 - 1}, {"score": 2.0**63}],
        [1],
    ),
    "negative zero": ("score is 0", [{"score": -0.0}, {"score": 0}], [0, 1]),
    "nan is in no order": ("score <= 3", [{"score": float("nan")}, {"score": 3}], [1]),
    "nan is not 3": ("score is not 3", [{"score": float("nan")}, {"score": 3}, {}], [0, 2]),
    "a closing line feed is not the end": ('city ends with "a"', [{"city": "a\n"}, {"city": "ba"}], [1]),
    "a closing line feed is no part of a domain": (
        'email domain is any of ("x.org")',
        [{"email": "a@x.org\n"}, {"email": "a@x.org"}],
        [1],
    ),
    "a dot in a domain is a dot": (
        'email domain is any of ("example.org")',
        [{"email": "a@examplexorg"}, {"email": "a@example.org"}, {"email": "a@sub.example.org"}],
        [1],
    ),
    "a domain is what stands behind the sign": (
        'email domain is any of ("example.org")',
        [{"email": "example.org"}, {"email": "a@example.org"}],
        [1],
    ),
    "none of the domains, missing ones out": (
        'email domain is none of ("x.org") excluding missing',
        [{"email": "a@x.org"}, {"email": "a@y.org"}, {}],
        [1],
    ),
    "signs of regular expressions are letters": (
        'city contains ".*[a](b)|^$"',
        [{"city": "x.*[a](b)|^$y"}, {"city": "xa"}, {"city": ""}],
        [0],
    ),
    "less-than and greater-than are letters": ('city contains "<a>"', [{"city": "<a>"}, {"city": "a"}], [0]),
    "a quotation by \\Q is letters": (
        'city contains "\\\\qa\\\\e"',
        [{"city": "\\qa\\e"}, {"city": "a"}],
        [0],
    ),
    "nothing begins with more than it has": (
        'city starts with "ab"',
        [{"city": "a"}, {"city": "abc"}, {"city": "ac"}],
        [1],
    ),
    "beginning with the last of all characters": (
        'city starts with "\U0010ffff"',
        [{"city": "\U0010ffff"}, {"city": "\U0010ffffa"}, {"city": "\U0010fffe"}],
        [0, 1],
    ),
    "beginning with the last character before the surrogates": (
        'city starts with "\ud7ff"',
        [{"city": "\ud7ffa"}, {"city": "\ue000"}],
        [0],
    ),
    "not beginning with it, which a missing value does not": (
        'city does not start with "a"',
        [{"city": "ab"}, {"city": "b"}, {}, {"city": 1}],
        [1, 2, 3],
    ),
    "null is missing": (
        "city is empty",
        [{"city": None}, {}, {"city": ""}, {"city": []}, {"city": [None]}],
        [0, 1, 4],
    ),
    "null is not taken for another value": (
        'city is not "a" excluding missing',
        [{"city": None}, {"city": "b"}],
        [1],
    ),
    "no normal form at all": ('city is not "a"', [None], [0]),
    "each end of a span by another element": (
        "score between 3 and 5",
        [{"score": [1, 9]}, {"score": [9]}],
        [0],
    ),
    "a text in the place of tags": (
        'interests has all of ("hats")',
        [{"interests": "hats"}, {"interests": ["hats"]}],
        [0, 1],
    ),
    "a list in a list": (
        'interests has any of ("hats")',
        [{"interests": [["hats"]]}, {"interests": ["hats"]}],
        [1],
    ),
    "no tags lack any": (
        'interests lacks any of ("a", "b")',
        [{}, {"interests": ["a"]}, {"interests": ["a", "b"]}, {"interests": ["c"]}],
        [0, 1, 3],
    ),
    "no tags are excluded where missing is": (
        'interests lacks any of ("a", "b") excluding missing',
        [{}, {"interests": ["a"]}, {"interests": ["a", "b"]}],
        [1],
    ),
    "a denied negative without its missing values": (
        'not (city is not "a" excluding missing)',
        [{}, {"city": "a"}, {"city": "b"}],
        [0, 1],
    ),
    "two parts of one text": (
        'city contains "a" and city contains "b"',
        [{"city": "ab"}, {"city": "a"}],
        [0],
    ),
    "two denials of one field": (
        'not (city is "a") and not (city is "b")',
        [{"city": "a"}, {"city": "b"}, {}],
        [2],
    ),
    "neither these nor those": (
        'not (city is "a" or score is 1) and not (city is "b" or score is 2)',
        [{"city": "a"}, {"city": "b"}, {"score": 1}, {"score": 2}, {"city": "c"}],
        [4],
    ),
    "either of these and either of those": (
        '(city is "a" or score is 1) and (city is "b" or score is 2)',
        [{"city": "a", "score": 2}, {"city": "b", "score": 1}, {"city": "a"}, {"score": 2}],
        [0, 1],
    ),
    "the first and the last of all dates": (
        "birthdate between 0001-01-01 and 9999-12-31",
        [{"birthdate": "0001-01-01"}, {"birthdate": "9999-12-31"}, {}],
        [0, 1],
    ),
}


@pytest.mark.parametrize("indexed", [False, True], ids=["plain", "indexed"])
async def test_named_cases(*, database: AsyncDatabase[Document], indexed: bool) -> None:
    for number, (name, (text, normals, accepted)) in enumerate(NAMED_CASES.items()):
        # The embedded database joins the bounds of two elements of one list when it answers from an index.
        if indexed and name == "each end of a span by another element":
            continue
        contacts = database[f"case_{number}"]
        if indexed:
            await contacts.create_indexes(
                [
                    IndexModel([("account", ASCENDING), (f"normal.{key}", ASCENDING)])
                    for key in FIELDS
                    if key in text
                ]
            )
        documents: list[Document] = [
            {"_id": position, "account": "ours"} | ({} if normal is None else {"normal": normal})
            for position, normal in enumerate(normals)
        ]
        await contacts.insert_many(documents)
        each = parse(text, FIELDS, SETTINGS, LIMITS)
        predicate = to_predicate(each)
        assert [document["_id"] for document in documents if predicate(document)] == accepted, name
        selected = contacts.find({"account": "ours", **to_query(each)}, {"_id": 1}).sort("_id")
        assert [document["_id"] async for document in selected] == accepted, name


def test_conditions_on_different_paths_become_one_flat_query() -> None:
    text = 'city is "a" and score > 1 and score <= 5 and not (email is empty) and created after 2026-01-01T00:00:00Z'
    query = to_query(parse(text, FIELDS, SETTINGS, LIMITS))
    assert [key for key in query if key.startswith("$")] == []
    assert query["normal.city"] == "a"
    assert query["normal.score"] == {"$gt": 1, "$lte": 5}
