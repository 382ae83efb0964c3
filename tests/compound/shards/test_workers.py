"""Workers as processes on one folder: killed, sent away, silent, short of money."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner, Result

from parkade.cli.compound.app import compound
from parkade.cli.exit_codes import FOR_GOOD
from parkade.compound.evaluate.recorded_run import outcomes_of_run
from parkade.compound.network import NetworkError
from parkade.compound.run.affording import BudgetTooSmall
from parkade.compound.run.budget import Budget
from parkade.compound.run.ownership import FolderError
from parkade.compound.shards.board import Board
from parkade.compound.shards.folder import SharedFolder
from parkade.compound.shards.merging import merge
from tests.compound.shards.farm import NETWORK, RULES, Farm, K, ends, told
from tests.waits import until

pytestmark = pytest.mark.system

QUESTIONS = 60
#: Calls that one worker may have in flight: its model's concurrency.
IN_FLIGHT = 4


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path, QUESTIONS)


@pytest.fixture
def workers() -> Iterator[list["subprocess.Popen[str]"]]:
    """Whatever a test starts is ended with it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for worker in started:
        if worker.poll() is None:
            worker.kill()
        worker.communicate()


def typed(*words: str) -> Result:
    return CliRunner().invoke(compound, words)


def plain(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, bool]]:
    monkeypatch.setenv("CALLS", "")
    return farm.without_marketplace(farm.folder / "plain-calls")


