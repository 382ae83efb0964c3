"""What bounds the tokens of a call before it is sent: its limit of output, and its own text.

A budget in money or tokens reserves a call's worst case, so whatever a request body can ask for
must be bounded by what it says. **Output**: the body's one limit, `max_tokens` or
`max_completion_tokens`; two of them are refused, since servers differ in which they keep.
**Input**: a token is at least one byte of text, so the body's length bounds the tokens of its
texts; each part of a message that is no text (image, audio, file, video, …) may be
`attachment_tokens`; a chat template may add `template_tokens` of its own.

Fields of the body that are not known to leave these bounds alone (`KNOWN`) are refused by name
when there is a budget in money or tokens, unless the model names them in `bounded_options`.

Example: `{"max_tokens":9,"messages":[{"content":"hi","role":"user"}],"model":"m"}` is 73 bytes, so
it may take 73 tokens of input and 9 of output; with `template_tokens: 600`, 673 and 9.
"""

from collections.abc import Mapping
from typing import Any

from parkade.compound.models.protocol import TokenBounds
from parkade.compound.network.errors import NetworkError
from parkade.compound.network.operators import MAX_COUNT

#: What limits the output of a call.
LIMITS = ("max_completion_tokens", "max_tokens")
#: Options that ask for nothing beyond the limit and the body's own bytes, and change no price.
KNOWN = frozenset(
    {
        *LIMITS,
        "allowed_token_ids",
        "bad_words",
        "cache_salt",
        "frequency_penalty",
        "function_call",
        "functions",
        "grammar",
        "guided_choice",
        "guided_decoding_backend",
        "guided_grammar",
        "guided_json",
        "guided_regex",
        "guided_whitespace_pattern",
        "ignore_eos",
        "include_stop_str_in_output",
        "json_schema",
        "length_penalty",
        "logit_bias",
        "logprobs",
        "metadata",
        "min_p",
        "parallel_tool_calls",
        "presence_penalty",
        "priority",
        "prompt_cache_key",
        "reasoning_effort",
        "repetition_penalty",
        "response_format",
        "safety_identifier",
        "seed",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "stop",
        "stop_token_ids",
        "store",
        "structured_outputs",
        "suffix",
        "temperature",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "top_p",
        "truncate_prompt_tokens",
        "typical_p",
        "user",
        "verbosity",
    }
)
#: Options of a chat template, bounded where the model says `template_tokens`.
OF_TEMPLATE = frozenset(
    {
        "add_generation_prompt",
        "add_special_tokens",
        "chat_template",
        "chat_template_kwargs",
        "continue_final_message",
        "documents",
    }
)
#: Tools that only add their own text; others a server runs itself, and bills.
TOOLS = ("function", "custom")
#: Options that ask for no more with this one value, or with none.
OFF: dict[str, Any] = {"best_of": 1, "echo": False, "use_beam_search": False}


def output_limit(options: Mapping[str, Any], own: int | None, otherwise: int | None) -> int | None:
    """The most output tokens of a call: an operator's own limit, that of its options, or else the
    model's; None without any. NetworkError for two limits in one body, or one that is no count."""
    given = [name for name in LIMITS if name in options]
    if own is not None and given:
        raise NetworkError(
            f"an operator has `max_tokens` and options.{given[0]}: servers differ in which of two "
            "limits they keep, so leave one out"
        )
    if len(given) == 2:
        raise NetworkError(
            f"options has {given[1]} and {given[0]}: servers differ in which of two limits they "
            "keep, so leave one out"
        )
    if not given:
        return otherwise if own is None else own
    limit = options[given[0]]
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MAX_COUNT:
        raise NetworkError(
            f"options.{given[0]} must be a whole number from 1 to {MAX_COUNT:,}, such as 512"
        )
    return limit


def unbounded_option(
    options: Mapping[str, Any], limit: int | None, bounds: TokenBounds
) -> str | None:
    """The first option with which a call may take more than its bounds, and why; None if none."""
    for name in sorted(options):
        value = options[name]
        if value is None or name in bounded_names(bounds):
            continue
        if name in OFF and value == OFF[name] and type(value) is type(OFF[name]):
            continue
        if name == "min_tokens":
            if limit is not None and isinstance(value, (int, float)) and value <= limit:
                continue
            return f"cannot bound options.{name}: it is above the limit of output"
        if name in OF_TEMPLATE:
            return (
                f"cannot bound options.{name}, which may add tokens to the messages: say how many "
                "at most with template_tokens at the model"
            )
        if name not in KNOWN:
            return (
                f"cannot bound options.{name}, which may ask for tokens or cost beyond max_tokens: "
                "leave it out, or, if you know that it does not, name it in bounded_options at the "
                "model"
            )
        if name == "tools" and (kind := _tool_of_server(value)):
            return f"cannot bound options.tools: a server runs tools of type {kind!r} itself"
    return None


def bounded_names(bounds: TokenBounds) -> frozenset[str]:
    """Options that the model's own words bound."""
    if bounds.template_tokens is None:
        return bounds.bounded_options
    return bounds.bounded_options | OF_TEMPLATE


def most_input(body: Mapping[str, Any], length: int, bounds: TokenBounds) -> int | None:
    """The most input tokens of a body of that many bytes; None if an attachment has no bound.

    The JSON around each message is longer than what a plain chat template puts there.
    """
    most = length + (bounds.template_tokens or 0)
    found = attachments(body.get("messages"))
    if not found:
        return most
    return None if bounds.attachment_tokens is None else most + found * bounds.attachment_tokens


def attachments(messages: Any) -> int:
    """How many parts of these messages are no text."""
    if not isinstance(messages, (list, tuple)):
        return 0
    found = 0
    for message in messages:
        if not isinstance(message, dict):
            continue
        content = message.get("content")
        if isinstance(content, (list, tuple)):
            found += sum(not _is_text(part) for part in content)
        elif isinstance(content, dict):
            found += 1
        found += isinstance(message.get("audio"), dict)
    return found


def _is_text(part: Any) -> bool:
    if not isinstance(part, dict):
        return True
    return part.get("type") in ("text", "refusal") and all(
        not isinstance(value, (dict, list)) for value in part.values()
    )


def _tool_of_server(tools: Any) -> str | None:
    """The type of the first tool that is no function of the caller's."""
    for tool in tools if isinstance(tools, (list, tuple)) else ():
        kind = tool.get("type", "function") if isinstance(tool, dict) else "function"
        if kind not in TOOLS:
            return str(kind)[:80]
    return None
