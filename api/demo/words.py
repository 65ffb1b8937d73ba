"""The words and bars that both views use."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from api.demo.board import Board, Move, Standing, Verdict

MINUS = "\N{MINUS SIGN}"
_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")


def signed(number: int) -> str:
    return f"{number:+,}".replace("-", MINUS) if number else "·"


def bar(standing: Standing, width: int) -> Text:
    """The size beside the size at the start: what was lost is pale, what was gained is green."""
    scale = max(standing.start, standing.size, 1)
    gained = standing.size > standing.start
    whole, eighths = divmod(8 * width * min(standing.start, standing.size) // scale, 8)
    text = Text("█" * whole + ("" if gained else _EIGHTHS[eighths]), style="cyan")
    return text.append(
        ("█" if gained else "░") * (width - len(text)), style="green" if gained else "bright_black"
    )


def move(move: Move) -> Text:
    joined = move.joined
    return Text.assemble(
        (f"{move.at.astimezone():%H:%M:%S} ", "bright_black"),
        ("+ " if joined else f"{MINUS} ", "bold green" if joined else "bold red"),
        (move.name, "bold"),
        " joined " if joined else " left ",
        (move.audience, "green" if joined else "red"),
        (f", now {move.size:,} ({move.reason})", "bright_black"),
    )


def standings(board: Board, bar_width: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black")
    table.add_column("audience", no_wrap=True)
    table.add_column("size", justify="right")
    table.add_column("", no_wrap=True)
    table.add_column("since the start", justify="right")
    table.add_column("joined", justify="right")
    table.add_column("left", justify="right")
    for standing in board.standings:
        table.add_row(
            Text(standing.audience.name, style="bold"),
            f"{standing.size:,}",
            bar(standing, bar_width),
            signed(standing.size - standing.start),
            Text(signed(standing.joined), style="green"),
            Text(signed(-standing.left), style="red"),
        )
    return table


def pace(board: Board) -> str:
    said = f"{board.replies.each_second():.0f} replies and {board.events.each_second():.0f} joins and leaves a second"
    delay = board.delay_ms
    return said if delay is None else f"{said}; an event is here {delay:.0f} ms after its change"


def summary(verdicts: list[Verdict]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black")
    table.add_column("audience", no_wrap=True)
    for column in ("at start", "joined", "left", "at end", "afresh", "counted"):
        table.add_column(column, justify="right")
    table.add_column("", no_wrap=True)
    for verdict in verdicts:
        seen = verdict.standing
        table.add_row(
            seen.audience.name,
            f"{seen.start:,}",
            signed(seen.joined),
            signed(-seen.left),
            f"{seen.size:,}",
            f"{verdict.asked:,}",
            f"{verdict.counted:,}",
            Text("✓", style="green") if verdict.agree else Text("✗ they differ", style="bold red"),
        )
    return table
