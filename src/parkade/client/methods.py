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
    get_server = Method(server.get_server)
    create_org = Method(people.create_org)
    list_orgs = Method(people.list_orgs)
    get_org = Method(people.get_org)
    deposit_money = Method(people.deposit_money)
    disburse_money = Method(people.disburse_money)
    refund_money = Method(people.refund_money)
    begin_login = Method(access.begin_login)
    finish_login = Method(access.finish_login)
    list_receivers = Method(messages.list_receivers)
    get_receiver = Method(messages.get_receiver)
    add_receiver = Method(messages.add_receiver)
    remove_receiver = Method(messages.remove_receiver)
    test_receiver = Method(messages.test_receiver)
    confirm_receiver = Method(messages.confirm_receiver)
    create_user = Method(people.create_user)
    set_org_grant = Method(people.set_org_grant)
    set_user_cap = Method(people.set_user_cap)
    plan_user_cap = Method(people.plan_user_cap)
    set_org_cap = Method(people.set_org_cap)
    plan_org_cap = Method(people.plan_org_cap)
    set_org_bounds = Method(people.set_org_bounds)
    set_org_description = Method(people.set_org_description)
    set_user_unix_name = Method(people.set_user_unix_name)
    disable_org = Method(people.disable_org)
    enable_org = Method(people.enable_org)
    delete_org = Method(people.delete_org)
    delete_user = Method(people.delete_user)
    set_user_role = Method(people.set_user_role)
    disable_user = Method(people.disable_user)
    enable_user = Method(people.enable_user)
    list_users = Method(people.list_users)
    get_user = Method(people.get_user)
    create_token = Method(access.create_token)
    list_tokens = Method(access.list_tokens)
    get_token = Method(access.get_token)
    revoke_token = Method(access.revoke_token)
    create_agent_token = Method(access.create_agent_token)
    create_pool = Method(pools.create_pool)
    list_pools = Method(pools.list_pools)
    get_pool = Method(pools.get_pool)
    get_market = Method(pools.get_market)
    add_nodes = Method(pools.add_nodes)
    close_pool = Method(pools.close_pool)
    fence_pool = Method(pools.fence_pool)
    unfence_pool = Method(pools.unfence_pool)
    observe_pool = Method(pools.observe_pool)
    lend_pool = Method(pools.lend_pool)
    change_market_terms = Method(pools.change_market_terms)
    drain_node = Method(pools.drain_node)
    undrain_node = Method(pools.undrain_node)
    remove_node = Method(pools.remove_node)
    list_nodes = Method(pools.list_nodes)
    get_node = Method(pools.get_node)
    cordon_node = Method(pools.cordon_node)
    uncordon_node = Method(pools.uncordon_node)
    fail_node = Method(pools.fail_node)
    restore_node = Method(pools.restore_node)
    schedule_maintenance = Method(maintenance.schedule_maintenance)
    list_maintenance = Method(maintenance.list_maintenance)
    get_maintenance = Method(maintenance.get_maintenance)
    change_maintenance = Method(maintenance.change_maintenance)
    cancel_maintenance = Method(maintenance.cancel_maintenance)
    list_prices = Method(pools.list_prices)
    get_prices = Method(pools.get_prices)
    set_prices = Method(pools.set_prices)
    plan_prices = Method(pools.plan_prices)
    create_reservation = Method(reservations.create_reservation)
    list_reservations = Method(reservations.list_reservations)
    get_reservation = Method(reservations.get_reservation)
    plan_reservation = Method(reservations.plan_reservation)
    extend_reservation = Method(reservations.extend_reservation)
    plan_extend_reservation = Method(reservations.plan_extend_reservation)
    split_reservation = Method(reservations.split_reservation)
    plan_split_reservation = Method(reservations.plan_split_reservation)
    shrink_reservation = Method(reservations.shrink_reservation)
    plan_shrink_reservation = Method(reservations.plan_shrink_reservation)
    end_reservation = Method(reservations.end_reservation)
    plan_end_reservation = Method(reservations.plan_end_reservation)
    lend_reservation = Method(reservations.lend_reservation)
    plan_lend_reservation = Method(reservations.plan_lend_reservation)
    claim_nodes = Method(reservations.claim_nodes)
    unclaim_nodes = Method(reservations.unclaim_nodes)
    list_claims = Method(reservations.list_claims)
    get_claim = Method(reservations.get_claim)
    submit = Method(workloads.submit)
    plan = Method(workloads.plan)
    get_log_offset = Method(workloads.get_log_offset)
    list_workloads = Method(workloads.list_workloads)
    get_workload = Method(workloads.get_workload)
    why = Method(workloads.why)
    hold = Method(workloads.hold)
    release = Method(workloads.release)
    cancel = Method(workloads.cancel)
    open_exec = Method(execs.open_exec)
    get_exec_output = Method(execs.get_exec_output)
    send_exec_input = Method(execs.send_exec_input)
    resize_exec = Method(execs.resize_exec)
    close_exec = Method(execs.close_exec)
    bid = Method(workloads.bid)
    plan_bid = Method(workloads.plan_bid)
    change_workload_bounds = Method(workloads.change_workload_bounds)
    plan_workload_bounds = Method(workloads.plan_workload_bounds)
    resubmit = Method(workloads.resubmit)
    retry = Method(workloads.retry)
    list_accounts = Method(costs.list_accounts)
    get_statement = Method(costs.get_statement)
    get_showback = Method(costs.get_showback)
    confirm_clock = Method(server.confirm_clock)
    get_lot = Method(server.get_lot)
    get_mars = Method(mars.get_mars)
    set_automation = Method(mars.set_automation)
    list_incidents = Method(mars.list_incidents)
    get_incident = Method(mars.get_incident)
