"""What-if on any journal: those of random stories, and those that older programs wrote."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from parkade.core.billing.charges import transfers_of
from parkade.core.billing.metering import accrued_micros
from parkade.core.kernel.evolve import evolve
from parkade.core.ledger.accounts import Transfer, org_of
from parkade.core.state import events
from parkade.core.state.world import Records, World
from parkade.core.units.money import MICROS
from parkade.sim.whatif.change import parse_change
from parkade.sim.whatif.counterfactual import Counterfactual
from parkade.sim.whatif.counting import NOT_OF_THE_MARKET, Counting
from parkade.sim.whatif.explain import explain
from parkade.sim.whatif.programs import programs_of
from tests.sim.whatif.journals import KEPT, disk_of, journal_of, kept_journal, what_if

CHANGES = (("notice=90s",), ("public_floor=3", "floor=4"))


def world_of(journal: Sequence[events.AnyEvent]) -> World:
    world = World(Records())
    for event in journal:
        evolve(world, event)
    return world


def holds(paid: float, transfers: Sequence[Transfer], world: World, end_us: int) -> None:
    """What orgs paid is what the ledger says and what has accrued since, each rounded up at most
    once."""
    posted = sum(it.micros for it in transfers if org_of(it.debit) is not None)
    live = [world.records.workloads[name] for name in world.live]
    accrued = sum(accrued_micros(world, it, end_us) for it in live)
    assert 0 <= posted + accrued - round(paid * MICROS) <= len(live)


def of_the_market(journal: Sequence[events.AnyEvent]) -> list[Transfer]:
    found = (it for event in journal for it in transfers_of(event))
    return [it for it in found if it.kind not in NOT_OF_THE_MARKET]


class Kept(Counting):
    """One that keeps the events."""

    def __init__(self, start_us: int, end_us: int) -> None:
        super().__init__(start_us, end_us)
        self.journal: list[events.AnyEvent] = []

    def follow(self, event: events.AnyEvent, world: World) -> None:
        self.journal.append(event)
        super().follow(event, world)


@pytest.mark.parametrize("seed", range(1, 13))
def test_a_random_story_is_reported_and_its_money_is_the_ledgers(seed: int) -> None:
    journal = journal_of(disk_of(seed))
    end_us = max(event.at_us for event in journal)
    for changes in CHANGES:
        report = what_if(journal, *changes)
        assert report.digest == report.digest_again
        assert set(report.facts) <= {"ClockJumped", "ClockAdvanced"}
        recorded = report.runs[0]
        holds(recorded.paid, of_the_market(journal), world_of(journal), end_us)
        run = Counterfactual(
            explain(journal), programs_of(journal), parse_change(changes), end_us=end_us
        )
        run.counting = kept = Kept(run.start_us, end_us)
        run.run()
        paid = sum(it.paid_micros for it in kept.orgs.values()) / MICROS
        assert report.runs[2].paid == pytest.approx(paid)
        holds(paid, of_the_market(kept.journal), run.core.world, end_us)


@pytest.mark.parametrize("seed", range(1, 13))
def test_what_workloads_paid_and_orgs_paid_for_work_is_the_same(seed: int) -> None:
    journal = journal_of(disk_of(seed))
    end_us = max(event.at_us for event in journal)
    world, counting = World(Records()), Counting(journal[0].at_us, end_us)
    for event in journal:
        evolve(world, event)
        counting.follow(event, world)
    counting.close(world)
    transfers = [it for it in of_the_market(journal) if it.kind.is_paid_by_user]
    works = counting.lives.workloads.values()
    holds(sum(it.paid_micros for it in works) / MICROS, transfers, world, end_us)
    assert sum(counting.lives.running) == sum(it.gpu_us for it in works)


@pytest.mark.parametrize("file", sorted(KEPT.glob("*.json")), ids=lambda file: str(file.stem))
def test_a_kept_journal_is_reported(file: Path) -> None:
    journal = kept_journal(file)
    end_us = max(event.at_us for event in journal)
    recorded = what_if(journal, *CHANGES[1]).runs[0]
    holds(recorded.paid, of_the_market(journal), world_of(journal), end_us)
