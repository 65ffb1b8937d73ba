"""The command line: `python -m api COMMAND`.

Each command is a file of `api.commands`, loaded when it is asked for: only a server has to wait for what a server needs.
"""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

FILES = {
    "serve": "serve",
    "demo": "demo",
    "import": "import_",
    "export": "export",
    "doctor": "doctor",
    "schema": "schema",
    "rules-table": "rules_table",
}


class _Commands(TyperGroup):
    commands: dict[str, Any]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(FILES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in FILES and self.commands[cmd_name] is None:
            one = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            _load(FILES[cmd_name]).add_to(one)
            self.commands[cmd_name] = typer.main.get_command(one)
        return super().get_command(ctx, cmd_name)


def _load(file: str) -> Any:
    """The module of a command. What it loads stays: to look for garbage in it would take a tenth of a start, and later again."""
    gc.disable()
    try:
        return import_module(f"api.commands.{file}")
    finally:
        gc.freeze()
        gc.enable()


commands = typer.Typer(
    name="shoal",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@commands.callback()
def _shoal() -> None:
    """Keeps segments of contacts true, and tells whoever watches as they change."""


def main() -> None:
    commands()


if __name__ == "__main__":
    main()
