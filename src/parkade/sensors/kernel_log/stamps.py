"""Takes the stamp off a kernel line, in every form that tools print.

`/dev/kmsg` records, `dmesg` with seconds since boot, with dates or ISO instants, `journalctl` and
syslog files. A line without a stamp is left as it is. Instants are microseconds; dates without a
zone are taken as UTC, since a log does not say its zone. Syslog files hold what programs of any
user write too: a line whose program is not the kernel keeps its stamp, and no text.
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
_ORIGIN = re.compile(r"^(?:\S{1,255} )?kernel(?:\[\d{1,7}\])?: (?:\[\s*\d{1,12}\.\d{1,9}\] )?")
_PROGRAM = re.compile(
    r"^(?:\S{1,255} )?[A-Za-z_][\w.@/()-]{0,99}\[\d{1,10}\]:|^\S{1,255} [A-Za-z_][\w.@/()-]{0,99}: "
)
"""A program other than the kernel; looked for where `_ORIGIN` is not."""


class StampClock(enum.StrEnum):
    """What a stamp counts from."""

    WALL = "wall"
    BOOT = "boot"


class Stamped(NamedTuple):
    """The text without its stamp; `at_us` is None where the line has no stamp."""

    at_us: int | None
    clock: StampClock | None
    text: str


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
        text = stamped.text if is_dmesg else _of_kernel(stamped.text)
        return Stamped(stamped.at_us + fraction, StampClock.WALL, text)
    if found := _SYSLOG.match(line):
        text = _of_kernel(f"{found[2]} {found[3]}")
        return _dated(f"{year} {found[1]}", "%Y %b %d %H:%M:%S", text, line)
    return Stamped(None, None, _ORIGIN.sub("", line))


def _of_kernel(text: str) -> str:
    """What the kernel said in a line of syslog; empty where a program said it."""
    rest, is_kernel = _ORIGIN.subn("", text, count=1)
    return rest if is_kernel or not _PROGRAM.match(text) else ""


def _dated(text: str, form: str, rest: str, line: str) -> Stamped:
    """An instant of a date; a date that no calendar has leaves the line unstamped."""
    try:
        at = datetime.strptime(re.sub(r"\s+", " ", text), form)  # noqa: DTZ007
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return Stamped(round(at.timestamp()) * 1_000_000, StampClock.WALL, rest)
    except (ValueError, OverflowError):
        return Stamped(None, None, line)
