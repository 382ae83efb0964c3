"""What ranks of live work may have used before their beginning is heard is there when it is."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.billing.commitments import available_micros
from parkade.core.clearing.urgency import urgent_markets
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_event
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.spec import Resize
from parkade.sim.auditor import audit
from tests.core.kernel.story import Parkade
from tests.core.kernel.test_live import audited, given_parkade, gpu_seconds, leaving, ranks
from tests.core.kernel.test_live_days import LIMITS, ends, fails, leaves, starts
from tests.core.kernel.test_live_joining import lends, rebid

FEW = settings() if settings.get_current_profile_name() == "long" else settings(max_examples=25)
ORGS = ("lab", "elm")
ROUNDED_MICROS = 8
"""Parts of what is owed are rounded up one by one."""


def available(parkade: Parkade, org: str = "lab") -> int:
    return available_micros(parkade.world, org, parkade.now_us)


def given_five_that_join(deposit_micros: int, **terms: Any) -> tuple[Parkade, str]:
    """Work with a limit of 1.5 on one node; five more, of an owner that lends them at 1, become
    free for it, and what runs there is not heard of."""
    terms = {"start_limit_us": 1800 * SECOND_US} | terms
    parkade = given_parkade(6, **terms)
    owned = parkade.reserve("owner", 5)
    parkade.org("lab", deposit=0)
    parkade.do(commands.Deposit(by=None, org="lab", micros=deposit_micros))
    name = parkade.bid("lab", 1.5, nodes=1, most_nodes=6, resize=Resize.LIVE)
    parkade.run(30)
    parkade.lend(owned, 1)
    parkade.clear()
    assert len(ranks(parkade, name)) == 6
    return parkade, name


def test_what_ranks_may_have_used_unheard_is_set_aside() -> None:
    """Of two units nothing is left for other bids once the ranks may have used it."""
    parkade, name = given_five_that_join(3 * MICROS)
    joined_us = parkade.now_us
    begun_us = joined_us + 10 * SECOND_US
    before = available(parkade)
    for _ in range(8):
        parkade.tick(30)
        parkade.begun(name)
        parkade.clear()
        assert 0 <= available(parkade) < before
        before = available(parkade)
    parkade.begun(name, 1, 2, 3, 4, 5, at_us=begun_us)
    assert available(parkade) >= before
    ran_s = (parkade.now_us - begun_us) // SECOND_US
    parkade.ended(name)
    assert gpu_seconds(parkade, name) == 2 * (10 + ran_s) + 5 * 2 * ran_s
    audited(parkade)


def test_work_that_may_have_used_up_its_money_unheard_has_its_notice_in_time() -> None:
    """Two units are an hour of two GPUs; six nodes may have used them in ten minutes."""
    parkade, name = given_five_that_join(2 * MICROS)
    begun_us = parkade.now_us + 10 * SECOND_US
    for _ in range(58):
        parkade.tick(30)
        if parkade.attempt(name).stop is not None or leaving(parkade, name):
            break
        parkade.begun(name)
        parkade.clear()
        assert available(parkade) >= 0
    else:
        raise AssertionError("it runs for half an hour on money that its org has not")
    parkade.begun(name, 1, 2, 3, 4, 5, at_us=begun_us)
    assert available(parkade) >= 0
    parkade.run(300)
    given_all_is_over(parkade)
    assert uncollected(parkade) == 0


def given_all_is_over(parkade: Parkade) -> None:
    """What runs is gone, and both auditors agree."""
    parkade.stop_all()
    for name in list(parkade.world.live):
        parkade.do(commands.Cancel(by=None, workload=name, now=True))
    parkade.stop_all()
    audited(parkade)


def uncollected(parkade: Parkade) -> int:
    """What was owed and could not be taken, by the auditor's books."""
    books = audit(encode_event(it) for it in parkade.journal)
    return sum(books.uncollected.values())


class Watched(Parkade):
    """It notes where a report makes an org owe more than it had set aside."""

    def __init__(self, **terms: Any) -> None:
        self.overdrawn: list[str] = []
        super().__init__(**terms)

    def do(self, command: commands.AnyCommand) -> tuple[events.AnyEvent, ...]:
        if not isinstance(command, commands.ReportAttempts):
            return super().do(command)
        before = {org: available(self, org) for org in ORGS}
        made = self._do(command)
        for org, had in before.items():
            if available(self, org) < min(0, had) - ROUNDED_MICROS:
                self.overdrawn.append(f"{org} had {had}, has {available(self, org)}: {made}")
        self.tick()
        if urgent_markets(self.world, made):
            self.clear()
        return made


def bids(parkade: Parkade, number: int) -> None:
    org, limit = ORGS[number % 2], LIMITS[number % len(LIMITS)]
    resize = Resize.LIVE if number % 3 else Resize.RESTART
    parkade.bid(org, limit, nodes=1 + number // 20, most_nodes=4, resize=resize)


def begins_late(parkade: Parkade, number: int) -> None:
    """Some ranks that joined are said to have begun at an earlier instant, others not yet."""
    for name in list(parkade.world.live):
        attempt = parkade.workload(name).attempt
        if attempt is None or attempt.started_us is None:
            continue
        waits = [it.rank for it in attempt.ranks if not it.has_begun]
        at_us = parkade.now_us - number * 60 * SECOND_US
        parkade.begun(name, *waits[number % 3 :], at_us=at_us)


def waits(parkade: Parkade, number: int) -> None:
    """Clearings come, and no rank that joined is heard of."""
    for _ in range(1 + number):
        parkade.tick(30)
        for name in list(parkade.world.live):
            attempt = parkade.workload(name).attempt
            if attempt is not None and attempt.started_us is not None and attempt.stop is None:
                parkade.begun(name)
        parkade.clear()


def rebids(parkade: Parkade, number: int) -> None:
    known = [it for it in parkade.world.live if parkade.workload(it).attempt is not None]
    if known:
        rebid(parkade, known[number % len(known)], LIMITS[number % len(LIMITS)])


KINDS: tuple[Callable[[Parkade, int], None], ...] = (
    bids, begins_late, begins_late, waits, leaves, rebids, starts, ends, fails, lends,
)  # fmt: skip
ACTS = st.lists(st.tuples(st.integers(0, len(KINDS) - 1), st.integers(0, 29)), max_size=18)


@FEW
@given(ACTS, st.sampled_from((1, 2, 5)))
def test_no_report_makes_an_org_owe_more_than_it_has(
    acts: list[tuple[int, int]], deposit: int
) -> None:
    """Random days of live and elastic work of orgs with little money: whatever a report says, what
    follows from it was set aside, and every charge is covered."""
    terms = {"start_limit_us": 1800 * SECOND_US, "minimum_charge_us": 90 * SECOND_US}
    parkade = Watched(
        fabrics={"a": 5}, buffer_nodes=0, public_floor_micros=MICROS, backoff_us=0, **terms
    )
    parkade.lend(parkade.reserve("acme", 2), 2)
    for org in ORGS:
        parkade.org(org, deposit=deposit)
    bids(parkade, 17)
    parkade.run(30)
    for kind, number in acts:
        KINDS[kind](parkade, number)
    parkade.run(120)
    given_all_is_over(parkade)
    assert parkade.overdrawn == []
    assert uncollected(parkade) == 0
