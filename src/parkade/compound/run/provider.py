"""Limits of a provider, over the lanes of all its models together.

A call starts only where its lane and its provider both have room. Lanes of one provider begin one
call each in turn (`Calls.start_due`), so that one model's calls do not keep another's waiting.
"""

from parkade.compound.models.protocol import ProviderLimits
from parkade.compound.run.limiter import CALLS_US, Bucket, Limiter


class Provider:
    """What the lanes of one provider's models share."""

    def __init__(self, limits: ProviderLimits) -> None:
        self._concurrency = limits.concurrency
        self._calls = Bucket(limits.calls_per_minute, CALLS_US)
        self._tokens = Bucket(limits.tokens_per_minute)
        self._limiters: list[Limiter] = []

    def joined(self, limiter: Limiter) -> None:
        """A lane of one of its models."""
        self._limiters.append(limiter)

    def has_room(self) -> bool:
        """Whether one more call may be in flight."""
        if self._concurrency is None:
            return True
        return sum(limiter.in_flight for limiter in self._limiters) < self._concurrency

    def wait_us(self, tokens: int, now_us: int) -> int:
        """How long until a call of so many tokens may start; 0 if now."""
        return max(self._calls.wait_us(1, now_us), self._tokens.wait_us(tokens, now_us))

    def take(self, tokens: int) -> None:
        """A call starts, after `wait_us` said 0."""
        self._calls.take(1)
        self._tokens.take(tokens)
