import re
from dataclasses import fields
from pathlib import Path

import pytest

from api.settings import EngineMode, InvalidSetting, Settings, read_settings, unknown_settings, variable

TABLE = Path(__file__).parents[2] / "docs/settings.md"
KEY = "a-long-enough-admin-key"


def test_an_empty_environment_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({"SHOAL_PORT": "", "SHOAL_HOST": "  ", "PATH": "/bin"}) == Settings()


def test_every_setting_is_read_from_its_variable() -> None:
    assert read_settings(
        {
            "SHOAL_MONGODB_URI": "mongodb://db:27017/?replicaSet=rs0",
            "SHOAL_DATABASE": "audiences",
            "SHOAL_DATA_DIR": "/var/lib/shoal",
            "SHOAL_ADMIN_KEY": KEY,
            "SHOAL_BUS": "redis://cache:6379",
            "SHOAL_ENGINE": "Only",
            "SHOAL_HOST": "0.0.0.0",
            "SHOAL_PORT": "80",
            "SHOAL_LOG_LEVEL": "WARNING",
            "SHOAL_SHUTDOWN_SECONDS": "2.5",
            "SHOAL_ALLOWED_ORIGINS": "https://a.example, http://localhost:3000",
        }
    ) == Settings(
        mongodb_uri="mongodb://db:27017/?replicaSet=rs0",
        database="audiences",
        data_dir=Path("/var/lib/shoal"),
        admin_key=KEY,
        bus="redis://cache:6379",
        engine=EngineMode.ONLY,
        host="0.0.0.0",
        port=80,
        log_level="warning",
        shutdown_seconds=2.5,
        allowed_origins=("https://a.example", "http://localhost:3000"),
    )


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("SHOAL_MONGODB_URI", "localhost:27017", "mongodb://HOST:PORT"),
        ("SHOAL_DATABASE", "a.b", "letters, digits"),
        ("SHOAL_DATABASE", "x" * 64, "at most 63"),
        ("SHOAL_ADMIN_KEY", "short", "at least 16"),
        ("SHOAL_ADMIN_KEY", "sixteen or more, but with spaces", "without spaces"),
        ("SHOAL_ADMIN_KEY", "sixteen-or-more-but-ümlauts", "ASCII"),
        ("SHOAL_BUS", "kafka://x", "memory:// (one process), log: or redis://"),
        ("SHOAL_BUS", "log:x", "memory:// (one process), log: or redis://"),
        ("SHOAL_ENGINE", "on", "one of auto, off, only"),
        ("SHOAL_PORT", "http", "from 0 (any free one) to 65535"),
        ("SHOAL_PORT", "65536", "from 0 (any free one) to 65535"),
        ("SHOAL_PORT", "-1", "from 0 (any free one) to 65535"),
        ("SHOAL_PORT", "٨٠٠٠", "from 0 (any free one) to 65535"),
        ("SHOAL_LOG_LEVEL", "loud", "one of debug, info"),
        ("SHOAL_SHUTDOWN_SECONDS", "nan", "seconds from 0 to 3600"),
        ("SHOAL_SHUTDOWN_SECONDS", "1e9", "seconds from 0 to 3600"),
        ("SHOAL_ALLOWED_ORIGINS", "*", "https://app.example.com"),
        ("SHOAL_ALLOWED_ORIGINS", "https://a.example/", "https://app.example.com"),
        ("SHOAL_ALLOWED_ORIGINS", "https://a.example,b.example", "https://app.example.com"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, text: str, wanted: str) -> None:
    with pytest.raises(InvalidSetting, match=f"^{name}: .*{re.escape(wanted)}") as refused:
        read_settings({name: text})
    assert refused.value.variable == name


def test_no_secret_is_shown() -> None:
    settings = read_settings(
        {
            "SHOAL_MONGODB_URI": "mongodb://me:secret@db/",
            "SHOAL_ADMIN_KEY": "secret-secret-secret",
            "SHOAL_BUS": "redis://:secret@cache",
        }
    )
    assert "secret" not in repr(settings)
    for name in ("SHOAL_MONGODB_URI", "SHOAL_ADMIN_KEY", "SHOAL_BUS"):
        with pytest.raises(InvalidSetting) as refused:
            read_settings({name: "a secret"})
        assert "secret" not in str(refused.value)
        assert refused.value.__cause__ is None


def test_an_unknown_variable_is_warned_of_with_the_one_that_was_meant() -> None:
    assert unknown_settings(
        {"SHOAL_PROT": "1", "SHOAL_QQQQQQQ": "1", "SHOAL_TEST_SERVER": "x", "SHOAL_PORT": "1"}
    ) == [
        "SHOAL_PROT is no setting. Is SHOAL_PORT meant?",
        "SHOAL_QQQQQQQ is no setting.",
    ]


def test_every_setting_is_documented_with_its_default_and_nothing_else_is() -> None:
    documented = dict(
        re.findall(r"^\| `(SHOAL_(?!TEST_)\w+)` \| (?:`(.*?)`)? *\|", TABLE.read_text(), re.MULTILINE)
    )
    assert list(documented) == [variable(setting.name) for setting in fields(Settings)]
    assert read_settings(documented) == Settings()
