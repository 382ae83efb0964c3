"""The processes of a search: parts of a level are handed out, and answered in order.

With one process the parts are expanded here. With more, each of the others is handed a part, and a
few wait for it, so that none is idle; all beyond are made when an answer was taken. A process that
ends before the search does (killed, or out of memory) has lost its part: the search ends with it,
and says so.
"""

import gc
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from parkade.sim.check.canonical import digest_of
from parkade.sim.check.expanding import Expanded, Expander, Work
from parkade.sim.check.frontier import Shelves
from parkade.sim.check.root import root_of
from parkade.sim.check.scenarios import Scenario

PARTS_AHEAD = 4
"""Parts of each process that are made before their answers are asked for."""

Expand = Callable[[Iterator[Work]], Iterator[tuple[int, Expanded]]]
"""Work in parts, answered in order: (process, what came of it)."""


class ProcessEnded(Exception):
    """A process of a search ended before the search did; the message says what to do."""


_mine: list[Expander] = []
"""That of a process of a search."""


@contextmanager
def expanders(scenario: Scenario, folder: Path, processes: int) -> Iterator[Expand]:
    """What expands the states of a world; their files are in `folder`. `processes`: beside this
    one, or 1. Raises ProcessEnded."""
    if processes == 1:
        expander = _expander(scenario, folder, writer=0)
        yield lambda work: ((0, expander.expand(part)) for part in work)
        return
    context = multiprocessing.get_context("spawn")
    # The first one wrote the root.
    writers = context.Value("i", 1)
    pool = ProcessPoolExecutor(
        processes,
        mp_context=context,
        initializer=_begin,
        initargs=(scenario, folder, writers),
    )
    try:
        yield lambda work: _in_order(pool, work, processes * PARTS_AHEAD)
    finally:
        # Parts that were handed out are finished, a fraction of a second's work each.
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, work: Iterator[Work], ahead: int
) -> Iterator[tuple[int, Expanded]]:
    """Answers in order of their parts. Raises ProcessEnded."""
    waiting: deque[Future[tuple[int, Expanded]]] = deque()
    try:
        waiting.extend(pool.submit(_expand_mine, part) for part in islice(work, ahead))
        while waiting:
            answer = waiting.popleft().result()
            waiting.extend(pool.submit(_expand_mine, part) for part in islice(work, 1))
            yield answer
    except BrokenProcessPool as error:
        raise ProcessEnded(
            "a process of the search ended before the search did: it was killed, or the machine"
            " is short of memory; search again, with fewer --jobs if it was memory"
        ) from error


def _expander(scenario: Scenario, folder: Path, writer: int) -> Expander:
    root = root_of(scenario)
    expander = Expander(scenario, Shelves(folder, root, writer))
    expander.seen.add(digest_of(root, scenario))
    return expander


def _begin(scenario: Scenario, folder: Path, writers: "Synchronized[int]") -> None:
    """A process of a search: it makes no cycles, so nothing is collected."""
    gc.disable()
    with writers.get_lock():
        writer = writers.value
        writers.value += 1
    _mine.append(_expander(scenario, folder, writer))


def _expand_mine(work: Work) -> tuple[int, Expanded]:
    return os.getpid(), _mine[0].expand(work)
