from hypothesis import given
from hypothesis import strategies as st

from parkade.sim.replay.demand import demand_of
from parkade.sim.replay.owners import claims_of
from parkade.sim.replay.scenario import Guests
from parkade.sim.replay.traces import Trace
from tests.sim.replay.replays import GPUS, demand, trace

SERIES = st.lists(st.integers(0, 32), min_size=1, max_size=30)


def test_levels_that_begin_and_end_together_are_one_claim() -> None:
    found = claims_of(trace(acme=(32, [16, 32, 32, 8], [0] * 4)), GPUS)
    assert [(it.from_minute, it.until_minute, it.nodes) for it in found] == [
        (0, 3, 1),
        (0, 4, 1),
        (1, 3, 2),
    ]


@given(busy=SERIES)
def test_claims_hold_the_busy_gpus_in_whole_nodes_at_every_minute(busy: list[int]) -> None:
    claims = claims_of(trace(acme=(32, busy, [0] * len(busy))), GPUS)
    for minute, gpus in enumerate(busy):
        nodes = sum(it.nodes for it in claims if it.from_minute <= minute < it.until_minute)
        assert nodes == -(-gpus // GPUS)


@given(queued=SERIES)
def test_guests_are_the_queue_at_every_minute(queued: list[int]) -> None:
    found = demand(trace(acme=(32, [0] * len(queued), queued)))
    changes = {it.minute: it for it in found.changes}
    waiting: dict[int, int] = {}
    for minute, gpus in enumerate(queued):
        change = changes.get(minute)
        if change is not None:
            for number in change.gone:
                del waiting[number]
            waiting |= {guest.number: guest.gpus for guest in change.new}
        assert sum(waiting.values()) == gpus
        assert all(size <= GPUS for size in waiting.values())


def test_those_that_leave_whole_leave_first_and_the_oldest_other_is_cut() -> None:
    found = demand(trace(acme=(32, [0, 0, 0], [8, 20, 15])))
    first, second, third = found.changes
    assert [(it.number, it.gpus) for it in (*first.new, *second.new)] == [(1, 8), (2, 8), (3, 4)]
    # Of five GPUs four leave whole with guest 3; the oldest of the others gives the fifth.
    assert third.gone == (3, 1)
    assert [(it.number, it.gpus) for it in third.new] == [(4, 7)]
    assert found.cuts == 1


def test_what_could_be_served_is_the_lesser_of_queued_and_idle() -> None:
    both = trace(acme=(16, [16, 4], [6, 0]), birch=(8, [8, 0], [0, 30]))
    assert demand(both).servable_gpu_minutes == 0 + 20


def test_limits_depend_on_the_seed_and_on_nothing_else() -> None:
    def limits(given: Trace, seed: int) -> list[int]:
        found = demand_of(
            given, (1.0, 2.0, 3.0), spread=25, guests=Guests(), gpus_per_node=GPUS, seed=seed
        )
        return [guest.limit_micros for change in found.changes for guest in change.new]

    calm = trace(acme=(32, [0] * 4, [8, 16, 24, 32]))
    busy = trace(acme=(32, [32, 8, 16, 0], [8, 16, 24, 32]))
    assert limits(calm, 1) == limits(busy, 1) != limits(calm, 2)
