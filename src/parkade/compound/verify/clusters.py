"""Groups candidates by what they do: equal answers on all inputs, one group.

As in AlphaCode: of many programs that pass the public tests, most are variants of few ideas.
Running them on further inputs, whose right answers are not known, tells the ideas apart; trying one
of each of the largest groups spends few attempts on many ideas.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from parkade.compound.verify.sandbox.jobs import Answer, CallJob, Raised, Returned, Silent
from parkade.compound.verify.sandbox.pool import Sandbox

T = TypeVar("T")
AT_ONCE = 64

Execute = Callable[[T, Sequence[Any]], Awaitable[Sequence[Answer]]]


class BehaviourGroup(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Candidates that answered all inputs alike."""

    members: tuple[T, ...]
    #: A digest of the answers.
    behaviour: str
    #: On how many inputs they gave a value.
    answered: int


async def cluster_by_behaviour(
    candidates: Sequence[T], inputs: Sequence[Any], execute: Execute[T]
) -> list[BehaviourGroup[T]]:
    """Largest first, then in order of their first member; members stay in order.

    `execute` runs one candidate on all inputs; at most `AT_ONCE` are running. Candidates that gave
    no value on any input are left out. Memory grows with the number of candidates and one digest
    for each.
    """
    groups: dict[str, list[T]] = {}
    answered: dict[str, int] = {}
    for start in range(0, len(candidates), AT_ONCE):
        chunk = candidates[start : start + AT_ONCE]
        answers = await asyncio.gather(*(execute(one, inputs) for one in chunk))
        for one, given in zip(chunk, answers, strict=True):
            key = behaviour(given)
            groups.setdefault(key, []).append(one)
            answered[key] = sum(isinstance(answer, Returned) for answer in given)
    found = [
        BehaviourGroup(members=tuple(members), behaviour=key, answered=answered[key])
        for key, members in groups.items()
        if answered[key]
    ]
    return sorted(found, key=lambda cluster: -len(cluster.members))


def behaviour(answers: Sequence[Answer]) -> str:
    """A digest that is equal for equal values, in whatever order sets and dictionaries come.

    Exceptions are equal if their type is: messages often name an address or a variable.
    """
    digest = hashlib.blake2b(digest_size=16)
    for answer in answers:
        match answer:
            case Returned(data=data):
                answered_with: Any = ["value", _ordered(data)]
            case Raised(kind=kind):
                answered_with = ["raised", kind]
            case Silent():
                answered_with = ["silent"]
        digest.update(json.dumps(answered_with).encode() + b"\n")
    return digest.hexdigest()


def _ordered(data: Any) -> Any:
    """Pairs of dictionaries by their key; sets are sorted where they are encoded."""
    match data:
        case list():
            return [_ordered(one) for one in data]
        case {"d": [*pairs]}:
            return {"d": sorted((_ordered(pair) for pair in pairs), key=json.dumps)}
        case dict():
            return {tag: _ordered(parts) for tag, parts in data.items()}
        case _:
            return data


def calls_in(
    sandbox: Sandbox, entry_point: str
) -> Callable[[str, Sequence[tuple[Any, ...]]], Awaitable[Sequence[Answer]]]:
    """An `execute` for Python sources: calls a function of each, in the sandbox."""

    async def execute(source: str, inputs: Sequence[tuple[Any, ...]]) -> Sequence[Answer]:
        calls = tuple((entry_point, arguments) for arguments in inputs)
        return (await sandbox.call(CallJob(source=source, calls=calls))).answers

    return execute
