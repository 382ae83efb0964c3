"""Every call of the API by its name; `Client` and `AsyncClient` offer them as methods."""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

from parkade.client.call import Call, checked, get, post
from parkade.wire import (
    costs,
    effects,
    feed,
    maintenance,
    mars,
    money,
    people,
    pools,
    reservations,
    workloads,
)
from parkade.wire import lot as lots
from parkade.wire.spec import WorkloadSpec


def _id(text: str) -> str:
    return quote(text, safe="")


def whoami() -> Call[feed.Caller]:
    """The user of the token."""
    return get("/whoami", feed.Caller)


def standing() -> Call[feed.Standing]:
    """How the server stands: its clock, and what does not work now."""
    return get("/server", feed.Standing)


def create_org(org: str) -> Call[people.Org]:
    """A new customer."""
    return post("/orgs", people.Org, checked(people.CreateOrg, org=org))


def orgs() -> Call[people.Orgs]:
    """The orgs the caller may see."""
    return get("/orgs", people.Orgs)


def deposit(org: str, amount: Decimal | str) -> Call[people.Org]:
    """Money from outside for an org."""
    body = checked(people.Deposit, amount=amount)
    return post(f"/orgs/{_id(org)}/deposits", people.Org, body)


def disburse(org: str, amount: Decimal | str, *, reason: str) -> Call[people.Org]:
    """An org's money to the outside, as far as nothing has a claim on it."""
    body = checked(people.Adjust, amount=amount, reason=reason)
    return post(f"/orgs/{_id(org)}/disbursements", people.Org, body)


def refund(org: str, amount: Decimal | str, *, reason: str) -> Call[people.Org]:
    """The operator's money to an org."""
    body = checked(people.Adjust, amount=amount, reason=reason)
    return post(f"/orgs/{_id(org)}/refunds", people.Org, body)


def set_grant(org: str, *, amount: Decimal | str, every: timedelta) -> Call[people.Org]:
    """Money now and again and again; 0 ends it."""
    body = checked(people.SetGrant, amount=amount, every=every)
    return post(f"/orgs/{_id(org)}/grant", people.Org, body)


def set_cap(
    user: str,
    *,
    cap: Decimal | str | None,
    period: people.CapPeriod = "total",
    most_gpus: int | None = None,
) -> Call[people.User]:
    """The most that a user's workloads may cost, and the most GPUs that they hold; None: what its
    org may."""
    body = checked(people.SetCap, cap=cap, period=period, most_gpus=most_gpus)
    return post(f"/users/{_id(user)}/cap", people.User, body)


def set_org_cap(
    org: str,
    *,
    cap: Decimal | str | None,
    period: people.CapPeriod = "total",
    most_gpus: int | None = None,
) -> Call[people.Org]:
    """The most that all workloads of an org may cost, and the most GPUs that they hold; None: no
    cap."""
    body = checked(people.SetCap, cap=cap, period=period, most_gpus=most_gpus)
    return post(f"/orgs/{_id(org)}/cap", people.Org, body)


def set_org_bounds(
    org: str,
    *,
    open_workloads: int | None = None,
    submits_per_minute: int | None = None,
    starts_per_minute: int | None = None,
) -> Call[people.Org]:
    """How many workloads an org may have open, submit and start in a minute; None: the default."""
    body = checked(
        people.SetOrgBounds,
        open_workloads=open_workloads,
        submits_per_minute=submits_per_minute,
        starts_per_minute=starts_per_minute,
    )
    return post(f"/orgs/{_id(org)}/bounds", people.Org, body)


def disable_org(org: str) -> Call[people.Org]:
    """All tokens of an org are refused, and its work ends with the market's notice."""
    body = checked(people.SetOrgDisabled, is_disabled=True)
    return post(f"/orgs/{_id(org)}/disabled", people.Org, body)


def enable_org(org: str) -> Call[people.Org]:
    """The org's tokens are good again; what ended stays so."""
    body = checked(people.SetOrgDisabled, is_disabled=False)
    return post(f"/orgs/{_id(org)}/disabled", people.Org, body)


def disable_user(user: str) -> Call[people.User]:
    """All tokens of a user are refused from now on; its work goes on."""
    body = checked(people.SetUserDisabled, is_disabled=True)
    return post(f"/users/{_id(user)}/disabled", people.User, body)


