"""Replies from outside: `POST /replies/ACCOUNT`, signed by the Standard Webhooks scheme.

Owns the way from a request to a reply. Only what is signed with the account's secret, and within five minutes, is looked at;
whether there is such an account is not told to anybody else. A message that comes again under its `webhook-id` is the same reply,
so whoever sends it may send it until it is answered. Anybody can send something here, so no more than so many requests are
looked at at one time, and fewer of one account; the others are told to come again. Held by `tests/api/test_reply_hook.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from typing import Any

from bson import ObjectId
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from api.limits import BODY_SECONDS, MAX_REQUESTS
from domain.accounts import Accounts
from domain.campaigns.senders import Sender
from domain.campaigns.signing import is_signed, new_secret
from domain.errors import ShoalError, Unavailable
from domain.store.client import DatabaseUnreachable

LONGEST_BODY = 100_000
LONGEST_ACCOUNT = 200
MOST_AT_ONCE = 20
"""Replies that are signed with one account's secret, being recorded at one time: others' are not held up by them."""

_FROM = ("delivery", "key", "email", "phone")


class ReplyHook:
    """The route of all accounts."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._under_way = 0
        self._recording: Counter[str] = Counter()
        # What a request to nobody is checked against, so that it takes as long as any other.
        self._nobodys = new_secret()

    async def __call__(self, request: Request) -> Response:
        if self._under_way >= MAX_REQUESTS:
            return _busy()
        self._under_way += 1
        try:
            return await self._answer(request)
        finally:
            self._under_way -= 1

    async def _answer(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request)
        except ClientDisconnect:
            return Response(status_code=400)
        except TimeoutError:
            return _refused(408, "The body of the request did not arrive in time.")
        if body is None:
            return _refused(413, f"A message has {LONGEST_BODY:,} bytes at most.")
        name = request.path_params["account"]
        try:
            secret = await self._accounts.replies_secret(name) if len(name) <= LONGEST_ACCOUNT else None
            signed = is_signed(secret or self._nobodys, request.headers, body)
            if secret is None or not signed:
                return _refused(401, "The signature is missing, wrong, or too old.")
            if self._recording[name] >= MOST_AT_ONCE:
                return _busy()
            self._recording[name] += 1
            try:
                return await self._record(name, request.headers["webhook-id"], body)
            finally:
                self._recording[name] -= 1
        except (Unavailable, DatabaseUnreachable):
            return _refused(503, "Try again in a few seconds.")

    async def _record(self, name: str, message: str, body: bytes) -> Response:
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            given = None
        sender = _sender(given)
        if sender is None or not isinstance(given.get("text"), str):
            return _refused(400, f"“text” is wanted, and one of {', '.join(_FROM)}: all of them texts.")
        try:
            reply = await self._accounts.get(name).replies.record(
                ObjectId(),
                text=given["text"],
                sender=sender,
                message=hashlib.sha256(message.encode()).hexdigest(),
            )
        except Unavailable:
            raise
        except ShoalError as error:
            return _refused(400, error.message)
        return JSONResponse({"state": reply.state.name})


async def _body(request: Request) -> bytes | None:
    """None where it is too long."""
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > LONGEST_BODY:
            return None
        parts.append(part)
    return b"".join(parts)


def _sender(given: Any) -> Sender | None:
    if not isinstance(given, dict):
        return None
    said = {name: given[name] for name in _FROM if given.get(name) is not None}
    if len(said) != 1 or not all(isinstance(value, str) and len(value) <= 1_000 for value in said.values()):
        return None
    if "delivery" in said:
        reference = said["delivery"].removeprefix("msg_")
        return Sender(delivery=ObjectId(reference)) if ObjectId.is_valid(reference) else None
    return Sender(**said)


def _busy() -> Response:
    response = _refused(503, "As many replies as can be are on their way in. Try again in a few seconds.")
    response.headers["Retry-After"] = "2"
    return response


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)
