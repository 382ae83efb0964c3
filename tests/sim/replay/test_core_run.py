"""The core over simulated time: which clearings it leaves out."""

from functools import partial

from msgspec.structs import replace

from parkade.core.state import commands, events
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.sim.replay.core_run import CoreRun
from tests import builders
from tests.core.kernel.story import START_US, TERMS


def test_what_follows_a_clearing_that_changed_nothing_ends_the_quiet() -> None:
    """The clearing after an array's submission finds no member yet; one is opened right after it,
    and the next clearing seats that one."""
    for is_every_clearing_run in (True, False):
        launched: list[int] = []

        def follow(event: events.AnyEvent, launched: list[int] = launched) -> None:
            if isinstance(event, events.Launched):
                launched.append(event.at_us)

        run = CoreRun(
            None,
            start_us=START_US,
            follow=follow,
            check_every=1,
            is_every_clearing_run=is_every_clearing_run,
        )
        run.open(
            (
                builders.open_epoch(),
                builders.open_pool("pool", {"a": 1}, gpus=2, engine="local", terms=TERMS),
                commands.CreateOrg(by=None, org="lab"),
                commands.Deposit(by=None, org="lab", micros=10**12),
            )
        )
        spec = replace(
            builders.spec(gpus=2, array=builders.array("0")),
            capacity=Capacity(kind=CapacityKind.SPOT),
            limit_price_micros=9_000_000,
        )
        submit = commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False)
        run.at(START_US + 300 * SECOND_US, partial(run.do, submit))
        run.run_until(START_US + 1800 * SECOND_US)
        assert launched == [START_US + 330 * SECOND_US], "an interval after the submission"
