"""What Slurm says of its nodes: `sinfo -N -h -o '%N|%T|%E'`, as symptoms.

A node that Slurm calls down or not responding is *not proof* of a failed node: the network or
slurmd may be at fault. A drain with a reason is a person's decision: it is shown, never undone.
"""

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from parkade.core.healing.symptom import (
    MOST_NAME_CHARACTERS,
    ConditionFact,
    Evidence,
    NodeCondition,
    Source,
    Symptom,
    bounded,
)
from parkade.core.units.phrases import some_of

PARSER = "slurm_nodes/1"
COMMAND = ("sinfo", "-N", "-h", "-o", "%N|%T|%E")
MOST_NODES = 100_000
MOST_NAMED = 3
_DOWN = ("down", "fail", "unknown", "not_responding")
_DRAINS = ("drain", "maint")
# Of power saving: a node that is off because it is not needed, or goes there.
_ASLEEP = re.compile(r"power(ed|ing)_down|^down(?=[~%]$)")


class NodesSeen(NamedTuple):
    """What an answer says. `nodes` are those that it names; `why` None: it can be trusted, else why
    it says nothing, or too little, of the nodes that are watched."""

    symptoms: list[Symptom]
    nodes: frozenset[str]
    why: str | None


def read_nodes(
    text: str,
    *,
    reporter: str,
    at_us: int,
    watched: Collection[str] = (),
    needed: Collection[str] = (),
) -> NodesSeen:
    """A symptom for each node that is not in service; a node in several partitions has one. Of
    `watched` nodes, if any are given, one at least must be named, and of `needed` ones all."""
    seen: dict[str, Symptom] = {}
    named: dict[str, None] = {}
    first = ""
    for line in text.splitlines()[:MOST_NODES]:
        first = first or line.strip()
        name, _, rest = line.partition("|")
        state, _, reason = rest.partition("|")
        if not name.strip() or not state.strip():
            continue
        node = bounded(name.strip(), MOST_NAME_CHARACTERS)
        named[node] = None
        condition = _condition(state.strip().lower())
        if condition is None:
            continue
        evidence = Evidence(
            line=bounded(f"{state.strip()}: {reason.strip()}"),
            source=Source.ENGINE,
            reporter=reporter,
            parser=PARSER,
            at_us=at_us,
        )
        fact = ConditionFact(condition=condition, amount=None)
        seen[node] = Symptom(node=node, device=None, fact=fact, job=None, evidence=evidence)
    why = _why_not(first, named, watched, needed)
    return NodesSeen(list(seen.values()), frozenset(named), why)


def drained_in(symptoms: Iterable[Symptom]) -> frozenset[str]:
    """The nodes that an engine calls drained or draining."""
    return frozenset(
        each.node
        for each in symptoms
        if isinstance(each.fact, ConditionFact)
        and each.fact.condition is NodeCondition.ENGINE_NODE_DRAINING
    )


def _why_not(
    first: str, named: Collection[str], watched: Collection[str], needed: Collection[str]
) -> str | None:
    if not first:
        return "it printed nothing"
    if not named:
        return f"no line of it is `node|state|reason`; the first is {bounded(first, 60)!r}"
    if watched and not any(node in named for node in watched):
        return f"it names none of the nodes that are watched; it names {some_of(named)}"
    missing = [node for node in needed if node not in named]
    if missing:
        return f"it does not name {some_of(missing)}, which nothing else reads"
    return None


def _condition(state: str) -> NodeCondition | None:
    """A trailing `*` means that the node does not answer. One that Slurm put to sleep is well."""
    state = _ASLEEP.sub("", state)
    if state.endswith("*") or any(word in state for word in _DOWN):
        return NodeCondition.ENGINE_NODE_DOWN
    if any(word in state for word in _DRAINS):
        return NodeCondition.ENGINE_NODE_DRAINING
    return None
