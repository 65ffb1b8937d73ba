"""Searching contacts by words that somebody types: a rule like any other, over the fields that hold text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain.catalogue import Catalogue
from domain.errors import InvalidValue
from domain.fields import Field, FieldType
from domain.rules.build import UnboundCondition, build
from domain.rules.operators import Operator
from domain.rules.query import to_query
from domain.rules.tree import Limits, Rule, all_of, any_of

LONGEST_SEARCH = 200

_SEARCHED = (FieldType.TEXT, FieldType.EMAIL, FieldType.PHONE)


def search_query(catalogue: Catalogue, text: str) -> dict[str, Any]:
    """Contacts of whom each word of `text` stands in a name, the email address or the phone number, or whose key it is."""
    fields = [field for field in catalogue.fields.values() if field.built_in and field.type in _SEARCHED]
    words = text.split()
    if not words:
        return {}
    if len(text) > LONGEST_SEARCH:
        raise InvalidValue(f"A search has {LONGEST_SEARCH} characters at most.", path=("search",))
    found = all_of([any_of(_containing(fields, word, catalogue)) for word in words])
    return {"$or": [to_query(found), {"key": text.strip()}]}


def _containing(fields: Sequence[Field], word: str, catalogue: Catalogue) -> list[Rule]:
    rules = []
    for field in fields:
        try:
            said = UnboundCondition(field=field.key, operator=Operator.CONTAINS, operands=[word])
            rules.append(build(said, catalogue.fields, catalogue.settings, Limits()))
        except InvalidValue:
            # A word that cannot be a part of a phone number is looked for in the other fields.
            if field.type is not FieldType.PHONE:
                raise
    return rules
