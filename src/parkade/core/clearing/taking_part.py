"""Which workloads take no part in a clearing, and why; and what the others have the means for."""

from parkade.core.clearing.earmarks import SetAside, set_aside
from parkade.core.reservations.reservation import ReservationState
from parkade.core.running import unadmitted
from parkade.core.running.backoff import will_back_off
from parkade.core.state.world import World
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Workload

REQUEUED = frozenset(
    {
        Cause.OUTBID,
        Cause.BELOW_FLOOR,
        Cause.RECLAIMED,
        Cause.MOVED,
        Cause.RESIZED,
        Cause.HEALED,
        Cause.BUDGET,
        Cause.OPERATOR,
        Cause.LAPSED,
    }
)


def taking_part(
    world: World,
    candidates: list[Workload],
    now_us: int,
    too_many: frozenset[str],
) -> SetAside:
    """Workloads that take no part, and the one reason why; and what the others have the means
    for."""
    excluded: dict[str, str] = {}
    bidders: list[Workload] = []
    whys = {it.workload: _why_not(world, it, now_us) for it in candidates}
    kept_out: frozenset[str] = frozenset()
    if world.records.unadmitted:
        ready = [it for it in candidates if whys[it.workload] is None or it.attempt or it.promise]
        kept_out = unadmitted.kept_out(world, ready, now_us)
    for workload in candidates:
        why = whys[workload.workload]
        if why is None and workload.workload in kept_out:
            why = Why.NOT_ADMITTED
        if why is not None:
            excluded[workload.workload] = why
        elif workload.workload in too_many:
            excluded[workload.workload] = Why.ORG_STARTS
        elif workload.spec.capacity.kind is CapacityKind.SPOT:
            bidders.append(workload)
    means = set_aside(world, bidders, now_us)
    assert excluded.keys().isdisjoint(means.excluded)
    return means._replace(excluded=excluded | means.excluded)


def _why_not(world: World, workload: Workload, now_us: int) -> str | None:
    if workload.phase is Phase.HELD:
        return Why.DEPENDENCY if workload.why == Why.DEPENDENCY else Why.HELD
    attempt = workload.attempt
    stop = attempt.stop if attempt is not None else None
    if stop is not None and stop.cause not in REQUEUED:
        return stop.cause.value
    is_promised = workload.promise is not None
    if stop is not None and not is_promised and will_back_off(world, workload):
        return Why.BACK_OFF
    if workload.not_before_us > now_us and not is_promised and attempt is None:
        is_unadmitted = workload.why == Why.NOT_ADMITTED
        return Why.NOT_ADMITTED if is_unadmitted else Why.BACK_OFF
    if workload.spec.capacity.kind is CapacityKind.RESERVATION:
        reservation = world.records.reservations.get(workload.spec.capacity.reservation or "")
        if reservation is None or reservation.org != workload.org:
            return Why.RESERVATION_NOT_IN_FORCE
        if reservation.state is not ReservationState.IN_FORCE:
            return Why.RESERVATION_NOT_IN_FORCE
    return None
