"""How operations are carried out: the schema as served, with a fresh context for each and presentable errors.

Owns three seams of Strawberry's. `execute` and `stream` are handed a `Session` and make a `Context` of it, so that operations of
one websocket share nothing they have read; each event of a subscription gets a context of its own; and no result leaves
with an error that is not presentable. Held by `tests/api/test_watching.py` and `tests/api/test_errors.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

import strawberry
from graphql import ExecutionResult as GraphQLExecutionResult
from graphql import GraphQLError
from graphql.execution import Executor
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext, StreamResult
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry.types.graphql import OperationType

from api.context import Context, Session
from api.errors import presentable


class FreshForEachEvent(StrawberryGraphQLCoreExecutionContext):
    """Gives each event of a subscription a context of its own."""

    def build_per_event_executor(self, payload: Any) -> Executor[Any]:
        executor = super().build_per_event_executor(payload)
        if isinstance(executor.context_value, Context):
            executor.context_value = executor.context_value.fresh()
        return executor


class Schema(strawberry.Schema):
    """The schema, served. `context_value` is a `Session`."""

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Session | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        result = await super().execute(
            query,
            variable_values=variable_values,
            context_value=None if context_value is None else context_value.context(),
            root_value=root_value,
            operation_name=operation_name,
            # One answer to one request: subscriptions go over a websocket.
            allowed_operation_types=set(allowed_operation_types or OperationType)
            - {OperationType.SUBSCRIPTION},
            operation_extensions=operation_extensions,
        )
        _present(result)
        return result

    async def stream(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Session | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        operation_extensions: dict[str, Any] | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
    ) -> StreamResult:
        results = await super().stream(
            query,
            variable_values=variable_values,
            context_value=None if context_value is None else context_value.context(),
            root_value=root_value,
            operation_name=operation_name,
            operation_extensions=operation_extensions,
            allowed_operation_types=allowed_operation_types,
        )
        return _presented(results)

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Nothing: what is to be logged is logged where it is masked, under the same identifier."""


async def _presented(results: StreamResult) -> AsyncGenerator[Any, None]:
    async with aclosing(results):
        async for result in results:
            _present(result)
            yield result


def _present(result: object) -> None:
    if isinstance(result, ExecutionResult | GraphQLExecutionResult) and result.errors:
        result.errors = [presentable(error) for error in result.errors]
