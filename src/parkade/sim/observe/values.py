"""Values as Slurm prints them: instants, spans, resources and lists of nodes.

Each function raises `ValueError` for a text that no rule knows, and does bounded work for any text.
Instants are whole seconds since 1970; one without a zone is read as if it were in UTC, which shifts
all instants of a file alike.
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple

UNKNOWN = frozenset({"", "Unknown", "None", "N/A", "NONE", "(null)"})
NO_LIMIT = frozenset({"UNLIMITED", "Partition_Limit", "INVALID", *UNKNOWN})
EARLIEST_S, LATEST_S = 0, 2**33
MOST_COUNT = 10_000_000
MOST_NODES = 100_000
MOST_RANGES = 10_000
_SPAN = re.compile(r"(?:(\d{1,5})-)?(?:(\d{1,4}):)?(\d{1,4}):(\d{1,2})(?:\.\d+)?")
_HOSTS = re.compile(r"([^\[\],\s]+)(?:\[([0-9,-]+)\]([^\[\],\s]*))?(?:,|$)")
_COUNT = re.compile(r"(\d{1,15})(?:\.\d+)?")
_GRES = re.compile(r"gpu(?::([^:,()=]+?))?:(\d{1,4})(?:\([^)]*\))?(?:,|$)")


class Resources(NamedTuple):
    """What a job holds or asks for; `model` is the type of its GPUs, where it is told."""

    gpus: int
    cpus: int
    nodes: int
    model: str


def instant(text: str) -> int | None:
    """Seconds since 1970, from `%s` or ISO 8601; None: not known to Slurm."""
    if text in UNKNOWN:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 11:
        seconds = int(text)
    else:
        if len(text) > 40:
            raise ValueError("no instant")
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        seconds = int(moment.timestamp())
    if not EARLIEST_S <= seconds <= LATEST_S:
        raise ValueError("no instant of this age")
    return seconds


def limit_s(text: str) -> int | None:
    """A time limit in seconds: minutes as a number, or `D-HH:MM:SS`; None: there is none."""
    if text in NO_LIMIT or text.lower() == "infinite":
        return None
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return 60 * int(text)
    return span_s(text)


def span_s(text: str) -> int:
    """`[D-]HH:MM:SS` or `MM:SS[.mmm]` in whole seconds."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError("no span of time")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def resources(text: str) -> Resources:
    """Of a TRES list such as `cpu=8,gres/gpu:h100=8,gres/gpu=8,node=1`.

    Where only types are told, they are added; MPS and shards are no GPUs.
    """
    gpus, typed, cpus, nodes, model = -1, 0, 0, 0, ""
    for part in text.split(",") if text else ():
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError("a resource without a count")
        if name == "gres/gpu":
            gpus = _count(value)
        elif name.startswith("gres/gpu:"):
            typed += _count(value)
            model = name[9:72]
        elif name == "cpu":
            cpus = _count(value)
        elif name == "node":
            nodes = _count(value)
    return Resources(gpus=typed if gpus < 0 else gpus, cpus=cpus, nodes=nodes, model=model)


def node_gpus(text: str) -> tuple[str, int]:
    """(type, count) of a node's GRES such as `gpu:h100:8(S:0-1)`; several types are one pool."""
    models, count = [], 0
    for model, number in _GRES.findall(text):
        if model and model not in models:
            models.append(model)
        count += int(number)
    return "+".join(models)[:63] or ("gpu" if count else ""), count


def hosts(text: str) -> tuple[str, ...]:
    """The names of a list such as `gpu[01-04,07],login1`; none for `None assigned`."""
    if text in UNKNOWN or text == "None assigned":
        return ()
    found: list[str] = []
    place = 0
    while place < len(text):
        match = _HOSTS.match(text, place)
        if match is None:
            raise ValueError("no list of nodes")
        head, ranges, tail = match.groups()
        if ranges is None:
            found.append(head)
        else:
            found += [f"{head}{number}{tail}" for number in _numbers(ranges)]
        if len(found) > MOST_NODES:
            raise ValueError(f"more than {MOST_NODES:,} nodes")
        place = match.end()
    return tuple(found)


def _numbers(ranges: str) -> list[str]:
    parts = ranges.split(",")
    if len(parts) > MOST_RANGES:
        raise ValueError("too many ranges of nodes")
    found: list[str] = []
    for part in parts:
        first, dash, last = part.partition("-")
        if not first or len(first) > 9 or len(last) > 9:
            raise ValueError("no range of nodes")
        if not dash:
            found.append(first)
            continue
        low, high = int(first), int(last)
        if high - low + len(found) > MOST_NODES:
            raise ValueError(f"more than {MOST_NODES:,} nodes")
        found += [f"{number:0{len(first)}d}" for number in range(low, high + 1)]
    return found


def _count(text: str) -> int:
    found = _COUNT.fullmatch(text)
    if found is None:
        raise ValueError("no count")
    count = int(found.group(1))
    if count > MOST_COUNT:
        raise ValueError(f"a count above {MOST_COUNT:,}")
    return count
