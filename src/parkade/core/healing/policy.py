"""The policy table as values: which rule answers a symptom, and what it says.

A row answers a signal. A site's rows stand before the shipped ones and may be limited to nodes and
devices; the first row that matches answers. Finding a row costs one dictionary look-up and the few
rows of that signal.
"""

import enum

import msgspec

from parkade.core.healing.nvlink import NvlinkRule
from parkade.core.healing.symptom import Fact, signals_of
from parkade.core.healing.verdict import Action, Level, Scope
from parkade.core.units.time import DAY_US, HOUR_US, MINUTE_US, SECOND_US

DEFAULT_SIGNAL = "default"


class RepeatUnit(enum.StrEnum):
    """What a repetition counts, always on one device (or node) and one signal."""

    BURSTS = "bursts"
    """Bursts of symptoms, whatever ran."""
    JOBS = "jobs"
    """Distinct known jobs that saw it on this device and on no other of the node."""
    PLACES = "places"
    """Distinct known jobs that saw it in the same unit of the chip."""


class RepeatRule(msgspec.Struct, frozen=True, kw_only=True):
    """From `count` within `window_us` on, the level and the action are these."""

    counting: RepeatUnit
    count: int
    window_us: int
    level: Level
    action: Action


class PolicyRule(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `nodes` and `devices` limit it: a name, a beginning with `*`, or `*` for all.

    `is_application_fault`: the driver's wish does not raise it and only repetition across jobs
    does. `why` and `provenance` are shown with each verdict and in `explain`; `differs` says why
    the row's action is not the vendor's, None where it is.
    """

    signal: str
    nodes: str
    devices: str
    level: Level
    action: Action
    scope: Scope
    is_application_fault: bool
    repeats: tuple[RepeatRule, ...]
    why: str
    differs: str | None
    provenance: tuple[str, ...]


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """Spans of the judge: see its theory of operation."""

    coalesce_us: int = 5 * SECOND_US
    burst_gap_us: int = 3 * MINUTE_US
    burst_longest_us: int = HOUR_US
    recovery_us: int = DAY_US


class LadderLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How often each rung may be tried within `window_us` before the next one."""

    resets: int = 1
    reboots: int = 2
    diagnoses: int = 1
    window_us: int = 7 * DAY_US


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A whole table: `version` names file, version and site's additions."""

    version: str
    windows: Windows
    ladder: LadderLimits
    rules: dict[str, tuple[PolicyRule, ...]]
    nvlink: dict[int, tuple[NvlinkRule, ...]]

    def __post_init__(self) -> None:
        assert DEFAULT_SIGNAL in self.rules, "a policy answers every symptom"


def find_rule(policy: Policy, fact: Fact, *, node: str, device: str | None) -> PolicyRule:
    """The row that answers; the row `default` where no other does."""
    for signal in (*signals_of(fact), DEFAULT_SIGNAL):
        for rule in policy.rules.get(signal, ()):
            if matches(rule.nodes, node) and matches(rule.devices, device or ""):
                return rule
    raise AssertionError("the default row of a policy is limited to some nodes")


def rule_of_row(policy: Policy, row: str, *, node: str, device: str | None) -> PolicyRule:
    """The row that answered before, or `default` where the table has lost it."""
    for signal in (row, DEFAULT_SIGNAL):
        for rule in policy.rules.get(signal, ()):
            if matches(rule.nodes, node) and matches(rule.devices, device or ""):
                return rule
    raise AssertionError("the default row of a policy is limited to some nodes")


def matches(pattern: str, name: str) -> bool:
    """`*` is all, `gpu-*` a beginning, anything else a name."""
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern
