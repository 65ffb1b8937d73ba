"""RULES.md, line by line, where it speaks of rules that refer to groups and segments. Each test quotes what it holds."""

import re
from typing import Any

import pytest
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from domain.errors import (
    FieldInUse,
    InvalidField,
    InvalidRule,
    LimitExceeded,
    NameTaken,
    RuleSyntaxError,
    UnknownAudience,
)
from domain.fields import Field, FieldRegistry, FieldType
from domain.rules.build import UnboundMembership, build
from domain.rules.canonical import to_text
from domain.rules.predicate import to_predicate
from domain.rules.query import to_query
from domain.rules.references import check_edit, follow
from domain.rules.text import parse
from domain.rules.tree import (
    All,
    AudienceKind,
    AudienceRef,
    Limits,
    MemberOf,
    Quantifier,
    Rule,
    leaves,
)
from tests.domain.conftest import World, rule
from tests.domain.rules.generate import AUDIENCES, SETTINGS, Generator
from tests.domain.rules.generate import FIELDS as GENERATED

FIELDS = FieldRegistry(
    [
        Field(key="department", label="Department", type=FieldType.TEXT),
        Field(key="role", label="Role", type=FieldType.TEXT),
        Field(key="score", label="Score", type=FieldType.NUMBER),
    ]
)
VIP, LAPSED, STAFF = (ObjectId(f"{number:024x}") for number in range(1, 4))
NAMES = {
    AudienceRef(kind=AudienceKind.GROUP, id=VIP): "VIP",
    AudienceRef(kind=AudienceKind.SEGMENT, id=LAPSED): "Lapsed",
    AudienceRef(kind=AudienceKind.SEGMENT, id=STAFF): "Staff - Active",
}
LIMITS = Limits()


class _Account:
    def named(self, kind: AudienceKind, name: str) -> ObjectId | None:
        found = (
            audience.id
            for audience, known in NAMES.items()
            if audience.kind is kind and known.lower() == name.lower()
        )
        return next(found, None)

    def kind_of(self, identifier: ObjectId) -> AudienceKind | None:
        return next((audience.kind for audience in NAMES if audience.id == identifier), None)

    def names(self, kind: AudienceKind) -> list[str]:
        return [name for audience, name in NAMES.items() if audience.kind is kind]


def _rule(text: str, limits: Limits = LIMITS) -> Rule:
    return parse(text, FIELDS, SETTINGS, limits, _Account())


def _text(said: Rule) -> str:
    return to_text(said, NAMES.__getitem__)


SAVED = {LAPSED: _rule("score < 3"), STAFF: _rule('role is "staff" and in none of (segment "Lapsed")')}
CONTACTS: dict[str, dict[str, Any]] = {
    "a lapsed VIP": {"normal": {"score": 1}, "groups": [VIP]},
    "a VIP": {"normal": {"score": 5}, "groups": [VIP]},
    "lapsed": {"normal": {"score": 1}, "groups": []},
    "active staff": {"normal": {"score": 5, "role": "staff"}, "groups": [ObjectId()]},
    "nobody in particular": {},
}


def _who(text: str) -> set[str]:
    accepts = to_predicate(follow(_rule(text), SAVED.__getitem__))
    return {name for name, contact in CONTACTS.items() if accepts(contact)}


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ('in any of (group "VIP", segment "Lapsed")', {"a lapsed VIP", "a VIP", "lapsed"}),
        ('in all of (group "VIP", segment "Lapsed")', {"a lapsed VIP"}),
        ('in none of (group "VIP", segment "Lapsed")', {"active staff", "nobody in particular"}),
        ('in any of (segment "Staff - Active")', {"active staff"}),
    ],
)
async def test_a_rule_asks_for_the_contact_s_memberships(
    database: AsyncDatabase[dict[str, Any]], text: str, who: set[str]
) -> None:
    """“the contact itself: `in any of (group "VIP", segment "Lapsed")` · `in all of (…)` · `in none of (…)`”

    “every rule has two readings, a MongoDB query and a Python predicate, and for every contact and every instant they agree.”
    """
    assert _who(text) == who
    await database["contacts"].insert_many([{"_id": name, **contact} for name, contact in CONTACTS.items()])
    query = to_query(follow(_rule(text), SAVED.__getitem__))
    assert {found["_id"] async for found in database["contacts"].find(query)} == who


def test_a_membership_says_nothing_about_missing_values() -> None:
    """“Every negative operator (is not, is none of, does not …, not on, has none of, lacks any of, domain is none of) carries
    `includeMissing`”: `in none of` is none of them, because a contact is in an audience or it is not.
    """
    assert _text(_rule('in none of (group "VIP")')) == 'in none of (group "VIP")'
    for words in ("including missing", "excluding missing"):
        with pytest.raises(RuleSyntaxError):
            _rule(f'in none of (group "VIP") {words}')


