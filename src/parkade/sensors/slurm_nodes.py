"""What Slurm says of its nodes: `sinfo -N -h -o '%N|%T|%E'`, as symptoms.

A node that Slurm calls down or not responding is *not proof* of a failed node: the network or
slurmd may be at fault. A drain with a reason is a person's decision: it is shown, never undone.
"""

from parkade.core.healing.symptom import (
    MOST_NAME_CHARACTERS,
    ConditionFact,
    Evidence,
    NodeCondition,
    Source,
    Symptom,
    bounded,
)

PARSER = "slurm_nodes/1"
COMMAND = ("sinfo", "-N", "-h", "-o", "%N|%T|%E")
MOST_NODES = 100_000
_DOWN = ("down", "fail", "unknown", "not_responding")
_DRAINS = ("drain", "maint")


def node_symptoms(text: str, *, reporter: str, at_us: int) -> list[Symptom]:
    """A symptom for each node that is not in service; a node in several partitions has one."""
    seen: dict[str, Symptom] = {}
    for line in text.splitlines()[:MOST_NODES]:
        name, _, rest = line.partition("|")
        state, _, reason = rest.partition("|")
        condition = _condition(state.strip().lower())
        if not name.strip() or condition is None:
            continue
        node = bounded(name.strip(), MOST_NAME_CHARACTERS)
        evidence = Evidence(
            line=bounded(f"{state.strip()}: {reason.strip()}"),
            source=Source.ENGINE,
            reporter=reporter,
            parser=PARSER,
            at_us=at_us,
        )
        fact = ConditionFact(condition=condition, amount=None)
        seen[node] = Symptom(node=node, device=None, fact=fact, job=None, evidence=evidence)
    return list(seen.values())


def _condition(state: str) -> NodeCondition | None:
    """A trailing `*` means that the node does not answer."""
    if state.endswith("*") or any(word in state for word in _DOWN):
        return NodeCondition.ENGINE_NODE_DOWN
    if any(word in state for word in _DRAINS):
        return NodeCondition.ENGINE_NODE_DRAINING
    return None
