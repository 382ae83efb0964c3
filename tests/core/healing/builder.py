"""Builds symptoms and policies for the tests of healing."""

import msgspec

from parkade.core.healing.judge import Judgement, close_windows, judge
from parkade.core.healing.memory import NodeMemory, empty_memory
from parkade.core.healing.policy import (
    LadderLimits,
    Policy,
    PolicyRule,
    RepeatRule,
    RepeatUnit,
    Windows,
)
from parkade.core.healing.symptom import (
    ConditionFact,
    Evidence,
    Fact,
    NodeCondition,
    RecoveryAction,
    RecoveryFact,
    Source,
    Symptom,
    XidFact,
)
from parkade.core.healing.verdict import Action, Level, Scope, Verdict
from parkade.core.units.time import DAY_US, SECOND_US

GPU = "0000:3b:00"
OTHER_GPU = "0000:5e:00"


def xid(code: int, *, place: str | None = None) -> XidFact:
    """A plain code."""
    return XidFact(code=code, process_id=None, process=None, place=place)


def wish(action: RecoveryAction) -> RecoveryFact:
    """What the driver asks for."""
    return RecoveryFact(action=action)


def condition(name: NodeCondition) -> ConditionFact:
    """A reading."""
    return ConditionFact(condition=name, amount=None)


def symptom(
    fact: Fact,
    at_s: float = 0,
    *,
    node: str = "n1",
    device: str | None = GPU,
    job: str | None = None,
    source: Source = Source.KERNEL_LOG,
    reporter: str | None = None,
) -> Symptom:
    """A sighting at a second."""
    evidence = Evidence(
        line=f"line at {at_s}",
        source=source,
        reporter=reporter or node,
        parser="test/1",
        at_us=round(at_s * SECOND_US),
    )
    return Symptom(node=node, device=device, fact=fact, job=job, evidence=evidence)


def rule(
    signal: str,
    level: Level,
    action: Action,
    *repeats: RepeatRule,
    is_application_fault: bool = False,
    scope: Scope = Scope.DEVICE,
    nodes: str = "*",
    devices: str = "*",
) -> PolicyRule:
    """A row."""
    return PolicyRule(
        signal=signal,
        nodes=nodes,
        devices=devices,
        level=level,
        action=action,
        scope=scope,
        is_application_fault=is_application_fault,
        repeats=repeats,
        why=f"why {signal}",
        differs=None,
        provenance=("test",),
    )


def repeat(
    counting: RepeatUnit, count: int, level: Level, action: Action, window_us: int = DAY_US
) -> RepeatRule:
    """A clause."""
    return RepeatRule(
        counting=counting, count=count, window_us=window_us, level=level, action=action
    )


def policy(*rules: PolicyRule) -> Policy:
    """These rows, and those that every policy needs."""
    every = (
        *rules,
        rule("recovery/none", Level.INFO, Action.NONE),
        rule("recovery/reset_gpu", Level.FATAL, Action.RESET_GPU),
        rule("recovery/reboot", Level.FATAL, Action.REBOOT, scope=Scope.NODE),
        rule("recovery/drain_and_reset", Level.DEGRADED, Action.DRAIN_AND_RESET),
        rule("default", Level.WARN, Action.CONTACT_SUPPORT),
    )
    table: dict[str, tuple[PolicyRule, ...]] = {}
    for each in every:
        table[each.signal] = (*table.get(each.signal, ()), each)
    return Policy(
        version="test 1", windows=Windows(), ladder=LadderLimits(), rules=table, nvlink={}
    )


class Bench:
    """A node's judge over time: `see` takes symptoms in, `wait` lets windows close."""

    def __init__(self, rules: Policy, node: str = "n1") -> None:
        self.policy = rules
        self.memory: NodeMemory = empty_memory(node)
        self.verdicts: list[Verdict] = []

    def see(self, *symptoms: Symptom) -> list[Verdict]:
        """What is told at once."""
        announced: list[Verdict] = []
        for each in symptoms:
            announced += self._keep(judge(self.memory, each, each.at_us, policy=self.policy))
        return announced

    def wait(self, until_s: float) -> list[Verdict]:
        """What is told by then."""
        now_us = round(until_s * SECOND_US)
        return self._keep(close_windows(self.memory, now_us, policy=self.policy))

    def _keep(self, judged: Judgement) -> list[Verdict]:
        before = msgspec.json.encode(self.memory)
        self.memory = judged.memory
        assert msgspec.json.decode(before, type=NodeMemory) is not None
        self.verdicts += judged.verdicts
        return list(judged.verdicts)