def enable_user(user: str) -> Call[people.User]:
    """The user's tokens are good again, those that are not revoked and have not expired."""
    body = checked(people.SetUserDisabled, is_disabled=False)
    return post(f"/users/{_id(user)}/disabled", people.User, body)


def set_unix_name(user: str, *, unix_name: str | None) -> Call[people.User]:
    """The Unix user of a user's workloads, from their next attempt on; None: the agent's own."""
    body = checked(people.SetUnixName, unix_name=unix_name)
    return post(f"/users/{_id(user)}/unix-name", people.User, body)


def begin_login() -> Call[people.Login]:
    """A login by the server's provider, which its person finishes in a browser; needs no token."""
    return post("/logins", people.Login)


def finish_login(login: str) -> Call[people.LoginState]:
    """What came of a login: a token, or when to ask again."""
    body = checked(people.FinishLogin, login=login)
    return post("/logins/token", people.LoginState, body)


def receivers() -> Call[people.Receivers]:
    """Where the caller is told of its work, and for an owner where its org is."""
    return get("/receivers", people.Receivers)


def add_receiver(
    address: str, *, about: Sequence[str] = (), for_org: bool = False
) -> Call[people.Receiver]:
    """A webhook or an address of mail that is told; the secret is in this answer only."""
    body = checked(people.AddReceiver, address=address, about=tuple(about), for_org=for_org)
    return post("/receivers", people.Receiver, body)


def remove_receiver(receiver: str) -> Call[people.Receivers]:
    """It is told nothing more."""
    return post(f"/receivers/{_id(receiver)}/remove", people.Receivers)


def test_receiver(receiver: str) -> Call[people.Receiver]:
    """It is sent a message, to see whether it comes."""
    return post(f"/receivers/{_id(receiver)}/test", people.Receiver)


def create_user(request: people.CreateUser) -> Call[people.User]:
    """A new user."""
    return post("/users", people.User, request)


def users() -> Call[people.Users]:
    """The users the caller may see."""
    return get("/users", people.Users)


def create_token(
    user: str,
    *,
    token: str | None = None,
    lasts: timedelta | str | None = None,
    is_read_only: bool = False,
) -> Call[people.NewToken]:
    """A new token; its secret is in this answer only. `lasts`: like 90d; `is_read_only`: it may
    only look."""
    body = checked(
        people.CreateToken, user=user, token=token, lasts=lasts, is_read_only=is_read_only
    )
    return post("/tokens", people.NewToken, body)


def tokens() -> Call[people.Tokens]:
    """The tokens the caller may see."""
    return get("/tokens", people.Tokens)


def revoke_token(token: str) -> Call[people.Token]:
    """The token is refused from now on."""
    return post(f"/tokens/{_id(token)}/revoke", people.Token)


def create_agent_token(pool: str) -> Call[people.NewToken]:
    """A token with which an agent may run this pool and do nothing else."""
    return post(f"/pools/{_id(pool)}/agent-tokens", people.NewToken)


def open_pool(pool: pools.OpenPool) -> Call[pools.Pool]:
    """A new pool."""
    return post("/pools", pools.Pool, pool)


def list_pools() -> Call[pools.Pools]:
    """All pools."""
    return get("/pools", pools.Pools)


def add_nodes(pool: str, nodes: pools.AddNodes) -> Call[pools.Pool]:
    """More nodes of a pool."""
    return post(f"/pools/{_id(pool)}/nodes", pools.Pool, nodes)


def close_pool(pool: str) -> Call[pools.Pools]:
    """A pool whose nodes are drained is closed; the pools that remain."""
    return post(f"/pools/{_id(pool)}/close", pools.Pools)


def fence(pool: str) -> Call[pools.Pool]:
    """A pool's nodes are closed to jobs that are not Parkade's."""
    return post(f"/pools/{_id(pool)}/fence", pools.Pool)


def unfence(pool: str) -> Call[pools.Pool]:
    """They are open again, where nothing is sold that needs the fence."""
    return post(f"/pools/{_id(pool)}/unfence", pools.Pool)


def change_terms(market: str, change: pools.ChangeTerms) -> Call[pools.Market]:
    """New terms of a market, now or from a date on."""
    return post(f"/markets/{_id(market)}/terms", pools.Market, change)


def drain(node: str, *, reason: str) -> Call[pools.Node]:
    """The node is emptied: its workloads get their notice and are moved."""
    return post(f"/nodes/{_id(node)}/drain", pools.Node, checked(pools.NodeReason, reason=reason))


