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
    """A log entry without anything secret."""
    entry.pop("color_message", None)
    return {
        key: "…" if key.lower() in _SECRET_KEYS else _struck(value) for key, value in entry.items()
    }


def show_control_characters(_logger: Any, _method: str, entry: EventDict) -> EventDict:
    """A log entry that a terminal prints and does not obey."""
    return {
        key: visible(value) if isinstance(value, str) else value for key, value in entry.items()
    }


def _struck(value: object) -> object:
    return _TOKEN.sub("pk_…", value) if isinstance(value, str) else value
