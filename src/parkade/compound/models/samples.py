"""Several samples of one prompt as one request with `n`, where the server can do that.

A server reads a long prompt once for all samples of a request, and a provider bills it once. Calls
with the same body that start in the same turn of the loop are put together, at most `most` at a
time; each stays a call of its own, with its own address, journal line and cost, so a resumed run
asks only for the samples that it lacks.

The tokens of the prompt are the first sample's, those of the answers are shared evenly, and the
shares add up to what the server reports. A server that refuses `n` (400 or 422), or gives fewer
answers than were asked for, is asked for one sample at a time from then on; what is lacking is
asked for at once.

Example: samples 4, 5, 6 of a prompt start together: one request with `"n":3`. It reports 100 tokens
of prompt and 31 of answers: sample 4 is billed 100 + 11, samples 5 and 6 are billed 10 each.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from parkade.compound.models.answers import completions_from, shared
from parkade.compound.models.exchange import Broken, HttpReply
from parkade.compound.models.protocol import Cancel, Done, Failure, FailureKind, Outcome, Price
from parkade.compound.values import Call

REFUSED = (400, 422)
#: Posts the body for a call; the reply comes with the time it took in microseconds.
Post: TypeAlias = Callable[[Call, bytes, Callable[[HttpReply | Broken, int], None]], Cancel]
#: The outcome of a reply that is no success.
ReadFailure: TypeAlias = Callable[[HttpReply | Broken], Failure]
MOST_SAMPLES = 128


class _Waiting:
    """One sample that was asked for."""

    __slots__ = ("call", "done", "group", "is_cancelled")

    def __init__(self, call: Call, done: Done) -> None:
        self.call = call
        self.done = done
        self.group: _Group | None = None
        self.is_cancelled = False


class _Group:
    """Samples in one request."""

    __slots__ = ("cancel", "samples")

    def __init__(self, samples: Sequence[_Waiting]) -> None:
        self.samples = samples
        self.cancel: Cancel | None = None


class Joining:
    """Puts calls of a model together."""

    def __init__(self, most: int, price: Price | None, post: Post, failed: ReadFailure) -> None:
        self._most = most
        self._price = price
        self._post = post
        self._failed = failed
        self._waiting: dict[tuple[str, bytes], list[_Waiting]] = {}

    def start(self, call: Call, done: Done) -> Cancel:
        """See `Model`."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._send_all)
        sample = _Waiting(call, done)
        self._waiting.setdefault((call.kind, call.body), []).append(sample)
        return lambda: self._cancel(sample)

    def _cancel(self, sample: _Waiting) -> bool | None:
        """The request goes on while one of its samples is wanted."""
        sample.is_cancelled = True
        group = sample.group
        if group is None:
            return True
        if group.cancel is not None and all(each.is_cancelled for each in group.samples):
            # Only the last one can know; those cancelled before it might have been sent.
            return group.cancel()
        return None

    def _send_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for samples in waiting.values():
            wanted = [each for each in samples if not each.is_cancelled]
            for place in range(0, len(wanted), self._most):
                self._send(wanted[place : place + self._most])

    def _send(self, samples: Sequence[_Waiting]) -> None:
        group = _Group(samples)
        for each in samples:
            each.group = group
        first = samples[0].call
        # An object with at least one key, and `n` is reserved: it stands in no body.
        body = first.body if len(samples) == 1 else b'%b,"n":%d}' % (first.body[:-1], len(samples))

        def heard(reply: HttpReply | Broken, took_us: int) -> None:
            group.cancel = None
            self._heard(samples, reply, took_us)

        group.cancel = self._post(first, body, heard)

    def _heard(self, samples: Sequence[_Waiting], reply: HttpReply | Broken, took_us: int) -> None:
        if isinstance(reply, HttpReply) and reply.status in REFUSED and len(samples) > 1:
            self._one_by_one(samples)
            return
        outcomes: Sequence[Outcome]
        if isinstance(reply, HttpReply) and reply.status == 200:
            calls = [each.call for each in samples]
            outcomes = completions_from(reply.body, calls, self._price, took_us)
            if len(samples) > 1 and all(map(_is_refused, outcomes)):
                self._one_by_one(samples)
                return
        else:
            outcomes = shared(self._failed(reply), len(samples))
        for each, outcome in zip(samples, outcomes, strict=False):
            if not each.is_cancelled:
                each.done(outcome)
        self._one_by_one(samples[len(outcomes) :])

    def _one_by_one(self, samples: Sequence[_Waiting]) -> None:
        """The server does not know `n`."""
        if samples:
            self._most = 1
        for each in samples:
            if not each.is_cancelled:
                self._send([each])


def _is_refused(outcome: Outcome) -> bool:
    return isinstance(outcome, Failure) and outcome.kind is FailureKind.REFUSED