def undrain(node: str) -> Call[pools.Node]:
    """The node takes work again."""
    return post(f"/nodes/{_id(node)}/undrain", pools.Node)


def remove_node(node: str) -> Call[pools.Pools]:
    """A drained node is removed from its pool; the pools as they are then."""
    return post(f"/nodes/{_id(node)}/remove", pools.Pools)


def nodes(*, market: str | None = None) -> Call[pools.Nodes]:
    """All nodes, or those of a market."""
    return get("/nodes", pools.Nodes, market=market)


def cordon(node: str, *, reason: str) -> Call[pools.Node]:
    """No new work on a node."""
    return post(f"/nodes/{_id(node)}/cordon", pools.Node, checked(pools.NodeReason, reason=reason))


def uncordon(node: str) -> Call[pools.Node]:
    """The caller's cordon is lifted."""
    return post(f"/nodes/{_id(node)}/uncordon", pools.Node)


def fail(node: str, *, reason: str) -> Call[pools.Node]:
    """The node is broken: its workloads are healed."""
    return post(f"/nodes/{_id(node)}/fail", pools.Node, checked(pools.NodeReason, reason=reason))


def restore(node: str) -> Call[pools.Node]:
    """The node is back in play."""
    return post(f"/nodes/{_id(node)}/restore", pools.Node)


def schedule_maintenance(
    request: maintenance.ScheduleMaintenance,
) -> Call[maintenance.Maintenance]:
    """Nodes are emptied in time for a window, and take work again at its end."""
    return post("/maintenance", maintenance.Maintenance, request)


def list_maintenance() -> Call[maintenance.Maintenances]:
    """The maintenance windows that are not over."""
    return get("/maintenance", maintenance.Maintenances)


def change_maintenance(
    window: str, *, start: str | None = None, end: str | None = None, force: bool = False
) -> Call[maintenance.Maintenance]:
    """Another start or end of a maintenance window."""
    body = checked(maintenance.ChangeMaintenance, start=start, end=end, force=force)
    return post(f"/maintenance/{_id(window)}/change", maintenance.Maintenance, body)


def cancel_maintenance(window: str) -> Call[maintenance.Maintenance]:
    """A window is given up, or ends now; the window as it was."""
    return post(f"/maintenance/{_id(window)}/cancel", maintenance.Maintenance)


def prices() -> Call[pools.Prices]:
    """Every market's public prices."""
    return get("/prices", pools.Prices)


def set_prices(market: str, sheet: pools.SetPrices) -> Call[pools.Sheet]:
    """A new price sheet."""
    return post(f"/prices/{_id(market)}", pools.Sheet, sheet)


def plan_prices(market: str, sheet: pools.SetPrices) -> Call[effects.Effect]:
    """The workloads that a new price sheet would tell to leave; nothing is changed."""
    return post(f"/prices/{_id(market)}/plan", effects.Effect, sheet)


def reserve(request: reservations.Reserve) -> Call[reservations.Reservation]:
    """Nodes for a window."""
    return post("/reservations", reservations.Reservation, request)


def plan_reservation(request: reservations.Reserve) -> Call[reservations.ReservationPlan]:
    """What a reservation would be and cost; nothing is bought."""
    return post("/reservations/plan", reservations.ReservationPlan, request)


def extend_reservation(reservation: str, *, end: str) -> Call[reservations.Reservation]:
    """A later end, at the rate that was agreed."""
    body = checked(reservations.Extend, end=end)
    return post(f"/reservations/{_id(reservation)}/extend", reservations.Reservation, body)


def plan_extend(reservation: str, *, end: str) -> Call[reservations.ReservationChange]:
    """What a later end would cost; nothing is changed."""
    body = checked(reservations.Extend, end=end)
    return post(
        f"/reservations/{_id(reservation)}/extend/plan", reservations.ReservationChange, body
    )


def split_reservation(
    reservation: str, *, nodes: int, name: str | None = None, org: str | None = None
) -> Call[reservations.Reservation]:
    """Nodes of a reservation become one of their own, or, by an operator, another org's."""
    body = checked(reservations.Split, nodes=nodes, name=name, org=org)
    return post(f"/reservations/{_id(reservation)}/split", reservations.Reservation, body)


def plan_split(
    reservation: str, *, nodes: int, name: str | None = None, org: str | None = None
) -> Call[reservations.ReservationChange]:
    """What a part of its own, or another org's, would be and cost; nothing is changed."""
    body = checked(reservations.Split, nodes=nodes, name=name, org=org)
    return post(
        f"/reservations/{_id(reservation)}/split/plan", reservations.ReservationChange, body
    )


