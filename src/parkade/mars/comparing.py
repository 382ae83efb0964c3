"""Compares policies, and our policy with NVIDIA's catalogue, row by row."""

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import msgspec

from parkade.core.healing.policy import (
    DEFAULT_SIGNAL,
    LadderLimits,
    Policy,
    PolicyRule,
    Windows,
    matches,
)
from parkade.core.healing.verdict import Action
from parkade.mars.explaining import CLASSES, rules_for
from parkade.mars.policy_file import PolicyFile, Row, expand
from parkade.mars.shipped import xid_facts
from parkade.wire.scalars import format_span

VERSION = 1
"""Of the JSON that `mars policy diff` prints."""
IN_FILE = {
    "coalesce_us": "coalesce",
    "burst_gap_us": "burst_gap",
    "burst_longest_us": "burst_longest",
    "recovery_us": "recovery",
    "window_us": "within",
}
"""What a policy file calls the spans."""

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


class RowChange(msgspec.Struct, frozen=True, kw_only=True):
    """A signal that two policies answer differently: the rows that may answer it, in their order.
    Where the signal has no row for all nodes and devices, those of its class stand behind its own,
    or the row `default`: their `signal` says so."""

    signal: str
    before: tuple[PolicyRule, ...]
    after: tuple[PolicyRule, ...]


class SettingChange(msgspec.Struct, frozen=True, kw_only=True):
    """A value beside the rows, by its place in a file; None where there is none."""

    place: str
    before: str | None
    after: str | None


class NeverAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a file that answers none of these signals, since the row `by` is asked first, for
    all of its nodes and devices. Both are places in the file."""

    place: str
    by: str
    signals: tuple[str, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """All that a site's file changes. `before` and `after` are the versions of the policies."""

    version: int
    before: str
    after: str
    settings: tuple[SettingChange, ...]
    rows: tuple[RowChange, ...]
    never_asked: tuple[NeverAsked, ...]


def agreement(policy: Policy) -> tuple[Agreement, ...]:
    """Every code of the catalogue, in order."""
    found = []
    for xid, facts in sorted(xid_facts().items()):
        rule = (policy.rules.get(f"xid/{xid}") or rules_for(f"xid/{xid}", policy))[0]
        equal = EQUAL_ACTIONS.get(facts.nvidia)
        agrees = None if equal is None else rule.action in equal
        found.append(Agreement(xid, facts.nvidia, rule, agrees))
    return tuple(found)


def difference(before: Policy, after: Policy, *, file: PolicyFile) -> Difference:
    """What a site's file changes, whose policy is `after`."""
    settings = [*_settings("windows", before.windows, after.windows)]
    settings += _settings("ladder", before.ladder, after.ladder)
    settings += [
        SettingChange(place=f"sources.{name}", before=None, after=text)
        for name, text in file.sources.items()
    ]
    return Difference(
        version=VERSION,
        before=before.version,
        after=after.version,
        settings=tuple(settings),
        rows=changes(before, after),
        never_asked=never_asked(file),
    )


def changes(before: Policy, after: Policy) -> tuple[RowChange, ...]:
    """What a site's rows change, in the order of signals."""
    names = sorted({*before.rules, *after.rules}, key=signal_order)
    found = (
        RowChange(signal=name, before=answers(name, before), after=answers(name, after))
        for name in names
        if reachable(before.rules.get(name, ())) != reachable(after.rules.get(name, ()))
    )
    return tuple(each for each in found if each.before != each.after)


def answers(signal: str, policy: Policy) -> tuple[PolicyRule, ...]:
    """The rows that may answer a signal, in the order in which they are asked."""
    own = reachable(policy.rules.get(signal, ()))
    if any(_is_for_all(rule) for rule in own):
        return own
    classes = CLASSES.get(signal.partition("/")[0], ())
    behind = [reachable(policy.rules.get(name, ())) for name in classes if name != signal]
    if not behind or not all(any(map(_is_for_all, rules)) for rules in behind):
        behind.append(reachable(policy.rules[DEFAULT_SIGNAL]))
    return (*own, *(rule for rules in behind for rule in rules))


def reachable(rules: tuple[PolicyRule, ...]) -> tuple[PolicyRule, ...]:
    """The rows of a signal but for those that one before them keeps from being asked."""
    kept: list[PolicyRule] = []
    for rule in rules:
        if not any(_covers(each, rule) for each in kept):
            kept.append(rule)
    return tuple(kept)


def never_asked(file: PolicyFile) -> tuple[NeverAsked, ...]:
    """The rows of a file that another of its rows keeps from being asked, in their order."""
    asked: dict[str, list[int]] = {}
    found: dict[tuple[int, int], list[str]] = {}
    for at, row in enumerate(file.rules):
        for signal in (each for entry in row.on for each in expand(entry)):
            before = asked.setdefault(signal, [])
            by = next((each for each in before if _covers(file.rules[each], row)), None)
            if by is None:
                before.append(at)
            else:
                found.setdefault((at, by), []).append(signal)
    return tuple(
        NeverAsked(place=f"rules[{at}]", by=f"rules[{by}]", signals=tuple(signals))
        for (at, by), signals in found.items()
    )


def _is_for_all(rule: PolicyRule) -> bool:
    return rule.nodes == rule.devices == "*"


def _covers(first: PolicyRule | Row, second: PolicyRule | Row) -> bool:
    """Whether a row is for all nodes and devices of another."""
    return _holds(first.nodes, second.nodes) and _holds(first.devices, second.devices)


def _holds(first: str, second: str) -> bool:
    """Whether every name of one pattern is of another too."""
    return matches(first, second.removesuffix("*")) if first.endswith("*") else first == second


def _settings(
    place: str, before: Windows | LadderLimits, after: Windows | LadderLimits
) -> Iterator[SettingChange]:
    """The values of one part that differ, named and written as in a file."""
    old, new = msgspec.structs.asdict(before), msgspec.structs.asdict(after)
    for field, value in new.items():
        if value != old[field]:
            name = f"{place}.{IN_FILE.get(field, field)}"
            shown = (_shown(field, old[field]), _shown(field, value))
            yield SettingChange(place=name, before=shown[0], after=shown[1])


def _shown(field: str, value: int) -> str:
    return format_span(timedelta(microseconds=value)) if field.endswith("_us") else str(value)


def signal_order(signal: str) -> tuple[str, int, str]:
    """Codes by number, names by letter."""
    family, _, code = signal.partition("/")
    return (family, int(code) if code.isdecimal() else -1, code)
