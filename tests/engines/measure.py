"""Figures of the local engine on this machine: `python -m tests.engines.measure`. Not a test.

Prints medians and the worst of N: keeper start, launch to first command, order to notice file,
order to the program's signal handler, and the processor time of idle keepers and of an engine
that looks twice a second.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from parkade.engines.local import keepers, records
from parkade.ports import Phase
from tests.engines.conftest import LocalPlace
from tests.engines.trial import FOR_EVER, ask, attempt_of, order_in, released, until, until_seen

ROUNDS = 20
IDLE = 8
IDLE_S = 10.0
WAITS = "touch $PARKADE_CHECKPOINT_DIR/up.0; exec sleep 600"


def show(name: str, seconds: list[float]) -> None:
    middle, worst = statistics.median(seconds) * 1e3, max(seconds) * 1e3
    sys.stdout.write(f"{name}: median {middle:.1f} ms, worst {worst:.1f} ms of {len(seconds)}\n")


async def starts(place: LocalPlace) -> None:
    engine = place.engine()
    keeper, whole = [], []
    for _ in range(ROUNDS):
        attempt = attempt_of("exit 0")
        folder = engine._make_known(attempt)
        before = time.monotonic()
        wall_us = time.time_ns() // 1000
        await asyncio.to_thread(keepers.start_keeper, folder)
        keeper.append(time.monotonic() - before)
        seen = await released(engine, attempt)
        whole.append(((seen.started_us or 0) - wall_us) / 1e6)
    show("keeper started (process made to lock held)", keeper)
    show("keeper started to ranks running", whole)


async def notices(place: LocalPlace) -> None:
    engine = place.engine()
    to_file, to_handler = [], []
    for _ in range(ROUNDS):
        trap = "trap 'date +%s%N > $PARKADE_CHECKPOINT_DIR/t; exit 85' USR1; "
        attempt = attempt_of(trap + FOR_EVER, save=ask("SIGUSR1"))
        await engine.launch(attempt)
        folder = place.checkpoints(attempt)
        await until((folder / "up.0").exists)
        notice = place.folder(attempt) / records.NOTICE
        before = time.time_ns()
        await engine.stop(attempt.attempt, order_in(30, 40))
        while not notice.exists():  # noqa: ASYNC110
            await asyncio.sleep(0)
        to_file.append((time.time_ns() - before) / 1e9)
        await released(engine, attempt)
        to_handler.append((int((folder / "t").read_text()) - before) / 1e9)
    show("order to notice file", to_file)
    show("order to the handler of a shell that sleeps 50 ms at a time", to_handler)


async def idle(place: LocalPlace) -> None:
    engine = place.engine()
    some = [attempt_of(WAITS) for _ in range(4)]
    some += [attempt_of(WAITS, nodes=2, gpus=0) for _ in range(IDLE - 4)]
    for attempt in some:
        await engine.launch(attempt)
        await until_seen(engine, attempt, lambda one: one.phase is Phase.RUNNING)
    pids = [place.state(attempt).keeper_pid for attempt in some]
    before, mine = sum(map(ticks, pids)), time.process_time()
    looks = 0
    ends_at = time.monotonic() + IDLE_S
    while time.monotonic() < ends_at:
        await engine.observe()
        looks += 1
        await asyncio.sleep(0.5)
    spent = (sum(map(ticks, pids)) - before) / 100 / IDLE_S / IDLE
    sys.stdout.write(f"idle keeper: {spent:.2%} of a core each ({IDLE} keepers)\n")
    spent = (time.process_time() - mine) / IDLE_S
    sys.stdout.write(f"engine looking twice a second at {IDLE} attempts: {spent:.2%} of a core\n")
    for attempt in some:
        await engine.stop(attempt.attempt, order_in(0, 0))
        await released(engine, attempt)


def ticks(pid: int) -> int:
    """Processor time so far, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        place = LocalPlace(Path(name) / "pool")
        for part in (starts, notices, idle):
            asyncio.run(part(place))
        place.close()


if __name__ == "__main__":
    main()
