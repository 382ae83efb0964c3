"""Takes the stamp off a kernel line, in every form that tools print.

`/dev/kmsg` records, `dmesg` with seconds since boot, with dates or ISO instants, `journalctl` and
syslog files. A line without a stamp is left as it is. Instants are microseconds; dates without a
zone are taken as UTC, since a log does not say its zone. Syslog files hold what programs of any
user write too: a line whose program is not the kernel keeps its stamp, and no text. They also name
the host that wrote a line, which on a log host is another machine in each line; records of the
kernel and of `dmesg` name none.
"""

import enum
import re
from datetime import UTC, datetime
from typing import NamedTuple

_RECORD = re.compile(r"^(?:\d{1,3}),\d{1,20},(\d{1,20}),[^;]{0,64};(.*)$", re.DOTALL)
_SINCE_BOOT = re.compile(r"^(?:<\d{1,3}>)?\[\s*(\d{1,12})(?:\.(\d{1,9}))?\]\s?(.*)$", re.DOTALL)
_DATE = re.compile(
    r"^\[([A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4})\]\s?(.*)$", re.DOTALL
)
_ISO = re.compile(
    r"^(?:\w{1,12}\s*:\w{1,12}\s*:\s)?"
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?\s(.*)$",
    re.DOTALL,
)
_SYSLOG = re.compile(r"^([A-Z][a-z]{2}\s{1,2}\d{1,2} \d\d:\d\d:\d\d) (\S{1,255}) (.*)$", re.DOTALL)
_ORIGIN = re.compile(r"^(?:(\S{1,255}) )?kernel(?:\[\d{1,7}\])?: (?:\[\s*\d{1,12}\.\d{1,9}\] )?")
_PROGRAM = re.compile(
    r"^(?:\S{1,255} )?[A-Za-z_][\w.@/()-]{0,99}\[\d{1,10}\]:|^\S{1,255} [A-Za-z_][\w.@/()-]{0,99}: "
)
"""A program other than the kernel; looked for where `_ORIGIN` is not."""


class StampClock(enum.StrEnum):
    """What a stamp counts from."""

    WALL = "wall"
    BOOT = "boot"


class Stamped(NamedTuple):
    """The text without its stamp; `at_us` is None where the line has no stamp. `host` wrote the
    line, as the line spells it; None where it names none."""

    at_us: int | None
    clock: StampClock | None
    text: str
    host: str | None = None


def take_stamp(line: str, *, year: int = 1970) -> Stamped:
    """The stamp and the rest. `year` completes syslog's dates, which have none."""
    if found := _RECORD.match(line):
        return Stamped(int(found[1]), StampClock.BOOT, found[2])
    if found := _SINCE_BOOT.match(line):
        fraction = (found[2] or "").ljust(6, "0")[:6]
        return Stamped(int(found[1]) * 1_000_000 + int(fraction), StampClock.BOOT, found[3])
    if found := _DATE.match(line):
        return _dated(found[1], "%a %b %d %H:%M:%S %Y", found[2], line)
    if found := _ISO.match(line):
        zone = (found[3] or "+0000").replace("Z", "+0000").replace(":", "")
        stamped = _dated(
            f"{found[1].replace('T', ' ')} {zone}", "%Y-%m-%d %H:%M:%S %z", found[4], line
        )
        fraction = int((found[2] or "").ljust(6, "0")[:6])
        if stamped.at_us is None:
            return stamped
        # With a comma it is dmesg's own form, which has the kernel's lines alone and no host.
        is_dmesg = found[0][: found.start(4)].find(",") >= 0
        host, text = (None, stamped.text) if is_dmesg else _of_kernel(stamped.text)
        return Stamped(stamped.at_us + fraction, StampClock.WALL, text, host)
    if found := _SYSLOG.match(line):
        host, text = _of_kernel(f"{found[2]} {found[3]}")
        stamped = _dated(f"{year} {found[1]}", "%Y %b %d %H:%M:%S", text, line)
        if host is None and text and text.startswith(f"{found[2]} "):
            # Nothing says who speaks; the first word is still the host, by the form.
            host = found[2]
        return stamped._replace(host=host)
    return Stamped(None, None, _ORIGIN.sub("", line))


def _of_kernel(text: str) -> tuple[str | None, str]:
    """The host, and what the kernel said in a line of syslog; empty where a program said it."""
    found = _ORIGIN.match(text)
    if found is not None:
        return found[1], text[found.end() :]
    return None, "" if _PROGRAM.match(text) else text


def is_same_host(host: str, name: str) -> bool:
    """Whether two names may be one machine: equal, or one the first label of the other. Names of
    hosts have no case. An address is only itself."""
    one, two = host.lower().rstrip("."), name.lower().rstrip(".")
    if one == two:
        return True
    short, _, rest = max(one, two, key=len).partition(".")
    return bool(rest) and not short.isdecimal() and min(one, two, key=len) == short


def _dated(text: str, form: str, rest: str, line: str) -> Stamped:
    """An instant of a date; a date that no calendar has leaves the line unstamped."""
    try:
        at = datetime.strptime(re.sub(r"\s+", " ", text), form)  # noqa: DTZ007
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return Stamped(round(at.timestamp()) * 1_000_000, StampClock.WALL, rest)
    except (ValueError, OverflowError):
        return Stamped(None, None, line)
