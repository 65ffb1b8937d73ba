import pytest

from domain.errors import InvalidValue
from domain.fields import LeapDay, Settings, Weekday


def test_an_account_begins_with_utc_the_united_states_monday_and_28_february() -> None:
    settings = Settings()
    assert (settings.time_zone, settings.region) == ("UTC", "US")
    assert (settings.first_weekday, settings.leap_day) == (Weekday.MONDAY, LeapDay.FEBRUARY_28)
    assert settings.zone.key == "UTC"


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "Europe", "../../etc/passwd", "europe/berlin", "x" * 10_000]
)
def test_a_time_zone_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match="no time zone") as refused:
        Settings(time_zone=name)
    assert refused.value.path == ("time_zone",)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("utc", "UTC"),
    ],
)
def test_a_time_zone_that_is_only_spelled_otherwise_is_named(name: str, meant: str) -> None:
    with pytest.raises(InvalidValue, match=f"Did you mean {meant}\\?"):
        Settings(time_zone=name)


@pytest.mark.parametrize(("name", "meant"), [("UK", "GB"), ("uk", "GB"), ("us", "US"), ("USA", "US")])
def test_a_region_that_is_only_spelled_otherwise_is_named(name: str, meant: str) -> None:
    with pytest.raises(InvalidValue, match=f"Did you mean {meant}\\?"):
        Settings(region=name)


@pytest.mark.parametrize("region", ["", "us", "USA", "XX"])
def test_a_region_that_does_not_exist_is_refused(region: str) -> None:
    with pytest.raises(InvalidValue, match="no region") as refused:
        Settings(region=region)
    assert refused.value.path == ("region",)
