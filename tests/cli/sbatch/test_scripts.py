"""Batch scripts as people write them, each with what becomes of it: the workload, what is told, and
what its ranks print when they run it."""

import json
from pathlib import Path

import pytest

from parkade.cli.sbatch import script
from parkade.wire.spec import WorkloadSpec
from tests.cli.sbatch.outcomes import SCRIPTS, outcome

KEPT = json.loads((Path(__file__).parent / "outcomes.json").read_text())


@pytest.mark.parametrize("name", sorted(KEPT))
def test_a_script_becomes_what_was_kept(name: str, tmp_path: Path) -> None:
    assert outcome(SCRIPTS / f"{name}.sh", tmp_path) == KEPT[name]


def test_each_kept_script_has_an_outcome() -> None:
    assert sorted(file.stem for file in SCRIPTS.glob("*.sh")) == sorted(KEPT)
    assert sum("workload" in one for one in KEPT.values()) >= 20


@pytest.mark.parametrize("name", sorted(KEPT))
def test_no_option_of_a_script_is_dropped_silently(name: str) -> None:
    parsed = script.parse((SCRIPTS / f"{name}.sh").read_text())
    kept = KEPT[name]
    told = kept.get("told", kept.get("refused"))
    for given in parsed.given:
        if given.option.left is not None and "told" in kept:
            assert any(line.startswith(f"{given.place}: {given.text}: ") for line in told)


@pytest.mark.parametrize("name", sorted(name for name in KEPT if "workload" in KEPT[name]))
def test_a_workload_of_a_script_is_one_that_a_server_takes(name: str) -> None:
    money = {} if "capacity" in KEPT[name]["workload"] else {"limit_price": "2"}
    WorkloadSpec.model_validate({**KEPT[name]["workload"], "command": "x", **money})
