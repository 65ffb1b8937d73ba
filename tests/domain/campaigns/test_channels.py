from dataclasses import replace

import pytest

from domain.campaign import Channel
from domain.campaigns.channels import Channels, Security, SmtpChannel
from domain.errors import ChannelNotReady, ForbiddenTarget, InvalidValue
from tests.domain.conftest import World
from tests.receiver import SECRET

MAIL = SmtpChannel(
    host="203.0.113.7",
    port=587,
    security=Security.STARTTLS,
    sender="Ann <ann@example.org>",
    reply_to=None,
    username="ann",
    password="a-password",
)


def channels(world: World, *, private: bool = True) -> Channels:
    return Channels(world.store.channels("default"), private=private)


async def test_a_secret_is_made_where_none_is_given_kept_where_one_is_known_and_replaced(
    world: World,
) -> None:
    made = await channels(world).set_webhook(url="https://127.0.0.1/a", secret=None)
    assert made is not None
    assert await channels(world).set_webhook(url="https://127.0.0.1/b", secret=None) is None
    known = await channels(world).webhook()
    assert known is not None
    assert (known.url, known.secret) == ("https://127.0.0.1/b", made)
    assert await channels(world).set_webhook(url="https://127.0.0.1/b", secret=SECRET) is None
    known = await channels(world).webhook()
    assert known is not None
    assert known.secret == SECRET
    assert SECRET not in repr(known)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com/",
        "https://",
        "https://user:password@example.com/",
        "https://example.com/#there",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "https://example.com/\n",
        "https://-/",
        "https://example.com/" + "a" * 2_000,
    ],
)
async def test_what_is_no_address_of_the_web_is_refused(world: World, url: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        await channels(world).set_webhook(url=url, secret=None)
    assert refused.value.path == ("url",)


async def test_targets_within_the_servers_network_are_refused_when_they_are_set(world: World) -> None:
    guarded = channels(world, private=False)
    for url in (
        "http://127.0.0.1:8000/",
        "http://localhost/",
        "http://[::1]/",
        "http://169.254.169.254/latest",
    ):
        with pytest.raises(ForbiddenTarget):
            await guarded.set_webhook(url=url, secret=None)
    with pytest.raises(ForbiddenTarget):
        await guarded.set_smtp(replace(MAIL, host="127.0.0.1"))
    assert await guarded.webhook() is None


async def test_a_mail_server_is_set_and_its_password_stays_for_the_same_user_there_and_nowhere_else(
    world: World,
) -> None:
    here = channels(world)
    await here.set_smtp(replace(MAIL, host="127.0.0.1"))
    await here.set_smtp(replace(MAIL, host="127.0.0.1", password=None, sender="ben@example.org"))
    known = await here.smtp()
    assert known == replace(MAIL, host="127.0.0.1", sender="ben@example.org")
    assert "a-password" not in repr(known)
    # Whoever could lead it elsewhere would be told the password there.
    for change in ({"host": "127.0.0.2"}, {"username": "eve"}, {"security": Security.NONE}, {"port": 25}):
        with pytest.raises(InvalidValue, match="go together"):
            await here.set_smtp(replace(MAIL, **{"host": "127.0.0.1", "password": None, **change}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"host": "a b"}, "host"),
        ({"host": ""}, "host"),
        ({"port": 0}, "port"),
        ({"sender": "ann"}, "sender"),
        ({"sender": "Ann <ann@example.org>\nBcc: eve@example.org"}, "sender"),
        ({"reply_to": "nobody"}, "replyTo"),
        ({"username": ""}, "username"),
        ({"password": "x" * 1_001}, "password"),
        ({"username": None}, "password"),
    ],
)
async def test_what_makes_no_mail_server_is_refused(
    world: World, change: dict[str, object], path: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        await channels(world).set_smtp(replace(MAIL, **change))  # type: ignore[arg-type] # one of many fields
    assert refused.value.path == (path,)


async def test_a_campaign_needs_a_channel_that_was_set(world: World) -> None:
    here = channels(world)
    await here.require(Channel.OUTBOX)
    for channel in (Channel.WEBHOOK, Channel.SMTP):
        with pytest.raises(ChannelNotReady):
            await here.require(channel)
    await here.set_webhook(url="http://127.0.0.1/", secret=None)
    await here.require(Channel.WEBHOOK)
