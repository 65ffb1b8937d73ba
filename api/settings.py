"""The settings: `SHOAL_*` variables of the environment, read once at the start and checked before anything is built.

Owns their names, meanings, defaults and bounds; everybody else is handed a `Settings`. Each is documented in
`docs/settings.md`. Secrets are hidden from `repr`, so that no log shows them.

Refuses a value that it does not understand (`InvalidSetting`), rather than going on with a default. A `SHOAL_*`
variable that it does not know is no error, since another version may; it is named in `unknown_settings`.

Invariant: every setting stands in `docs/settings.md` with its default. Held by `tests/api/test_settings.py`.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from domain.errors import StartupError

PREFIX = "SHOAL_"
# For the tests, which read them by themselves; set beside a server they mean nothing, and nothing is wrong.
_TEST_PREFIX = "SHOAL_TEST_"

MIN_ADMIN_KEY_LENGTH = 16
IN_MEMORY = "memory://"
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


class EngineMode(StrEnum):
    """What a process has to do with the engine, of which one runs at a time."""

    AUTO = "auto"
    OFF = "off"
    ONLY = "only"


class InvalidSetting(StartupError):
    """A variable of the environment that cannot be used; the message names it and says what is wanted."""

    def __init__(self, variable: str, wanted: str) -> None:
        super().__init__(f"{variable}: {wanted}.")
        self.variable = variable


def _mongodb_uri(text: str) -> str:
    # Only the scheme: the driver checks the rest, and says more about it.
    if not text.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("an address like mongodb://HOST:PORT/?replicaSet=NAME is wanted")
    return text


def _database(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", text):
        raise ValueError("a name of at most 63 letters, digits, - and _ is wanted")
    return text


def _admin_key(text: str) -> str:
    if len(text) < MIN_ADMIN_KEY_LENGTH or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"at least {MIN_ADMIN_KEY_LENGTH} ASCII characters without spaces are wanted")
    return text


def _bus(text: str) -> str:
    if text not in {"memory://", "log:"} and not text.startswith(("redis://", "rediss://")):
        raise ValueError("memory:// (one process), log: or redis://HOST:PORT (several) is wanted")
    return text


def _engine(text: str) -> EngineMode:
    try:
        return EngineMode(text.lower())
    except ValueError:
        raise ValueError(f"one of {', '.join(EngineMode)} is wanted") from None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise ValueError("a port from 0 (any free one) to 65535 is wanted")
    return int(text)


def _log_level(text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise ValueError(f"one of {', '.join(LOG_LEVELS)} is wanted")
    return text.lower()


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) or float(text) > 3600:
        raise ValueError("a number of seconds from 0 to 3600 is wanted")
    return float(text)


def _days(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 36_500:
        raise ValueError("a number of days from 1 to 36500 is wanted, or 0 for ever")
    return int(text)


def _megabytes(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 10_000:
        raise ValueError("a number of megabytes from 1 to 10000 is wanted")
    return int(text)


def _flag(text: str) -> bool:
    if text.lower() not in {"yes", "no"}:
        raise ValueError("yes or no is wanted")
    return text.lower() == "yes"


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip() for part in text.split(",") if part.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if (
            parts.scheme not in {"http", "https"}
            or origin != f"{parts.scheme}://{parts.netloc}"
            or not parts.netloc
        ):
            raise ValueError("origins like https://app.example.com, with commas between them, are wanted")
    return origins


def _setting(read: Callable[[str], Any], default: Any, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"read": read})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `docs/settings.md` says of each; the variable of `data_dir` is `SHOAL_DATA_DIR`."""

    mongodb_uri: str | None = _setting(_mongodb_uri, None, secret=True)  # it may hold a password
    database: str = _setting(_database, "shoal")
    data_dir: Path = _setting(Path, Path("shoal-data"))  # noqa: RUF009  # a path never changes
    admin_key: str | None = _setting(_admin_key, None, secret=True)
    bus: str = _setting(_bus, IN_MEMORY, secret=True)  # it may hold a password
    engine: EngineMode = _setting(_engine, EngineMode.AUTO)  # noqa: RUF009  # nor does a mode
    host: str = _setting(str, "127.0.0.1")
    port: int = _setting(_port, 8000)
    log_level: str = _setting(_log_level, "info")
    shutdown_seconds: float = _setting(_seconds, 10.0)
    log_retention_days: int = _setting(_days, 90)
    upload_megabytes: int = _setting(_megabytes, 256)
    allowed_origins: tuple[str, ...] = _setting(_origins, ())
    private_targets: bool = _setting(_flag, default=False)


def variable(setting: str) -> str:
    """The variable of the environment that holds this setting."""
    return PREFIX + setting.upper()


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings that this environment says; a variable that is empty counts as not set. Raises `InvalidSetting`."""
    given: dict[str, Any] = {}
    for setting in fields(Settings):
        name = variable(setting.name)
        text = environment.get(name, "").strip()
        if not text:
            continue
        try:
            given[setting.name] = setting.metadata["read"](text)
        except ValueError as error:
            raise InvalidSetting(name, str(error)) from None  # the cause would show what may be a secret
    return Settings(**given)


def unknown_settings(environment: Mapping[str, str]) -> list[str]:
    """A warning for each `SHOAL_*` variable that is none, with the one that was probably meant."""
    known = [variable(setting.name) for setting in fields(Settings)]
    warnings = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and not name.startswith(_TEST_PREFIX) and name not in known:
            meant = difflib.get_close_matches(name, known, n=1)
            warnings.append(f"{name} is no setting." + (f" Is {meant[0]} meant?" if meant else ""))
    return warnings
