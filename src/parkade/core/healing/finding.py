"""Makes a finding of a symptom: row or sub-code, repeats, the driver's wish, the ladder.

The steps and their order are explained in `judge`.
"""

from typing import assert_never

from parkade.core.healing.ladder import climb
from parkade.core.healing.memory import Burst, Finding, NodeMemory, Track
from parkade.core.healing.nvlink import Decoded, NvlinkAction, NvlinkSeverity, decode
from parkade.core.healing.policy import Policy, PolicyRule, RepeatRule, RepeatUnit
from parkade.core.healing.symptom import NvlinkFact, RecoveryAction, Symptom
from parkade.core.healing.verdict import Action, Level
from parkade.core.units.time import DAY_US, HOUR_US

RECOVERIES: dict[RecoveryAction, tuple[Level, Action]] = {
    RecoveryAction.NONE: (Level.INFO, Action.NONE),
    RecoveryAction.RESET_GPU: (Level.FATAL, Action.RESET_GPU),
    RecoveryAction.REBOOT: (Level.FATAL, Action.REBOOT),
    RecoveryAction.DRAIN_P2P: (Level.DEGRADED, Action.DRAIN_AND_RESET),
    RecoveryAction.DRAIN_AND_RESET: (Level.DEGRADED, Action.DRAIN_AND_RESET),
    RecoveryAction.RECOVER_IMEX_DOMAIN: (Level.DEGRADED, Action.RESET_FABRIC),
    RecoveryAction.UNKNOWN: (Level.DEGRADED, Action.CONTACT_SUPPORT),
}
"""What each wish of the driver means; where it says to drain first, work is moved with notice."""
_RUNGS = {
    action: rung
    for rung, actions in enumerate(
        (
            (Action.RESET_AT_IDLE, Action.DRAIN_AND_RESET, Action.RESET_GPU, Action.RESET_FABRIC),
            (Action.REBOOT, Action.RESTART_VM),
            (Action.INSPECT, Action.DIAGNOSE),
            (Action.RMA,),
        ),
        start=1,
    )
    for action in actions
}


def meaning_of(symptom: Symptom, rule: PolicyRule, policy: Policy) -> Finding:
    """What one symptom means by itself: the row, or the decoded sub-code."""
    if isinstance(symptom.fact, NvlinkFact):
        decoded = decode(symptom.fact, policy.nvlink)
        if decoded is not None:
            return _decoded(symptom.fact, decoded)
    return Finding(level=rule.level, action=rule.action, reasons=(rule.why,))


def _decoded(fact: NvlinkFact, decoded: Decoded) -> Finding:
    """A sub-code's finding: link fatal is drained first, so that no step is lost."""
    severity = decoded.severity.value.replace("_", " ")
    is_over = decoded.investigate == NvlinkAction.IGNORE.value
    follow_up = "nothing" if is_over else decoded.investigate
    reason = f"{fact.unit}: {severity}, to follow up: {follow_up}"
    if decoded.action is not NvlinkAction.RESET_GPU:
        is_quiet = (
            decoded.action is NvlinkAction.IGNORE and decoded.severity is NvlinkSeverity.NON_FATAL
        )
        level = Level.INFO if is_quiet else Level.WARN
        return Finding(level=level, action=Action.NONE, reasons=(reason,))
    if decoded.severity is NvlinkSeverity.FATAL:
        return Finding(level=Level.FATAL, action=Action.RESET_GPU, reasons=(reason,))
    return Finding(level=Level.DEGRADED, action=Action.DRAIN_AND_RESET, reasons=(reason,))


def find(
    memory: NodeMemory, track: Track, rule: PolicyRule, now_us: int, *, policy: Policy
) -> Finding:
    """Steps 2 to 4: the driver, repeats, the ladder."""
    finding = _heed_driver(memory, track, rule, now_us, policy=policy)
    for repeat in rule.repeats:
        count = _count(memory, track, repeat, now_us)
        if count >= repeat.count and _is_higher(repeat, finding):
            reason = f"{count} {repeat.counting.value} within {_span(repeat.window_us)}"
            reasons = (*finding.reasons, reason)
            finding = Finding(level=repeat.level, action=repeat.action, reasons=reasons)
    action = climb(
        finding.action, memory.repairs, device=track.device, now_us=now_us, limits=policy.ladder
    )
    if action is finding.action:
        return finding
    reasons = (*finding.reasons, f"{_words(finding.action)} was tried and did not last")
    return Finding(level=finding.level, action=action, reasons=reasons)


def _is_higher(repeat: RepeatRule, finding: Finding) -> bool:
    """A repeat never lowers a level, nor takes a driver's reboot down to a reset."""
    if repeat.level is not finding.level:
        return repeat.level.rank > finding.level.rank
    return _RUNGS.get(repeat.action, 0) >= _RUNGS.get(finding.action, 0)


def _heed_driver(
    memory: NodeMemory, track: Track, rule: PolicyRule, now_us: int, *, policy: Policy
) -> Finding:
    """The driver's wish in place of the row's action, up or down; the level is never lowered."""
    finding = track.finding
    is_wish = track.signal.startswith("recovery/")
    if is_wish or rule.is_application_fault or finding.level is Level.INFO:
        return finding
    for wish in memory.recoveries:
        if wish.device != track.device or now_us - wish.at_us >= policy.windows.recovery_us:
            continue
        level, action = RECOVERIES[wish.action]
        worse = level if level.rank > finding.level.rank else finding.level
        reasons = (*finding.reasons, f"the driver asks for {_words(wish.action)}")
        return Finding(level=worse, action=action, reasons=reasons)
    return finding


def _count(memory: NodeMemory, track: Track, repeat: RepeatRule, now_us: int) -> int:
    """How often, as the repeat counts."""
    bursts = [burst for burst in track.bursts if now_us - burst.start_us < repeat.window_us]
    match repeat.counting:
        case RepeatUnit.BURSTS:
            return len(bursts)
        case RepeatUnit.JOBS:
            return len(_lone_jobs(memory, track, bursts))
        case RepeatUnit.PLACES:
            lone = _lone_jobs(memory, track, bursts)
            seen: dict[str, set[str]] = {}
            for burst in bursts:
                for place in burst.places:
                    seen.setdefault(place, set()).update(lone.intersection(burst.jobs))
            return max((len(jobs) for jobs in seen.values()), default=0)
        case _:
            assert_never(repeat.counting)


def _lone_jobs(memory: NodeMemory, track: Track, bursts: list[Burst]) -> set[str]:
    """The jobs that saw this signal on this device and on no other of the node."""
    elsewhere = {
        job
        for each in memory.tracks
        if each.signal == track.signal and each.device != track.device
        for burst in each.bursts
        for job in burst.jobs
    }
    return {job for burst in bursts for job in burst.jobs} - elsewhere


def _words(action: Action | RecoveryAction) -> str:
    return action.value.replace("_", " ")


def _span(span_us: int) -> str:
    if span_us >= 2 * DAY_US:
        return f"{span_us // DAY_US} days"
    return f"{span_us // HOUR_US} h"
