"""Every call as a method, once for both clients: what `Client` answers, `AsyncClient` awaits.

To add a call, write it in `calls` and name it in `Methods`.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from pydantic import BaseModel

from parkade.client import calls
from parkade.client.call import Call

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

    whoami = Method(calls.whoami)
    standing = Method(calls.standing)
    create_org = Method(calls.create_org)
    orgs = Method(calls.orgs)
    deposit = Method(calls.deposit)
    disburse = Method(calls.disburse)
    refund = Method(calls.refund)
    begin_login = Method(calls.begin_login)
    finish_login = Method(calls.finish_login)
    receivers = Method(calls.receivers)
    add_receiver = Method(calls.add_receiver)
    remove_receiver = Method(calls.remove_receiver)
    test_receiver = Method(calls.test_receiver)
    create_user = Method(calls.create_user)
    set_grant = Method(calls.set_grant)
    set_cap = Method(calls.set_cap)
    set_org_cap = Method(calls.set_org_cap)
    set_org_bounds = Method(calls.set_org_bounds)
    set_unix_name = Method(calls.set_unix_name)
    disable_org = Method(calls.disable_org)
    enable_org = Method(calls.enable_org)
    disable_user = Method(calls.disable_user)
    enable_user = Method(calls.enable_user)
    users = Method(calls.users)
    create_token = Method(calls.create_token)
    tokens = Method(calls.tokens)
    revoke_token = Method(calls.revoke_token)
    create_agent_token = Method(calls.create_agent_token)
    open_pool = Method(calls.open_pool)
    list_pools = Method(calls.list_pools)
    add_nodes = Method(calls.add_nodes)
    close_pool = Method(calls.close_pool)
    fence = Method(calls.fence)
    unfence = Method(calls.unfence)
    change_terms = Method(calls.change_terms)
    drain = Method(calls.drain)
    undrain = Method(calls.undrain)
    remove_node = Method(calls.remove_node)
    nodes = Method(calls.nodes)
    cordon = Method(calls.cordon)
    uncordon = Method(calls.uncordon)
    fail = Method(calls.fail)
    restore = Method(calls.restore)
    schedule_maintenance = Method(calls.schedule_maintenance)
    list_maintenance = Method(calls.list_maintenance)
    change_maintenance = Method(calls.change_maintenance)
    cancel_maintenance = Method(calls.cancel_maintenance)
    prices = Method(calls.prices)
    set_prices = Method(calls.set_prices)
    plan_prices = Method(calls.plan_prices)
    reserve = Method(calls.reserve)
    list_reservations = Method(calls.list_reservations)
    get_reservation = Method(calls.get_reservation)
    plan_reservation = Method(calls.plan_reservation)
    extend_reservation = Method(calls.extend_reservation)
    plan_extend = Method(calls.plan_extend)
    split_reservation = Method(calls.split_reservation)
    plan_split = Method(calls.plan_split)
    shrink_reservation = Method(calls.shrink_reservation)
    plan_shrink = Method(calls.plan_shrink)
    end_reservation = Method(calls.end_reservation)
    plan_end = Method(calls.plan_end)
    lend = Method(calls.lend)
    plan_lend = Method(calls.plan_lend)
    claim = Method(calls.claim)
    unclaim = Method(calls.unclaim)
    claims = Method(calls.claims)
    submit = Method(calls.submit)
    plan = Method(calls.plan)
    list_workloads = Method(calls.list_workloads)
    workload = Method(calls.workload)
    why = Method(calls.why)
    hold = Method(calls.hold)
    release = Method(calls.release)
    cancel = Method(calls.cancel)
    bid = Method(calls.bid)
    plan_bid = Method(calls.plan_bid)
    change_bounds = Method(calls.change_bounds)
    resubmit = Method(calls.resubmit)
    retry = Method(calls.retry)
    statement = Method(calls.statement)
    showback = Method(calls.showback)
    confirm_clock = Method(calls.confirm_clock)
    lot = Method(calls.lot)
    mars_status = Method(calls.mars_status)
    set_automation = Method(calls.set_automation)
    incidents = Method(calls.incidents)
    incident = Method(calls.incident)
