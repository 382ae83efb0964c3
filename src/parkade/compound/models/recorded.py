"""Recorded answers as a model: for tests, demonstrations and published data.

A file of JSON lines, each with a `prompt` (or the `key` of a call) and its answers in order:

    {"prompt": "What is 6 × 7?", "answers": ["42", "41"]}
    {"key": "0f3a…", "text": "42", "input": 12, "output": 3}

Sample i of a prompt is its i-th answer; with `wraps` they go round and round. A call without an
answer is refused, so that nothing is made up. A run's journal is such a file too.
"""

import gzip
from pathlib import Path
from typing import IO, cast

import msgspec

from parkade.compound.models.protocol import (
    FREE,
    PLAIN_BOUNDS,
    Cancel,
    Done,
    Failure,
    FailureKind,
    Price,
    RateLimits,
    TokenBounds,
    bounded,
)
from parkade.compound.values import Call, Completion, Usage
from parkade.compound.wrong_values import in_words


class _Row(msgspec.Struct, frozen=True):
    prompt: str = ""
    answers: list[str] = []
    key: str = ""
    text: str = ""
    input: int = 0
    output: int = 0


class RecordedModel:
    """See `Model`."""

    def __init__(
        self,
        path: Path,
        *,
        name: str = "",
        wraps: bool = False,
        price: Price = FREE,
        max_output_tokens: int | None = None,
        bounds: TokenBounds = PLAIN_BOUNDS,
    ) -> None:
        self.identity = name or f"recorded/{path.name}"
        self.price: Price | None = price
        self.max_output_tokens = max_output_tokens
        self.bounds = bounds
        self.limits = RateLimits()
        self._wraps = wraps
        self._by_prompt: dict[str, list[str]] = {}
        self._by_key: dict[str, _Row] = {}
        self._read(path)

    def start(self, call: Call, done: Done) -> Cancel:
        """Answers at once."""
        row = self._by_key.get(call.key)
        if row is not None:
            done(self._completion(row.text, row.input, row.output))
            return _nothing
        prompt = call.prompt
        answers = self._by_prompt.get(prompt, [])
        if answers and (self._wraps or call.sample < len(answers)):
            done(self._completion(answers[call.sample % len(answers)], 0, 0))
        else:
            what = f"sample {call.sample} of {prompt[:80]!r}"
            done(Failure(kind=FailureKind.REFUSED, message=bounded(f"no recording of {what}")))
        return _nothing

    async def close(self) -> None:
        """Nothing is open."""

    def _completion(self, text: str, used: int, made: int) -> Completion:
        usage = Usage(input_tokens=used, output_tokens=made)
        cost = 0 if self.price is None else self.price.cost_micros(usage)
        return Completion(text=text, usage=usage, cost_micros=cost, finish="stop", latency_us=0)

    def _read(self, path: Path) -> None:
        decoder = msgspec.json.Decoder(_Row)
        with _opened(path) as file:
            for number, line in enumerate(file, start=1):
                try:
                    row = decoder.decode(line)
                except msgspec.DecodeError as error:
                    raise ValueError(f"{path}, line {number}: {in_words(error)}") from None
                if row.prompt:
                    self._by_prompt.setdefault(row.prompt, []).extend(row.answers)
                elif row.key:
                    self._by_key[row.key] = row


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _nothing() -> None:
    """A call that has ended already needs no cancelling."""
