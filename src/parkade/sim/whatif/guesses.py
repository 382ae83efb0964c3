"""Which commands an event may come from: a journal keeps what happened, not what was asked.

Each guess is complete, so that deciding it again shows whether it is the right one (`explain`).
What an agent reported is in `reported`.
"""

from collections.abc import Iterator

import msgspec

from parkade.core.fleet.market import Market
from parkade.core.fleet.node import OBSERVED, Health, Node
from parkade.core.ledger.accounts import TransferKind, org_account
from parkade.core.state import commands, events
from parkade.core.state.people import CapPeriod, OrgBounds
from parkade.core.state.world import World
from parkade.core.workloads.life import Phase, Why
from parkade.sim.whatif.others import of_others
from parkade.sim.whatif.reported import reports, stops

Guesses = Iterator[commands.AnyCommand]


def guesses(world: World, event: events.AnyEvent) -> Guesses:
    """Commands after which this event may come, among others; `world` is that before it."""
    yield from of_others(world, event)
    match event:
        case events.Cleared(market=market):
            yield commands.RunClearing(by=None, market=market)
        case (
            events.Started()
            | events.Checkpointed()
            | events.UsePosted()
            | events.RanksChanged()
            | events.Ended()
            | events.BudgetNoted()
        ):
            yield from reports(world, event)
        case events.StopOrdered():
            yield from stops(world, event)
        case events.Submitted() | events.PhaseChanged() | events.BidChanged():
            yield from _of_users(world, event)
        case events.BoundsChanged():
            yield from _of_bounds(event)
        case events.Resubmitted(workload=it):
            yield commands.Resubmit(
                by=event.by,
                workload=it.workload,
                limit_price_micros=it.spec.limit_price_micros,
                max_spend_micros=commands.NewBound(value=it.spec.max_spend_micros),
                max_duration_us=commands.NewBound(value=it.spec.max_duration_us),
            )
        case events.MembersEnded() | events.MembersRetried():
            yield from _of_arrays(event)
        case (
            events.Reserved()
            | events.ReservationChanged()
            | events.LendingSet()
            | events.Claimed()
            | events.Unclaimed()
        ):
            yield from _of_owners(event)
        case (
            events.OrgCreated()
            | events.UserCreated()
            | events.TokenAdded()
            | events.TokenRevoked()
            | events.MoneyMoved()
            | events.GrantSet()
            | events.CapSet()
            | events.OrgCapSet()
            | events.OrgBoundsSet()
            | events.OrgDescribed()
            | events.UnixNameSet()
            | events.OrgDisabled()
            | events.UserDisabled()
            | events.UserDeleted()
            | events.OrgDeleted()
            | events.UserRoleSet()
        ):
            yield from _of_accounts(world, event)
        case events.EpochOpened() | events.ClockConfirmed():
            yield from _of_the_writer(event)
        case (
            events.VerdictGiven()
            | events.RepairEnded()
            | events.TurnaroundEnded()
            | events.AutomationSet()
            | events.RepairsKnown()
            | events.SurroundingsKnown()
        ):
            yield from _of_healing(world, event)
        case events.ReservationDivided(reservation=name, part=part):
            whole = world.records.reservations[name]
            org = None if part.org == whole.org else part.org
            yield commands.SplitReservation(
                by=event.by, reservation=name, nodes=part.nodes, name=part.reservation, org=org
            )
            yield commands.ShrinkReservation(by=event.by, reservation=name, nodes=part.nodes)
        case events.ExecOpened():
            yield commands.OpenExec(
                by=event.by,
                workload=event.workload,
                session=event.session,
                rank=event.rank,
                program=event.program,
                has_terminal=event.has_terminal,
            )
        case events.WithdrawalCharged(market=market) | events.ReservationSettled(market=market):
            # Where it comes first, a clearing or what follows it says more.
            yield commands.RunClearing(by=None, market=market)
        case _:
            yield from _of_operators(world, event)


def _of_bounds(event: events.BoundsChanged) -> Guesses:
    """The event tells both bounds, whichever was changed."""
    spend = commands.NewBound(value=event.max_spend_micros)
    lasts = commands.NewBound(value=event.max_duration_us)
    name, members = event.workload, event.members or None
    both = ((spend, lasts), (None, lasts), (spend, None))
    for most, longest in ((None, lasts),) if "_" in name or members else both:
        yield commands.ChangeBounds(
            by=event.by,
            workload=name,
            max_spend_micros=most,
            max_duration_us=longest,
            members=members,
        )


