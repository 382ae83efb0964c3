"""Reads what `scontrol show reservation --oneliner` says of reservations of Slurm."""

from datetime import UTC, datetime

import msgspec

from parkade.engines.slurm.hosts import expand


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


def _instant(text: str) -> int:
    """Of `2026-11-27T04:24:26` in UTC, as our commands print it; 0 for none."""
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000
    except ValueError:
        return 0
