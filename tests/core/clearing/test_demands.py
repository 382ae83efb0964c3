"""Demands that are kept from one clearing to the next are those that would be made anew."""

import random
from collections import Counter

from msgspec.structs import replace

from parkade.core.clearing.input import build_input
from parkade.core.market.market_state import MarketState
from parkade.core.market.remembered import Memory
from parkade.core.state import commands
from parkade.core.units.money import MICROS
from parkade.core.workloads.life import Phase
from parkade.core.workloads.workload import Unadmitted
from tests.core.kernel.story import Parkade

ORGS = ("acme", "lab", "mlco")
STORIES = range(10)
STEPS = 40


def given(parkade: Parkade, *, anew: bool) -> MarketState:
    """The state of the only market, `anew` without what its memory holds."""
    world = parkade.world
    known = world.memories
    if anew:
        world.memories = {}
    try:
        return build_input(world, world.records.markets["pool"], parkade.now_us).state
    finally:
        world.memories = known


def act(parkade: Parkade, chance: random.Random) -> str:
    """Something happens in a small market."""
    records = parkade.world.records
    waiting = [name for name in parkade.world.live if records.workloads[name].phase is Phase.QUEUED]
    kinds = ("bid", "bid", "bid", "cancel", "change", "hold", "run", "run", "terms", "refused")
    what = chance.choice(kinds)
    name = chance.choice(waiting) if waiting else ""
    if what == "bid":
        limit, nodes = chance.choice((9, 10, 12)), chance.choice((1, 2, 3))
        most = chance.choice((0, 0, 2 * nodes))
        parkade.bid(chance.choice(ORGS), limit, nodes=nodes, most_nodes=most)
    elif what == "run":
        parkade.clear()
        parkade.start_all()
        parkade.run(chance.choice((1, 60, 3_600, 40_000)))
    elif what == "terms":
        market = records.markets["pool"]
        assemble_us = chance.choice((None, 60_000_000))
        floor_micros = chance.choice((8, 9)) * MICROS
        terms = replace(market.terms, assemble_us=assemble_us, public_floor_micros=floor_micros)
        records.markets["pool"] = replace(market, terms=terms)
    elif what == "refused" and records.unadmitted:
        records.unadmitted.clear()
    elif what == "refused" and name:
        workload = records.workloads[name]
        key = f"{workload.market}/{workload.org}/{workload.user}"
        until_us = parkade.now_us + 30_000_000
        records.unadmitted[key] = Unadmitted(times=1, at_us=parkade.now_us, until_us=until_us)
    elif name and what == "cancel":
        parkade.do(commands.Cancel(by=None, workload=name, now=False))
    elif name and what == "change":
        limit_micros = chance.choice((9, 10, 12)) * MICROS
        parkade.do(commands.ChangeBid(by=None, workload=name, limit_price_micros=limit_micros))
    elif name and what == "hold":
        parkade.do(commands.Hold(by=None, workload=name))
    return what


def test_what_is_kept_is_what_would_be_made() -> None:
    how: Counter[str] = Counter()
    for seed in STORIES:
        chance, parkade = random.Random(seed), Parkade(fabrics={"a": 3, "b": 2}, gpus=2)
        parkade.world.memories["pool"] = Memory()
        before: set[int] = set()
        kept: list[MarketState] = []
        for _ in range(STEPS):
            how[act(parkade, chance)] += 1
            state = given(parkade, anew=False)
            assert state == given(parkade, anew=True), f"story {seed}"
            how["kept"] += sum(id(it) in before for it in state.demands)
            kept.append(state)
            before = {id(it) for it in state.demands}
    assert how["kept"] > 100, how
    assert min(how.values()) > 10, how
