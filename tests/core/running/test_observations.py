"""Every way in which an attempt ends, judged: exits, cause and checkpoint against a table.

In `JUDGED` a row is how the ranks ended, with or without a reported checkpoint, and a column is the
cause of the notice: none, then each cause; `spent` is a budget notice because of `max_spend`.
A cell is what follows:

    S succeeded      F failed, counted      A again, counted as nothing
    P preempted      C cancelled            X expired

`told` is an end after our signal, `keeper` an end that is unknown because the attempt's keeper was
gone while its machine stayed up.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.fleet.node import Health
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.ledger.accounts import TransferKind
from parkade.core.reservations.reservation import ReservationState
from parkade.core.running.exits import summary_of
from parkade.core.running.overdue import OVERDUE
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.observed import Checkpoint, EnginePhase, ObservedAttempt, RankExit
from parkade.core.workloads.saving import CheckpointTerms, ExitZero
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Workload
from tests import builders
from tests.core import records
from tests.core.records import attempt, node, promise, seats, stop, workload, world

S = SECOND_US
NOW_US = 10_000 * S


def exits(*codes: int | None, signal: int | None = None) -> tuple[RankExit, ...]:
    return tuple(
        RankExit(rank=rank, code=code, signal=signal if code is None else None)
        for rank, code in enumerate(codes)
    )


ENDS: dict[str, dict[str, Any]] = {
    "0": {"exits": exits(0)},
    "0 0": {"exits": exits(0, 0)},
    "0 told": {"exits": exits(0), "is_signalled": True},
    "0 0 told": {"exits": exits(0, 0), "is_signalled": True},
    "0 1 told": {"exits": exits(0, 1), "is_signalled": True},
    "85": {"exits": exits(85)},
    "85 0": {"exits": exits(85, 0)},
    "85 1": {"exits": exits(85, 1)},
    "1": {"exits": exits(1)},
    "signal": {"exits": exits(None, signal=9)},
    "signal 0": {"exits": exits(None, 0, signal=9)},
    "unknown": {"exits": exits(None)},
    "unknown 1": {"exits": exits(None, 1)},
    "keeper": {"exits": exits(None), "is_keeper_lost": True},
    "no exits": {"exits": ()},
    "no launch": {"exits": (), "launch_error": "no such image"},
}
CAUSES: dict[str, Cause | None] = {
    "none": None,
    "outbid": Cause.OUTBID,
    "reclaimed": Cause.RECLAIMED,
    "moved": Cause.MOVED,
    "healed": Cause.HEALED,
    "operator": Cause.OPERATOR,
    "budget": Cause.BUDGET,
    "spent": Cause.BUDGET,
    "cancelled": Cause.CANCELLED,
    "expired": Cause.EXPIRED,
    "lapsed": Cause.LAPSED,
}

JUDGED = """
                    none outbid reclaimed moved healed operator budget spent cancelled expired laps
