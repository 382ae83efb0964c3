"""Pools, price sheets and nodes as told."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from parkade.api.translate import amount, amount_or_none, instant, instant_or_none, span, terms_told
from parkade.core.fleet.market import Market
from parkade.core.fleet.node import Node
from parkade.core.state.world import World
from parkade.wire import pools as wire


def sheet(market: Market) -> wire.Sheet:
    """What everyone may know of a market's prices."""
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


def pools(markets: Sequence[Market], nodes: Sequence[Node]) -> wire.Pools:
    """Every pool; grows with the number of nodes."""
    fabrics: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    in_play: dict[str, int] = defaultdict(int)
    for node in nodes:
        fabrics[node.market][node.fabric].append(node.node)
        in_play[node.market] += node.is_in_play
    return wire.Pools(
        pools=tuple(
            _pool(market, fabrics[market.market], in_play[market.market]) for market in markets
        )
    )


def _pool(market: Market, fabrics: dict[str, list[str]], in_play: int) -> wire.Pool:
    kind = market.instance_type
    return wire.Pool(
        pool=market.pool,
        market=market.market,
        site=market.site,
        instance_type=wire.InstanceType.model_construct(
            name=kind.name,
            gpu_model=kind.gpu_model,
            gpus_per_node=kind.gpus_per_node,
            memory_gib=kind.memory_gib,
            cpus=kind.cpus,
        ),
        terms=terms_told(market.terms),
        fabrics={fabric: tuple(nodes) for fabric, nodes in fabrics.items()},
        nodes=sum(map(len, fabrics.values())),
        nodes_in_play=in_play,
        is_reachable=market.is_reachable,
    )


class Seated(msgspec.Struct, frozen=True, kw_only=True):
    """A node, and (workload or claim, GPUs) that hold or are promised seats there."""

    node: Node
    held: tuple[tuple[str, int], ...]
    promised: tuple[tuple[str, int], ...]


def seated(world: World, node: Node) -> Seated:
    """Cheap enough for the writer's thread; the answer is made elsewhere."""
    return Seated(
        node=node,
        held=tuple(world.held_on.get(node.node, {}).items()),
        promised=tuple(world.promised_on.get(node.node, {}).items()),
    )


def node(seated: Seated) -> wire.Node:
    """A node and who sits there; for operators only."""
    node = seated.node
    return wire.Node(
        node=node.node,
        market=node.market,
        fabric=node.fabric,
        gpus=node.gpus,
        gpus_held=sum(gpus for _, gpus in seated.held),
        gpus_promised=sum(gpus for _, gpus in seated.promised),
        health=node.health.value,
        health_reason=node.health_reason,
        cordons=tuple(
            wire.Cordon(holder=cordon.holder, reason=cordon.reason, at=instant(cordon.at_us))
            for cordon in node.cordons
        ),
        seated=tuple(name for name, _ in seated.held),
    )
