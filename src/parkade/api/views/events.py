"""Events as shown: one line for people, and what belongs to the type, for those it concerns.

Of a clearing every user sees the public part, an org also its own lines; only an operator learns
the other winners. A token's digest is shown to no user.
"""

from typing import Any, assert_never

from parkade.api.translate.scalars import amount, instant, span
from parkade.api.views.audience import Owners, Reader, asked_by, audience, is_hidden_money
from parkade.api.views.clearings import (
    cleared,
    has_ranks,
    leave,
    node_names,
    rank_details,
    seat_details,
    spoken,
    stop_details,
)
from parkade.api.views.maintenance import told
from parkade.core.fleet.pool import Fence
from parkade.core.ledger.accounts import Transfer, org_account
from parkade.core.reservations.reservation import Lending
from parkade.core.state import events
from parkade.core.state.people import CapPeriod, Grant, OrgBounds
from parkade.core.units.indexes import written
from parkade.core.units.money import format_amount as money
from parkade.wire.feed import Event
from parkade.wire.scalars import format_amount, format_instant, format_span

Shown = tuple[str, dict[str, Any]]

FENCES = {
    Fence.UNNEEDED: "it needs none",
    Fence.NONE: "it is open, and sells spot only",
    Fence.ASKED: "it is asked for, and does not stand",
    Fence.STANDS: "it stands",
}


def event(sequence: int, event: events.AnyEvent, owners: Owners, reader: Reader) -> Event | None:
    """The event as this reader may see it, None where it may not."""
    seen_by, org, is_operator = audience(event, owners), reader.org, reader.is_operator
    if not (is_operator or seen_by.is_public or org in seen_by.orgs):
        return None
    if is_hidden_money(event, owners, reader):
        return None
    says, detail = _show(event, owners, reader)
    return Event(
        sequence=sequence,
        type=type(event).__name__,
        at=instant(event.at_us),
        by=asked_by(event, owners, reader),
        org=next(iter(sorted(seen_by.orgs)), None)
        if is_operator
        else (org if org in seen_by.orgs else None),
        says=says,
        detail=detail,
        **_names(event),
    )


def _names(event: events.AnyEvent) -> dict[str, str]:
    names = {}
    for kind in ("market", "workload", "reservation", "claim", "node"):
        value = getattr(event, kind, None)
        name = value if isinstance(value, str) else getattr(value, kind, None)
        if isinstance(name, str):
            names[kind] = name
    return names


def _show(event: events.AnyEvent, owners: Owners, reader: Reader) -> Shown:
    org = None if reader.is_operator else reader.org
    if isinstance(event, events.Cleared):
        return cleared(event, owners, org)
    if isinstance(event, events.ReservationDivided):
        part = event.part
        whose = "" if org is not None and part.org == org else f" of {part.org}"
        says = f"{event.reservation}: {part.nodes} nodes are {part.reservation}{whose} now"
        return says, {"part": part.reservation, "nodes": part.nodes}
    if isinstance(event, events.MoneyEvent):
        says, detail = _moved(event.transfers, org, may_see_income=reader.may_see_money)
        if isinstance(event, events.MoneyMoved) and event.reason is not None:
            return f"{says}: {event.reason}", {**detail, "reason": event.reason}
        return says, detail
    if isinstance(event, events.ServerEvent):
        return _server(event)
    if isinstance(event, events.MaintenanceEvent):
        return told(event)
    if isinstance(event, events.FleetEvent):
        return _fleet(event)
    if isinstance(event, events.AccountEvent):
        return _account(event)
    if isinstance(event, events.HealingEvent):
        return _healing(event)
    if isinstance(event, events.LeasingEvent):
        return _reserved(event)
    if isinstance(event, events.WorkloadEvent):
        return _workload(event)
    if isinstance(event, events.Forgotten):
        count = len(event.workloads) + len(event.reservations)
        return f"{count} records that ended long ago left", {"count": count}
    assert_never(event)


def _server(event: events.ServerEvent) -> Shown:
    match event:
        case events.EpochOpened(epoch=epoch):
            return f"the server began epoch {epoch}", {"epoch": epoch}
        case events.ClockJumped():
            return "the clock jumped; clearing stops until it is confirmed", {}
        case events.ClockConfirmed():
            return "the clock is confirmed; clearing goes on", {}
        case events.ClockAdvanced(by_us=0, unheard_us=unheard_us):
            words = f"no agent was heard in {unheard_us / 1e6:.0f} s before the server began"
            return words, {"seconds": unheard_us / 1e6}
        case events.ClockAdvanced(by_us=by_us):
            words = f"the clock went ahead by {by_us / 1e6:.0f} s in which no time passed"
            return words, {"seconds": by_us / 1e6}
        case _:
            assert_never(event)


