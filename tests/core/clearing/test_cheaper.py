"""Work that moves for a lower floor is not sent to and fro by it."""

from msgspec.structs import replace

from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.workloads.spec import Moves
from tests.core.kernel.story import Parkade


def test_two_jobs_that_send_each_other_away_for_a_lower_floor_do_so_ever_more_seldom() -> None:
    """Beside c, b has the key of one bid and goes before a; alone it has not, and a goes first."""
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
    assert all(2 <= parkade.workload(it).generation <= 6 for it in jobs)
