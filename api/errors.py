"""Errors as callers see them.

Owns the two forms: in a mutation's payload a refusal is data (`UserError`), in a query or subscription it is a GraphQL error
with the same code under `extensions`. Whatever is no `ShoalError` is a defect or a failure below us: the caller gets a
number, the log gets the same number with the trace. Held by `tests/api/test_errors.py`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import strawberry
import structlog
from graphql import GraphQLError
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError

from domain.errors import LimitExceeded, RuleSyntaxError, ShoalError, Unavailable
from domain.store.client import DatabaseUnreachable

log = structlog.get_logger(__name__)

INVALID_REQUEST = "INVALID_REQUEST"
INTERNAL = "INTERNAL"
TIMEOUT = "TIMEOUT"


@strawberry.type(
    description="Why something was refused: data that a program can act on and a person can read."
)
class UserError:
    code: str = strawberry.field(
        description="A stable code, such as `NAME_TAKEN` or `RULE_SYNTAX`: what programs decide on."
    )
    message: str = strawberry.field(
        description="What is wrong and what to do about it, fit to be shown to a person."
    )
    path: list[str] = strawberry.field(
        description='Where in the input the fault lies, from its root: `["contacts", "3", "key"]`. '
        "Empty where it is not about one part."
    )
    line: int | None = strawberry.field(
        default=None, description="In a rule's text: the line of the fault, from 1."
    )
    column: int | None = strawberry.field(
        default=None, description="In a rule's text: the column of the fault, from 1."
    )
    expected: list[str] = strawberry.field(
        default_factory=list, description="In a rule's text that cannot be read: what could have stood there."
    )


def to_plain(error: ShoalError) -> dict[str, Any]:
    """The error in plain values, as payloads, extensions and stored outcomes carry it."""
    plain: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "path": [str(part) for part in error.path],
    }
    if error.line is not None:
        plain |= {"line": error.line, "column": error.column}
    if isinstance(error, RuleSyntaxError):
        plain["expected"] = list(error.expected)
    return plain


def user_errors(plain: list[Mapping[str, Any]]) -> list[UserError]:
    return [UserError(**error) for error in plain]


def to_graphql_error(error: ShoalError, located: GraphQLError | None = None) -> GraphQLError:
    """The error at the place in the query where it happened, if that is known."""
    extensions = to_plain(error)
    message = extensions.pop("message")
    # What a GraphQL error calls its path leads through the response; ours leads into the input.
    extensions["inputPath"] = extensions.pop("path")
    return _like(located, message, extensions)


def presentable(error: GraphQLError) -> GraphQLError:
    """What the caller may see of an error."""
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    match cause:
        case ShoalError():
            return to_graphql_error(cause, error)
        case MissingQueryError():
            return _like(error, "“query” is wanted: the text of an operation.", {"code": INVALID_REQUEST})
        case None | GraphQLError() | CannotGetOperationTypeError() | InvalidOperationTypeError():
            extensions = {"code": INVALID_REQUEST, **(error.extensions or {})}
            return _like(error, error.message, extensions)
        case RecursionError():
            return to_graphql_error(LimitExceeded("This request is nested too deeply."), error)
        case DatabaseUnreachable():
            log.warning("request.database_unreachable", error=repr(cause))
            return to_graphql_error(
                Unavailable("The database does not answer. Try again in a few seconds."), error
            )
        case TimeoutError():
            return _like(
                error, "This took too long and was given up. Ask for less at once.", {"code": TIMEOUT}
            )
        case _:
            return masked(cause, error)


def masked(cause: Exception, error: GraphQLError | None = None) -> GraphQLError:
    """What the caller may see of a defect: the number under which it is logged here."""
    identifier = secrets.token_hex(8)
    log.error("request.failed", id=identifier, exc_info=cause)
    message = f"Something went wrong here. It is logged under {identifier}: name that when you report it."
    return _like(error, message, {"code": INTERNAL, "id": identifier})


def _like(error: GraphQLError | None, message: str, extensions: dict[str, Any]) -> GraphQLError:
    if error is None:
        return GraphQLError(message, extensions=extensions)
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=extensions,
    )
