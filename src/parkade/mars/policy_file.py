"""The policy file: YAML that people write, checked with the place of every error.

A file has `format: 1`. The shipped file is whole; a site's file says `extends: default` and holds
only what it changes: its rows stand before the shipped ones, its spans replace them one by one. A
row's `on` lists signals; `xid/39-41` is a range of codes. `nodes` and `devices` limit a row.
"""

import re
from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from parkade.core.healing.policy import (
    DEFAULT_SIGNAL,
    LadderLimits,
    Policy,
    PolicyRule,
    RepeatRule,
    RepeatUnit,
    Windows,
)
from parkade.core.healing.symptom import NodeCondition, RecoveryAction, Severity
from parkade.core.healing.verdict import Action, Level, Scope
from parkade.mars.shipped import POLICY, nvlink_rules, shipped_text
from parkade.wire.problems import Fault, invalid
from parkade.wire.scalars import PositiveSpan
from parkade.wire.yaml import Unreadable, parse

FORMAT = 1
MOST_ROWS = 2_000
MOST_CODES = 10_000
_CODES = re.compile(r"(xid|sxid)/([0-9]{1,6})(?:-([0-9]{1,6}))?")
_PATTERN = re.compile(r"[A-Za-z0-9_.:/-]{0,127}\*?")
NAMED = frozenset(
    {"xid/unknown", DEFAULT_SIGNAL}
    | {f"sxid/{severity.value}" for severity in Severity}
    | {f"recovery/{action.value}" for action in RecoveryAction}
    | {condition.value for condition in NodeCondition}
)
"""Every signal but single codes."""
Text = Annotated[str, Field(min_length=1, max_length=300)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RepeatRow(_Model):
    """From `count` within the span on, the finding is raised."""

    of: RepeatUnit = Field(
        description="what is counted: `bursts` of the signal; `jobs` that saw it on this device and"
        " no other; or `places`, those of them in one unit of the chip"
    )
    count: Annotated[int, Field(ge=2, le=32)] = Field(description="from so many on, at least 2")
    within: PositiveSpan = Field(description="within so long")
    level: Level = Field(description="the level that it has then")
    action: Action = Field(description="the action that it has then")


class Row(_Model):
    """One row of the file."""

    on: Annotated[tuple[str, ...], Field(min_length=1, max_length=200)] = Field(
        description="a list of signals; `xid/39-41` is a range of codes, and `default` answers"
        " what no row names"
    )
    level: Level = Field(description="`info`, `warn`, `degraded` or `fatal`")
    action: Action = Field(description="what is done, one of the actions below")
    scope: Scope = Field(
        Scope.DEVICE, description="what the action is for: the `device`, or the whole `node`"
    )
    application_fault: bool = Field(
        default=False,
        description="`true`: a program's fault, blamed on the device only where it repeats over"
        " jobs; the driver's wish does not raise it",
    )
    nodes: str = Field(
        "*", description="for which nodes: a name, a beginning with `*` at its end, or `*`"
    )
    devices: str = Field("*", description="the same of devices, such as `0000:3b:00`")
    repeats: Annotated[tuple[RepeatRow, ...], Field(max_length=8)] = Field(
        (), description="a list of what repeats make of it; the worst that holds counts"
    )
    why: Text = Field(description="the reason, which each verdict shows")
    provenance: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)] = Field(
        alias="from", description="a list of names of `sources`, the shipped ones included"
    )
    differs: Text | None = Field(None, description="why it is not NVIDIA's own action, if so")

    @field_validator("on")
    @classmethod
    def _known_signals(cls, signals: tuple[str, ...]) -> tuple[str, ...]:
        for signal in signals:
            expand(signal)
        return signals

    @field_validator("nodes", "devices")
    @classmethod
    def _pattern(cls, pattern: str) -> str:
        if not pattern or not _PATTERN.fullmatch(pattern):
            raise ValueError("write a name, a beginning with `*` at its end, or `*` for all")
        return pattern


class WindowRow(_Model):
    """The judge's spans; those left out are the shipped ones."""

    coalesce: PositiveSpan | None = Field(
        None, description="lines of one fault within so long are one verdict"
    )
    burst_gap: PositiveSpan | None = Field(
        None, description="faults that follow each other within so long are one burst"
    )
    burst_longest: PositiveSpan | None = Field(
        None, description="a burst that lasts longer is told anew"
    )
    recovery: PositiveSpan | None = Field(
        None, description="so long the driver's own wish for a repair counts"
    )


class LadderRow(_Model):
    """How often each repair is tried."""

    resets: Annotated[int, Field(ge=0, le=10)] | None = Field(
        None, description="resets before the node is rebooted"
    )
    reboots: Annotated[int, Field(ge=0, le=10)] | None = Field(
        None, description="reboots before it is diagnosed"
    )
    diagnoses: Annotated[int, Field(ge=0, le=10)] | None = Field(
        None, description="diagnoses before it is returned to the vendor"
    )
    within: PositiveSpan | None = Field(None, description="counted within so long")


