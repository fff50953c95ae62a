"""Log lines: readable in a terminal, or JSON for machines."""

import logging
import sys
from typing import Any, Literal

import structlog


def configure_logs(form: Literal["console", "json"]) -> None:
    """Send log lines to standard error. Tracebacks never show local variables: those hold passwords and prompts."""
    traceback = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = (
        [structlog.processors.ExceptionRenderer(traceback), structlog.processors.JSONRenderer()]
        if form == "json"
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # Looked up at each use, so that a redirected stream is honoured.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
