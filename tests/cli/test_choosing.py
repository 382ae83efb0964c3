"""Which workloads a command is about, and what lists of them show."""

import json

import pytest

from parkade.cli.listing import ENDED, LIVING
from parkade.core.workloads.life import Phase
from tests.api.town import Town
from tests.cli.test_cli import Run, as_user, run

__all__ = ["run"]


@pytest.fixture
def four(run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch) -> tuple[Town, list[str]]:
    """Four workloads that wait: two trainings of one label, an evaluation, another."""
    pool, (_, owner) = fresh.pool(), fresh.org()
    as_user(monkeypatch, fresh, owner)
    shapes = [
        ("train-a", {"run": "big"}),
        ("train-b", {"run": "big", "seed": "2"}),
        ("eval", {}),
        ("other", {"run": "small"}),
    ]
    names = [
        fresh.submit(pool, owner, name=name, labels=labels, limit_price="0.01")
        for name, labels in shapes
    ]
    return fresh, names


def listed(run: Run, *words: str) -> list[str]:
    told = json.loads(run(*words, "--json").stdout)
    return [each["workload"] for each in told["workloads"]]


ASKED: list[tuple[list[str], list[int]]] = [
    (["train-*"], [1, 0]),
    (["train-?", "--label", "seed"], [1]),
    (["--label", "run=big"], [1, 0]),
    (["--label", "run"], [3, 1, 0]),
    (["--label", "run=big", "--label", "seed=3"], []),
    (["--phase", "queued"], [3, 2, 1, 0]),
    (["--phase", "running", "--phase", "starting"], []),
    (["--sort", "name"], [2, 3, 0, 1]),
    (["--sort", "-name", "-n", "2"], [3, 2]),
    (["--user", "nobody"], []),
]


def test_ps_shows_what_is_asked_for(four: tuple[Town, list[str]], run: Run) -> None:
    names = four[1]
    for words, expected in ASKED:
        assert listed(run, "ps", *words) == [names[index] for index in expected], words


def test_a_pattern_or_a_label_means_all_that_live(four: tuple[Town, list[str]], run: Run) -> None:
    _, (first, second, third, fourth) = four
    run("cancel", first)
    assert listed(run, "ps") == [fourth, third, second]
    said = run("bid", "*", "0.02").output
    assert [line.split()[0] for line in said.splitlines()[::2]] == [fourth, third, second]
    said = run("hold", "--label", "run").output
    assert second in said and fourth in said and third not in said
    run("release", "other", second)
    run("cancel", "eval", "o*")
    assert listed(run, "ps") == [second]
    assert "no living workload is x*" in run("cancel", "x*", exit_code=4).stderr
    assert "name workloads" in run("cancel", exit_code=2).stderr
    assert (
        "no living workload has run=none" in run("hold", "--label", "run=none", exit_code=4).stderr
    )


def test_a_word_that_means_none_hides_no_other(four: tuple[Town, list[str]], run: Run) -> None:
    _, (first, second, third, fourth) = four
    assert "there is no workload nosuch" in run("cancel", "nosuch", first, exit_code=4).stderr
    assert "no living workload is zz*" in run("cancel", "zz*", second, exit_code=4).stderr
    assert "a pattern is one of names" in run("cancel", "w*", exit_code=4).stderr
    assert "an attempt beside" in run("logs", "w4.7", exit_code=4).stderr
    assert listed(run, "ps") == [fourth, third]


def test_one_refusal_of_many_stops_no_other_and_is_the_exit_code(
    four: tuple[Town, list[str]], run: Run
) -> None:
    _, (first, second, *_) = four
    run("cancel", first)
    refused = run("hold", first, second, exit_code=3)
    assert first in refused.stderr and f"{second} train-b: held" in refused.stdout


def test_history_shows_how_each_ended_and_no_more_than_is_asked_for(
    four: tuple[Town, list[str]], run: Run
) -> None:
    _, (first, second, third, _) = four
    assert "Nothing ended" in run("history").output
    run("cancel", first, second)
    assert set(listed(run, "history")) == {first, second}
    assert listed(run, "history", "train-b") == [second]
    assert listed(run, "history", "--since", "+1h") == []
    assert set(listed(run, "ps", "--since", "-1h")) >= {first, third}
    assert "is none of succeeded" in run("history", "--phase", "queued", exit_code=2).stderr
    assert "is no order" in run("ps", "--sort", "age", exit_code=2).stderr
    head, *lines = run("history").output.splitlines()
    assert head.split()[:4] == ["ID", "NAME", "PHASE", "EXIT"] and "cancelled" in lines[0]


def test_a_label_that_cannot_be_is_refused_with_what_to_write(
    four: tuple[Town, list[str]], run: Run
) -> None:
    town, _ = four
    for label in ("=x", "a=b=c", "a b", "a=" + "x" * 64, "-a"):
        assert town.get("/workloads", label=label).json()["code"] == "invalid", label
    for label in ("=x", "a=b=c", "a=" + "x" * 64):
        words = ["submit", "--limit", "1", "--label", label, "--", "x"]
        assert "labels" in run(*words, exit_code=3).stderr, label


def test_a_wait_for_a_pattern_sees_what_ended_before_it(
    four: tuple[Town, list[str]], run: Run
) -> None:
    _, (first, *_) = four
    run("cancel", "train-*")
    for words in (["train-*"], ["--label", "run=big"], [first, "train-b"]):
        said = run("wait", *words, exit_code=143).stdout
        assert "w1 train-a: cancelled" in said and "w2 train-b: cancelled" in said, words
    assert "no workload is x*" in run("wait", "x*", exit_code=4).stderr


def test_the_phases_of_the_command_line_are_those_of_a_workload() -> None:
    assert set(LIVING) == {it.value for it in Phase if not it.is_ended}
    assert set(ENDED) == {it.value for it in Phase if it.is_ended}
