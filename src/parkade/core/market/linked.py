"""Markets that are cleared together, because bids name several of them: where each bid stands.

Theory of operation
-------------------
Each market clears by its own rules (`clear`), among the bids that ask in it. A bid with several
markets asks in the first of its list, and, where it loses, in the next one too, round by round,
until it wins or has asked in all (*deferred acceptance*, Gale and Shapley):

    round 1   each bid asks in its first market
    later     a market with new bids clears anew; a bid that stood there may lose its seats to
              them, and asks in the next of its list

Where it lost it goes on asking, so it stays a rival there: what others pay in that market is what
they would pay had it come no further. So the price of each winner is its market's own.

Whole gangs are no money that can be divided: a gang that leaves a market for a better bid can make
room there for a smaller one that lost to it before. That one *returns*: it stands in the first
market of its list that it wins now, and asks no more in those after it. It returns to a market once
in a clearing. Wins that come after that are not counted, and it asks there no more, so the rounds
end.

Invariants. A bid wins in one market at most. In each market before that one in its list it loses,
or is refused a second return. The names of the markets and the order of the bids decide nothing:
a round asks all markets that changed, and looks at all bids, before the next.

Example (`tests/core/market/test_linked.py`). Markets a and b have one node each. x names a, then b,
at 5; y names only a, at 7; z only b, at 3. Round 1: y wins a, z wins b, x loses a. Round 2: x asks
in b, and wins it from z. y pays 5 in a, for x is its rival there; x pays 3 in b.

Cost: who wins in the markets that changed, in each round, and one clearing of each at the end. A
bid returns to each of its markets once at most, and goes through its list anew after that; random
markets need about as many rounds as the longest list has entries.
"""

from collections.abc import Callable, Mapping

import msgspec

from parkade.core.market.outcome import Clearing


class LinkedClearing(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of markets that were cleared together."""

    outcomes: dict[str, Clearing]
    """By market; the lines of a bid that stands elsewhere, and asked here, are those of a loser."""

    stands_in: dict[str, str | None]
    """By bid with several markets, the one that it won; None: it won none."""

    asked: dict[str, tuple[str, ...]]
    """The markets in which each such bid asked, in the order of its list."""

    refused: dict[str, tuple[str, ...]]
    """Those, of the markets before the one that it won or in all, that refused it a second return:
    their outcome has no line of it."""

    rounds: int


class _Asking:
    """Where one bid asks in the present round. `last`: the place in its list that it came to."""

    def __init__(self, markets: tuple[str, ...]) -> None:
        assert markets and len(set(markets)) == len(markets), "a list names each market once"
        self.markets = markets
        self.last = 0
        self.returned: set[str] = set()
        self.refused: set[str] = set()

    def now(self) -> tuple[str, ...]:
        """The markets in which it asks."""
        return tuple(it for it in self.markets[: self.last + 1] if it not in self.refused)

    def after_round(self, won: set[str]) -> set[str]:
        """Goes on by what it won; the markets in which it begins or ends to ask."""
        changed: set[str] = set()
        for place, market in enumerate(self.markets[: self.last]):
            if market not in won:
                continue
            changed.add(market)
            if market in self.returned:
                self.refused.add(market)
                continue
            later = self.markets[place + 1 : self.last + 1]
            self.returned.add(market)
            self.last = place
            return (changed - {market}) | {it for it in later if it not in self.refused}
        if self.markets[self.last] in won:
            return changed
        for place in range(self.last + 1, len(self.markets)):
            if self.markets[place] not in self.refused:
                self.last = place
                return changed | {self.markets[place]}
        return changed


def clear_linked(
    markets: tuple[str, ...],
    lists: Mapping[str, tuple[str, ...]],
    clear: Callable[[str, frozenset[str]], Clearing],
    winners: Callable[[str, frozenset[str]], frozenset[str] | None] | None = None,
) -> LinkedClearing:
    """The outcome of these markets. `lists`: of each bid with several, the markets in the order in
    which it asks them. `clear`: the outcome of one, with those of these bids that ask in it.
    `winners`: what has seats by that outcome, where it is cheaper to know; None: it is not."""
    asking = {bid: _Asking(named) for bid, named in lists.items()}
    outcomes: dict[str, Clearing] = {}
    won: dict[str, frozenset[str]] = {}
    asked: dict[str, frozenset[str]] = {}
    changed = set(markets)
    rounds = 0
    most = 1 + sum((len(named) + 1) ** 2 for named in lists.values())
    while changed:
        rounds += 1
        assert rounds <= most, "the rounds of linked markets do not end"
        for market in sorted(changed):
            here = frozenset(bid for bid, it in asking.items() if market in it.now())
            asked[market] = here
            outcomes.pop(market, None)
            seated = winners(market, here) if winners is not None and lists else None
            if seated is None:
                outcomes[market] = clear(market, here)
                seated = _seated(outcomes[market])
            won[market] = seated & here
        changed = set()
        for bid, it in asking.items():
            changed |= it.after_round({market for market in it.now() if bid in won[market]})
    for market in markets:
        if market not in outcomes:
            outcomes[market] = clear(market, asked[market])
            assert _seated(outcomes[market]) & asked[market] == won[market], "others win"
    found = {bid: it.now() for bid, it in asking.items()}
    stands = {
        bid: next((market for market in named if bid in won[market]), None)
        for bid, named in found.items()
    }
    return LinkedClearing(
        outcomes=outcomes,
        stands_in=stands,
        asked=found,
        refused={bid: tuple(sorted(it.refused)) for bid, it in asking.items() if it.refused},
        rounds=rounds,
    )


def _seated(outcome: Clearing) -> frozenset[str]:
    return frozenset(line.demand for line in outcome.lines if line.seats)
