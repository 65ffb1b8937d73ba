"""Fields: what is known about the contacts of an account. The type, what rules can ask of it, and its mutations."""

from __future__ import annotations

from typing import Any

import strawberry
from bson import ObjectId

from api.context import Info
from api.conversions import FieldConversion, to_conversion
from api.field_types import FieldType
from api.mutations import CLIENT_MUTATION_ID, Given, Payload, once
from api.operators import OperandKind, OperandShape, Operator, TimeUnit
from domain.errors import InvalidValue
from domain.fields import Field as StoredField
from domain.fields import FieldType as StoredFieldType
from domain.rules.hints import described, operand_type
from domain.rules.operators import Operator as StoredOperator
from domain.rules.operators import Shape, operators_of, units_of


@strawberry.type(description="An operator, and what it takes to offer it for one type of field.")
class FieldOperator:
    operator: Operator = strawberry.field(description="Its name, for a rule as a tree.")
    words: str = strawberry.field(
        description="Its words, for a rule as text: `does not contain`. Its value stands behind them, or where the `…` is."
    )
    shape: OperandShape = strawberry.field(description="How many values it compares with.")
    operand: OperandKind | None = strawberry.field(
        description="What these values are; null where there are none."
    )
    operand_type: FieldType | None = strawberry.field(
        description="The type that these values are entered as; null where there are none."
    )
    units: list[TimeUnit] = strawberry.field(
        description="The units in which these values can be said, the smallest first; empty where they have none."
    )
    hint: str | None = strawberry.field(
        description="What such a value looks like in a rule's text; null where there is none."
    )
    negative: bool = strawberry.field(
        description="Whether it can include contacts without a value, and so has `includeMissing`."
    )
    description: str = strawberry.field(description="What it means, in a sentence.")


def operators_for(type_: FieldType) -> list[FieldOperator]:
    """The operators of a type, in the order of the table."""
    stored = StoredFieldType[type_.name]
    return [_to_operator(operator, stored) for operator in operators_of(stored)]


def _to_operator(operator: StoredOperator, type_: StoredFieldType) -> FieldOperator:
    row = operator.value
    compares = row.shape is not Shape.NONE
    return FieldOperator(
        operator=Operator(operator.name),
        words=row.words,
        shape=OperandShape[row.shape.name],
        operand=OperandKind[row.reads.name] if compares else None,
        operand_type=FieldType[operand_type(type_, row.reads).name] if compares else None,
        units=[TimeUnit[unit.name] for unit in units_of(row.reads, type_)],
        hint=described(type_, row.reads) if compares else None,
        negative=row.negative,
        description=row.doc,
    )


@strawberry.type(description="A field that contacts can have a value in.")
class Field:
    key: str = strawberry.field(
        description="The name that rules and attributes use: lower-case words joined by `_`. Never changes."
    )
    label: str = strawberry.field(description="The name that people see.")
    type: FieldType = strawberry.field(description="What kind of value it holds.")
    options: list[str] = strawberry.field(
        description="Of a choice: the values allowed. Empty where any is, and for other types."
    )
    built_in: bool = strawberry.field(
        description="Whether every account has it. Such a field can be relabelled; it is not deleted, and keeps its type."
    )

    @strawberry.field(
        description="The operators that a rule can use on it, with all that a rule builder needs to offer them."
    )
    def operators(self) -> list[FieldOperator]:
        return operators_for(self.type)

    @strawberry.field(
        description="What became, or is becoming, of the values that contacts had when the field got another type, the last time "
        "that it did; null where it never did."
    )
    async def conversion(self, info: Info) -> FieldConversion | None:
        found = await info.context.load.conversions.load(self.key)
        return None if found is None else to_conversion(found)


def to_field(field: StoredField) -> Field:
    return Field(
        key=field.key,
        label=field.label,
        type=FieldType[field.type.name],
        options=list(field.options),
        built_in=field.built_in,
    )


