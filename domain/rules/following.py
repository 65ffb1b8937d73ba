"""What can follow the beginning of a condition or membership, for the field that it asks.

The grammar lets each operator stand behind each key: which of them a field has depends on its type. Owns that narrowing, and the
names that the grammar gives to words. Held by `tests/domain/rules/test_text.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from lark import Token

from domain.fields import FieldRegistry, FieldType
from domain.rules.operators import Operator, Reads, operators_of
from domain.rules.tree import CREATED, UPDATED

# What has these names is a value, and kept; lark drops what begins with an underscore.
_KEPT = {"true": "TRUE", "false": "FALSE"}
SYMBOLS = {"<": "_BELOW", "<=": "_UP_TO", ">": "_ABOVE", ">=": "_FROM"}

_KEYS = frozenset({"KEY", "QUOTED_KEY"})
_TIMES = frozenset({CREATED.key, UPDATED.key})

# How the values of a type are written; where nothing is said, as texts.
_WRITTEN = {
    FieldType.NUMBER: frozenset({"NUMBER"}),
    FieldType.BOOLEAN: frozenset({"TRUE", "FALSE"}),
    FieldType.DATE: frozenset({"MOMENT"}),
    FieldType.DATETIME: frozenset({"MOMENT"}),
}
_TEXT = frozenset({"STRING"})
_VALUES = _TEXT.union(*_WRITTEN.values())

# A membership can stand behind these.
_BEFORE_A_PART = frozenset({"LPAR", "_AND", "_OR", "_NOT"})


def terminal(word: str) -> str:
    """The name that the grammar gives a key word or a sign."""
    return _KEPT.get(word) or SYMBOLS.get(word) or f"_{word.upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCondition:
    """The last condition, or membership, of a text that is not finished."""

    begins: int | None = None
    """Where it does; None where nothing is open."""
    key: str = ""
    type: FieldType | None = None
    """Of the field asked; None for a membership, and for a key that no field has."""
    said: tuple[str, ...] = ()
    """The terminals behind its key."""

    @classmethod
    def of(cls, tokens: Sequence[Token], fields: FieldRegistry) -> OpenCondition:
        for place in range(len(tokens) - 1, -1, -1):
            token = tokens[place]
            if token.type in _KEYS:
                key = token.strip("`")
                field = fields.get(key)
                type_ = FieldType.DATETIME if key in _TIMES else None if field is None else field.type
                said = tuple(each.type for each in tokens[place + 1 :])
                begins = token.start_pos if type_ is not None else None
                return cls(begins=begins, key=key, type=type_, said=said)
            if token.type == terminal("in") and (place == 0 or tokens[place - 1].type in _BEFORE_A_PART):
                return cls(begins=token.start_pos)
        return cls()

    @property
    def operators(self) -> Sequence[Operator]:
        return () if self.type is None else operators_of(self.type)

    @property
    def wants_operator(self) -> bool:
        """Whether nothing stands behind the key of a field yet."""
        return self.type is not None and not self.said

    def fitting(self, following: AbstractSet[str]) -> AbstractSet[str]:
        """What can stand here for the field, of what can by the grammar alone."""
        if self.type is None:
            return following
        if "_AND" in following and "_MISSING" not in following and not self._negative():
            return following - {"_INCLUDING", "_EXCLUDING"}
        if "KEY" in following or "_AND" in following:
            return following
        # Words of an operator that has begun, and values as the field has them.
        words = {
            terminal(word)
            for operator in self.operators
            for word in operator.value.opening[len(self.said) : len(self.said) + 1]
            if self.said == tuple(map(terminal, operator.value.opening[: len(self.said)]))
        }
        whole = [operator for operator in self.operators if self._begins(operator)]
        values = (
            _WRITTEN.get(self.type, _TEXT) if any(_compares(operator) for operator in whole) else frozenset()
        )
        others = {each for each in following if each not in _VALUES and not each.startswith("_")}
        fitting = (following & words) | (following & values) | others
        return fitting or following

    def _begins(self, operator: Operator) -> bool:
        opening = tuple(map(terminal, operator.value.opening))
        return self.said[: len(opening)] == opening

    def _negative(self) -> bool:
        """Whether the operator that has been said is negative: of those that begin alike the longest."""
        found = max(
            filter(self._begins, self.operators), key=lambda each: len(each.value.opening), default=None
        )
        return found is not None and found.value.negative


def _compares(operator: Operator) -> bool:
    return operator.value.reads in (Reads.VALUE, Reads.PART, Reads.DOMAIN)
