from datetime import UTC, datetime, timedelta

import pytest

from domain.campaigns.signing import checked_secret, is_signed, new_secret, signed
from domain.errors import InvalidValue

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_a_message_is_signed_as_the_scheme_has_it() -> None:
    # The example of the scheme's own libraries.
    moment = datetime.fromtimestamp(1614265330, tz=UTC)
    headers = signed(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", moment, '{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_what_is_signed_now_by_whoever_knows_the_secret_is_taken_and_nothing_else() -> None:
    moment = datetime.now(UTC)
    good = signed(SECRET, "msg_1", moment, "{}")
    assert is_signed(SECRET, good, b"{}")
    # Several signatures, as while a secret is being replaced.
    other = signed(new_secret(), "msg_1", moment, "{}")["webhook-signature"]
    assert is_signed(SECRET, {**good, "webhook-signature": f"{other} {good['webhook-signature']}"}, b"{}")
    assert not is_signed(SECRET, good, b"{ }")
    assert not is_signed(new_secret(), good, b"{}")
    assert not is_signed(SECRET, {**good, "webhook-id": "msg_2"}, b"{}")
    for seconds in (-360, 360):
        late = signed(SECRET, "msg_1", moment + timedelta(seconds=seconds), "{}")
        assert not is_signed(SECRET, late, b"{}")


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,ü"},
        {"webhook-signature": "v1,a"},
        {"webhook-signature": "v2,AAAA"},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "1e400"},
        {"webhook-id": ""},
    ],
)
def test_headers_that_are_no_signature_are_refused(change: dict[str, str]) -> None:
    good = signed(SECRET, "msg_1", datetime.now(UTC), "{}")
    assert not is_signed(SECRET, {**good, **change}, b"{}")
    assert not is_signed(SECRET, good, b"\xff")


def test_a_secret_has_enough_bytes_and_its_refusal_does_not_show_it() -> None:
    assert checked_secret(f" {SECRET} ") == SECRET
    assert checked_secret(new_secret()) != new_secret()
    for bad in ("whsec_c2hvcnQ=", "secret words", "whsec_" + "A" * 200):
        with pytest.raises(InvalidValue) as refused:
            checked_secret(bad)
        assert bad not in refused.value.message
