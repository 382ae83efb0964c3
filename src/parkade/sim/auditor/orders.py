"""Which of two bids surely comes first in the priority order."""

from fractions import Fraction

from parkade.sim.auditor.books import Books, Record


def comes_before(books: Books, taker: Record, holder: Record) -> bool:
    """Whether a newcomer surely comes before a bid that holds seats or a promise, which has the
    credit of what runs."""
    credit = books.terms[holder["market"]].get("switching_credit", {})
    share = Fraction(credit.get("numerator", 0), credit.get("denominator", 1))
    return _key(books, taker) > _key(books, holder) * (1 + share)


def _key(books: Books, workload: Record) -> Fraction:
    """Its place in the order among newcomers: the limit, times its GPUs ÷ those of the nodes that
    it would open alone. Its ranks share nodes unless it says `spread`."""
    spec = workload["spec"]
    limit, gpus = spec["limit_price_micros"] or 0, spec["gpus"]
    node_gpus = books.node_gpus.get(workload["market"], gpus)
    ranks = 1 if spec.get("spread", True) else max(1, node_gpus // gpus)
    nodes_alone = -(-spec["nodes"] // ranks)
    return Fraction(limit * spec["nodes"] * gpus, nodes_alone * node_gpus)
