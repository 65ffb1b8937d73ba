"""An account's settings: what days, weeks and phone numbers mean in it. The type, and the mutation that changes them."""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from bson import ObjectId

from api.context import Info
from api.mutations import CLIENT_MUTATION_ID, Given, Payload, once
from domain.errors import InvalidValue, ShoalError
from domain.fields import LeapDay as StoredLeapDay
from domain.fields import Settings as StoredSettings
from domain.fields import Weekday as StoredWeekday


@strawberry.enum(description="A day of the week.")
class Weekday(Enum):
    MONDAY = strawberry.enum_value("monday", description="Monday.")
    TUESDAY = strawberry.enum_value("tuesday", description="Tuesday.")
    WEDNESDAY = strawberry.enum_value("wednesday", description="Wednesday.")
    THURSDAY = strawberry.enum_value("thursday", description="Thursday.")
    FRIDAY = strawberry.enum_value("friday", description="Friday.")
    SATURDAY = strawberry.enum_value("saturday", description="Saturday.")
    SUNDAY = strawberry.enum_value("sunday", description="Sunday.")


@strawberry.enum(description="On which day 29 February is observed in years that have none.")
class LeapDay(Enum):
    FEBRUARY_28 = strawberry.enum_value("february_28", description="On 28 February.")
    MARCH_1 = strawberry.enum_value("march_1", description="On 1 March.")


@strawberry.type(description="What days, weeks and phone numbers mean in the account.")
class Settings:
    time_zone: str = strawberry.field(
        description="The time zone that decides what a day is, by its IANA name: `Europe/Berlin`."
    )
    region: str = strawberry.field(
        description="The country of phone numbers that name none, by its two letters: `US`."
    )
    first_weekday: Weekday = strawberry.field(description="The day that weeks begin on.")
    leap_day: LeapDay = strawberry.field(
        description="On which day 29 February is observed in years that have none."
    )


def to_settings(settings: StoredSettings) -> Settings:
    return Settings(
        time_zone=settings.time_zone,
        region=settings.region,
        first_weekday=Weekday(str(settings.first_weekday)),
        leap_day=LeapDay(str(settings.leap_day)),
    )


@strawberry.input(description="What is to change about the settings. What is left out stays as it is.")
class UpdateSettingsInput:
    time_zone: str | None = strawberry.field(
        default=strawberry.UNSET, description="The time zone that decides what a day is, by its IANA name."
    )
    region: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The country of phone numbers that name none, by its two letters.",
    )
    first_weekday: Weekday | None = strawberry.field(
        default=strawberry.UNSET, description="The day that weeks begin on."
    )
    leap_day: LeapDay | None = strawberry.field(
        default=strawberry.UNSET, description="On which day 29 February is observed in years that have none."
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of `updateSettings`.")
class UpdateSettingsPayload(Payload):
    settings: Settings | None = strawberry.field(
        description="The settings as they are now; null where nothing was done."
    )


@strawberry.type
class SettingsMutations:
    @strawberry.mutation(
        description="Change the account's settings. Values that are stored stay as they were read. Errors: `INVALID_VALUE`."
    )
    async def update_settings(self, info: Info, input: Given[UpdateSettingsInput]) -> UpdateSettingsPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            try:
                await info.context.account.settings.update(**_changes(input))
            except ShoalError as error:
                error.path = tuple(_PATHS.get(part, part) for part in error.path)
                raise
            return {"done": True}

        outcome = await once(info, input, act)
        settings = to_settings((await info.context.catalogue()).settings) if outcome.made else None
        return UpdateSettingsPayload(settings=settings, errors=outcome.errors)


_PATHS: dict[str | int, str] = {
    "time_zone": "timeZone",
    "region": "region",
    "first_weekday": "firstWeekday",
    "leap_day": "leapDay",
}


_IN_WORDS: dict[str | int, str] = {
    "time_zone": "time zone",
    "region": "region",
    "first_weekday": "first weekday",
    "leap_day": "day for those of 29 February",
}


def _changes(given: UpdateSettingsInput) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name in _PATHS:
        value = getattr(given, str(name))
        if value is None:
            raise InvalidValue(f"A {_IN_WORDS[name]} is always needed.", path=(name,))
        if value is not strawberry.UNSET:
            changes[str(name)] = value
    if "first_weekday" in changes:
        changes["first_weekday"] = StoredWeekday(changes["first_weekday"].value)
    if "leap_day" in changes:
        changes["leap_day"] = StoredLeapDay(changes["leap_day"].value)
    return changes
