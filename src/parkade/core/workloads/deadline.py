"""A deadline that spot work keeps, because it falls back to on-demand in time."""

import msgspec


class DeadlineTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What its user says."""

    by_us: int
    """When it is to be done."""

    duration_us: int
    """How long it runs in all, from its first process on, were it never interrupted."""


class WindowTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The terms of its market when its window was sold. They hold for it, whatever comes into force
    later: a longer notice would else make the window grow over what was sold beside it."""

    notice_us: int
    kill_us: int
    turnaround_us: int
    clearing_pause_us: int
    start_grace_us: int


class Fallback(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The on-demand window that is kept for it in the calendar while it bids for spot."""

    fabric: str

    price_micros: int
    """Per GPU-hour, as posted when it was submitted."""

    terms: WindowTerms | None = None
    """None: those in force, in journals of before they were kept."""