class PolicyFile(_Model):
    """A whole file."""

    format: Literal[1] = Field(description="1, the form of this file")
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")] = Field(
        description="its name, which each verdict shows with `version`"
    )
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,30}$")] = Field(
        description="in quotes; give it another with each change"
    )
    extends: Literal["default"] | None = Field(
        None,
        description="`default`: the shipped policy stands behind what this file holds; without it"
        " the file is whole, and needs a row `on: [default]`",
    )
    windows: WindowRow = Field(WindowRow(), description="spans of the judge")
    ladder: LadderRow = Field(LadderRow(), description="how often each repair is tried")
    sources: Annotated[dict[str, Text], Field(max_length=100)] = Field(
        {}, description="names for `from`, and what each is"
    )
    rules: Annotated[tuple[Row, ...], Field(max_length=MOST_ROWS)] = Field(
        (), description="a list of rows; the first that fits the node and device answers"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> "PolicyFile":
        if self.extends is not None:
            return self
        every = [row for row in self.rules if DEFAULT_SIGNAL in row.on]
        if not any(row.nodes == "*" and row.devices == "*" for row in every):
            raise ValueError(
                "a file without `extends: default` needs a row `on: [default]` for all"
            )
        return self


def read_policy_file(text: str) -> PolicyFile:
    """A file's text, checked; raises Unreadable with every error and its place."""
    file = parse(text, PolicyFile)
    known = file.sources if file.extends is None else {**shipped_file().sources, **file.sources}
    faults = [
        Fault(
            place=f"rules[{at}].from[{index}]",
            message=f"`{name}` is no source; write `sources: {{{name}: what it is}}`, or name one"
            f" of {', '.join(sorted(known))}",
        )
        for at, row in enumerate(file.rules)
        for index, name in enumerate(row.provenance)
        if name not in known
    ]
    codes = sum(len(expand(signal)) for row in file.rules for signal in row.on)
    if codes > MOST_CODES:
        faults.append(Fault(place="rules", message=f"{codes} codes; at most {MOST_CODES}"))
    if faults:
        raise Unreadable(invalid(faults[:20]))
    return file


@cache
def shipped_file() -> PolicyFile:
    """The file of this package."""
    return parse(shipped_text(POLICY), PolicyFile)


@cache
def shipped_policy() -> Policy:
    """The policy of this package."""
    return policy_of(shipped_file())


def load_policy(text: str) -> Policy:
    """The policy of a file's text, on top of the shipped one where it says so."""
    return policy_of(read_policy_file(text))


def policy_of(file: PolicyFile) -> Policy:
    """Core values of a checked file. Raises Unreadable where spans do not fit each other."""
    base = None if file.extends is None else shipped_policy()
    rules: dict[str, tuple[PolicyRule, ...]] = {}
    for row in file.rules:
        for signal in (each for entry in row.on for each in expand(entry)):
            rules[signal] = (*rules.get(signal, ()), _rule(row, signal))
    if base is not None:
        names = {**rules, **base.rules}
        rules = {name: (*rules.get(name, ()), *base.rules.get(name, ())) for name in names}
    own = f"{file.name} {file.version}"
    return Policy(
        version=own if base is None else f"{own} on {base.version}",
        windows=_windows(file.windows, Windows() if base is None else base.windows),
        ladder=_ladder(file.ladder, LadderLimits() if base is None else base.ladder),
        rules=rules,
        nvlink=nvlink_rules(),
    )


def expand(entry: str) -> tuple[str, ...]:
    """The signals of an entry of `on`; ValueError where there is no such signal."""
    if entry in NAMED:
        return (entry,)
    found = _CODES.fullmatch(entry)
    if found is None:
        raise ValueError(
            f"{entry[:40]!r} is no signal; write one like xid/79, xid/39-41, link_down"
        )
    family, first, last = found[1], int(found[2]), int(found[3] or found[2])
    if last < first or last - first > MOST_CODES or (found[3] and last == first):
        raise ValueError(f"{entry[:40]!r} is no range of codes; the smaller one comes first")
    return tuple(f"{family}/{code}" for code in range(first, last + 1))


def _rule(row: Row, signal: str) -> PolicyRule:
    return PolicyRule(
        signal=signal,
        nodes=row.nodes,
        devices=row.devices,
        level=row.level,
        action=row.action,
        scope=row.scope,
        is_application_fault=row.application_fault,
        repeats=tuple(
            RepeatRule(
                counting=each.of,
                count=each.count,
                window_us=_micros(each.within),
                level=each.level,
                action=each.action,
            )
            for each in row.repeats
        ),
        why=row.why,
        differs=row.differs,
        provenance=row.provenance,
    )


def _windows(row: WindowRow, base: Windows) -> Windows:
    windows = Windows(
        coalesce_us=_micros(row.coalesce, base.coalesce_us),
        burst_gap_us=_micros(row.burst_gap, base.burst_gap_us),
        burst_longest_us=_micros(row.burst_longest, base.burst_longest_us),
        recovery_us=_micros(row.recovery, base.recovery_us),
    )
    if not windows.coalesce_us <= windows.burst_gap_us <= windows.burst_longest_us:
        message = "coalesce, burst_gap and burst_longest must not decrease in this order"
        raise Unreadable(invalid([Fault(place="windows", message=message)]))
    return windows


def _ladder(row: LadderRow, base: LadderLimits) -> LadderLimits:
    return LadderLimits(
        resets=base.resets if row.resets is None else row.resets,
        reboots=base.reboots if row.reboots is None else row.reboots,
        diagnoses=base.diagnoses if row.diagnoses is None else row.diagnoses,
        window_us=_micros(row.within, base.window_us),
    )


def _micros(span: PositiveSpan | None, otherwise: int = 0) -> int:
    return otherwise if span is None else round(span.total_seconds() * 1_000_000)