def _fleet(event: events.FleetEvent) -> Shown:
    match event:
        case events.PoolOpened(pool=pool, nodes=nodes):
            return f"pool {pool.pool} opened with {len(nodes)} nodes", {"nodes": len(nodes)}
        case events.NodesAdded(pool=pool_name, nodes=nodes):
            return f"{len(nodes)} nodes added to pool {pool_name}", {"nodes": len(nodes)}
        case events.PoolClosed(pool=pool_name, markets=markets):
            return f"pool {pool_name} closed", {"markets": list(markets)}
        case events.TermsAnnounced(market=name, announced=announced):
            begins = format_instant(instant(announced.from_us))
            return f"{name}: new terms from {begins}", {"from": begins}
        case events.TermsChanged(market=name):
            return f"{name}: new terms are in force", {}
        case events.NodeDraining(node=node, reason=reason):
            return f"node {node} is draining: {reason}", {"reason": reason}
        case events.NodeUndrained(node=node):
            return f"node {node} takes work again", {}
        case events.NodeRemoved(node=node):
            return f"node {node} removed", {}
        case events.PricesSet():
            sheet = {
                "pay_as_you_go": event.pay_as_you_go_micros,
                "reservation_rate": event.reservation_rate_micros,
                "public_floor": event.public_floor_micros,
            }
            says = ", ".join(f"{name} {money(price)}" for name, price in sheet.items())
            return f"{event.market}: new prices: {says}", {k: money(v) for k, v in sheet.items()}
        case events.NodeHealthSet(node=node, health=health, reason=reason):
            why = f": {reason}" if reason else ""
            return f"node {node} is {health}{why}", {"health": health.value, "reason": reason}
        case events.NodeCordoned(node=node, cordon=cordon):
            detail = {"holder": cordon.holder, "reason": cordon.reason}
            return f"node {node} cordoned by {cordon.holder}: {cordon.reason}", detail
        case events.NodeUncordoned(node=node, holder=holder):
            return f"node {node} uncordoned by {holder}", {"holder": holder}
        case events.ReachabilityChanged(pool=pool_name, is_reachable=is_reachable):
            if (changes := event.resizes_live) is not None:
                says = f"changes {'work' if changes else 'nothing'} that runs"
                return f"the engine of pool {pool_name} {says}", {"resizes_live": changes}
            says = "is heard" if is_reachable else "fell silent"
            return f"the agent of pool {pool_name} {says}", {"is_reachable": is_reachable}
        case events.FenceSet(pool=pool_name, fence=fence):
            return f"the fence of pool {pool_name}: {FENCES[fence]}", {"fence": fence.value}
        case _:
            assert_never(event)


