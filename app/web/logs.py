"""Log lines: readable in a terminal, or JSON for machines; nothing secret in either."""

import logging
import re
import sys
from collections.abc import Callable
from typing import Any, Literal

import structlog

Form = Literal["console", "json"]

# What opens a door, and what a database says of the values it was given: passwords, prompts, answers.
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(/(?:join|invite)/)[^\s/?#\"'\\<>{}]+"), r"\1…"),
    (re.compile(r"(?i)(bearer\s+)[^\s\"'\\,;]+"), r"\1…"),
    (re.compile(r"(tuneshift_session=)[^\s\"'\\;,]+"), r"\1…"),
    (re.compile(r"(?i)((?:password|secret_key|api_key|token)[\"']?\s*[=:]\s*[\"']?)[^\s\"'\\&,;)}…]+"), r"\1…"),
    (re.compile(r"(\w+://[^\s:/@\"']+:)[^\s@/\"']+(@)"), r"\1…\2"),
    (re.compile(r"\[parameters: .*?\](?=\\n|\n|\"|$)", re.DOTALL), "[parameters: …]"),
)
_post = ""


def masked(text: str) -> str:
    """Return a text without what it may hold of tokens, passwords, keys and the values of statements."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def speak_as(post: str) -> None:
    """Name the process in every line from now on; called in one of several that was just forked."""
    global _post  # noqa: PLW0603  a process is one thing at a time
    _post = post


def configure_logs(form: Form) -> None:
    """Send log lines to standard error. Tracebacks never show local variables: those hold passwords and prompts."""
    structlog.configure(
        processors=[*_shared(), _rendered(form)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # Looked up at each use, so that a redirected stream is honoured.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def take_over_libraries(form: Form) -> None:
    """Write what libraries log, from warnings on, as our own lines; for a process that does nothing but serve."""
    handler = logging.StreamHandler(sys.stderr)
    processors: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _rendered(form)]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *_shared()], processors=processors
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def _shared() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_post,
    ]


def _with_post(_logger: object, _method: str, line: Any) -> Any:
    return line | {"by": _post} if _post else line


def _rendered(form: Form) -> Callable[[Any, str, Any], str]:
    """Return the last step: a line as text, without secrets."""
    traceback = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
    as_json = structlog.processors.JSONRenderer(ensure_ascii=False)
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )

    def render(logger: Any, method: str, line: Any) -> str:
        if form == "json":
            return masked(str(as_json(logger, method, traceback(logger, method, line))))
        return masked(str(console(logger, method, line)))

    return render
