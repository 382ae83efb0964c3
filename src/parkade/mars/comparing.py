"""Compares policies, and our policy with NVIDIA's catalogue, row by row."""

from typing import NamedTuple

from parkade.core.healing.policy import Policy, PolicyRule
from parkade.core.healing.verdict import Action
from parkade.mars.explaining import rules_for
from parkade.mars.shipped import xid_facts

EQUAL_ACTIONS: dict[str, frozenset[Action]] = {
    "IGNORE": frozenset({Action.NONE}),
    "RESTART_APP": frozenset({Action.RESTART_APP}),
    "RESET_GPU": frozenset({Action.RESET_GPU, Action.DRAIN_AND_RESET}),
    "RESTART_BM": frozenset({Action.REBOOT}),
    "RESTART_VM": frozenset({Action.RESTART_VM}),
    "CONTACT_SUPPORT": frozenset({Action.CONTACT_SUPPORT}),
    "CHECK_MECHANICALS": frozenset({Action.INSPECT}),
    "UPDATE_SWFW": frozenset({Action.UPDATE_SOFTWARE}),
    "CHECK_UVM": frozenset({Action.RESET_GPU}),
    "WORKFLOW_XID_45": frozenset({Action.NONE}),
    "WORKFLOW_XID_48": frozenset({Action.RESET_GPU, Action.DRAIN_AND_RESET}),
    "WORKFLOW_NVLINK_ERR": frozenset({Action.RESET_GPU, Action.DRAIN_AND_RESET}),
    "WORKFLOW_NVLINK5_ERR": frozenset({Action.CONTACT_SUPPORT}),
    "XID_154": frozenset({Action.CONTACT_SUPPORT}),
}
"""Which of our actions are the same repair. A workflow's first step counts; NVLink 5 and Xid 154
are decided by what the line says, and only what cannot be decoded comes to the row."""


class Agreement(NamedTuple):
    """One code: `agrees` is None where the catalogue recommends nothing."""

    xid: int
    nvidia: str
    rule: PolicyRule
    agrees: bool | None


class RowChange(NamedTuple):
    """A signal that two policies answer differently; None where one has no row."""

    signal: str
    before: tuple[PolicyRule, ...]
    after: tuple[PolicyRule, ...]


def agreement(policy: Policy) -> tuple[Agreement, ...]:
    """Every code of the catalogue, in order."""
    found = []
    for xid, facts in sorted(xid_facts().items()):
        rule = (policy.rules.get(f"xid/{xid}") or rules_for(f"xid/{xid}", policy))[0]
        equal = EQUAL_ACTIONS.get(facts.nvidia)
        agrees = None if equal is None else rule.action in equal
        found.append(Agreement(xid, facts.nvidia, rule, agrees))
    return tuple(found)


def changes(before: Policy, after: Policy) -> tuple[RowChange, ...]:
    """What a site's file changes, in the order of signals."""
    names = sorted({*before.rules, *after.rules}, key=signal_order)
    return tuple(
        RowChange(name, before.rules.get(name, ()), after.rules.get(name, ()))
        for name in names
        if before.rules.get(name, ()) != after.rules.get(name, ())
    )


def signal_order(signal: str) -> tuple[str, int, str]:
    """Codes by number, names by letter."""
    family, _, code = signal.partition("/")
    return (family, int(code) if code.isdecimal() else -1, code)
