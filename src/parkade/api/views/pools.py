"""Pools, price sheets and nodes as shown."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from parkade.api.pages import Page, natural, page_of
from parkade.api.translate.scalars import amount, amount_or_none, instant, instant_or_none, span
from parkade.api.translate.terms import wire_terms
from parkade.core.fleet.maintenance import Maintenance
from parkade.core.fleet.market import Market
from parkade.core.fleet.node import Node
from parkade.core.fleet.pool import Pool
from parkade.core.state.world import World
from parkade.ports import Trouble
from parkade.wire import pools as wire


def sheet(market: Market) -> wire.Sheet:
    """What every user may know of a market's prices."""
    terms, kind = market.terms, market.instance_type
    return wire.Sheet(
        market=market.market,
        site=market.site,
        instance_type=kind.name,
        gpu_model=kind.gpu_model,
        gpus_per_node=kind.gpus_per_node,
        pay_as_you_go=amount(terms.pay_as_you_go_micros),
        reservation_rate=amount(terms.reservation_rate_micros),
        public_floor=amount(terms.public_floor_micros),
        notice=span(terms.notice_us),
        kill=span(terms.kill_us),
        ladder=tuple(
            wire.Step(nodes=nodes, price=amount_or_none(price)) for nodes, price in market.ladder
        ),
        cleared=instant_or_none(market.cleared_us),
    )


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen records of pools, markets and nodes: what the answer is made of. `busy`: draining
    nodes on which something is held or promised."""

    pools: tuple[Pool, ...]
    markets: tuple[Market, ...]
    nodes: tuple[Node, ...]
    busy: frozenset[str]


def fleet(world: World) -> Fleet:
    """Cheap enough for the writer's thread; the answer is made elsewhere."""
    records = world.records
    return Fleet(
        pools=tuple(records.pools.values()),
        markets=tuple(records.markets.values()),
        nodes=tuple(records.nodes.values()),
        busy=frozenset(
            node.node
            for node in records.nodes.values()
            if node.draining_us is not None
            and (world.held_on[node.node] or world.promised_on[node.node])
        ),
    )


def page_of_fleet(fleet: Fleet, page: Page) -> tuple[Fleet, str | None]:
    """(the pools of a page with the markets that belong to it, `next`). Grows with the nodes."""
    if page.limit is None:
        return fleet, None
    shown, upcoming = page_of(page, fleet.pools, lambda it: it.pool)
    supplied = sorted({(it.market, it.pool) for it in fleet.nodes}, key=lambda it: natural(it[1]))
    first = dict(reversed(supplied))
    names = {it.pool for it in shown}
    markets = [
        it
        for it in fleet.markets
        if (first[it.market] in names if it.market in first else upcoming is None)
    ]
    part = msgspec.structs.replace(fleet, pools=tuple(shown), markets=tuple(markets))
    return part, upcoming


def pools(
    fleet: Fleet,
    refusing: Mapping[str, str],
    troubles: Mapping[str, tuple[Trouble, ...]],
    *,
    sees_words: bool,
) -> wire.Pools:
    """Every pool and market; grows with the number of nodes. `refusing`: why agents do not obey,
    by pool; `troubles`: what else keeps them from their work, in words that are told only where
    `sees_words`: they may name files of a machine."""
    nodes: dict[str, list[Node]] = defaultdict(list)
    for node in fleet.nodes:
        nodes[node.pool].append(node)
    return wire.Pools(
        pools=tuple(
            _pool(
                pool,
                nodes[pool.pool],
                fleet.busy,
                refusing.get(pool.pool),
                troubles.get(pool.pool, ()),
                sees_words=sees_words,
            )
            for pool in fleet.pools
        ),
        markets=tuple(map(market, fleet.markets)),
    )


def engine_silent_us(troubles: Iterable[Trouble]) -> int | None:
    """Since when the engine of a pool has not answered its agent; None where it does."""
    return next((one.since_us for one in troubles if one.since_us is not None), None)


def troubles_say(troubles: Sequence[Trouble]) -> str | None:
    """In one line: those of the pool, and one of those that keep workloads from starting."""
    found = [one.says for one in troubles if one.attempt is None]
    waiting = [one for one in troubles if one.attempt is not None]
    if waiting:
        more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        found.append(f"{waiting[0].attempt}{more} not started: {waiting[0].says}")
    return "; ".join(found) or None


