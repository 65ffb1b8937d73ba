"""A server killed with -9 in the middle of an import, again and again: it goes on where it stood."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path

import anyio
import httpx
import pytest

from domain.imports.readers import APART_FROM
from tests.api.client import PATIENCE_SECONDS, Client
from tests.api.test_imports import created, ended, report, started
from tests.api.test_killed import process

ROWS = 1_400


async def reached(client: Client, count: int) -> None:
    """Return when so many contacts are there."""
    with anyio.fail_after(4 * PATIENCE_SECONDS):
        while (await client.data("{ contacts { totalCount } }"))["totalCount"] < count:  # noqa: ASYNC110 # another process
            await anyio.sleep(0.05)


@pytest.mark.parametrize("killed_at", [[500], pytest.param([200, 800], marks=pytest.mark.soak)])
async def test_no_row_is_lost_or_doubled_however_often_the_server_is_killed(
    tmp_path: Path, killed_at: list[int]
) -> None:
    # Without keys: nothing but the journal keeps a contact from being made twice. And so long that a process of its own reads it.
    rows = (f"p{number}@example.org,N{number},{number:0>1500}\n" for number in range(ROWS))
    content = "Email,Name,Note\n" + "".join(rows)
    assert len(content) > APART_FROM
    identifier = ""
    for count in killed_at:
        async with process(tmp_path) as (client, server):
            if not identifier:
                await client.contact(email="p7@example.org", first_name="Old")
                identifier = (await created(client, content))["id"]
                await started(client, identifier, match="EMAIL", keyColumn="Email")
            await reached(client, count)
            server.send_signal(signal.SIGKILL)
            with suppress(httpx.HTTPError):
                await client.data("{ contacts { totalCount } }")
    async with process(tmp_path) as (client, _):
        found = await ended(client, identifier)
        assert (found["state"], found["error"]) == ("DONE", None)
        assert report(found) == {"created": ROWS - 1, "updated": 1}
        query = "query ($after: String) { contacts(first: 200, after: $after) { pageInfo { endCursor hasNextPage } nodes {"
        query += ' attribute(key: "email") { value } name: attribute(key: "name") { value } } } }'
        pairs, after, more = [], None, True
        while more:
            page = await client.data(query, after=after)
            pairs += [(node["attribute"]["value"], node["name"]["value"]) for node in page["nodes"]]
            after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
        assert sorted(pairs) == sorted((f"p{number}@example.org", f"N{number}") for number in range(ROWS))
