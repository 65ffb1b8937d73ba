"""Fields: what is known about the contacts of an account. The type, what rules can ask of it, and its mutations."""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from bson import ObjectId

from api.context import Info
from api.mutations import CLIENT_MUTATION_ID, Given, Payload, once
from api.operators import OperandKind, OperandShape, Operator
from domain.errors import InvalidValue
from domain.fields import Field as StoredField
from domain.fields import FieldType as StoredFieldType
from domain.rules.completion import described, operand_type
from domain.rules.operators import Operator as StoredOperator
from domain.rules.operators import Shape, operators_of


@strawberry.enum(description="What kind of value a field holds, and so which operators rules have for it.")
class FieldType(Enum):
    TEXT = strawberry.enum_value(
        "text", description="A text of up to 10,000 characters; compared without regard to case."
    )
    EMAIL = strawberry.enum_value("email", description="An email address.")
    PHONE = strawberry.enum_value(
        "phone", description="A phone number; without a country code, one of the account's region."
    )
    NUMBER = strawberry.enum_value("number", description="A finite number.")
    BOOLEAN = strawberry.enum_value(
        "boolean", description="True or false. Neither is another case than false."
    )
    DATE = strawberry.enum_value("date", description="A civil date such as `1965-01-31`, in no time zone.")
    DATETIME = strawberry.enum_value(
        "datetime",
        description="A point in time such as `2026-05-03T10:00:00+02:00`, always with its offset from UTC.",
    )
    CHOICE = strawberry.enum_value(
        "choice", description="One of the field's options, or any text where it has none."
    )
    TAGS = strawberry.enum_value("tags", description="A set of texts.")


@strawberry.type(description="An operator, and what it takes to offer it for one type of field.")
class FieldOperator:
    operator: Operator = strawberry.field(description="Its name, for a rule as a tree.")
    words: str = strawberry.field(description="Its words, for a rule as text: `does not contain`.")
    shape: OperandShape = strawberry.field(description="How many values it compares with.")
    operand: OperandKind | None = strawberry.field(
        description="What these values are; null where there are none."
    )
    operand_type: FieldType | None = strawberry.field(
        description="The type that these values are entered as; null where there are none."
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
    type: FieldType = strawberry.field(description="What kind of value it holds. Never changes.")
    options: list[str] = strawberry.field(
        description="Of a choice: the values allowed. Empty where any is, and for other types."
    )
    built_in: bool = strawberry.field(
        description="Whether every account has it. Such a field can be relabelled, not deleted."
    )

    @strawberry.field(
        description="The operators that a rule can use on it, with all that a rule builder needs to offer them."
    )
    def operators(self) -> list[FieldOperator]:
        return operators_for(self.type)


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


@strawberry.input(description="What is to change about a field. What is left out stays as it is.")
class UpdateFieldInput:
    key: str = strawberry.field(description="The field.")
    label: str | None = strawberry.field(default=strawberry.UNSET, description="Its new name for people.")
    options: list[str] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Of a choice: the values allowed from now on; null or empty for any. Values that are there stay.",
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `updateField`.")
class UpdateFieldPayload(Payload):
    field: Field | None = strawberry.field(description="The field as it is now; null where nothing was done.")


@strawberry.input(description="A field to be deleted, with every contact's value in it.")
class DeleteFieldInput:
    key: str = strawberry.field(description="The field. No segment's rule may use it.")
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
        description="Change a field's label or options. Errors: `UNKNOWN_FIELD`, `INVALID_FIELD`, `INVALID_VALUE`."
    )
    async def update_field(self, info: Info, input: Given[UpdateFieldInput]) -> UpdateFieldPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            if input.label is None:
                raise InvalidValue("A field has a label; it cannot be removed.", path=("label",))
            options = input.options
            await info.context.account.fields.update(
                input.key,
                label=None if input.label is strawberry.UNSET else input.label,
                options=None if options is strawberry.UNSET else tuple(options or ()),
            )
            return {"field": input.key}

        outcome = await once(info, input, act)
        return UpdateFieldPayload(
            field=await field_of_key(info, outcome.made.get("field")), errors=outcome.errors
        )

    @strawberry.mutation(
        description="Delete a field. Its values go from the contacts shortly after. "
        "Errors: `UNKNOWN_FIELD`, `INVALID_FIELD` for a built-in one, `FIELD_IN_USE`."
    )
    async def delete_field(self, info: Info, input: Given[DeleteFieldInput]) -> DeleteFieldPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            await info.context.account.fields.delete(input.key)
            return {"deletedKey": input.key}

        outcome = await once(info, input, act)
        return DeleteFieldPayload(deleted_key=outcome.made.get("deletedKey"), errors=outcome.errors)
