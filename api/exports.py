"""Exports: a link under which the contacts of an audience or a rule can be had as a file."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry
from bson import ObjectId

from api.context import Info
from api.downloads import PATH
from api.ids import AUDIENCES, require_id
from api.mutations import CLIENT_MUTATION_ID, Given, Payload, once
from api.rules import RuleInput, rule_builder
from domain.errors import InvalidValue
from domain.exports import Wanted
from domain.links import Thing
from domain.tables import FileKind


@strawberry.enum(description="What kind of file an export is.")
class ExportFormat(Enum):
    CSV = strawberry.enum_value(
        "csv",
        description="CSV, in UTF-8 with commas. What a spreadsheet would take for a formula has an apostrophe before it.",
    )
    XLSX = strawberry.enum_value(
        "xlsx", description="An Excel workbook of one sheet, 1,048,575 contacts at most."
    )


@strawberry.type(description="A file that can be had.")
class Export:
    url: str = strawberry.field(
        description="Where: a path on this server that needs no key. What it gives is read when it is asked for."
    )
    expires_at: datetime = strawberry.field(description="When it leads nowhere any more.")


@strawberry.input(
    description="Contacts that are wanted as a file: an audience's, or those that a rule matches, or all."
)
class CreateExportInput:
    audience: strawberry.ID | None = strawberry.field(default=None, description="The group or segment.")
    rule: RuleInput | None = strawberry.field(default=None, description="In place of an audience: a rule.")
    format: ExportFormat = strawberry.field(default=ExportFormat.CSV, description="What kind of file.")
    fields: list[str] | None = strawberry.field(
        default=None,
        description="The columns, from left to right: keys of fields, and `key`, `created` and `updated` of the contact itself. "
        "Left out: the key and all fields.",
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `createExport`.")
class CreateExportPayload(Payload):
    export: Export | None = strawberry.field(description="The file; null where there is none.")


@strawberry.type
class ExportMutations:
    @strawberry.mutation(
        description="Ask for contacts as a file. Errors: `NOT_FOUND`, `UNKNOWN_FIELD`, `LIMIT_EXCEEDED`, and what is wrong with a "
        "rule."
    )
    async def create_export(self, info: Info, input: Given[CreateExportInput]) -> CreateExportPayload:
        async def act(identifier: ObjectId) -> dict[str, Any]:
            if input.audience is not None and input.rule is not None:
                raise InvalidValue("Either “audience” or “rule” is wanted, not both.", path=("rule",))
            audience = (
                None if input.audience is None else require_id(input.audience, *AUDIENCES, path=("audience",))
            )
            rule = None if input.rule is None else rule_builder(input.rule)(await info.context.catalogue())
            wanted = Wanted(
                kind=FileKind[input.format.name],
                audience=audience,
                rule=rule,
                fields=tuple(input.fields or ()),
            )
            await info.context.account.exports.create(identifier, wanted)
            return {"export": identifier}

        outcome = await once(info, input, act)
        made = outcome.made.get("export")
        if made is None:
            return CreateExportPayload(export=None, errors=outcome.errors)
        link = await info.context.account.link(Thing.EXPORT, made)
        return CreateExportPayload(
            export=Export(url=f"{PATH}/{link.token}", expires_at=link.expires), errors=outcome.errors
        )
