"""Work that moves for a lower floor is not sent to and fro by it."""

from msgspec.structs import replace

from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.workloads.spec import Moves
from tests.core.kernel.story import Parkade


def test_two_jobs_beside_others_do_not_send_each_other_away_for_a_lower_floor() -> None:
    """Beside c, b has the key of one bid, and would go before a; alone it has not."""
    parkade = Parkade(
        fabrics={"amber": 2, "cheap": 2}, gpus=8, buffer_nodes=0, public_floor_micros=2 * MICROS
    )
    parkade.lend(parkade.reserve("acme", 2), 5)
    parkade.org("lab")

    def submitted(limit: float, nodes: int, gpus: int, moves: Moves = Moves.NEEDED) -> str:
        spec = replace(parkade.spec(limit=limit, nodes=nodes, gpus=gpus), moves=moves)
        made = parkade.do(
            commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False)
        )
        parkade.run(60)
        return next(it.workload.workload for it in made if isinstance(it, events.Submitted))

    for limit, nodes, gpus in ((21, 2, 4), (33, 1, 4), (9.5, 1, 5)):
        submitted(limit, nodes, gpus)
    jobs = [submitted(10, 1, 4, Moves.CHEAPER), submitted(7, 1, 1, Moves.CHEAPER)]
    parkade.run(2 * 3600)
    assert [parkade.workload(it).generation for it in jobs] == [1, 1]


def test_what_moved_for_a_lower_floor_stays_ten_minutes_before_it_does_so_again() -> None:
    parkade = Parkade(
        fabrics={"amber": 1, "birch": 1}, gpus=8, buffer_nodes=0, public_floor_micros=9 * MICROS
    )
    parkade.org("lab")
    amber, birch = parkade.reserve("acme", 1), parkade.reserve("bolt", 1)
    parkade.lend(amber, 5)
    parkade.lend(birch, 6)
    spec = replace(parkade.spec(limit=20, nodes=1, gpus=8), moves=Moves.CHEAPER)
    made = parkade.do(commands.Submit(by=None, org="lab", market=None, spec=spec, is_held=False))
    job = next(it.workload.workload for it in made if isinstance(it, events.Submitted))
    parkade.run(60)
    parkade.lend(birch, 4)
    parkade.run(300)
    assert parkade.workload(job).generation == 2
    parkade.lend(amber, 3)
    parkade.run(120)
    assert parkade.workload(job).generation == 2
    parkade.run(900)
    assert parkade.workload(job).generation == 3
