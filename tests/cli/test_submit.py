"""How the flags of `submit` and the keys of a file become one spec."""

from pathlib import Path

import pytest
import typer

from parkade.cli import screen
from parkade.cli.submit import document_of, folder_from_here, number_of_nodes, saving
from parkade.wire.spec import CheckpointTerms
from parkade.wire.workloads import Seat
from tests.api.town import Town
from tests.cli.test_cli import Run, as_user, run

__all__ = ["run"]


@pytest.mark.parametrize(
    ("written", "ways", "terms", "found"),
    [
        (None, None, None, None),
        ("hf", None, None, None),
        (None, {"word": "hf"}, None, {"preset": "hf"}),
        (None, {"word": "SIGUSR1"}, None, {"signal": "SIGUSR1"}),
        (None, {"word": "TERM"}, None, {"signal": "SIGTERM"}),
        (None, {"signal": "USR1"}, None, {"signal": "SIGUSR1"}),
        (None, {"word": "none"}, None, {"signal": "none"}),
        (None, {"signal": "SIGUSR2"}, None, {"signal": "SIGUSR2"}),
        (None, {"command": "./save.sh"}, None, {"command": "./save.sh"}),
        (None, None, {"needs": "60s"}, {"signal": "auto", "needs": "60s"}),
        ("hf", None, {"needs": "60s"}, {"preset": "hf", "needs": "60s"}),
        (
            {"preset": "hf", "needs": "30s"},
            {"word": "megatron"},
            None,
            {"preset": "megatron", "needs": "30s"},
        ),
        (
            {"command": "./save.sh", "exit_zero": "done"},
            None,
            {"needs": "60s"},
            {"command": "./save.sh", "exit_zero": "done", "needs": "60s"},
        ),
    ],
)
def test_flags_take_the_place_of_what_a_file_says_of_checkpoints(
    written: object,
    ways: dict[str, object] | None,
    terms: dict[str, object] | None,
    found: dict[str, object] | None,
) -> None:
    made = saving(written, ways, terms)
    assert made == found
    if made is not None:
        CheckpointTerms.model_validate(made)


@pytest.mark.parametrize(
    ("written", "meant"),
    [(".", ""), ("runs/a", "/runs/a"), ("../x", "/../x"), ("/home/lab", None)],
)
def test_a_relative_workdir_is_one_from_here(
    written: str, meant: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = written if meant is None else str(Path(f"{tmp_path}{meant}").resolve())
    assert folder_from_here(written) == expected


def test_a_program_is_asked_in_one_way() -> None:
    with pytest.raises(typer.BadParameter, match="one of"):
        saving(None, {"word": "hf", "command": "./save.sh"}, None)


def test_the_name_of_a_spec_is_not_run_as_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "count.yaml"
    spec.write_text("command: echo 1\n")
    with pytest.raises(typer.Exit):
        document_of(None, [str(spec)])
    assert f"write -f {spec}" in capsys.readouterr().err
    assert document_of(None, ["count.yaml"])["name"] == "count"


def test_seats_of_ranks_that_share_a_node_are_shown_once_with_their_number() -> None:
    shared = [Seat(node="a1", gpus=2)] * 3 + [Seat(node="a2", gpus=2)]
    assert screen.seats(shared) == "a1:3×2 a2:2"
    assert screen.nodes(shared) == "a1 a2"
    many = [Seat(node=f"a{n}", gpus=8) for n in range(9)]
    assert screen.seats(many).endswith("a5:8 +3")
    assert screen.nodes(many) == "a0 a1 a2 a3 +5"


def test_a_script_that_is_no_command_is_told_how_to_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello.sh").write_text("echo hello\n")
    with pytest.raises(typer.Exit):
        document_of(None, ["hello.sh"])
    assert "write -- ./hello.sh, or -- bash hello.sh" in capsys.readouterr().err
    assert document_of(None, ["./hello.sh"])["name"] == "hello"


@pytest.mark.parametrize(
    ("written", "found"),
    [("4", 4), ("2-16", {"min": 2, "max": 16}), ("many", "many"), (None, None)],
)
def test_nodes_are_a_number_or_the_least_and_the_most(written: str | None, found: object) -> None:
    assert number_of_nodes(written) == found


def test_a_submission_without_money_says_what_is_missing(
    run: Run, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.pool()
    org, owner = town.org(money="1")
    as_user(monkeypatch, town, owner)
    asked = ("--gpus", "2", "--limit", "9000", "--workdir", "/tmp", "--", "true")
    for verb in ("plan", "submit"):
        told = " ".join(run(verb, *asked).output.split())
        missing = told.split(" are missing")[0].split()[-1]
        assert (
            f"{missing} are missing (an operator adds it: parkade deposit {org} {missing}" in told
        )
