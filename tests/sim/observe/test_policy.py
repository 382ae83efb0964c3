"""Schedules small enough to be followed by hand, and rules that hold for any."""

import random
from array import array
from pathlib import Path

import pytest

from parkade.sim.observe.free_nodes import FreeNodes
from parkade.sim.observe.jobs import NEVER, Jobs
from parkade.sim.observe.policy import Order, PolicyRun, Rules
from parkade.sim.observe.sacct import read_jobs
from parkade.sim.observe.sinfo import read_fleet
from tests.sim.observe.traces import BEGIN_S, row, write_sacct, write_sinfo

Starts = list[int | None]


def run(
    folder: Path,
    *rows: str,
    nodes: int,
    has_backfill: bool = False,
    order: Order = Order.SUBMISSION,
    limits: dict[str, int] | None = None,
) -> tuple[Jobs, Starts]:
    """The replayed starts, in seconds after the begin."""
    jobs, _ = read_jobs(write_sacct(folder, *rows))
    fleet = read_fleet(write_sinfo(folder, nodes), frozenset())
    rules = Rules(order=order, has_backfill=has_backfill, interval_s=1, depth=100, pause_s=1)
    found = PolicyRun(
        jobs,
        fleet,
        rules,
        which=array("l", range(len(jobs))),
        window=(BEGIN_S, BEGIN_S + 10_000),
        limits={jobs.accounts.find(name) or 0: gpus for name, gpus in (limits or {}).items()},
        seed=0,
    ).run()
    return jobs, [None if at == NEVER else at - BEGIN_S for at in found]


def test_the_first_that_does_not_fit_stops_its_queue(tmp_path: Path) -> None:
    rows = [
        row(1, end_s=60),
        row(2, at_s=1, start_s=60, end_s=90),
        row(3, at_s=2, start_s=90, end_s=100, gpus=1),
    ]
    assert run(tmp_path, *rows, nodes=1)[1] == [0, 60, 90]


def test_a_backfill_starts_what_delays_none_before_it(tmp_path: Path) -> None:
    rows = [
        row(1, end_s=120, gpus=6, TimelimitRaw="4"),
        row(2, at_s=1, start_s=120, end_s=180, gpus=8, TimelimitRaw="4"),
        # It ends by its limit before job 1 must, …
        row(3, at_s=2, start_s=120, end_s=160, gpus=1, TimelimitRaw="2"),
        # … and this one need not.
        row(4, at_s=2, start_s=120, end_s=160, gpus=1, TimelimitRaw="10"),
    ]
    assert run(tmp_path, *rows, nodes=1, has_backfill=True)[1] == [0, 120, 2, 180]


def test_an_account_at_its_limit_keeps_no_other_back(tmp_path: Path) -> None:
    rows = [
        row(1, end_s=60, gpus=4),
        row(2, at_s=1, start_s=60, end_s=90, gpus=4),
        row(3, at_s=2, start_s=2, end_s=12, gpus=4, Account="chem"),
    ]
    assert run(tmp_path, *rows, nodes=1, limits={"bio": 4})[1] == [0, 60, 2]


def test_a_backfill_plans_nothing_for_what_its_accounts_limit_keeps_back(tmp_path: Path) -> None:
    """Slurm's backfill asks for the limit of an account before it keeps nodes for a job."""
    rows = [
        row(1, end_s=60, gpus=16, NNodes="2", TimelimitRaw="1"),
        # It waits for three nodes, so that the queue is stopped and the rest is backfill.
        row(2, at_s=1, start_s=60, end_s=90, gpus=24, NNodes="3", Account="phys", TimelimitRaw="1"),
        # Its account holds too much for it now: it is not planned, …
        row(3, at_s=2, start_s=90, end_s=100, gpus=32, NNodes="4", TimelimitRaw="1"),
        # … so that of the two free nodes the one that is not planned for job 2 is given for long.
        row(4, at_s=3, start_s=100, end_s=110, gpus=8, Account="chem", TimelimitRaw="5"),
    ]
    found = run(tmp_path, *rows, nodes=4, has_backfill=True, limits={"bio": 32})[1]
    assert found == [0, 60, 90, 3]


@pytest.mark.parametrize(
    ("taken", "count", "chosen"),
    [
        ((), 1, [0]),
        ((), 3, [0, 1, 2]),
        # The shortest run of neighbours that is enough, of equal ones the first; …
        ((2,), 1, [0]),
        ((2,), 2, [0, 1]),
        ((3, 6), 2, [4, 5]),
        ((1, 3), 1, [0]),
        ((1, 3), 2, [4, 5]),
        # … and where none is, the longest, and so on.
        ((3,), 6, [0, 1, 4, 5, 6, 7]),
    ],
)
def test_nodes_are_chosen_by_runs_of_neighbours_as_slurm_does(
    tmp_path: Path, taken: tuple[int, ...], count: int, chosen: list[int]
) -> None:
    jobs, _ = read_jobs(write_sacct(tmp_path, row(1, gpus=8 * count, NNodes=str(count))))
    free = FreeNodes(jobs, read_fleet(write_sinfo(tmp_path, 8), frozenset()))
    for node in taken:
        free.take(node, 8, 32)
    assert free.find(0) == chosen


def test_priority_comes_before_submission(tmp_path: Path) -> None:
    rows = [
        row(1, end_s=60),
        row(2, at_s=1, start_s=60, end_s=70, Priority="5"),
        row(3, at_s=2, start_s=60, end_s=70, Priority="9"),
    ]
    assert run(tmp_path, *rows, nodes=1, order=Order.PRIORITY)[1] == [0, 70, 60]


def test_what_left_the_queue_starts_never_and_blocks_while_it_is_there(tmp_path: Path) -> None:
    rows = [
        row(1, end_s=60),
        row(2, at_s=1, start_s=20, end_s=20, State="CANCELLED", AllocTRES=""),
        row(3, at_s=2, start_s=60, end_s=70),
    ]
    assert run(tmp_path, *rows, nodes=1)[1] == [0, None, 60]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("has_backfill", [False, True])
def test_no_node_holds_more_than_it_has_and_all_that_fits_runs(
    tmp_path: Path, seed: int, has_backfill: bool
) -> None:
    chance = random.Random(seed)
    rows = []
    for number in range(1, 120):
        nodes, gpus = chance.choice([(1, 1), (1, 3), (1, 8), (2, 8), (3, 4)])
        at_s = chance.randrange(600)
        given = {
            "NNodes": str(nodes),
            "NodeList": "",
            "Priority": str(chance.randrange(3)),
            "TimelimitRaw": str(chance.choice([1, 2, 5])),
        }
        end_s = at_s + chance.randrange(1, 90)
        rows.append(row(number, at_s=at_s, start_s=at_s, end_s=end_s, gpus=nodes * gpus, **given))
    jobs, starts = run(tmp_path, *rows, nodes=4, has_backfill=has_backfill, order=Order.PRIORITY)
    assert None not in starts
    changes = []
    for job, start in enumerate(starts):
        assert start is not None and start >= jobs.eligible_s[job] - BEGIN_S
        length = jobs.end_s[job] - jobs.start_s[job]
        changes += [(start, 1, jobs.gpus[job]), (start + length, 0, -jobs.gpus[job])]
    held = 0
    for _, _, gpus in sorted(changes):
        held += gpus
        assert 0 <= held <= 32
