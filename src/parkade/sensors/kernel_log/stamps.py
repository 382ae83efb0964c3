"""Takes the stamp off a kernel line, in every form that tools print.

`/dev/kmsg` records, `dmesg` with seconds since boot, with dates or ISO instants, `journalctl` and
syslog files (RFC 3164 and 5424), each also behind a priority, or behind the name of a machine as
`pdsh` and `clush` write it. A line without a stamp is left as it is. Instants are microseconds;
dates without a zone, or with one that has letters alone, are taken as UTC. Syslog files hold what
programs of any user write too: a line whose program is not the kernel keeps its stamp, and no text.
They also name the host that wrote a line, which on a log host is another machine in each line;
records of the kernel and of `dmesg` name none.

A line of another form may name a machine where this module cannot see it: `is_unplaced` says so of
lines with words before the kernel's own, so that no node is blamed for them without a word.
"""

import enum
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

MOST_DATES_KEPT = 4_096
_PRIORITY = re.compile(r"^(?:<\d{1,3}>|[a-z]\w{0,11}\s*:\w{1,12}\s*:\s(?=[\[\d]))")
"""As syslog writes it, and as `dmesg --decode` does."""
_RECORD = re.compile(r"^(?:\d{1,3}),\d{1,20},(\d{1,20}),[^;]{0,64};(.*)$", re.DOTALL)
_SINCE_BOOT = re.compile(
    r"^\[\s*(\d{1,12})(?:\.(\d{1,9}))?(?:\s*<\s*\+?\d{1,12}\.\d{1,9}\s*>)?\]\s?(.*)$", re.DOTALL
)
_SINCE_1970 = re.compile(r"^(\d{9,11})\.(\d{6}) (.*)$", re.DOTALL)
_DATE = re.compile(
    r"^\[([A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4})\]\s?(.*)$", re.DOTALL
)
_ISO = re.compile(
    r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?\s(.*)$",
    re.DOTALL,
)
_FULL = re.compile(
    r"^[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?) "
    r"([A-Z]{1,5}|[+-]\d\d(?::?\d\d)?) (.*)$",
    re.DOTALL,
)
"""Of `journalctl --output=short-full`."""
_SYSLOG = re.compile(r"^([A-Z][a-z]{2}\s{1,2}\d{1,2} \d\d:\d\d:\d\d) (\S{1,255}) (.*)$", re.DOTALL)
_RFC_5424 = re.compile(
    r"^\d{1,2} (\d{4}-\d\d-\d\dT\S{8,24}|-) (\S{1,255}) (\S{1,48}) \S{1,128} \S{1,32} "
    r'(?:-|(?:\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\])+)(?: (?:\ufeff)?(.*))?$',
    re.DOTALL,
)
_KERNEL = r"(?:kernel(?:\.[a-z]{1,10})?|vmunix)"
_INNER_STAMP = r"(?:\[\s*\d{1,12}\.\d{1,9}\] )?"
_ORIGIN = re.compile(
    rf"^(?:(\S{{1,255}}) )?(?:kern\.[a-z]{{1,10}} )?{_KERNEL}(?:\[\d{{1,7}}\])?: {_INNER_STAMP}"
)
_PROGRAM = re.compile(
    r"^(?:\S{1,255} )?[A-Za-z_][\w.@/()-]{0,99}\[\d{1,10}\]:|^\S{1,255} [A-Za-z_][\w.@/()-]{0,99}: "
)
"""A program other than the kernel; looked for where `_ORIGIN` is not."""
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}"
_HOST_ORIGIN = re.compile(rf"^({_NAME}) {_KERNEL}(?:\[\d{{1,7}}\])?: {_INNER_STAMP}")
_HOST_PROGRAM = re.compile(
    rf"^({_NAME}) [A-Za-z_][\w.@/()-]{{0,99}}\[\d{{1,10}}\]: (?!segfault at |trap )"
)
"""Behind seconds since boot, where only `journalctl --output=short-monotonic` names a host. The
kernel itself names a program that crashed by its name, which may have spaces."""
_BEFORE = re.compile(rf"^({_NAME}): (?=\S)(.*)$", re.DOTALL)
"""What `pdsh` and `clush` put before each line."""
_FILE = re.compile(r"^[^\s:]{1,255}:(?:\d{1,9}[:-])?(?=\S)(.*)$", re.DOTALL)
"""What `grep` puts before the lines of several files."""
_DRIVER = re.compile(r"(?:NVRM: |nvidia-nvswitch\d*: )")
_BEFORE_DRIVER = re.compile(r"(?:nvidia[\w-]{0,32} [0-9a-fA-F:.]{4,32}: |\[\.\.\.\] )?")
_INSIDE = re.compile(
    rf"\b{_KERNEL}(?:\[\d{{1,7}}\])?(?:: | - )|\d{{4}}-\d\d-\d\d|\[\s*\d{{1,12}}\.\d{{6}}\] "
    r"|MESSAGE\W"
)
"""A stamp or an origin that does not begin its line: the words before may name a machine."""


