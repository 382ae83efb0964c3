"""A parkade with two markets, `pool` of `kind` and `other` of `small`, and bids that name both."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from parkade.core.clearing.linking import linked_with
from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.workloads.choice import Choice
from tests import builders
from tests.core.kernel.story import TERMS, Parkade

MARKETS = {"kind": "pool", "small": "other"}


class TwoMarkets(Parkade):
    """Each clearing is of all markets: those that no bid links one after the other."""

    def __init__(
        self, *, here: dict[str, int], there: dict[str, int], gpus: int = 2, **terms: Any
    ) -> None:
        super().__init__(fabrics=here, gpus=gpus, **terms)
        fabrics = tuple(
            (f"{name}-other", tuple(f"{name}{at + 1}-other" for at in range(nodes)))
            for name, nodes in there.items()
        )
        self._do(
            builders.open_pool(
                "other",
                fabrics,
                instance_type=replace(builders.instance_type(gpus), name="small", gpu_model="A100"),
                terms=replace(TERMS, **terms),
            )
        )

    def clear(self) -> None:
        """A clearing of all markets now, and what it launches."""
        left = ["other", "pool"]
        while left:
            market = left.pop()
            done = linked_with(self.world, market)
            self._do(commands.RunClearing(by=None, market=market))
            left = [it for it in left if it not in done]
        self.tick()

    def bid_in(self, org: str, limits: Mapping[str, float], **shape: Any) -> str:
        """A workload with a limit for each market that it names, in this order."""
        made = self.do(self.list_bid(org, limits, **shape))
        return next(e.workload.workload for e in made if isinstance(e, events.Submitted))

    def list_bid(self, org: str, limits: Mapping[str, float], **shape: Any) -> commands.Submit:
        """The command of that."""
        if org not in self.world.records.orgs:
            self.org(org)
        kinds = {market: kind for kind, market in MARKETS.items()}
        choices = tuple(
            Choice(instance_type=kinds[market], limit_price_micros=round(limit * MICROS))
            for market, limit in limits.items()
        )
        spec = replace(self.spec(limit=next(iter(limits.values())), **shape), choices=choices)
        market = None if len(choices) > 1 else next(iter(limits))
        if market is not None:
            spec = replace(spec, choices=())
        return commands.Submit(by=None, org=org, market=market, spec=spec, is_held=False)

    def in_market(self, org: str, market: str, limit: float, **shape: Any) -> str:
        """A workload that bids in one market."""
        return self.bid_in(org, {market: limit}, **shape)

    def stands(self, name: str) -> str | None:
        """The market whose seats it is promised, or holds and keeps."""
        workload = self.workload(name)
        attempt, promise = workload.attempt, workload.promise
        if promise is None and (attempt is None or attempt.stop is not None):
            return None
        return self.world.records.nodes[self.nodes_of(name)[0]].market


def refusal_of(outcome: object) -> Refusal:
    """Fails the test where nothing was refused."""
    assert isinstance(outcome, Refusal), outcome
    return outcome
