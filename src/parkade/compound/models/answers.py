"""OpenAI's answers, read into completions and failures: one place for HTTP and for batch files.

An error object is a failure whatever the status. What an answer holds beyond its text (tool calls,
refusals, reasoning) is kept as the server wrote it.
"""

import json
import re
from collections.abc import Sequence
from math import ceil
from typing import Any

import msgspec

from parkade.compound.models.protocol import Failure, FailureKind, Outcome, Price, bounded
from parkade.compound.values import Call, Completion, Usage, without_surrogates

TRANSIENT = frozenset({408, 409, 425, 500, 502, 503, 504, 520, 522, 524, 529})
DENIED = frozenset({401, 403, 404})
#: Codes under which a provider says with 429 that waiting does not help.
OUT_OF_MONEY = ("insufficient_quota", "billing_hard_limit_reached")

NO_MESSAGE = msgspec.Raw()


#: A count above it is no count: the journal's numbers have 64 bits.
MOST_TOKENS = 10**12


class _Usage(msgspec.Struct, frozen=True, gc=False):
    prompt_tokens: int | float | None = None
    completion_tokens: int | float | None = None


class _Message(msgspec.Struct, frozen=True, gc=False):
    content: Any = None
    tool_calls: Any = None
    function_call: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    audio: Any = None

    def has_more(self) -> bool:
        """Whether it holds more than text."""
        return bool(
            self.tool_calls
            or self.function_call
            or self.refusal
            or self.reasoning_content
            or self.reasoning
            or self.audio
            or not isinstance(self.content, str | None)
        )


class _Choice(msgspec.Struct, frozen=True, gc=False):
    message: msgspec.Raw = NO_MESSAGE
    text: str | None = None
    finish_reason: str | None = None
    index: int = 0


class _Answer(msgspec.Struct, frozen=True, gc=False):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_decode = msgspec.json.Decoder(_Answer).decode
_decode_message = msgspec.json.Decoder(_Message).decode


def completion_from(
    body: bytes, call: Call, price: Price | None, latency_us: int
) -> Completion | Failure:
    """The completion in the body of a success; a Failure if it is not one."""
    body = mended(body)
    try:
        answer = _decode(body)
        if answer.error is not None:
            return _error(answer.error)
        if not answer.choices:
            return _unusable("it has no choices")
        usage = _usage(answer.usage, call)
        return _completion(answer.choices[0], usage, _cost(usage, price), latency_us)
    except msgspec.DecodeError as error:
        return _unusable(str(error))


def completions_from(
    body: bytes, calls: Sequence[Call], price: Price | None, latency_us: int
) -> list[Outcome]:
    """The completions of calls that were asked for together, in their order; fewer if the answer
    holds fewer. What was billed is shared out, and the shares add up to it."""
    if len(calls) == 1:
        return [completion_from(body, calls[0], price, latency_us)]
    body = mended(body)
    try:
        answer = _decode(body)
        if answer.error is not None:
            return [_error(answer.error)] * len(calls)
        if not answer.choices:
            return [_unusable("it has no choices")] * len(calls)
        choices = sorted(answer.choices, key=lambda choice: choice.index)[: len(calls)]
        shares = _shares(answer.usage, calls[: len(choices)], price)
        return [
            _completion(choice, usage, cost, latency_us)
            for choice, (usage, cost) in zip(choices, shares, strict=True)
        ]
    except msgspec.DecodeError as error:
        return [_unusable(str(error))] * len(calls)


def mended(body: bytes) -> bytes:
    """JSON without lone surrogates: half a character, cut by a limit of tokens, becomes U+FFFD."""
    if _SURROGATE.search(body) is None:
        return body
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False)
    except (ValueError, RecursionError):
        return body
    return without_surrogates(text).encode()