def _healing(event: events.HealingEvent) -> Shown:
    match event:
        case events.RepairsKnown(pool=pool, kinds=kinds):
            able = ", ".join(kinds) or "nothing"
            return f"the agent of pool {pool} can {able}", {"kinds": [it.value for it in kinds]}
        case events.AutomationSet(automation=automation):
            state = "acts" if automation.is_on else "is stopped"
            because = f": {automation.reason}" if automation.reason else ""
            return f"automatic action {state}{because}", {"is_on": automation.is_on}
        case events.VerdictGiven(node=node, verdict=verdict, incident=incident):
            says = f"{node}: {verdict.level}, {verdict.signal}, {verdict.action}"
            detail = {
                "level": verdict.level.value,
                "signal": verdict.signal,
                "action": verdict.action.value,
                "device": verdict.device,
                "reasons": list(verdict.reasons),
                "evidence": [each.line for each in verdict.evidence],
                "policy": verdict.policy,
            }
            return says, {**detail, "incident": incident}
        case events.IncidentOpened(node=node, incident=begun):
            held = f"; held: {begun.held.value}" if begun.held is not None else ""
            detail = {"incident": begun.incident, "held": begun.held and begun.held.value}
            return f"{begun.incident} on {node}: {begun.signal}{held}", detail
        case events.IncidentHeld(incident=name, held=held_by):
            words = "let through" if held_by is None else f"still held: {held_by.value}"
            return f"{name}: {words}", {"incident": name, "held": held_by and held_by.value}
        case events.IncidentTurned(incident=name, next=upcoming, says=why):
            return f"{name}: {why}", {"incident": name, "next": upcoming.value}
        case events.RepairOrdered(node=node, order=order):
            detail = {"incident": order.incident, "order": order.order, "kind": order.kind.value}
            return f"{node}: {order.kind} ordered", detail
        case events.RepairEnded(node=node, incident=name, report=report, says=words):
            ended: dict[str, Any] = {
                "incident": name,
                "order": report.order,
                "is_done": report.is_done,
                "exit_code": report.exit_code,
            }
            return f"{node}: {words}: {report.says}"[:400], ended
        case events.TurnaroundOrdered(node=node, order=order):
            return f"{node}: sanitised before another org comes", {"order": order.order}
        case events.TurnaroundEnded(node=node, report=report, took_us=took_us):
            how = "sanitised" if report.is_done else "could not be sanitised"
            words = f": {report.says}" if report.says else ""
            return f"{node}: {how} in {took_us / 1e6:.1f} s{words}"[:400], {
                "order": report.order,
                "is_done": report.is_done,
                "exit_code": report.exit_code,
                "seconds": took_us / 1e6,
            }
        case events.SurroundingsKnown(pool=pool, nodes=nodes):
            return f"pool {pool}: racks, switches, drivers of {len(nodes)} nodes", {
                "nodes": len(nodes)
            }
        case events.BuffersSized(market=market, fabrics=fabrics):
            sizes = {each.fabric: each.held for each in fabrics}
            words = ", ".join(f"{nodes} of {fabric}" for fabric, nodes in sizes.items())
            return f"{market}: the buffers hold {words}"[:400], {"held": sizes}
        case events.NodeSanitised(node=node):
            return f"{node}: clean, any org may come", {}
        case events.IncidentClosed(node=node, incident=name, outcome=outcome, says=words):
            return f"{name} on {node}: {outcome}, {words}", {
                "incident": name,
                "outcome": outcome.value,
            }
        case _:
            assert_never(event)


def _account(event: events.AccountEvent) -> Shown:
    match event:
        case events.OrgCreated(org=org):
            return f"org {org.org} created", {}
        case events.GrantSet(org=org_name, grant=Grant() as grant):
            upcoming = format_instant(instant(grant.next_us))
            says = f"{org_name}: is granted {money(grant.micros)}, next at {upcoming}"
            return says, {"amount": money(grant.micros), "next": upcoming}
        case events.GrantSet(org=org_name):
            return f"{org_name}: is granted nothing any more", {}
        case events.CapSet(user=name, cap_micros=cap, period=period, most_gpus=gpus):
            says, told = _cap(cap, period, gpus)
            return f"user {name}: {says}", {"user": name, **told}
        case events.OrgCapSet(org=org_name, cap=whole):
            says, told = _cap(None, CapPeriod.TOTAL, None)
            if whole is not None:
                says, told = _cap(whole.micros, whole.period, whole.most_gpus)
            return f"org {org_name}: {says}", told
        case events.OrgBoundsSet(org=org_name, bounds=bounds):
            names = OrgBounds.__struct_fields__
            told = {name: None if bounds is None else getattr(bounds, name) for name in names}
            parts = (f"{name} {told[name] or 'default'}" for name in names)
            return f"org {org_name}: {', '.join(parts)}".replace("_", " "), told
        case events.OrgDescribed(org=org_name, title=title, contact=contact):
            says = f"title {title or 'none'}, contact {contact or 'none'}"
            return f"org {org_name}: {says}", {"title": title, "contact": contact}
        case events.CapNoted(org=org_name, user=user_name, spent_micros=spent, cap_micros=most):
            whose = f"org {org_name}" if user_name is None else f"user {user_name}"
            told = {"user": user_name, "spent": money(spent), "cap": money(most)}
            says = f"{whose}: four fifths of its cap are spent, {money(spent)} of {money(most)}"
            return says, {**told, "period": event.period.value}
        case events.OrgDisabled(org=org_name, is_disabled=is_disabled):
            says = "disabled: its work ends with notice" if is_disabled else "enabled"
            return f"org {org_name} {says}", {"is_disabled": is_disabled}
        case events.UserDisabled(user=name, is_disabled=is_disabled):
            says = f"user {name} {'disabled' if is_disabled else 'enabled'}"
            return says, {"user": name, "is_disabled": is_disabled}
        case events.UserDeleted(user=name):
            return f"user {name} deleted", {"user": name}
        case events.OrgDeleted(org=org_name):
            return f"org {org_name} deleted", {}
        case events.UserRoleSet(user=name, role=role):
            return f"user {name} is {role.value} from now on", {"user": name, "role": role.value}
        case events.UnixNameSet(user=name, unix_name=unix_name):
            runs_as = "the agent's own user" if unix_name is None else unix_name
            says = f"user {name}: new attempts run as {runs_as}"
            return says, {"user": name, "unix_name": unix_name}
        case events.UserCreated(user=user):
            return f"user {user.user} created in {user.org} as {user.role}", {"user": user.user}
        case events.TokenAdded(token=token):
            return f"token {token.token} made for {token.user}", {"token": token.token}
        case events.TokenRevoked(token=name):
            return f"token {name} revoked", {"token": name}
        case _:
            assert_never(event)


