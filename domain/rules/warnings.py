"""What a rule's author should know before saving it.

Owns what can be said for certain of a rule by itself: parts that no contact, or every contact, matches, and parts that change
nothing beside others, as far as they are about one field, or about memberships: what an audience means is not looked into. Of
moving conditions it is said as of one instant, and said so. What can only be counted is left to the caller: `questions` says what
to count, and each question what the count means. Not everything is found; nothing is said that is not so, of contacts whose
values are in normal form.

Invariant: what is said never to match matches no contact, what always holds holds for every one, and leaving out what adds
nothing changes no answer. Held by `tests/domain/rules/test_warnings.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import assert_never

from domain.fields import FieldType
from domain.fields.phones import international_beginning
from domain.rules.calendar import Now
from domain.rules.canonical import Names, key_text, nameless, to_text
from domain.rules.moving import is_moving
from domain.rules.operators import Operator
from domain.rules.together import Together, by_subject
from domain.rules.tree import (
    All,
    AnyOf,
    Carries,
    Condition,
    MemberOf,
    Not,
    Rule,
    all_of,
    any_of,
    conditions,
    negate,
)
from domain.rules.witnesses import begins_no_number

# What a message shows of a part, and how many parts.
_LONGEST_QUOTED = 120
_MOST_QUOTED = 5


class Kind(StrEnum):
    NEVER_MATCHES = "never_matches"
    ALWAYS_MATCHES = "always_matches"
    ADDS_NOTHING = "adds_nothing"
    LACK_OF_A_VALUE = "lack_of_a_value"
    UNUSED_FIELD = "unused_field"
    NOBODY_AHEAD = "nobody_ahead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """One thing to know. `about` is the part of the rule of which it is so, and `parts` are what makes it so.

    Of a part that adds nothing, that part comes first, and behind it stands what says the same already.
    """

    kind: Kind
    message: str
    about: Rule
    parts: tuple[Rule, ...]


def cautions(rule: Rule, now: Now, names: Names = nameless) -> list[Caution]:
    """What is certain without looking at contacts, in the order of the text."""
    return list(_cautions(rule, now, names, whole=rule))


def _cautions(rule: Rule, now: Now, names: Names, whole: Rule) -> Iterator[Caution]:
    if (constant := _constant(rule, now)) is not None:
        yield constant.told(rule, whole, names)
        for part in constant.alike:
            yield from _cautions(part, now, names, whole)
        return
    match rule:
        case Condition() | MemberOf() | Carries():
            return
        case Not(child=child):
            yield from _cautions(child, now, names, whole)
        case All() | AnyOf():
            yield from _idle(rule, now, names)
            for child in rule.children:
                yield from _cautions(child, now, names, whole)
        case _:
            assert_never(rule)


# ---- what is the same for every contact ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Constant:
    """A rule's answer for every contact. It follows from `parts`: not all of them can hold, or at least one of them must.

    Where the one part is a list of which each has that answer by itself, `alike` are its members, each with reasons of its own.
    """

    holds: bool
    parts: tuple[Rule, ...]
    one_must: bool
    alike: tuple[Rule, ...] = ()
    because: str | None = None
    """Of one condition, why it is so, where its words do not show it."""

    def told(self, about: Rule, whole: Rule, names: Names) -> Caution:
        those = _all_quoted(self.parts, "or" if self.one_must else "and", names)
        reason = f"{_now(self.parts, 'Every' if self.one_must else 'No')} contact matches {those}"
        if len(self.parts) > 1:
            reason += ", one or the other" if self.one_must else " at once"
        if self.because is not None:
            reason = self.because
        what = "The whole rule" if about is whole else f"The part {_quoted(about, names)}"
        consequence = f"{what} matches {'every contact' if self.holds else 'nobody'}."
        kind = Kind.ALWAYS_MATCHES if self.holds else Kind.NEVER_MATCHES
        return Caution(kind=kind, message=f"{reason}. {consequence}", about=about, parts=self.parts)


def _constant(rule: Rule, now: Now) -> _Constant | None:
    match rule:
        case Condition():
            return _of_condition(rule, now)
        case MemberOf() | Carries():
            return None
        case Not(child=child):
            inner = _constant(child, now)
            return None if inner is None else replace(inner, holds=not inner.holds)
        case All() | AnyOf():
            return _of_several(rule, now)
        case _:
            assert_never(rule)


def _of_condition(condition: Condition, now: Now) -> _Constant | None:
    group = Together([condition], now)
    for holds in (False, True):
        if group.impossible({0}, wanted=not holds):
            because = _beginning(condition, now) if begins_no_number(condition) else None
            return _Constant(holds=holds, parts=(condition,), one_must=holds, because=because)
    return None


def _beginning(condition: Condition, now: Now) -> str:
    part = str(condition.operands[0])
    meant = international_beginning(part, now.settings.region)
    instead = "Begin with “+” and the country's code" if meant is None else f"Write “{meant}”"
    return (
        f"Phone numbers are compared in international form, such as +442079460958; none starts with “{part}”."
        f" {instead}"
    )


def _of_several(rule: All | AnyOf, now: Now) -> _Constant | None:
    # The answer of one child that decides the whole.
    decisive = isinstance(rule, AnyOf)
    known = [answer for child in rule.children if (answer := _constant(child, now)) is not None]
    for answer in known:
        if answer.holds is decisive:
            return answer
    if len(known) == len(rule.children):
        return _Constant(holds=not decisive, parts=(rule,), one_must=not decisive, alike=rule.children)
    for group in by_subject(rule.children, now):
        # That they cannot all hold; for `any`, that they cannot all fail.
        if (parts := group.conflict(wanted=not decisive)) is not None:
            return _Constant(holds=decisive, parts=parts, one_must=decisive)
    return None


# ---- what changes nothing beside others ----------------------------------------------------------------------------


def _idle(rule: All | AnyOf, now: Now, names: Names) -> list[Caution]:
    """The children that the others make needless. Of two that say the same, the first is kept."""
    # A child of `all` is needless if it cannot fail where the others hold; one of `any`, if it cannot hold where they fail.
    wanted = isinstance(rule, All)
    found: dict[int, tuple[Rule, ...]] = {}
    for place, child in enumerate(rule.children):
        if child in rule.children[:place]:
            found[place] = (child, child)
    left = [child for place, child in enumerate(rule.children) if place not in found]
    for group in by_subject(left, now):
        for needless, because in group.needless(wanted=wanted):
            found[rule.children.index(needless)] = (needless, *because)
    return [_idle_told(rule, found[place], names) for place in sorted(found)]


def _idle_told(rule: All | AnyOf, parts: tuple[Rule, ...], names: Names) -> Caution:
    needless, because = _quoted(parts[0], names), parts[1:]
    if parts[0] == parts[1]:
        message = f"{needless} stands here twice. Once is enough."
    elif isinstance(rule, All):
        does = "does" if len(because) == 1 else "do"
        those = _all_quoted(because, "and", names)
        message = f"{_now(parts, needless)} changes nothing: it holds wherever {those} {does}."
    else:
        those = _all_quoted(because, "or", names)
        message = f"{_now(parts, needless)} adds nobody: wherever it holds, so does {those}."
    return Caution(kind=Kind.ADDS_NOTHING, message=message, about=rule, parts=parts)


# ---- what has to be counted ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """How many contacts are in `counted`? `told` says what the author should know, if anything, by that number."""

    counted: Rule
    told: Callable[[int], Caution | None]


def questions(rule: Rule) -> list[Question]:
    """The fields that perhaps nobody has a value in, the conditions that perhaps take in who has none, and the days to come
    that perhaps nobody has.
    """
    return [*_fields(rule), *_lacks(rule), *_ahead(rule)]


def _fields(rule: Rule) -> Iterator[Question]:
    subjects = dict.fromkeys(condition.subject for condition in conditions(rule))
    for subject in subjects:
        if subject.is_field:
            there = Condition(subject=subject, operator=Operator.IS_NOT_EMPTY)
            yield Question(counted=there, told=partial(_unused, rule, there))


def _unused(rule: Rule, there: Condition, contacts: int) -> Caution | None:
    if contacts:
        return None
    message = f"No contact has a value in “{key_text(there.subject.key)}”, which the rule asks for."
    asking = tuple(each for each in conditions(rule) if each.subject == there.subject)
    return Caution(kind=Kind.UNUSED_FIELD, message=message, about=rule, parts=asking)


def _lacks(rule: Rule) -> Iterator[Question]:
    for condition, excluding in including_missing(rule):
        lacking = all_of([rule, negate(excluding)])
        yield Question(counted=lacking, told=partial(_taken_in, rule, condition))


def including_missing(rule: Rule) -> list[tuple[Condition, Rule]]:
    """The conditions by which the rule can take in contacts without a value, each with the rule as it were if that one did not.

    They are the negative ones that include missing values, and those within a `not` that hold for no contact without a value.
    """
    including = [*_including(rule, denied=False)]
    return [
        (condition, _excluding(rule, iter(range(-number, len(including) - number)), denied=False))
        for number, condition in enumerate(including)
    ]


_PRESENCE = frozenset({Operator.IS_EMPTY, Operator.IS_NOT_EMPTY})


def _includes(condition: Condition, *, denied: bool) -> bool:
    # Who asks whether there is a value has thought of those without; the contact's own times are always there.
    asks_values = condition.subject.is_field and condition.operator not in _PRESENCE
    return condition.include_missing is True or (denied and asks_values)


def _including(rule: Rule, *, denied: bool) -> Iterator[Condition]:
    match rule:
        case Condition():
            if _includes(rule, denied=denied):
                yield rule
        case MemberOf() | Carries():
            return
        case Not(child=child):
            yield from _including(child, denied=not denied)
        case All(children=children) | AnyOf(children=children):
            for child in children:
                yield from _including(child, denied=denied)
        case _:
            assert_never(rule)


def _excluding(rule: Rule, numbers: Iterator[int], *, denied: bool) -> Rule:
    """The rule with missing values excluded from that one of its including conditions for which `numbers` gives 0."""
    match rule:
        case Condition():
            return _without_missing(rule) if _includes(rule, denied=denied) and next(numbers) == 0 else rule
        case MemberOf() | Carries():
            return rule
        case Not(child=child):
            return negate(_excluding(child, numbers, denied=not denied))
        case All(children=children):
            return all_of([_excluding(child, numbers, denied=denied) for child in children])
        case AnyOf(children=children):
            return any_of([_excluding(child, numbers, denied=denied) for child in children])
        case _:
            assert_never(rule)


def _without_missing(condition: Condition) -> Rule:
    if condition.include_missing:
        return replace(condition, include_missing=False)
    # Denied, it lets nobody through who has no value.
    return any_of([condition, Condition(subject=condition.subject, operator=Operator.IS_EMPTY)])


def _taken_in(rule: Rule, condition: Condition, contacts: int) -> Caution | None:
    if not contacts:
        return None
    them = "1 contact" if contacts == 1 else f"{contacts:,} contacts"
    if condition.include_missing:
        place, instead = "", "“excluding missing”"
    else:
        place, instead = " within “not (…)”", f"{_quoted(_without_missing(condition), nameless)} in its place"
    message = f"{_quoted(condition, nameless)}{place} takes in {them} only for lack of a value; {instead} would leave them out."
    return Caution(kind=Kind.LACK_OF_A_VALUE, message=message, about=rule, parts=(condition,))


def _ahead(rule: Rule) -> Iterator[Question]:
    for condition in dict.fromkeys(conditions(rule)):
        if condition.operator is Operator.IN_THE_NEXT and condition.subject.type is FieldType.DATE:
            yield Question(counted=condition, told=partial(_nobody_ahead, rule, condition))


def _nobody_ahead(rule: Rule, condition: Condition, contacts: int) -> Caution | None:
    if contacts:
        return None
    yearly = replace(condition, operator=Operator.ANNIVERSARY_IN_THE_NEXT)
    message = (
        f"Right now no contact matches {_quoted(condition, nameless)}: it asks for the date itself. Of a day that comes again each"
        f" year, as a birthday does, {_quoted(yearly, nameless)} asks."
    )
    return Caution(kind=Kind.NOBODY_AHEAD, message=message, about=rule, parts=(condition,))


def _now(parts: Sequence[Rule], word: str) -> str:
    """The first word of what is so because of these parts; as time passes, that of moving ones may be otherwise."""
    return f"Right now {word[0].lower()}{word[1:]}" if any(map(is_moving, parts)) else word


def _quoted(rule: Rule, names: Names) -> str:
    text = to_text(rule, names)
    return f"“{text if len(text) <= _LONGEST_QUOTED else f'{text[:_LONGEST_QUOTED]}…'}”"


def _all_quoted(rules: Sequence[Rule], word: str, names: Names) -> str:
    shown = [_quoted(rule, names) for rule in rules[:_MOST_QUOTED]]
    if len(rules) > _MOST_QUOTED:
        shown.append(f"{len(rules) - _MOST_QUOTED} others")
    return f" {word} ".join(shown)