def _pool(
    pool: Pool,
    nodes: list[Node],
    busy: frozenset[str],
    refuses: str | None,
    troubles: tuple[Trouble, ...],
    *,
    sees_words: bool,
) -> wire.Pool:
    says = troubles_say(troubles) if sees_words and refuses is None else None
    by_market: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        by_market[node.market].append(node)
    draining = [node for node in nodes if node.draining_us is not None]
    return wire.Pool(
        pool=pool.pool,
        site=pool.site,
        engine=pool.engine,
        supplier=pool.supplier,
        agent=agent_state(pool, refuses),
        agent_says=refuses or says,
        engine_silent_since=instant_or_none(engine_silent_us(troubles)),
        fence=pool.fence.value,
        nodes=len(nodes),
        nodes_in_play=sum(map(_is_in_play, nodes)),
        nodes_draining=len(draining),
        nodes_drained=sum(node.node not in busy for node in draining),
        supplies=tuple(_supplied(market, part) for market, part in by_market.items()),
    )


def _is_in_play(node: Node) -> bool:
    return node.is_in_play and node.draining_us is None


def agent_state(
    pool: Pool, refuses: str | None
) -> Literal["heard", "refuses", "silent", "never heard"]:
    """What is known of a pool's agent; `refuses`: why it does not obey."""
    if refuses is not None:
        return "refuses"
    if pool.first_heard_us is None:
        return "never heard"
    return "heard" if pool.is_reachable else "silent"


def _supplied(market: str, nodes: list[Node]) -> wire.Supplied:
    fabrics: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        fabrics[node.fabric].append(node.node)
    return wire.Supplied(
        market=market,
        fabrics={fabric: tuple(names) for fabric, names in fabrics.items()},
        nodes=len(nodes),
        nodes_in_play=sum(map(_is_in_play, nodes)),
    )


def market(market: Market) -> wire.Market:
    """A market with its terms."""
    kind = market.instance_type
    announced = market.announced[0] if market.announced else None
    return wire.Market(
        market=market.market,
        site=market.site,
        instance_type=wire.InstanceType.model_construct(
            name=kind.name,
            gpu_model=kind.gpu_model,
            gpus_per_node=kind.gpus_per_node,
            memory_gib=kind.memory_gib,
            cpus=kind.cpus,
        ),
        terms=wire_terms(market.terms),
        announced=wire_terms(announced.terms) if announced else None,
        announced_from=instant(announced.from_us) if announced else None,
    )


class Seated(msgspec.Struct, frozen=True, kw_only=True):
    """A node, and (workload or claim, GPUs) that hold or are promised seats there. `guests`: how
    many of those that hold some are workloads of other orgs than its supplier's."""

    node: Node
    held: tuple[tuple[str, int], ...]
    promised: tuple[tuple[str, int], ...]
    guests: int
    maintenance: Maintenance | None


def seated(world: World, node: Node) -> Seated:
    """Cheap enough for the writer's thread; the answer is made elsewhere."""
    held = world.held_on.get(node.node, {})
    supplier = world.records.pools[node.pool].supplier
    workloads = world.records.workloads
    return Seated(
        node=node,
        held=tuple(held.items()),
        guests=sum(name in workloads and workloads[name].org != supplier for name in held),
        promised=tuple(world.promised_on.get(node.node, {}).items()),
        maintenance=_next_window(world, node),
    )


def _next_window(world: World, node: Node) -> Maintenance | None:
    """The first maintenance window of a node that is not over. Grows with the windows."""
    windows = [it for it in world.records.maintenance.values() if node.node in it.nodes]
    return min(windows, key=lambda it: it.window.start_us, default=None)


def supplied(world: World, org: str) -> frozenset[str]:
    """The pools that an org supplies."""
    return frozenset(pool.pool for pool in world.records.pools.values() if pool.supplier == org)


def node(seated: Seated, *, sees_guests: bool = True) -> wire.Node:
    """A node and who sits there, or how many; the former is for operators only."""
    node, window = seated.node, seated.maintenance
    return wire.Node(
        node=node.node,
        pool=node.pool,
        market=node.market,
        fabric=node.fabric,
        gpus=node.gpus,
        gpus_held=sum(gpus for _, gpus in seated.held),
        gpus_promised=sum(gpus for _, gpus in seated.promised),
        drain=_drain(seated),
        drain_reason=node.drain_reason,
        health=node.health.value,
        health_reason=node.health_reason,
        cordons=tuple(
            wire.Cordon(holder=cordon.holder, reason=cordon.reason, at=instant(cordon.at_us))
            for cordon in node.cordons
        ),
        seated=tuple(name for name, _ in seated.held) if sees_guests else (),
        guests=seated.guests,
        maintenance=window and window.maintenance,
        maintenance_start=window and instant(window.window.start_us),
        maintenance_end=window and instant(window.end_us),
    )


def _drain(seated: Seated) -> Literal["draining", "drained"] | None:
    if seated.node.draining_us is None:
        return None
    return "draining" if seated.held or seated.promised else "drained"
