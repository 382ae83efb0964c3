"""Epochs count up, and the installation keeps its first id."""

import pytest

from parkade.core.epoch.decisions import confirm_clock, open_epoch
from parkade.core.epoch.effects import confirm_clock as confirm
from parkade.core.epoch.effects import doubt_clock
from parkade.core.epoch.effects import open_epoch as take_in
from parkade.core.state import commands, events
from parkade.core.state.world import Records, World


def opened(world: World, *, installation: str, lineage: str, now_us: int = 5) -> events.EpochOpened:
    """The event of a new writer, taken in."""
    command = commands.OpenEpoch(by=None, installation=installation, lineage=lineage)
    made = open_epoch(world, command, now_us)
    assert isinstance(made, tuple) and isinstance(made[0], events.EpochOpened)
    take_in(world, made[0])
    return made[0]


def test_each_writer_has_the_next_epoch_and_its_own_lineage() -> None:
    world = World(Records())
    for number, lineage in enumerate(("one", "two"), start=1):
        opened(world, installation=f"drawn by {lineage}", lineage=lineage)
        records = world.records
        assert (records.epoch, records.lineage) == (number, lineage)
        assert records.installation == "drawn by one"


def test_a_server_whose_data_was_put_back_begins_above_what_its_agents_remember() -> None:
    lost, restored = World(Records()), World(Records())
    for second in (1_700_000_000, 1_700_000_000, 1_700_000_009):
        opened(lost, installation="i", lineage="l", now_us=second * 1_000_000)
    opened(restored, installation="i", lineage="m", now_us=1_700_000_060 * 1_000_000)
    assert lost.records.epoch == 1_700_000_009
    assert restored.records.epoch > lost.records.epoch


def test_an_epoch_is_never_taken_in_twice() -> None:
    world = World(Records())
    event = opened(world, installation="i", lineage="l")
    with pytest.raises(AssertionError, match="repeated"):
        take_in(world, event)


def test_a_clock_is_confirmed_only_where_it_is_in_doubt() -> None:
    world = World(Records())
    assert confirm_clock(world, 5) == ()
    doubt_clock(world)
    assert confirm_clock(world, 5) == (events.ClockConfirmed(at_us=5),)
    confirm(world)
    assert confirm_clock(world, 5) == ()