@strawberry.input(description="A field to be made.")
class CreateFieldInput:
    label: str = strawberry.field(description="The name that people see.")
    type: FieldType = strawberry.field(description="What kind of value it holds.")
    key: str | None = strawberry.field(
        default=None,
        description="The name that rules and attributes use: lower-case words joined by `_`. Made of the label where left out.",
    )
    options: list[str] | None = strawberry.field(
        default=None, description="Of a choice: the values allowed. Left out: any."
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `createField`.")
class CreateFieldPayload(Payload):
    field: Field | None = strawberry.field(description="The field; null where it could not be made.")


BREAK_SEGMENTS: Any = strawberry.field(
    default=False,
    description="Whether segments may break by it: those whose rules use the field, and those that refer to these. Their members "
    "then stay as they are until the rules are mended (`Segment.broken`). Left out, it is refused where there are any.",
)


@strawberry.input(description="What is to change about a field. What is left out stays as it is.")
class UpdateFieldInput:
    key: str = strawberry.field(description="The field.")
    label: str | None = strawberry.field(default=strawberry.UNSET, description="Its new name for people.")
    options: list[str] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Of a choice: the values allowed from now on; null or empty for any. Values that are there stay.",
    )
    type: FieldType | None = strawberry.field(
        default=strawberry.UNSET,
        description="Its new type. The values that contacts have are converted in the background (`Field.conversion`); they "
        "stay as they were entered.",
    )
    break_segments: bool = BREAK_SEGMENTS
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `updateField`.")
class UpdateFieldPayload(Payload):
    field: Field | None = strawberry.field(description="The field as it is now; null where nothing was done.")


@strawberry.input(description="A field to be deleted, with every contact's value in it.")
class DeleteFieldInput:
    key: str = strawberry.field(description="The field.")
    break_segments: bool = BREAK_SEGMENTS
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `deleteField`.")
class DeleteFieldPayload(Payload):
    deleted_key: str | None = strawberry.field(
        description="The key of the field that was deleted; null where nothing was done."
    )


async def field_of_key(info: Info, key: str | None) -> Field | None:
    found = None if key is None else (await info.context.catalogue()).fields.get(key)
    return None if found is None else to_field(found)


@strawberry.type
class FieldMutations:
    @strawberry.mutation(
        description="Make a field. Making the very same field again changes nothing. "
        "Errors: `INVALID_FIELD`, `NAME_TAKEN`, `LIMIT_EXCEEDED`."
    )
    async def create_field(self, info: Info, input: Given[CreateFieldInput]) -> CreateFieldPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            field = await info.context.account.fields.create(
                key=input.key,
                label=input.label,
                type=StoredFieldType[input.type.name],
                options=tuple(input.options or ()),
            )
            return {"field": field.key}

        outcome = await once(info, input, act)
        return CreateFieldPayload(
            field=await field_of_key(info, outcome.made.get("field")), errors=outcome.errors
        )

    @strawberry.mutation(
        description="Change a field's label, options or type. Errors: `UNKNOWN_FIELD`, `INVALID_FIELD`, `INVALID_VALUE`, "
        "`FIELD_IN_USE` where segments would break by the new type, and may not."
    )
    async def update_field(self, info: Info, input: Given[UpdateFieldInput]) -> UpdateFieldPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            if input.label is None:
                raise InvalidValue("A field has a label; it cannot be removed.", path=("label",))
            if input.type is None:
                raise InvalidValue("A field has a type; it cannot be removed.", path=("type",))
            options = input.options
            await info.context.account.fields.update(
                input.key,
                label=None if input.label is strawberry.UNSET else input.label,
                options=None if options is strawberry.UNSET else tuple(options or ()),
                type=None if input.type is strawberry.UNSET else StoredFieldType[input.type.name],
                break_segments=input.break_segments,
            )
            return {"field": input.key}

        outcome = await once(info, input, act)
        return UpdateFieldPayload(
            field=await field_of_key(info, outcome.made.get("field")), errors=outcome.errors
        )

    @strawberry.mutation(
        description="Delete a field. Its values go from the contacts shortly after. "
        "Errors: `UNKNOWN_FIELD`, `INVALID_FIELD` for a built-in one, `FIELD_IN_USE` where segments would break by it, and may not."
    )
    async def delete_field(self, info: Info, input: Given[DeleteFieldInput]) -> DeleteFieldPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            await info.context.account.fields.delete(input.key, break_segments=input.break_segments)
            return {"deletedKey": input.key}

        outcome = await once(info, input, act)
        return DeleteFieldPayload(deleted_key=outcome.made.get("deletedKey"), errors=outcome.errors)