def _shares(
    reported: _Usage | None, calls: Sequence[Call], price: Price | None
) -> list[tuple[Usage, int]]:
    """Tokens and money of each: the prompt is the first one's, the answers are shared evenly."""
    if reported is None:
        return [(usage := _usage(None, call), _cost(usage, price)) for call in calls]
    whole = _usage(reported, calls[0])
    each, more = divmod(whole.output_tokens, len(calls))
    shares = []
    so_far = Usage(input_tokens=0, output_tokens=0)
    for place in range(len(calls)):
        usage = Usage(
            input_tokens=whole.input_tokens if place == 0 else 0,
            output_tokens=each + (place < more),
        )
        total = Usage(
            input_tokens=so_far.input_tokens + usage.input_tokens,
            output_tokens=so_far.output_tokens + usage.output_tokens,
        )
        # Rounded up once for all, and not for each.
        shares.append((usage, _cost(total, price) - _cost(so_far, price)))
        so_far = total
    return shares


def _cost(usage: Usage, price: Price | None) -> int:
    return 0 if price is None else price.cost_micros(usage)


def _completion(choice: _Choice, usage: Usage, cost_micros: int, latency_us: int) -> Completion:
    text, kept = choice.text or "", None
    if choice.message is not NO_MESSAGE:
        message = _decode_message(choice.message)
        text = message.content if isinstance(message.content, str) else ""
        if message.has_more():
            kept = msgspec.Raw(bytes(choice.message))
    return Completion(
        text=text,
        usage=usage,
        cost_micros=cost_micros,
        finish=choice.finish_reason or "stop",
        latency_us=latency_us,
        message=kept,
    )


def _usage(reported: _Usage | None, call: Call) -> Usage:
    """What the server says; where that cannot be, or it says nothing, the most that was asked for.

    A negative count cannot be, and neither can a prompt without a token.
    """
    used = made = None
    if reported is not None:
        used, made = _count(reported.prompt_tokens), _count(reported.completion_tokens or 0)
    return Usage(
        input_tokens=used or call.most_input_tokens or 0,
        output_tokens=(call.most_output_tokens or 0) if made is None else made,
    )


def _count(reported: float | None) -> int | None:
    """Whole tokens, rounded up; None if it is no count."""
    if reported is None or not 0 <= reported <= MOST_TOKENS:
        return None
    return ceil(reported)


def failure_from(status: int, headers: Any, body: bytes, secret: str) -> Failure:
    """What an answer with an error status means."""
    message, code = _error_text(body)
    if 300 <= status < 400:
        message = f"redirected to {headers.get('location', 'nowhere')!r}; name the final url"
    text = bounded(f"{status}: {message.replace(secret, '***') if secret else message}")
    if status == 429 and code not in OUT_OF_MONEY:
        kind = FailureKind.RATE_LIMITED
    elif status in DENIED or status == 429 or 300 <= status < 400:
        kind = FailureKind.DENIED
    elif status in TRANSIENT:
        kind = FailureKind.UNAVAILABLE
    else:
        kind = FailureKind.REFUSED
    return Failure(kind=kind, message=text, retry_after_us=_retry_after_us(headers))


def _retry_after_us(headers: Any) -> int | None:
    for name, unit in (("retry-after-ms", 1_000), ("retry-after", 1_000_000)):
        try:
            return max(0, int(float(headers[name]) * unit))
        except (KeyError, ValueError, OverflowError):
            continue
    return None


def _error_text(body: bytes) -> tuple[str, str]:
    try:
        reported = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body[:200].decode("utf-8", "replace"), ""
    error = reported.get("error", reported) if isinstance(reported, dict) else reported
    if isinstance(error, dict):
        return str(error.get("message") or error.get("detail") or error), str(error.get("code"))
    return str(error), ""


def _error(error: Any) -> Failure:
    message = error.get("message", error) if isinstance(error, dict) else error
    return Failure(kind=FailureKind.UNAVAILABLE, message=bounded(f"an error: {message}"))


def _unusable(why: str) -> Failure:
    return Failure(
        kind=FailureKind.UNAVAILABLE,
        message=bounded(f"the answer is not a completion: {why}"),
        may_be_billed=True,
    )
