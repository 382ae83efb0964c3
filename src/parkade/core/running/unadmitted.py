"""Work of a user of whom an engine takes no job: it waits without seats, and is tried now and then.

Theory of operation
-------------------
On a cluster that enforces associations the engine refuses each job of a user whom its administrator
has not let in. Such work cannot start, so it must neither keep seats nor set prices, and its user
pays nothing for it. What the engine says may be the doing of the user, as whom it is submitted. So
what is free here is bounded, for each user in each market:

- After a refusal none of the user's work that has no seats takes part there for `FIRST_US`, then
  for twice as long each time, up to `FIRST_US << MOST_DOUBLINGS`.
- After that time one workload of the user takes part, the others wait for what becomes of it. Which
  one changes every `TURN_US`, so that a bid that cannot win keeps none of the others waiting.
- For `CAUTIOUS_US` from then on a bid counts as one at the public floor: it gets seats that are
  free, nothing leaves for it, and what comes after it keeps its shortest run. After that it counts
  as it is, so that a user who was let in starts on a full market too.
- A start ends that. The times are counted on for a day, so that who is let in and refused in turn
  waits longer and longer all the same.

Seats are held for as long as the engine takes to refuse, which is seconds. So in the long run at
most one workload in 16 minutes is placed for nothing, and makes others leave where the market is
full, whatever a user does. On-demand and work on a reservation bid no limit: they get what is sold
to them, after the spans.

Example (`tests/core/running/test_unadmitted.py`). bob's w1 and w2 are launched at 10:00:00 and
refused at once. Both wait until 10:00:30. Then w1 is tried and refused: until 10:01:30. An
administrator lets bob in at 10:01:00. At 10:01:30 w1 is launched, and starts; w2 takes part in the
next clearing. Decision record 214.
"""

from msgspec.structs import replace

from parkade.core.state.events import Ended
from parkade.core.state.world import World
from parkade.core.units.time import DAY_US, MINUTE_US, SECOND_US
from parkade.core.workloads.workload import Unadmitted, Workload

FIRST_US = 30 * SECOND_US
MOST_DOUBLINGS = 5
TURN_US = 2 * MINUTE_US
CAUTIOUS_US = 16 * MINUTE_US


def until_us(world: World, workload: Workload, at_us: int) -> int:
    """Until when a user's work waits after a refusal at this instant; several within one wait are
    one."""
    known = world.records.unadmitted.get(_key(workload))
    if known is not None and _is_waiting(known, at_us):
        return known.until_us
    return at_us + (FIRST_US << min(_times(known, at_us), MOST_DOUBLINGS))


def note_unadmitted(world: World, workload: Workload, event: Ended) -> None:
    """Remembers a refusal; one of a workload that goes on to other seats too."""
    if not event.is_unadmitted:
        return
    at_us = event.at_us
    known = world.records.unadmitted.get(_key(workload))
    if known is not None and _is_waiting(known, at_us):
        return
    world.records.unadmitted[_key(workload)] = Unadmitted(
        times=_times(known, at_us) + 1, at_us=at_us, until_us=until_us(world, workload, at_us)
    )


def note_admitted(world: World, workload: Workload) -> None:
    """Work of the user was started."""
    known = world.records.unadmitted.get(_key(workload))
    if known is not None and not known.has_started:
        world.records.unadmitted[_key(workload)] = replace(known, has_started=True)


def kept_out(world: World, candidates: list[Workload], now_us: int) -> frozenset[str]:
    """Those of the candidates that take no part because their user is refused. A candidate takes
    part but for that, or has seats. Cost grows with the candidates, while a user is refused."""
    refused = {key: it for key, it in world.records.unadmitted.items() if not it.has_started}
    if not refused:
        return frozenset()
    waiting: dict[str, list[str]] = {}
    tried: set[str] = set()
    for workload in candidates:
        key = _key(workload)
        if key not in refused:
            continue
        attempt = workload.attempt
        if attempt is None and workload.promise is None:
            waiting.setdefault(key, []).append(workload.workload)
        elif attempt is None or attempt.started_us is None:
            tried.add(key)
    found: set[str] = set()
    for key, names in waiting.items():
        is_turn = now_us >= refused[key].until_us and key not in tried
        one = sorted(names)[now_us // TURN_US % len(names)] if is_turn else None
        found.update(name for name in names if name != one)
    return frozenset(found)


def counted_limit_micros(world: World, workload: Workload, now_us: int) -> int | None:
    """What its limit counts for in a clearing; None: it has none."""
    limit_micros = workload.spec.limit_price_micros
    if limit_micros is None or not is_cautious(world, workload, now_us):
        return limit_micros
    return min(limit_micros, world.records.markets[workload.market].terms.public_floor_micros)


def is_cautious(world: World, workload: Workload, now_us: int) -> bool:
    """Whether it is work of a refused user, for which nothing leaves yet."""
    if not world.records.unadmitted:
        return False
    known = world.records.unadmitted.get(_key(workload))
    if known is None or known.has_started:
        return False
    has_begun = workload.attempt is not None and workload.attempt.started_us is not None
    return not has_begun and now_us < known.until_us + CAUTIOUS_US


def _is_waiting(known: Unadmitted, at_us: int) -> bool:
    return not known.has_started and at_us < known.until_us


def _key(workload: Workload) -> str:
    return f"{workload.market}/{workload.org}/{workload.user}"


def _times(known: Unadmitted | None, at_us: int) -> int:
    """How often before, within a day."""
    return 0 if known is None or at_us - known.at_us >= DAY_US else known.times
