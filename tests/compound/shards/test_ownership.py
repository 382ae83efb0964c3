"""A folder is that of one process or of submitted workers, and neither writes in the other's."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parkade.cli.compound.app import compound
from parkade.cli.exit_codes import COMPOUND_WRONG
from parkade.compound.asking import ask
from parkade.compound.loading import load
from parkade.compound.pilot import pilot
from parkade.compound.run.budget import Budget
from parkade.compound.run.ownership import FolderError
from parkade.compound.run.running import Settings
from parkade.compound.serve.answering import Answering
from tests.compound.shards.farm import Farm


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Farm:
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return Farm(tmp_path, 6)


def files(out: Path) -> dict[str, bytes]:
    """All that a folder holds."""
    return {
        str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()
    }


def typed(*words: str) -> tuple[int, str]:
    ended = CliRunner().invoke(compound, words)
    return ended.exit_code, ended.stderr


def test_run_on_a_submitted_folder_is_refused_before_the_first_call(farm: Farm) -> None:
    farm.prepare(shard_size=3, budget=Budget(calls=500))
    before = files(farm.out)
    status, said = typed("run", str(farm.network), str(farm.questions), "--out", str(farm.out))
    assert status == COMPOUND_WRONG
    assert f"parkade compound collect {farm.out}" in said
    assert "another folder" in said
    assert not farm.called()
    assert files(farm.out) == before


def test_ask_and_pilot_on_a_submitted_folder_are_refused(farm: Farm) -> None:
    farm.prepare(shard_size=3)
    models = {"m": lambda call: "7"}
    with pytest.raises(FolderError, match="submitted run"):
        ask("E@m", "What is 7?", models=models, out=farm.out)
    with pytest.raises(FolderError, match="submitted run"):
        pilot("E@m", [{"prompt": "7?", "answer": "7"}], models=models, out=farm.out)


def test_serve_on_a_submitted_folder_is_refused(farm: Farm) -> None:
    farm.prepare(shard_size=3)
    loaded = load(farm.network)
    with pytest.raises(FolderError, match="submitted run"):
        Answering(loaded.network, loaded.names, farm.out, Settings())


def test_submit_on_the_folder_of_a_run_is_refused(farm: Farm) -> None:
    farm.without_marketplace(farm.folder / "calls")
    shutil.copytree(farm.folder / "plain", farm.out)
    before = files(farm.out)
    with pytest.raises(FolderError, match="answers and a bill"):
        farm.prepare(shard_size=3)
    assert files(farm.out) == before


def test_collect_does_not_replace_what_a_run_wrote_there_before_it_was_refused(farm: Farm) -> None:
    farm.prepare(shard_size=3)
    farm.without_marketplace(farm.folder / "calls")
    shutil.copytree(farm.folder / "plain", farm.out, dirs_exist_ok=True)
    before = files(farm.out)
    status, said = typed("collect", str(farm.out))
    assert status == COMPOUND_WRONG
    assert "would be lost" in said
    assert files(farm.out) == before


def test_what_was_collected_is_collected_again(farm: Farm) -> None:
    farm.prepare(shard_size=3)
    assert typed("worker", str(farm.out))[0] == 0
    first = files(farm.out)
    assert typed("collect", str(farm.out))[0] == 0
    assert typed("collect", str(farm.out))[0] == 0
    for name in ("results.jsonl", "journal.jsonl", "run.json"):
        assert files(farm.out)[name] == first[name]
    farm.prepare(shard_size=3, budget=Budget(calls=1_000))
