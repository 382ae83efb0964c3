"""How long the folders of workloads are kept: what users and agents are told, and that they go."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from parkade.agent import folders as keeping
from parkade.agent.agent import run_agent
from parkade.agent.http import HttpControlPlane
from parkade.agent.place import Pace, Place, Time
from parkade.agent.timer import LoopTimer
from parkade.control.clock import SystemClock
from parkade.core.units.time import DAY_US
from parkade.engines.local.devices import Machine
from parkade.engines.local.engine import LocalEngine
from parkade.ports import (
    DesiredAttempt,
    FolderAnswer,
    FolderReport,
    KeptOfOrg,
    NodeShape,
    Phase,
    RankExit,
    WorkloadFolder,
)
from tests.api.town import Town, town
from tests.clocks import WallClock
from tests.waits import PATIENCE_S, until


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A market with the default of 14 days; what ended is forgotten after a second."""
    with town(tmp_path_factory.mktemp("lasting")) as made:
        made.pool(retention="1s")
        yield made


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The same, where what ended is still known."""
    with town(tmp_path_factory.mktemp("remembering")) as made:
        made.pool(retention="7d")
        yield made


def answers(
    town: Town, *folders: WorkloadFolder, kept: tuple[KeptOfOrg, ...] | None = None, **query: Any
) -> list[FolderAnswer]:
    """What the pool's agent is told."""
    told = asked(town, *folders, kept=kept, **query)
    assert told.is_success, told.text
    return msgspec.json.decode(told.content, type=list[FolderAnswer])


def asked(
    town: Town, *folders: WorkloadFolder, kept: tuple[KeptOfOrg, ...] | None = None, **query: Any
) -> httpx.Response:
    report = FolderReport(pool="lab", folders=folders, kept=kept)
    return town.http.post(
        "/v1/pools/lab/folders",
        content=msgspec.json.encode(report),
        headers=town.headers(None),
        params=query,
    )


def folder_of(attempt: DesiredAttempt, **changes: Any) -> WorkloadFolder:
    made = WorkloadFolder(
        workload=attempt.workload,
        org=attempt.org,
        launches=((attempt.attempt, attempt.launch_sequence, attempt.ordered_us),),
    )
    return msgspec.structs.replace(made, **changes)


def succeeded(answer: httpx.Response) -> None:
    assert answer.is_success, answer.text


def launched(town: Town, owner: str) -> DesiredAttempt:
    """A new workload's attempt, which runs."""
    workload = town.submit("lab", owner)
    name = town.wait_for_attempt("lab", workload)
    (attempt,) = (one for one in town.desired("lab").attempts if one.attempt == name)
    succeeded(town.observe("lab", town.running(name)))
    return attempt


def end(town: Town, attempt: DesiredAttempt) -> None:
    now_us = SystemClock().now_us()
    succeeded(
        town.observe(
            "lab",
            msgspec.structs.replace(
                town.running(attempt.attempt),
                phase=Phase.RELEASED,
                released_us=now_us,
                exits=(RankExit(rank=0, code=0, signal=None),),
            ),
        )
    )
    succeeded(town.observe("lab"))


def test_a_folder_is_kept_while_its_workload_lives_and_14_days_after_its_end(
    remembering: Town,
) -> None:
    _, owner = remembering.org()
    attempt = launched(remembering, owner)
    folder = folder_of(attempt)
    assert answers(remembering, folder) == [
        FolderAnswer(workload=attempt.workload, org=attempt.org, until_us=None, is_due=False)
    ]
    end(remembering, attempt)
    shown = remembering.done(remembering.get(f"/workloads/{attempt.workload}", owner))
    ended, until_ = (datetime.fromisoformat(shown[key]) for key in ("ended", "folder_until"))
    assert until_ - ended == timedelta(days=14)
    (told,) = answers(remembering, folder)
    assert told.until_us == round(until_.timestamp() * 1_000_000)
    assert not told.is_due


def test_what_the_world_has_forgotten_is_kept_as_it_was_told_or_from_the_question_on(
    lasting: Town,
) -> None:
    _, owner = lasting.org()
    attempt = launched(lasting, owner)
    end(lasting, attempt)
    path = f"/workloads/{attempt.workload}"
    until(lambda: lasting.get(path, owner).status_code == 404)
    before_us = SystemClock().now_us()
    (late,) = answers(lasting, folder_of(attempt))
    assert late.until_us is not None
    assert before_us + 14 * DAY_US - 2_000_000 < late.until_us
    (same,) = answers(lasting, folder_of(attempt, until_us=before_us + DAY_US))
    assert (same.until_us, same.is_due) == (before_us + DAY_US, False)
    (due,) = answers(lasting, folder_of(attempt, until_us=before_us))
    assert due.is_due


