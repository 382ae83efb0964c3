"""A workload, its attempts and promises, as frozen records that `evolve` replaces."""

import msgspec

from parkade.core.fleet.seat import Seat
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.spec import Spec


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """What a workload pays from `from_us` on, until the next rate.

    `price_micros` per GPU-hour, 0 where a reservation pays; `shares`: micro-units per hour that
    each account earns of it, their sum the whole.
    """

    from_us: int
    price_micros: int
    shares: tuple[tuple[str, int], ...]


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """A notice that was given; never withdrawn, only brought forward."""

    noticed_us: int
    deadline_us: int
    kill_us: int
    cause: Cause


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """Seats that a workload will have once they are free; `displaces`: others leave for it;
    `busy`: how many of them somebody else still holds."""

    seats: tuple[Seat, ...]
    promised_us: int
    displaces: bool
    busy: int
    rates: tuple[Rate, ...]

    @property
    def gpus(self) -> int:
        """GPUs of all its seats."""
        return sum(seat.gpus for seat in self.seats)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One run on given seats, fenced by its generation.

    `launch_sequence` is the journal's sequence of its launch, None in journals of version 1.
    `rates` begin with the one in force when it was ordered and hold what is not yet posted;
    `charged_until_us` is where posting stands, `charged_numerator` what is accrued below one
    micro-unit (micro-units per hour x microseconds), `billed_us` the time posted so far.
    `posted_us` is when it was last posted. `broken_us`: when a node of it failed. `displaced`:
    others had to leave for it.
    """

    attempt: str
    generation: int
    seats: tuple[Seat, ...]
    ordered_us: int
    displaced: bool
    started_us: int | None
    stop: Stop | None
    broken_us: int | None
    rates: tuple[Rate, ...]
    charged_until_us: int
    charged_numerator: int
    posted_us: int
    billed_us: int
    checkpoint_step: int | None
    checkpoint_us: int | None
    launch_sequence: int | None = None

    @property
    def gpus(self) -> int:
        """GPUs of all its seats: what is charged for."""
        return sum(seat.gpus for seat in self.seats)


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of a workload that has not been forgotten.

    `why` is the one machine-readable reason while it waits, `price_to_win_micros` the cheapest
    limit that would win; `not_before_us` the back-off after repeated preemption. `must_end_us`:
    when its seats must be free again (`max_duration` after its first start; the end of the window
    of on-demand, set when accepted, whose calendar entry stands in `fabric` and whose price per
    GPU-hour stays `agreed_price_micros` whatever becomes of the price sheet). `short_us`: since
    when a reservation's own workload waits because too many nodes failed. `pool`: of its latest
    attempt.
    """

    workload: str
    org: str
    user: str
    market: str
    spec: Spec
    phase: Phase
    why: str
    price_to_win_micros: int | None
    submitted_us: int
    generation: int
    attempt: Attempt | None
    promise: Promise | None
    failures: int
    preemptions: int
    spent_micros: int
    not_before_us: int
    must_end_us: int | None
    agreed_price_micros: int | None
    fabric: str | None
    is_budget_noted: bool
    short_us: int | None
    ended_us: int | None
    checkpoint_step: int | None
    price_set_by: str | None
    exit_summary: str
    pool: str | None = None

    @property
    def gpus(self) -> int:
        """GPUs of all nodes together."""
        return self.spec.nodes * self.spec.gpus
