"""The interface of a model: start a call, hear of it once, cancel it.

An answer comes through a callback, so that a call in flight costs no task. `start` may call back
before it returns. After `cancel` nothing is called back; it says True where it knows that the
server was never asked.
"""

import enum
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from parkade.compound.values import Call, Completion, Usage
from parkade.core.units.money import ceil_div

MAX_MESSAGE = 500
TOKENS_PER_PRICE = 1_000_000


class FailureKind(enum.StrEnum):
    """Why a call gave no completion; only the first three are worth another try."""

    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    #: The request itself is wrong.
    REFUSED = "refused"
    #: No request will do: the key is wrong, or the model is unknown.
    DENIED = "denied"
    BUDGET = "budget"
    #: It may need more than is left of the budget, where other calls still fit.
    TOO_LARGE = "too_large"
    BROKEN = "broken"
    #: The answer comes with a later run, from a file.
    WAITING = "waiting"


RETRIED = frozenset({FailureKind.RATE_LIMITED, FailureKind.TIMEOUT, FailureKind.UNAVAILABLE})


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A call that gave no completion."""

    kind: FailureKind
    #: At most MAX_MESSAGE characters, without any secret.
    message: str
    #: How long the server wants to be left alone; None if it does not say.
    retry_after_us: int | None = None
    #: The model may have worked for it, so that the server may bill it.
    may_be_billed: bool = False
    #: What the server says that it used all the same; None if it does not say.
    usage: Usage | None = None
    #: The server was not reached at all.
    is_unreached: bool = False
    #: It was not sent, since nothing bounds what it may take and there is a budget.
    is_unbounded: bool = False
    #: Of an answer that refuses this request alone, since it is too long or not valid: the code
    #: that the server gives it, "" for none. None for any other failure.
    refused_as: str | None = None
    #: Of a call that waits: why its line in an answer file holds no answer. None without a line.
    failed_line: str | None = None


Outcome: TypeAlias = Completion | Failure
Done: TypeAlias = Callable[[Outcome], None]
Cancel: TypeAlias = Callable[[], bool | None]


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What tokens cost, in micro-units per million tokens."""

    input_micros_per_million: int
    output_micros_per_million: int
    #: The day on which the provider published it, YYYY-MM-DD; "" for a price of one's own.
    as_of: str = ""

    def cost_micros(self, usage: Usage) -> int:
        """Of one call, rounded up to a whole micro-unit."""
        return ceil_div(
            usage.input_tokens * self.input_micros_per_million
            + usage.output_tokens * self.output_micros_per_million,
            TOKENS_PER_PRICE,
        )


FREE = Price(input_micros_per_million=0, output_micros_per_million=0)


class TokenBounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's user knows of tokens that a request body does not show."""

    #: Most that one image or other attachment may be billed as; None if unknown.
    attachment_tokens: int | None = None
    #: Most that the chat template adds by itself (a system prompt of its own, words around tools),
    #: beyond what the JSON of the messages covers; None counts as 0.
    template_tokens: int | None = None
    #: False for a function: it is asked without a chat template.
    has_template: bool = True
    #: Options of a request that ask for no tokens beyond the limits, and change no price.
    bounded_options: frozenset[str] = frozenset()


PLAIN_BOUNDS = TokenBounds()


class ProviderLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be used at once of all models of one provider together; None is no limit."""

    #: Models with limits of one name share them.
    name: str
    concurrency: int | None = None
    calls_per_minute: int | None = None
    #: As in `RateLimits`.
    tokens_per_minute: int | None = None


class RateLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a model may be used at once."""

    #: Most calls in flight; the adaptive limit moves below it.
    concurrency: int = 64
    #: Where the adaptive limit starts; None starts at `concurrency`.
    initial: int | None = None
    calls_per_minute: int | None = None
    #: Input and output tokens together, counted at their worst case when a call starts.
    tokens_per_minute: int | None = None
    #: Limits that hold beside these, over all models of the provider; None without any.
    provider: ProviderLimits | None = None


class Model(Protocol):
    """Answers calls. It may have `options` too: see `options_of`."""

    #: Stands under "model" in the request body, and so in every content address.
    identity: str
    #: None if unknown: then a budget in money is refused.
    price: Price | None
    #: Asked for where an operator names no `max_tokens`; None asks for no limit.
    max_output_tokens: int | None
    bounds: TokenBounds
    limits: RateLimits

    def start(self, call: Call, done: Done) -> Cancel:
        """Begin; `done` is called once, unless the call is cancelled first."""
        ...

    async def close(self) -> None:
        """Give back connections and processes."""
        ...


def options_of(model: Model) -> Mapping[str, Any]:
    """Keys that each request to a model has, where its operator says nothing else of them."""
    options: Mapping[str, Any] = getattr(model, "options", {})
    return options


def bounded(message: str, most: int = MAX_MESSAGE) -> str:
    """A message short enough for a Failure, or of so many characters."""
    if len(message) <= most:
        return message
    return message[: max(0, most - 1)] + "…"
