"""Posting: one message on its way out, by a web address or as mail.

Owns the two ways and what their answers mean: sent, to be tried again, or never to be. What was sent and not acknowledged may have
arrived: it is tried again under the same identifier, by which whoever receives it can tell (docs/campaigns.md). Everything is
bounded: the time to connect, send and be answered; nothing of an answer's body is read; no redirect is followed, for it would lead
past the judgement of the target. Held by `tests/domain/campaigns/test_posting.py`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import aiosmtplib
import httpx
from bson import ObjectId
from email_validator import validate_email

from domain.campaign import Campaign
from domain.campaigns.channels import Security, SmtpChannel, WebhookChannel
from domain.campaigns.composing import Letter
from domain.campaigns.deliveries import Delivery
from domain.campaigns.signing import signed
from domain.campaigns.targets import address_of
from domain.definitions import now
from domain.errors import ForbiddenTarget, Unavailable

TIMEOUT_SECONDS = 15.0
LONGEST_WAIT_SECONDS = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Sent:
    pass


@dataclass(frozen=True, slots=True)
class Again:
    """Not now. `wait` is how many seconds whoever refused wants us to wait, where it said so."""

    because: str
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Never:
    because: str


Answer = Sent | Again | Never


def message_body(campaign: Campaign, delivery: Delivery, letter: Letter, key: str | None) -> str:
    """What is posted: JSON, the same in every attempt."""
    content: dict[str, Any] = {
        "type": "campaign.message",
        "timestamp": delivery.made.isoformat(),
        "data": {
            "delivery": str(delivery.id),
            "campaign": campaign.name,
            "contactKey": key,
            "address": letter.address,
            "subject": letter.subject,
            "text": letter.text,
            "asks": campaign.content.asks,
        },
    }
    return json.dumps(content, ensure_ascii=False)


async def post(channel: WebhookChannel, identifier: ObjectId, body: str, *, private: bool) -> Answer:
    """Post it once."""
    url = urlsplit(channel.url)
    host = url.hostname or ""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            port = url.port or (443 if url.scheme == "https" else 80)
            address = await address_of(host, port, private=private)
            headers = {
                "host": url.netloc,
                "content-type": "application/json",
                "user-agent": "shoal",
                **signed(channel.secret, f"msg_{identifier}", now(), body),
            }
            # A connection of its own: one to this address could have been made for another name.
            async with (
                httpx.AsyncClient(
                    verify=_trusted(), trust_env=False, timeout=TIMEOUT_SECONDS, follow_redirects=False
                ) as http,
                http.stream(
                    "POST",
                    httpx.URL(channel.url).copy_with(host=address),
                    content=body.encode(),
                    headers=headers,
                    extensions={"sni_hostname": host},
                ) as response,
            ):
                return _judged(response.status_code, response.headers.get("retry-after"))
    except ForbiddenTarget as error:
        return Never(error.message)
    except Unavailable as error:
        return Again(error.message)
    except TimeoutError:
        return Again(f"No answer within {TIMEOUT_SECONDS:.0f} seconds.")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Again(f"The connection failed: {type(error).__name__}.")


@cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are believed. Read once, for that takes longer than posting a message."""
    return httpx.create_ssl_context(trust_env=False)


def _judged(status: int, retry_after: str | None) -> Answer:
    if 200 <= status < 300:
        return Sent()
    if status == 410:
        return Never("The receiver says that it is gone for good (410).")
    wait = float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
    return Again(
        f"The receiver answered with the status {status}.", wait=min(wait or 0, LONGEST_WAIT_SECONDS)
    )


def mail_message(channel: SmtpChannel, delivery: Delivery, letter: Letter) -> EmailMessage:
    """The mail of a delivery, the same in every attempt. Raises `ValueError` where the address is none for mail."""
    message = EmailMessage(policy=SMTP)
    message["From"] = channel.sender
    # A domain of other letters is written as servers know it.
    valid = validate_email(letter.address or "", check_deliverability=False)
    message["To"] = Address(addr_spec=valid.ascii_email or valid.normalized)
    message["Subject"] = letter.subject or ""
    message["Date"] = format_datetime(delivery.made)
    message["Message-ID"] = f"<{delivery.id}@{_domain(channel)}>"
    if channel.reply_to is not None:
        message["Reply-To"] = channel.reply_to
    message.set_content(letter.text)
    return message


async def mail(channel: SmtpChannel, delivery: Delivery, letter: Letter, *, private: bool) -> Answer:
    """Hand it to the mail server once."""
    try:
        message = mail_message(channel, delivery, letter)
    except (ValueError, IndexError, MessageError):
        # The parser of addresses raises each of these.
        return Never("The address is none that mail can be sent to.")
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            # The connection is made to the address that was judged; certificates are checked by the name.
            address = await address_of(channel.host, channel.port, private=private)
            connection = await _connected(address, channel.port)
            server = aiosmtplib.SMTP(
                hostname=channel.host,
                sock=connection,
                local_hostname=_domain(channel),
                username=channel.username,
                password=channel.password,
                use_tls=channel.security is Security.TLS,
                start_tls=channel.security is Security.STARTTLS,
                timeout=TIMEOUT_SECONDS,
            )
            async with server:
                await server.send_message(message)
        return Sent()
    except ForbiddenTarget as error:
        return Never(error.message)
    except Unavailable as error:
        return Again(error.message)
    except TimeoutError:
        return Again(f"No answer within {TIMEOUT_SECONDS:.0f} seconds.")
    except aiosmtplib.SMTPRecipientsRefused as error:
        code = error.recipients[0].code
        said = f"The mail server refuses the recipient ({code})."
        return Never(said) if code >= 500 else Again(said)
    except aiosmtplib.SMTPResponseException as error:
        # What the server says may repeat what it was told, a password among it; the code says enough.
        return Again(f"The mail server answered with {error.code}.")
    except (aiosmtplib.SMTPException, OSError) as error:
        return Again(f"The connection to the mail server failed: {type(error).__name__}.")


async def _connected(address: str, port: int) -> socket.socket:
    connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        connection.settimeout(0)
        await asyncio.get_running_loop().sock_connect(connection, (address, port))
    except BaseException:
        connection.close()
        raise
    return connection


def _domain(channel: SmtpChannel) -> str:
    """The sender's."""
    return channel.sender.rpartition("@")[2].rstrip(">")
