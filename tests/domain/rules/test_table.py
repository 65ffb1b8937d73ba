import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from bson import ObjectId

from domain.errors import ShoalError
from domain.fields import Field, FieldRegistry, FieldType
from domain.rules.calendar import LARGEST_COUNT
from domain.rules.canonical import to_text
from domain.rules.moving import is_moving
from domain.rules.operators import Operator
from domain.rules.table import SERVED_BY_AN_INDEX, example, operator_table
from domain.rules.text import parse
from domain.rules.tree import AudienceKind, Limits, MemberOf, Quantifier, leaves
from tests.domain.rules.generate import AUDIENCES, LIMITS, SETTINGS

DOCUMENT = Path(__file__).parents[3] / "docs/rules.md"

FIELDS = FieldRegistry(
    [
        Field(key="role", label="Role", type=FieldType.CHOICE),
        Field(key="plan", label="Plan", type=FieldType.CHOICE),
        Field(key="department", label="Department", type=FieldType.CHOICE),
        Field(key="city", label="City", type=FieldType.TEXT),
        Field(key="not", label="Not", type=FieldType.TEXT),
        Field(key="score", label="Score", type=FieldType.NUMBER),
        Field(key="newsletter", label="Newsletter", type=FieldType.BOOLEAN),
        Field(key="last_seen", label="Last seen", type=FieldType.DATETIME),
        Field(key="interests", label="Interests", type=FieldType.TAGS),
        Field(key="contract_end", label="Contract end", type=FieldType.DATE),
    ]
)


def _section(title: str) -> str:
    found = re.search(
        rf"^## {title}\n(.*?)(?=^## |\Z)", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found is not None
    return found[1]


def test_the_documentation_holds_the_table_of_operators() -> None:
    _, _, printed = _section("All operators").partition("-->\n")
    assert printed == operator_table(), (
        "docs/rules.md is not what the operators say. Print the end of it anew: python -m api rules-table"
    )


@pytest.mark.parametrize("operator", Operator)
def test_an_example_is_a_rule(operator: Operator) -> None:
    for include_missing in (True, False):
        condition = example(operator, include_missing=include_missing)
        assert condition.operator is operator
        assert parse(to_text(condition), FIELDS, SETTINGS, LIMITS) == condition


def test_the_table_has_a_line_for_each_operator_and_every_line_as_many_cells() -> None:
    lines = operator_table().splitlines()
    assert len(lines) == len(Operator) + 2
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {8}
    assert sum(line.endswith("| yes |") for line in lines) == len(SERVED_BY_AN_INDEX)


class _AnyAudience:
    """An account in which every name is taken."""

    def named(self, _kind: AudienceKind, _name: str) -> ObjectId | None:
        return ObjectId()

    def kind_of(self, _identifier: ObjectId) -> AudienceKind | None:
        raise NotImplementedError

    def names(self, _kind: AudienceKind) -> Iterable[str]:
        raise NotImplementedError


def test_every_rule_in_the_documentation_can_be_built() -> None:
    rows = re.findall(
        r"^\| (?!in words|---).* \| `(.*)` \|$", _section("Six rules, in words and as text"), re.MULTILINE
    )
    assert len(rows) == 6
    moving = re.findall(
        r"^\| (?!in words|---).* \| `(.*)` \|$", _section("Rules that move with time"), re.MULTILINE
    )
    assert len(moving) >= 5
    assert all(is_moving(parse(text, FIELDS, SETTINGS, LIMITS)) for text in moving)
    before_the_mistakes, _, _ = DOCUMENT.read_text("utf-8").partition("## What goes wrong")
    quoted = re.findall(r"`([a-z_]+ (?:is|starts) [^`]*)`", before_the_mistakes)
    for text in [*rows, *quoted]:
        parse(re.sub(r"\s+", " ", text), FIELDS, SETTINGS, LIMITS, _AnyAudience())
    for text in re.findall(r"`F ((?:in|more|this|last|next|anniversary) [^`]*)`", before_the_mistakes):
        parse(f"birthdate {text}", FIELDS, SETTINGS, LIMITS)


def test_every_rule_over_groups_and_segments_in_the_documentation_can_be_built() -> None:
    rows = re.findall(
        r"^\| (?!in words|---).* \| `(.*)` \|$", _section("Groups and segments inside rules"), re.MULTILINE
    )
    assert len(rows) >= 4
    built = [parse(text, FIELDS, SETTINGS, LIMITS, _AnyAudience()) for text in rows]
    said = {leaf.quantifier for rule in built for leaf in leaves(rule) if isinstance(leaf, MemberOf)}
    assert said == set(Quantifier)


def test_what_goes_wrong_says_what_the_documentation_says() -> None:
    rows = re.findall(r"^\| `(.*)` \| (.*) \|$", _section("What goes wrong, and what it says"), re.MULTILINE)
    assert len(rows) >= 6
    for text, message in rows:
        with pytest.raises(ShoalError) as refused:
            parse(text, FIELDS, SETTINGS, LIMITS, AUDIENCES)
        assert refused.value.message == message


def test_the_limits_are_the_documented_ones() -> None:
    said = re.sub(r"\s+", " ", _section("Limits"))
    limits = Limits()
    for number in (
        *(limits.depth, limits.conditions, limits.operands, limits.text),
        *(limits.followed_depth, limits.followed_conditions),
        LARGEST_COUNT,
    ):
        assert f"{number:,}" in said