class StampClock(enum.StrEnum):
    """What a stamp counts from."""

    WALL = "wall"
    BOOT = "boot"


class Stamped(NamedTuple):
    """The text without its stamp; `at_us` is None where the line has no stamp. `host` wrote the
    line, as the line spells it; None where it names none. `is_program`: a program wrote it, so it
    has no text. `is_of_file`: the name of a file stands before it, which may tell a machine."""

    at_us: int | None
    clock: StampClock | None
    text: str
    host: str | None = None
    is_program: bool = False
    is_of_file: bool = False


def take_stamp(line: str, *, year: int = 1970) -> Stamped:
    """The stamp and the rest. `year` completes syslog's dates, which have none."""
    found = _stamped(line, year)
    if found is not None:
        return found
    if (before := _BEFORE.match(line)) is not None:
        inner = _stamped(before[2], year)
        if inner is None and _DRIVER.match(before[2]):
            inner = Stamped(None, None, before[2])
        if inner is not None:
            return inner if inner.host is not None else inner._replace(host=before[1])
    elif (before := _FILE.match(line)) is not None:
        inner = _stamped(before[1], year)
        if inner is not None:
            return inner._replace(is_of_file=True)
    return Stamped(None, None, line)


def is_unplaced(stamped: Stamped) -> bool:
    """Whether a line that names no host may name one in a form that is not known: words stand
    before the kernel's own."""
    if stamped.host is not None:
        return False
    if stamped.is_of_file:
        return True
    driver = _DRIVER.search(stamped.text)
    if driver is not None and not _BEFORE_DRIVER.fullmatch(stamped.text[: driver.start()]):
        return True
    return stamped.at_us is None and _INSIDE.search(stamped.text) is not None


def _stamped(line: str, year: int) -> Stamped | None:
    """A line of a known form; None of another."""
    prioritised = _PRIORITY.match(line)
    if prioritised is not None:
        line = line[prioritised.end() :]
    found = (
        _of_the_kernel(line)
        or _of_iso(line)
        or _of_syslog(line, year)
        or _of_rfc_5424(line)
        or _of_journal(line)
    )
    if found is None and (origin := _ORIGIN.match(line)) is not None:
        found = Stamped(None, None, line[origin.end() :], (origin[1] or "").rstrip(":") or None)
    return found


def _of_the_kernel(line: str) -> Stamped | None:
    """Records of the ring, and what `dmesg` prints of them."""
    if found := _RECORD.match(line):
        return Stamped(int(found[1]), StampClock.BOOT, found[2])
    if found := _SINCE_BOOT.match(line):
        at_us = int(found[1]) * 1_000_000 + int((found[2] or "").ljust(6, "0")[:6])
        text = found[3]
        if origin := _HOST_ORIGIN.match(text):
            return Stamped(at_us, StampClock.BOOT, text[origin.end() :], origin[1])
        if _HOST_PROGRAM.match(text):
            return Stamped(at_us, StampClock.BOOT, "", is_program=True)
        return Stamped(at_us, StampClock.BOOT, text)
    if found := _DATE.match(line):
        return _dated(found[1], "%a %b %d %H:%M:%S %Y", found[2])
    return None


