"""GraphQL over HTTP: what is no request is answered as such, and answers are what the client accepts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.graphql_view import GraphQLView
from api.limits import MAX_BODY_BYTES
from api.server import serving
from api.settings import Settings
from tests.api.client import Client
from tests.api.conftest import CALLERS, key_of

JSON = {"content-type": "application/json"}
NEWER = "application/graphql-response+json"

BODIES: list[tuple[str, bytes, int]] = [
    ("empty", b"", 400),
    ("no JSON", b"{", 400),
    ("null", b"null", 400),
    ("a number", b"1", 400),
    ("a text", b'"{ fields { key } }"', 400),
    ("a batch", b'[{"query": "{ fields { key } }"}]', 400),
    ("an empty batch", b"[]", 400),
    ("no UTF-8", b'{"query": "\xff\xfe"}', 400),
    ("half a character", rb'{"query": "{ fields { key } }", "variables": {"a": "\uD83D"}}', 400),
    (
        "half a character as bytes",
        b'{"query": "{ fields { key } }", "variables": {"a": "\xed\xa0\xbd"}}',
        400,
    ),
    ("nested 100,000 levels deep", b"[" * 100_000, 400),
    (
        "an integer of 5,000 digits",
        b'{"query": "{ fields { key } }", "variables": {"a": ' + b"9" * 5_000 + b"}}",
        400,
    ),
    ("no query", b"{}", 400),
    ("an empty query", b'{"query": ""}', 400),
    ("a query that is a list", b'{"query": ["{ fields { key } }"]}', 400),
    ("variables that are a list", b'{"query": "{ fields { key } }", "variables": [1]}', 400),
    ("an operation name that is a number", b'{"query": "{ fields { key } }", "operationName": 1}', 400),
    ("extensions that are a text", b'{"query": "{ fields { key } }", "extensions": "x"}', 400),
    ("too large", b'{"query": "' + b" " * MAX_BODY_BYTES + b'"}', 413),
]


@pytest.mark.parametrize(("body", "status"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
async def test_a_body_that_is_no_request_is_refused_with_an_error_in_graphql_form(
    client: Client, body: bytes, status: int
) -> None:
    response = await client.http.post(client.url, content=body, headers=JSON)
    assert response.status_code == status
    (error,) = response.json()["errors"]
    assert error["message"]
    assert error["extensions"]["code"] in {"INVALID_REQUEST", "LIMIT_EXCEEDED"}


async def test_a_character_in_two_halves_is_one(client: Client) -> None:
    body = rb'{"query": "query ($a: String!) { segments(search: $a) { totalCount } }", "variables": {"a": "\uD83D\uDE00"}}'
    response = await client.http.post(client.url, content=body, headers=JSON)
    assert response.json() == {"data": {"segments": {"totalCount": 0}}}


async def test_a_body_that_grows_too_large_without_saying_so_is_refused(client: Client) -> None:
    async def parts() -> Any:
        for _ in range(MAX_BODY_BYTES // 65_536 + 2):
            yield b" " * 65_536

    response = await client.http.post(client.url, content=parts(), headers=JSON)
    assert response.status_code == 413


@pytest.mark.parametrize(
    "type_", ["text/plain", "application/x-www-form-urlencoded", "multipart/mixed; boundary=x", ""]
)
async def test_a_body_of_another_type_is_refused(client: Client, type_: str) -> None:
    response = await client.http.post(
        client.url, content=b'{"query": "{ fields { key } }"}', headers={"content-type": type_}
    )
    assert response.status_code == 415


async def test_other_methods_are_refused_and_queries_may_come_by_get(client: Client) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        assert (await client.http.request(method, client.url)).status_code == 405
    read = await client.http.get(
        client.url,
        params={"query": "query ($a: Int) { segments(first: $a) { totalCount } }", "variables": '{"a": 1}'},
    )
    assert read.json() == {"data": {"segments": {"totalCount": 0}}}
    for params in ({}, {"query": "{ a", "variables": "["}, {"query": "{ a }", "variables": "[]"}):
        assert (await client.http.get(client.url, params=params)).status_code in {400, 404}
    mutation = 'mutation { createGroup(input: { name: "A" }) { errors { code } } }'
    assert (await client.http.get(client.url, params={"query": mutation})).status_code == 400
    assert (await client.data("{ groups { totalCount } }")) == {"totalCount": 0}


BEFORE_EXECUTION = [
    ("{ fields { key }", {}),
    ("{ fields { key nonsense } }", {}),
    ("query ($first: Int!) { segments(first: $first) { totalCount } }", {"first": "many"}),
    ("query A { fields { key } } query B { fields { key } }", {}),
    ('mutation { createSegment(input: { name: "A", rule: {} }) { errors { code } } }', {}),
    (
        'mutation { createSegment(input: { name: "A", rule: { expression: "a is empty", all: [] } }) { errors { code } } }',
        {},
    ),
]


@pytest.mark.parametrize(("query", "variables"), BEFORE_EXECUTION)
async def test_an_error_before_execution_carries_no_data_and_is_a_400_for_whoever_accepts_the_newer_form(
    client: Client, query: str, variables: dict[str, Any]
) -> None:
    request = {"query": query, "variables": variables}
    response = await client.http.post(client.url, json=request, headers={"accept": NEWER})
    assert response.status_code == 400
    if response.headers["content-type"].startswith(NEWER):
        assert "data" not in response.json()
    assert response.json()["errors"][0]["extensions"]["code"] == "INVALID_REQUEST"
    older = await client.http.post(client.url, json=request, headers={"accept": "application/json"})
    assert older.status_code in {200, 400}
    assert older.headers["content-type"].startswith("application/json")
    assert "data" not in older.json()


async def test_an_answer_has_the_type_that_the_client_prefers(client: Client) -> None:
    request = {"query": "{ fields { key } }"}
    for accept, wanted in (
        (NEWER, NEWER),
        (f"{NEWER}, application/json;q=0.9", NEWER),
        (f"application/json, {NEWER}", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
    ):
        response = await client.http.post(client.url, json=request, headers={"accept": accept})
        assert response.status_code == 200
        assert response.headers["content-type"].split(";")[0] == wanted


async def test_values_of_every_type_come_back_as_they_went_in(client: Client) -> None:
    values: dict[str, tuple[str, Any]] = {
        "a_text": ("TEXT", 'Grüße 👋 "quoted"'),
        "a_number": ("NUMBER", 1250.5),
        "a_large_number": ("NUMBER", 9_007_199_254_740_993),
        "a_boolean": ("BOOLEAN", False),
        "a_date": ("DATE", "1965-01-01"),
        "a_datetime": ("DATETIME", "2026-05-03T10:00:00+02:00"),
        "a_choice": ("CHOICE", "Senator"),
        "some_tags": ("TAGS", ["Shoes", "Hats"]),
    }
    for key, (type_, _) in values.items():
        await client.field(key, type_)
    contact = await client.contact("A", **{key: value for key, (_, value) in values.items()})
    read = await client.data(
        "query ($id: ID!) { contact(id: $id) { attributes { key value field { type } } } }", id=contact
    )
    assert {attribute["key"]: attribute["value"] for attribute in read["attributes"]} == {
        key: value for key, (_, value) in values.items()
    }


async def test_values_may_stand_in_the_query_itself_and_are_refused_where_no_field_could_hold_them(
    client: Client,
) -> None:
    def written(attributes: str) -> str:
        given = f"createContact(input: {{ attributes: [{attributes}] }})"
        return f"mutation {{ {given} {{ contact {{ attributes {{ value }} }} errors {{ code }} }} }}"

    await client.field("Tags", "TAGS")
    await client.field("Number", "NUMBER")
    made = await client.data(written('{ key: "tags", value: ["A", "B"] }, { key: "number", value: 7 }'))
    assert made == {"contact": {"attributes": [{"value": ["A", "B"]}, {"value": 7}]}, "errors": []}
    for literal in ("{ a: 1 }", "[[1]]", "[null]"):
        answer = await client.ask(written(f'{{ key: "tags", value: {literal} }}'))
        assert answer["errors"][0]["extensions"]["code"] == "INVALID_REQUEST", answer
    answer = await client.ask(written(f'{{ key: "number", value: {"9" * 5_000} }}'))
    assert "INTERNAL" not in str(answer)


async def test_pages_of_an_allowed_origin_may_use_the_api_from_a_browser(settings: Settings) -> None:
    origin = "https://app.example.com"
    async with (
        serving(replace(settings, allowed_origins=(origin,)), CALLERS) as here,
        Client(here.url, key_of("default")) as client,
    ):
        asked = {
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        }
        for given, allowed in ((origin, True), ("https://elsewhere.example", False)):
            preflight = await client.http.options(here.url, headers={"origin": given, **asked})
            assert (preflight.headers.get("access-control-allow-origin") == given) is allowed
            answer = await client.http.post(
                here.url, json={"query": "{ __typename }"}, headers={"origin": given}
            )
            assert (answer.headers.get("access-control-allow-origin") == given) is allowed


async def test_a_defect_outside_of_any_operation_is_masked_too(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret of the implementation")

    monkeypatch.setattr(GraphQLView, "parse_json", broken)
    response = await client.http.post(client.url, json={"query": "{ __typename }"})
    assert response.status_code == 500
    assert response.json()["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "secret" not in response.text


async def test_so_many_requests_are_answered_at_one_time_and_no_more(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.graphql_view.MAX_REQUESTS", 0)
    response = await client.http.post(client.url, json={"query": "{ __typename }"})
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
    monkeypatch.undo()
    assert await client.data("{ __typename }") == "Query"


async def test_a_subscription_is_told_to_go_over_a_websocket(client: Client) -> None:
    segment = await client.segment("No email", "email is empty")
    answer = await client.ask("subscription ($id: ID!) { audienceSize(audience: $id) { size } }", id=segment)
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "INVALID_REQUEST"
    assert "subscriptions" in error["message"]
