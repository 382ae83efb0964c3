"""Logs on the error stream, as lines for people or JSON for machines; never with a secret.

Whatever looks like a token is struck out, wherever it stands, and tracebacks show no variables.
"""

import logging
import re
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from parkade.core.units.visible import visible

_TOKEN = re.compile(r"pk_[A-Za-z0-9_-]{8,}")
_SECRET_KEYS = frozenset({"authorization", "token", "secret", "password"})


def configure(log_format: str) -> None:
    """Sends what this program and its libraries log the same way."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        strike_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    rendering: list[Processor] = [show_control_characters, console]
    if log_format == "json":
        rendering = [structlog.processors.JSONRenderer()]
    # The command line's stream would print the colours as text.
    handler = logging.StreamHandler(getattr(sys.stderr, "rich_proxied_file", sys.stderr))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def strike_secrets(_logger: Any, _method: str, entry: EventDict) -> EventDict:
    """A log entry without anything secret, also inside of what it holds."""
    entry.pop("color_message", None)
    return {_struck(key): _hidden(key, value) for key, value in entry.items()}


def show_control_characters(_logger: Any, _method: str, entry: EventDict) -> EventDict:
    """A log entry that a terminal prints and does not obey."""
    return {
        key: visible(value) if isinstance(value, str) else value for key, value in entry.items()
    }


def _hidden(key: object, value: object) -> Any:
    return "…" if str(key).lower() in _SECRET_KEYS else _struck(value)


def _struck(value: Any) -> Any:
    """The value as it may be shown: containers as lists and dicts, what a log shows by its `repr`
    as that text where it has a token."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return _TOKEN.sub("pk_…", value)
        case dict():
            return {_struck(key): _hidden(key, inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_struck(inner) for inner in value]
        case _:
            shown = repr(value)
            return _TOKEN.sub("pk_…", shown) if _TOKEN.search(shown) else value
