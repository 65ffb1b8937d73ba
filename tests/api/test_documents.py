"""Documents that are known are neither parsed nor validated again; whatever else holds for them holds each time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from strawberry.schema import schema as strawberry_schema

from api import documents
from tests.api.client import Client


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    documents._known.clear()
    yield
    documents._known.clear()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is parsed and what is validated, as it happens."""
    done: list[str] = []
    for name in ("parse", "validate_document"):
        original = getattr(strawberry_schema, name)

        def counted(
            *arguments: object, name: str = name, original: object = original, **more: object
        ) -> object:
            done.append(name)
            assert callable(original)
            return original(*arguments, **more)

        monkeypatch.setattr(strawberry_schema, name, counted)
    return done


async def test_a_document_is_parsed_and_validated_once(client: Client, work: list[str]) -> None:
    query = "query ($first: Int) { groups(first: $first) { totalCount } }"
    for first in (1, 2, 3):
        assert await client.data(query, first=first) == {"totalCount": 0}
    assert work == ["parse", "validate_document"]
    async with client.socket() as socket:
        await socket.subscribe(query)
        assert await socket.event() == {"totalCount": 0}
    assert work == ["parse", "validate_document"]


async def test_a_known_document_that_costs_too_much_with_other_variables_is_refused(client: Client) -> None:
    query = "query ($n: Int!) { segments(first: $n) { nodes { members(first: $n) { nodes { id key createdAt updatedAt } } } } }"
    for _ in range(2):
        assert await client.data(query, n=2) == {"nodes": []}
        assert await client.code(query, n=200) == "LIMIT_EXCEEDED"


async def test_what_is_refused_is_not_remembered(client: Client) -> None:
    for query in ("{ groups { nonsense } }", "{ groups ", "query A { __typename } query B { __typename }"):
        for _ in range(2):
            assert await client.code(query) == "INVALID_REQUEST"
    assert not documents._known


async def test_the_longest_unused_documents_are_forgotten_and_long_ones_never_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MOST_KNOWN", 2)
    for name in "abac":
        await client.data(f"{{ {name}: __typename }}")
    assert list(documents._known) == ["{ a: __typename }", "{ c: __typename }"]
    await client.data("{ __typename }" + " " * documents.LONGEST_KNOWN)
    assert len(documents._known) == 2
