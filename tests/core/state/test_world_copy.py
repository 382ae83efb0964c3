"""A copy of a world is a branch: it has every field, and shares no mutable container."""

from typing import Any

import msgspec

from parkade.core.kernel.deadlines import next_deadline_us
from parkade.core.ledger.accounts import Ledger
from parkade.core.state.agenda import Agenda
from parkade.core.state.codec import encode_snapshot
from parkade.core.state.world import World
from tests.core.kernel.story import Parkade


def _busy() -> Parkade:
    parkade = Parkade()
    reservation = parkade.reserve("acme", 2)
    parkade.lend(reservation, 5)
    name = parkade.bid("lab", 20, nodes=2)
    parkade.clear()
    parkade.started(name)
    parkade.claim(reservation, 2)
    return parkade


def _mutable(root: object) -> dict[int, Any]:
    """Every dict, list and set that is reached from an object, by its identity."""
    found: dict[int, Any] = {}
    waiting: list[Any] = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list | set):
            if id(value) in found:
                continue
            found[id(value)] = value
            waiting.extend(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, msgspec.Struct):
            waiting.extend(getattr(value, field) for field in value.__struct_fields__)
        elif isinstance(value, tuple):
            waiting.extend(value)
        elif isinstance(value, World | Ledger | Agenda):
            waiting.extend(vars(value).values())
    return found


def test_a_copy_has_all_that_the_world_has() -> None:
    world = _busy().world
    made = world.copy()
    assert encode_snapshot(made) == encode_snapshot(world)
    assert vars(made).keys() == vars(World(made.records)).keys()
    assert made.held_on == world.held_on
    assert made.promised_on == world.promised_on
    assert made.live_of_org == world.live_of_org
    assert (made.sizes, made.pools_of) == (world.sizes, world.pools_of)
    assert next_deadline_us(made) == next_deadline_us(world)


def test_a_copy_shares_no_container_that_could_change() -> None:
    world = _busy().world
    shared = _mutable(world).keys() & _mutable(world.copy()).keys()
    assert len(_mutable(world)) > 20
    assert not shared


def test_what_happens_in_a_copy_does_not_happen_in_the_world() -> None:
    parkade = _busy()
    before, world = encode_snapshot(parkade.world), parkade.world
    parkade.world = world.copy()
    parkade.fail("a1")
    parkade.run(300)
    assert encode_snapshot(parkade.world) != before
    assert encode_snapshot(world) == before
