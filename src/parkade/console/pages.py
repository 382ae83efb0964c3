"""Pages from templates: every value is escaped, and one that is missing is an error.

What the browser loads beside a page (style, scripts) lies in `static`. Its path has the digest of
all of it: a browser keeps it for ever and never has an old one, and a script that another one
imports by its name is the one that the page loads.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib import resources
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from parkade import __version__
from parkade.console import draw, draw_calendar, draw_stalls, draw_timeline, words
from parkade.wire.people import Capped

_STATIC = resources.files("parkade.console") / "static"
TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def page(template: str, status: int = 200, **values: object) -> Response:
    """A page; `jinja2.UndefinedError` where its template wants a value that is not given."""
    return HTMLResponse(_environment().get_template(template).render(**values), status)


@cache
def static_file(name: str) -> bytes | None:
    """A file that pages load; None where there is none of that name."""
    if name.partition(".")[2] not in TYPES or "/" in name:
        return None
    try:
        return (_STATIC / name).read_bytes()
    except OSError:
        return None


def static_url(name: str) -> str:
    """Where a page loads it."""
    assert static_file(name) is not None, f"there is no static file {name}"
    return f"/static/{version()}/{name}"


@cache
def version() -> str:
    """Of all that a page loads; an open page of another is out of date."""
    digest = hashlib.sha256(__version__.encode())
    for each in sorted(_STATIC.iterdir(), key=lambda it: it.name):
        digest.update(each.read_bytes())
    return digest.hexdigest()[:16]


def new_key() -> str:
    """A name for one filling of a form."""
    return secrets.token_urlsafe(16)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("parkade.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "cap": cap,
        "money": money,
        "clock": clock,
        "stamp": stamp,
        "day": day,
        "span": span,
        "name": words.shown,
        "command": words.command,
        "path": lambda value: quote(str(value), safe=""),
        "phrase": words.phrase,
        "reason": words.reason,
    }
    made.globals |= {
        "static": static_url,
        "version": version(),
        "draw": draw,
        "draw_calendar": draw_calendar,
        "draw_timeline": draw_timeline,
        "draw_stalls": draw_stalls,
        "server_version": __version__,
    }
    return made


def money(value: Decimal | None) -> str:
    """An amount to the micro-unit, with at least two decimals, as the ledger, the API and the
    command line have it; a dash where there is none."""
    if value is None:
        return "–"
    whole, _, part = f"{value:,.6f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


def cap(value: Capped) -> str:
    """The cap of a user or an org; a dash where there is none."""
    parts = [] if value.cap is None else [money(value.cap)]
    if parts and value.cap_period == "month":
        parts = [f"{parts[0]} a month"]
    parts += [] if value.most_gpus is None else [f"{value.gpus_held} of {value.most_gpus} GPUs"]
    return ", ".join(parts) or "–"


def clock(value: datetime | None) -> str:
    """The time of a day, in UTC."""
    return "–" if value is None else f"{value:%H:%M:%S}"


def day(value: datetime | None) -> str:
    """A day, in UTC."""
    return "–" if value is None else f"{value:%-d %b %Y}"


def stamp(value: datetime | None) -> str:
    """A day and time, in UTC."""
    return "–" if value is None else f"{value:%Y-%m-%d %H:%M:%S}"


def span(value: timedelta | None) -> str:
    """A length of time in its two largest units."""
    return "–" if value is None else words.span(value)
