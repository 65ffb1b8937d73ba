"""A doctor for the tests' world."""

from collections.abc import Awaitable, Callable

import pytest

from domain.doctor.doctor import Doctor, Examination
from domain.doctor.findings import Finding
from tests.domain.conftest import World

Examine = Callable[..., Awaitable[Examination]]


@pytest.fixture
def examine(world: World) -> Examine:
    """Look at everything, or mend it as well."""

    async def work(*, repair: bool = False, deep: bool = True) -> Examination:
        return await Doctor(world.store, deep=deep, told=lambda *_: None).work(repair=repair)

    return work


def said(findings: list[Finding]) -> list[tuple[str, str | None]]:
    """What is wrong, and with what."""
    return [(finding.what.value, finding.name) for finding in findings]
