"""The rate at which a demand holds its seats from a clearing on: price, shares and floor."""

from parkade.core.clearing.input import ClearingInput
from parkade.core.ledger.accounts import OPERATOR
from parkade.core.market.outcome import Change, ClearingLine
from parkade.core.state.world import World
from parkade.core.workloads.workload import Rate, Workload


class Rates:
    """The rates of one clearing."""

    def __init__(self, world: World, given: ClearingInput, now_us: int) -> None:
        self._world = world
        self._given = given
        self._demands = {demand.demand: demand for demand in given.state.demands}
        self._now_us = now_us

    def of(self, line: ClearingLine) -> Rate:
        """What it pays from now on: on-demand as agreed, others as cleared."""
        workload = self._world.records.workloads.get(line.demand)
        agreed = workload.agreed_price_micros if workload is not None else None
        if workload is not None and agreed is not None:
            assert workload.spec.limit_price_micros is None, "a bid has no agreed price"
            shares = ((OPERATOR, agreed * workload.spec.total_gpus),) if agreed else ()
            return Rate(from_us=self._now_us, price_micros=agreed, shares=shares)
        return Rate(
            from_us=self._now_us,
            price_micros=line.price_micros,
            shares=line.shares,
            floor_micros=self._floor(line),
            node_prices=line.node_prices,
        )

    def _floor(self, line: ClearingLine) -> int | None:
        """The floor of its seats while all its nodes are open; while one is closed, as before."""
        demand = self._demands[line.demand]
        if demand.limit_micros is None:
            return None
        if line.change is Change.KEEP and self._given.has_closed(demand):
            return demand.floor_micros
        return line.floor_micros


def present_rate(workload: Workload) -> Rate | None:
    """What it pays now, or will pay for what it is promised; None where it has no seats."""
    if workload.promise is not None:
        return workload.promise.rates[-1]
    if workload.attempt is not None and workload.attempt.rates:
        return workload.attempt.rates[-1]
    return None