def test_an_empty_list_of_audiences_is_an_error() -> None:
    """“Empty operand lists are an error, never "matches nothing" or "matches all".”"""
    for quantifier in Quantifier:
        with pytest.raises(RuleSyntaxError):
            _rule(f"in {quantifier} of ()")
        with pytest.raises(InvalidRule, match="an empty list means nothing"):
            build(
                UnboundMembership(quantifier=quantifier, audiences=[]), FIELDS, SETTINGS, LIMITS, _Account()
            )


def test_a_reference_counts_as_a_condition_of_the_rule_that_it_stands_in() -> None:
    """“`all`, `any`, `not`, nested to depth 10, at most 250 conditions”"""
    member = 'in any of (segment "Lapsed")'
    _rule(" or ".join([member, *["score is 1"] * 249]))
    with pytest.raises(LimitExceeded, match="250 conditions"):
        _rule(" or ".join([member, *["score is 1"] * 250]))
    deep = member
    for level in range(10):
        deep = f"({deep}) {'and' if level % 2 else 'or'} score is 1"
    _rule(deep)
    with pytest.raises(LimitExceeded, match="depth of 10"):
        _rule(f"({deep}) or score is 1")


def test_conditions_are_bounded_with_all_references_followed() -> None:
    """“2,500 with all references followed; each limit is a setting and its error names it.”"""
    assert LIMITS.followed_conditions == 2_500
    saved = {LAPSED: _rule(" or ".join(f"score is {number}" for number in range(250)))}

    def meant(times: int, limits: Limits = LIMITS) -> Rule:
        many = [f'role is "{number}" and in any of (segment "Lapsed")' for number in range(times)]
        return follow(_rule(" or ".join(many)), saved.__getitem__, limits)

    assert sum(1 for _ in leaves(meant(9))) == 9 * 251
    with pytest.raises(LimitExceeded, match="2,500 conditions at most"):
        meant(10)
    assert sum(1 for _ in leaves(meant(10, Limits(followed_conditions=2_510)))) == 2_510
    with pytest.raises(LimitExceeded, match="2,509 conditions at most"):
        meant(10, Limits(followed_conditions=2_509))


def test_a_followed_rule_is_one_tree_of_its_meaning() -> None:
    """“Building a tree flattens `all` in `all`, unwraps single children and drops double `not`, so that one meaning has one
    tree.”
    """
    saved = {LAPSED: _rule("score is 1 and score is 2"), STAFF: _rule("not (score is 3)")}
    said = _rule('role is empty and in all of (segment "Lapsed") and in none of (segment "Staff - Active")')
    plain = _rule("role is empty and score is 1 and score is 2 and score is 3")
    assert follow(said, saved.__getitem__) == plain
    assert isinstance(plain, All)
    for seed in range(50):
        generator = Generator(seed, refers=True)
        # Nodes that are not in that form cannot be made; what is left to see is that no reference is left.
        assert not any(isinstance(leaf, MemberOf) for leaf in leaves(generator.followed(generator.rule())))


def test_a_segment_in_a_segment_means_what_its_rule_means() -> None:
    """“Segments in segments mean what the referenced rule means at that instant.”"""
    outer = _rule('in any of (segment "Lapsed")')
    for inner in ("score < 3", 'role is "staff"', 'in any of (group "VIP")'):
        assert follow(outer, {LAPSED: _rule(inner)}.__getitem__) == follow(_rule(inner), SAVED.__getitem__)


def test_a_cycle_is_refused_with_the_cycle_spelled_out() -> None:
    """“Cycles are refused with the cycle spelled out.”"""
    names = {LAPSED: "Lapsed", STAFF: "Staff - Active"}
    for text, spelled in (
        ('in any of (segment "Lapsed")', "“Lapsed” -> “Lapsed”"),
        (
            'score is 1 or not in all of (segment "Staff - Active")',
            "“Lapsed” -> “Staff - Active” -> “Lapsed”",
        ),
    ):
        with pytest.raises(InvalidRule, match=re.escape(spelled)):
            check_edit(
                LAPSED, _rule(text), dependants=[STAFF], rule_of=SAVED.__getitem__, name_of=names.__getitem__
            )


