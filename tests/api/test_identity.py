"""Who asks: nothing but the probes answers without a key."""

from __future__ import annotations

import httpx
import pytest

from api.identity import Caller, Callers
from api.server import Serving
from domain.errors import Unauthenticated
from tests.api.client import Socket, raw_socket

CALLER = Caller(account="a", name="admin")


def test_a_key_names_its_caller_whatever_the_case_of_the_scheme() -> None:
    callers = Callers({"secret": CALLER})
    assert callers.identify("Bearer secret") == CALLER
    assert callers.identify("bearer  secret ") == CALLER


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "secret",
        "Basic secret",
        "Bearer",
        "Bearer ",
        "Bearer Secret",
        "Bearer x" + "x" * 1000,
        7,
        ["Bearer secret"],
    ],
)
def test_anything_else_names_nobody(given: object) -> None:
    with pytest.raises(Unauthenticated):
        Callers({"secret": CALLER}).identify(given)


@pytest.mark.parametrize("authorization", [None, "Bearer wrong-key", "Basic abc"])
async def test_a_request_without_a_known_key_is_answered_401_before_its_body_is_read(
    server: Serving, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        for query in ("{ fields { key } }", "{ __typename }", "no query at all"):
            response = await http.post(server.url, json={"query": query}, headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            (error,) = response.json()["errors"]
            assert error["extensions"]["code"] == "UNAUTHENTICATED"
            assert "wrong-key" not in response.text
        assert (await http.get(server.url)).status_code == 401


async def test_the_probes_answer_anybody(server: Serving) -> None:
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        for probe in ("healthz", "readyz"):
            response = await http.get(server.url.replace("graphql", probe))
            assert response.status_code == 200


@pytest.mark.parametrize(
    "payload", [{}, {"authorization": "Bearer wrong-key"}, {"authorization": None}, {"Authorization": "x"}]
)
async def test_a_websocket_without_a_known_key_is_closed_with_4403(
    server: Serving, payload: dict[str, object]
) -> None:
    async with raw_socket(server.url) as connection:
        socket = Socket(connection)
        await socket.send({"type": "connection_init", "payload": payload})
        assert await socket.closed() == (4403, "Forbidden")


async def test_a_websocket_that_asks_before_it_has_introduced_itself_is_closed_with_4401(
    server: Serving,
) -> None:
    async with raw_socket(server.url) as connection:
        socket = Socket(connection)
        await socket.subscribe("{ fields { key } }")
        assert await socket.closed() == (4401, "Unauthorized")
