"""OpenAI's answers, read into completions and failures: one place for HTTP and for batch files.

An error object is a failure whatever the status. What an answer holds beyond its text (tool calls,
refusals, reasoning) is kept as the server wrote it.
"""

import json
import re
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any

import msgspec

from parkade.compound.models.protocol import Failure, FailureKind, Outcome, Price, bounded
from parkade.compound.values import Call, Completion, Usage, without_surrogates

TRANSIENT = frozenset({408, 409, 425, 500, 502, 503, 504, 520, 522, 524, 529})
#: Said when the model may have worked: a gateway lost the answer, or waited no longer.
BILLED = frozenset({408, 500, 502, 504, 520, 524})
DENIED = frozenset({401, 402, 403, 404})
#: Said of a request that is not valid or too long; another one may be answered.
REFUSING = frozenset({400, 413, 422})
#: What a server's code of an error may look like.
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
#: An error's code that is the status which a gateway hid.
_STATUS = re.compile(r"[45][0-9]{2}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,20}", re.ASCII)
#: Of an error inside a success, its codes that are said before a model works.
UNBILLED_CODES = frozenset({"400", "401", "402", "403", "404", "422", "429", "503", "529"})
#: Codes under which a provider says with 429 that waiting does not help.
OUT_OF_MONEY = ("insufficient_quota", "billing_hard_limit_reached")

#: The longest wait that is read out of an answer: a week.
MOST_WAIT_US = 7 * 86_400 * 1_000_000

NO_MESSAGE = msgspec.Raw()


#: A count above it is no count: the journal's numbers have 64 bits.
MOST_TOKENS = 10**12


class _Usage(msgspec.Struct, frozen=True, gc=False):
    prompt_tokens: int | float | str | None = None
    completion_tokens: int | float | str | None = None
    total_tokens: int | float | str | None = None


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
    #: Beside the finish reason "error", by which a gateway tells that its model broke off.
    error: Any = None

    @property
    def is_broken(self) -> bool:
        """Whether it holds no answer, or a part that a caller must not take for one."""
        return self.finish_reason == "error" or self.error is not None


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
    return _outcomes(mended(body), [call], price, latency_us)[0]


def completions_from(
    body: bytes, calls: Sequence[Call], price: Price | None, latency_us: int
) -> list[Outcome]:
    """The completions of calls that were asked for together, in their order; fewer if the answer
    holds fewer. What was billed is shared out, and the shares add up to it."""
    return _outcomes(mended(body), calls, price, latency_us)


def _outcomes(
    body: bytes, calls: Sequence[Call], price: Price | None, latency_us: int
) -> list[Outcome]:
    try:
        answer = _decode(body)
        if answer.error is not None:
            return [*shared(_error(answer.error, answer.usage), len(calls))]
        if not answer.choices:
            return [*shared(_unusable("it has no choices", answer.usage), len(calls))]
        choices = sorted(answer.choices, key=lambda choice: choice.index)[: len(calls)]
        contents = [_content(choice) for choice in choices]
        usages, is_missing = _usages(answer.usage, calls, contents)
        costs = _costs(usages, price)
        prompt = _cost(Usage(input_tokens=usages[0].input_tokens, output_tokens=0), price)
    except msgspec.DecodeError as error:
        return [_unusable(str(error))] * len(calls)
    return [
        _broken_off(choice, usage)
        if choice.is_broken
        else Completion(
            text=text,
            usage=usage,
            cost_micros=cost,
            finish=choice.finish_reason or "stop",
            latency_us=latency_us,
            # The first one paid for the prompt of all.
            shared_micros=prompt if place else 0,
            message=kept,
            is_usage_missing=is_missing,
        )
        for place, (choice, (text, kept), usage, cost) in enumerate(
            zip(choices, contents, usages, costs, strict=True)
        )
    ]


def shared(failure: Failure, count: int) -> list[Failure]:
    """The failure of each of so many calls that were asked for together; their usages add up."""
    if failure.usage is None:
        return [failure] * count
    return [msgspec.structs.replace(failure, usage=usage) for usage in _split(failure.usage, count)]