def test_two_workers_answer_as_one_run_does_and_call_nothing_twice(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget that is just enough is enough for both."""
    farm.prepare(shard_size=7, budget=Budget(calls=4 * QUESTIONS))
    pair = [farm.worker(pause=0.002) for _ in range(2)]
    assert [ends(each) for each in pair] == [(0, "all shards are done\n")] * 2
    assert [row["id"] for row in farm.results()] == [str(n + 1) for n in range(QUESTIONS)]
    assert told(farm.results()) == plain(farm, monkeypatch)
    assert set(farm.called().values()) == {1}
    assert sum(farm.called().values()) == 4 * QUESTIONS
    assert farm.state().committed.calls == 4 * QUESTIONS


def test_a_killed_worker_costs_only_what_was_in_flight(
    farm: Farm, workers: list["subprocess.Popen[str]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.prepare(shard_size=20)
    for _ in range(2):
        workers.append(worker := farm.worker("--lease", "1", pause=0.02))
        before = sum(farm.called().values())
        until(lambda before=before: sum(farm.called().values()) >= before + 40)  # type: ignore[misc]
        worker.kill()
        worker.wait()
    workers.append(last := farm.worker("--lease", "1"))
    assert ends(last)[0] == 0
    assert told(farm.results()) == plain(farm, monkeypatch)
    # Beside what was in flight, a kill loses lines that were not written yet: a twentieth of a
    # second of a worker that makes at most 4 calls in 0.02 s.
    assert sum(farm.called().values()) <= 4 * QUESTIONS + 2 * (IN_FLIGHT + 4 * IN_FLIGHT)
    assert farm.state().left() == 0


def test_on_notice_what_has_begun_is_finished_and_nothing_is_called_twice(
    farm: Farm, workers: list["subprocess.Popen[str]"], tmp_path: Path
) -> None:
    notice, checkpoints = tmp_path / "notice", tmp_path / "checkpoints"
    checkpoints.mkdir()
    farm.prepare(shard_size=20)
    workers.append(
        first := farm.worker(
            "--drain", "60",
            pause=0.01,
            PARKADE_NOTICE_FILE=str(notice),
            PARKADE_ATTEMPT="w1.1",
            PARKADE_CHECKPOINT_DIR=str(checkpoints),
        )
    )  # fmt: skip
    until(lambda: sum(farm.called().values()) >= 90)
    notice.write_text('{"cause": "outbid"}')
    assert ends(first) == (85, "left on notice; another worker goes on\n")
    assert json.loads((checkpoints / ".parkade.json").read_text())["step"] >= 1
    state = farm.state()
    assert 0 < state.left() < 3
    assert not any(shard.holder for shard in state.shards)
    assert ends(farm.worker())[0] == 0
    assert set(farm.called().values()) == {1}
    assert sum(farm.called().values()) == 4 * QUESTIONS


def test_a_signal_is_a_notice_and_a_second_one_ends_the_patience(
    farm: Farm, workers: list["subprocess.Popen[str]"]
) -> None:
    farm.prepare(shard_size=20)
    workers.append(worker := farm.worker("--drain", "600", pause=600.0))
    until(lambda: sum(farm.called().values()) >= IN_FLIGHT)
    while worker.poll() is None:
        worker.terminate()
        try:
            worker.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
    assert ends(worker)[0] == 85
    assert not any(shard.holder for shard in farm.state().shards)


def test_a_later_attempt_does_not_wait_for_the_leases_of_an_earlier_one(
    farm: Farm, workers: list["subprocess.Popen[str]"], tmp_path: Path
) -> None:
    farm.prepare(shard_size=QUESTIONS, budget=Budget(calls=1_000))
    place = str(tmp_path)
    workers.append(
        first := farm.worker(pause=0.01, PARKADE_ATTEMPT="w1.1", PARKADE_CHECKPOINT_DIR=place)
    )
    until(lambda: sum(farm.called().values()) >= 40)
    first.kill()
    first.wait()
    # With an hour's lease the shard is free only because attempt 1 has ended for sure.
    second = farm.worker("--lease", "3600", PARKADE_ATTEMPT="w1.2", PARKADE_CHECKPOINT_DIR=place)
    assert ends(second)[0] == 0
    assert farm.state().shards[0].lost.calls == 0


def test_a_worker_that_was_silent_too_long_does_no_harm(
    farm: Farm, workers: list["subprocess.Popen[str]"]
) -> None:
    farm.prepare(shard_size=QUESTIONS, budget=Budget(calls=2_000))
    workers.append(silent := farm.worker("--lease", "1", pause=0.02))
    until(lambda: sum(farm.called().values()) >= 40)
    os.kill(silent.pid, signal.SIGSTOP)
    assert ends(farm.worker("--lease", "1"))[0] == 0
    calls, results = sum(farm.called().values()), farm.results()
    os.kill(silent.pid, signal.SIGCONT)
    assert ends(silent)[0] == 0
    assert sum(farm.called().values()) <= calls + IN_FLIGHT
    assert farm.results() == results
    shard = farm.state().shards[0]
    assert shard.lost.calls > 0
    assert sum(farm.called().values()) <= shard.allowed.calls + shard.lost.calls


@pytest.mark.parametrize(
    "budget",
    [*(pytest.param(n, marks=pytest.mark.slow) for n in (3, 50)), 131],
)
def test_no_budget_is_exceeded_by_workers_that_are_killed_and_started_again(
    farm: Farm, workers: list["subprocess.Popen[str]"], budget: int
) -> None:
    farm.prepare(shard_size=5, budget=Budget(calls=budget))
    for _ in range(2):
        pair = [farm.worker("--lease", "1", pause=0.01) for _ in range(2)]
        workers.extend(pair)
        before = sum(farm.called().values())
        until(
            lambda before=before, pair=pair: (  # type: ignore[misc]
                sum(farm.called().values()) >= before + 20
                or all(each.poll() is not None for each in pair)
            )
        )
        for each in pair:
            each.kill()
            each.wait()
    status, printed = ends(farm.worker("--lease", "1"))
    assert (status, "the budget is spent" in printed) == (0, True)
    assert sum(farm.called().values()) <= budget
    # With more money the same run goes on to its end.
    farm.prepare(budget=Budget(calls=10_000))
    assert ends(farm.worker("--lease", "1"))[0] == 0
    assert len(farm.results()) == QUESTIONS
    assert sum(farm.called().values()) <= K * QUESTIONS + 4 * (IN_FLIGHT + 4 * IN_FLIGHT)


def test_a_changed_network_is_answered_anew_and_from_the_journal_where_it_asks_the_same(
    farm: Farm,
) -> None:
    farm.prepare(shard_size=20)
    assert ends(farm.worker())[0] == 0
    farm.network.write_text(farm.network.read_text().replace("8B", "9B"))
    status, printed = ends(farm.worker())
    assert (status, "another network" in printed) == (FOR_GOOD, True)
    farm.prepare()
    assert ends(farm.worker())[0] == 0
    assert set(farm.called().values()) == {1}
    assert len(farm.results()) == QUESTIONS
    # A node that asks something else begins anew, and what it asked before is not merged.
    farm.network.write_text(farm.network.read_text().replace("E@m(m=4)", "E@m(m=5)"))
    farm.prepare()
    assert ends(farm.worker())[0] == 0
    assert sum(farm.called().values()) == 8 * QUESTIONS
    assert sum(1 for _ in outcomes_of_run(farm.out, None)) == 4 * QUESTIONS


def test_failed_questions_are_merged_with_their_reasons_and_tried_again(
    farm: Farm,
) -> None:
    broken = "    if asked % 20 == 0: raise RuntimeError('CUDA oom')\n    return str(asked * 7"
    farm.rules.write_text(RULES.replace("    return str(asked * 7", broken))
    farm.prepare(shard_size=30)
    status, printed = ends(farm.worker())
    assert status == 0
    assert f"done; 3 questions failed: {farm.out}/failures.jsonl says why" in printed
    lines = [json.loads(line) for line in (farm.out / "failures.jsonl").read_text().splitlines()]
    assert [(line["v"], line["id"]) for line in lines] == [(1, "20"), (1, "40"), (1, "60")]
    collected = typed("collect", str(farm.out), "--json")
    told_failures = json.loads(collected.stdout)
    assert (collected.exit_code, told_failures["failed"], told_failures["answered"]) == (8, 3, 57)
    assert told_failures["reasons"][0]["count"] == 3
    plainly = CliRunner().invoke(compound, ["collect", str(farm.out)]).stdout
    assert "CUDA oom (rules.py, line 12) (20, 40, 60)" in " ".join(plainly.split())
    shown = CliRunner().invoke(compound, ["show", str(farm.out), "40"]).stdout
    assert "CUDA oom" in shown
    farm.rules.write_text(RULES)
    farm.prepare()
    assert ends(farm.worker()) == (0, "all shards are done\n")
    assert not (farm.out / "failures.jsonl").read_text()
    assert typed("collect", str(farm.out)).exit_code == 0
    assert [row["answer"] for row in farm.results()] == [str(n * 7) for n in range(1, 61)]


def test_a_budget_without_a_price_is_refused_before_there_is_a_worker(farm: Farm) -> None:
    server = "{url: 'http://127.0.0.1:1/v1', model: x, max_tokens: 3}"
    farm.network.write_text(f"models: {{m: {server}}}\nnetwork: E@m\n")
    with pytest.raises(NetworkError, match=r"models\.m\.price: write"):
        farm.prepare(budget=Budget(micros=100))


def test_a_budget_of_not_even_one_call_is_refused_before_there_is_a_worker(farm: Farm) -> None:
    with pytest.raises(BudgetTooSmall, match="it may need 1 call, 0 are left"):
        farm.prepare(budget=Budget(calls=0))
    assert not farm.out.exists()
    farm.prepare(budget=Budget(calls=3))
    assert ends(farm.worker("--lease", "1"))[0] == 0
    # What is left of it holds none either, where the same is submitted again.
    with pytest.raises(BudgetTooSmall, match="it may need 1 call, 0 are left"):
        farm.prepare(budget=Budget(calls=3))
    farm.prepare(budget=Budget(calls=10_000))


def test_a_worker_that_was_killed_before_its_first_call_does_not_stop_collect(farm: Farm) -> None:
    farm.prepare()
    SharedFolder(farm.out).begin(0, 1, "killed-at-once")
    collected = typed("collect", str(farm.out), "--json")
    told = json.loads(collected.stdout)
    assert (collected.exit_code, told["answered"]) == (6, 0)


def test_questions_that_cannot_be_split_leave_no_folder(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parkade.compound.shards.folder.MOST_SHARDS", 2)
    with pytest.raises(FolderError, match="more than 2 shards; choose a larger --shard-size"):
        farm.prepare(shard_size=1)
    assert not farm.out.exists()


def test_other_questions_are_refused(farm: Farm) -> None:
    farm.prepare()
    farm.questions.write_text(farm.questions.read_text() + '{"prompt": "one more: 1"}\n')
    with pytest.raises(FolderError, match="other questions"):
        farm.prepare()


def test_a_budget_of_money_holds_over_killed_workers(
    farm: Farm, workers: list["subprocess.Popen[str]"]
) -> None:
    """A call costs 4 micro-units and at most 100 or so, by the bytes of its prompt."""
    budget = Budget(micros=700)
    farm.prepare(shard_size=5, budget=budget)
    workers.append(first := farm.worker("--lease", "1", pause=0.01))
    until(lambda: sum(farm.called().values()) >= 60)
    first.kill()
    first.wait()
    assert ends(farm.worker("--lease", "1"))[0] == 0
    state = farm.state()
    assert budget.holds(state.committed)
    assert 4 * sum(farm.called().values()) <= 700
    assert 0 < state.left() < 12


def test_each_worker_has_a_model_server_of_its_own_and_ends_it(farm: Farm) -> None:
    # A copy of its own: other tests start the same program at the same time.
    mock = farm.folder / "mock_server.py"
    shutil.copy(Path(__file__).parents[1] / "models" / "mock_server.py", mock)
    farm.network.write_text(
        f"server: {{command: '{sys.executable} {mock} {{port}}', "
        "ready: 'http://127.0.0.1:{port}/health', timeout: 100}\n"
        "models: {m: {url: 'http://127.0.0.1:{port}/v1', model: mock, max_tokens: 9}}\n"
        "network: E@m\n"
    )
    farm.prepare(shard_size=3)
    pair = [farm.worker() for _ in range(2)]
    assert [ends(each)[0] for each in pair] == [0, 0]
    answers = [row["answer"] for row in farm.results()]
    assert answers == [f"mock says: times 7: {n}" for n in range(1, QUESTIONS + 1)]
    left = [each for each in psutil.process_iter() if str(mock) in _words(each)]
    assert left == []


@pytest.mark.parametrize("times", [2, 3])
def test_a_model_server_that_never_starts_ends_the_run_and_is_told(farm: Farm, times: int) -> None:
    mock = Path(__file__).parents[1] / "models" / "mock_server.py"
    farm.network.write_text(
        f"server: {{command: '{sys.executable} {mock} {{port}} broken', "
        "ready: 'http://127.0.0.1:{port}/health', timeout: 100}\n"
        "models: {m: {url: 'http://127.0.0.1:{port}/v1', model: mock, max_tokens: 9}}\n"
        "network: E@m\n"
    )
    farm.prepare()
    # On two nodes, or on one that is all there is.
    nodes = ("a1", "a2", "a3") if times == 2 else ("a1", "a1", "a1")
    for node in nodes[: times - 1]:
        status, printed = ends(farm.worker(PARKADE_SEATS=f"{node}:1"))
        assert status == 5
        assert "ended with exit status 3 before it was ready; its last lines:" in printed
        assert "cannot load the weights" in printed
        assert typed("collect", str(farm.out)).exit_code == 6
    status, printed = ends(farm.worker(PARKADE_SEATS=f"{nodes[times - 1]}:1"))
    assert status == 78
    assert "given up: it stopped workers before; correct it, and submit again" in printed
    collected = typed("collect", str(farm.out))
    assert collected.exit_code == 5
    where = "2 times on a1, a2" if times == 2 else "3 times on a1"
    shown = " ".join(collected.output.split())
    assert (
        f"stopped the model server ended with exit status 3 before it was ready ({where})" in shown
    )
    assert "cannot load the weights given up: correct it, and submit again" in shown
    told = json.loads(typed("collect", str(farm.out), "--json").stdout)
    assert (told["is_given_up"], len(told["stops"])) == (True, times)
    farm.prepare()
    assert typed("collect", str(farm.out)).exit_code == 6


def test_a_verifier_that_always_fails_stops_workers_in_the_same_way(farm: Farm) -> None:
    farm.rules.write_text(RULES + "def right(question, candidate): return 1 / 0\n")
    farm.prepare(shard_size=20)
    found = [ends(farm.worker(PARKADE_SEATS=f"{node}:1"))[0] for node in ("a1", "a2")]
    assert found == [8, 78]
    assert "division by zero" in typed("collect", str(farm.out)).output


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_network_from_another_file_is_answered_and_earlier_answers_stay_until_then(
    farm: Farm,
) -> None:
    farm.prepare(shard_size=20)
    assert ends(farm.worker())[0] == 0
    earlier = farm.results()
    farm.network = farm.folder / "net2.yaml"
    farm.network.write_text(NETWORK.replace("E@m(m=4)", "E@m(m=5)"))
    farm.prepare()
    collected = merge(SharedFolder(farm.out), board(farm), "collect")
    assert (collected.answered, collected.of_earlier) == (0, QUESTIONS)
    assert farm.results() == earlier
    assert SharedFolder(farm.out).read().network == str(farm.network.resolve())
    status, printed = ends(farm.worker())
    assert (status, "all shards are done" in printed) == (0, True)
    networks = {row["network"] for row in farm.results()}
    assert networks.isdisjoint(row["network"] for row in earlier)
    collected = merge(SharedFolder(farm.out), board(farm), "collect")
    assert (collected.answered, collected.of_earlier) == (QUESTIONS, 0)


def board(farm: Farm) -> Board:
    return Board(SharedFolder(farm.out).log, SharedFolder(farm.out).read().shards, "collect")
