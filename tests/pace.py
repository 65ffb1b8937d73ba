"""How long work takes, as a multiple of a floor that is measured around it: the same on a slow machine as on a fast one."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import process_time

STEPS = 100_000


@contextmanager
def at_most(floors: float) -> Iterator[None]:
    """What is done in it may take as much time of this process's as that many floors, each of `STEPS` additions."""
    before = _floor()
    began = process_time()
    yield
    took = process_time() - began
    ratio = took / max(before, _floor())
    assert ratio <= floors, f"{ratio:.0f} floors"


def _floor() -> float:
    """Processor seconds. The middle of three: one that was interrupted, or ran from a warmer cache, does not count."""
    return sorted(_one() for _ in range(3))[1]


def _one() -> float:
    began = process_time()
    total = 0
    for step in range(STEPS):
        total += step
    assert total
    return process_time() - began
