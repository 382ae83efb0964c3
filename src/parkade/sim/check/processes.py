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
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from parkade.sim.check.canonical import digest_of
from parkade.sim.check.expanding import Expanded, Expander, Work
from parkade.sim.check.frontier import Shelves
from parkade.sim.check.root import root_of
from parkade.sim.check.scenarios import Scenario

LOOK_S = 1.0
PARTS_AHEAD = 4
"""Parts of each process that are made before their answers are asked for."""

ENDED = (
    "a process of the search ended before the search did: it was killed, or the machine is short"
    " of memory; search again, with fewer --jobs if it was memory"
)
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
    except BaseException:
        # One that waits for a lock which a killed one held takes no milder signal.
        _kill(pool)
        raise
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
            answer = _answer(pool, waiting.popleft())
            waiting.extend(pool.submit(_expand_mine, part) for part in islice(work, 1))
            yield answer
    except BrokenProcessPool as error:
        raise ProcessEnded(ENDED) from error
    except OSError as error:
        # The pool closes its pipes as it breaks, and says so where work was just handed in.
        if str(error) != "handle is closed":
            raise
        raise ProcessEnded(ENDED) from error


def _answer(pool: ProcessPoolExecutor, asked: Future[tuple[int, Expanded]]) -> tuple[int, Expanded]:
    """What came of a part. A process that was killed in the middle of its answer leaves half of it
    in the pipe that all write to, and the pool waits for the rest: until no other holds the pipe
    open. So the others are killed too."""
    while True:
        try:
            return asked.result(timeout=LOOK_S)
        except TimeoutError:
            if any(each.exitcode is not None for each in _processes(pool)):
                _kill(pool)


def _processes(pool: ProcessPoolExecutor) -> list[BaseProcess]:
    return list((pool._processes or {}).values())


def _kill(pool: ProcessPoolExecutor) -> None:
    for each in _processes(pool):
        each.kill()


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