def _of_arrays(event: events.MembersEnded | events.MembersRetried) -> Guesses:
    """Of members that wait; what befell open ones follows, each by a command of its own."""
    match event:
        case events.MembersEnded(workload=name, members=members, phase=Phase.CANCELLED):
            yield commands.Cancel(by=event.by, workload=name, now=False, members=members)
        case events.MembersRetried(workload=name, members=members):
            yield commands.Retry(by=event.by, workload=name, members=members)
        case _:
            return


def _type_in(world: World, name: str, market: str | None) -> str | None:
    """What a bid with several markets calls the one; None where it bids in one."""
    workload = world.records.workloads.get(name)
    choices = () if workload is None else workload.spec.choices
    return next((it.instance_type for it in choices if it.market == market), None)


def _of_users(
    world: World, event: events.Submitted | events.PhaseChanged | events.BidChanged
) -> Guesses:
    by = event.by
    match event:
        case events.Submitted(workload=it):
            yield commands.Submit(
                by=by,
                org=it.org,
                market=it.market,
                spec=it.spec,
                is_held=it.phase is Phase.HELD and it.why != Why.DEPENDENCY,
            )
        case events.BidChanged(workload=name, limit_price_micros=limit, members=members):
            if event.market is not None:
                yield commands.ChangeBid(by=by, workload=name, limit_price_micros=limit)
            yield commands.ChangeBid(
                by=by,
                workload=name,
                limit_price_micros=limit,
                members=members or None,
                instance_type=_type_in(world, name, event.market),
            )
        case events.PhaseChanged(workload=name, phase=Phase.HELD, why=Why.DEPENDENCY):
            yield commands.Release(by=by, workload=name)
        case events.PhaseChanged(workload=name, phase=Phase.HELD):
            yield commands.Hold(by=by, workload=name)
        case events.PhaseChanged(workload=name, phase=Phase.QUEUED):
            yield commands.Release(by=by, workload=name)
        case events.PhaseChanged(workload=name, phase=Phase.CANCELLED):
            yield commands.Cancel(by=by, workload=name, now=False)
        case _:
            return


def _of_owners(
    event: events.Reserved
    | events.ReservationChanged
    | events.LendingSet
    | events.Claimed
    | events.Unclaimed,
) -> Guesses:
    by = event.by
    match event:
        case events.Reserved(reservation=it):
            for name in (it.reservation, None):
                yield commands.Reserve(
                    by=by,
                    org=it.org,
                    market=it.market,
                    name=name,
                    nodes=it.nodes,
                    start_us=it.window.start_us,
                    end_us=it.window.end_us,
                )
        case events.ReservationChanged(reservation=name, end_us=end_us):
            yield commands.EndReservation(by=by, reservation=name)
            if end_us is not None:
                yield commands.ExtendReservation(by=by, reservation=name, end_us=end_us)
        case events.LendingSet(reservation=name, lending=lending):
            yield commands.Lend(
                by=by,
                reservation=name,
                floor_micros=None if lending is None else lending.floor_micros,
                keep=None if lending is None else lending.keep,
            )
        case events.Claimed(claim=it):
            yield commands.MakeClaim(by=by, reservation=it.reservation, nodes=it.nodes)
        case events.Unclaimed(claim=name):
            yield commands.Unclaim(by=by, claim=name)


