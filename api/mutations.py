"""What all mutations have in common: carried out once for each `clientMutationId`, and refusals as data.

Owns the way from a service to a payload. The outcome of a mutation is plain values (identifiers of what was made, and
errors), so that it can be stored and its payload made again from what is there then. Held by `tests/api/test_mutations.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, TypeVar

import strawberry
from bson import ObjectId
from starlette.datastructures import UploadFile

from api.context import Info
from api.errors import UserError, to_plain, user_errors
from domain.errors import ShoalError, Unavailable

CLIENT_MUTATION_ID: Any = strawberry.field(
    default=None,
    description="A text of your own, new for each thing to be done. Sent again within a day with the same input, the first "
    "outcome is returned instead of acting again: so a request whose answer was lost can be repeated.",
)

T = TypeVar("T")
Given = Annotated[T, strawberry.argument(description="What is to be done.")]

Act = Callable[[ObjectId], Awaitable[Mapping[str, Any]]]
"""Carries a mutation out, making what it makes under the given identifier; what was made, in plain values."""


@strawberry.interface(description="What became of a mutation.")
class Payload:
    errors: list[UserError] = strawberry.field(
        description="Why nothing, or not everything, was done; else empty."
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    made: Mapping[str, Any]
    errors: list[UserError]


async def once(info: Info, input: Any, act: Act) -> Outcome:
    """The outcome of `act`: of this call, or of an earlier one with the same `clientMutationId`.

    A refusal is an outcome, and repeated as such; a part that cannot be reached is not, since the next attempt may succeed.
    """
    context = info.context
    context.renew()

    async def attempt(identifier: ObjectId) -> Mapping[str, Any]:
        try:
            return {"made": dict(await act(identifier)), "errors": []}
        except Unavailable:
            raise
        except ShoalError as error:
            return {"made": {}, "errors": [to_plain(error)]}

    try:
        outcome = await context.account.outcomes.once(
            context.caller.name, info.field_name, input.client_mutation_id, _plain(input), attempt
        )
    except ShoalError as error:
        outcome = {"made": {}, "errors": [to_plain(error)]}
    return Outcome(outcome["made"], user_errors(outcome["errors"]))


def _plain(given: Any) -> Any:
    """An input as JSON values; what was left out is left out, so that it differs from null."""
    if dataclasses.is_dataclass(given):
        named = {field.name: getattr(given, field.name) for field in dataclasses.fields(given)}
        return {
            name: _plain(value)
            for name, value in named.items()
            if value is not strawberry.UNSET and name != "client_mutation_id"
        }
    match given:
        case list():
            return [_plain(item) for item in given]
        case Enum():
            return given.name
        case datetime():
            return given.isoformat()
        case UploadFile():
            return [given.filename, given.size]
        case _:
            return given