def test_the_folder_of_another_life_of_the_journal_is_kept(lasting: Town) -> None:
    _, owner = lasting.org()
    attempt = launched(lasting, owner)
    end(lasting, attempt)
    until(lambda: lasting.get(f"/workloads/{attempt.workload}", owner).status_code == 404)
    name, sequence, date = attempt.attempt, attempt.launch_sequence, attempt.ordered_us
    assert sequence is not None
    assert date is not None
    others = [
        ((name, sequence, date - 1),),
        ((name, sequence - 1, date),),
        ((name, 10**9, date),),
        ((f"{attempt.workload}.2", sequence, date),),
        ((name, sequence, date), (f"{attempt.workload}.2", sequence, date)),
        ((name, None, date),),
        ((name, -1, date),),
        (),
    ]
    told = answers(lasting, *(folder_of(attempt, launches=each, until_us=1) for each in others))
    assert [(one.until_us, one.is_due) for one in told] == [(None, False)] * len(others)
    unknown = folder_of(attempt, workload="w999999", until_us=1)
    odd = folder_of(attempt, workload="w0", until_us=1)
    assert not any(one.is_due for one in answers(lasting, unknown, odd))


def test_a_name_that_was_given_again_keeps_the_folder_of_the_earlier_life(
    remembering: Town,
) -> None:
    org, owner = remembering.org()
    attempt = launched(remembering, owner)
    end(remembering, attempt)
    earlier = folder_of(attempt, launches=((attempt.attempt, None, 1),), until_us=1)
    other = folder_of(attempt, org=f"{org}x", until_us=1)
    told = answers(remembering, earlier, other)
    assert [(one.until_us, one.is_due) for one in told] == [(None, False)] * 2


def test_an_agent_that_obeyed_what_the_journal_lacks_is_told_nothing(lasting: Town) -> None:
    known: dict[str, Any] = {"obeyed_epoch": 99, "obeyed_position": 1, "obeyed_digest": "0" * 64}
    refused = asked(lasting, **known)
    assert refused.status_code == 409, refused.text
    too_many = [WorkloadFolder(workload="w1", org="a", launches=())] * 1001
    assert asked(lasting, *too_many).status_code == 422
    _, owner = lasting.org()
    report = msgspec.json.encode(FolderReport(pool="lab", folders=(), kept=None))
    url = "/v1/pools/lab/folders"
    denied = lasting.http.post(url, content=report, headers=lasting.headers(owner))
    assert denied.status_code == 403


def test_what_is_kept_is_counted_for_each_org(lasting: Town) -> None:
    org, owner = lasting.org()
    other, _ = lasting.org()
    kept = KeptOfOrg(org=org, folders=3, bytes=4096, is_counted=True)
    answers(lasting, kept=(kept, msgspec.structs.replace(kept, org=other, is_counted=False)))
    told = lasting.done(lasting.get("/orgs", owner))["orgs"]
    assert [(one["org"], one["kept"]) for one in told] == [
        (org, {"folders": 3, "bytes": 4096, "is_counted": True})
    ]


def test_a_workload_runs_and_its_folder_goes_when_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PART_S", 0.05)
    monkeypatch.setattr(keeping, "PASS_S", 0.1)

    async def agent(town: Town, stop: asyncio.Event, engine: LocalEngine) -> None:
        async with httpx.AsyncClient(base_url=town.url) as client:
            control_plane = HttpControlPlane(client, pool="lab", token=town.operator)
            await run_agent(
                engine,
                control_plane,
                Place(pool="lab", nodes=engine.nodes, data_folder=tmp_path / "agent"),
                Time(clock=WallClock(), timer=LoopTimer()),
                stop=stop,
                pace=Pace(tick_s=0.05, heartbeat_s=0.2),
            )
        await engine.close()

    async def body(made: Town) -> None:
        nodes = tuple(NodeShape(node=f"lab-{number}", gpus=2) for number in range(1, 9))
        machine = Machine(record=tmp_path / "devices.json")
        engine = LocalEngine(
            pool="lab",
            data=tmp_path / "engine",
            nodes=nodes,
            clock=WallClock(),
            machine=machine,
            runs_as_root=True,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(agent(made, stop, engine))
        _, owner = await asyncio.to_thread(made.org)
        looked = tmp_path / "looked"
        waits = f"until [ -e {looked} ]; do sleep 0.02; done"
        saves = f"echo 1 > $PARKADE_CHECKPOINT_DIR/model; {waits}"
        name = await asyncio.to_thread(lambda: made.submit("lab", owner, command=saves))
        folders = tmp_path / "engine" / "orgs"

        def seen() -> list[Path]:
            return list(folders.glob(f"*/workloads/{name}"))

        try:
            await asyncio.to_thread(until, seen)
            looked.touch()
            await asyncio.to_thread(until, lambda: not seen())
            shown = made.done(made.get(f"/workloads/{name}", owner))
            assert shown["phase"] == "succeeded"
            gone = made.get(f"/workloads/{name}/logs", owner)
            assert gone.status_code == 404
            assert "was kept until" in gone.json()["detail"]
        finally:
            stop.set()
            await asyncio.wait_for(running, PATIENCE_S)

    with town(tmp_path) as made:
        made.pool(folder_retention="300ms")
        asyncio.run(body(made))
