"""What may stand at a place in a rule's text: for whoever types one.

Owns suggestions, not the language: the parser says which parts of a rule can follow, the table of operators says how the field's
type narrows them. What comes behind the place is not looked at. Where the text before it is none that a rule can begin with,
or is longer than a rule's text may be, nothing is suggested; no text and no place is an error.

Invariant: a suggestion that is taken leaves a text that a rule can begin with, and what stands in a rule is among the
suggestions for its place. Held by `tests/domain/rules/test_completion.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from string import ascii_letters, digits
from typing import assert_never

from lark import Token

from domain.fields import Field, FieldRegistry, FieldType, fold
from domain.rules.canonical import key_text, operand_text
from domain.rules.operators import Operator, Reads, Shape, operators_of
from domain.rules.text import begun, terminal
from domain.rules.tree import CREATED, UPDATED, Limits


class Kind(StrEnum):
    FIELD = "field"
    OPERATOR = "operator"
    WORD = "word"
    VALUE = "value"


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


_NOTHING = Completion(start=0, suggestions=(), operand=None)

_WORD_LETTERS = frozenset(ascii_letters + digits + "_")
_SIGN = re.compile(r"[<>]=?\Z")
_QUOTED = re.compile(r'"(?:[^"\\]|\\[\s\S])*("|\\?\Z)|`[^`]*(`|\Z)')

_TIMES = {
    CREATED.key: "When the contact was created.",
    UPDATED.key: "When the contact was last changed.",
}

_VALUES = frozenset({"STRING", "NUMBER", "MOMENT", "TRUE", "FALSE"})

_WORDS = {
    "_AND": ("and", "Both this and what follows."),
    "_OR": ("or", "This, or what follows, or both."),
    "_NOT": ("not", "Whoever what follows does not match."),
    "LPAR": ("(", "The beginning of a part, or of a list."),
    "RPAR": (")", "The end of a part, or of a list."),
    "COMMA": (",", "One more value."),
    "_MISSING": ("missing", "Contacts without a value."),
}

_MISSING_VALUES = {
    "_INCLUDING": ("including missing", "Contacts without a value, too."),
    "_EXCLUDING": ("excluding missing", "Only contacts that have a value."),
}


def complete(text: str, position: int, fields: FieldRegistry, limits: Limits) -> Completion:
    """What may stand at `position`, a number of characters (code points) from the text's beginning."""
    if len(text) > limits.text:
        return _NOTHING
    before = text[: max(position, 0)]
    start = _start(before)
    said = begun(before[:start])
    if said is None:
        return Completion(start=start, suggestions=(), operand=None)
    tokens, following = said
    place = _Place(tokens=tokens, following=following, fields=fields)
    wanted = [
        suggestion for suggestion in place.suggestions() if _continues(suggestion, before[start:], fields)
    ]
    return Completion(start=start, suggestions=tuple(wanted), operand=place.operand())


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What has been said before the place, and which parts of a rule can follow."""

    tokens: Sequence[Token]
    following: AbstractSet[str]
    fields: FieldRegistry

    def suggestions(self) -> Iterator[Suggestion]:
        if "KEY" in self.following:
            yield from self._fields()
        yield from self._operators()
        if self._wants_value():
            yield from self._values()
        yield from self._words()

    def operand(self) -> str | None:
        if not self._wants_value():
            return None
        type_, operator = self._type(), self._operator()
        return None if type_ is None or operator is None else described(type_, operator.value.reads)

    def _wants_value(self) -> bool:
        return "STRING" in self.following

    def _fields(self) -> Iterator[Suggestion]:
        for field in self.fields.values():
            yield Suggestion(text=key_text(field.key), kind=Kind.FIELD, doc=f"{field.label} ({field.type})")
        for key, doc in _TIMES.items():
            yield Suggestion(text=key, kind=Kind.FIELD, doc=doc)

    def _operators(self) -> Iterator[Suggestion]:
        """What is left of the words of each operator that the condition can still become."""
        said = self._phrase()
        if said is None or (type_ := self._type()) is None:
            return
        for operator in operators_of(type_):
            words = operator.value.words.split()
            left = words[len(said) :]
            if left and [*map(terminal, words[: len(said)])] == said:
                yield Suggestion(text=" ".join(left), kind=Kind.OPERATOR, doc=operator.value.doc)

    def _values(self) -> Iterator[Suggestion]:
        field, operator = self._field(), self._operator()
        if field is None or operator is None:
            return
        if field.type is FieldType.BOOLEAN:
            for truth in ("true", "false"):
                yield Suggestion(text=truth, kind=Kind.VALUE, doc=f"{field.label} is {truth}.")
        if operator.value.reads is Reads.VALUE:
            for option in field.options:
                yield Suggestion(
                    text=operand_text(option, field.type), kind=Kind.VALUE, doc=f"An option of {field.label}."
                )

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

    # ---- the condition that the place belongs to -------------------------------------------------------------------

    def _condition(self) -> Sequence[Token]:
        """The tokens from the last field's key on."""
        for place in range(len(self.tokens) - 1, -1, -1):
            if self.tokens[place].type in ("KEY", "QUOTED_KEY"):
                return self.tokens[place:]
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

    def _operator(self) -> Operator | None:
        """The operator that the condition has, or has so far."""
        said = [token.type for token in self._condition()[1:]]
        found: Operator | None = None
        type_ = self._type()
        for operator in operators_of(type_) if type_ is not None else ():
            words = [*map(terminal, operator.value.words.split())]
            if said[: len(words)] == words and (found is None or len(words) > len(found.value.words.split())):
                found = operator
        return found


def operand_type(type_: FieldType, reads: Reads) -> FieldType:
    """The type as which an operand is entered, for a field of `type_`."""
    return FieldType.TEXT if reads is not Reads.VALUE or type_ is FieldType.TAGS else type_


def described(type_: FieldType, reads: Reads) -> str:
    """What an operand looks like in a rule's text."""
    match reads:
        case Reads.PART:
            return 'a part of the text in double quotes, such as "ann"'
        case Reads.DOMAIN:
            return 'a domain in double quotes, such as "example.org"'
        case Reads.VALUE:
            return _DESCRIBED[type_]
        case _:
            assert_never(reads)


_DESCRIBED = {
    FieldType.TEXT: 'a text in double quotes, such as "Bonn"',
    FieldType.EMAIL: 'an address in double quotes, such as "ann@example.org"',
    FieldType.PHONE: 'a phone number in double quotes, such as "+1 202 224 3441"',
    FieldType.NUMBER: "a number, such as 3 or -0.5",
    FieldType.BOOLEAN: "true or false",
    FieldType.DATE: "a date, such as 1965-01-31",
    FieldType.DATETIME: "a point in time, such as 2026-05-03T10:00:00+02:00",
    FieldType.CHOICE: "an option in double quotes",
    FieldType.TAGS: 'a tag in double quotes, such as "shoes"',
}
