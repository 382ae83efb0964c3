"""Judges symptoms: (memory of a node, symptom, now) -> (memory, verdicts).

Theory of operation
===================

Three spans keep noise apart from news, all on the present that is passed in:

* **Coalescing, 5 s.** A fault writes many lines. The first symptom of a signal on a device opens a
  window; what follows inside it is counted. When the window closes there is at most one verdict.
  A *fatal* finding never waits: it is told with the symptom that shows it.
* **Bursts, 3 min.** Symptoms that follow each other within three minutes are one burst, and a
  burst is told once; again only if its level rises. A burst that lasts an hour ends and another
  begins, so that what never stops is counted as repeating.
* **Repeats, 24 h** (each row says its own). Bursts, distinct jobs, or jobs in one unit of the chip
  are counted on one device, and from a number on the finding is raised.

A finding is made in four steps:

1. the row of the policy, or for NVLink 5 its decoded sub-code;
2. the driver: what it asked for (Xid 154, NVML, DCGM) within a day replaces the row's action,
   unless that is an application's fault or of level info; the level may only rise;
3. the row's repeats: they may only raise;
4. the ladder: a repair that was tried and did not last gives way to the next rung.

An application's fault (Xid 13, 31, 43, 45) is blamed on the device only when distinct jobs saw it
there. A job that saw it on other devices of the node too counts for none: a bug runs everywhere.
Where jobs are not known, such a fault stays what its row says.

Worked example. Row `xid/94`: warn, restart the app; two bursts in 7 days: degraded, diagnose.
At 0 s an Xid 94 comes: a window opens. At 2 s another: counted. At 5 s the window closes: verdict
*warn*, count 2. At 60 s another: same burst, and a window opens; it closes at 65 s and tells
nothing, as the level is the same. The next day another: a second burst, and when its window closes
the verdict is *degraded: diagnose*, with both counts in its reasons.

Cost: a symptom looks at the tracks of its node (at most 64) and at the bursts of its own (at most
32). `next_close` and `close_windows` look at the tracks of one node.
"""

from typing import NamedTuple

import msgspec

from parkade.core.healing.finding import find, meaning_of
from parkade.core.healing.ladder import Repair
from parkade.core.healing.memory import (
    MOST_BURSTS,
    MOST_REPAIRS,
    Announced,
    Burst,
    Finding,
    NodeMemory,
    Recovery,
    Track,
    find_track,
    put_recovery,
    put_track,
    with_name,
)
from parkade.core.healing.policy import Policy, PolicyRule, find_rule, rule_of_row
from parkade.core.healing.symptom import (
    RecoveryAction,
    RecoveryFact,
    Source,
    Symptom,
    XidFact,
    signals_of,
)
from parkade.core.healing.verdict import Level, Verdict


class Judgement(NamedTuple):
    """The memory to keep, and what is told now."""

    memory: NodeMemory
    verdicts: tuple[Verdict, ...]


def judge(memory: NodeMemory, symptom: Symptom, now_us: int, *, policy: Policy) -> Judgement:
    """Takes one symptom in. The symptom must be of the memory's node."""
    assert symptom.node == memory.node, "a symptom is judged with the memory of its node"
    memory, closed = close_windows(memory, now_us, policy=policy)
    if isinstance(symptom.fact, RecoveryFact):
        recovery = Recovery(device=symptom.device, action=symptom.fact.action, at_us=now_us)
        memory = put_recovery(memory, recovery)
    rule = find_rule(policy, symptom.fact, node=symptom.node, device=symptom.device)
    track = _seen(memory, symptom, now_us, rule=rule, policy=policy)
    memory = put_track(memory, track)
    finding = find(memory, track, rule, now_us, policy=policy)
    if finding.level is not Level.FATAL:
        return Judgement(memory, closed)
    memory, verdict = _tell(memory, track, rule, finding, now_us, policy=policy)
    return Judgement(memory, closed if verdict is None else (*closed, verdict))


def close_windows(memory: NodeMemory, now_us: int, *, policy: Policy) -> Judgement:
    """Tells what the windows that closed by `now_us` found, in the order in which they closed.

    Each is judged at the instant at which it closed, however late this is called.
    """
    due = [
        track
        for track in memory.tracks
        if track.closes_us is not None and track.closes_us <= now_us
    ]
    if not due:
        return Judgement(memory, ())
    due.sort(key=lambda track: (track.closes_us or 0, track.signal, track.device or ""))
    verdicts = []
    for track in due:
        assert track.closes_us is not None
        at_us = track.closes_us
        closed = msgspec.structs.replace(track, closes_us=None)
        memory = _replace(memory, closed)
        rule = rule_of_row(policy, closed.row, node=memory.node, device=closed.device)
        finding = find(memory, closed, rule, at_us, policy=policy)
        memory, verdict = _tell(memory, closed, rule, finding, at_us, policy=policy)
        if verdict is not None:
            verdicts.append(verdict)
    return Judgement(memory, tuple(verdicts))


def next_close(memory: NodeMemory) -> int | None:
    """The next instant at which `close_windows` has something to do; None without a window."""
    closes = [track.closes_us for track in memory.tracks if track.closes_us is not None]
    return min(closes, default=None)


