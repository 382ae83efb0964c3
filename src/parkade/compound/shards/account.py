"""The account of one shard: it sets more of the common budget aside before it needs it."""

from collections.abc import Callable

from parkade.compound.run.budget import Account, Amounts, Budget

#: Sets so much more aside for the shard, and gives what it then has in all; None if it cannot be.
Extend = Callable[[Amounts], Amounts | None]


class SharedAccount(Account):
    """An account whose limit is what the shard was allowed, and can grow."""

    #: Another shard may give back what is left of its part.
    fails_alone = False

    def __init__(
        self,
        whole: Budget,
        allowed: Amounts,
        used: tuple[Amounts, Amounts],
        extend: Extend,
        may_call: Callable[[], bool],
    ) -> None:
        """`used`: what the shard's journal says was spent, and what is doubtful."""
        super().__init__(_limit(whole, allowed), *used)
        self._whole = whole
        self._allowed = allowed
        self._extend = extend
        self._may_call = may_call
        #: Whether the common budget refused to give more.
        self.is_starved = False

    def reserve(self, worst: Amounts) -> bool:
        """See `Account`; False also while it is not certain that the shard is still ours."""
        if not self._may_call():
            return False
        if super().reserve(worst):
            return True
        wanted = self.spent + self.doubtful + self.reserved + worst
        allowed = self._extend(_missing(self._whole, wanted - self._allowed))
        if allowed is None:
            self.is_starved = True
            return False
        self._allowed = allowed
        self.budget = _limit(self._whole, allowed)
        return super().reserve(worst)


def _limit(whole: Budget, allowed: Amounts) -> Budget:
    return Budget(
        micros=None if whole.micros is None else allowed.micros,
        tokens=None if whole.tokens is None else allowed.tokens,
        calls=None if whole.calls is None else allowed.calls,
    )


def _missing(whole: Budget, by: Amounts) -> Amounts:
    return Amounts(
        0 if whole.micros is None else max(0, by.micros),
        0 if whole.tokens is None else max(0, by.tokens),
        0 if whole.calls is None else max(0, by.calls),
    )
