"""Apart: a program of its own, which reads a long file for an import.

Run by `domain.imports.readers`, never imported. It is told on standard input what to read, and says on standard output what it
finds, as far as that is taken: a pipe holds less than a batch. Whoever reads on is waited for; where nobody is left, it ends.
Held by `tests/domain/imports/test_readers.py`.
"""

from __future__ import annotations

import os
import sys

from domain.errors import ShoalError
from domain.imports import frames
from domain.imports.passes import Found, Onward, Steps, Surveyed, following, passes


def main() -> None:
    try:
        steps = passes(frames.read(sys.stdin.buffer))
        found = _next(steps)
        while found is not None and not isinstance(found, Exception):
            _say(found)
            found = _next(steps, frames.read(sys.stdin.buffer) if isinstance(found, Surveyed) else None)
        _say(found)
    except (BrokenPipeError, EOFError):
        # Nobody is left to tell, and what is said already must not be flushed at the exit.
        os._exit(1)


def _next(steps: Steps, onward: Onward | None = None) -> Found | ShoalError | OSError | None:
    """What is found next, or why nothing is."""
    try:
        return following(steps, onward)
    except (ShoalError, OSError) as error:
        return error


def _say(what: object) -> None:
    sys.stdout.buffer.write(frames.packed(what))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
