"""What a story begins with, drawn from its seed: pools, fabrics, terms, orgs, users, money.

Fabrics are of unequal size; a market has one pool or two, and there may be two markets. Terms take
values at the ends of what is usual, so that notices, turnarounds and graces meet in all orders.
"""

import random
from collections.abc import Iterator

import msgspec

from parkade.core.fleet.market import InstanceType, MarketTerms
from parkade.core.state import commands
from parkade.core.state.people import Role
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.ports import NodeShape

OPERATOR = "op"
HOUSE = "house"


class PoolPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as it is opened."""

    pool: str
    market: str
    gpus: int
    fabrics: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def nodes(self) -> tuple[NodeShape, ...]:
        """All its nodes."""
        return tuple(
            NodeShape(node=node, gpus=self.gpus) for _, nodes in self.fabrics for node in nodes
        )


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a story begins with. `orgs`: (org, its deposit in whole units)."""

    pools: tuple[PoolPlan, ...]
    terms: dict[str, MarketTerms]
    orgs: tuple[tuple[str, int], ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node's name."""
        return tuple(node.node for pool in self.pools for node in pool.nodes)


SMALL, MEDIUM = 6, 14
"""The most nodes of a fabric, in stories that ask for no size."""


def draw_fleet(chance: random.Random, *, nodes: int | None, most: int = SMALL) -> Fleet:
    """A fleet; of about `nodes` nodes where that is given, else of a few: at most `most` in a
    fabric."""
    markets = ("m1",) if nodes is not None else chance.choice((("m1",), ("m1",), ("m1", "m2")))
    pools: list[PoolPlan] = []
    for market in markets:
        gpus = 8 if nodes is not None else chance.choice((1, 2, 4, 8))
        for _ in range(1 if nodes is not None else chance.choice((1, 1, 2))):
            pools.append(_draw_pool(chance, len(pools) + 1, market, gpus, nodes, most))
    rich = 10**7 if nodes is not None else 10**5
    deposits = (rich,) if nodes is not None else (rich, rich, 300, 20, 0)
    orgs = [(f"org{number}", chance.choice(deposits)) for number in range(chance.randint(3, 6))]
    orgs[0] = (orgs[0][0], rich)
    return Fleet(
        pools=tuple(pools),
        terms={market: _draw_terms(chance) for market in markets},
        orgs=tuple(orgs),
    )


def opening(fleet: Fleet, *, has_queues: bool) -> Iterator[commands.AnyCommand]:
    """The commands that open it, in order. `has_queues`: its engines take jobs that Parkade knows
    nothing of, and fences are asked for."""
    yield commands.CreateOrg(by=None, org=HOUSE)
    yield create_user(OPERATOR, HOUSE, Role.OPERATOR)
    opened: set[str] = set()
    for pool in fleet.pools:
        terms = fleet.terms[pool.market]
        opens = None if pool.market in opened else _new_market(pool, terms)
        opened.add(pool.market)
        yield commands.OpenPool(
            by=OPERATOR,
            pool=pool.pool,
            site="site",
            supplier=None,
            engine="slurm" if has_queues else "simulated",
            supply=commands.Supply(market=pool.market, opens=opens, fabrics=pool.fabrics),
        )
        if has_queues:
            yield commands.SetFence(by=OPERATOR, pool=pool.pool, is_on=True)
    for org, deposit in fleet.orgs:
        yield commands.CreateOrg(by=OPERATOR, org=org)
        yield create_user(owner_of(org), org, Role.OWNER)
        yield create_user(member_of(org), org, Role.MEMBER)
        if deposit:
            yield commands.Deposit(by=OPERATOR, org=org, micros=deposit * MICROS)


def owner_of(org: str) -> str:
    """The user that manages an org."""
    return f"{org}-owner"


def member_of(org: str) -> str:
    """A user of an org."""
    return f"{org}-user"


def create_user(user: str, org: str, role: Role) -> commands.CreateUser:
    """The command that adds a user."""
    return commands.CreateUser(by=None, user=user, org=org, role=role, unix_name=None)


def _draw_pool(
    chance: random.Random, number: int, market: str, gpus: int, nodes: int | None, most: int
) -> PoolPlan:
    if nodes is None:
        sizes = [chance.randint(1, most) for _ in range(chance.randint(1, 3))]
    else:
        sizes = _parts(nodes)
    fabrics = tuple(
        (
            f"{pool_letter(number)}{place}",
            tuple(f"{pool_letter(number)}{place}-{it}" for it in range(1, size + 1)),
        )
        for place, size in enumerate(sizes, start=1)
    )
    return PoolPlan(pool=f"p{number}", market=market, gpus=gpus, fabrics=fabrics)


def pool_letter(number: int) -> str:
    """How the fabrics of a pool begin: `a` for the first."""
    return "abcdefgh"[number - 1]


def _parts(nodes: int) -> list[int]:
    """Fabrics of unequal size: two fifths, three tenths, and the rest."""
    first, second = nodes * 4 // 10, nodes * 3 // 10
    return [size for size in (first, second, nodes - first - second) if size]


def _new_market(pool: PoolPlan, terms: MarketTerms) -> commands.NewMarket:
    return commands.NewMarket(
        instance_type=InstanceType(
            name=f"kind-{pool.gpus}",
            gpu_model="H100",
            gpus_per_node=pool.gpus,
            memory_gib=1024,
            cpus=96,
        ),
        terms=terms,
    )


def _draw_terms(chance: random.Random) -> MarketTerms:
    return MarketTerms(
        pay_as_you_go_micros=12 * MICROS,
        reservation_rate_micros=4 * MICROS,
        public_floor_micros=chance.choice((0, 1, 2, 5)) * MICROS,
        fee=chance.choice((Fraction(numerator=1, denominator=10), _SEVENTHS)),
        switching_credit=chance.choice((Fraction(numerator=1, denominator=20), _NO_CREDIT)),
        notice_us=chance.choice((10, 30, 120, 300)) * SECOND_US,
        heal_notice_us=chance.choice((5, 10, 30)) * SECOND_US,
        kill_us=chance.choice((5, 30)) * SECOND_US,
        turnaround_us=chance.choice((0, 0, 30, 600)) * SECOND_US,
        start_grace_us=chance.choice((30, 120)) * SECOND_US,
        minimum_charge_us=chance.choice((0, 30, 120)) * SECOND_US,
        release_grace_us=chance.choice((30, 60)) * SECOND_US,
        clearing_interval_us=chance.choice((30, 60, 120)) * SECOND_US,
        clearing_pause_us=SECOND_US // 2,
        billing_period_us=chance.choice((1, 6, 24)) * HOUR_US,
        backoff_us=chance.choice((30, 300)) * SECOND_US,
        retention_us=chance.choice((1, 6)) * HOUR_US,
        buffer_nodes=chance.choice((0, 0, 1)),
        agent_lease_us=chance.choice((None, 5 * MINUTE_US, 10 * MINUTE_US)),
        start_limit_us=chance.choice((None, 10 * MINUTE_US)),
        payout_cap=chance.choice((None, Fraction(numerator=1, denominator=1))),
        window_deposit=chance.choice((None, Fraction(numerator=1, denominator=10))),
        assemble_us=chance.choice((None, 10 * MINUTE_US)),
        min_runtime_us=chance.choice((None, None, 5 * MINUTE_US)),
        shared_nodes=chance.random() < 0.3,
        regrow_us=chance.choice((None, 5 * MINUTE_US, 10 * MINUTE_US)),
    )


_SEVENTHS = Fraction(numerator=2, denominator=7)
_NO_CREDIT = Fraction(numerator=0, denominator=1)
