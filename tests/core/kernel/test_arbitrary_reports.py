"""Agents that say anything at any date: no org pays too much, and all comes to rest."""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from parkade.core.kernel.deadlines import next_deadline_us
from parkade.core.state import commands
from parkade.core.state.codec import decode_snapshot, encode_event, encode_snapshot
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.observed import Checkpoint, EnginePhase, ObservedAttempt, RankExit
from parkade.core.workloads.workload import Attempt
from tests.auditor import Discrepancy, audit
from tests.core.kernel.journeys import JOURNEYS, ORGS, Journey
from tests.core.kernel.story import Parkade

CHARGED = re.compile(r"was charged (\d+) and owed (\d+)")
"""Less than owed is right where the balance or `max_spend` was used up; more never is."""


def is_agreed(parkade: Parkade) -> bool:
    """Whether the auditor finds nothing, or nothing but less charged than owed."""
    try:
        audit(encode_event(event) for event in parkade.journal)
    except Discrepancy as found:
        charged = CHARGED.search(str(found))
        return charged is not None and int(charged[1]) < int(charged[2])
    return True


class LyingAgents(Journey):
    """A random day on which agents say anything at any date, and money changes hands."""

    def act(self) -> None:
        if self.chance.random() < 0.6:
            super().act()
        else:
            self.chance.choice((self._lie, self._lie, self._grant, self._end, self._reprice))()

    def _date(self) -> int | None:
        now_us = self.parkade.now_us
        skew_us = self.chance.choice((0, -5, -40, -3600, 7200, 10**9)) * SECOND_US
        return self.chance.choice((None, 0, now_us + skew_us, now_us + skew_us))

    def _lie(self) -> None:
        seen = [
            self._seen(attempt)
            for name in self.parkade.world.live
            if (attempt := self.parkade.workload(name).attempt) is not None
        ]
        twice = (*seen, *seen[:1])
        self.parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=twice))

    def _seen(self, attempt: Attempt) -> ObservedAttempt:
        choice = self.chance.choice
        phase = choice(tuple(EnginePhase))
        is_over = phase is EnginePhase.RELEASED
        ranks = range(choice((0, 1, len(attempt.seats))) if is_over else 0)
        saved = Checkpoint(step=choice((-1, 0, 7)), at_us=self._date() or 0)
        return ObservedAttempt(
            attempt=attempt.attempt,
            generation=choice((0, attempt.generation)),
            phase=phase,
            started_us=self._date(),
            released_us=self._date() if is_over else None,
            exits=tuple(
                RankExit(rank=n, code=choice((0, 1, 85, None)), signal=None) for n in ranks
            ),
            checkpoint=choice((None, saved)),
            devices=(),
            launch_error=choice((None, None, "no such folder")),
            engine_state="",
            is_refused=choice((False, True)),
        )

    def _grant(self) -> None:
        micros = self.chance.choice((0, 5 * MICROS))
        org = self.chance.choice(ORGS)
        self.ask(commands.SetGrant(by=None, org=org, micros=micros, every_us=600 * SECOND_US))

    def _end(self) -> None:
        name = self._some(self.parkade.world.records.reservations)
        self.ask(commands.EndReservation(by=None, reservation=name))

    def _reprice(self) -> None:
        price = self.chance.choice((None, 0, 9 * MICROS))
        self.ask(
            commands.SetPrices(
                by=None,
                market="pool",
                pay_as_you_go_micros=price,
                reservation_rate_micros=price,
                public_floor_micros=price,
            )
        )


@settings(max_examples=JOURNEYS)
@example(seed=2238)  # On-demand at a price of 0 makes a bid leave, and gives its promise up.
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_whatever_agents_say_the_world_holds_replays_and_comes_to_rest(seed: int) -> None:
    day = LyingAgents(seed)
    for _ in range(60):
        day.act()
    parkade = day.parkade
    assert is_agreed(parkade)
    snapshot = encode_snapshot(parkade.world)
    assert parkade.replayed() == snapshot
    rebuilt = decode_snapshot(snapshot)
    assert next_deadline_us(rebuilt) == next_deadline_us(parkade.world)
    assert rebuilt.held_on == parkade.world.held_on
    assert rebuilt.promised_on == parkade.world.promised_on
    for name in tuple(parkade.world.live):
        day.ask(commands.Cancel(by=None, workload=name, now=True))
    parkade.stop_all()
    assert not parkade.world.live
    assert all(node.health != "suspect" for node in parkade.world.records.nodes.values())
    owed = parkade.world.records.owed.get("pool", {})
    assert parkade.balance("clearing/pool") <= len(owed), "no more rests than roundings"
