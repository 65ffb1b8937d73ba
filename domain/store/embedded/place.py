"""Where the embedded database keeps its files, and the locks that say whose it is.

Owns names, permissions and atomic writing; refuses a directory that cannot hold it. What each file is for stands in the
docstring of the package.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from domain.errors import StartupError

_LOG_TAIL_LINES = 20


class EmbeddedDatabaseError(StartupError):
    """The embedded database cannot be had; the message says what to do, or ends with the tail of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where everything stands; all of it open to its user alone."""

    directory: Path

    @property
    def configuration(self) -> Path:
        return self.directory / "secantusd.toml"

    @property
    def files(self) -> Path:
        return self.directory / "files"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    @property
    def running(self) -> Path:
        return self.directory / "running.json"

    @property
    def password(self) -> Path:
        return self.directory / "password"

    def lock(self, name: str) -> int | None:
        """A descriptor that holds the lock until it is closed, or None while somebody else holds it."""
        descriptor = os.open(self.directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (nothing)"


def prepare(data_dir: Path) -> Place:
    place = Place(directory=data_dir.resolve() / "database")
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.directory.mkdir(mode=0o700, exist_ok=True)
        place.directory.chmod(0o700)
        # An empty configuration keeps the server from picking one up in the home or working directory.
        place.configuration.write_bytes(b"")
    except OSError as error:
        raise EmbeddedDatabaseError(
            f"{data_dir} cannot hold the database: {error.strerror}. Name a directory that can be written in "
            f"SHOAL_DATA_DIR."
        ) from error
    return place


def private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def write(path: Path, text: str) -> None:
    """All or nothing, and readable by nobody else."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    with open(draft, "x", opener=private) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
