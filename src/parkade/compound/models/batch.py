"""OpenAI batch files: calls written out, answers read back, by whatever carries them out.

`vllm run-batch`, a provider's batch API and Parkade read and write the same two forms. A request
line is `{"custom_id", "method", "url", "body"}`; an answer line is `{"custom_id", "response":
{"status_code", "body"}, "error"}`. Our custom id is `<key>-<sample>`, so that an answer finds its
call whatever the order, and a file that is cut anywhere is good up to its last whole line.

How a network goes through batches: `collect` mode runs it with `BatchModel`, which refuses to
answer what no answer file has and writes it down instead; give the file to the batch service, run
again with the answers. Each round goes one step deeper into the network.

Of a request's lines the last counts. One without an answer (the batch expired, a server failed) is
as if it were not there: the request is written down again, and nothing is booked, since a batch
bills what it answers. Only a refusal (400) is the call's failure.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from parkade.compound.models.answers import REFUSING, completion_from, failure_from
from parkade.compound.models.protocol import (
    PLAIN_BOUNDS,
    Cancel,
    Done,
    Failure,
    FailureKind,
    Outcome,
    Price,
    RateLimits,
    TokenBounds,
    bounded,
)
from parkade.compound.values import Call
from parkade.compound.wrong_values import in_words

URLS = {"chat": "/v1/chat/completions", "completion": "/v1/completions"}
WAITS = "for the answers to"
#: What a call comes to that is not asked again.
KEPT = (FailureKind.REFUSED, FailureKind.WAITING)


class _Request(msgspec.Struct, frozen=True):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class _Response(msgspec.Struct, frozen=True):
    status_code: int = 200
    body: msgspec.Raw = msgspec.Raw(b"{}")


class Answer(msgspec.Struct, frozen=True):
    """A line of an answer file."""

    custom_id: str
    response: _Response | None = None
    error: Any = None

    def outcome(self, call: Call, price: Price | None) -> Outcome:
        """What it says of its call."""
        response = self.response
        body = b"null" if response is None else bytes(response.body)
        if self.error is not None and body == b"null":
            # A server that refuses a request may say why beside its response.
            body = msgspec.json.encode(self.error)
        if response is None:
            return self._without_response(body)
        if response.status_code == 200:
            return completion_from(body, call, price, 0)
        return failure_from(response.status_code, {}, body)

    def _without_response(self, body: bytes) -> Failure:
        error = self.error
        code = str(error.get("code") or "") if isinstance(error, dict) else ""
        if code.isdigit() and int(code) in REFUSING:
            return failure_from(int(code), {}, body)
        text = error.get("message") if isinstance(error, dict) else error
        why = ": ".join(str(part) for part in (code, text) if part) or "no response"
        return Failure(kind=FailureKind.UNAVAILABLE, message=bounded(why))


_encode = msgspec.json.Encoder().encode


class BatchError(ValueError):
    """A line is no request or answer of a batch; the message says where."""


def custom_id(call: Call) -> str:
    """The name of a call in batch files."""
    return f"{call.key}-{call.sample}"


def request_line(call: Call) -> bytes:
    """One line of a batch's input; samples beyond the first get a seed if the body has none."""
    body = msgspec.Raw(call.body)
    if call.sample and b'"seed":' not in call.body:
        content = msgspec.json.decode(call.body)
        body = msgspec.Raw(msgspec.json.encode({**content, "seed": call.sample}, order="sorted"))
    request = _Request(custom_id=custom_id(call), method="POST", url=URLS[call.kind], body=body)
    return _encode(request) + b"\n"


def read_answers(path: Path) -> Iterator[Answer]:
    """Each answer of a file; a torn last line is left out."""
    decoder = msgspec.json.Decoder(Answer)
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                try:
                    decoder.decode(line)
                except msgspec.DecodeError:
                    return
            if not line.strip():
                continue
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as error:
                raise BatchError(f"{path}, line {number}: {in_words(error)}") from None


class BatchModel:
    """A model whose calls are carried out by a batch service between two runs."""

    def __init__(
        self,
        model: str,
        requests: Path,
        answers: tuple[Path, ...],
        *,
        price: Price | None = None,
        max_output_tokens: int | None = None,
        bounds: TokenBounds = PLAIN_BOUNDS,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.identity = model
        self.price = price
        self.max_output_tokens = max_output_tokens
        self.bounds = bounds
        self.options = dict(options or {})
        self.limits = RateLimits(concurrency=1_024, initial=1_024)
        self._path = requests
        self._written: set[str] = set()
        self._answers: dict[str, Answer] = {}
        self._file: Any = None
        # A file that is not there has no answers yet: the first round makes the requests.
        self._absent = tuple(path for path in answers if not path.exists())
        for path in (each for each in answers if each not in self._absent):
            for answer in read_answers(path):
                self._answers[answer.custom_id] = answer

    def start(self, call: Call, done: Done) -> Cancel:
        """Answers from the files, or writes the request down and says that it waits."""
        if self._file is None:
            # What is not asked again waits no more.
            self._file = self._path.open("wb")
        answer = self._answers.get(custom_id(call))
        outcome = self._wait(call) if answer is None else answer.outcome(call, self.price)
        if isinstance(outcome, Failure) and outcome.kind not in KEPT:
            outcome = self._wait(call, outcome.message)
        done(outcome)
        return _nothing

    async def close(self) -> None:
        """Close the file of requests."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._written.clear()

    def _wait(self, call: Call, failed_line: str | None = None) -> Failure:
        identity = custom_id(call)
        if identity not in self._written:
            self._written.add(identity)
            self._file.write(request_line(call))
        absent = ", ".join(map(str, self._absent))
        more = f" ({absent} is not there yet)" if absent else ""
        message = bounded(f"{WAITS} {self._path}{more}")
        return Failure(kind=FailureKind.WAITING, message=message, failed_line=failed_line)


def _nothing() -> None:
    """A call that has ended already needs no cancelling."""
