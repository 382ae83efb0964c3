"""The time of a run in equal steps, over which what has a span is spread."""

from collections.abc import Iterator

from parkade.core.units.time import DAY_US, MINUTE_US

MOST_STEPS = 400


class Timeline:
    """From `start_us` to `end_us`; what lies outside counts nowhere."""

    def __init__(self, start_us: int, end_us: int) -> None:
        self.start_us, self.end_us = start_us, end_us
        self._step_us = max(MINUTE_US, -(-(end_us - start_us) // MOST_STEPS))
        self._count = -(-(end_us - start_us) // self._step_us) or 1

    def zeros(self) -> list[int]:
        """A sum of nothing for each step."""
        return [0] * self._count

    def fill(self, sums: list[int], gpus: int, from_us: int, to_us: int) -> None:
        """Adds GPUs × microseconds of a span."""
        for place, span_us in self.parts(from_us, to_us):
            sums[place] += gpus * span_us

    def parts(self, from_us: int, to_us: int) -> Iterator[tuple[int, int]]:
        """The steps that a span covers, and how much of it lies in each."""
        at_us, to_us = max(from_us, self.start_us), min(to_us, self.end_us)
        while at_us < to_us:
            place = self.place(at_us)
            is_last = place == self._count - 1
            ends_us = self.start_us + (place + 1) * self._step_us
            until_us = to_us if is_last else min(to_us, ends_us)
            yield place, until_us - at_us
            at_us = until_us

    def place(self, at_us: int) -> int:
        """The step of an instant."""
        return min(self._count - 1, max(0, at_us - self.start_us) // self._step_us)

    def span_us(self, place: int) -> int:
        """How long a step is: the last one ends with the run."""
        begins_us = self.start_us + place * self._step_us
        return max(1, min(self._step_us, self.end_us - begins_us))

    def day(self, place: int) -> float:
        """The middle of a step, in days from the start."""
        return (place + 0.5) * self._step_us / DAY_US
