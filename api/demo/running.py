"""The demonstration from its beginning to its end.

Owns the order: a server, contacts, audiences, watching, replies, and at last the comparison of what was seen with what is asked
afresh. Whatever ends it, nothing is left running and nothing is left behind. Held by `tests/api/test_demo.py`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rich.console import Console
from rich.text import Text

from api.demo import words
from api.demo.board import Board
from api.demo.client import Client, Socket, open_client, open_socket
from api.demo.people import people
from api.demo.replies import Replies
from api.demo.server import own_server
from api.demo.story import make_audiences, make_contacts, make_fields, vips
from api.demo.view import PlainView, TerminalView, view_for

REPLIES_A_SECOND = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`seconds` is for how long replies come; None: until a signal."""

    seconds: float | None
    contacts: int
    seed: int


class _Ended(Exception):
    """A signal came before there was anything to tell."""


async def demonstrate(options: Options, console: Console) -> bool:
    """Whether what was seen live was right. Raises `StartupError`, and `Refused` where the server does not do its part."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, told.set)
    view = view_for(console, options.seconds)
    async with AsyncExitStack() as stack:
        try:
            ...
        except _Ended:
            return True
