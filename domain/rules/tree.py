"""The tree of a rule: frozen nodes, one tree for one meaning.

Owns the shape of rules: `all_of`, `any_of` and `negate` flatten, unwrap single children and drop double negation, and a
node that is not in that shape cannot be made. Owns the limits, too. Refuses nothing about meaning: `build.py` does that,
and it is the only place that makes conditions from untrusted input.

Invariant: building a tree from a tree's own parts gives the same tree. Held by `tests/domain/rules/test_tree.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from domain.errors import LimitExceeded
from domain.fields import FieldType
from domain.rules.operators import Operator
from domain.rules.readings import Operands

NORMAL = "normal."

_NOT_NORMALISED = "make trees by all_of, any_of and negate, which keep to one tree for one meaning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a condition looks at: a path in the contact's document, and the type of what stands there."""

    path: str
    type: FieldType

    @property
    def key(self) -> str:
        """The name that people use: the field's key, or `created` and `updated` for the contact's own times."""
        return self.path.removeprefix(NORMAL)

    @property
    def is_field(self) -> bool:
        return self.path.startswith(NORMAL)


CREATED = Subject(path="created", type=FieldType.DATETIME)
UPDATED = Subject(path="updated", type=FieldType.DATETIME)


def field_subject(key: str, type_: FieldType) -> Subject:
    return Subject(path=NORMAL + key, type=type_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One question about one value. `include_missing` is None for operators that are not negative."""

    subject: Subject
    operator: Operator
    operands: Operands = ()
    include_missing: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class All:
    children: tuple[Rule, ...]

    def __post_init__(self) -> None:
        if len(self.children) < 2 or any(isinstance(child, All) for child in self.children):
            raise ValueError(_NOT_NORMALISED)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    children: tuple[Rule, ...]

    def __post_init__(self) -> None:
        if len(self.children) < 2 or any(isinstance(child, AnyOf) for child in self.children):
            raise ValueError(_NOT_NORMALISED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    child: Rule

    def __post_init__(self) -> None:
        if isinstance(self.child, Not):
            raise ValueError(_NOT_NORMALISED)  # noqa: TRY004 # the type is right, the shape is not


Rule = All | AnyOf | Not | Condition


def all_of(children: Iterable[Rule]) -> Rule:
    """Every one of `children`, of which there must be at least one."""
    flat = [part for child in children for part in (child.children if isinstance(child, All) else (child,))]
    return flat[0] if len(flat) == 1 else All(children=tuple(flat))


def any_of(children: Iterable[Rule]) -> Rule:
    """At least one of `children`, of which there must be at least one."""
    flat = [part for child in children for part in (child.children if isinstance(child, AnyOf) else (child,))]
    return flat[0] if len(flat) == 1 else AnyOf(children=tuple(flat))


def negate(child: Rule) -> Rule:
    return child.child if isinstance(child, Not) else Not(child=child)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a rule may be. `depth` counts the `all`, `any` and `not` around a condition, after normalisation."""

    depth: int = 10
    conditions: int = 250
    operands: int = 1_000
    text: int = 100_000


def within(rule: Rule, limits: Limits) -> Rule:
    """The rule itself; `LimitExceeded` where it is deeper, or has more conditions, than `limits` say."""
    found = 0
    nodes: list[tuple[Rule, int]] = [(rule, 0)]
    while nodes:
        node, depth = nodes.pop()
        if isinstance(node, Condition):
            found += 1
            continue
        if depth == limits.depth:
            raise LimitExceeded(
                f"A rule is nested to a depth of {limits.depth} at most; this one goes deeper."
            )
        parts = (node.child,) if isinstance(node, Not) else node.children
        nodes.extend((part, depth + 1) for part in parts)
    if found > limits.conditions:
        raise LimitExceeded(f"A rule has {limits.conditions:,} conditions at most; this one has {found:,}.")
    return rule


def conditions(rule: Rule) -> Iterator[Condition]:
    """Every condition, in the order of the text; one that stands twice comes twice."""
    match rule:
        case Condition():
            yield rule
        case Not(child=child):
            yield from conditions(child)
        case All(children=children) | AnyOf(children=children):
            for part in children:
                yield from conditions(part)


def fields_used(rule: Rule) -> frozenset[str]:
    """The keys of the fields that the rule reads. The contact's own times are not among them."""
    return frozenset(condition.subject.key for condition in conditions(rule) if condition.subject.is_field)


def paths_read(rule: Rule) -> frozenset[str]:
    """The paths of the contact's document on which the rule's answer depends."""
    return frozenset(condition.subject.path for condition in conditions(rule))