def _cap(micros: int | None, period: CapPeriod, gpus: int | None) -> Shown:
    told = {
        "cap": None if micros is None else money(micros),
        "period": period.value,
        "most_gpus": gpus,
    }
    parts = [] if micros is None else [money(micros) + (" a month" if period == "month" else "")]
    parts += [] if gpus is None else [f"{gpus} GPUs at once"]
    return f"cap {', '.join(parts) or 'lifted'}", told


def _reserved(event: events.LeasingEvent) -> Shown:
    match event:
        case events.Reserved(reservation=sold):
            shape = " + ".join(f"{nodes} in {fabric}" for fabric, nodes in sold.shape)
            rate = money(sold.rate_micros)
            return f"{sold.reservation}: reserved {shape} at {rate} per GPU-hour", {"rate": rate}
        case events.ReservationChanged(reservation=name, state=state, end_us=end_us):
            end = None if end_us is None else format_instant(instant(end_us))
            until = f" until {end}" if end and not state.value.startswith("ended") else ""
            return f"{name}: {state.value.replace('_', ' ')}{until}", {
                "state": state.value,
                "end": end,
            }
        case events.LendingSet(reservation=name, lending=Lending() as lending):
            floor = money(lending.floor_micros)
            says = f"{name}: lends its idle nodes from {floor}, keeps {lending.keep}"
            return says, {"floor": floor, "keep": lending.keep}
        case events.LendingSet(reservation=name):
            return f"{name}: lends nothing any more", {}
        case events.Claimed(claim=claim):
            says = f"{claim.claim}: claims {claim.nodes} of {claim.reservation}'s nodes"
            if claim.runs_on:
                says += f": its job runs on {', '.join(claim.runs_on)}"
            return says, {"nodes": claim.nodes}
        case events.ClaimSeated(claim=name, nodes=tuple(nodes), runs_there=True):
            says = f"{name}: {', '.join(nodes)}, where its job runs: the owner's"
            return says, {"nodes": list(nodes)}
        case events.ClaimSeated(claim=name, nodes=tuple(nodes)):
            are = "is" if len(nodes) == 1 else "are"
            return f"{name}: {', '.join(nodes)} {are} free and the owner's", {"nodes": list(nodes)}
        case events.ClaimSeated(claim=name):
            return f"{name}: all its nodes are free and the owner's", {}
        case events.Unclaimed(claim=name):
            return f"{name}: given up, its nodes are idle", {}
        case _:
            assert_never(event)


