"""Conversions: what becomes of contacts' values when a field gets another type. The work is done by `domain.converting`."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import strawberry
from bson import ObjectId

from api.connections import First, checked_first
from api.context import Info
from api.field_types import FieldType
from api.ids import Kind, to_id
from api.values import AttributeValue
from domain.converting import MOST_FAILURES, Failure
from domain.converting import Conversion as StoredConversion

if TYPE_CHECKING:
    from api.contacts import Contact


@strawberry.enum(description="How far a conversion has come.")
class FieldConversionState(Enum):
    WAITING = strawberry.enum_value(
        "waiting", description="Not begun: the members of segments that broke are being frozen first."
    )
    RUNNING = strawberry.enum_value("running", description="Contact after contact is being looked at.")
    DONE = strawberry.enum_value("done", description="Every contact has been looked at.")


@strawberry.type(description="A contact of whose value the field's new type can make nothing.")
class FieldConversionFailure:
    contact_id: strawberry.ID = strawberry.field(description="The contact.")
    value: AttributeValue = strawberry.field(
        description="The value as it was entered, which it still has; of a long one the beginning."
    )
    message: str = strawberry.field(description="Why not, fit to be shown to a person.")
    contact_object_id: strawberry.Private[ObjectId]

    @strawberry.field(description="The contact as it is now; null where it has been deleted since.")
    async def contact(self, info: Info) -> Annotated[Contact, strawberry.lazy("api.contacts")] | None:
        from api.contacts import load_contact  # noqa: PLC0415 # contacts have fields, and fields contacts

        return await load_contact(info, self.contact_object_id)


@strawberry.type(
    description="What became of the values that contacts had when a field got another type. What was entered stays as it was; what "
    "rules read is made anew by the new type, and rules see the field as empty where that cannot be done."
)
class FieldConversion:
    stored: strawberry.Private[StoredConversion]

    @strawberry.field(name="from", description="The type that the field had.")
    def from_(self) -> FieldType:
        return FieldType[self.stored.before.name]

    @strawberry.field(description="The type that it got.")
    def to(self) -> FieldType:
        return FieldType[self.stored.after.name]

    @strawberry.field(description="How far it has come.")
    def state(self) -> FieldConversionState:
        return FieldConversionState(self.stored.stage.value)

    @strawberry.field(description="How far it has come, per cent.")
    def progress(self) -> int:
        return self.stored.progress

    @strawberry.field(description="How many contacts had a value when it began.")
    def total(self) -> int:
        return self.stored.total

    @strawberry.field(description="How many contacts were looked at.")
    def done(self) -> int:
        return self.stored.done

    @strawberry.field(description="Of how many of these the new type can read the value.")
    def converted(self) -> int:
        return self.stored.converted

    @strawberry.field(description="Of how many it cannot.")
    def failed(self) -> int:
        return self.stored.failed

    @strawberry.field(description="When the field got its new type.")
    def started_at(self) -> datetime:
        return self.stored.started

    @strawberry.field(description="When every contact had been looked at; null until then.")
    def finished_at(self) -> datetime | None:
        return self.stored.finished

    @strawberry.field(description=f"Those that failed, the first {MOST_FAILURES:,} of them.")
    def failures(
        self,
        first: First = 50,
        after: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Begin behind the one of this contact: `contactId` of the last."),
        ] = None,
    ) -> list[FieldConversionFailure]:
        failures = self.stored.failures
        if after is not None:
            places = [place for place, failure in enumerate(failures, 1) if _id(failure) == after]
            failures = failures[places[0] :] if places else ()
        return [
            FieldConversionFailure(
                contact_id=_id(failure),
                value=AttributeValue(failure.value),
                message=failure.message,
                contact_object_id=failure.contact,
            )
            for failure in failures[: checked_first(first)]
        ]


def _id(failure: Failure) -> strawberry.ID:
    return to_id(Kind.CONTACT, failure.contact)


def to_conversion(conversion: StoredConversion) -> FieldConversion:
    return FieldConversion(stored=conversion)
