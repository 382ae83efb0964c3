"""What options mean: times, signals, dependencies, shapes, variables."""

import re
from typing import Any

import pytest

from parkade.cli.sbatch.meaning import mean
from parkade.cli.sbatch.options import Wrong, read


def spec_of(*words: str, **env: str) -> dict[str, Any]:
    given, rest = read(("--gpus-per-node=1", *words), "the command line")
    assert not rest
    return mean(given, script="train.sh", folder="/home/ann", env=env).spec


def refusal(*words: str) -> str:
    given, _ = read(words, "line 3")
    with pytest.raises(Wrong) as caught:
        mean(given, script="train.sh", folder="/", env={})
    return caught.value.message


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90", 5400),
        ("90:30", 5430),
        ("1:02:03", 3723),
        ("2-3", 183_600),
        ("2-3:04", 183_840),
        ("2-3:04:05", 183_845),
    ],
)
def test_a_time_is_read_as_slurm_reads_it(written: str, seconds: int) -> None:
    assert spec_of(f"--time={written}")["max_duration"] == f"{seconds}s"


@pytest.mark.parametrize("written", ["UNLIMITED", "infinite", "0"])
def test_no_end_is_no_end(written: str) -> None:
    assert "max_duration" not in spec_of(f"--time={written}")


@pytest.mark.parametrize(
    ("written", "signal", "needs"),
    [
        ("USR1@120", "SIGUSR1", "120s"),
        ("B:USR1@120", "SIGUSR1", "120s"),
        ("R:SIGTERM", "SIGTERM", "60s"),
        ("12@5", "SIGUSR2", "5s"),
        ("int@300", "SIGINT", "300s"),
    ],
)
def test_a_signal_asks_the_program_to_save(written: str, signal: str, needs: str) -> None:
    assert spec_of(f"--signal={written}")["checkpoint"] == {"signal": signal, "needs": needs}


def test_dependencies_are_waited_for() -> None:
    found = spec_of("--dependency=afterok:7:w8,afterany:prepare,after:9_3,afternotok:a")
    wanted = {"after_ok": ["w7", "w8"], "after_any": ["prepare"], "after": ["w9_3"]}
    assert {key: found[key] for key in wanted} == wanted
    assert found["after_not_ok"] == ["a"]


SHAPES: list[tuple[str, Any, int]] = [
    ("--gres=gpu:4", 1, 4),
    ("--gres=gpu", 1, 1),
    ("--gres=gpu:a100", 1, 1),
    ("--gres=gpu:a100:2,lscratch:100", 1, 2),
    ("--gres=gres/gpu:3", 1, 3),
    ("-N 4 --gpus-per-node=h100:8", 4, 8),
    ("-N 4 -G 32", 4, 8),
    ("--gpus=16 --gpus-per-node=8", 2, 8),
    ("--gpus-per-task=1 --ntasks=4", 1, 4),
    ("--gpus-per-task=1 --ntasks=16 --ntasks-per-node=8", 2, 8),
    ("--gpus-per-task=2 --ntasks-per-node=4 -N 2", 2, 8),
    ("-N 2 -n 8 --gpus-per-task=1", 2, 4),
    ("-N 2 --gres=gpu:4 --gpus-per-task=1 --ntasks-per-node=4", 2, 4),
    ("-N 2-6 --gres=gpu:8", {"min": 2, "max": 6}, 8),
    ("-N 3-3 --gres=gpu:8", 3, 8),
]


@pytest.mark.parametrize(("words", "nodes", "gpus"), SHAPES)
def test_each_way_to_ask_for_gpus_gives_its_shape(words: str, nodes: Any, gpus: int) -> None:
    given, _ = read(words.split(), "the command line")
    found = mean(given, script="x", folder="/", env={}).spec
    assert (found["nodes"], found["gpus"]) == (nodes, gpus)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--ntasks=4", "it asks for no GPU"),
        ("--gres=lscratch:100", "it asks for no GPU"),
        ("--gres=gpu:0", "it asks for no GPU"),
        ("--gres=gpu:2,gpu:4", "ask for different numbers"),
        ("--gres=gpu:2 --gpus-per-node=4", "ask for different numbers"),
        ("-N 2 --gres=gpu:2 --gpus=8", "GPUs of a node: 2 by node, 4 in all; say it once"),
        ("-N 3 --gpus=8", "cannot be shared evenly"),
        ("-N 0 --gpus=8", "write --nodes=4"),
        ("-N 4-2 --gpus=8", "the least stands first"),
        ("--gpus=many", "whole number|write a number"),
        ("--gpus=1 --ntasks=x", "write a whole number"),
        ("--gpus=1 --time=tomorrow", "write it like 90"),
        ("--gpus=1 --signal=KILL@5", "write one of HUP"),
        ("--gpus=1 --dependency=singleton", "singleton is not there"),
        ("--gpus=1 --dependency=afterok:1?afterok:2", "all have to come about"),
        ("--gpus=1 --dependency=after:1+10", "without a time"),
        ("--gpus=1 --export=PARKADE_X=1", "no name that a variable may have"),
        ("--gpus=1 --reservation=a,b", "letters"),
        ("--gpus=1 --open-mode=x", "append or truncate"),
    ],
)
def test_what_does_not_agree_is_refused(words: str, why: str) -> None:
    assert re.search(why, refusal(*words.split()))


def test_only_variables_that_are_named_are_sent() -> None:
    assert "env" not in spec_of(TOKEN="secret")
    assert "env" not in spec_of("--export=ALL", TOKEN="secret")
    assert spec_of("--export=ALL,A=1,B", B="2", TOKEN="secret")["env"] == {"A": "1", "B": "2"}


def test_the_last_of_an_option_counts_and_a_path_is_of_the_folder() -> None:
    found = spec_of("-J", "one", "--job-name=two words", "-D", "runs")
    assert (found["name"], found["workdir"]) == ("two-words", "/home/ann/runs")
    assert spec_of("-D", "/data")["workdir"] == "/data"
