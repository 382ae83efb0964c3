"""The account of one shard: it sets more of the common budget aside before it needs it."""

import time
from collections.abc import Callable
from typing import Protocol

from parkade.compound.run.budget import NOTHING, Account, Admission, Amounts, Budget
from parkade.compound.run.needs import largest

#: After a question had to wait, the log is read again for it at the earliest.
ASK_AGAIN_S = 0.25


class Common(Protocol):
    """The common budget, as the holder of a shard asks for more of it."""

    @property
    def may_call(self) -> Callable[[], bool]:
        """Whether the shard is certainly still ours."""
        ...

    def extend(self, need: Amounts) -> Amounts | None:
        """Sets so much more aside; what the shard then has in all, None if it cannot be."""
        ...

    def set_aside(
        self, need: Amounts, unused: Amounts, *, is_first: bool
    ) -> tuple[Admission, Amounts | None]:
        """The same for a whole question, of a shard that has so much unused."""
        ...

    def tell(self, excess: Amounts) -> Amounts | None:
        """Says what questions were found to take, and gives back so much that is not needed; what
        the shard then has in all, None where there is nothing new."""
        ...


class SharedAccount(Account):
    """An account whose limit is what the shard was allowed, and can grow."""

    #: Another shard may give back what is left of its part.
    fails_alone = False

    def __init__(
        self, whole: Budget, allowed: Amounts, used: tuple[Amounts, Amounts], common: Common
    ) -> None:
        """`used`: what the shard's journal says was spent, and what is doubtful."""
        super().__init__(_limit(whole, allowed), *used)
        self._whole = whole
        self._allowed = allowed
        self._common = common
        self._asked_s = -ASK_AGAIN_S
        #: Whether the common budget refused to give more.
        self.is_starved = False

    def reserve(self, worst: Amounts) -> bool:
        """See `Account`; False also while it is not certain that the shard is still ours."""
        if not self._common.may_call():
            return False
        if super().reserve(worst):
            return True
        wanted = self.spent + self.doubtful + self.reserved + worst
        allowed = self._common.extend(_missing(self._whole, wanted - self._allowed))
        if allowed is None:
            self.is_starved = True
            return False
        self._allow(allowed)
        return super().reserve(worst)

    def admits(self, amounts: Amounts, *, is_first: bool) -> Admission:
        """See `Account`; what a question may need is set aside before it begins."""
        self._tell(amounts)
        used = self.spent + self.doubtful
        wanted = used + amounts
        if self.budget.holds(wanted) or (is_first and not self._common.may_call()):
            return Admission.NOW
        now_s = time.monotonic()
        if not is_first and now_s - self._asked_s < ASK_AGAIN_S:
            return Admission.LATER
        admission, allowed = self._common.set_aside(
            _missing(self._whole, wanted - self._allowed),
            largest(NOTHING, self._allowed - used),
            is_first=is_first,
        )
        if allowed is not None:
            self._allow(allowed)
        if admission is Admission.LATER:
            self._asked_s = now_s
        return admission

    def _tell(self, needed: Amounts) -> None:
        """What is set aside beyond what is needed and reserved goes back, once that is known."""
        kept = self.spent + self.doubtful + largest(needed, self.reserved)
        allowed = self._common.tell(_missing(self._whole, self._allowed - kept))
        if allowed is not None:
            self._allow(allowed)

    def _allow(self, allowed: Amounts) -> None:
        self._allowed = allowed
        self.budget = _limit(self._whole, allowed)


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
