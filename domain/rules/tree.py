"""The tree of a rule: frozen nodes, one tree for one meaning.

Owns the shape of rules: `all_of`, `any_of` and `negate` flatten, unwrap single children and drop double negation, and a
node that is not in that shape cannot be made. Owns the limits, too. Refuses nothing about meaning: `build.py` does that,
and it is the only place that makes conditions from untrusted input.

Invariant: building a tree from a tree's own parts gives the same tree. Held by `tests/domain/rules/test_tree.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from bson import ObjectId

from domain.errors import LimitExceeded
from domain.fields import FieldType
from domain.rules.operators import Operator, Yearly
from domain.rules.readings import Operands

NORMAL = "normal."
ANNIVERSARIES = "anniversaries."

# Where a contact lists the static groups that it is in.
GROUPS = "groups"

UNFOLLOWED = "what a reference reads is known only once it is followed (`references.follow`)"

_NOT_NORMALISED = "make trees by all_of, any_of and negate, which keep to one tree for one meaning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a condition looks at: a path in the contact's document, and the type of what stands there."""

    path: str
    type: FieldType

    @property
    def key(self) -> str:
        """The name that people use: the field's key, or `created` and `updated` for the contact's own times."""
        return self.path.removeprefix(NORMAL).removeprefix(ANNIVERSARIES)

    @property
    def is_field(self) -> bool:
        return self.path.startswith((NORMAL, ANNIVERSARIES))


CREATED = Subject(path="created", type=FieldType.DATETIME)
UPDATED = Subject(path="updated", type=FieldType.DATETIME)


def field_subject(key: str, type_: FieldType) -> Subject:
    return Subject(path=NORMAL + key, type=type_)


def anniversary_subject(key: str) -> Subject:
    """The days of the year (`MM-DD`) of a field's dates."""
    return Subject(path=ANNIVERSARIES + key, type=FieldType.DATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One question about one value. `include_missing` is None for operators that are not negative."""

    subject: Subject
    operator: Operator
    operands: Operands = ()
    include_missing: bool | None = None


class AudienceKind(StrEnum):
    GROUP = "group"
    SEGMENT = "segment"


class Quantifier(StrEnum):
    ANY = "any"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceRef:
    """Another audience, as a rule refers to it: by its identifier, so that renaming it changes no rule."""

    kind: AudienceKind
    id: ObjectId


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberOf:
    """In any, in all, or in none of these audiences. It has a query and a predicate only once it is followed (`references.py`)."""

    quantifier: Quantifier
    audiences: tuple[AudienceRef, ...]

    def __post_init__(self) -> None:
        if not self.audiences or len(set(self.audiences)) < len(self.audiences):
            raise ValueError("a membership is of one audience at least, and of none twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Carries:
    """The contact lists this value under a path. It comes of following references and from the catalogue, never from input."""

    path: str
    value: ObjectId | str


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


Leaf = Condition | MemberOf | Carries
Rule = All | AnyOf | Not | Leaf


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
    """How large a rule may be. `depth` counts the `all`, `any` and `not` around a condition, after normalisation.

    What begins with `followed` bounds the rule with all that it refers to in the place of its references, each of which is one
    more level. Databases nest documents to a depth of 100, and each level takes two of them.
    """

    depth: int = 10
    conditions: int = 250
    followed_depth: int = 40
    followed_conditions: int = 2_500
    operands: int = 1_000
    text: int = 100_000


def within(rule: Rule, limits: Limits) -> Rule:
    """The rule itself; `LimitExceeded` where it is deeper, or has more conditions, than `limits` say.

    A reference counts as one condition here, whatever it refers to.
    """
    found = 0
    nodes: list[tuple[Rule, int]] = [(rule, 0)]
    while nodes:
        node, depth = nodes.pop()
        if isinstance(node, Leaf):
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


def leaves(rule: Rule) -> Iterator[Leaf]:
    """Everything that is no `all`, `any` or `not`, in the order of the text; what stands twice comes twice."""
    match rule:
        case Condition() | MemberOf() | Carries():
            yield rule
        case Not(child=child):
            yield from leaves(child)
        case All(children=children) | AnyOf(children=children):
            for part in children:
                yield from leaves(part)


def conditions(rule: Rule) -> Iterator[Condition]:
    """Every condition of the rule's own, in the order of the text; one that stands twice comes twice."""
    return (leaf for leaf in leaves(rule) if isinstance(leaf, Condition))


def replaced(rule: Rule, instead: Callable[[Condition], Rule]) -> Rule:
    """The rule with another in the place of each condition."""
    match rule:
        case Condition():
            return instead(rule)
        case MemberOf() | Carries():
            return rule
        case Not(child=child):
            return negate(replaced(child, instead))
        case All(children=children):
            return all_of([replaced(child, instead) for child in children])
        case AnyOf(children=children):
            return any_of([replaced(child, instead) for child in children])
        case _:
            assert_never(rule)


def fields_used(rule: Rule) -> frozenset[str]:
    """The keys of the fields that the rule itself reads. The contact's own times are not among them."""
    return frozenset(condition.subject.key for condition in conditions(rule) if condition.subject.is_field)


def paths_read(rule: Rule) -> frozenset[str]:
    """The paths of the contact's document on which a followed rule's answer depends."""
    return frozenset(map(_path, leaves(rule)))


def _path(leaf: Leaf) -> str:
    match leaf:
        case Condition():
            return read_subject(leaf).path
        case Carries():
            return leaf.path
        case MemberOf():
            raise TypeError(UNFOLLOWED)


def read_subject(condition: Condition) -> Subject:
    """Where the condition finds what it asks about: of a date, the yearly operators read the day of the year."""
    if isinstance(condition.operator.value.means, Yearly):
        return anniversary_subject(condition.subject.key)
    return condition.subject
