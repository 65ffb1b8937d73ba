"""The database that tests and benchmarks run on: the product's own embedded one, unless

SHOAL_TEST_MONGODB_URI   names a replica set to run on instead, or
SHOAL_TEST_SERVER        another server program with the flags of `secantusd-py`, such as `secantusd-rs`
"""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from domain.store import embedded


@asynccontextmanager
async def running(*, durable: bool) -> AsyncIterator[str]:
    """The address of the server. One that is started here has files of its own, and is gone at the exit."""
    if uri := os.environ.get("SHOAL_TEST_MONGODB_URI"):
        yield uri
        return
    program = os.environ.get("SHOAL_TEST_SERVER")
    with tempfile.TemporaryDirectory(prefix="shoal-test-", ignore_cleanup_errors=True) as directory:
        server = [program] if program else None
        async with embedded.running(Path(directory), durable=durable, server=server) as database:
            yield database.uri