def next_untold(memory: NodeMemory) -> int | None:
    """When the first window closes that may still tell something of a kernel's log. A fatal verdict
    is told at once: what its window still collects makes it no worse."""
    closes = [
        track.closes_us
        for track in memory.tracks
        if track.closes_us is not None
        and Source.KERNEL_LOG in track.sources
        and (track.announced is None or track.announced.level is not Level.FATAL)
    ]
    return min(closes, default=None)


def note_repair(memory: NodeMemory, repair: Repair) -> NodeMemory:
    """A repair ended: it counts on the ladder, and what comes after it is told anew."""

    def is_touched(device: str | None) -> bool:
        return repair.device in (None, device)

    tracks = tuple(
        msgspec.structs.replace(track, announced=None, evidence=(), closes_us=None)
        if is_touched(track.device)
        else track
        for track in memory.tracks
    )
    recoveries = tuple(each for each in memory.recoveries if not is_touched(each.device))
    repairs = (*memory.repairs, repair)[-MOST_REPAIRS:]
    return msgspec.structs.replace(memory, tracks=tracks, recoveries=recoveries, repairs=repairs)


def _seen(
    memory: NodeMemory, symptom: Symptom, now_us: int, *, rule: PolicyRule, policy: Policy
) -> Track:
    """The track of a symptom, with the symptom in its burst and its window."""
    signal = signals_of(symptom.fact)[0]
    before = find_track(memory, symptom.device, signal)
    finding = meaning_of(symptom, rule, policy)
    place = symptom.fact.place if isinstance(symptom.fact, XidFact) else None
    windows = policy.windows
    if before is not None and _goes_on(before, now_us, policy):
        burst = before.burst
        burst = msgspec.structs.replace(
            burst,
            last_us=max(now_us, burst.last_us),
            count=burst.count + 1,
            jobs=with_name(burst.jobs, symptom.job),
            places=with_name(burst.places, place),
        )
        is_worse = finding.level.rank > before.finding.level.rank
        source = symptom.evidence.source
        known = source in before.sources
        return msgspec.structs.replace(
            before,
            closes_us=now_us + windows.coalesce_us
            if before.closes_us is None
            else before.closes_us,
            finding=finding if is_worse else before.finding,
            row=rule.signal if is_worse else before.row,
            bursts=(*before.bursts[:-1], burst),
            sources=before.sources if known else (*before.sources, source),
            evidence=(*before.evidence[:1], symptom.evidence),
        )
    burst = Burst(
        start_us=now_us,
        last_us=now_us,
        count=1,
        jobs=with_name((), symptom.job),
        places=with_name((), place),
    )
    bursts = () if before is None else before.bursts
    return Track(
        device=symptom.device,
        signal=signal,
        closes_us=now_us + windows.coalesce_us,
        finding=finding,
        row=rule.signal,
        announced=None,
        bursts=(*bursts, burst)[-MOST_BURSTS:],
        sources=(symptom.evidence.source,),
        evidence=(symptom.evidence,),
    )


def _goes_on(track: Track, now_us: int, policy: Policy) -> bool:
    """Whether a symptom now belongs to the track's last burst: a repair ends a burst too."""
    if not track.evidence:
        return False
    burst, windows = track.burst, policy.windows
    return (
        now_us - burst.last_us < windows.burst_gap_us
        and now_us - burst.start_us < windows.burst_longest_us
    )


def _tell(
    memory: NodeMemory,
    track: Track,
    rule: PolicyRule,
    finding: Finding,
    now_us: int,
    *,
    policy: Policy,
) -> tuple[NodeMemory, Verdict | None]:
    """A verdict, unless one as bad was given for this burst already."""
    announced = track.announced
    if announced is not None and (
        announced.level.rank > finding.level.rank
        or (announced.level is finding.level and announced.action is finding.action)
    ):
        return memory, None
    burst = track.burst
    name = f"{memory.node}/{track.device or '-'}/{track.signal}@{burst.start_us}"
    if announced is not None:
        name = f"{name}+{burst.count}"
    verdict = Verdict(
        verdict=name,
        supersedes=_superseded(memory, track),
        node=memory.node,
        device=track.device,
        scope=rule.scope,
        signal=track.signal,
        level=finding.level,
        action=finding.action,
        reasons=finding.reasons,
        count=burst.count,
        jobs=burst.jobs,
        since_us=burst.start_us,
        at_us=now_us,
        sources=track.sources,
        evidence=track.evidence,
        policy=policy.version,
    )
    now_announced = Announced(verdict=name, level=finding.level, action=finding.action)
    return _replace(memory, msgspec.structs.replace(track, announced=now_announced)), verdict


def _superseded(memory: NodeMemory, track: Track) -> str | None:
    """The verdict that a new one replaces: the burst's own, or for a wish of the driver the last
    one on its device, whose action it overrides."""
    if track.announced is not None:
        return track.announced.verdict
    is_wish = track.signal.startswith("recovery/")
    if not is_wish or track.signal == f"recovery/{RecoveryAction.NONE.value}":
        return None
    others = [
        each
        for each in memory.tracks
        if each.device == track.device
        and each.announced is not None
        and each.signal != track.signal
    ]
    latest = max(others, key=lambda each: each.burst.last_us, default=None)
    return None if latest is None or latest.announced is None else latest.announced.verdict


def _replace(memory: NodeMemory, track: Track) -> NodeMemory:
    """The memory with a track in its own place."""
    tracks = tuple(
        track if each.signal == track.signal and each.device == track.device else each
        for each in memory.tracks
    )
    return msgspec.structs.replace(memory, tracks=tracks)
