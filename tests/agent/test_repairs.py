"""What an agent does with orders of repairs: each once, and none for another."""

import asyncio
import shutil
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


def test_a_repair_begins_on_a_full_disk_only_once_it_can_be_written_down(tmp_path: Path) -> None:
    repairs, folder = Noting(), tmp_path / "agent"

    async def body() -> None:
        ended = asyncio.Event()
        agent = OrderedRepairs(
            repairs, notes=NotesFolder(folder), clock=WallClock(), ended=lambda *_: ended.set()
        )
        # A file stands where the folder shall be: nothing can be written there, as on a full disk.
        folder.write_text("")
        agent.obey((order("n1", 1),))
        agent.begin_waiting()
        await asyncio.sleep(0)
        assert not repairs.done
        folder.unlink()
        agent.begin_waiting()
        await asyncio.wait_for(ended.wait(), PATIENCE_S)
        assert [report.is_done for report in agent.reports()] == [True]

    asyncio.run(body())
    assert repairs.done == [order("n1", 1)]


def test_the_end_of_a_repair_is_told_although_the_disk_is_full(tmp_path: Path) -> None:
    folder = tmp_path / "agent"

    class Filling(Noting):
        async def carry_out(self, order: RepairOrder) -> RepairReport:
            shutil.rmtree(folder)
            folder.write_text("")
            return await super().carry_out(order)

    async def body() -> None:
        ended = asyncio.Event()
        agent = OrderedRepairs(
            Filling(), notes=NotesFolder(folder), clock=WallClock(), ended=lambda *_: ended.set()
        )
        agent.obey((order("n1", 1),))
        await asyncio.wait_for(ended.wait(), PATIENCE_S)
        assert [report.is_done for report in agent.reports()] == [True]
        await agent.close()

    asyncio.run(body())