def shrink_reservation(reservation: str, *, nodes: int) -> Call[reservations.Reservation]:
    """Nodes of a reservation are given up."""
    body = checked(reservations.Shrink, nodes=nodes)
    return post(f"/reservations/{_id(reservation)}/shrink", reservations.Reservation, body)


def plan_shrink(reservation: str, *, nodes: int) -> Call[reservations.ReservationChange]:
    """What is kept of nodes that are given up; nothing is changed."""
    body = checked(reservations.Shrink, nodes=nodes)
    return post(
        f"/reservations/{_id(reservation)}/shrink/plan", reservations.ReservationChange, body
    )


def list_reservations() -> Call[reservations.Reservations]:
    """The reservations the caller may see."""
    return get("/reservations", reservations.Reservations)


def get_reservation(reservation: str) -> Call[reservations.Reservation]:
    """One reservation."""
    return get(f"/reservations/{_id(reservation)}", reservations.Reservation)


def end_reservation(reservation: str) -> Call[reservations.Reservation]:
    """An open-ended reservation ends with the period that is paid; one that has not begun, now."""
    return post(f"/reservations/{_id(reservation)}/end", reservations.Reservation)


def plan_end(reservation: str) -> Call[reservations.ReservationChange]:
    """When a reservation would end, and what is kept of it; nothing is changed."""
    return post(f"/reservations/{_id(reservation)}/end/plan", reservations.ReservationChange)


def lend(
    reservation: str, *, floor: Decimal | str | None, keep: int | None = None
) -> Call[reservations.Reservation]:
    """The standing offer of a reservation; no floor stops lending."""
    body = checked(reservations.Lend, floor=floor, keep=keep)
    return post(f"/reservations/{_id(reservation)}/lend", reservations.Reservation, body)


def plan_lend(
    reservation: str, *, floor: Decimal | str | None, keep: int | None = None
) -> Call[effects.Effect]:
    """The guests that an offer would tell to leave; nothing is changed."""
    body = checked(reservations.Lend, floor=floor, keep=keep)
    return post(f"/reservations/{_id(reservation)}/lend/plan", effects.Effect, body)


def claim(reservation: str, *, nodes: int) -> Call[reservations.Claim]:
    """The owner keeps nodes of its reservation for itself."""
    body = checked(reservations.MakeClaim, nodes=nodes)
    return post(f"/reservations/{_id(reservation)}/claims", reservations.Claim, body)


def unclaim(claim: str) -> Call[reservations.Claim]:
    """The claimed nodes are idle again."""
    return post(f"/claims/{_id(claim)}/unclaim", reservations.Claim)


def claims() -> Call[reservations.Claims]:
    """The claims the caller may see."""
    return get("/claims", reservations.Claims)


def submit(
    spec: WorkloadSpec, *, market: str | None = None, org: str | None = None, hold: bool = False
) -> Call[workloads.Workload]:
    """A workload to be run; its folder is the present one where the spec names none."""
    return post("/workloads", workloads.Workload, _submit(spec, market, org, hold=hold))


def plan(
    spec: WorkloadSpec, *, market: str | None = None, org: str | None = None
) -> Call[workloads.Plan]:
    """What the next clearing would do with it; nothing is submitted."""
    return post("/workloads/plan", workloads.Plan, _submit(spec, market, org, hold=False))


def _submit(
    spec: WorkloadSpec, market: str | None, org: str | None, *, hold: bool
) -> workloads.Submit:
    if spec.workdir is None:
        spec = spec.model_copy(update={"workdir": os.getcwd()})  # noqa: PTH109
    return checked(workloads.Submit, spec=spec, market=market, org=org, hold=hold)


def list_workloads(
    *,
    all: bool = False,
    org: str | None = None,
    name: str | None = None,
    user: str | None = None,
    phases: Sequence[str] = (),
    labels: Sequence[str] = (),
    since: datetime | None = None,
    limit: int = 100,
    array: str | None = None,
    after: str | None = None,
) -> Call[workloads.Workloads]:
    """The caller's workloads, newest first; the ended ones too with `all` or a phase of theirs.

    `name` may have `*`, `?` and `[...]`; each label is `KEY` or `KEY=VALUE`, and all must be there;
    `since`: not ended before. `array`: the members of an array, in place of what is no member."""
    asked = {"all": all, "org": org, "name": name, "user": user, "limit": limit, "after": after}
    asked["array"] = array
    chosen = {"phase": ",".join(phases) or None, "label": ",".join(labels) or None}
    return get("/workloads", workloads.Workloads, **asked, **chosen, since=since)


