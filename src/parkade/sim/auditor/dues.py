"""What an ended attempt owes: for which time, at which rates, and what misses to its minimum."""

from collections import defaultdict

from parkade.sim.auditor import live
from parkade.sim.auditor.books import (
    BLAMELESS,
    HOUR_US,
    Record,
    Run,
    late_from_us,
    minimum_of,
    outbid_per_hour,
    overlap,
    per_hour,
)
from parkade.sim.auditor.slow_starts import held_to_us


def window_of(run: Run, terms: Record) -> tuple[int, int]:
    """What an ended attempt is billed for: [from, to)."""
    assert run.end is not None
    released_us = run.end["at_us"]
    starts = [run.started_us] if run.started_us is not None else []
    late = [late_from_us(run, terms)] if run.displaced or run.is_held_again else []
    from_us = min(starts + late, default=released_us)
    return from_us, max(from_us, _billed_to_us(run))


def _billed_to_us(run: Run) -> int:
    assert run.end is not None
    ends = (run.end["at_us"], run.kill_us, run.broken_us, run.unseen_us)
    to_us: int = min(end for end in ends if end is not None)
    if is_lost(run) and not run.is_held_again:
        to_us = min(to_us, max(run.checkpoint_us or 0, to_us - HOUR_US))
    return to_us


def is_lost(run: Run) -> bool:
    """Whether the platform or a node ended it, or it is not known what did."""
    assert run.end is not None
    if run.end.get("is_refused", False):
        return True
    summary = run.end["summary"]
    if run.has_failed and run.broken_us is None:
        return False
    # What was stopped before it had a process has no end that could be unknown.
    if run.end.get("is_unstarted", False) and run.broken_us is None:
        return False
    return run.broken_us is not None or summary.startswith("lost") or "unknown" in summary


def due_of(run: Run, terms: Record, limit_micros: int | None) -> tuple[int, dict[str, int]]:
    """(micro-units that an ended attempt owes, micro-unit-hours x 3.6e9 by earner). `limit_micros`:
    its bid; None: it is none."""
    assert run.end is not None
    from_us, to_us = window_of(run, terms)
    pieces = [
        (rate, overlap(run.rates, place, from_us, to_us)) for place, rate in enumerate(run.rates)
    ]
    left = live.pieces(run, from_us, to_us)
    if run.held_us:
        ended_us = _billed_to_us(run)
        held_us = held_to_us(run, ended_us, int(terms["start_grace_us"]))
        held = (held_us - run.held_us, held_us)
        pieces += [(rate, overlap(run.rates, place, *held)) for place, rate in enumerate(run.rates)]
    numerator = 0
    earned: dict[str, int] = defaultdict(int)
    is_excused = run.end["cause"] in BLAMELESS and not run.is_due
    if run.displaced and not is_lost(run) and not is_excused and not run.is_minimum_paid:
        used = sum(per_hour(rate, run.gpus) * length_us for rate, length_us in pieces)
        priced = per_hour(run.rates[-1], run.gpus)
        missing_us, least = minimum_of(
            terms["minimum_charge_us"],
            to_us - from_us + run.held_us,
            used // HOUR_US,
            priced=priced,
            outbid=outbid_per_hour(run.node_gpus, run.debt, limit_micros),
        )
        pieces.append((run.rates[-1], missing_us))
        numerator = (least - priced) * missing_us
        earned["operator"] += numerator
    for rate, length_us in pieces:
        numerator += per_hour(rate, run.gpus) * length_us
        for earner, share in rate["shares"]:
            earned[earner] += share * length_us
    for each, length_us in left:
        numerator += each["price_micros"] * each["gpus"] * length_us
        for earner, share in each["shares"]:
            earned[earner] += share * length_us
    return numerator // HOUR_US, earned