def _of_accounts(
    world: World,
    event: events.OrgCreated
    | events.UserCreated
    | events.TokenAdded
    | events.TokenRevoked
    | events.MoneyMoved
    | events.GrantSet
    | events.CapSet
    | events.OrgCapSet
    | events.OrgBoundsSet
    | events.OrgDescribed
    | events.UnixNameSet
    | events.OrgDisabled
    | events.UserDisabled
    | events.UserDeleted
    | events.OrgDeleted
    | events.UserRoleSet,
) -> Guesses:
    by = event.by
    match event:
        case events.OrgCreated(org=it):
            yield commands.CreateOrg(by=by, org=it.org)
        case events.UserCreated(user=it):
            yield commands.CreateUser(
                by=by, user=it.user, org=it.org, role=it.role, unix_name=it.unix_name
            )
        case events.TokenAdded(token=it):
            lasts_us = None if it.expires_us is None else it.expires_us - event.at_us
            for lasts in (None, lasts_us) if it.made_with else (lasts_us,):
                yield commands.AddToken(
                    by=by,
                    token=it.token,
                    user=it.user,
                    digest=it.digest,
                    pool=it.pool,
                    is_read_only=it.is_read_only,
                    lasts_us=lasts,
                    made_with=it.made_with,
                )
        case events.TokenRevoked(token=name):
            yield commands.RevokeToken(by=by, token=name)
        case events.GrantSet(org=org, grant=grant):
            micros, every_us = (0, 0) if grant is None else (grant.micros, grant.every_us)
            yield commands.SetGrant(by=by, org=org, micros=micros, every_us=every_us)
        case events.CapSet(user=user, cap_micros=cap, period=period, most_gpus=gpus):
            yield commands.SetCap(by=by, user=user, cap_micros=cap, period=period, most_gpus=gpus)
        case events.OrgBoundsSet(org=org, bounds=bounds):
            own = OrgBounds() if bounds is None else bounds
            yield commands.SetOrgBounds(
                by=by,
                org=org,
                open_workloads=own.open_workloads,
                submits_per_minute=own.submits_per_minute,
                starts_per_minute=own.starts_per_minute,
            )
        case events.OrgDescribed(org=org, title=title, contact=contact):
            yield commands.DescribeOrg(by=by, org=org, title=title or "", contact=contact or "")
        case events.OrgCapSet(org=org, cap=whole):
            yield commands.SetOrgCap(
                by=by,
                org=org,
                cap_micros=None if whole is None else whole.micros,
                period=CapPeriod.TOTAL if whole is None else whole.period,
                most_gpus=None if whole is None else whole.most_gpus,
            )
        case events.OrgDisabled(org=org, is_disabled=is_disabled):
            yield commands.SetOrgDisabled(by=by, org=org, is_disabled=is_disabled)
        case events.UserDisabled(user=user, is_disabled=is_disabled):
            yield commands.SetUserDisabled(by=by, user=user, is_disabled=is_disabled)
        case events.UserDeleted(user=user):
            yield commands.DeleteUser(by=by, user=user)
        case events.OrgDeleted(org=org):
            yield commands.DeleteOrg(by=by, org=org)
        case events.UserRoleSet(user=user, role=role):
            yield commands.SetUserRole(by=by, user=user, role=role)
        case events.UnixNameSet(user=user, unix_name=name):
            yield commands.SetUnixName(by=by, user=user, unix_name=name)
        case events.MoneyMoved():
            yield from _of_money(world, event)


def _of_money(world: World, event: events.MoneyMoved) -> Guesses:
    orgs = {org_account(org): org for org in world.records.orgs}
    for paid in event.transfers[:1]:
        match paid.kind:
            case TransferKind.DEPOSIT if paid.credit in orgs:
                org = orgs[paid.credit]
                yield commands.Deposit(by=event.by, org=org, micros=paid.micros)
            case TransferKind.REFUND | TransferKind.DISBURSEMENT:
                is_refund = paid.kind is TransferKind.REFUND
                org = orgs.get(paid.credit if is_refund else paid.debit, "")
                yield commands.Adjust(
                    by=event.by,
                    org=org,
                    micros=paid.micros,
                    is_refund=is_refund,
                    reason=event.reason or "",
                )
            case _:
                return


def _of_the_writer(event: events.EpochOpened | events.ClockConfirmed) -> Guesses:
    match event:
        case events.EpochOpened(installation=str() as installation, lineage=str() as lineage):
            yield commands.OpenEpoch(
                by=event.by,
                installation=installation,
                lineage=lineage,
                accepts_agents=event.accepts_agents,
                least=event.epoch,
            )
        case events.ClockConfirmed():
            yield commands.ConfirmClock(by=event.by)
        case _:
            return


def _of_healing(
    world: World,
    event: events.VerdictGiven
    | events.RepairEnded
    | events.TurnaroundEnded
    | events.AutomationSet
    | events.RepairsKnown
    | events.SurroundingsKnown,
) -> Guesses:
    by = event.by
    match event:
        case events.VerdictGiven(node=node, verdict=verdict):
            if node in world.records.nodes:
                pool = world.records.nodes[node].pool
                yield commands.ReportVerdict(by=by, pool=pool, verdict=verdict)
        case (
            events.RepairEnded(node=node, report=report)
            | events.TurnaroundEnded(node=node, report=report)
        ):
            if node in world.records.nodes:
                pool = world.records.nodes[node].pool
                yield commands.ReportRepair(by=by, pool=pool, report=report)
        case events.AutomationSet(automation=it):
            fabric, fleet = it.guards.fabric_share, it.guards.fleet_share
            yield commands.SetAutomation(
                by=by,
                reason=it.reason,
                is_on=it.is_on,
                is_limited=it.is_limited,
                fabric_share=fabric,
                fleet_share=fleet,
            )
        case events.RepairsKnown(pool=pool, kinds=kinds):
            yield commands.ReportRepairKinds(by=by, pool=pool, kinds=kinds)
        case events.SurroundingsKnown(pool=pool, nodes=nodes):
            yield commands.ReportSurroundings(by=by, pool=pool, nodes=nodes)


