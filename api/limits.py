"""How much may be asked at once: of the server by a request, of a request by its parts.

Owns every bound that is not a rule's own (`domain.rules.tree.Limits`) or a service's (`domain.contacts.MAX_AT_ONCE`). A bound
that is met is answered by `LIMIT_EXCEEDED` and a message that names it, in milliseconds, whatever the request looks like.
Held by `tests/api/test_limits.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from graphql import GraphQLError, OperationDefinitionNode
from strawberry.extensions import SchemaExtension

from api.cost import check_cost
from api.errors import to_graphql_error
from domain.errors import LimitExceeded

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Of an HTTP request, and of one message of a websocket: room for 1,000 contacts."""
BODY_SECONDS = 30.0
"""For a request's body to arrive."""
MAX_TOKENS = 8_000
"""Of a query's text; values belong into variables, which are not counted here."""
OPERATION_SECONDS = 30.0
"""For a query or mutation to be answered. A subscription may go on for ever."""
MAX_REQUESTS = 1_000
"""Over HTTP, being answered at one time."""
MAX_OPERATIONS_PER_SOCKET = 100
MAX_SOCKETS = 10_000
CONNECTION_INIT_SECONDS = 10
LONGEST_OPERATION_ID = 200


class OperationLimits(SchemaExtension):
    """The bounds of one operation: its text, its cost, its time."""

    def on_operation(self) -> Iterator[None]:
        self.execution_context.parse_options["max_tokens"] = MAX_TOKENS
        yield

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        document = context.graphql_document
        assert document is not None
        operations = [part for part in document.definitions if isinstance(part, OperationDefinitionNode)]
        if len(operations) > 1 and context._provided_operation_name is None:  # noqa: SLF001 # no public way
            # Strawberry would carry out the first one.
            context.pre_execution_errors = [
                GraphQLError("Of several operations, “operationName” says which is meant.")
            ]
        try:
            check_cost(context.schema._schema, document, context.operation_name, context.variables or {})  # noqa: SLF001 # no public way
        except LimitExceeded as error:
            # Found before validation, which then is left out: some of its rules cost more than they should on such a query.
            context.pre_execution_errors = [to_graphql_error(error)]
        yield

    async def on_execute(self) -> AsyncIterator[None]:
        async with asyncio.timeout(OPERATION_SECONDS):
            yield
