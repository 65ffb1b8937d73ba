"""What may stand at a place in a rule's text: for whoever types one.

Owns suggestions, not the language: the parser says which parts of a rule can follow, the table of operators says how the field's
type narrows them. What comes behind the place is not looked at. Where the text before it is none that a rule can begin with,
or is longer than a rule's text may be, nothing is suggested; no text and no place is an error.

Invariant: a suggestion that is taken leaves a text that a rule can begin with, and what stands in a rule is among the
suggestions for its place. Held by `tests/domain/rules/test_completion.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from heapq import nsmallest
from string import ascii_letters, digits

from lark import Token

from domain.fields import Field, FieldRegistry, FieldType, fold
from domain.rules.canonical import audience_text, key_text, operand_text
from domain.rules.hints import PERIODS, UNITS, described
from domain.rules.naming import NOBODY, Audiences
from domain.rules.operators import Operator, Reads, Shape, operators_of, units_of
from domain.rules.text import begun, terminal
from domain.rules.tree import CREATED, UPDATED, AudienceKind, Limits, Quantifier


class Kind(StrEnum):
    FIELD = "field"
    OPERATOR = "operator"
    WORD = "word"
    VALUE = "value"
    AUDIENCE = "audience"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A text that may stand here, and what it means."""

    text: str
    kind: Kind
    doc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What may replace the text from `start` up to the place that was asked about."""

    start: int
    suggestions: tuple[Suggestion, ...]
    operand: str | None
    """Where a value is wanted: what such a value looks like. Suggested values, if any, are some of them."""


# An account can have thousands of groups and segments: so many of them are suggested, the first ones by their names.
MOST_AUDIENCES = 50

_NOTHING = Completion(start=0, suggestions=(), operand=None)

_WORD_LETTERS = frozenset(ascii_letters + digits + "_")
_SIGN = re.compile(r"[<>]=?\Z")
_QUOTED = re.compile(r'"(?:[^"\\]|\\[\s\S])*("|\\?\Z)|`[^`]*(`|\Z)')

_TIMES = {
    CREATED.key: "When the contact was created.",
    UPDATED.key: "When the contact was last changed.",
}

_VALUES = frozenset({"STRING", "NUMBER", "MOMENT", "TRUE", "FALSE", "PERIOD"})
# Where one of these can follow, a value is wanted.
_BEGINS_A_VALUE = frozenset({"STRING", "NUMBER", "PERIOD"})

_WORDS = {
    "_AND": ("and", "Both this and what follows."),
    "_OR": ("or", "This, or what follows, or both."),
    "_NOT": ("not", "Whoever what follows does not match."),
    "LPAR": ("(", "The beginning of a part, or of a list."),
    "RPAR": (")", "The end of a part, or of a list."),
    "COMMA": (",", "One more value."),
    "_MISSING": ("missing", "Contacts without a value."),
}

# What a condition, a membership or a part in parentheses can stand behind.
_BEFORE_A_PART = frozenset({"LPAR", "_AND", "_OR", "_NOT"})

_MEMBERSHIPS = {
    Quantifier.ANY: "Whoever is in at least one of these groups and segments.",
    Quantifier.ALL: "Whoever is in every one of these groups and segments.",
    Quantifier.NONE: "Whoever is in none of these groups and segments.",
}

_KINDS = {
    AudienceKind.GROUP: "A static group, by its name.",
    AudienceKind.SEGMENT: "A segment, by its name.",
}

_MISSING_VALUES = {
    "_INCLUDING": ("including missing", "Contacts without a value, too."),
    "_EXCLUDING": ("excluding missing", "Only contacts that have a value."),
}


def complete(
    text: str, position: int, fields: FieldRegistry, limits: Limits, audiences: Audiences = NOBODY
) -> Completion:
    """What may stand at `position`, a number of characters (code points) from the text's beginning."""
    if len(text) > limits.text:
        return _NOTHING
    before = text[: max(position, 0)]
    start = _start(before)
    said = begun(before[:start])
    if said is None:
        return Completion(start=start, suggestions=(), operand=None)
    tokens, following = said
    place = _Place(tokens=tokens, following=following, fields=fields, audiences=audiences)
    wanted = [
        suggestion for suggestion in place.suggestions() if _continues(suggestion, before[start:], fields)
    ]
    return Completion(
        start=start, suggestions=(*wanted, *place.named(before[start:])), operand=place.operand()
    )


def _start(before: str) -> int:
    """Where the word, the text in quotes, or the sign begins in whose middle, or at whose end, the place is."""
    end = 0
    for found in _QUOTED.finditer(before):
        if (found[1] or found[2]) not in ('"', "`"):
            return found.start()
        end = found.end()
    place = len(before)
    while place > end and before[place - 1] in _WORD_LETTERS:
        place -= 1
    sign = _SIGN.search(before, max(end, place - 2)) if place == len(before) else None
    return place if sign is None else sign.start()


