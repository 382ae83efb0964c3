"""What owners are owed: the shares of what each winner pays, in whole micro-units per hour.

The owner's part of a price is price x (1 - fee), for each owner of a floor drawn. Revenue of equal
floors is shared in the whole market pro rata of what was offered at that floor, so no owner
depends on luck. Where a bid of a lender's own org set the price, that lender receives its floor
only. Each account is rounded down once; the rest is the operator's, so the shares of a winner
always add up to what it pays.

Example, fee 2/7: bid b of the example in `allocation` holds 8 GPUs on one node that acme lends at
floor 5, and pays 7 per GPU-hour, 56 an hour. Acme earns 8 x 7 x 5/7 = 40, the operator 16. Had the
price been 14, acme would earn 80 of 112; had a bid of acme's own org set it, 40 of 112.
"""

from collections.abc import Iterable

from parkade.core.market.market_state import ClearingTerms, MarketState, PriorityTier
from parkade.core.market.supply import PUBLIC

Shares = tuple[tuple[str, int], ...]
Ratio = tuple[int, int]
"""A number at least 0, as so many parts of a whole: (parts, parts of one). Fractions of the
standard library reduce each result, which took a twentieth of a clearing."""


class RevenueShares:
    """Shares of the winners of one clearing.

    `_offered`: by guest floor, (reservation or PUBLIC, nodes). `_known`: answers given so far.
    """

    __slots__ = ("_known", "_lenders", "_offered", "_orgs", "_terms")

    def __init__(self, state: MarketState, offered: dict[tuple[int, str], int]) -> None:
        self._terms: ClearingTerms = state.terms
        self._orgs = {demand.demand: demand.org for demand in state.demands}
        self._lenders = {room.reservation: room for room in state.reservations}
        self._offered: dict[int, list[tuple[str, int]]] = {}
        for (floor, source), nodes in sorted(offered.items()):
            self._offered.setdefault(floor, []).append((source, nodes))
        self._known: dict[tuple[object, ...], Shares] = {}

    def shares(
        self, tier: PriorityTier, price: int, gpus: int, floors: tuple[int, ...], set_by: str | None
    ) -> Shares:
        """(account, micro-units per hour) of a winner with `gpus` on each of its nodes.

        `price`: micro-units per GPU-hour. `floors`: guest floors drawn, one a node. `set_by`: the
        demand that set the price, if one did. Grows with the different questions asked, not with
        winners.
        """
        assert price >= 0, "a price below zero"
        if tier is PriorityTier.RESERVED or price == 0:
            return ()
        setter_org = None if set_by is None else self._orgs[set_by]
        question = (tier, price, gpus, floors, setter_org)
        known = self._known.get(question)
        if known is None:
            known = self._divide(tier, price, gpus, floors, setter_org)
            self._known[question] = known
        return known

    def _divide(
        self,
        tier: PriorityTier,
        price: int,
        gpus: int,
        floors: tuple[int, ...],
        setter_org: str | None,
    ) -> Shares:
        fee = self._terms.fee
        owners = (price * (fee.denominator - fee.numerator), fee.denominator)
        earned: dict[str, Ratio] = {}
        if tier is PriorityTier.ON_DEMAND:
            amount, parts = owners
            earned[self._terms.supplier_account] = (amount * gpus * len(floors), parts)
        else:
            for floor in sorted(set(floors)):
                held = gpus * floors.count(floor)
                for account, (amount, parts) in self._owner_shares(floor, owners, setter_org):
                    before = earned.get(account, (0, parts))
                    earned[account] = _sum(before, (amount * held, parts))
        whole = {account: amount // parts for account, (amount, parts) in earned.items()}
        rest = price * gpus * len(floors) - sum(whole.values())
        assert rest >= 0, "owners earn more than was paid"
        operator = self._terms.operator_account
        whole[operator] = whole.get(operator, 0) + rest
        return tuple(sorted((account, amount) for account, amount in whole.items() if amount))

    def _owner_shares(
        self, floor: int, owners: Ratio, setter_org: str | None
    ) -> Iterable[tuple[str, Ratio]]:
        """(account, micro-units) of a GPU-hour drawn at this guest floor, of `owners` in all."""
        offers = self._offered.get(floor)
        if not offers:
            yield self._terms.supplier_account, owners
            return
        total = sum(nodes for _, nodes in offers)
        assert total > 0, "a floor was drawn that no owner offered"
        amount, parts = owners
        for source, nodes in offers:
            if source == PUBLIC:
                yield self._terms.supplier_account, (amount * nodes, parts * total)
                continue
            lender = self._lenders[source]
            part = amount
            if setter_org == lender.org and lender.floor_micros is not None:
                part = min(amount, lender.floor_micros * parts)
            yield lender.account, (part * nodes, parts * total)


def _sum(one: Ratio, other: Ratio) -> Ratio:
    """Exact, and not reduced: the parts of few floors stay small."""
    if one[1] == other[1]:
        return one[0] + other[0], one[1]
    return one[0] * other[1] + other[0] * one[1], one[1] * other[1]