def workload(workload: str) -> Call[workloads.Workload]:
    """One workload."""
    return get(f"/workloads/{_id(workload)}", workloads.Workload)


def why(workload: str) -> Call[workloads.Why]:
    """Why it is where it is."""
    return get(f"/workloads/{_id(workload)}/why", workloads.Why)


def hold(workload: str) -> Call[workloads.Workload]:
    """Keep it from starting."""
    return post(f"/workloads/{_id(workload)}/hold", workloads.Workload)


def release(workload: str) -> Call[workloads.Workload]:
    """The opposite of hold."""
    return post(f"/workloads/{_id(workload)}/release", workloads.Workload)


def cancel(
    workload: str, *, now: bool = False, members: str | None = None
) -> Call[workloads.Workload]:
    """End it, with the market's notice unless `now`; of an array all `members`, or these."""
    body = checked(workloads.Cancel, now=now, members=members)
    return post(f"/workloads/{_id(workload)}/cancel", workloads.Workload, body)


def bid(
    workload: str, *, limit_price: Decimal | str, members: str | None = None
) -> Call[workloads.Workload]:
    """A new limit per GPU-hour; of an array for all `members`, or for these."""
    body = checked(workloads.Bid, limit_price=limit_price, members=members)
    return post(f"/workloads/{_id(workload)}/bid", workloads.Workload, body)


def plan_bid(
    workload: str, *, limit_price: Decimal | str, members: str | None = None
) -> Call[effects.Effect]:
    """The workloads that a new limit would tell to leave; nothing is changed."""
    body = checked(workloads.Bid, limit_price=limit_price, members=members)
    return post(f"/workloads/{_id(workload)}/bid/plan", effects.Effect, body)


def change_bounds(workload: str, request: workloads.Bounds) -> Call[workloads.Workload]:
    """Another `max_spend` or `max_duration` while it lives; None in the request takes one away."""
    return post(f"/workloads/{_id(workload)}/bounds", workloads.Workload, request)


def resubmit(workload: str, request: workloads.Resubmit) -> Call[workloads.Workload]:
    """Run a workload that ended again, under its id and from its checkpoints."""
    return post(f"/workloads/{_id(workload)}/resubmit", workloads.Workload, request)


def retry(workload: str, *, members: str | None = None) -> Call[workloads.Workload]:
    """Run members of an array again that have ended; None: all that failed."""
    body = checked(workloads.Retry, members=members)
    return post(f"/workloads/{_id(workload)}/retry", workloads.Workload, body)


def showback(
    *,
    by: str = "user",
    label: str | None = None,
    org: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Call[costs.Showback]:
    """What each month cost by `user`, `org`, or the values of a `label`; without `start` of this
    month."""
    return get("/showback", costs.Showback, by=by, label=label, org=org, start=start, end=end)


def statement(
    *, account: str | None = None, start: datetime | None = None, end: datetime | None = None
) -> Call[money.Statement]:
    """An account's movements; the caller's org's where none is named."""
    return get("/statement", money.Statement, account=account, start=start, end=end)


def confirm_clock() -> Call[feed.Confirmed]:
    """The clock's jump was right; clearing goes on."""
    return post("/clock/confirm", feed.Confirmed)


def lot() -> Call[lots.Lot]:
    """Every node with what sits or waits there: for an operator all of it, else the own org's."""
    return get("/lot", lots.Lot)


def mars_status() -> Call[mars.Status]:
    """What Mars sees and may do; operators only."""
    return get("/mars", mars.Status)


def set_automation(request: mars.SetAutomation) -> Call[mars.Status]:
    """Stop or start all automatic action, or change its budgets."""
    return post("/mars/automation", mars.Status, request)


def incidents(node: str | None = None, *, open: bool | None = None) -> Call[mars.Incidents]:
    """Open incidents and the last closed ones, the newest first."""
    return get("/mars/incidents", mars.Incidents, node=node, open=open)


def incident(name: str) -> Call[mars.Incident]:
    """One incident: the whole story."""
    return get(f"/mars/incidents/{_id(name)}", mars.Incident)
