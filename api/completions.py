"""Completion of a rule's text, for editors. What may stand where is decided in `domain.rules.completion`."""

from __future__ import annotations

from enum import Enum

import strawberry

from api.rules import LIMITS
from domain.catalogue import Catalogue
from domain.referring import KnownAudiences
from domain.rules.completion import complete


@strawberry.enum(description="What kind of part a suggestion is.")
class SuggestionKind(Enum):
    FIELD = strawberry.enum_value("field", description="A field's key, in back-ticks where it needs them.")
    OPERATOR = strawberry.enum_value(
        "operator", description="An operator's words, or those that are left of them."
    )
    WORD = strawberry.enum_value("word", description="A key word, a parenthesis or a comma.")
    VALUE = strawberry.enum_value("value", description="One of the values that there can be.")
    AUDIENCE = strawberry.enum_value(
        "audience", description="A group or a segment by its name, with the word that says which it is."
    )


@strawberry.type(description="A text that may stand at the place that was asked about.")
class Suggestion:
    text: str = strawberry.field(description="The text.")
    kind: SuggestionKind = strawberry.field(description="What kind of part it is.")
    description: str = strawberry.field(description="What it means.")


@strawberry.type(description="What may stand at a place in a rule's text.")
class RuleCompletion:
    start: int = strawberry.field(
        description="A suggestion that is taken replaces what stands from here up to the place asked about."
    )
    suggestions: list[Suggestion] = strawberry.field(
        description="What goes on from what is typed already. Empty where nothing can, and where only a value can that there are "
        "too many of to be listed."
    )
    operand: str | None = strawberry.field(
        description="Where a value is wanted: what such a value looks like. Null elsewhere."
    )


def completion_of(expression: str, position: int | None, catalogue: Catalogue) -> RuleCompletion:
    """Of the text's end, where no position is given."""
    place = len(expression) if position is None else position
    found = complete(expression, place, catalogue.fields, LIMITS, KnownAudiences(catalogue))
    return RuleCompletion(
        start=found.start,
        suggestions=[
            Suggestion(text=each.text, kind=SuggestionKind(each.kind.value), description=each.doc)
            for each in found.suggestions
        ],
        operand=found.operand,
    )
