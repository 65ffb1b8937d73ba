"""Channels: how an account's messages leave. What is shown of them holds no secret; what sets them does."""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from bson import ObjectId

from api.context import Info
from api.mutations import CLIENT_MUTATION_ID, Given, Payload, once
from domain.campaigns.channels import Security as StoredSecurity
from domain.campaigns.channels import SmtpChannel as StoredSmtp


@strawberry.enum(description="How a connection to a mail server is protected.")
class SmtpSecurity(Enum):
    STARTTLS = strawberry.enum_value(
        "starttls",
        description="It begins in the open and is encrypted before anything is said; else it ends.",
    )
    TLS = strawberry.enum_value("tls", description="It is encrypted from the first byte.")
    NONE = strawberry.enum_value("none", description="It is not. No password is sent so.")


@strawberry.type(description="Where messages are posted to.")
class WebhookChannel:
    url: str = strawberry.field(description="The address.")


@strawberry.type(description="The mail server that messages are handed to.")
class SmtpChannel:
    host: str = strawberry.field(description="Its name or address.")
    port: int = strawberry.field(description="Its port.")
    security: SmtpSecurity = strawberry.field(description="How the connection is protected.")
    sender: str = strawberry.field(description="Whom mail is from.")
    reply_to: str | None = strawberry.field(description="Where answers go to, where that is not the sender.")
    username: str | None = strawberry.field(description="Who signs in there; null where nobody does.")


@strawberry.type(description="How the account's messages leave and replies come in. Secrets are never shown.")
class Channels:
    webhook: WebhookChannel | None = strawberry.field(description="Null where it was not set.")
    smtp: SmtpChannel | None = strawberry.field(description="Null where it was not set.")
    takes_replies: bool = strawberry.field(
        description="Whether replies are taken by `POST /replies/ACCOUNT`."
    )


@strawberry.type
class ChannelQueries:
    @strawberry.field(description="How messages leave and replies come in.")
    async def channels(self, info: Info) -> Channels:
        return await _channels(info)


@strawberry.input(description="Where messages are to be posted to.")
class SetWebhookChannelInput:
    url: str = strawberry.field(description="An address, `https://…`. No redirect is followed.")
    secret: str | None = strawberry.field(
        default=None,
        description="What messages are signed with, by the Standard Webhooks scheme: `whsec_` and 24 to 64 bytes in "
        "base 64. Left out: "
        "the one that is known stays, and where there is none, one is made.",
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.input(description="The mail server that messages are to be handed to.")
class SetSmtpChannelInput:
    host: str = strawberry.field(description="Its name or address.")
    sender: str = strawberry.field(description="Whom mail is from: `Ann <ann@example.org>`.")
    port: int = strawberry.field(default=587, description="Its port.")
    security: SmtpSecurity = strawberry.field(
        default=SmtpSecurity.STARTTLS, description="How the connection is protected."
    )
    username: str | None = strawberry.field(default=None, description="Who signs in there; left out: nobody.")
    password: str | None = strawberry.field(
        default=None, description="Left out: the one that is known for this user on this server stays."
    )
    reply_to: str | None = strawberry.field(
        default=None, description="Where answers go to, where that is not the sender."
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.input(description="By which secret replies come in.")
class SetRepliesSecretInput:
    secret: str | None = strawberry.field(
        default=None,
        description="What replies are signed with, as of `setWebhookChannel`. Left out: a new one is made.",
    )
    client_mutation_id: str | None = CLIENT_MUTATION_ID


@strawberry.type(description="What became of a channel.")
class ChannelPayload(Payload):
    channels: Channels | None = strawberry.field(
        description="The channels as they are now; null where nothing was done."
    )
    secret: str | None = strawberry.field(
        description="The secret that was made, where one was: shown this once and never again, not even to the same "
        "`clientMutationId`."
    )


@strawberry.type
class ChannelMutations:
    @strawberry.mutation(
        description="Say where messages are posted to. Errors: `INVALID_VALUE`, `FORBIDDEN_TARGET`."
    )
    async def set_webhook_channel(self, info: Info, input: Given[SetWebhookChannelInput]) -> ChannelPayload:
        made: list[str | None] = [None]

        async def act(_: ObjectId) -> dict[str, Any]:
            made[0] = await info.context.account.channels.set_webhook(url=input.url, secret=input.secret)
            return {"done": True}

        outcome = await once(info, input, act)
        return ChannelPayload(
            channels=await _channels(info) if outcome.made else None, secret=made[0], errors=outcome.errors
        )

    @strawberry.mutation(
        description="Say which mail server messages are handed to. Errors: `INVALID_VALUE`, `FORBIDDEN_TARGET`."
    )
    async def set_smtp_channel(self, info: Info, input: Given[SetSmtpChannelInput]) -> ChannelPayload:
        async def act(_: ObjectId) -> dict[str, Any]:
            await info.context.account.channels.set_smtp(
                StoredSmtp(
                    host=input.host,
                    port=input.port,
                    security=StoredSecurity(str(input.security.value)),
                    sender=input.sender,
                    reply_to=input.reply_to,
                    username=input.username,
                    password=input.password,
                )
            )
            return {"done": True}

        outcome = await once(info, input, act)
        return ChannelPayload(
            channels=await _channels(info) if outcome.made else None, secret=None, errors=outcome.errors
        )

    @strawberry.mutation(
        description="Say by which secret replies from outside are signed, from now on. Errors: `INVALID_VALUE`."
    )
    async def set_replies_secret(self, info: Info, input: Given[SetRepliesSecretInput]) -> ChannelPayload:
        made: list[str | None] = [None]

        async def act(_: ObjectId) -> dict[str, Any]:
            made[0] = await info.context.account.channels.set_replies(secret=input.secret)
            return {"done": True}

        outcome = await once(info, input, act)
        return ChannelPayload(
            channels=await _channels(info) if outcome.made else None, secret=made[0], errors=outcome.errors
        )


async def _channels(info: Info) -> Channels:
    channels = info.context.account.channels
    webhook, smtp = await channels.webhook(), await channels.smtp()
    shown = None
    if smtp is not None:
        shown = SmtpChannel(
            host=smtp.host,
            port=smtp.port,
            security=SmtpSecurity(smtp.security.value),
            sender=smtp.sender,
            reply_to=smtp.reply_to,
            username=smtp.username,
        )
    return Channels(
        webhook=None if webhook is None else WebhookChannel(url=webhook.url),
        smtp=shown,
        takes_replies=await channels.replies_secret() is not None,
    )
