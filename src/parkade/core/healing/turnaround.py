"""A node between two orgs: what is under way to make it clean, and how long that took so far."""

import msgspec

from parkade.core.healing.incident import RepairOrder

MOST_RECENT = 64


class Turnaround(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The sanitising of a free node that another org left. `order` None: the last one failed, and
    one more is tried; `failed` counts those in a row."""

    node: str
    order: RepairOrder | None
    failed: int = 0


class TurnaroundTimes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How long sanitising took in a market, from its order to its end; `recent` are the last ones
    that passed, in microseconds, the newest last."""

    passed: int = 0
    failed: int = 0
    longest_us: int = 0
    recent: tuple[int, ...] = ()

    @property
    def usual_us(self) -> int | None:
        """The median of the recent ones; None before the first."""
        ordered = sorted(self.recent)
        return ordered[len(ordered) // 2] if ordered else None
