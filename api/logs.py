"""Logs: structured, on standard error, for people at a terminal and as JSON lines elsewhere.

Owns their form. What libraries log through the standard library goes the same way. Keys, passwords and what contacts are
called never get here: log identifiers and counts.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

QUIET = ("uvicorn.error", "uvicorn.access", "pymongo", "strawberry.ws", "websockets", "httpx", "httpcore")
"""Libraries whose everyday messages say nothing that is not logged here already, or, as the addresses that messages are posted to,
is not to be logged."""


# Without the values of local variables: keys and what contacts are called would be among them.
_TRACES = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)


def configure(level: str) -> None:
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor]
    if sys.stderr.isatty():
        last = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        last = [structlog.processors.ExceptionRenderer(_TRACES), structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
