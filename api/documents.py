"""Documents: a client's few queries, parsed and validated once for this process.

Owns what is remembered: documents that were valid, by their text, the most recently used ones. A refusal is never remembered, and
what depends on an operation's variables (its cost) is looked at each time. Held by `tests/api/test_documents.py`.

Cost: two milliseconds less for each operation. Memory: `MOST_KNOWN` documents of at most `LONGEST_KNOWN` characters.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from graphql import DocumentNode
from strawberry.extensions import SchemaExtension

MOST_KNOWN = 500
LONGEST_KNOWN = 10_000

_known: OrderedDict[str, DocumentNode] = OrderedDict()


class KnownDocuments(SchemaExtension):
    """Leaves out what was done for the same text before."""

    def __init__(self) -> None:
        self._is_known = False

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        document = _known.get(context.query or "")
        if document is not None:
            _known.move_to_end(context.query or "")
            context.graphql_document = document
            self._is_known = True
        yield

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        if self._is_known and context.pre_execution_errors is None:
            # An empty list says that it has been validated, and nothing was found.
            context.pre_execution_errors = []
        yield
        text, document = context.query or "", context.graphql_document
        if self._is_known or context.pre_execution_errors or document is None or len(text) > LONGEST_KNOWN:
            return
        _known[text] = document
        if len(_known) > MOST_KNOWN:
            _known.popitem(last=False)
