"""Faults planted into what the program does with lists of capacity, for the fuzz to find."""

from collections.abc import Callable
from typing import Any

import pytest

import parkade.core.clearing.rounds as rounds
import parkade.core.running.buying as buying
import parkade.core.steps.capacity as capacity
import parkade.core.steps.windows as windows
from parkade.core.fleet.market import Market
from parkade.core.reservations.calendar import Sold
from parkade.core.state.world import World
from parkade.core.workloads.workload import Workload

Patch = pytest.MonkeyPatch


def sets_nothing_aside_for_a_list(patch: Patch) -> None:
    """The money of a window that a list may buy is spent by other bids."""
    patch.setattr(windows, "unbought_micros", lambda *_given: 0)


def buys_though_it_won(patch: Patch) -> None:
    """A list goes on to its last entry whatever it won before."""
    go_on = rounds.Rounds.go_on

    def greedy(self: Any, won: set[str]) -> bool:
        lists = {it.workload for it in self._waiting}
        steps = any(self._position(it) + 1 < len(it.spec.entries) for it in self._waiting)
        return go_on(self, won - lists if steps else won)

    patch.setattr(rounds.Rounds, "go_on", greedy)


def sells_the_window_of_a_list_again(patch: Patch) -> None:
    """The calendar forgets what a list bought."""
    sold = capacity.sold

    def forgetful(world: World, market: Market) -> tuple[Sold, ...]:
        known = [it for it in world.live if world.records.workloads[it].window_from_us is None]
        live, world.live = world.live, dict.fromkeys(known)
        try:
            return sold(world, market)
        finally:
            world.live = live

    patch.setattr(capacity, "sold", forgetful)


def buys_its_whole_time_again(patch: Patch) -> None:
    """A list that had run already buys `max_duration` anew."""

    def anew(market: Market, workload: Workload, now_us: int) -> int:
        lasts_us = workload.spec.max_duration_us
        assert lasts_us is not None
        return now_us + market.terms.leave_us + lasts_us

    patch.setattr(buying, "window_end_us", anew)


LIST_FAULTS: dict[str, tuple[Callable[[Patch], None], tuple[str, ...]]] = {
    fault.__name__: (fault, ())
    for fault in (
        sets_nothing_aside_for_a_list,
        buys_though_it_won,
        sells_the_window_of_a_list_again,
        buys_its_whole_time_again,
    )
}
"""By name: the fault, and the troubles of stories that can meet it (none)."""
