"""Daemons that lost keeper and guard are found: by their control group, or by the output they hold.

A real control group needs a cgroup2 tree in which this process may make groups; limits need
controllers in it. Where they are missing the tests that need them are skipped.
"""

import sys
from pathlib import Path

import pytest

from parkade.engines.local import cgroups, processes
from parkade.ports import Phase, RankExit
from tests.engines.conftest import LocalPlace, up
from tests.engines.trial import (
    FOR_EVER,
    attempt_of,
    of,
    order_in,
    released,
    run,
    until,
    until_seen,
)

PARENT = cgroups.find_parent()
needs_groups = pytest.mark.skipif(PARENT is None, reason="no control group can be made here")
needs_memory = pytest.mark.skipif(
    PARENT is None or "memory" not in PARENT.controllers, reason="no memory controller here"
)
needs_pids = pytest.mark.skipif(
    PARENT is None or "pids" not in PARENT.controllers, reason="no pids controller here"
)
MIB = 1024 * 1024

# Ends its guard, its keeper and itself, and leaves a daemon that nothing connects with it.
DAEMON = "env -i setsid /bin/sh -c 'trap \"\" TERM HUP; echo $$ > {pid}; while :; do sleep 1; done'"
ENDS_ALL = "guard=$(cut -d' ' -f4 /proc/$PPID/stat); kill -9 $guard $PPID; sleep 300"


def is_dead(pid: int) -> bool:
    """Whether it is gone, or waits for init to take note of it."""
    process = processes.look(pid)
    return process is None or process.state in processes.DEAD_STATES


async def lost(place: LocalPlace, redirect: str) -> int:
    """The pid of a daemon whose attempt has ended everything that watched over it."""
    engine = place.engine()
    attempt = attempt_of(
        f"pid=$PARKADE_CHECKPOINT_DIR/pid; (exec {DAEMON.format(pid='$0')} $pid {redirect} &) ; "
        f"until [ -s $pid ]; do sleep 0.02; done; {ENDS_ALL}"
    )
    await engine.launch(attempt)
    await until_seen(engine, attempt, lambda one: one.is_keeper_lost)
    pid = int((place.checkpoints(attempt) / "pid").read_text())
    assert processes.look(pid) is not None
    await engine.stop(attempt.attempt, order_in(0, 0.2))
    seen = await released(engine, attempt)
    assert seen.exits == (RankExit(rank=0, code=None, signal=None),)
    return pid


@needs_groups
def test_a_daemon_without_guard_session_environment_or_output_is_found_by_its_group(
    place: LocalPlace,
) -> None:
    pid = run(lost(place, "> /dev/null 2>&1"))
    assert is_dead(pid)


def test_a_daemon_that_still_holds_its_output_is_found_without_a_group(
    place: LocalPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "find_parent", lambda: None)
    pid = run(lost(place, ""))
    assert is_dead(pid)


@needs_groups
def test_a_rank_is_in_its_group_its_keeper_is_not_and_the_group_goes_with_it(
    place: LocalPlace,
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of("setsid sleep 60 & " + FOR_EVER)
        assert engine.capabilities().tracks_by_cgroup
        await engine.launch(attempt)
        await up(place, attempt)
        path = cgroups.path_of(PARENT, engine.folders.data, attempt.attempt)
        pids = cgroups.members(path)
        assert place.state(attempt).ranks[0].pid in pids
        assert place.state(attempt).keeper_pid not in pids
        await engine.stop(attempt.attempt, order_in(0, 0.1))
        await released(engine, attempt)
        await until(lambda: not Path(path).exists())

    run(body())


@needs_memory
def test_a_workload_that_takes_too_much_memory_is_stopped_alone(place: LocalPlace) -> None:
    async def body() -> None:
        engine = place.engine()
        assert engine.capabilities().keeps_memory_limits
        go = "until [ -e $PARKADE_CHECKPOINT_DIR/go ]; do sleep 0.02; done; "
        takes_much = f"exec {sys.executable} -S -c 'b\"x\" * (512 << 20)'"
        takes = attempt_of(f"{FOR_EVER.split(';')[0]}; {go} {takes_much}")
        other = attempt_of(FOR_EVER)
        for attempt in (takes, other):
            await engine.launch(attempt)
            await up(place, attempt)
        group = Path(cgroups.path_of(PARENT, engine.folders.data, takes.attempt))
        assert int((group / "memory.max").read_text()) < 2**50
        (group / "memory.max").write_text(str(64 * MIB))
        (place.checkpoints(takes) / "go").touch()
        seen = await released(engine, takes)
        assert seen.exits == (RankExit(rank=0, code=None, signal=9),)
        still = of(await engine.observe(), other)
        assert still is not None and still.phase is Phase.RUNNING
        await engine.stop(other.attempt, order_in(0, 0))
        await released(engine, other)

    run(body())


@needs_pids
def test_a_group_bounds_the_processes_of_its_workload_and_not_of_its_keeper(
    place: LocalPlace,
) -> None:
    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of(FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        group = Path(cgroups.path_of(PARENT, engine.folders.data, attempt.attempt))
        assert int((group / "pids.max").read_text()) == cgroups.MOST_PROCESSES
        assert place.state(attempt).keeper_pid not in cgroups.members(str(group))
        await engine.stop(attempt.attempt, order_in(0, 0))
        await released(engine, attempt)

    run(body())


@pytest.mark.parametrize(
    ("controllers", "part", "expected"),
    [
        (set(), 1, {}),
        ({"memory"}, 2, {"memory.max": "1000", "memory.swap.max": "0"}),
        ({"memory"}, 0, {}),
        ({"cpu", "pids"}, 4, {"cpu.weight": "400", "pids.max": "32768"}),
        ({"cpu"}, 0, {"cpu.weight": "1"}),
    ],
)
def test_limits_are_the_share_of_its_gpus_where_there_is_a_controller(
    controllers: set[str], part: int, expected: dict[str, str]
) -> None:
    share = cgroups.Share(part=part, whole=8)
    assert cgroups.limits(frozenset(controllers), share, 4000) == expected


def test_without_a_group_nothing_is_tracked_or_ended_by_one() -> None:
    assert cgroups.path_of(None, Path("/x"), "w1.1") == ""
    assert cgroups.members("") == []
    cgroups.join("")
    cgroups.kill("")
    cgroups.remove("")
