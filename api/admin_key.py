"""The admin key of the default account: the one that is set, or else one that is made at the first embedded start.

Owns the file `DATA_DIR/admin-key`, readable by its user alone. Refuses to make a key beside a MongoDB of one's own,
where several servers would each make another: there it must be set.

Invariant: a key is made once for a data directory, however many processes start at the same time, and is never shown
a second time. Held by `tests/api/test_admin_key.py`.
"""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from api.settings import InvalidSetting, Settings, variable

FILE_NAME = "admin-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminKey:
    """`made_in` is the file of a key that was made just now: the caller says so, once."""

    key: str = field(repr=False)
    made_in: Path | None


def admin_key(settings: Settings) -> AdminKey:
    """The key that the settings name, or the one in the data directory, made if it is not there yet.

    Raises `InvalidSetting` where a MongoDB is named without a key, or the file cannot be used.
    """
    if settings.admin_key is not None:
        return AdminKey(key=settings.admin_key, made_in=None)
    if settings.mongodb_uri is not None:
        raise InvalidSetting(
            variable("admin_key"),
            f"a key is wanted, since {variable('mongodb_uri')} is set; make a long random one",
        )
    file = settings.data_dir / FILE_NAME
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = _make(file)
        key = file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise InvalidSetting(variable("data_dir"), f"{file} cannot be used: {error.strerror}") from error
    if not key:
        raise InvalidSetting(variable("data_dir"), f"{file} is empty; delete it, and a new key is made")
    return AdminKey(key=key, made_in=file if made else None)


def _make(file: Path) -> bool:
    """Whether the key was made by this very call. The file appears whole: a link fails where there is one already."""
    if file.exists():
        return False
    draft = file.with_name(f"{FILE_NAME}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as writer:
            writer.write(f"shoal_{secrets.token_urlsafe(32)}\n")
        file.hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
