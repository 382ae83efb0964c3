"""What was charged, month by month, on the wire."""

from typing import Literal

from parkade.wire.model import Answer
from parkade.wire.scalars import Amount, Instant

ShowbackBy = Literal["org", "user", "label"]


class ShowbackLine(Answer):
    """What an org's costs of a calendar month (UTC) come to, for one user or value of a label.

    `of`: the user or value; null for what belongs to none, like reservations. `gpu_hours`: of use
    that was charged, in millionths at the closest. `used`: paid for workloads; `reserved`: paid for
    reservations; `received`: credits, refunds, and what lending earned; `net` = used + reserved -
    received.
    """

    month: str
    org: str
    of: str | None
    gpu_hours: Amount
    used: Amount
    reserved: Amount
    received: Amount
    net: Amount


class Showback(Answer):
    """Costs in [start, end), as dated in statements; what funded an account (deposits, grants,
    disbursements) is no cost."""

    by: ShowbackBy
    label: str | None
    start: Instant
    end: Instant
    unit: str
    lines: tuple[ShowbackLine, ...]