async def test_a_field_that_only_a_referred_to_rule_uses_cannot_be_deleted(world: World) -> None:
    """“A field that a rule uses cannot be deleted or retyped without saying so”"""
    await world.segment("Inner", "score > 1")
    await world.segment("Outer", 'in none of (segment "Inner")')
    with pytest.raises(FieldInUse, match="“Inner”"):
        await world.account.fields.delete("score")


CANONICAL = (
    'not (department is any of ("sales", "support")) and in any of (group "VIP", segment "Staff - Active")'
)


def test_a_rule_with_references_has_one_canonical_text() -> None:
    """“Each rule has one canonical text, with operands in normal form, and each text parses back to the same rule
    (`parse(text(rule)) == rule`)”, and the example

    “not (department is any of ("sales", "support")) and in any of (group "VIP", segment "Staff - Active")”
    """
    assert _text(_rule(CANONICAL)) == CANONICAL
    for seed in range(100):
        said = Generator(seed, refers=True).rule()
        text = to_text(said, AUDIENCES.name)
        assert parse(text, GENERATED, SETTINGS, LIMITS, AUDIENCES) == said


def test_key_words_are_read_in_any_letter_case() -> None:
    """“Key words in any letter case”"""
    shouted = (
        CANONICAL.replace("in any of", "IN ANY OF").replace("group", "Group").replace("segment", "SEGMENT")
    )
    assert _rule(shouted) == _rule(CANONICAL)


def test_not_binds_before_and_with_memberships_too() -> None:
    """“`not` binds before `and`, `and` before `or`; parentheses as usual.”"""
    said = 'not in any of (group "VIP") and score is 1 or in all of (group "VIP")'
    assert _text(_rule(said)) == 'not (in any of (group "VIP")) and score is 1 or in all of (group "VIP")'


def test_names_are_strings_with_escapes() -> None:
    """“strings in double quotes with backslash escapes”"""
    assert _rule('in any of (group "\\u0056IP")') == _rule('in any of (group "VIP")')
    with pytest.raises(RuleSyntaxError):
        _rule("in any of (group 'VIP')")


def test_a_syntax_error_names_line_column_and_what_could_have_stood_there() -> None:
    """“A syntax error names the line, the column, and what could have stood there”"""
    with pytest.raises(RuleSyntaxError) as refused:
        _rule('score is 1\n  and in some of (group "VIP")')
    error = refused.value
    assert (error.line, error.column, set(error.expected)) == (2, 10, {"“all”", "“any”", "“none”"})


def test_an_unknown_audience_names_the_nearest_known_ones() -> None:
    """“an unknown field names the nearest known ones”, and so does an unknown group or segment."""
    with pytest.raises(
        UnknownAudience, match=r"Line 1, column 20: There is no segment “Lapse”\. Did you mean “Lapsed”\?"
    ):
        _rule('in any of (segment "Lapse")')


async def test_names_are_unique_in_their_kind_after_folding(world: World) -> None:
    """“Names of groups and of segments are unique in their kind, after folding.”"""
    group = await world.account.groups.create(ObjectId(), name="Straße", description=None)
    segment = await world.segment("STRASSE", "score is 1")
    for taken in ("strasse", " STRASSE "):
        with pytest.raises(NameTaken):
            await world.account.groups.create(ObjectId(), name=taken, description=None)
        with pytest.raises(NameTaken):
            await world.segment(taken, "score is 2")
    both = await world.segment("Both", 'in all of (group "STRASSE", segment "straße")')
    saved = (await world.account.definitions.current()).segments[both].rule
    assert isinstance(saved, MemberOf)
    assert [audience.id for audience in saved.audiences] == [group.id, segment]
    await world.account.segments.update(both, rule=rule('in any of (segment "strasse")'))


def test_no_field_can_be_taken_for_the_groups_of_a_contact() -> None:
    """“`id`, `key`, `created`, `updated`, `groups` are reserved”"""
    with pytest.raises(InvalidField, match="reserved"):
        Field(key="groups", label="Groups", type=FieldType.TAGS)


def test_the_generator_draws_every_kind_of_reference() -> None:
    """“A property test generates rules of every operator and contacts of every type”"""
    met: set[tuple[Quantifier, AudienceKind]] = set()
    nested = 0
    for seed in range(100):
        generator = Generator(seed, refers=True)
        for said in (generator.rule(), *generator.segments.values()):
            for leaf in leaves(said):
                if isinstance(leaf, MemberOf):
                    met |= {(leaf.quantifier, audience.kind) for audience in leaf.audiences}
        nested += any(
            isinstance(leaf, MemberOf) for inner in generator.segments.values() for leaf in leaves(inner)
        )
    assert met == {(quantifier, kind) for quantifier in Quantifier for kind in AudienceKind}
    assert nested > 50
