"""OpenAI's chat completions as a server speaks them: requests read, answers and errors written.

Pure: bytes in, values out, and back. What a network cannot honour is refused by name (`n` above 1,
tools, response_format, stop, seed, logprobs): the answer would not be what was asked. What does not
change its answer (temperature, max_tokens: the network has its own) is taken and ignored, since
clients send it unasked.
"""

from typing import Any

import msgspec

from parkade.compound.run.results import Result
from parkade.compound.values import Question
from parkade.compound.wrong_values import in_words

PIECE = 48


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, *, code: str | None, kind: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = msgspec.json.encode(
            {"error": {"message": message, "type": kind, "param": None, "code": code}}
        )


def invalid(message: str, *, status: int = 400, code: str | None = None) -> Refused:
    """The client's mistake."""
    return Refused(status, message, code=code, kind="invalid_request_error")


def unavailable(message: str, *, status: int, code: str) -> Refused:
    """Not the client's mistake."""
    return Refused(status, message, code=code, kind="server_error")


class StreamOptions(msgspec.Struct, frozen=True):
    """What a client wants in a stream."""

    include_usage: bool = False


class ChatRequest(msgspec.Struct, frozen=True):
    """The part of a request that a network can honour."""

    model: str
    messages: list[dict[str, Any]]
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int | None = None
    tools: list[Any] | None = None
    response_format: Any = None
    stop: Any = None
    seed: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    user: str | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage


#: A field that changes the answer, and where the network has its own.
_REFUSED = (
    ("response_format", "its form is the network's own (`schema` of its operators)"),
    ("stop", "its models end where the network's own options say"),
    ("seed", "its samples are numbered, and equal questions are answered from the journal"),
    ("logprobs", "an answer of many calls has none"),
    ("top_logprobs", "an answer of many calls has none"),
)
_decode = msgspec.json.Decoder(ChatRequest).decode


def read_request(body: bytes, model: str) -> ChatRequest:
    """A request for `model`; raises Refused."""
    try:
        request = _decode(body)
    except msgspec.DecodeError as error:
        raise invalid(f"the request is not valid: {in_words(error)}") from None
    if request.model != model:
        raise other_model(request.model, model)
    if request.n not in (None, 1):
        raise invalid("a network gives one answer; send n = 1 or leave it out")
    if request.tools:
        raise invalid("a network calls no tools of its client; leave tools out")
    for name, why in _REFUSED:
        if not _is_default(name, getattr(request, name)):
            raise invalid(f"a network cannot honour {name}: {why}; leave it out")
    if not request.messages:
        raise invalid("messages is empty")
    return request


def _is_default(name: str, value: Any) -> bool:
    """Whether a client that sends every field would send this one so."""
    match name:
        case "response_format":
            return value is None or value == {"type": "text"}
        case "stop":
            return value is None or value == []
        case "seed":
            return value is None
        case _:
            return not value


def question_from(request: ChatRequest, identity: str) -> Question:
    """The last message of the user is the prompt; the whole conversation is a field."""
    return Question(
        id=identity,
        prompt=_last_text(request.messages),
        fields={"messages": request.messages},
    )


def _last_text(messages: list[dict[str, Any]]) -> str:
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            if isinstance(content, list):
                return "\n".join(
                    str(part["text"])
                    for part in content
                    if isinstance(part, dict) and "text" in part
                )
    raise invalid("messages holds no message of the user")


def completion(result: Result, *, identity: str, model: str, created: int) -> dict[str, Any]:
    """The whole answer. `parkade` says what it cost and whether it was verified."""
    return {
        "id": identity,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": None if result.refusal else result.answer,
                    "refusal": _refusal(result),
                },
                "logprobs": None,
                "finish_reason": _finish(result),
            }
        ],
        "usage": usage(result),
        "parkade": {
            "accepted": result.accepted,
            "score": result.score,
            "calls": result.calls,
            "cached": result.cached,
            "cost_micros": result.cost,
        },
    }


def chunks(
    result: Result, *, identity: str, model: str, created: int, wants_usage: bool
) -> list[dict[str, Any]]:
    """The answer as the pieces of a stream."""

    def piece(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            "id": identity,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        }

    text = "" if result.refusal else result.answer or ""
    pieces = [piece({"role": "assistant", "content": ""})]
    pieces += [
        piece({"content": text[place : place + PIECE]}) for place in range(0, len(text), PIECE)
    ]
    refusal = _refusal(result)
    if refusal is not None:
        pieces.append(piece({"refusal": refusal}))
    pieces.append(piece({}, _finish(result)))
    if wants_usage:
        pieces.append({**piece({}), "choices": [], "usage": usage(result)})
    return pieces


def usage(result: Result) -> dict[str, int]:
    """The tokens of all calls that the answer took."""
    return {
        "prompt_tokens": result.input,
        "completion_tokens": result.output,
        "total_tokens": result.input + result.output,
    }


def event(content: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(content) + b"\n\n"


def models(model: str, created: int) -> dict[str, Any]:
    """What `GET /v1/models` says."""
    return {"object": "list", "data": [one_model(model, created)]}


def one_model(model: str, created: int) -> dict[str, Any]:
    """What `GET /v1/models/NAME` says."""
    return {"id": model, "object": "model", "created": created, "owned_by": "parkade"}


def other_model(asked: str, model: str) -> Refused:
    """A client asks for a model that is not here."""
    return invalid(
        f"there is no model {asked!r}; this server has {model!r}",
        status=404,
        code="model_not_found",
    )


def _refusal(result: Result) -> str | None:
    """The model's own words, or that there is no answer."""
    if result.refusal:
        return result.refusal
    return None if result.answer is not None else "no candidate was accepted"


def _finish(result: Result) -> str:
    """Whether the call that made the answer was cut or filtered."""
    return result.finish if result.finish in ("length", "content_filter") else "stop"
