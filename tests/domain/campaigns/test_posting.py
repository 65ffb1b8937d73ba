import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesParser
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from bson import ObjectId

from domain.campaigns import posting
from domain.campaigns.channels import Security, SmtpChannel, WebhookChannel
from domain.campaigns.composing import Letter
from domain.campaigns.deliveries import Delivery, DeliveryState
from domain.campaigns.posting import Again, Never, Sent, mail, message_body, post
from tests.domain.campaigns.drafts import draft, group
from tests.domain.conftest import World
from tests.receiver import SECRET, receiving

MADE = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
LETTER = Letter(address="ann@example.org", subject="Grüße", text="Dear Ann,\n\nwhen were you born?\n.\n")


def delivery() -> Delivery:
    return Delivery(
        id=ObjectId(),
        campaign=ObjectId(),
        contact=ObjectId(),
        state=DeliveryState.SENDING,
        letter=LETTER,
        attempts=0,
        due=MADE,
        made=MADE,
        sent=None,
        because=None,
    )


# ---- a web address -----------------------------------------------------------------------------------------------------


async def test_a_message_is_posted_with_a_signature_under_the_identifier_of_its_delivery(
    world: World,
) -> None:
    campaign = await draft(world, await group(world, "VIP"), asks="birthdate")
    sent = delivery()
    body = message_body(campaign, sent, LETTER, "K1")
    async with receiving() as receiver:
        channel = WebhookChannel(url=receiver.url, secret=SECRET)
        assert await post(channel, sent.id, body, private=True) == Sent()
    assert receiver.messages == {
        f"msg_{sent.id}": {
            "type": "campaign.message",
            "timestamp": "2026-11-22T10:00:00+00:00",
            "data": {
                "delivery": str(sent.id),
                "campaign": "Birthdays",
                "contactKey": "K1",
                "address": "ann@example.org",
                "subject": "Grüße",
                "text": LETTER.text,
                "asks": "birthdate",
            },
        }
    }
    (head,) = receiver.heads
    assert head.startswith("POST /messages?to=me HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{receiver.port}\r\n" in head.lower()


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ("200 OK", Sent()),
        ("202 Accepted", Sent()),
        ("410 Gone", Never("The receiver says that it is gone for good (410).")),
        ("400 Bad Request", Again("The receiver answered with the status 400.", wait=0)),
        ("500 Oh", Again("The receiver answered with the status 500.", wait=0)),
        ("429 Slow\r\nretry-after: 30", Again("The receiver answered with the status 429.", wait=30)),
        ("503 No\r\nretry-after: 99999999", Again("The receiver answered with the status 503.", wait=21600)),
        ("503 No\r\nretry-after: soon", Again("The receiver answered with the status 503.", wait=0)),
        # Nobody is followed to where nobody looked.
        (
            "302 Found\r\nlocation: http://127.0.0.1:1/",
            Again("The receiver answered with the status 302.", wait=0),
        ),
    ],
)
async def test_what_a_receiver_answers(status: str, answer: object) -> None:
    async with receiving(lambda _: status) as receiver:
        channel = WebhookChannel(url=receiver.url, secret=SECRET)
        assert await post(channel, ObjectId(), "{}", private=True) == answer


async def test_a_receiver_that_says_nothing_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "TIMEOUT_SECONDS", 1.0)
    async with receiving(lambda _: "") as receiver:
        channel = WebhookChannel(url=receiver.url, secret=SECRET)
        assert isinstance(await post(channel, ObjectId(), "{}", private=True), Again)
    assert receiver.requests == 1


async def test_where_nobody_listens_it_is_tried_again_and_where_nothing_may_be_sent_never() -> None:
    nobody = WebhookChannel(url="http://127.0.0.1:1/", secret=SECRET)
    assert await post(nobody, ObjectId(), "{}", private=True) == Again("The connection failed: ConnectError.")
    nowhere = WebhookChannel(url="https://nowhere..invalid/", secret=SECRET)
    assert await post(nowhere, ObjectId(), "{}", private=True) == Again(
        "The name nowhere..invalid leads nowhere."
    )
    async with receiving() as receiver:
        for host in ("127.0.0.1", "localhost"):
            inside = WebhookChannel(url=f"http://{host}:{receiver.port}/", secret=SECRET)
            assert isinstance(await post(inside, ObjectId(), "{}", private=False), Never)
    assert receiver.requests == 0


