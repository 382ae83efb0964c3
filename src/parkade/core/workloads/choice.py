"""One of the markets in which a workload bids."""

import msgspec


class Choice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A market and the limit of the bid there."""

    instance_type: str
    """The instance type, GPU model or market, as it was written."""

    limit_price_micros: int
    """The most it pays there, per GPU-hour."""

    market: str = ""
    """The market that this names; empty before the submission is accepted."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why a bid with several markets did not win in one of them, in the last clearing that asked
    it there."""

    market: str
    why: str

    price_to_win_micros: int | None
    """The smallest limit that would have won there; None: none would."""
