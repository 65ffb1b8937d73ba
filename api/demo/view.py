"""The views of the demonstration: a live one for a terminal, and plain lines, a readable log, for anything else.

Own what is shown and how often. They read the board and change nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from api.demo import words
from api.demo.board import Board

FRAME_SECONDS = 0.1
LINES_EVERY_SECONDS = 1.0
MOVES_IN_LINES = 3
PLAIN_WIDTH = 120

Advance = Callable[[int], None]
"""Says how far a stage has come."""


class View(Protocol):
    def stage(self, text: str, total: int = 1) -> AbstractContextManager[Advance]:
        """Tell that something is being done, and how far it is, until it is done."""
        ...

    async def show(self, board: Board) -> None:
        """Show it until cancelled."""
        ...


class TerminalView:
    """Drawn again ten times a second."""

    def __init__(self, console: Console, seconds: float | None) -> None:
        self._console = console
        self._ending = "Ctrl-C ends it" if seconds is None else f"Ctrl-C ends it, or {seconds:g} seconds"

    @contextmanager
    def stage(self, text: str, total: int = 1) -> Iterator[Advance]:
        columns = (
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            *((BarColumn(), MofNCompleteColumn()) if total > 1 else ()),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(text, total=total)
            yield lambda done: progress.update(task, completed=done)
            progress.update(task, completed=total)

    async def show(self, board: Board) -> None:
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(self._frame(board), refresh=True)
                await asyncio.sleep(FRAME_SECONDS)

    def _frame(self, board: Board) -> Group:
        room = max(3, self._console.height - len(board.standings) - 10)
        newest = list(board.moves)[-min(room, 14) :]
        moves = Text("\n", no_wrap=True, overflow="ellipsis").join(
            words.move(move) for move in reversed(newest)
        )
        return Group(
            Text(),
            words.standings(board, min(40, max(8, self._console.width - 69))),
            Text(),
            Panel(moves, title="who joined and who left", title_align="left", border_style="bright_black"),
            Text(words.pace(board)),
            Text(f"{board.elapsed:.0f} s; {self._ending}", style="bright_black"),
        )


class PlainView:
    """A few lines a second."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def stage(self, text: str, total: int = 1) -> Iterator[Advance]:
        del total
        begun = time.monotonic()
        yield lambda _: None
        self._say(f"{text}: {time.monotonic() - begun:.1f} s")

    async def show(self, board: Board) -> None:
        told = board.joined + board.left
        while True:
            await asyncio.sleep(LINES_EVERY_SECONDS)
            sizes = ", ".join(
                f"{standing.audience.name} {standing.size:,} ({words.signed(standing.size - standing.start)})"
                for standing in board.standings
            )
            self._say(f"{board.elapsed:.0f} s: {sizes}")
            new = board.joined + board.left - told
            told += new
            for move in list(board.moves)[-min(new, MOVES_IN_LINES) :] if new else []:
                self._say(f"    {words.move(move).plain}")
            if new > MOVES_IN_LINES:
                self._say(f"    and {new - MOVES_IN_LINES} more; {words.pace(board)}")

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def view_for(console: Console, seconds: float | None) -> View:
    if console.is_terminal:
        return TerminalView(console, seconds)
    console.width = PLAIN_WIDTH
    return PlainView(console)
