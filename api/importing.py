"""Importing: the mutations that take a file in, have it looked at and tried, bring it in, and take it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import strawberry
from bson import ObjectId
from starlette.datastructures import UploadFile
from strawberry.file_uploads import Upload

from api.context import Info
from api.field_types import FieldType
from api.ids import Kind, require_id
from api.imports import DateOrder, EmptyCells, Import, ImportMatch, ImportMode, import_of
from api.mutations import CLIENT_MUTATION_ID, Given, Payload, once
from domain.errors import InvalidValue, ShoalError
from domain.fields import FieldType as StoredFieldType
from domain.imports.dates import DateOrder as StoredDateOrder
from domain.imports.mapping import FieldChoice
from domain.imports.options import Match, Mode
from domain.imports.wanted import Wanted

UPLOAD_PART = 1 << 20


@strawberry.input(
    description="A file that is to be looked at: one that was sent to `POST /imports`, or one of this very request."
)
class CreateImportInput:
    upload: strawberry.ID | None = strawberry.field(
        default=None, description="What `POST /imports` gave as its identifier."
    )
    file: Upload | None = strawberry.field(
        default=None, description="The file itself, by the convention for multipart requests."
    )
    encoding: str | None = strawberry.field(
        default=None,
        description="How the letters of a CSV file are encoded, such as `cp1252`. Left out: it is detected.",
    )
    delimiter: str | None = strawberry.field(
        default=None,
        description="What stands between the columns of a CSV file: one character. Left out: it is detected.",
    )
    sheet: str | None = strawberry.field(
        default=None, description="The sheet of a workbook. Left out: the first that is not hidden."
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.input(description="What is to be done with one column instead of what was suggested.")
class ImportColumnInput:
    column: str = strawberry.field(description="Its name, as `Import.columns` tells it.")
    key: str | None = strawberry.field(
        default=None,
        description="The key of the field that it goes to. One that is not there is made. `key` is the contact's own key: rows are "
        "matched by it, and it goes to no field.",
    )
    type: FieldType | None = strawberry.field(
        default=None, description="Of a field that is to be made: its type. Left out: by the cells."
    )
    date_order: DateOrder | None = strawberry.field(default=None, description="How its dates are written.")
    leave_out: bool = strawberry.field(default=False, description="Whether it goes nowhere.")


@strawberry.input(description="How a file is to be imported. What is left out is done as it was suggested.")
class StartImportInput:
    id: strawberry.ID = strawberry.field(description="The import.")
    dry_run: bool = strawberry.field(
        default=False,
        description="Whether nothing is to be written: `Import.forecast` then tells what would be done, and the import can be "
        "started after that.",
    )
    match: ImportMatch | None = strawberry.field(
        default=None, description="What the contact of a row is found by."
    )
    key_column: str | None = strawberry.field(
        default=None, description="The column that holds the key, the address or the number to match by."
    )
    columns: list[ImportColumnInput] | None = strawberry.field(
        default=None, description="What is to be done with single columns."
    )
    mode: ImportMode = strawberry.field(
        default=ImportMode.BOTH, description="What becomes of rows whose contact is there, or is not."
    )
    keep_existing: bool = strawberry.field(
        default=False,
        description="Whether values that a contact has stay, and only what it lacks is filled in.",
    )
    empty_cells: EmptyCells = strawberry.field(
        default=EmptyCells.REMOVE, description="What an empty cell means."
    )
    tag_separator: str = strawberry.field(
        default=";", description="What stands between the tags of one cell."
    )
    date_order: DateOrder | None = strawberry.field(
        default=None, description="How dates are written in all columns that leave it open."
    )
    strict: bool = strawberry.field(
        default=False, description="Whether a cell that its field refuses has its whole row refused."
    )
    group: strawberry.ID | None = strawberry.field(
        default=None, description="A static group that all contacts of the file are put into."
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.input(description="An import that something is to be done with.")
class ImportInput:
    id: strawberry.ID = strawberry.field(description="The import.")
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of a mutation of an import.")
class ImportPayload(Payload):
    import_: Import | None = strawberry.field(
        name="import", description="The import as it is now; null where nothing was done."
    )


@strawberry.type
class ImportMutations:
    @strawberry.mutation(
        description="Look at a file: how it is read, its columns, and where they seem to belong. Nothing is written. Errors: "
        "`NOT_FOUND`, `UNREADABLE_FILE`, `LIMIT_EXCEEDED`, `INVALID_MAPPING` for a sheet that is not there."
    )
    async def create_import(self, info: Info, input: Given[CreateImportInput]) -> ImportPayload:
        async def act(identifier: ObjectId) -> dict[str, Any]:
            account = info.context.account
            if (input.upload is None) == (input.file is None):
                raise InvalidValue("Either “upload” or “file” is wanted.", path=("upload",))
            if input.upload is not None:
                upload = require_id(input.upload, Kind.UPLOAD, path=("upload",))
            else:
                upload = await _taken(info, input.file)
            try:
                await account.imports.create(
                    identifier, upload, encoding=input.encoding, delimiter=input.delimiter, sheet=input.sheet
                )
            except ShoalError:
                if input.upload is None:
                    # Nobody has a name for it, to try again with.
                    await account.uploads.drop(upload)
                raise
            return {"import": identifier}

        return await _done(info, input, act)

    @strawberry.mutation(
        description="Begin to bring a file in, in the background, or to try what that would do. Errors: `NOT_FOUND`, "
        "`INVALID_MAPPING`, `VERSION_CONFLICT` where it was started before."
    )
    async def start_import(self, info: Info, input: Given[StartImportInput]) -> ImportPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            identifier = require_id(input.id, Kind.IMPORT)
            await info.context.account.imports.start(identifier, _wanted(input), trial=input.dry_run)
            return {"import": identifier}

        return await _done(info, input, act)

    @strawberry.mutation(
        description="End an import where it stands, within a few seconds. What was written stays, and can be taken back. "
        "Errors: `NOT_FOUND`."
    )
    async def cancel_import(self, info: Info, input: Given[ImportInput]) -> ImportPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            identifier = require_id(input.id, Kind.IMPORT)
            await info.context.account.imports.cancel(identifier)
            return {"import": identifier}

        return await _done(info, input, act)

    @strawberry.mutation(
        description="Take an import back that has come to its end, within 30 days: the contacts that it made go, those that it "
        "changed become as they were; but for contacts that something else has changed since. Fields that it made stay. Errors: "
        "`NOT_FOUND`, `VERSION_CONFLICT` where it has not ended, or was taken back before."
    )
    async def undo_import(self, info: Info, input: Given[ImportInput]) -> ImportPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            identifier = require_id(input.id, Kind.IMPORT)
            await info.context.account.imports.undo(identifier)
            return {"import": identifier}

        return await _done(info, input, act)


async def _done(info: Info, input: Any, act: Any) -> ImportPayload:
    outcome = await once(info, input, act)
    return ImportPayload(import_=await import_of(info, outcome.made.get("import")), errors=outcome.errors)


async def _taken(info: Info, file: object) -> ObjectId:
    """The file of a multipart request, kept. How big it may be has been seen to where the request was read."""
    if not isinstance(file, UploadFile):
        raise InvalidValue(
            "A file is wanted, in a request by the convention for multipart requests.", path=("file",)
        )

    async def parts() -> AsyncIterator[bytes]:
        while part := await file.read(UPLOAD_PART):
            yield part

    upload = await info.context.account.uploads.take(parts(), name=file.filename or "", most=file.size or 0)
    return upload.id


def _wanted(given: StartImportInput) -> Wanted:
    columns = given.columns or []
    choices = []
    for index, column in enumerate(columns):
        if column.leave_out:
            continue
        if column.key is None:
            raise InvalidValue("Either “key” or “leaveOut” is wanted.", path=("columns", index, "key"))
        choices.append(
            FieldChoice(
                header=column.column,
                key=column.key,
                type=None if column.type is None else StoredFieldType[column.type.name],
                dates=None if column.date_order is None else StoredDateOrder[column.date_order.name],
            )
        )
    return Wanted(
        match=None if given.match is None else Match[given.match.name],
        key_column=given.key_column,
        choices=tuple(choices),
        left_out=tuple(column.column for column in columns if column.leave_out),
        mode=Mode[given.mode.name],
        separator=given.tag_separator,
        dates=None if given.date_order is None else StoredDateOrder[given.date_order.name],
        strict=given.strict,
        empty_removes=given.empty_cells is EmptyCells.REMOVE,
        keep_existing=given.keep_existing,
        group=None if given.group is None else require_id(given.group, Kind.GROUP, path=("group",)),
    )