def _of_iso(line: str) -> Stamped | None:
    """`dmesg --time-format=iso`, `journalctl --output=short-iso`, syslog with ISO instants."""
    found = _ISO.match(line)
    if found is None:
        return None
    stamped = _at(found[1], found[2], found[3], found[4])
    # With a comma it is dmesg's own form, which has the kernel's lines alone and no host.
    is_dmesg = found[0][: found.start(4)].find(",") >= 0
    return stamped if stamped is None or is_dmesg else _of_kernel(stamped)


def _of_syslog(line: str, year: int) -> Stamped | None:
    found = _SYSLOG.match(line)
    if found is None:
        return None
    text = f"{found[2]} {found[3]}"
    stamped = _dated(f"{year} {found[1]}", "%Y %b %d %H:%M:%S", text)
    if stamped is None:
        return None
    stamped = _of_kernel(stamped)
    if stamped.host is None and stamped.text and stamped.text.startswith(f"{found[2]} "):
        # Nothing says who speaks; the first word is still the host, by the form.
        return stamped._replace(host=found[2])
    return stamped


def _of_rfc_5424(line: str) -> Stamped | None:
    found = _RFC_5424.match(line)
    if found is None:
        return None
    instant = _ISO.match(f"{found[1]} -")
    stamped = Stamped(None, None, "")
    if instant is not None:
        stamped = _at(instant[1], instant[2], instant[3], "") or stamped
    host, program = (None if word == "-" else word for word in (found[2], found[3]))
    if program is not None and re.fullmatch(_KERNEL, program) is None:
        return stamped._replace(is_program=True)
    return stamped._replace(text=re.sub(f"^{_INNER_STAMP}", "", found[4] or ""), host=host)


def _of_journal(line: str) -> Stamped | None:
    """`journalctl` with whole dates, or with seconds since 1970."""
    if found := _SINCE_1970.match(line):
        at_us = int(found[1]) * 1_000_000 + int(found[2])
        return _of_kernel(Stamped(at_us, StampClock.WALL, found[3]))
    if found := _FULL.match(line):
        second, _, fraction = found[1].partition(".")
        zone = None if found[2].isalpha() else found[2].replace(":", "").ljust(5, "0")
        stamped = _at(second, fraction, zone, found[3])
        return None if stamped is None else _of_kernel(stamped)
    return None


def _of_kernel(stamped: Stamped) -> Stamped:
    """With the host, and what the kernel said in a line of syslog; no text where a program said
    it."""
    text = stamped.text
    found = _ORIGIN.match(text)
    if found is not None:
        return stamped._replace(text=text[found.end() :], host=found[1])
    return stamped._replace(text="", is_program=True) if _PROGRAM.match(text) else stamped


def _at(second: str, fraction: str | None, zone: str | None, rest: str) -> Stamped | None:
    """An instant of ISO 8601, or with a space in place of its T; without a zone it is UTC."""
    offset = (zone or "+0000").replace("Z", "+0000").replace(":", "")
    stamped = _dated(f"{second.replace('T', ' ')} {offset}", "%Y-%m-%d %H:%M:%S %z", rest)
    if stamped is None or stamped.at_us is None:
        return None
    return stamped._replace(at_us=stamped.at_us + int((fraction or "").ljust(6, "0")[:6]))


def _dated(text: str, form: str, rest: str) -> Stamped | None:
    """An instant of a date; None of one that no calendar has."""
    at_us = _instant_us(text, form)
    return None if at_us is None else Stamped(at_us, StampClock.WALL, rest)


@lru_cache(maxsize=MOST_DATES_KEPT)
def _instant_us(text: str, form: str) -> int | None:
    """Kept, since the lines of one second come together and reading a date costs half a line."""
    try:
        at = datetime.strptime(re.sub(r"\s+", " ", text), form)  # noqa: DTZ007
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return round(at.timestamp()) * 1_000_000
    except (ValueError, OverflowError):
        return None
