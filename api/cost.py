"""What an operation may cost at most, worked out before it is carried out.

Owns the estimate: each field costs something, and what stands below a list is multiplied by the list's length, which `first`
bounds. A fragment is worked out once for each type of list it stands in, however often it is spread, so fragments that
double each other take no time (they are merely expensive, and refused). Depth and the number of selections are bounded
beside it, because validation itself takes time in both. Held by `tests/api/test_limits.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_interface_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.type import introspection_types

from api.connections import MAX_FIRST
from domain.errors import LimitExceeded

MAX_COST = 100_000
MAX_DEPTH = 20
MAX_SELECTIONS = 1_000

LIST_LENGTH = 5
"""What a list without `first` is taken to hold."""

LENGTHS = {
    "__Schema.types": 110,
    "__Type.fields": 6,
    "__Type.inputFields": 2,
    "__Type.enumValues": 2,
    "__Type.interfaces": 1,
    "__Type.possibleTypes": 1,
    "__Field.args": 1,
    "__Directive.args": 1,
    "Field.operators": 16,
    "Query.operators": 16,
    "RuleCompletion.suggestions": 60,
    "SizeHistory.points": 500,
    "Import.columns": 50,
}
"""Of the schema's own lists, and of others of which it is known."""

FIELDS = {
    "Query.contacts": 50,
    "Query.previewRule": 200,
    "RulePreview.takenInForLackOfAValue": 500,
    "RulePreview.warnings": 500,
    "Group.changes": 100,
    "Group.changesSince": 100,
    "Segment.changes": 100,
    "Segment.changesSince": 100,
    "Audience.changes": 100,
    "Audience.changesSince": 100,
    "Group.sizeOverTime": 500,
    "Segment.sizeOverTime": 500,
    "Audience.sizeOverTime": 500,
    "Campaign.preview": 500,
    "CampaignPreview.sample": 50,
    "Campaign.deliveries": 50,
    "Campaign.replies": 50,
    "Campaign.progress": 100,
    "Campaign.missingOverTime": 500,
    "Campaign.forecast": 100,
    "Query.replies": 50,
    "Contact.explain": 50,
    "Field.conversion": 20,
    "Contact.membership": 50,
    "Query.import": 20,
    "Query.imports": 50,
}
"""Of fields that ask the database something of their own; all others cost 1, and each mutation `MUTATION`."""

MUTATION = 1_000


def check_cost(
    schema: GraphQLSchema, document: DocumentNode, operation_name: str | None, variables: Mapping[str, Any]
) -> None:
    """Raises `LimitExceeded`. What is no valid query costs something, too; it is for validation to refuse it."""
    _check_selections(document)
    estimate = _Estimate(schema, document, variables)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode) and (
            operation_name is None
            or (definition.name is not None and definition.name.value == operation_name)
        ):
            cost, depth = estimate.operation(definition)
            if depth > MAX_DEPTH:
                raise LimitExceeded(f"A query is {MAX_DEPTH} fields deep at most; this one is {depth}.")
            if cost > MAX_COST:
                raise LimitExceeded(
                    f"This would cost {cost:,}; {MAX_COST:,} is the most. Each field counts once for each item of the lists "
                    f"around it: ask for fewer items (`first`) or fewer fields at once."
                )


def _check_selections(document: DocumentNode) -> None:
    """Over the whole text: what no operation uses is validated, too."""
    found = 0
    waiting = [
        definition.selection_set
        for definition in document.definitions
        if hasattr(definition, "selection_set")
    ]
    while waiting:
        for selection in waiting.pop().selections:
            found += 1
            if found > MAX_SELECTIONS:
                raise LimitExceeded(f"A query's text has {MAX_SELECTIONS:,} fields and fragments at most.")
            if getattr(selection, "selection_set", None) is not None:
                waiting.append(selection.selection_set)


class _Estimate:
    """Of one document. Costs are (cost, depth)."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._schema = schema
        self._variables = dict(variables)
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._known: dict[tuple[str, int], tuple[int, int]] = {}
        self._under_way: set[tuple[str, int]] = set()

    def operation(self, operation: OperationDefinitionNode) -> tuple[int, int]:
        for definition in operation.variable_definitions or ():
            name = definition.variable.name.value
            if name not in self._variables and isinstance(definition.default_value, IntValueNode):
                self._variables[name] = int(definition.default_value.value[:10])
        root = self._schema.get_root_type(operation.operation)
        return self._selection_set(operation.selection_set, root, LIST_LENGTH)

    def _selection_set(
        self, selections: SelectionSetNode, on: GraphQLNamedType | None, page: int
    ) -> tuple[int, int]:
        """`page` is the length of the page that a connection's `edges` or `nodes` hold."""
        cost, depth = 0, 0
        for selection in selections.selections:
            match selection:
                case FieldNode():
                    part = self._field(selection, on, page)
                case InlineFragmentNode():
                    named = selection.type_condition
                    inner = on if named is None else self._schema.get_type(named.name.value)
                    part = self._selection_set(selection.selection_set, inner, page)
                case FragmentSpreadNode():
                    part = self._fragment(selection.name.value, page)
                case _:
                    continue
            cost, depth = cost + part[0], max(depth, part[1])
        return cost, depth

    def _fragment(self, name: str, page: int) -> tuple[int, int]:
        fragment, key = self._fragments.get(name), (name, page)
        if fragment is None or key in self._under_way:
            return 1, 1
        if key not in self._known:
            self._under_way.add(key)
            on = self._schema.get_type(fragment.type_condition.name.value)
            self._known[key] = self._selection_set(fragment.selection_set, on, page)
            self._under_way.discard(key)
        return self._known[key]

    def _field(self, node: FieldNode, on: GraphQLNamedType | None, page: int) -> tuple[int, int]:
        name = node.name.value
        definition = None
        if is_object_type(on) or is_interface_type(on):
            definition = on.fields.get(name)
        if definition is None and name in {"__schema", "__type"}:
            below = introspection_types["__Schema" if name == "__schema" else "__Type"]
            within, length, own = below, 1, 1
        elif definition is None:
            within, length, own = None, 1, 1
        else:
            within = get_named_type(definition.type)
            kind = definition.type.of_type if is_non_null_type(definition.type) else definition.type
            assert on is not None
            own = MUTATION if on is self._schema.mutation_type else FIELDS.get(f"{on.name}.{name}", 1)
            bounded = "first" in definition.args
            if bounded:
                page = self._first(node, definition.args["first"].default_value)
            length = 1
            if is_list_type(kind):
                paged = bounded or on.name.endswith("Connection")
                length = page if paged else LENGTHS.get(f"{on.name}.{name}", LIST_LENGTH)
        if node.selection_set is None:
            return own * max(length, 1), 1
        cost, depth = self._selection_set(node.selection_set, within, page)
        return own + length * max(cost, 1), depth + 1

    def _first(self, node: FieldNode, default: object) -> int:
        given: object = default
        for argument in node.arguments or ():
            if argument.name.value == "first":
                match argument.value:
                    case IntValueNode(value=text):
                        given = int(text[:10])
                    case VariableNode(name=name):
                        given = self._variables.get(name.value, default)
                    case NullValueNode():
                        given = None
                    case _:
                        given = MAX_FIRST
        # A null is the default; whatever else is no number is for validation to refuse.
        given = default if given is None else given
        return max(0, min(given, MAX_FIRST)) if isinstance(given, int) else MAX_FIRST
