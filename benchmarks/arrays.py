"""What an array of 10,000 members costs beside one workload: to submit, to show, and to run whole.

    python benchmarks/arrays.py [--members 10000] [--nodes 12500]

Decisions only, in one process: a submission is decided, evolved with its deadlines and encoded as
the journal keeps it; a show makes the JSON of the answer. `whole` is how many clearings the array
needs until as many members run as the market holds, and their processor time.
"""

import argparse
import statistics
import time
from collections.abc import Callable

from parkade.api.views import workloads as views
from parkade.core.kernel.deadlines import next_deadline_us, take_deadline
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_event, encode_snapshot
from parkade.core.state.world import Records, World
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.array import ArrayTerms
from tests import builders

NOW_US = 1_700_000_000 * SECOND_US
TIMES = 30


def do(world: World, command: commands.AnyCommand) -> list[events.AnyEvent]:
    """Decides and evolves a command, and the deadlines that it makes due."""
    made = decide(world, command, NOW_US)
    assert not isinstance(made, Refusal), made
    found = list(made)
    for event in made:
        evolve(world, event)
    while (due_us := next_deadline_us(world)) is not None and due_us <= NOW_US:
        taken = take_deadline(world)
        found.extend(taken)
        for event in taken:
            evolve(world, event)
    return found


def a_world(nodes: int) -> World:
    """One market of nodes with one GPU each, and an org with money."""
    world = World(Records())
    do(world, builders.open_epoch())
    do(world, builders.open_pool("pool", {"a": nodes}, gpus=1))
    do(world, commands.CreateOrg(by=None, org="lab"))
    do(world, commands.Deposit(by=None, org="lab", micros=10**9 * MICROS))
    return world


def submission(members: int | None) -> commands.Submit:
    """A bid of one GPU, an array of them where members are named."""
    terms = None
    if members is not None:
        terms = ArrayTerms(members=((0, members - 1),), most_running=None)
    spec = builders.spec(array=terms)
    return commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False)


def median_ms(act: Callable[[], object]) -> float:
    """The median processor time of some repetitions."""
    found = []
    for _ in range(TIMES):
        begun = time.process_time()
        act()
        found.append((time.process_time() - begun) * 1000)
    return statistics.median(found)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=12_500)
    asked = parser.parse_args()
    for what, members in (("one workload", None), (f"array of {asked.members:,}", asked.members)):
        world = a_world(100)

        def submit(members: int | None = members, world: World = world) -> list[bytes]:
            return [encode_event(it) for it in do(world, submission(members))]

        size = sum(map(len, submit()))
        submitted = median_ms(submit)
        name = f"w{world.records.counters['workload']}"

        def show(world: World = world, name: str = name) -> str:
            known = views.known(world, world.records.workloads[name], NOW_US)
            return views.workload(known).model_dump_json()

        print(
            f"{what}: submit {submitted:.2f} ms and {size:,} bytes of journal,"
            f" show {median_ms(show):.2f} ms and {len(show()):,} bytes"
        )
    world = a_world(asked.nodes)
    do(world, submission(asked.members))
    begun, clearings = time.process_time(), 0
    most = min(asked.members, asked.nodes)
    while world.members.of("w1").seated < most:
        do(world, commands.RunClearing(by=None, market="pool"))
        clearings += 1
    spent = time.process_time() - begun
    print(
        f"whole: {most:,} members on {asked.nodes:,} nodes after {clearings} clearings,"
        f" {spent:.1f} s of processor time; snapshot {len(encode_snapshot(world)):,} bytes"
    )


if __name__ == "__main__":
    main()
