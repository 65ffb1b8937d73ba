"""The members of a segment, kept in a group, through the API."""

from __future__ import annotations

from typing import Any

import anyio

from tests.api.client import PATIENCE_SECONDS, Client

COPY = "id state percent total moved unchanged refused error { code } group { id name size }"
PROGRESS = f"subscription ($id: ID!) {{ groupCopyProgress(id: $id) {{ {COPY} }} }}"


async def copied(client: Client, **given: Any) -> Any:
    """The copy when it is at its end, as the subscription tells it."""
    made = (await client.do("copyToGroup", given, "copy { id }"))["copy"]
    async with client.socket() as socket:
        await socket.subscribe(PROGRESS, id=made["id"])
        found = None
        with anyio.fail_after(2 * PATIENCE_SECONDS):
            while (message := await socket.receive())["type"] == "next":
                found = message["payload"]["data"]["groupCopyProgress"]
    assert found is not None
    asked = f"query ($id: ID!) {{ groupCopy(id: $id) {{ {COPY} }} }}"
    assert await client.data(asked, id=made["id"]) == found
    return found


async def test_the_members_of_now_are_kept_whatever_becomes_of_the_segment(client: Client) -> None:
    await client.upsert({f"K{number}": {"first_name": "Ann"} for number in range(250)})
    await client.contact("other")
    segment = await client.segment("Anns", 'first_name is "Ann"')
    found = await copied(client, audience=segment, name="Anns of today")
    group = found.pop("group")
    found.pop("id")
    assert found == {
        "state": "DONE",
        "percent": 100,
        "total": 250,
        "moved": 250,
        "unchanged": 0,
        "refused": 0,
        "error": None,
    }
    assert (group["name"], group["size"]) == ("Anns of today", 250)
    await client.upsert({"K1": {"first_name": "Bob"}, "new": {"first_name": "Ann"}})
    assert await client.size(group["id"]) == 250
    again = await copied(client, audience=segment, group=group["id"])
    assert (again["total"], again["moved"], again["unchanged"]) == (250, 1, 249)
    assert again["group"]["size"] == 251


async def test_a_copy_that_cannot_be_is_refused(client: Client, other_client: Client) -> None:
    segment, group = await client.segment("S", "email is empty"), await client.group("G")
    cases: list[tuple[Client, dict[str, Any], str]] = [
        (client, {"audience": segment}, "INVALID_VALUE"),
        (client, {"audience": segment, "group": group, "name": "N"}, "INVALID_VALUE"),
        (client, {"audience": "nonsense", "name": "N"}, "NOT_FOUND"),
        (client, {"audience": segment, "group": segment}, "NOT_FOUND"),
        (client, {"audience": segment, "name": "g"}, "NAME_TAKEN"),
        (other_client, {"audience": segment, "name": "N"}, "NOT_FOUND"),
    ]
    for caller, given, code in cases:
        (error,) = (await caller.attempt("copyToGroup", given))["errors"]
        assert error["code"] == code, given
