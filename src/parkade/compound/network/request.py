"""From an operator and values to a request body: prompts are rendered, sampling is added.

`Writer` is made once for each operator that asks a model. Its `signature` names the body before any
value is put in: operators with equal signatures may write equal bodies.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from parkade.compound.models.protocol import Model, options_of
from parkade.compound.network.bounding import (
    LIMITS,
    attachments,
    most_input,
    output_limit,
    unbounded_option,
)
from parkade.compound.network.operators import Asking, Generate
from parkade.compound.network.template import Template
from parkade.compound.values import Call, call_key, canonical


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request body whose samples may be asked for."""

    writer: "Writer"
    body: dict[str, Any]
    encoded: bytes
    most_input_tokens: int | None

    def call(self, sample: int) -> Call:
        """The call for one sample."""
        writer = self.writer
        return Call(
            model=writer.model_name,
            kind=writer.kind,
            body=self.encoded,
            sample=sample,
            key=call_key(self.encoded, sample),
            most_input_tokens=self.most_input_tokens,
            most_output_tokens=writer.most_output_tokens,
        )

    def followed_by(self, answer: str, then: str) -> "Request":
        """The same conversation with an answer and one more message of the user."""
        messages = [
            *self.body["messages"],
            {"role": "assistant", "content": answer},
            {"role": "user", "content": then},
        ]
        return self.writer.request({**self.body, "messages": messages})


class Writer:
    """Writes the requests of one operator."""

    def __init__(self, operator: Asking, prompt: str, model: Model) -> None:
        self.model_name = operator.model
        self.kind = operator.kind if isinstance(operator, Generate) else "chat"
        options, own = _options_and_limit(operator, options_of(model))
        self.most_output_tokens = output_limit(options, own, model.max_output_tokens)
        self._bounds = model.bounds
        self._options = options
        self._prompt = Template(prompt)
        self._system = None if operator.system is None else Template(operator.system)
        given = operator.messages if isinstance(operator, Generate) else None
        self._given = given
        self._messages = None if given is None else [_compiled(message) for message in given]
        #: Where the operator says nothing itself, a question's own conversation goes through.
        self._passes_messages = (
            isinstance(operator, Generate)
            and given is None
            and not operator.prompt
            and operator.system is None
        )
        self._fixed = _fixed(operator, options, model, self.most_output_tokens)
        self.signature = canonical(
            {
                **self._fixed,
                "kind": self.kind,
                "prompt": prompt,
                "system": operator.system,
                "messages": given,
            }
        )

    @property
    def digest(self) -> str:
        """A short name of the signature."""
        return blake2b(self.signature, digest_size=8).hexdigest()

    def write(self, values: Mapping[str, object]) -> Request:
        """The request for one question; NetworkError if a variable is missing."""
        body = dict(self._fixed)
        if self.kind == "completion":
            body["prompt"] = self._prompt.render(values)
        else:
            body["messages"] = self._conversation(values)
        return self.request(body)

    def request(self, body: dict[str, Any]) -> Request:
        """A request with this body."""
        encoded = canonical(body)
        most = most_input(body, len(encoded), self._bounds)
        return Request(writer=self, body=body, encoded=encoded, most_input_tokens=most)

    @property
    def added_tokens(self) -> int:
        """What its attachments and its model's template may add to the bytes of a request; 0 where
        that is not known."""
        each = self._bounds.attachment_tokens or 0
        return (self._bounds.template_tokens or 0) + attachments(self._given) * each

    @property
    def names(self) -> tuple[str, ...]:
        """What its templates name."""
        return () if self._passes_messages else tuple(self.counts)

    @property
    def counts(self) -> Counter[str]:
        """How often a request shows each variable, at most; a conversation that goes through is
        counted as the prompt."""
        if self._messages is not None:
            return sum((each.counts for each in _templates_in(self._messages)), Counter())
        return self._prompt.counts + (Counter() if self._system is None else self._system.counts)

    def unbounded(self) -> str | None:
        """What keeps a budget in money or tokens from bounding a call, as far as is known before
        a question is read; None if nothing does."""
        if self.most_output_tokens is None:
            return (
                f"needs models.{self.model_name}.max_tokens, such as max_tokens: 512, or m=512 in "
                "the operator that asks the model"
            )
        if attachments(self._given) and self._bounds.attachment_tokens is None:
            return (
                f"needs models.{self.model_name}.attachment_tokens: the messages have parts that "
                "are no text, and this is the most tokens that one of them may be billed as"
            )
        return unbounded_option(self._options, self.most_output_tokens, self._bounds)

    def _conversation(self, values: Mapping[str, object]) -> list[dict[str, Any]]:
        if self._messages is not None:
            return [_rendered(message, values) for message in self._messages]
        if self._passes_messages and isinstance(values.get("messages"), list):
            return list(values["messages"])  # type: ignore[call-overload,no-any-return]
        user = {"role": "user", "content": self._prompt.render(values)}
        if self._system is None:
            return [user]
        return [{"role": "system", "content": self._system.render(values)}, user]


def _options_and_limit(
    operator: Asking, of_model: Mapping[str, Any]
) -> tuple[dict[str, Any], int | None]:
    """The model's options under the operator's, and the operator's own limit of output: that goes
    by the name of the model's, where the model's options have one."""
    has_own = any(name in operator.options for name in LIMITS)
    common = {key: it for key, it in of_model.items() if not (has_own and key in LIMITS)}
    options = {**common, **operator.options}
    if operator.max_tokens is not None and "max_completion_tokens" in common:
        return {**options, "max_completion_tokens": operator.max_tokens}, None
    return options, operator.max_tokens


def _fixed(
    operator: Asking, options: Mapping[str, Any], model: Model, most_output: int | None
) -> dict[str, Any]:
    body: dict[str, Any] = {**options, "model": model.identity}
    if operator.temperature is not None:
        body["temperature"] = operator.temperature
    if most_output is not None and "max_completion_tokens" not in body:
        body["max_tokens"] = most_output
    if isinstance(operator, Generate) and operator.schema is not None:
        body.setdefault(
            "response_format",
            {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": operator.schema, "strict": True},
            },
        )
    return body


def _compiled(value: Any) -> Any:
    """The same structure with a Template in place of each text under `content` or `text`."""
    if not isinstance(value, dict):
        return value
    made: dict[str, Any] = {}
    for name, part in value.items():
        if name in ("content", "text") and isinstance(part, str):
            made[name] = Template(part)
        elif name == "content" and isinstance(part, (list, tuple)):
            made[name] = [_compiled(each) for each in part]
        else:
            made[name] = part
    return made


def _templates_in(value: Any) -> Iterator[Template]:
    match value:
        case Template():
            yield value
        case dict():
            for part in value.values():
                yield from _templates_in(part)
        case list():
            for part in value:
                yield from _templates_in(part)


def _rendered(value: Any, values: Mapping[str, object]) -> Any:
    if isinstance(value, Template):
        return value.render(values)
    if isinstance(value, dict):
        return {name: _rendered(part, values) for name, part in value.items()}
    if isinstance(value, list):
        return [_rendered(part, values) for part in value]
    return value
