"""Signing: the Standard Webhooks scheme, for what is sent and for what comes in.

Owns secrets and how they are checked. A signature covers the identifier, the time and the body; one that is older or newer than
five minutes is refused, so that a message that somebody overheard cannot be sent again later. Held by
`tests/domain/campaigns/test_signing.py`.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from datetime import datetime

from standardwebhooks import Webhook, WebhookVerificationError

from domain.errors import InvalidValue

PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64
"""Bytes, as the scheme wants."""


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def checked_secret(secret: str) -> str:
    """A secret that can be signed with. Raises `InvalidValue`, which does not show it."""
    try:
        plain = base64.b64decode(secret.strip().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        plain = b""
    if not _SHORTEST <= len(plain) <= _LONGEST:
        raise InvalidValue(
            f"A secret is “{PREFIX}” and {_SHORTEST} to {_LONGEST} bytes in base 64.", path=("secret",)
        )
    return secret.strip()


def signed(secret: str, identifier: str, moment: datetime, body: str) -> dict[str, str]:
    """The headers of a message."""
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(identifier, moment, body),
    }


def is_signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether whoever sent this knows the secret, and sent it now."""
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):
        # Of headers that are no signature at all it raises what decoding them raises.
        return False
    return True