def mended(body: bytes) -> bytes:
    """JSON without lone surrogates: half a character, cut by a limit of tokens, becomes U+FFFD."""
    if _SURROGATE.search(body) is None:
        return body
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False)
    except (ValueError, RecursionError):
        return body
    return without_surrogates(text).encode()


def _content(choice: _Choice) -> tuple[str, msgspec.Raw | None]:
    """The text, and the message if it holds more."""
    if choice.message is NO_MESSAGE:
        return choice.text or "", None
    message = _decode_message(choice.message)
    text = _joined(message.content, "text")
    return text, msgspec.Raw(bytes(choice.message)) if message.has_more() else None


def _joined(content: Any, of: str) -> str:
    """The text of a message's content; of a list the parts of that kind, one after the other."""
    if isinstance(content, str):
        return content if of == "text" else ""
    parts = content if isinstance(content, list) else ()
    texts = (part.get(of) for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def refusal_of(kept: msgspec.Raw | None) -> str:
    """The model's words in a message that refuses; "" for any other."""
    if kept is None or not bytes(kept):
        return ""
    try:
        message = _decode_message(kept)
    except msgspec.DecodeError:
        return ""
    return str(message.refusal) if message.refusal else _joined(message.content, "refusal")


def _usages(
    reported: _Usage | None,
    calls: Sequence[Call],
    contents: Sequence[tuple[str, msgspec.Raw | None]],
) -> tuple[list[Usage], bool]:
    """What the server says, shared out; where that cannot be, or it says nothing, the most that
    was asked for, or a token for each byte that came where nothing limited it. And whether it is
    so in part.

    A negative count cannot be, nor a prompt without a token, nor an answer that holds something
    and was made of none. A count that is missing is the rest of the total.
    """
    calls = calls[: len(contents)]
    used, made = _counts(reported)
    is_missing = made is None or (made == 0 and any(text or kept for text, kept in contents))
    if made is None or is_missing:
        most = [_most_made(call, content) for call, content in zip(calls, contents, strict=True)]
    else:
        whole = Usage(input_tokens=0, output_tokens=made)
        most = [usage.output_tokens for usage in _split(whole, len(calls))]
    if reported is None:
        inputs = [call.most_input_tokens or 0 for call in calls]
    else:
        # A prompt is read once for all samples of a request.
        inputs = [used or calls[0].most_input_tokens or 0] + [0] * (len(calls) - 1)
    usages = [
        Usage(input_tokens=each, output_tokens=output)
        for each, output in zip(inputs, most, strict=True)
    ]
    return usages, is_missing or used is None


def _counts(reported: _Usage | None) -> tuple[int | None, int | None]:
    """Tokens of the prompt and of the answer; None is not said, or cannot be."""
    if reported is None:
        return None, None
    used, made = _count(reported.prompt_tokens), _count(reported.completion_tokens)
    total = _count(reported.total_tokens)
    if not made and total is not None and used and total > used:
        made = total - used
    return used or None, made


def _most_made(call: Call, content: tuple[str, msgspec.Raw | None]) -> int:
    if call.most_output_tokens is not None:
        return call.most_output_tokens
    text, kept = content
    return len(text.encode()) if kept is None else len(bytes(kept))


def _split(usage: Usage, count: int) -> list[Usage]:
    """The prompt is the first one's, the answers are shared evenly."""
    each, more = divmod(usage.output_tokens, count)
    return [
        Usage(
            input_tokens=usage.input_tokens if place == 0 else 0,
            output_tokens=each + (place < more),
        )
        for place in range(count)
    ]


def _costs(usages: Sequence[Usage], price: Price | None) -> list[int]:
    """Rounded up once for all, and not for each: they add up to the price of the whole."""
    costs: list[int] = []
    used = made = so_far = 0
    for usage in usages:
        used += usage.input_tokens
        made += usage.output_tokens
        total = _cost(Usage(input_tokens=used, output_tokens=made), price)
        costs.append(total - so_far)
        so_far = total
    return costs


def _cost(usage: Usage, price: Price | None) -> int:
    return 0 if price is None else price.cost_micros(usage)


def _count(reported: float | str | None) -> int | None:
    """Whole tokens, rounded up; None if it is no count. Some servers write it as a text."""
    if isinstance(reported, str):
        reported = int(reported) if _DIGITS.fullmatch(reported) else None
    if reported is None or not 0 <= reported <= MOST_TOKENS:
        return None
    return ceil(reported)


def failure_from(status: int, headers: Any, body: bytes) -> Failure:
    """What an answer with an error status means."""
    message, code = _error_text(body)
    if 300 <= status < 400:
        message = f"redirected to {headers.get('location', 'nowhere')!r}; name the final url"
    text = bounded(f"{status}: {message}")
    return Failure(
        kind=_kind(status, code),
        message=text,
        retry_after_us=_retry_after_us(headers),
        may_be_billed=status in BILLED,
        usage=_usage_beside(body),
        refused_as=_refused_as(status, code),
    )


def _kind(status: int, code: str) -> FailureKind:
    if status == 429 and code not in OUT_OF_MONEY:
        return FailureKind.RATE_LIMITED
    if status in DENIED or status == 429 or 300 <= status < 400:
        return FailureKind.DENIED
    return FailureKind.UNAVAILABLE if status in TRANSIENT else FailureKind.REFUSED


def _refused_as(status: int, code: str) -> str | None:
    if status not in REFUSING:
        return None
    is_code = _CODE.fullmatch(code)
    return code if is_code and not code.isdigit() and code != "None" else ""


def _retry_after_us(headers: Any) -> int | None:
    for name, unit in (("retry-after-ms", 1_000), ("retry-after", 1_000_000)):
        try:
            return min(MOST_WAIT_US, max(0, int(float(headers[name]) * unit)))
        except (KeyError, ValueError, OverflowError):
            continue
    try:
        # The header's other form: a date.
        until = parsedate_to_datetime(headers["retry-after"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None
    return min(MOST_WAIT_US, max(0, ceil((until - time.time()) * 1e6)))


def _error_text(body: bytes) -> tuple[str, str]:
    try:
        reported = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body[:200].decode("utf-8", "replace"), ""
    error = reported.get("error", reported) if isinstance(reported, dict) else reported
    if isinstance(error, dict):
        return str(error.get("message") or error.get("detail") or error), str(error.get("code"))
    return str(error), ""


def _usage_beside(body: bytes) -> Usage | None:
    try:
        return _reported(_decode(body).usage)
    except msgspec.DecodeError:
        return None


def _reported(usage: _Usage | None) -> Usage | None:
    """What an answer without a completion says that it used; None if it does not say all."""
    used, made = _counts(usage)
    if used is None or made is None:
        return None
    return Usage(input_tokens=used, output_tokens=made)


def _error(error: Any, usage: _Usage | None) -> Failure:
    """What an error inside a success means: a code of three digits is the status it hides."""
    message, code = error, ""
    if isinstance(error, dict):
        message, code = error.get("message", error), str(error.get("code"))
    status = int(code) if _STATUS.fullmatch(code) else 500
    return Failure(
        kind=_kind(status, ""),
        message=bounded(f"an error: {message}"),
        may_be_billed=code not in UNBILLED_CODES,
        usage=_reported(usage),
        refused_as=_refused_as(status, ""),
    )


def _broken_off(choice: _Choice, usage: Usage) -> Failure:
    failure = _error(choice.error or "the model broke off", None)
    return msgspec.structs.replace(failure, may_be_billed=True, usage=usage)


def _unusable(why: str, usage: _Usage | None = None) -> Failure:
    return Failure(
        kind=FailureKind.UNAVAILABLE,
        message=bounded(f"the answer is not a completion: {why}"),
        may_be_billed=True,
        usage=_reported(usage),
    )