0          without  S    S      S         S     S      S        S      S     S         S         S
0          with     S    S      S         S     S      S        S      S     S         S         S
0 0        without  S    S      S         S     S      S        S      S     S         S         S
0 0        with     S    S      S         S     S      S        S      S     S         S         S
0 told     without  S    P      P         P     P      P        P      X     C         X         P
0 told     with     S    P      P         P     P      P        P      X     C         X         P
0 0 told   without  S    P      P         P     P      P        P      X     C         X         P
0 0 told   with     S    P      P         P     P      P        P      X     C         X         P
0 1 told   without  F    P      P         P     P      P        P      X     C         X         P
0 1 told   with     F    P      P         P     P      P        P      X     C         X         P
85         without  F    P      P         P     P      P        P      X     C         X         P
85         with     A    P      P         P     P      P        P      X     C         X         P
85 0       without  F    P      P         P     P      P        P      X     C         X         P
85 0       with     A    P      P         P     P      P        P      X     C         X         P
85 1       without  F    P      P         P     P      P        P      X     C         X         P
85 1       with     F    P      P         P     P      P        P      X     C         X         P
1          without  F    P      P         P     P      P        P      X     C         X         P
1          with     F    P      P         P     P      P        P      X     C         X         P
signal     without  F    P      P         P     P      P        P      X     C         X         P
signal     with     F    P      P         P     P      P        P      X     C         X         P
signal 0   without  F    P      P         P     P      P        P      X     C         X         P
signal 0   with     F    P      P         P     P      P        P      X     C         X         P
unknown    without  A    P      P         P     P      P        P      X     C         X         P
unknown    with     A    P      P         P     P      P        P      X     C         X         P
unknown 1  without  A    P      P         P     P      P        P      X     C         X         P
unknown 1  with     A    P      P         P     P      P        P      X     C         X         P
keeper     without  F    P      P         P     P      P        P      X     C         X         P
keeper     with     F    P      P         P     P      P        P      X     C         X         P
no exits   without  A    P      P         P     P      P        P      X     C         X         P
no exits   with     A    P      P         P     P      P        P      X     C         X         P
no launch  without  F    P      P         P     P      P        P      X     C         X         P
no launch  with     F    P      P         P     P      P        P      X     C         X         P
"""
CELLS = [
    (line[:10].strip(), line[10:20].strip() == "with", cause, cell)
    for line in JUDGED.strip("\n").splitlines()[1:]
    for cause, cell in zip(CAUSES, line[20:].split(), strict=True)
]
# What the workload becomes where it has no promise, why, and what is added to failures and to
# preemptions.
FOLLOWS: dict[str, tuple[Phase, Why, int, int]] = {
    "S": (Phase.SUCCEEDED, Why.SUCCEEDED, 0, 0),
    "F": (Phase.FAILED, Why.FAILED, 1, 0),
    "A": (Phase.QUEUED, Why.NEXT_CLEARING, 0, 0),
    "P": (Phase.QUEUED, Why.NEXT_CLEARING, 0, 1),
    "C": (Phase.CANCELLED, Why.CANCELLED, 0, 0),
    "X": (Phase.EXPIRED, Why.MAX_DURATION, 0, 0),
}
PHASES = {
    None: Phase.RUNNING,
    Cause.HEALED: Phase.HEALING,
    Cause.CANCELLED: Phase.STOPPING,
    Cause.EXPIRED: Phase.STOPPING,
}


def given(cause: str, *, has_checkpoint: bool, **changes: Any) -> Workload:
    """A workload whose attempt runs, or has had its notice for a cause."""
    noticed = CAUSES[cause]
    made = attempt(
        stop=None if noticed is None else stop(noticed, kill_us=NOW_US + 35 * S),
        checkpoint_step=4 if has_checkpoint else None,
        checkpoint_us=NOW_US - 900 * S if has_checkpoint else None,
    )
    phase = PHASES.get(noticed, Phase.PREEMPTING)
    why = Why.MAX_SPEND if cause == "spent" else "" if noticed is None else noticed.value
    fields: dict[str, Any] = {"attempt": made, "phase": phase, "why": why}
    return workload(**fields | {"failures": 3, "preemptions": 5} | changes)


def report(made: World, *seen: ObservedAttempt, now_us: int = NOW_US) -> tuple[Any, ...]:
    """The events of a report; each is taken in, so that one which the world refuses fails."""
    command = commands.ReportAttempts(by=None, pool="pool", attempts=seen)
    found = decide(made, command, now_us)
    assert not isinstance(found, Refusal)
    for event in found:
        evolve(made, event)
    return found


def ended(one: Workload, *, now_us: int = NOW_US, **seen: Any) -> events.Ended:
    """The judgement of an attempt whose seats are free."""
    made = world(one, balances={"org/lab": 10**9})
    found = report(made, released(**seen), now_us=now_us)
    return next(event for event in found if isinstance(event, events.Ended))


def released(attempt: str = "w1.1", **changes: Any) -> ObservedAttempt:
    seen = {"phase": EnginePhase.RELEASED, "released_us": NOW_US, "exits": exits(1)} | changes
    return builders.observed(attempt, **seen)


@pytest.mark.parametrize(("end", "has_checkpoint", "cause", "cell"), CELLS)
def test_each_end_is_judged_by_exits_cause_and_checkpoint(
    end: str, has_checkpoint: bool, cause: str, cell: str
) -> None:
    spec = builders.spec(retry_failures=3)
    event = ended(given(cause, has_checkpoint=has_checkpoint, spec=spec), **ENDS[end])
    phase, why, failures, preemptions = FOLLOWS[cell]
    why = Why.MAX_SPEND if (cell, cause) == ("X", "spent") else why
    assert (event.phase, event.why) == (phase, why)
    assert (event.failures, event.preemptions) == (3 + failures, 5 + preemptions)
    assert event.cause is CAUSES[cause]


# A promise beside an attempt is there only while the attempt is asked to move on.
MOVING = [it for it in CELLS if it[2] not in ("none", "spent", "cancelled", "expired")]


@pytest.mark.parametrize(("end", "has_checkpoint", "cause", "cell"), MOVING)
def test_a_workload_with_a_promise_goes_on_to_its_new_seats(
    end: str, has_checkpoint: bool, cause: str, cell: str
) -> None:
    one = given(cause, has_checkpoint=has_checkpoint, promise=promise(seats=seats(a2=1)))
    event = ended(one, **ENDS[end])
    phase, why, _, _ = FOLLOWS[cell]
    if cell == "P":
        phase, why = Phase.PLACED, Why.PLACED
    assert (event.phase, event.why) == (phase, why)


@pytest.mark.parametrize(
    ("terms", "is_saved"),
    [
        (None, True),
        (CheckpointTerms(signal="auto", needs_us=None), True),
        (CheckpointTerms(signal="auto", needs_us=None, exit_zero=ExitZero.DONE), False),
        (CheckpointTerms(signal=None, needs_us=None, preset="hf"), True),
        (CheckpointTerms(signal=None, needs_us=None, preset="ray"), False),
        (
            CheckpointTerms(signal=None, needs_us=None, preset="ray", exit_zero=ExitZero.SAVED),
            True,
        ),
    ],
)
def test_zero_after_our_signal_is_saved_unless_the_spec_says_done(
    terms: CheckpointTerms | None, is_saved: bool
) -> None:
    one = given("outbid", has_checkpoint=False, spec=builders.spec(checkpoint=terms))
    event = ended(one, exits=exits(0, 0), is_signalled=True)
    assert event.is_saved == is_saved
    assert event.phase is (Phase.QUEUED if is_saved else Phase.SUCCEEDED)


@pytest.mark.parametrize(
    ("cause", "end", "checkpoint_s", "is_saved"),
    [
        # The notice was given at 5000 s.
        ("outbid", {"exits": exits(85)}, None, True),
        ("outbid", {"exits": exits(85, 1)}, None, False),
        ("outbid", {"exits": exits(1)}, 4999, False),
        ("outbid", {"exits": exits(1)}, 5001, True),
        ("outbid", {"exits": exits(None, signal=9)}, 5001, True),
        ("outbid", {"exits": exits(None)}, 5001, True),
        ("outbid", {"exits": exits(0)}, 5001, False),
        ("none", {"exits": exits(85)}, None, False),
        ("none", {"exits": exits(85)}, 1, True),
        ("none", {"exits": exits(1)}, 5001, False),
        ("none", {"exits": exits(0), "is_signalled": True}, 5001, False),
    ],
)
def test_an_end_under_notice_is_saved_if_it_says_so_or_its_report_is_newer_than_the_notice(
    cause: str, end: dict[str, Any], checkpoint_s: int | None, is_saved: bool
) -> None:
    one = given(cause, has_checkpoint=False)
    assert one.attempt is not None
    notice = None if cause == "none" else stop(at_us=5000 * S, kill_us=NOW_US + 35 * S)
    saved_us = None if checkpoint_s is None else checkpoint_s * S
    one = replace(one, attempt=replace(one.attempt, stop=notice, checkpoint_us=saved_us))
    assert ended(one, **end).is_saved == is_saved


@pytest.mark.parametrize(
    ("generation", "failures", "preemptions", "ran_s", "backoff_s"),
    [
        (1, 0, 0, 10, 60),
        (3, 0, 0, 10, 240),
        (3, 1, 1, 10, 60),
        (99, 0, 0, 10, 3840),
        (3, 0, 0, 351, 0),
    ],
)
def test_a_program_that_often_asks_to_be_run_again_backs_off(
    generation: int, failures: int, preemptions: int, ran_s: int, backoff_s: int
) -> None:
    one = given("none", has_checkpoint=True, failures=failures, preemptions=preemptions)
    assert one.attempt is not None
    started_us = NOW_US - ran_s * S
    again = replace(one.attempt, ordered_us=started_us, started_us=started_us)
    again = replace(again, checkpoint_us=NOW_US - S)
    one = replace(one, attempt=again, generation=generation)
    event = ended(one, started_us=started_us, exits=exits(85))
    assert event.phase is Phase.QUEUED
    assert event.not_before_us == (NOW_US + backoff_s * S if backoff_s else 0)


@pytest.mark.parametrize(
    ("failures", "retry", "phase", "why"),
    [
        (0, 0, Phase.FAILED, Why.FAILED),
        (0, 1, Phase.QUEUED, Why.NEXT_CLEARING),
        (1, 1, Phase.FAILED, Why.FAILED),
        (2, 9, Phase.QUEUED, Why.NEXT_CLEARING),
    ],
)
def test_a_failure_is_retried_as_often_as_the_spec_allows(
    failures: int, retry: int, phase: Phase, why: Why
) -> None:
    spec = builders.spec(retry_failures=retry)
    one = given("none", has_checkpoint=False, failures=failures, spec=spec)
    event = ended(one, exits=exits(1))
    assert (event.phase, event.why, event.failures) == (phase, why, failures + 1)


@pytest.mark.parametrize("codes", [(78,), (0, 78), (1, 78), (78, 85)])
def test_a_program_that_says_so_is_not_tried_again(codes: tuple[int, ...]) -> None:
    one = given("none", has_checkpoint=True, failures=0, spec=builders.spec(retry_failures=9))
    event = ended(one, exits=exits(*codes))
    assert (event.phase, event.why, event.failures) == (Phase.FAILED, Why.FAILED, 1)
    assert event.exit_code == 78
    assert "exit 78 (says that trying again is of no use)" in event.summary


def test_what_it_says_during_a_notice_is_a_preemption_all_the_same() -> None:
    one = given("outbid", has_checkpoint=False, spec=builders.spec(retry_failures=9))
    event = ended(one, exits=exits(78))
    assert (event.phase, event.failures) == (Phase.QUEUED, one.failures)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (ReservationState.IN_FORCE, Why.MAX_DURATION),
        (ReservationState.CLOSING, Why.RESERVATION_ENDED),
        (ReservationState.ENDED, Why.RESERVATION_ENDED),
        (ReservationState.LAPSED, Why.RESERVATION_ENDED),
    ],
)
def test_an_expired_workload_says_whether_its_reservation_or_its_time_ended(
    state: ReservationState, why: Why
) -> None:
    spec = builders.spec(
        capacity=Capacity(kind=CapacityKind.RESERVATION, reservation="lab"), limit_price_micros=None
    )
    one = given("expired", has_checkpoint=False, spec=spec)
    made = world(one, records.reservation("lab", state=state), balances={"org/lab": 10**9})
    found = report(made, released())
    (event,) = (event for event in found if isinstance(event, events.Ended))
    assert (event.phase, event.why) == (Phase.EXPIRED, why)


# Notice 30 s and kill 5 s: an end within ten times that after the start is early.
EARLY_S = 350


@pytest.mark.parametrize(
    ("cause", "preemptions", "ran_s", "backoff_s"),
    [
        ("outbid", 0, 10, 0),
        ("outbid", 1, 10, 60),
        ("reclaimed", 1, 10, 60),
        ("outbid", 2, 10, 120),
        ("outbid", 3, EARLY_S, 240),
        ("outbid", 3, EARLY_S + 1, 0),
        ("outbid", 7, 10, 3840),
        ("outbid", 70, 10, 3840),
        ("moved", 3, 10, 0),
        ("healed", 3, 10, 0),
        ("operator", 3, 10, 0),
        ("budget", 3, 10, 0),
        ("none", 3, 10, 0),
    ],
)
def test_the_back_off_doubles_with_each_early_preemption(
    cause: str, preemptions: int, ran_s: int, backoff_s: int
) -> None:
    one = given(cause, has_checkpoint=False, preemptions=preemptions)
    assert one.attempt is not None
    started_us = NOW_US - ran_s * S
    notice = one.attempt.stop
    if notice is not None:
        notice = replace(notice, noticed_us=NOW_US)
    run = replace(one.attempt, ordered_us=started_us, started_us=started_us, stop=notice)
    event = ended(replace(one, attempt=run), started_us=started_us, exits=exits(85))
    assert event.not_before_us == (NOW_US + backoff_s * S if backoff_s else 0)


@pytest.mark.parametrize(
    ("seen", "summary"),
    [
        ({"exits": exits(0, 3)}, "rank 0: exit 0; rank 1: exit 3"),
        ({"exits": exits(None, signal=9)}, "rank 0: signal 9"),
        ({"exits": exits(None)}, "rank 0: unknown"),
        ({"exits": ()}, "lost"),
        ({"launch_error": "no such image"}, "could not be launched: no such image"),
    ],
)
def test_how_every_rank_ended_is_one_line(seen: dict[str, Any], summary: str) -> None:
    assert summary_of(released(**{"exits": (), **seen})) == summary


@pytest.mark.parametrize(
    ("known", "saved", "is_new"),
    [
        (None, (1, 50), True),
        (None, (1, 0), True),
        (None, (1, -1), False),
        ((1, 50), (2, 60), True),
        ((1, 50), (1, 60), True),
        ((1, 50), (1, 50), False),
        ((1, 50), (2, 50), False),
        ((5, 50), (4, 40), False),
        # A date that has not come yet is taken as the present, once for each step.
        (None, (1, 900), True),
        ((1, 50), (1, 900), False),
        ((1, 50), (2, 900), True),
    ],
)
def test_a_checkpoint_is_new_only_if_it_is_later_than_the_last(
    known: tuple[int, int] | None, saved: tuple[int, int], is_new: bool
) -> None:
    """Pairs of (step, second); the attempt started at 0 and the present is at 100 s."""
    step, at_s = known if known is not None else (None, None)
    one = attempt(checkpoint_step=step, checkpoint_us=None if at_s is None else at_s * S)
    made = world(workload(attempt=one), balances={"org/lab": 10**9})
    seen = builders.observed(checkpoint=Checkpoint(step=saved[0], at_us=saved[1] * S), started_us=0)
    found = report(made, seen, now_us=100 * S)
    noted = [it for it in found if isinstance(it, events.Checkpointed)]
    assert [(it.step, it.at_us) for it in noted] == (
        [(saved[0], min(saved[1], 100) * S)] if is_new else []
    )


@pytest.mark.parametrize(
    ("reported_s", "started_s"), [(20, 20), (10, 10), (5, 10), (100, 100), (500, 100)]
)
def test_an_attempt_starts_no_earlier_than_ordered_and_no_later_than_now(
    reported_s: int, started_s: int
) -> None:
    one = workload(attempt=attempt(started_us=None, ordered_us=10 * S), phase=Phase.STARTING)
    made = world(one, balances={"org/lab": 10**9})
    found = report(made, builders.observed(started_us=reported_s * S), now_us=100 * S)
    assert found == (events.Started(at_us=started_s * S, workload="w1", attempt="w1.1"),)


@pytest.mark.parametrize(
    ("pool", "seen"),
    [("pool", "w9.1"), ("pool", "w1.2"), ("pool", "nonsense"), ("other", "w1.1")],
    ids=["unknown workload", "another generation", "no id", "another pool"],
)
def test_nothing_follows_from_what_is_not_the_live_attempt_of_the_pool(
    pool: str, seen: str
) -> None:
    pools = [builders.pool("pool"), builders.pool("other")]
    made = world(workload(attempt=attempt()), pools=pools, balances={"org/lab": 100})
    command = commands.ReportAttempts(by=None, pool=pool, attempts=(released(seen),))
    assert decide(made, command, NOW_US) == ()


@pytest.mark.parametrize(
    ("changes", "seen", "charged_s"),
    [
        # It ran 100 s; where the end is unknown, to the last checkpoint, at most an hour less.
        ({}, {"exits": exits(1)}, 100),
        ({}, {"exits": ()}, 0),
        ({"checkpoint_us": 60 * S}, {"exits": ()}, 60),
        ({"checkpoint_us": 60 * S}, {"exits": exits(1)}, 100),
        # A program that ended its own keeper pays for all the time in which it was seen.
        ({}, {"exits": exits(None), "is_keeper_lost": True}, 100),
        ({"checkpoint_us": 60 * S}, {"exits": exits(None), "is_keeper_lost": True}, 100),
        ({"broken_us": 80 * S}, {"exits": exits(None), "is_keeper_lost": True}, 0),
        ({"broken_us": 80 * S}, {"exits": exits(1)}, 0),
        ({"broken_us": 80 * S, "checkpoint_us": 60 * S}, {"exits": exits(1)}, 60),
        ({"stop": stop(kill_us=70 * S)}, {"exits": exits(1)}, 70),
        # Others had to leave for it: 30 s at least, unless others' right or the platform ended it.
        ({"displaced": True, "charged_until_us": 90 * S}, {"exits": exits(1)}, 30),
        ({"displaced": True, "charged_until_us": 90 * S}, {"exits": ()}, 0),
        (
            {"displaced": True, "charged_until_us": 90 * S, "stop": stop(Cause.RECLAIMED)}
            | {"ordered_us": 0},
            {"exits": exits(1)},
            0,
        ),
        (
            {"displaced": True, "charged_until_us": 30 * S, "stop": stop(Cause.OUTBID)},
            {"exits": exits(1)},
            30,
        ),
    ],
)
def test_the_last_charge_ends_where_the_platform_is_to_blame_at_the_last_checkpoint(
    changes: dict[str, Any], seen: dict[str, Any], charged_s: int
) -> None:
    is_leaving = changes.get("stop") is not None
    is_broken = changes.get("broken_us") is not None
    phase = Phase.PREEMPTING if is_leaving else Phase.DEGRADED if is_broken else Phase.RUNNING
    one = workload(attempt=attempt(**changes), phase=phase)
    made = world(one, balances={"org/lab": 10**9})
    found = report(made, released(released_us=100 * S, **seen), now_us=100 * S)
    charges = [it for event in found for it in getattr(event, "transfers", ())]
    kinds = (TransferKind.USAGE, TransferKind.MINIMUM_CHARGE)
    assert sum(it.micros for it in charges if it.kind in kinds) == charged_s


@pytest.mark.parametrize(
    ("posted_s", "now_s", "checkpoint_s", "charged_s"),
    [
        # Use is posted at each full hour, up to an hour before it or the last checkpoint.
        (0, 3599, None, None),
        (0, 3600, None, None),
        (0, 3700, 3000, 3000),
        (0, 7300, None, 3600),
        (0, 7300, 7000, 7000),
        (7200, 7300, 7000, None),
    ],
)
def test_use_is_posted_each_full_hour_as_far_as_it_is_beyond_dispute(
    posted_s: int, now_s: int, checkpoint_s: int | None, charged_s: int | None
) -> None:
    one = attempt(
        posted_us=posted_s * S,
        checkpoint_step=None if checkpoint_s is None else 1,
        checkpoint_us=None if checkpoint_s is None else checkpoint_s * S,
    )
    made = world(workload(attempt=one), balances={"org/lab": 10**9})
    found = report(made, builders.observed(started_us=0), now_us=now_s * S)
    posted = [event for event in found if isinstance(event, events.UsePosted)]
    if charged_s is None:
        assert posted == []
        return
    (event,) = posted
    assert event.at_us == now_s * S // HOUR_US * HOUR_US
    assert event.charged_until_us == charged_s * S


@pytest.mark.parametrize(
    ("broken_s", "kill_s", "charged_s"),
    [(4000, None, 400), (3000, None, None), (None, 4000, 400), (9000, 4000, 400)],
)
def test_the_last_hour_of_what_is_broken_or_killed_is_not_posted_before_its_end_is_known(
    broken_s: int | None, kill_s: int | None, charged_s: int | None
) -> None:
    """It was charged whole, though its end was not billed."""
    one = attempt(
        broken_us=None if broken_s is None else broken_s * S,
        stop=None if kill_s is None else stop(kill_us=kill_s * S),
    )
    phase = Phase.DEGRADED if kill_s is None else Phase.PREEMPTING
    made = world(workload(attempt=one, phase=phase), balances={"org/lab": 10**9})
    found = report(made, builders.observed(started_us=0), now_us=14_500 * S)
    charged = [it.charged_until_us // S for it in found if isinstance(it, events.UsePosted)]
    assert charged == ([] if charged_s is None else [charged_s])


@pytest.mark.parametrize(
    ("spent", "is_noted", "expected"),
    [(5000, False, False), (5100, False, True), (5100, True, False), (None, False, False)],
)
def test_four_fifths_of_max_spend_are_noted_once(
    spent: int | None, is_noted: bool, expected: bool
) -> None:
    """An hour at one micro-unit a second is 3600; four fifths of 10,875 are 8700."""
    spec = builders.spec(max_spend_micros=None if spent is None else 10_875)
    one = workload(attempt=attempt(), spec=spec, spent_micros=spent or 0, is_budget_noted=is_noted)
    made = world(one, balances={"org/lab": 10**9})
    found = report(made, builders.observed(started_us=0), now_us=2 * HOUR_US)
    assert any(isinstance(event, events.BudgetNoted) for event in found) == expected


@pytest.mark.parametrize("ends", [exits(None), ()])
@pytest.mark.parametrize(
    ("cause", "waits"), [(Cause.OUTBID, True), (Cause.MOVED, False), (None, False)]
)
def test_an_end_without_exits_before_the_first_process_is_wholly_lost_or_wholly_not(
    cause: Cause | None, waits: bool, ends: tuple[RankExit, ...]
) -> None:
    """Stopped before its first process it is preempted, with back-off; without a stop it is lost,
    which is no failure and no wait."""
    left = None if cause is None else stop(cause)
    phase = Phase.STARTING if cause is None else Phase.PREEMPTING
    one = workload(attempt=attempt(started_us=None, stop=left), phase=phase, preemptions=1)
    (ended,) = [
        event
        for event in report(world(one), released(exits=ends, started_us=None))
        if isinstance(event, events.Ended)
    ]
    assert (ended.phase, ended.failures) == (Phase.QUEUED, 0)
    assert ended.preemptions == (1 if cause is None else 2)
    assert (ended.not_before_us > 0) is waits
    is_lost = ended.summary.startswith("lost") or "unknown" in ended.summary
    assert is_lost is (cause is None)


@pytest.mark.parametrize(
    ("health", "reason", "other_leaves", "is_well"),
    [
        (Health.SUSPECT, OVERDUE, False, True),
        (Health.SUSPECT, OVERDUE, True, False),
        (Health.SUSPECT, "another reason", False, False),
        (Health.FAILED, OVERDUE, False, False),
        (Health.HEALTHY, "", False, False),
    ],
)
def test_a_node_that_was_only_overdue_is_well_once_its_last_leaver_is_seen_gone(
    health: Health, reason: str, other_leaves: bool, is_well: bool
) -> None:
    other = workload(
        "w2",
        attempt=attempt(attempt="w2.1", stop=stop() if other_leaves else None),
        phase=Phase.PREEMPTING if other_leaves else Phase.RUNNING,
    )
    one = workload(attempt=attempt(stop=stop()), phase=Phase.PREEMPTING)
    nodes = [node("a1", health=health, health_reason=reason), node("a2")]
    made = world(one, other, nodes=nodes, balances={"org/lab": 10**9})
    found = report(made, released(exits=exits(85)))
    healed = [event.node for event in found if isinstance(event, events.NodeHealthSet)]
    assert healed == (["a1"] if is_well else [])
