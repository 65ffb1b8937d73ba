import pytest

from domain.campaigns.targets import address_of, is_public
from domain.errors import ForbiddenTarget, Unavailable


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        # One within the other.
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d70e", True),
    ],
)
def test_only_addresses_of_the_open_internet_are_public(address: str, public: bool) -> None:  # noqa: FBT001 # of a table
    assert is_public(address) is public


async def test_a_name_of_the_servers_own_network_is_refused_unless_that_is_allowed() -> None:
    for host in ("localhost", "127.0.0.1", "::1", "0x7f.1", "2130706433"):
        with pytest.raises(ForbiddenTarget):
            await address_of(host, 80, private=False)
    assert await address_of("127.0.0.1", 80, private=True) == "127.0.0.1"


async def test_a_name_that_leads_nowhere_is_told() -> None:
    with pytest.raises(Unavailable, match="leads nowhere"):
        await address_of("nowhere..invalid", 80, private=True)
