"""Repairs and checks that are ordered: each is carried out once, whatever happens to the agent.

An order is written down before it begins and again when it ended, so that an agent that is started
anew never does a thing twice; an order in whose middle the agent ended is reported as failed, but
for a reboot of the machine, which it brought about. An order is known by all that it says: a server
whose journal was put back gives its name once more.
"""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from parkade.agent.notes import Notes
from parkade.boots import boot_id
from parkade.core.healing.incident import RepairKind, RepairOrder, RepairReport
from parkade.ports import Clock, Repairs

FILE = "repairs.json"

logger = logging.getLogger("parkade.agent.repairs")


class _Begun(msgspec.Struct, frozen=True, kw_only=True):
    """An order on disk; `report` None: it was under way, in the boot named."""

    order: RepairOrder
    boot: str
    report: RepairReport | None


class OrderedRepairs:
    """See the module. `ended` is called once with each order and how it ended."""

    def __init__(
        self,
        repairs: Repairs | None,
        *,
        notes: Notes,
        clock: Clock,
        ended: Callable[[RepairOrder, RepairReport], None],
    ) -> None:
        self._repairs = repairs
        self._notes = notes
        self._clock = clock
        self._ended = ended
        self._begun = _load(notes)
        self._tasks: dict[RepairOrder, asyncio.Task[None]] = {}
        self._ordered: frozenset[RepairOrder] = frozenset()

    @property
    def kinds(self) -> tuple[RepairKind, ...]:
        """What can be carried out here."""
        return () if self._repairs is None else self._repairs.kinds

    def reports(self) -> tuple[RepairReport, ...]:
        """How the orders ended that are ordered still; none before orders were heard."""
        return tuple(
            it.report
            for order, it in self._begun.items()
            if it.report is not None and order in self._ordered
        )

    def obey(self, orders: tuple[RepairOrder, ...]) -> None:
        """Begins what is new; forgets what is not ordered any more."""
        self._ordered = frozenset(orders)
        gone = [it for it in self._begun if it not in self._ordered and it not in self._tasks]
        for order in gone:
            del self._begun[order]
        if gone:
            self._save()
        for order in orders:
            begun = self._begun.get(order)
            if begun is None:
                self._begin(order)
            elif begun.report is None and order not in self._tasks:
                self._end(order, _interrupted(begun, self._clock.now_us()))

    def begin_waiting(self) -> None:
        """Begins what is ordered and could not be written down before."""
        for order in sorted(self._ordered - self._begun.keys(), key=lambda it: it.ordered_us):
            self._begin(order)

    async def close(self) -> None:
        """Ends what is under way."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _begin(self, order: RepairOrder) -> None:
        self._begun[order] = _Begun(order=order, boot=boot_id() or "", report=None)
        if not self._save():
            # What is not written down could be done twice; it begins once there is room.
            del self._begun[order]
            return
        logger.info("%s of %s begins: %s", order.kind.value, order.node, order.order)
        task = asyncio.create_task(self._carry_out(order))
        self._tasks[order] = task
        task.add_done_callback(lambda _: self._tasks.pop(order, None))

    async def _carry_out(self, order: RepairOrder) -> None:
        if self._repairs is None or order.kind not in self.kinds:
            now_us = self._clock.now_us()
            self._end(order, _failed(order, f"{order.kind.value} is not configured here", now_us))
            return
        self._end(order, await self._repairs.carry_out(order))

    def _end(self, order: RepairOrder, report: RepairReport) -> None:
        begun = self._begun[order]
        self._begun[order] = msgspec.structs.replace(begun, report=report)
        self._save()
        how = "done" if report.is_done else "failed"
        logger.info("%s of %s %s: %s", order.kind.value, order.node, how, report.says)
        self._ended(order, report)

    def _save(self) -> bool:
        """False where the disk does not take it. What has ended is told all the same: a restart
        then reports it once more, as failed in its middle."""
        named = {f"{it.order}@{it.ordered_us}": begun for it, begun in self._begun.items()}
        try:
            self._notes.keep(FILE, msgspec.json.encode(named))
        except OSError as error:
            logger.error("repairs are not written down: %s", error)
            return False
        return True


def _failed(order: RepairOrder, says: str, now_us: int) -> RepairReport:
    return RepairReport(
        order=order.order,
        node=order.node,
        is_done=False,
        exit_code=None,
        says=says,
        began_us=now_us,
        ended_us=now_us,
    )


def _interrupted(begun: _Begun, now_us: int) -> RepairReport:
    """What became of an order in whose middle the agent ended."""
    report = _failed(begun.order, "the agent ended in its middle", now_us)
    if begun.order.kind is RepairKind.REBOOT and begun.boot != (boot_id() or ""):
        says = "the machine was started anew"
        return msgspec.structs.replace(report, is_done=True, exit_code=0, says=says)
    return report


def _load(notes: Notes) -> dict[RepairOrder, _Begun]:
    try:
        named = msgspec.json.decode(notes.load(FILE) or b"{}", type=dict[str, _Begun])
    except msgspec.DecodeError:
        return {}
    return {begun.order: begun for begun in named.values()}
