"""Opens what a scan reads: a kernel log, and later sensors, each saying how it went.

A sensor that this machine does not have is *absent*, one that went wrong is *failed*; neither is
health, and both are shown.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from parkade.core.healing.symptom import Symptom
from parkade.mars.scanning import Sensor, kernel_symptoms
from parkade.sensors.kernel_log.files import KMSG, kernel_ring, lines_of
from parkade.sensors.kernel_log.reading import Tally


class Sources:
    """What a scan reads. `symptoms` is drawn once; `sensors` is whole when it has been drawn."""

    def __init__(self, *, node: str, now_us: int) -> None:
        self.tally = Tally()
        self.sensors: list[Sensor] = []
        self._node = node
        self._now_us = now_us

    def kernel_file(self, path: Path) -> Iterator[Symptom]:
        """A recorded log; `-` is stdin. Raises OSError where it cannot be opened."""
        with ExitStack() as stack:
            if str(path) == "-":
                handle = sys.stdin.buffer
                year = datetime.now(UTC).year
            else:
                handle = stack.enter_context(path.open("rb"))
                year = datetime.fromtimestamp(os.fstat(handle.fileno()).st_mtime, UTC).year
            yield from self._kernel(lines_of(handle), year)
        self._say("kernel log", "read", str(path))

    def kernel_ring(self) -> Iterator[Symptom]:
        """What the kernel of this machine still holds."""
        try:
            yield from self._kernel(kernel_ring(), datetime.now(UTC).year)
        except FileNotFoundError:
            self._say("kernel log", "absent", f"{KMSG} is not there")
        except OSError as error:
            detail = f"{KMSG}: {error.strerror}; run as root, or give --kernel-log FILE"
            self._say("kernel log", "failed", detail)
        else:
            self._say("kernel log", "read", str(KMSG))

    def _kernel(self, lines: Iterator[str], year: int) -> Iterator[Symptom]:
        yield from kernel_symptoms(
            lines, self.tally, node=self._node, now_us=self._now_us, year=year
        )

    def _say(self, sensor: str, state: str, detail: str) -> None:
        self.sensors.append(Sensor(sensor=sensor, state=state, detail=detail))
