"""Channels: how an account's messages leave, and by which secret replies come in.

Owns the settings of each, one of a kind for an account. Secrets are written and never given back: who has lost one sets another.
They are kept as they are, for they are needed as they are; who can read the database can read them. None is ever logged. Held by
`tests/domain/campaigns/test_channels.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.headerregistry import Address
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from bson import ObjectId
from email_validator import EmailNotValidError, validate_email

from domain.campaign import Channel
from domain.campaigns.signing import checked_secret, new_secret
from domain.campaigns.targets import address_of
from domain.definitions import now
from domain.errors import ChannelNotReady, InvalidValue, Unavailable
from domain.store.scope import Duplicate, Scoped

LONGEST_URL = 2_000
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:]{2,39}")
_REPLIES = "replies"


class Security(StrEnum):
    """`STARTTLS` begins in the open and refuses to go on so; `TLS` is encrypted from the first byte."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChannel:
    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpChannel:
    host: str
    port: int
    security: Security
    sender: str
    reply_to: str | None
    username: str | None
    password: str | None = field(repr=False)


class Channels:
    """One account's. `private` says whether messages may be sent within the server's own network."""

    def __init__(self, collection: Scoped, *, private: bool) -> None:
        self._collection = collection
        self._private = private

    async def webhook(self) -> WebhookChannel | None:
        found = await self._of(Channel.WEBHOOK.value)
        return None if found is None else WebhookChannel(url=found["url"], secret=found["secret"])

    async def smtp(self) -> SmtpChannel | None:
        found = await self._of(Channel.SMTP.value)
        if found is None:
            return None
        return SmtpChannel(
            host=found["host"],
            port=found["port"],
            security=Security(found["security"]),
            sender=found["sender"],
            reply_to=found["reply_to"],
            username=found["username"],
            password=found["password"],
        )

    async def replies_secret(self) -> str | None:
        """What replies from outside are signed with; None where none are taken."""
        found = await self._of(_REPLIES)
        return None if found is None else str(found["secret"])

    async def require(self, channel: Channel) -> None:
        """Raises `ChannelNotReady` where messages cannot leave by it."""
        if channel is not Channel.OUTBOX and await self._of(channel.value) is None:
            raise ChannelNotReady(
                f"It has not been said yet how messages leave by {channel}. Say it by `set{channel.capitalize()}Channel`.",
                path=("id",),
            )

    async def set_webhook(self, *, url: str, secret: str | None) -> str | None:
        """Where messages are posted to. The secret that was made, where none was given and there was none.

        Raises `InvalidValue`, `ForbiddenTarget`.
        """
        parts = urlsplit(url) if len(url) <= LONGEST_URL else None
        try:
            good = (
                parts is not None
                and parts.scheme in {"http", "https"}
                and parts.username is None
                and _HOST.fullmatch(parts.hostname or "") is not None
                and (parts.port or 443) > 0
                and url.isprintable()
                and not parts.fragment
            )
        except ValueError:
            good = False
        if parts is None or not good:
            raise InvalidValue(
                "An address like https://example.com/messages is wanted, without a user and without a fragment.",
                path=("url",),
            )
        await self._look_at(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        known = await self._of(Channel.WEBHOOK.value)
        made = new_secret() if secret is None and known is None else None
        kept = checked_secret(secret) if secret is not None else made or (known or {})["secret"]
        await self._set(Channel.WEBHOOK.value, {"url": url, "secret": kept})
        return made

    async def set_smtp(self, channel: SmtpChannel) -> None:
        """Which server mail is sent by. Without a password the one that is known stays, for the same user on the same host.

        Raises `InvalidValue`, `ForbiddenTarget`.
        """
        if not _HOST.fullmatch(channel.host):
            raise InvalidValue("The name or the address of a server is wanted.", path=("host",))
        if not 0 < channel.port < 65536:
            raise InvalidValue("A port from 1 to 65535 is wanted.", path=("port",))
        sender = _mail_address(channel.sender, "sender")
        reply_to = None if channel.reply_to is None else _mail_address(channel.reply_to, "replyTo")
        for name, value in (("username", channel.username), ("password", channel.password)):
            if value is not None and (not value or len(value) > 1_000 or not value.isprintable()):
                raise InvalidValue("A printable text of at most 1,000 characters is wanted.", path=(name,))
        await self._look_at(channel.host, channel.port)
        known = await self.smtp()
        password = channel.password
        if (
            password is None
            and known is not None
            and (known.host, known.port, known.username, known.security)
            == (channel.host, channel.port, channel.username, channel.security)
        ):
            password = known.password
        if (channel.username is None) != (password is None):
            raise InvalidValue("A user name and a password go together.", path=("password",))
        if password is not None and channel.security is Security.NONE and not self._private:
            raise InvalidValue("A password is not sent without encryption.", path=("security",))
        await self._set(
            Channel.SMTP.value,
            {
                "host": channel.host,
                "port": channel.port,
                "security": channel.security.value,
                "sender": sender,
                "reply_to": reply_to,
                "username": channel.username,
                "password": password,
            },
        )

    async def set_replies(self, *, secret: str | None) -> str | None:
        """By which secret replies from outside are signed. The one that was made where none was given."""
        made = new_secret() if secret is None else None
        await self._set(_REPLIES, {"secret": checked_secret(secret) if secret is not None else made})
        return made

    async def _look_at(self, host: str, port: int) -> None:
        """A name that leads nowhere today may lead somewhere tomorrow; it is looked at again whenever something is sent."""
        try:
            await address_of(host, port, private=self._private)
        except Unavailable:
            return

    async def _of(self, kind: str) -> dict[str, Any] | None:
        return await self._collection.find_one({"kind": kind})

    async def _set(self, kind: str, values: dict[str, Any]) -> None:
        news = {"$set": {**values, "changed": now()}, "$setOnInsert": {"_id": ObjectId()}}
        try:
            await self._collection.update_one({"kind": kind}, news, upsert=True)
        except Duplicate:
            # Somebody else set the first one at this very moment.
            await self._collection.update_one({"kind": kind}, {"$set": news["$set"]})


def _mail_address(text: str, path: str) -> str:
    """`ann@example.org`, or `Ann <ann@example.org>`. Raises `InvalidValue`."""
    name, _, rest = text.rpartition("<")
    spec = rest.removesuffix(">") if name else text
    try:
        if len(text) > 500 or not text.isprintable():
            raise ValueError("too long, or of more than one line")
        valid = validate_email(spec.strip(), check_deliverability=False)
        return str(
            Address(display_name=name.strip().strip('"'), addr_spec=valid.ascii_email or valid.normalized)
        )
    except (EmailNotValidError, ValueError):
        raise InvalidValue(
            "An address like ann@example.org or Ann <ann@example.org> is wanted.", path=(path,)
        ) from None
