"""What was paid for what over a replay, read from the transfers of the events."""

from parkade.core.ledger.accounts import Transfer, TransferKind
from parkade.core.state.world import World
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US


class Money:
    """Sums by kind of transfer, and prices each quarter of an hour."""

    def __init__(self, start_us: int, end_us: int) -> None:
        self._start_us = start_us
        hours = -(-(end_us - start_us) // HOUR_US)
        self.micros = dict.fromkeys(TransferKind, 0)
        self.by_hour = {
            kind: [0] * (hours + 1) for kind in (TransferKind.USAGE, TransferKind.PAYOUT)
        }
        self.paid_gpu_us = 0
        """GPUs x microseconds that guests were charged for."""

        self.prices: list[tuple[int, float]] = []
        """(instant, mean price per GPU-hour of the guests that run), where one runs."""

    def count(self, transfer: Transfer, at_us: int) -> None:
        """One movement of money."""
        self.micros[transfer.kind] += transfer.micros
        hours = self.by_hour.get(transfer.kind)
        if hours is not None:
            hours[min(len(hours) - 1, max(0, at_us - self._start_us) // HOUR_US)] += transfer.micros
        use = transfer.use
        if transfer.kind is TransferKind.USAGE and use is not None:
            self.paid_gpu_us += use.gpus * (use.end_us - use.start_us)

    def sample(self, world: World, at_us: int) -> None:
        """The prices at an instant."""
        attempts = [
            attempt
            for name in world.live
            if (attempt := world.records.workloads[name].attempt) is not None
        ]
        gpus = sum(attempt.gpus for attempt in attempts)
        if gpus:
            paid = sum(attempt.rates[-1].per_hour_micros(attempt.gpus) for attempt in attempts)
            self.prices.append((at_us, paid / gpus / MICROS))

    def total(self, *kinds: TransferKind) -> float:
        """Of these kinds together, in whole units."""
        return sum(self.micros[kind] for kind in kinds) / MICROS
