"""OpenAI batch files: calls written out, answers read back, by whatever carries them out.

`vllm run-batch`, a provider's batch API and Parkade read and write the same two forms. A request
line is `{"custom_id", "method", "url", "body"}`; an answer line is `{"custom_id", "response":
{"status_code", "body"}, "error"}`. Our custom id is `<key>-<sample>`, so that an answer finds its
call whatever the order, and a file that is cut anywhere is good up to its last whole line.

How a network goes through batches: `collect` mode runs it with `BatchModel`, which refuses to
answer what no answer file has and writes it down instead; give the file to the batch service, run
again with the answers. Each round goes one step deeper into the network.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from parkade.compound.models.answers import completion_from, failure_from
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


class _Request(msgspec.Struct, frozen=True):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class _Response(msgspec.Struct, frozen=True):
    status_code: int = 200
    body: msgspec.Raw = msgspec.Raw(b"{}")


class _Answer(msgspec.Struct, frozen=True):
    custom_id: str
    response: _Response | None = None
    error: Any = None


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


def read_answers(path: Path) -> Iterator[tuple[str, msgspec.Raw | None, int, str]]:
    """(custom id, body, status, error) of each answer; a torn last line is left out."""
    decoder = msgspec.json.Decoder(_Answer)
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
                answer = decoder.decode(line)
            except msgspec.DecodeError as error:
                raise BatchError(f"{path}, line {number}: {in_words(error)}") from None
            response = answer.response
            content = "" if answer.error is None else str(answer.error)
            if response is None:
                yield answer.custom_id, None, 0, content
            else:
                body = msgspec.Raw(bytes(response.body))
                yield answer.custom_id, body, response.status_code, content


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
        self._answers: dict[str, tuple[msgspec.Raw | None, int, str]] = {}
        self._file: Any = None
        # A file that is not there has no answers yet: the first round makes the requests.
        self._absent = tuple(path for path in answers if not path.exists())
        for path in (each for each in answers if each not in self._absent):
            for identity, body, status, error in read_answers(path):
                self._answers[identity] = (body, status, error)

    def start(self, call: Call, done: Done) -> Cancel:
        """Answers from the files, or writes the request down and says that it waits."""
        found = self._answers.get(custom_id(call))
        done(self._outcome(call, *found) if found else self._wait(call))
        return _nothing

    async def close(self) -> None:
        """Close the file of requests."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _wait(self, call: Call) -> Failure:
        identity = custom_id(call)
        if identity not in self._written:
            self._written.add(identity)
            if self._file is None:
                self._file = self._path.open("wb")
            self._file.write(request_line(call))
        absent = ", ".join(map(str, self._absent))
        more = f" ({absent} is not there yet)" if absent else ""
        message = bounded(f"{WAITS} {self._path}{more}")
        return Failure(kind=FailureKind.WAITING, message=message)

    def _outcome(self, call: Call, body: msgspec.Raw | None, status: int, error: str) -> Outcome:
        if body is None or status == 0:
            return Failure(kind=FailureKind.REFUSED, message=bounded(f"in the batch: {error}"))
        if status != 200:
            return failure_from(status, {}, bytes(body))
        return completion_from(bytes(body), call, self.price, 0)


def _nothing() -> None:
    """A call that has ended already needs no cancelling."""
