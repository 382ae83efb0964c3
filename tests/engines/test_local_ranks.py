"""What the local engine orders of a live attempt's ranks; no keeper and no rank runs."""

import asyncio
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from parkade.engines.local import cgroups, processes, records
from parkade.ports import DesiredAttempt, Misconfigured, Phase, Seat, Transient
from tests.engines.conftest import LocalPlace
from tests.engines.contract_live import live_attempt, with_members
from tests.engines.trial import attempt_of, launched, order_in


def known(
    place: LocalPlace,
    attempt: DesiredAttempt,
    devices: tuple[tuple[int, ...], ...],
    cgroup: str = "",
) -> None:
    """As if it had been launched."""
    boot_id = processes.boot_id()
    launch = launched(attempt, devices, 20_000, boot_id=boot_id, changes="", cgroup=cgroup)
    place.engine().folders.add(launch)


def ordered(place: LocalPlace, attempt: DesiredAttempt) -> records.Ranks:
    ranks = records.read_ranks(place.folder(attempt))
    assert ranks is not None
    return ranks


def resize(place: LocalPlace, attempt: DesiredAttempt) -> None:
    asyncio.run(place.engine().resize(attempt))


def test_a_rank_that_finds_no_devices_keeps_no_other_from_its_notice(
    place: LocalPlace, tmp_path: Path
) -> None:
    attempt = live_attempt(tmp_path, nodes=2)
    known(place, attempt, ((0,), (4,)))
    other = replace(attempt_of("x"), ranks=(Seat(node="n0", gpus=3),))
    known(place, other, ((1, 2, 3),))
    stop = order_in(2, 3)
    members = ((0, 0, "n0", None), (1, 0, "n1", stop), (2, 1, "n0", None), (3, 1, "n1", None))
    with pytest.raises(Transient, match="2 on n0"):
        resize(place, with_members(attempt, 1, *members))
    ranks = ordered(place, attempt)
    assert [(it.rank, it.stop) for it in ranks.ranks] == [(0, None), (1, stop), (3, None)]
    # It did not take the change in, so it is told again; an older one changes nothing.
    assert ranks.resizes == 0
    with pytest.raises(Transient):
        resize(place, with_members(attempt, 3, *members))
    resize(place, with_members(attempt, 2, (0, 0, "n0", None)))
    assert len(ordered(place, attempt).ranks) == 3

    state = records.nothing_yet(launched(other, ((1, 2, 3),), 1))
    records.write(place.folder(other) / records.STATE, replace(state, phase=Phase.RELEASED))
    resize(place, with_members(attempt, 3, *members))
    ranks = ordered(place, attempt)
    assert ranks.resizes == 3
    assert [(it.rank, it.devices) for it in ranks.ranks] == [
        (0, (0,)),
        (1, (4,)),
        (2, (1,)),
        (3, (5,)),
    ]


def test_a_rank_on_a_node_that_is_none_here_keeps_no_other_from_its_notice(
    place: LocalPlace, tmp_path: Path
) -> None:
    attempt = live_attempt(tmp_path, nodes=2)
    known(place, attempt, ((0,), (4,)))
    stop = order_in(2, 3)
    members = ((0, 0, "n0", None), (1, 0, "n1", stop), (2, 1, "n9", None))
    with pytest.raises(Misconfigured, match="n9"):
        resize(place, with_members(attempt, 1, *members))
    assert [it.stop for it in ordered(place, attempt).ranks] == [None, stop]


def test_an_agent_lost_before_the_ranks_are_on_record_has_raised_their_memory_limit(
    place: LocalPlace, tmp_path: Path
) -> None:
    attempt, group = live_attempt(tmp_path), tmp_path / "group"
    known(place, attempt, ((0,),), cgroup=str(group))
    engine = place.engine()
    engine.cgroup_parent = cgroups.Parent(path=tmp_path, controllers=frozenset({"memory"}))
    more = with_members(attempt, 1, (0, 0, "n0", None), (1, 1, "n1", None))
    in_the_way = place.folder(attempt) / f".{records.RANKS}.{os.getpid()}"
    in_the_way.mkdir()
    with pytest.raises(OSError, match="directory"):
        asyncio.run(engine.resize(more))
    assert (group / "memory.max").read_text()


def test_a_rank_that_is_to_leave_before_it_had_devices_waits_for_none(
    place: LocalPlace, tmp_path: Path
) -> None:
    attempt = live_attempt(tmp_path)
    known(place, attempt, ((0,),))
    other = replace(attempt_of("x"), ranks=(Seat(node="n1", gpus=4),))
    known(place, other, ((4, 5, 6, 7),))
    with pytest.raises(Transient, match="1 on n1"):
        resize(place, with_members(attempt, 1, (0, 0, "n0", None), (1, 1, "n1", None)))
    stop = order_in(0, 5)
    resize(place, with_members(attempt, 2, (0, 0, "n0", None), (1, 1, "n1", stop)))
    ranks = ordered(place, attempt)
    assert ranks.resizes == 2
    assert [(it.rank, it.devices, it.stop) for it in ranks.ranks] == [
        (0, (0,), None),
        (1, (), stop),
    ]


def test_ranks_that_joined_have_begun_once_they_run_also_by_a_keeper_that_kept_no_date() -> None:
    attempt = attempt_of("x")
    state = records.nothing_yet(launched(attempt, ((0,),), 1))
    ended = records.RankState(pid=0, start_ticks=0, has_ended=True, code=127, signal=None)
    runs = replace(ended, pid=7, has_ended=False, code=None)
    began = records.MemberState(since=2, has_begun=True, begun_us=5)
    state = replace(
        state,
        written_us=9,
        ranks=(runs, runs, runs, runs, ended),
        members=(
            replace(began, since=0),
            began,
            replace(began, begun_us=None),
            replace(began, has_begun=False),
            began,
        ),
    )
    found = [(it.rank, it.since, it.begun_us) for it in records.begun_ranks(state)]
    assert found == [(1, 2, 5), (2, 2, 9)]
