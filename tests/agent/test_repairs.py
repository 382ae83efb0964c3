"""What an agent does with orders of repairs: each once, and none for another."""

import asyncio
from pathlib import Path

from parkade.agent.notes import NotesFolder
from parkade.agent.repairs import OrderedRepairs
from parkade.core.healing.incident import RepairKind, RepairOrder, RepairReport
from tests.clocks import WallClock
from tests.waits import PATIENCE_S


class Noting:
    """Repairs that succeed and are noted."""

    kinds = (RepairKind.SANITISE,)

    def __init__(self) -> None:
        self.done: list[RepairOrder] = []

    async def carry_out(self, order: RepairOrder) -> RepairReport:
        self.done.append(order)
        return RepairReport(
            order=order.order,
            node=order.node,
            is_done=True,
            exit_code=0,
            says="",
            began_us=0,
            ended_us=1,
        )


def order(node: str, ordered_us: int) -> RepairOrder:
    return RepairOrder(
        order="turnaround-5",
        incident="",
        node=node,
        kind=RepairKind.SANITISE,
        grade=None,
        device=None,
        ordered_us=ordered_us,
    )


def test_an_order_of_a_name_that_was_given_before_is_carried_out_and_not_answered_from_memory(
    tmp_path: Path,
) -> None:
    repairs = Noting()
    orders = [order("n1", 1), order("n1", 999), order("n2", 999)]

    async def body() -> None:
        for one in orders:
            ended = asyncio.Event()
            # Each time another agent on the same folder, as after a restart.
            agent = OrderedRepairs(
                repairs,
                notes=NotesFolder(tmp_path),
                clock=WallClock(),
                ended=lambda *_, it=ended: it.set(),
            )
            assert agent.reports() == ()
            agent.obey((one,))
            await asyncio.wait_for(ended.wait(), PATIENCE_S)
            assert [report.node for report in agent.reports()] == [one.node]
            agent.obey((one,))

    asyncio.run(body())
    assert repairs.done == orders
