"""Calls about pools and their nodes, and the terms and prices of markets."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from parkade.client.call import Call, body_of, checked, get, get_list, path_id, post
from parkade.wire import effects, pools
from parkade.wire.nodes import NodeInFull


def create_pool(pool: pools.OpenPool | Mapping[str, Any]) -> Call[pools.Pool]:
    """A new pool and its market: an OpenPool, or a dict of its keys."""
    return post("/pools", pools.Pool, body_of(pools.OpenPool, pool))


def list_pools() -> Call[pools.Pools]:
    """All pools."""
    return get_list("/pools", pools.Pools, "pools", "markets")


def get_pool(pool: str) -> Call[pools.Pool]:
    """One pool."""
    return get(f"/pools/{path_id(pool)}", pools.Pool)


def get_market(market: str) -> Call[pools.Market]:
    """One market with its terms."""
    return get(f"/markets/{path_id(market)}", pools.Market)


def add_nodes(
    pool: str, nodes: pools.AddNodes | Mapping[str, Any], *, if_match: str | None = None
) -> Call[pools.Pool]:
    """More nodes of a pool: an AddNodes, or a dict of its keys."""
    body = body_of(pools.AddNodes, nodes)
    return post(f"/pools/{path_id(pool)}/nodes", pools.Pool, body, if_match=if_match)


def close_pool(pool: str, *, if_match: str | None = None) -> Call[pools.Pools]:
    """A pool whose nodes are drained is closed; the pools that remain."""
    return post(f"/pools/{path_id(pool)}/close", pools.Pools, if_match=if_match)


def fence_pool(pool: str, *, if_match: str | None = None) -> Call[pools.Pool]:
    """A pool's nodes are closed to jobs that are not Parkade's."""
    return post(f"/pools/{path_id(pool)}/fence", pools.Pool, if_match=if_match)


def unfence_pool(pool: str, *, if_match: str | None = None) -> Call[pools.Pool]:
    """They are open again, where nothing is sold that needs the fence."""
    return post(f"/pools/{path_id(pool)}/unfence", pools.Pool, if_match=if_match)


def observe_pool(pool: str, *, if_match: str | None = None) -> Call[pools.Pool]:
    """Guests get their notice and leave all nodes of a pool at once."""
    return post(f"/pools/{path_id(pool)}/observe", pools.Pool, if_match=if_match)


def lend_pool(pool: str, *, if_match: str | None = None) -> Call[pools.Pool]:
    """Guests may run there again, but on nodes that were drained for another reason."""
    return post(f"/pools/{path_id(pool)}/lend", pools.Pool, if_match=if_match)


def change_market_terms(
    market: str, change: pools.ChangeTerms | Mapping[str, Any], *, if_match: str | None = None
) -> Call[pools.Market]:
    """New terms of a market, now or from a date on: a ChangeTerms, or a dict of its keys."""
    body = body_of(pools.ChangeTerms, change)
    return post(f"/markets/{path_id(market)}/terms", pools.Market, body, if_match=if_match)


def list_prices() -> Call[pools.Prices]:
    """Every market's public prices."""
    return get_list("/prices", pools.Prices, "prices")


def get_prices(market: str) -> Call[pools.Sheet]:
    """A market's public prices."""
    return get(f"/prices/{path_id(market)}", pools.Sheet)


def plan_prices(
    market: str,
    *,
    pay_as_you_go: Decimal | str | None = None,
    reservation_rate: Decimal | str | None = None,
    public_floor: Decimal | str | None = None,
    is_meant: bool = False,
) -> Call[effects.Effect]:
    """The workloads that a new price sheet would tell to leave; nothing is changed."""
    body = _price_sheet(pay_as_you_go, reservation_rate, public_floor, is_meant=is_meant)
    return post(f"/prices/{path_id(market)}/plan", effects.Effect, body)


def set_prices(
    market: str,
    *,
    pay_as_you_go: Decimal | str | None = None,
    reservation_rate: Decimal | str | None = None,
    public_floor: Decimal | str | None = None,
    is_meant: bool = False,
    if_match: str | None = None,
) -> Call[pools.Sheet]:
    """A new price sheet; None: as it is. `is_meant`: also where on-demand would cost less than the
    public floor."""
    body = _price_sheet(pay_as_you_go, reservation_rate, public_floor, is_meant=is_meant)
    return post(f"/prices/{path_id(market)}", pools.Sheet, body, if_match=if_match)


def _price_sheet(
    pay_as_you_go: Decimal | str | None,
    reservation_rate: Decimal | str | None,
    public_floor: Decimal | str | None,
    *,
    is_meant: bool,
) -> pools.SetPrices:
    return checked(
        pools.SetPrices,
        pay_as_you_go=pay_as_you_go,
        reservation_rate=reservation_rate,
        public_floor=public_floor,
        is_meant=is_meant,
    )


def list_nodes(*, market: str | None = None) -> Call[pools.Nodes]:
    """All nodes, or those of a market."""
    return get_list("/nodes", pools.Nodes, "nodes", market=market)


def get_node(node: str) -> Call[NodeInFull]:
    """One node in full: who sits there, and what is known of it."""
    return get(f"/nodes/{path_id(node)}", NodeInFull)


def drain_node(node: str, *, reason: str, if_match: str | None = None) -> Call[pools.Node]:
    """The node is emptied: its workloads get their notice and are moved."""
    return post(
        f"/nodes/{path_id(node)}/drain",
        pools.Node,
        checked(pools.NodeReason, reason=reason),
        if_match=if_match,
    )


def undrain_node(node: str, *, if_match: str | None = None) -> Call[pools.Node]:
    """The node takes work again."""
    return post(f"/nodes/{path_id(node)}/undrain", pools.Node, if_match=if_match)


def remove_node(node: str, *, if_match: str | None = None) -> Call[pools.Pools]:
    """A drained node is removed from its pool; the pools as they are then."""
    return post(f"/nodes/{path_id(node)}/remove", pools.Pools, if_match=if_match)


def cordon_node(node: str, *, reason: str, if_match: str | None = None) -> Call[pools.Node]:
    """No new work on a node."""
    return post(
        f"/nodes/{path_id(node)}/cordon",
        pools.Node,
        checked(pools.NodeReason, reason=reason),
        if_match=if_match,
    )


def uncordon_node(node: str, *, if_match: str | None = None) -> Call[pools.Node]:
    """The caller's cordon is lifted."""
    return post(f"/nodes/{path_id(node)}/uncordon", pools.Node, if_match=if_match)


def fail_node(node: str, *, reason: str, if_match: str | None = None) -> Call[pools.Node]:
    """The node is broken: its workloads are healed."""
    return post(
        f"/nodes/{path_id(node)}/fail",
        pools.Node,
        checked(pools.NodeReason, reason=reason),
        if_match=if_match,
    )


def restore_node(node: str, *, if_match: str | None = None) -> Call[pools.Node]:
    """The node is back in play."""
    return post(f"/nodes/{path_id(node)}/restore", pools.Node, if_match=if_match)