def _of_operators(world: World, event: events.AnyEvent) -> Guesses:
    by = event.by
    match event:
        case events.PoolOpened(pool=it):
            yield commands.OpenPool(
                by=by,
                pool=it.pool,
                site=it.site,
                supplier=it.supplier,
                engine=it.engine,
                supply=_supply(event.market, event.nodes),
            )
        case events.NodesAdded(pool=pool):
            supply = _supply(event.market, event.nodes)
            yield commands.AddNodes(by=by, pool=pool, supply=supply)
        case events.NodeDraining(node=node, reason=reason):
            if reason == OBSERVED and (found := world.node(node)) is not None:
                yield commands.ObservePool(by=by, pool=found.pool, is_on=True)
            yield commands.DrainNode(by=by, node=node, reason=reason)
        case events.NodeUndrained(node=node):
            found = world.node(node)
            if found is not None and found.drain_reason == OBSERVED:
                yield commands.ObservePool(by=by, pool=found.pool, is_on=False)
            yield commands.UndrainNode(by=by, node=node)
        case events.MaintenanceScheduled(maintenance=planned):
            yield commands.ScheduleMaintenance(
                by=by,
                nodes=planned.nodes,
                start_us=planned.window.start_us,
                end_us=planned.end_us,
                reason=planned.reason,
                is_forced=True,
            )
        case events.MaintenanceChanged(maintenance=name, window=window):
            yield commands.ChangeMaintenance(
                by=by,
                maintenance=name,
                start_us=window.start_us,
                end_us=window.end_us,
                is_forced=True,
            )
        case events.MaintenanceEnded(maintenance=name, is_cancelled=True):
            yield commands.CancelMaintenance(by=by, maintenance=name)
        case events.NodeRemoved(node=node):
            yield commands.RemoveNode(by=by, node=node)
        case events.PoolClosed(pool=pool):
            yield commands.ClosePool(by=by, pool=pool)
        case events.NodeHealthSet(node=node, health=Health.FAILED, reason=reason):
            yield commands.FailNode(by=by, node=node, reason=reason)
        case events.NodeHealthSet(node=node) | events.IncidentOpened(node=node):
            yield commands.RestoreNode(by=by, node=node)
        case events.IncidentClosed(node=node):
            yield commands.RestoreNode(by=by, node=node)
            yield commands.RemoveNode(by=by, node=node)
        case events.NodeCordoned(node=node, cordon=cordon):
            yield commands.CordonNode(by=by, node=node, reason=cordon.reason)
        case events.NodeUncordoned(node=node):
            yield commands.UncordonNode(by=by, node=node)
        case events.ReachabilityChanged(pool=pool, is_reachable=is_reachable):
            yield commands.ReportReachability(
                by=by, pool=pool, is_reachable=is_reachable, resizes_live=event.resizes_live
            )
        case events.PricesSet():
            yield commands.SetPrices(
                by=by,
                market=event.market,
                pay_as_you_go_micros=event.pay_as_you_go_micros,
                reservation_rate_micros=event.reservation_rate_micros,
                public_floor_micros=event.public_floor_micros,
                is_meant=True,
            )
        case events.TermsChanged() | events.TermsAnnounced():
            yield from _of_terms(world, event)
        case _:
            return


def _of_terms(world: World, event: events.TermsChanged | events.TermsAnnounced) -> Guesses:
    market = world.records.markets.get(event.market)
    if market is None:
        return
    match event:
        case events.TermsChanged(terms=terms):
            from_us = None
        case events.TermsAnnounced(announced=announced):
            terms, from_us = announced.terms, announced.from_us
    present = msgspec.structs.asdict(market.terms)
    given = {
        field: value
        for field in commands.TermsChange.__struct_fields__
        if field in present and (value := getattr(terms, field)) != present[field]
    }
    change = commands.TermsChange.to(given)
    yield commands.ChangeTerms(by=event.by, market=event.market, change=change, from_us=from_us)


def _supply(market: Market | None, nodes: tuple[Node, ...]) -> commands.Supply:
    fabrics: dict[str, list[str]] = {}
    for node in nodes:
        fabrics.setdefault(node.fabric, []).append(node.node)
    opens = (
        None
        if market is None
        else commands.NewMarket(instance_type=market.instance_type, terms=market.terms)
    )
    return commands.Supply(
        market=nodes[0].market,
        opens=opens,
        fabrics=tuple((fabric, tuple(names)) for fabric, names in fabrics.items()),
    )
