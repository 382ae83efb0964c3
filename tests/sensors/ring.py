"""A kernel's ring in a test: it gives each record once to whoever has it open."""

from collections.abc import Iterator


class HeldRecords:
    """Implements `kernel_log.live.Records` over a list that grows."""

    def __init__(self, records: list[str]) -> None:
        self._records = records
        self._given = 0

    def new(self) -> Iterator[str]:
        """See `kernel_log.live.Records`."""
        while self._given < len(self._records):
            self._given += 1
            yield self._records[self._given - 1]

    def close(self) -> None:
        """See `kernel_log.live.Records`."""