def _workload(event: events.WorkloadEvent) -> Shown:
    match event:
        case events.Submitted(workload=workload):
            spec = workload.spec
            nodes = f"{spec.nodes} to {spec.most_nodes}" if spec.is_elastic else f"{spec.nodes}"
            shape = f"{nodes} × {spec.gpus} GPUs"
            says = f"{workload.workload} {spec.name}: submitted, {shape}, {spec.capacity}"
            return says, {"name": spec.name, "phase": workload.phase.value}
        case events.Resubmitted(workload=workload):
            says = f"{workload.workload} {workload.spec.name}: submitted again from its checkpoints"
            return says, {"name": workload.spec.name, "phase": workload.phase.value}
        case events.PhaseChanged(workload=name, phase=phase, why=why):
            because = f" ({spoken(why)})" if why not in ("", phase.value) else ""
            return f"{name}: {phase}{because}", {"phase": phase.value, "why": why}
        case events.DependenciesMet(workload=name, met=met, phase=phase, why=why):
            named = ", ".join(str(it) for it in met)
            changed = {"met": named, "phase": phase.value, "why": why}
            return f"{name}: met {named}; {phase} ({spoken(why)})", changed
        case events.BidChanged(workload=name, limit_price_micros=limit, members=some):
            whose = f"{name}[{written(some)}]" if some else name
            changed = {"limit_price": money(limit)}
            if event.market is None:
                return f"{whose}: limit now {money(limit)}", changed
            where = {"market": event.market}
            return f"{whose}: limit in {event.market} now {money(limit)}", changed | where
        case events.BoundsChanged(workload=name, members=some):
            return _bounded(f"{name}[{written(some)}]" if some else name, event)
        case events.FellBack(workload=name, must_end_us=ends_us):
            ends = format_instant(instant(ends_us))
            return f"{name}: on-demand from now on, for its deadline", {"must_end": ends}
        case events.EntryTaken(workload=name, capacity=capacity):
            return f"{name}: its capacity is {capacity} now", {"capacity": str(capacity)}
        case events.MembersOpened(workload=name, members=some):
            return f"{name}[{written(some)}]: opened", {"members": written(some)}
        case events.MembersEnded(workload=name, members=some, phase=phase, why=why):
            told = {"members": written(some), "phase": phase.value, "why": why}
            return f"{name}[{written(some)}]: {phase}", told
        case events.MembersRetried(workload=name, members=some):
            return f"{name}[{written(some)}]: to be run again", {"members": written(some)}
        case events.StopOrdered(workload=name, stop=stop, phase=phase):
            return f"{name}: told to leave, {leave(stop)}", {
                "phase": phase.value,
                **stop_details(stop),
            }
        case events.Launched(workload=name, attempt=attempt):
            detail = {"attempt": attempt.attempt, "seats": seat_details(attempt.seats)}
            return f"{name}: starting on {node_names(attempt.seats)}", detail
        case events.Started(workload=name, attempt=attempt_id):
            return f"{name}: running", {"attempt": attempt_id}
        case events.Checkpointed(workload=name, step=step):
            return f"{name}: checkpoint at step {step}", {"step": step}
        case events.Broken(workload=name, attempt=attempt_id):
            return f"{name}: a node of it failed", {"attempt": attempt_id}
        case events.RanksChanged(workload=name, attempt=attempt_id, ranks=ranks):
            shown_ranks = {"attempt": attempt_id, "ranks": rank_details(ranks)}
            return f"{name}: {has_ranks(ranks)}", shown_ranks
        case events.Ended(workload=name, phase=phase, why=why, summary=summary):
            saved = "saved" if event.is_saved else ""
            parts = (spoken(why) if why != phase.value else "", saved, summary)
            because = ", ".join(filter(None, parts))
            says = f"{name}: {phase}" + (f" ({because})" if because else "")
            cause = event.cause.value if event.cause else None
            shown = {"phase": phase.value, "why": why, "exit": summary, "cause": cause}
            return says, {**shown, "saved": event.is_saved}
        case events.ExecOpened(workload=name, rank=rank, program=program):
            kind = "a terminal" if event.has_terminal else "a command"
            where = {"attempt": event.attempt, "session": event.session}
            what = {"rank": rank, "program": program, "terminal": event.has_terminal}
            return f"{name}: {kind} beside rank {rank}, {program}", {**where, **what}
        case events.BudgetNoted(workload=name):
            return f"{name}: four fifths of max_spend are spent", {}
        case _:
            assert_never(event)


def _bounded(whose: str, event: events.BoundsChanged) -> Shown:
    most, lasts_us = event.max_spend_micros, event.max_duration_us
    told: dict[str, object] = {
        "max_spend": None if most is None else money(most),
        "max_duration": None if lasts_us is None else format_span(span(lasts_us)),
    }
    if event.must_end_us is not None:
        told["must_end"] = format_instant(instant(event.must_end_us))
    says = ", ".join(f"{name} {told[name] or 'none'}" for name in ("max_spend", "max_duration"))
    return f"{whose}: now {says}", told


def _moved(transfers: tuple[Transfer, ...], org: str | None, *, may_see_income: bool) -> Shown:
    """`org` None: an operator, which sees all of it. A member sees what its org pays, and not what
    it earns by lending to itself."""
    own = None if org is None else org_account(org)
    lines = []
    for transfer in transfers:
        if own not in (None, transfer.debit, transfer.credit):
            continue
        if own is not None and transfer.debit != own and not may_see_income:
            continue
        sign = -1 if transfer.debit == own else 1
        lines.append(
            {
                "kind": transfer.kind.value,
                "amount": format_amount(amount(sign * transfer.micros)),
                "from": transfer.debit,
                "to": transfer.credit,
            }
        )
    says = ", ".join(f"{line['kind'].replace('_', ' ')} {line['amount']}" for line in lines[:6])
    return says, {"transfers": lines}
