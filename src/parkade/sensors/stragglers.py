"""Finds ranks that are slower than their gang, from step times that programs tell.

A rank's step time is compared with the median of its gang in the same step. A rank that is slower
by `slow_per_mille` for `sustained_us` on end is a straggler; a single slow step is not. Nothing is
done on one job's word: the policy's row asks for two jobs on the same node.

In synchronous training every rank takes as long as the slowest, so what is compared must be the
rank's own work (its time before the collective), as the program tells it.
"""

import statistics

import msgspec

from parkade.core.healing.symptom import ConditionFact, Evidence, NodeCondition, Source, Symptom

PARSER = "stragglers/1"
LEAST_RANKS = 4
"""Of fewer ranks no median tells which one is slow."""


class GangStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a job: each rank's own work in microseconds, by node; `at_us` is its end."""

    job: str
    at_us: int
    work_us: tuple[tuple[str, int], ...]


class StragglerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """1,200 per mille is a fifth slower than the gang's median."""

    slow_per_mille: int = 1_200
    sustained_us: int = 4 * 60 * 1_000_000
    forget_us: int = 60 * 60 * 1_000_000


LIMITS = StragglerLimits()


class SlowNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node that has been slow in every step since."""

    node: str
    since_us: int


class GangMemory(msgspec.Struct, frozen=True, kw_only=True):
    """The slow nodes of one job's gang; grows with the gang."""

    job: str
    slow: tuple[SlowNode, ...]
    last_us: int


def straggler_symptoms(
    memory: GangMemory | None,
    step: GangStep,
    *,
    reporter: str,
) -> tuple[GangMemory, list[Symptom]]:
    """What to remember and which nodes have been slow for long; grows with the gang's ranks."""
    is_stale = memory is not None and step.at_us - memory.last_us > LIMITS.forget_us
    before = {} if memory is None or is_stale else {each.node: each for each in memory.slow}
    if len(step.work_us) < LEAST_RANKS:
        return GangMemory(job=step.job, slow=(), last_us=step.at_us), []
    median = statistics.median(work for _, work in step.work_us)
    slow, symptoms = [], []
    for node, work in sorted(dict(step.work_us).items()):
        if work * 1_000 <= median * LIMITS.slow_per_mille:
            continue
        each = before.get(node) or SlowNode(node=node, since_us=step.at_us)
        slow.append(each)
        if step.at_us - each.since_us >= LIMITS.sustained_us:
            factor = round(work * 1_000 / median) if median else 0
            symptoms.append(_symptom(node, step, factor, reporter))
    return GangMemory(job=step.job, slow=tuple(slow), last_us=step.at_us), symptoms


def _symptom(node: str, step: GangStep, per_mille: int, reporter: str) -> Symptom:
    evidence = Evidence(
        line=f"{step.job}: {per_mille / 1_000:.2f} times the gang's median step",
        source=Source.WORKLOAD,
        reporter=reporter,
        parser=PARSER,
        at_us=step.at_us,
    )
    fact = ConditionFact(condition=NodeCondition.STRAGGLER, amount=per_mille)
    return Symptom(node=node, device=None, fact=fact, job=step.job, evidence=evidence)
