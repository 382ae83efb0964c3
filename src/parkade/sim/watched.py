"""What the agents of a story watch and may do, as the `mars.yaml` of each pool would say.

Racks have a few nodes each and cross fabrics; a switch serves two racks; the driver begins as one
version for all. Most agents can do everything; some lack a check or a repair, as sites do.
"""

import random

import msgspec

from parkade.core.fleet.buffer import BufferGrowth, BufferPolicy, BufferShare
from parkade.core.healing.incident import RepairKind
from parkade.core.healing.policy import Policy
from parkade.core.healing.topology import Surroundings
from parkade.core.units.fraction import Fraction
from parkade.core.units.time import HOUR_US
from parkade.ports import NodeShape

RACK = 4
DRIVERS = ("570.86.10", "580.65.06")
ALL = tuple(RepairKind)


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool's `mars.yaml` says: by which policy nodes are judged, what can be done with them,
    and what they share. It is read anew by each agent that starts."""

    policy: Policy
    kinds: tuple[RepairKind, ...]
    surroundings: tuple[Surroundings, ...]


def draw_watched(
    chance: random.Random, nodes: tuple[NodeShape, ...], policy: Policy
) -> Watched | None:
    """A pool's; None where its agent watches nothing."""
    kinds = chance.choice(
        (
            *(ALL,) * 6,
            tuple(it for it in ALL if it is not RepairKind.SANITISE),
            tuple(it for it in ALL if it is not RepairKind.VALIDATE),
            tuple(it for it in ALL if it is not RepairKind.TICKET),
            (RepairKind.VALIDATE, RepairKind.SANITISE),
            (),
            None,
        )
    )
    if kinds is None:
        return None
    names = [node.node for node in nodes]
    chance.shuffle(names)
    return Watched(
        policy=policy,
        kinds=kinds,
        surroundings=tuple(
            Surroundings(
                node=name,
                rack=f"r{at // RACK}",
                switch=f"s{at // (2 * RACK)}",
                driver=DRIVERS[0],
            )
            for at, name in enumerate(names)
        ),
    )


def draw_buffer(chance: random.Random) -> BufferPolicy | None:
    """How a market sizes its buffers."""
    quantile = Fraction(numerator=99, denominator=100)
    return chance.choice(
        (
            None,
            BufferShare(share=Fraction(numerator=1, denominator=10)),
            BufferGrowth(quantile=quantile, horizon_us=24 * HOUR_US),
        )
    )


def draw_shares(chance: random.Random) -> tuple[Fraction, Fraction]:
    """The budgets of a fabric and of the fleet, from the built-in ones up to all nodes."""
    usual = (Fraction(numerator=1, denominator=10), Fraction(numerator=1, denominator=20))
    large = (Fraction(numerator=1, denominator=2), Fraction(numerator=1, denominator=2))
    whole = (Fraction(numerator=1, denominator=1), Fraction(numerator=1, denominator=1))
    return chance.choice((usual, large, whole, whole))
