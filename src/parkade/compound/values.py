"""What all parts of compound share: questions, calls, completions, candidates, verdicts.

A call is addressed by its content: `key` is a digest of the canonical request body and the sample
index, so equal calls are one call, in one run and over restarts. Money is whole micro-units, time
whole microseconds.
"""

import re
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

MAX_REASON = 2_000
KEY_BYTES = 16
_SURROGATES = re.compile("[\ud800-\udfff]")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the input."""

    id: str
    prompt: str
    #: Template variables; a reference answer stands under "answer", tests under "test".
    fields: dict[str, Any] = {}


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One possible answer to a question."""

    text: str
    #: The name that the network gives the model, or the function, that made it.
    model: str
    sample: int
    #: The content address of the call that made it; empty if a function did.
    key: str
    #: How that call ended, as in Completion.
    finish: str = "stop"
    #: The model's words where it refused; "" otherwise.
    refusal: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a verifier says about a candidate."""

    is_accepted: bool
    score: float | None = None
    #: At most MAX_REASON characters.
    reason: str = ""

    def __post_init__(self) -> None:
        if len(self.reason) > MAX_REASON:
            raise ValueError(f"a verdict's reason is longer than {MAX_REASON} characters")


class Verifier(Protocol):
    """Says whether a candidate answers a question."""

    name: str

    def version(self) -> str:
        """Changes whenever its verdicts may; part of the key under which they are journalled."""
        ...

    async def verify(self, question: Question, candidate: Candidate) -> Verdict:
        """The verdict; raises only if the verifier itself is broken."""
        ...


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request to one model for one sample."""

    #: The network's name for the model.
    model: str
    #: "chat" or "completion".
    kind: str
    #: The canonical request body, JSON with sorted keys; the wire form is exactly this.
    body: bytes
    sample: int
    key: str
    #: No more input tokens than this can be billed; None if it cannot be bounded.
    most_input_tokens: int | None
    #: No more output tokens than this are asked for; None without a limit.
    most_output_tokens: int | None

    @property
    def prompt(self) -> str:
        """The text of the last message, or the prompt of a completion."""
        body = msgspec.json.decode(self.body)
        if self.kind == "completion":
            return str(body["prompt"])
        content = body["messages"][-1]["content"]
        if isinstance(content, str):
            return content
        return "".join(part.get("text", "") for part in content)


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens that a server reports for one call."""

    input_tokens: int
    output_tokens: int


class Completion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A model's answer to one call."""

    text: str
    usage: Usage
    #: Whole micro-units, rounded up.
    cost_micros: int
    #: "stop", "length", "tool_calls" or what else the server says.
    finish: str
    latency_us: int
    #: What its prompt costs, where another sample of the same request paid for it; else 0.
    shared_micros: int = 0
    #: The message as JSON if it holds more than text (tool calls, refusals); None otherwise.
    message: msgspec.Raw | None = None
    #: The server said no usage that can be: the most that it may be stands for it.
    is_usage_missing: bool = False


def without_surrogates(text: str) -> str:
    """The text with U+FFFD for each half of a character: UTF-8 cannot hold those."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def canonical(body: dict[str, Any]) -> bytes:
    """JSON of a body with sorted keys and no spaces: equal bodies give equal bytes."""
    return msgspec.json.encode(body, order="sorted")


def call_key(body: bytes, sample: int) -> str:
    """The content address of a call: blake2b-128 over the canonical body and the sample index."""
    digest = blake2b(body, digest_size=KEY_BYTES)
    digest.update(b"\n%d" % sample)
    return digest.hexdigest()


def verdict_key(verifier: str, version: str, question: Question, candidate: Candidate) -> str:
    """The content address of a verdict: the verifier, all of the question, and the text judged."""
    digest = blake2b(digest_size=KEY_BYTES)
    for part in (verifier, version, candidate.text):
        encoded = part.encode()
        digest.update(b"%d:" % len(encoded))
        digest.update(encoded)
    digest.update(question_digest(question).encode())
    return digest.hexdigest()


def question_digest(question: Question) -> str:
    """A digest of all that a question says."""
    body = msgspec.json.encode(question, order="sorted")
    return blake2b(body, digest_size=KEY_BYTES).hexdigest()