# ---- mail --------------------------------------------------------------------------------------------------------------


class Mailbox:
    """Keeps what it is sent; refuses whom it is told to."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.envelopes: list[Envelope] = []
        self.refused: dict[str, str] = {}
        self.signed_in: list[tuple[bytes, bytes]] = []

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Envelope, address: str, _: Any) -> str:  # noqa: N802
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.mails.append(BytesParser(policy=default).parsebytes(envelope.content))
        self.envelopes.append(envelope)
        return "250 OK"

    def sign_in(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        self.signed_in.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)


@asynccontextmanager
async def mailbox(**more: Any) -> AsyncIterator[tuple[Mailbox, SmtpChannel]]:
    box = Mailbox()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(box, authenticator=box.sign_in, hostname="mail.example.com", **more), "127.0.0.1", 0
    )
    try:
        yield (
            box,
            SmtpChannel(
                host="127.0.0.1",
                port=server.sockets[0].getsockname()[1],
                security=Security.NONE,
                sender="Shoal <shoal@example.com>",
                reply_to="answers@example.com",
                username=None,
                password=None,
            ),
        )
    finally:
        server.close()


async def test_a_mail_says_what_the_letter_says_and_its_identifier_is_the_deliverys() -> None:
    sent = delivery()
    async with mailbox() as (box, channel):
        for _ in range(2):
            assert await mail(channel, sent, LETTER, private=True) == Sent()
    for found in box.mails:
        assert found["Message-ID"] == f"<{sent.id}@example.com>"
        assert (found["From"], found["To"], found["Reply-To"]) == (
            "Shoal <shoal@example.com>",
            "ann@example.org",
            "answers@example.com",
        )
        assert (found["Subject"], found["Date"]) == ("Grüße", "Sun, 22 Nov 2026 10:00:00 +0000")
        assert found.get_payload(decode=True).decode().replace("\r\n", "\n") == LETTER.text  # type: ignore[union-attr]


async def test_a_recipient_who_is_refused_for_good_is_not_tried_again_and_everything_else_is() -> None:
    async with mailbox() as (box, channel):
        box.refused = {"ann@example.org": "550 nobody"}
        assert await mail(channel, delivery(), LETTER, private=True) == Never(
            "The mail server refuses the recipient (550)."
        )
        box.refused = {"ann@example.org": "451 later"}
        assert await mail(channel, delivery(), LETTER, private=True) == Again(
            "The mail server refuses the recipient (451)."
        )
        # No encryption there: nothing is said in the open.
        safe = replace(channel, security=Security.STARTTLS)
        assert isinstance(await mail(safe, delivery(), LETTER, private=True), Again)
        assert isinstance(await mail(channel, delivery(), LETTER, private=False), Never)
    assert isinstance(await mail(channel, delivery(), LETTER, private=True), Again)
    assert box.mails == []


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ann",
        "ann@",
        "a b@example.org",
        "ann@example.org\r\nBcc: eve@example.org",
        "ann@example.org,eve@example.org",
        "<ann@example.org>",
        "=?utf-8?q?x?=@example.org",
    ],
)
async def test_what_is_no_address_is_never_sent_to(address: str) -> None:
    async with mailbox() as (box, channel):
        assert await mail(channel, delivery(), replace(LETTER, address=address), private=True) == Never(
            "The address is none that mail can be sent to."
        )
    assert box.mails == []


async def test_a_domain_of_other_letters_is_written_as_servers_know_it() -> None:
    async with mailbox() as (box, channel):
        letter = replace(LETTER, address="ann@exämple.org")
        assert await mail(channel, delivery(), letter, private=True) == Sent()
    assert box.envelopes[0].rcpt_tos == ["ann@xn--exmple-cua.org"]


async def test_whoever_signs_in_does_and_a_wrong_password_is_not_repeated_to_anybody() -> None:
    async with mailbox(auth_require_tls=False) as (box, channel):
        signing_in = replace(channel, username="shoal", password="right")
        assert await mail(signing_in, delivery(), LETTER, private=True) == Sent()
        wrong = replace(channel, username="shoal", password="wrong")
        assert await mail(wrong, delivery(), LETTER, private=True) == Again(
            "The mail server answered with 535."
        )
    assert box.signed_in[0] == (b"shoal", b"right")
    assert "right" not in repr(signing_in)
