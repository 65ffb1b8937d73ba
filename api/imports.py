"""Imports: the type, the queries that find them, and their progress as it goes on. What is done, `domain.imports` does."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry
from bson import ObjectId

from api.audiences import Audience, Node
from api.connections import After, Connection, First, by_identifier, checked_first
from api.context import Info
from api.downloads import PATH
from api.errors import UserError
from api.field_types import FieldType
from api.groups import to_group
from api.ids import Kind, find_id, require_id, to_id
from api.segments import to_segment
from domain.audiences import Group as StoredGroup
from domain.fields import FieldType as StoredFieldType
from domain.imports.imports import KIND
from domain.links import Thing
from domain.store.client import Document

UPLOAD_PART = 1 << 20


@strawberry.enum(description="How far an import has come.")
class ImportState(Enum):
    READY = strawberry.enum_value("ready", description="The file was looked at. Nothing has been begun.")
    CHECKING = strawberry.enum_value(
        "checking", description="It is being tried without writing anything. `READY` again after that."
    )
    RUNNING = strawberry.enum_value("running", description="Rows are being written.")
    DONE = strawberry.enum_value("done", description="Every row was taken or refused.")
    CANCELLED = strawberry.enum_value(
        "cancelled", description="Somebody ended it where it stood. What was written stays."
    )
    FAILED = strawberry.enum_value(
        "failed",
        description="It could not go on; `error` says why. Where nothing was written it can be started again.",
    )
    UNDOING = strawberry.enum_value("undoing", description="It is being taken back.")
    UNDONE = strawberry.enum_value(
        "undone", description="It was taken back, for the contacts that nothing else had changed."
    )


@strawberry.enum(description="What the contact of a row is found by.")
class ImportMatch(Enum):
    KEY = strawberry.enum_value("key", description="The contact's key.")
    EMAIL = strawberry.enum_value(
        "email",
        description="The email address, where exactly one contact has it. Contacts that are made get no key.",
    )
    PHONE = strawberry.enum_value(
        "phone",
        description="The phone number, where exactly one contact has it. Contacts that are made get no key.",
    )


@strawberry.enum(description="What becomes of rows whose contact is there, or is not.")
class ImportMode(Enum):
    CREATE = strawberry.enum_value(
        "create", description="New contacts are made; those that are there stay as they are."
    )
    UPDATE = strawberry.enum_value("update", description="Contacts that are there are changed; none is made.")
    BOTH = strawberry.enum_value(
        "both", description="New contacts are made, those that are there are changed."
    )


@strawberry.enum(description="What an empty cell means.")
class EmptyCells(Enum):
    REMOVE = strawberry.enum_value("remove", description="The contact's value is removed.")
    KEEP = strawberry.enum_value("keep", description="The contact's value stays.")


@strawberry.enum(
    description="What stands first in a date where a day and a month are both written as numbers: 3/5/1990."
)
class DateOrder(Enum):
    DAY_FIRST = strawberry.enum_value("day_first", description="3 May 1990.")
    MONTH_FIRST = strawberry.enum_value("month_first", description="5 March 1990.")


@strawberry.type(description="How a file is read. What was detected can be said otherwise to `createImport`.")
class ImportFormat:
    encoding: str | None = strawberry.field(
        description="Of a CSV file: how its letters are encoded. Null for a workbook."
    )
    delimiter: str | None = strawberry.field(
        description="Of a CSV file: what stands between its columns. Null for a workbook."
    )
    sheet: str | None = strawberry.field(
        description="Of a workbook: the sheet that is read. Null for a CSV file."
    )
    sheets: list[str] = strawberry.field(description="Of a workbook: the names of its sheets.")


@strawberry.type(description="A column of the file, and the field that is suggested for it.")
class ImportColumn:
    name: str = strawberry.field(description="Its header, or `Column 7` where it has none.")
    samples: list[str] = strawberry.field(description="Some of its cells: different ones, long ones cut off.")
    key: str = strawberry.field(
        description="The key of the field that is suggested; `key` for the contact's own key, which goes to no field."
    )
    label: str = strawberry.field(description="What people call this field.")
    type: FieldType = strawberry.field(
        description="Its type. Of a new field it is that of the cells at the beginning; the whole file decides."
    )
    known: bool = strawberry.field(description="Whether the field is there already, and not to be made.")
    date_order: DateOrder | None = strawberry.field(
        description="Of dates: which order the cells call for; null where they leave it open."
    )
    date_order_open: bool = strawberry.field(
        description="Whether `dateOrder` must be said: the cells could have their day first or their month."
    )


@strawberry.type(description="What became, or would become, of the rows of a file so far.")
class ImportReport:
    rows: int = strawberry.field(
        description="All of them so far: the sum of the following, but for `cellsLeftOut`."
    )
    created: int = strawberry.field(description="New contacts.")
    updated: int = strawberry.field(description="Contacts that were changed.")
    unchanged: int = strawberry.field(description="Contacts that were as they should be already.")
    skipped: int = strawberry.field(description="Rows that `mode` leaves alone.")
    superseded: int = strawberry.field(
        description="Rows whose contact comes again further down: the last one counts."
    )
    rejected: int = strawberry.field(description="Rows that were refused; `rejectsUrl` says why.")
    cells_left_out: int = strawberry.field(
        description="Single cells that their fields refuse, of rows that went in."
    )


@strawberry.type(description="How an audience would change.")
class ImportAudienceChange:
    audience: Audience = strawberry.field(description="The group or segment.")
    joining: int = strawberry.field(description="How many contacts would join.")
    leaving: int = strawberry.field(description="How many would leave.")


@strawberry.type(description="A field that an import would make.")
class ImportNewField:
    key: str = strawberry.field(description="Its key.")
    label: str = strawberry.field(description="What people will call it.")
    type: FieldType = strawberry.field(description="Its type, by all cells of the file.")


@strawberry.type(description="What an import would do, found out without writing anything.")
class ImportForecast:
    stored: strawberry.Private[Mapping[str, Any]]

    @strawberry.field(description="What would become of the rows.")
    def report(self) -> ImportReport:
        return _to_report(self.stored["counts"])

    @strawberry.field(description="The fields that would be made.")
    def new_fields(self) -> list[ImportNewField]:
        return [
            ImportNewField(key=each["key"], label=each["label"], type=_type(each["type"]))
            for each in self.stored["made"]
        ]

    @strawberry.field(
        description="The audiences whose members would change, those that change most first. Deleted ones are left out."
    )
    async def audiences(self, info: Info, first: First = 50) -> list[ImportAudienceChange]:
        catalogue = await info.context.catalogue()
        found = []
        for each in self.stored["audiences"][: checked_first(first)]:
            audience = catalogue.audience(each["id"])
            if audience is not None:
                shown: Audience = (
                    to_group(audience, catalogue)
                    if isinstance(audience, StoredGroup)
                    else to_segment(audience, catalogue)
                )
                found.append(
                    ImportAudienceChange(audience=shown, joining=each["joining"], leaving=each["leaving"])
                )
        return found


@strawberry.type(description="What became of the contacts of an import that was taken back.")
class ImportUndone:
    reverted: int = strawberry.field(
        description="Contacts that are as they were before it; those that it made are gone."
    )
    kept: int = strawberry.field(
        description="Contacts that something else has changed since, and that stay as they are."
    )


@strawberry.type(description="A file that is brought in, or was.")
class Import(Node):
    stored: strawberry.Private[Document]

    @strawberry.field(description="The name of the file, as it was said when it was uploaded.")
    def name(self) -> str:
        return str(self.stored["name"])

    @strawberry.field(description="How many bytes it has.")
    def bytes(self) -> int:
        return int(self.stored["bytes"])

    @strawberry.field(description="How far it has come.")
    def state(self) -> ImportState:
        return ImportState(self.stored["state"])

    @strawberry.field(description="When the file was looked at.")
    def created_at(self) -> datetime:
        moment: datetime = self.stored["created"]
        return moment

    @strawberry.field(description="When it, or its last dry run, was started; null until then.")
    def started_at(self) -> datetime | None:
        return self.stored.get("started")

    @strawberry.field(description="When it came to its end; null until then.")
    def finished_at(self) -> datetime | None:
        return self.stored.get("finished")

    @strawberry.field(description="How far it has come, per cent.")
    def percent(self) -> int:
        return self.stored.get("percent") or 0

    @strawberry.field(description="How many rows a second were taken lately.")
    def rows_per_second(self) -> float:
        return self.stored.get("rate") or 0.0

    @strawberry.field(description="How many rows the file has; null until it was read to its end.")
    def total_rows(self) -> int | None:
        return self.stored.get("total") or None

    @strawberry.field(description="How the file is read.")
    def format(self) -> ImportFormat:
        found = self.stored["format"]
        book = found["sheet"] is not None
        return ImportFormat(
            encoding=None if book else found["encoding"].removesuffix("-sig"),
            delimiter=None if book else found["delimiter"],
            sheet=found["sheet"],
            sheets=self.stored["sheets"],
        )

    @strawberry.field(description="The columns, from left to right, each with a suggestion.")
    def columns(self) -> list[ImportColumn]:
        return [
            ImportColumn(
                name=column["name"],
                samples=column["samples"],
                key=column["key"],
                label=column["label"],
                type=_type(column["type"]),
                known=column["known"],
                date_order=None if column["dates"] is None else DateOrder(column["dates"]),
                date_order_open=column["dates_open"],
            )
            for column in self.stored["columns"]
        ]

    @strawberry.field(description="What it is suggested to match rows by.")
    def match(self) -> ImportMatch:
        return ImportMatch(self.stored["match"])

    @strawberry.field(
        description="The column that it is suggested to match rows by; null where none seems to tell them apart, and one must be "
        "said."
    )
    def key_column(self) -> str | None:
        found: str | None = self.stored["key_column"]
        return found

    @strawberry.field(description="What became of the rows so far; null before it was started.")
    def report(self) -> ImportReport | None:
        counts = self.stored.get("counts")
        return None if counts is None else _to_report(counts)

    @strawberry.field(description="What its last dry run found; null without one.")
    def forecast(self) -> ImportForecast | None:
        trial = self.stored.get("trial")
        return None if trial is None else ImportForecast(stored=trial)

    @strawberry.field(
        description="What became of its contacts when it was taken back; null where it was not."
    )
    def undone(self) -> ImportUndone | None:
        found = self.stored.get("undone")
        return None if found is None else ImportUndone(reverted=found["reverted"], kept=found["kept"])

    @strawberry.field(description="Why it could not go on; null where nothing was wrong.")
    def error(self) -> UserError | None:
        found = self.stored.get("error")
        return None if found is None else UserError(code=found["code"], message=found["message"], path=[])

    @strawberry.field(
        description="Where the refused rows and cells can be had as a CSV file, with reasons: a path on this server that needs no "
        "key and leads nowhere after an hour. Null before it was started."
    )
    async def rejects_url(self, info: Info) -> str | None:
        if self.stored.get("counts") is None:
            return None
        link = await info.context.account.link(Thing.REJECTS, self.stored["_id"])
        return f"{PATH}/{link.token}"


def _type(name: str) -> FieldType:
    return FieldType[StoredFieldType(name).name]


def _to_report(counts: Mapping[str, int]) -> ImportReport:
    rows = sum(count for name, count in counts.items() if name != "cells_left_out")
    return ImportReport(rows=rows, **counts)


def to_import(job: Document) -> Import:
    return Import(id=to_id(Kind.IMPORT, job["_id"]), stored=job)


async def import_of(info: Info, identifier: ObjectId | None) -> Import | None:
    job = None if identifier is None else await info.context.account.jobs.get(KIND, identifier)
    return None if job is None else to_import(job)


@strawberry.type
class ImportQueries:
    @strawberry.field(name="import", description="One import; null where there is none.")
    async def import_(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its identifier.")]
    ) -> Import | None:
        return await import_of(info, find_id(id, Kind.IMPORT))

    @strawberry.field(description="The imports of the last 90 days, newest first.")
    async def imports(self, info: Info, first: First = 50, after: After = None) -> Connection[Import]:
        jobs = info.context.account.jobs
        return await by_identifier(
            "imports",
            lambda before, limit: jobs.page(KIND, before=before, limit=limit),
            to_import,
            lambda: jobs.count(KIND),
            first=first,
            after=after,
        )


@strawberry.type
class ImportSubscriptions:
    @strawberry.subscription(
        description="An import as it goes on: at once, then whenever it has changed, at most twice a second, until nobody is at "
        "work on it any more."
    )
    async def import_progress(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The import.")]
    ) -> AsyncGenerator[Import, None]:
        account = info.context.account
        job = await account.imports.require(require_id(id, Kind.IMPORT))
        return _followed(account.jobs.follow(KIND, job["_id"]))


async def _followed(jobs: AsyncGenerator[Document, None]) -> AsyncGenerator[Import, None]:
    async with aclosing(jobs):
        async for job in jobs:
            yield to_import(job)
