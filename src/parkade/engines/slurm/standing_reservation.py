"""Reads what `scontrol` says of reservations of Slurm, and of the time at its controller."""

from datetime import UTC, datetime

import msgspec

from parkade.engines.slurm.hosts import expand
from parkade.ports import Transient

SAYS_WHEN = "Configuration data as of "
"""How `scontrol show config` begins: with the controller's present."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A reservation as Slurm knows it."""

    name: str
    nodes: tuple[str, ...]
    users: tuple[str, ...]
    ends_us: int
    is_active: bool


def parse(line: str) -> Standing:
    """Of a line of `scontrol show reservation --oneliner`."""
    words = dict(word.partition("=")[::2] for word in line.split())
    users = words.get("Users", "")
    return Standing(
        name=words["ReservationName"],
        nodes=expand(words.get("Nodes", "")),
        users=() if users == "(null)" else tuple(filter(None, users.split(","))),
        ends_us=_instant(words.get("EndTime", "")),
        is_active=words.get("State") == "ACTIVE",
    )


def clock_us(answer: bytes) -> int:
    """The controller's present, of `scontrol show config`; Transient where it is not told."""
    first = answer.partition(b"\n")[0].decode(errors="replace")
    found = _instant(first.removeprefix(SAYS_WHEN).strip()) if SAYS_WHEN in first else 0
    if not found:
        raise Transient(f"scontrol does not say when it is: {first[:100]!r}")
    return found


def booted_us(answer: bytes) -> int:
    """When the controller that answers was started, by its clock, of `scontrol show config`; 0
    where it is not told."""
    for line in answer.decode(errors="replace").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "BOOT_TIME":
            return _instant(value.strip())
    return 0


def _instant(text: str) -> int:
    """Of `2026-11-27T04:24:26` in UTC, as our commands print it; 0 for none."""
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000
    except ValueError:
        return 0
