"""The demonstration from its beginning to its end.

Owns the order: a server, contacts, audiences, watching, replies, and at last the comparison of what was seen with what is asked
afresh. Whatever ends it, nothing is left running and nothing is left behind. Held by `tests/api/test_demo.py`.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from itertools import islice

from rich.console import Console

from api.demo import words
from api.demo.board import Board, Verdict
from api.demo.client import Client, Refused, Socket, open_client, open_socket
from api.demo.people import people
from api.demo.replies import Replies
from api.demo.server import own_server
from api.demo.story import VIP, make_audiences, make_contacts, make_fields, vips
from api.demo.view import View, view_for
from domain.errors import StartupError

REPLIES_A_SECOND = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`seconds` is for how long replies come; None: until a signal."""

    seconds: float | None
    contacts: int
    seed: int


class Signals:
    """Ctrl-C and its like. They cancel whoever made this, until it is `watching`; then they only say that they `came`."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.watching = False
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._take)

    def _take(self) -> None:
        if not (self.watching or self.came.is_set()):
            self._task.cancel()
        self.came.set()


async def demonstrate(options: Options, console: Console) -> bool:
    """Whether what was seen live is what the server says afresh.

    Raises `StartupError`, also where the server ends or refuses its part, and `CancelledError` where a signal comes before
    anything could be seen.
    """
    signals = Signals()
    view = view_for(console, options.seconds)
    async with AsyncExitStack() as stack:
        with view.stage("A server with an empty database"):
            server = await stack.enter_async_context(own_server())
        try:
            client = await stack.enter_async_context(open_client(server.url, server.key))
            socket = await stack.enter_async_context(open_socket(server.url, server.key))
            board, replies = await _prepare(options, view, client)
            verdicts = await _watch(board, replies, view, client, socket, options.seconds, signals)
            return _conclude(board, verdicts, console)
        except Refused as refused:
            raise StartupError(f"{refused}\nThe server's log ends with:\n{server.log_tail()}") from refused


async def _prepare(options: Options, view: View, client: Client) -> tuple[Board, Replies]:
    everybody = people(options.seed)
    known = list(islice(everybody, options.contacts))
    with view.stage("Fields"):
        await make_fields(client)
    with view.stage(f"{len(known):,} contacts", len(known)) as advance:
        async for sent in make_contacts(client, known):
            advance(sent)
    with view.stage("Segments and a group"):
        audiences = await make_audiences(client, vips(known))
    (group,) = (audience.id for audience in audiences if audience.name == VIP)
    replies = Replies(client, options.seed, known, everybody, group, set(vips(known)))
    return Board(audiences), replies


async def _watch(
    board: Board,
    replies: Replies,
    view: View,
    client: Client,
    socket: Socket,
    seconds: float | None,
    signals: Signals,
) -> list[Verdict]:
    try:
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(following) for following in board.following(socket)]
            await board.until_complete()
            signals.watching = True
            showing = tasks.create_task(view.show(board))
            await _reply(board, replies, seconds, signals.came)
            showing.cancel()
            with view.stage("The same, asked afresh"):
                verdicts = await board.verdicts(client)
            for task in background:
                task.cancel()
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return verdicts


async def _reply(board: Board, replies: Replies, seconds: float | None, told: asyncio.Event) -> None:
    """Let replies come until the time is over or it is told to end; the last one is finished."""
    end = float("inf") if seconds is None else seconds
    due = 0.0
    while not told.is_set() and board.elapsed < end:
        await replies.next()
        board.replies.count()
        # By a timetable of their own, whatever the server takes for each; where it cannot keep up, they come without a pause.
        due = max(due + replies.pause(REPLIES_A_SECOND), board.elapsed)
        with suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), min(due, end) - board.elapsed)


def _conclude(board: Board, verdicts: list[Verdict], console: Console) -> bool:
    right = all(verdict.agree for verdict in verdicts)
    console.print()
    console.print(words.summary(verdicts))
    console.print()
    seen = f"{board.joined:,} joins and {board.left:,} leaves were seen in {board.elapsed:.0f} seconds."
    found = (
        "Every size seen live is what a fresh query says."
        if right
        else "What was seen live is NOT what a fresh query says."
    )
    console.print(f"{seen} {found}", highlight=False, soft_wrap=True)
    return right
