"""Exports through the API, and by the command line."""

from __future__ import annotations

import csv
import io
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
import python_calamine

from tests.api.client import Client
from tests.api.conftest import KEY
from tests.api.test_import_command import DEADLINE, ROOT
from tests.api.test_imports import imported, report
from tests.api.test_serving import process, ready

PEOPLE: dict[str, dict[str, Any]] = {
    "A": {"first_name": "=cmd|' /C calc'!A0", "email": "ann@x.org", "phone": "+1 202 224 3441"},
    "B": {"first_name": "Zoë", "last_name": "-5"},
}


async def link(client: Client, **given: Any) -> str:
    payload = await client.do("createExport", given, "export { url expiresAt }")
    return client.url.replace("/graphql", payload["export"]["url"])


async def given(client: Client, url: str) -> Any:
    return await client.http.get(url, headers={"authorization": ""})


def table(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


async def test_an_audience_comes_as_a_file_under_a_link_that_needs_no_key(client: Client) -> None:
    await client.upsert(PEOPLE)
    segment = await client.segment("With “email”", "email is not empty")
    response = await given(
        client, await link(client, audience=segment, fields=["key", "first_name", "phone"])
    )
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["cache-control"] == "private, no-store"
    assert "filename*=UTF-8''With%20%E2%80%9Cemail%E2%80%9D.csv" in response.headers["content-disposition"]
    assert table(response.content) == [
        ["Key", "First name", "Phone"],
        ["A", "'=cmd|' /C calc'!A0", "'+1 202 224 3441"],
    ]
    response = await given(client, await link(client, rule={"expression": "email is empty"}, format="XLSX"))
    book = python_calamine.load_workbook(io.BytesIO(response.content))
    assert list(book.get_sheet_by_index(0).iter_rows())[1][:3] == ["B", "Zoë", "-5"]


async def test_what_was_exported_is_imported_again_without_a_change(client: Client) -> None:
    await client.upsert(PEOPLE)
    for format_ in ("CSV", "XLSX"):
        response = await given(client, await link(client, format=format_))
        columns = [{"column": "Key", "leaveOut": True}]
        found = await imported(client, response.content, columns=columns, keyColumn="Key")
        assert report(found) == {"unchanged": 2}


async def test_what_cannot_be_exported_is_refused(client: Client, other_client: Client) -> None:
    segment = await client.segment("S", "email is empty")
    cases: list[tuple[Client, dict[str, Any], str]] = [
        (client, {"fields": ["frist_name"]}, "UNKNOWN_FIELD"),
        (client, {"audience": "nonsense"}, "NOT_FOUND"),
        (other_client, {"audience": segment}, "NOT_FOUND"),
        (client, {"rule": {"expression": "email is"}}, "RULE_SYNTAX"),
        (client, {"rule": {"expression": "email is empty"}, "audience": segment}, "INVALID_VALUE"),
    ]
    for caller, wanted, code in cases:
        (error,) = (await caller.attempt("createExport", wanted))["errors"]
        assert error["code"] == code


async def test_an_audience_that_is_gone_when_the_link_is_used_is_told(client: Client) -> None:
    segment = await client.segment("S", "email is empty")
    url = await link(client, audience=segment)
    await client.do("deleteSegment", {"id": segment}, "deletedId")
    assert (await given(client, url)).status_code == 404


async def test_no_link_is_logged_even_where_everything_is(environment: dict[str, str]) -> None:
    async with (
        process({**environment, "SHOAL_LOG_LEVEL": "debug"}) as server,
        Client(server.url, KEY) as client,
    ):
        await ready(server.url)
        url = await link(client)
        assert (await given(client, url)).status_code == 200
        assert (await given(client, url + "x")).status_code == 404
        await server.end()
        assert url.rpartition("/")[2][:20] not in str(server.logged)


async def run(cwd: Path, *arguments: str, **variables: str) -> Any:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
    with anyio.fail_after(DEADLINE):
        return await anyio.run_process(
            [sys.executable, "-m", "api", "export", *arguments],
            cwd=cwd,
            env={**inherited, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **variables},
            check=False,
        )


@pytest.mark.soak
async def test_the_command_line_writes_the_same(environment: dict[str, str], tmp_path: Path) -> None:
    async with process(environment) as server, Client(server.url, KEY) as client:
        await ready(server.url)
        await client.upsert(PEOPLE)
        await client.segment("With email", "email is not empty")
        said = await run(tmp_path, "a.csv", "--audience", "with EMAIL", "--field", "key", **environment)
        assert (said.returncode, said.stdout.decode()) == (0, "        1 contacts written to a.csv\n"), (
            said.stderr
        )
        assert table((tmp_path / "a.csv").read_bytes()) == [["Key"], ["A"]]
        said = await run(tmp_path, "c.csv", "--rule", "nonsense", **environment)
        assert (said.returncode, said.stderr.decode().count("\n")) == (1, 1)
        assert not (tmp_path / "c.csv").exists()
