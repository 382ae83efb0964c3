"""Every call as a method, once for both clients: what `Client` answers, `AsyncClient` awaits.

To add a call, write it in a file of `calls` and name it in `Methods`.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from pydantic import BaseModel

from parkade.client.call import Call
from parkade.client.calls import (
    access,
    costs,
    execs,
    maintenance,
    mars,
    messages,
    people,
    pools,
    reservations,
    server,
    workloads,
)

if TYPE_CHECKING:
    from parkade.client.asynchronous import AsyncClient
    from parkade.client.synchronous import Client

P = ParamSpec("P")
M = TypeVar("M", bound=BaseModel)


class Method(Generic[P, M]):
    """A call as a method: the same parameters and documentation, and its answer's type."""

    def __init__(self, describe: Callable[P, Call[M]]) -> None:
        def method(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            return client.send(describe(*args, **kwargs))

        method.__name__ = describe.__name__
        method.__qualname__ = f"Client.{describe.__name__}"
        method.__doc__ = self.__doc__ = describe.__doc__
        method.__signature__ = _signature(describe)  # type: ignore[attr-defined]
        self._method = method

    @overload
    def __get__(
        self, client: None, owner: type["Client"]
    ) -> Callable[Concatenate["Client", P], M]: ...
    @overload
    def __get__(
        self, client: None, owner: type["AsyncClient"]
    ) -> Callable[Concatenate["AsyncClient", P], Awaitable[M]]: ...
    @overload
    def __get__(self, client: "Client", owner: type["Client"]) -> Callable[P, M]: ...
    @overload
    def __get__(
        self, client: "AsyncClient", owner: type["AsyncClient"]
    ) -> Callable[P, Awaitable[M]]: ...
    def __get__(self, client: Any, owner: Any) -> Any:
        return self._method if client is None else self._method.__get__(client, owner)


def _signature(describe: Callable[..., Call[Any]]) -> inspect.Signature:
    """That of the method: itself first, and the answer that the call describes."""
    signature = inspect.signature(describe)
    (answer,) = signature.return_annotation.__args__
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = [itself, *signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=answer)


class Methods:
    """What `Client` and `AsyncClient` share."""

    whoami = Method(access.whoami)
    standing = Method(server.standing)
    create_org = Method(people.create_org)
    orgs = Method(people.orgs)
    get_org = Method(people.get_org)
    deposit = Method(people.deposit)
    disburse = Method(people.disburse)
    refund = Method(people.refund)
    begin_login = Method(access.begin_login)
    finish_login = Method(access.finish_login)
    receivers = Method(messages.receivers)
    get_receiver = Method(messages.get_receiver)
    add_receiver = Method(messages.add_receiver)
    remove_receiver = Method(messages.remove_receiver)
    test_receiver = Method(messages.test_receiver)
    confirm_receiver = Method(messages.confirm_receiver)
    create_user = Method(people.create_user)
    set_grant = Method(people.set_grant)
    set_cap = Method(people.set_cap)
    plan_cap = Method(people.plan_cap)
    set_org_cap = Method(people.set_org_cap)
    plan_org_cap = Method(people.plan_org_cap)
    set_org_bounds = Method(people.set_org_bounds)
    describe_org = Method(people.describe_org)
    set_unix_name = Method(people.set_unix_name)
    disable_org = Method(people.disable_org)
    enable_org = Method(people.enable_org)
    delete_org = Method(people.delete_org)
    delete_user = Method(people.delete_user)
    set_user_role = Method(people.set_user_role)
    disable_user = Method(people.disable_user)
    enable_user = Method(people.enable_user)
    users = Method(people.users)
    get_user = Method(people.get_user)
    create_token = Method(access.create_token)
    tokens = Method(access.tokens)
    get_token = Method(access.get_token)
    revoke_token = Method(access.revoke_token)
    create_agent_token = Method(access.create_agent_token)
    open_pool = Method(pools.open_pool)
    list_pools = Method(pools.list_pools)
    get_pool = Method(pools.get_pool)
    get_market = Method(pools.get_market)
    add_nodes = Method(pools.add_nodes)
    close_pool = Method(pools.close_pool)
    fence = Method(pools.fence)
    unfence = Method(pools.unfence)
    observe_pool = Method(pools.observe_pool)
    lend_pool = Method(pools.lend_pool)
    change_terms = Method(pools.change_terms)
    drain = Method(pools.drain)
    undrain = Method(pools.undrain)
    remove_node = Method(pools.remove_node)
    nodes = Method(pools.nodes)
    node = Method(pools.node)
    cordon = Method(pools.cordon)
    uncordon = Method(pools.uncordon)
    fail = Method(pools.fail)
    restore = Method(pools.restore)
    schedule_maintenance = Method(maintenance.schedule_maintenance)
    list_maintenance = Method(maintenance.list_maintenance)
    get_maintenance = Method(maintenance.get_maintenance)
    change_maintenance = Method(maintenance.change_maintenance)
    cancel_maintenance = Method(maintenance.cancel_maintenance)
    prices = Method(pools.prices)
    get_prices = Method(pools.get_prices)
    set_prices = Method(pools.set_prices)
    plan_prices = Method(pools.plan_prices)
    reserve = Method(reservations.reserve)
    list_reservations = Method(reservations.list_reservations)
    get_reservation = Method(reservations.get_reservation)
    plan_reservation = Method(reservations.plan_reservation)
    extend_reservation = Method(reservations.extend_reservation)
    plan_extend = Method(reservations.plan_extend)
    split_reservation = Method(reservations.split_reservation)
    plan_split = Method(reservations.plan_split)
    shrink_reservation = Method(reservations.shrink_reservation)
    plan_shrink = Method(reservations.plan_shrink)
    end_reservation = Method(reservations.end_reservation)
    plan_end = Method(reservations.plan_end)
    lend = Method(reservations.lend)
    plan_lend = Method(reservations.plan_lend)
    claim = Method(reservations.claim)
    unclaim = Method(reservations.unclaim)
    claims = Method(reservations.claims)
    get_claim = Method(reservations.get_claim)
    submit = Method(workloads.submit)
    plan = Method(workloads.plan)
    log_offset = Method(workloads.log_offset)
    list_workloads = Method(workloads.list_workloads)
    workload = Method(workloads.workload)
    why = Method(workloads.why)
    hold = Method(workloads.hold)
    release = Method(workloads.release)
    cancel = Method(workloads.cancel)
    open_exec = Method(execs.open_exec)
    exec_output = Method(execs.exec_output)
    exec_input = Method(execs.exec_input)
    resize_exec = Method(execs.resize_exec)
    close_exec = Method(execs.close_exec)
    bid = Method(workloads.bid)
    plan_bid = Method(workloads.plan_bid)
    change_bounds = Method(workloads.change_bounds)
    plan_bounds = Method(workloads.plan_bounds)
    resubmit = Method(workloads.resubmit)
    retry = Method(workloads.retry)
    accounts = Method(costs.accounts)
    statement = Method(costs.statement)
    showback = Method(costs.showback)
    confirm_clock = Method(server.confirm_clock)
    lot = Method(server.lot)
    mars_status = Method(mars.mars_status)
    set_automation = Method(mars.set_automation)
    incidents = Method(mars.incidents)
    incident = Method(mars.incident)