def _continues(suggestion: Suggestion, typed: str, fields: FieldRegistry) -> bool:
    """Whether taking the suggestion goes on from what is typed already."""
    if not typed:
        return True
    if suggestion.kind is Kind.FIELD:
        key = suggestion.text.strip("`")
        begins = typed.strip("`").lower()
        field = fields.get(key)
        # Somebody may know a field by its label only.
        words = [] if field is None or typed.startswith("`") else fold(field.label).split()
        return any(name.startswith(begins) for name in (key, *words))
    if typed.startswith('"'):
        return suggestion.kind is Kind.VALUE and fold(suggestion.text).startswith(fold(typed))
    return suggestion.text.startswith(typed.lower())


def _going_on(typed: str) -> Callable[[tuple[str, AudienceKind, str]], bool]:
    """Whether an audience, given by its folded name and its kind, goes on from what is typed."""
    if typed.startswith('"'):
        begun_name = fold(re.sub(r"\\(.)", r"\1", typed[1:]))
        return lambda known: known[0].startswith(begun_name)
    begins = fold(typed)
    # Somebody may know the name, or a word of it, and not the kind.
    return lambda known: known[1].startswith(begins) or f" {begins}" in f" {known[0]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What has been said before the place, and which parts of a rule can follow."""

    tokens: Sequence[Token]
    following: AbstractSet[str]
    fields: FieldRegistry
    audiences: Audiences

    def suggestions(self) -> Iterator[Suggestion]:
        if "KEY" in self.following:
            yield from self._fields()
        yield from self._operators()
        yield from self._memberships()
        if self._wants_value() or "UNIT" in self.following:
            yield from self._values()
        yield from self._words()

    def named(self, typed: str) -> Iterator[Suggestion]:
        """The groups and segments that may be named here and go on from what is typed: the first ones by name."""
        said = self._kind()
        kinds = [kind for kind in AudienceKind if kind is said or terminal(kind) in self.following]
        # Of thousands no more is made than their folded names.
        known = ((fold(name), kind, name) for kind in kinds for name in self.audiences.names(kind))
        found = nsmallest(MOST_AUDIENCES, filter(_going_on(typed), known))
        for _, kind, name in found:
            text = audience_text(kind, name)
            yield Suggestion(
                text=text if said is None else text.removeprefix(f"{kind} "),
                kind=Kind.AUDIENCE,
                doc=_KINDS[kind],
            )

    def operand(self) -> str | None:
        if not self._wants_value():
            return None
        if (kind := self._kind()) is not None:
            return f'the name of a {kind} in double quotes, such as "VIP"'
        type_, operator = self._type(), self._operator()
        return None if type_ is None or operator is None else described(type_, operator.value.reads)

    def _wants_value(self) -> bool:
        return not _BEGINS_A_VALUE.isdisjoint(self.following)

    def _fields(self) -> Iterator[Suggestion]:
        for field in self.fields.values():
            yield Suggestion(text=key_text(field.key), kind=Kind.FIELD, doc=f"{field.label} ({field.type})")
        for key, doc in _TIMES.items():
            yield Suggestion(text=key, kind=Kind.FIELD, doc=doc)

    def _operators(self) -> Iterator[Suggestion]:
        """What is left of the words of each operator that the condition can still become."""
        operators: dict[str, list[Operator]] = {}
        for operator in self._possible():
            if left := self._left(operator):
                operators.setdefault(" ".join(left), []).append(operator)
        for text, those in operators.items():
            rows = [operator.value for operator in those]
            doc = rows[0].doc if len(rows) == 1 else " ".join(f"“{row.words}”: {row.doc}" for row in rows)
            yield Suggestion(text=text, kind=Kind.OPERATOR, doc=doc)

    def _left(self, operator: Operator) -> Sequence[str]:
        """The words of the operator that come next, if the condition can still become one of it."""
        row = operator.value
        said = self._phrase()
        if said is not None:
            return row.opening[len(said) :] if self._are(said, row.opening[: len(said)]) else ()
        said = [token.type for token in self._condition()[1:]]
        # What has words behind its operand as well has one of a number and a unit.
        before, behind = said[: len(row.opening)], said[len(row.opening) + 2 :]
        if self._are(before, row.opening) and self._are(behind, row.closing[: len(behind)]):
            left = row.closing[len(behind) :]
            return left if left and terminal(left[0]) in self.following else ()
        return ()

    @staticmethod
    def _are(terminals: Sequence[str], words: Sequence[str]) -> bool:
        return [*map(terminal, words)] == [*terminals]

    def _memberships(self) -> Iterator[Suggestion]:
        """What is left of the words of each membership that can begin here, or has begun."""
        said = self._membership()
        if not said and "KEY" not in self.following:
            return
        for quantifier, doc in _MEMBERSHIPS.items():
            words = ["in", quantifier.value, "of"]
            left = words[len(said) :]
            if left and [*map(terminal, words[: len(said)])] == said:
                yield Suggestion(text=" ".join(left), kind=Kind.WORD, doc=doc)
        for kind, doc in _KINDS.items():
            if terminal(kind) in self.following:
                yield Suggestion(text=kind.value, kind=Kind.WORD, doc=doc)

    def _values(self) -> Iterator[Suggestion]:
        type_, operator = self._type(), self._operator()
        if type_ is None or operator is None:
            return
        match operator.value.reads:
            case Reads.SPAN if "UNIT" in self.following:
                one = self.tokens[-1] == "1"
                for unit in units_of(Reads.SPAN, type_):
                    yield Suggestion(text=unit if one else f"{unit}s", kind=Kind.VALUE, doc=UNITS[unit])
            case Reads.PERIOD:
                for unit in units_of(Reads.PERIOD, type_):
                    yield Suggestion(text=unit, kind=Kind.VALUE, doc=PERIODS[unit])
            case Reads.VALUE if (field := self._field()) is not None:
                yield from _values_of(field)
            case _:
                pass

    def _words(self) -> Iterator[Suggestion]:
        operator = self._operator()
        # Behind a field's key, `not` belongs to an operator, and behind `is` to another one.
        within = self._phrase() is not None and (operator is None or operator.value.shape is not Shape.MANY)
        for name, (text, doc) in _WORDS.items():
            if name in self.following and not within:
                yield Suggestion(text=text, kind=Kind.WORD, doc=doc)
        for name, (text, doc) in _MISSING_VALUES.items():
            if name in self.following and operator is not None and operator.value.negative:
                yield Suggestion(text=text, kind=Kind.WORD, doc=doc)

    # ---- the membership that the place belongs to ------------------------------------------------------------------

    def _membership(self) -> list[str]:
        """The words of a membership so far. Empty where none is open."""
        if "KEY" in self.following or "_AND" in self.following:
            return []
        for place in range(len(self.tokens) - 1, -1, -1):
            if self.tokens[place].type in ("KEY", "QUOTED_KEY"):
                return []
            begins = place == 0 or self.tokens[place - 1].type in _BEFORE_A_PART
            if begins and self.tokens[place].type == terminal("in"):
                return [token.type for token in self.tokens[place:]]
        return []

    def _kind(self) -> AudienceKind | None:
        """Of which kind a name is wanted here."""
        last = self.tokens[-1].type if self.tokens else None
        return next((kind for kind in AudienceKind if terminal(kind) == last), None)

    # ---- the condition that the place belongs to -------------------------------------------------------------------

    def _condition(self) -> Sequence[Token]:
        """The tokens from the last field's key on."""
        for place in range(len(self.tokens) - 1, -1, -1):
            if self.tokens[place].type in ("KEY", "QUOTED_KEY"):
                return () if self._membership() else self.tokens[place:]
        return ()

    def _key(self) -> str | None:
        condition = self._condition()
        return condition[0].strip("`") if condition else None

    def _field(self) -> Field | None:
        key = self._key()
        return None if key is None else self.fields.get(key)

    def _type(self) -> FieldType | None:
        if self._key() in _TIMES:
            return FieldType.DATETIME
        field = self._field()
        return None if field is None else field.type

    def _phrase(self) -> list[str] | None:
        """The operator's words so far, while nothing else has followed the field's key. None where a condition is not open."""
        condition = self._condition()
        if not condition or "KEY" in self.following or "_AND" in self.following:
            return None
        said = [token.type for token in condition[1:]]
        return None if _VALUES.intersection(said) or "LPAR" in said else said

    def _possible(self) -> Sequence[Operator]:
        type_ = self._type()
        return () if type_ is None else operators_of(type_)

    def _operator(self) -> Operator | None:
        """The operator that the condition has, or has so far; of some that begin alike the first."""
        said = [token.type for token in self._condition()[1:]]
        found: Operator | None = None
        for operator in self._possible():
            words = operator.value.opening
            if self._are(said[: len(words)], words) and (
                found is None or len(words) > len(found.value.opening)
            ):
                found = operator
        return found


def _values_of(field: Field) -> Iterator[Suggestion]:
    if field.type is FieldType.BOOLEAN:
        for truth in ("true", "false"):
            yield Suggestion(text=truth, kind=Kind.VALUE, doc=f"{field.label} is {truth}.")
    for option in field.options:
        yield Suggestion(
            text=operand_text(option, field.type), kind=Kind.VALUE, doc=f"An option of {field.label}."
        )
