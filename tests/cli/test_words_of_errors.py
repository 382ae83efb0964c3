"""What is written wrong is answered with what to write, and what ended with no price of now."""

from pathlib import Path

import pytest

from parkade.wire.yaml import Unreadable, load
from tests.api.town import Town
from tests.cli.test_cli import Run, as_user, run

__all__ = ["run"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("statement", "--from", "today", "--to", "yesterday"),
            "--from today lies after --to yesterday",
        ),
        (("reserve", "two"), "'two' is no count of nodes; write one like 2"),
        (("login", "http://127.0.0.1:1", "--token-file", "missing"), "missing cannot be read"),
        (("admin", "upgrade", "here", "--check", "--data-folder", "there"), "not both"),
    ],
)
def test_a_word_that_cannot_be_is_answered_with_what_to_write(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str
) -> None:
    monkeypatch.setenv("PARKADE_SERVER", "http://127.0.0.1:1")
    monkeypatch.setenv("PARKADE_TOKEN", "pk_x")
    said = " ".join(run(*words, exit_code=2).stderr.replace("│", " ").split())
    assert says in said


def test_an_upgrade_is_looked_at_in_the_folder_of_the_option(run: Run, tmp_path: Path) -> None:
    said = run("admin", "upgrade", "--check", "--data-folder", str(tmp_path), exit_code=2).stderr
    assert str(tmp_path) in said.replace("\n", "") and "is not there" in " ".join(said.split())


def test_a_key_that_stands_twice_is_placed_at_its_line() -> None:
    with pytest.raises(Unreadable) as refused:
        load("name: a\nlabels:\n  x: '1'\n  y: '2'\n  x: '3'\n")
    (fault,) = refused.value.problem.errors
    assert (fault.place, fault.message) == ("line 5, column 3", "the key `x` stands twice")


def test_what_ended_shows_no_price_of_now(
    run: Run, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, (_, owner) = town.pool(), town.org()
    held = {"spec": town.spec(), "market": pool, "hold": True}
    name = town.done(town.post("/workloads", held, owner))["workload"]
    as_user(monkeypatch, town, owner)
    assert "per hour" in run("status", name).output
    run("cancel", name)
    said = run("status", name).output
    assert "cancelled" in said and "per hour" not in said


def test_a_statement_says_what_has_accrued_and_is_not_posted_yet(
    run: Run, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, (org, owner) = town.pool(), town.org()
    attempt = town.wait_for_attempt(pool, town.submit(pool, owner, limit_price="2.50"))
    running = town.running(attempt)
    assert town.observe(pool, running).is_success
    as_user(monkeypatch, town, owner)
    stated = town.done(town.get("/statement", owner))
    assert stated["accrued_by_lending"] == "0.00" and float(stated["accrued"]) > 0
    assert "for use" in run("statement").output
    over = town.done(town.get("/statement", owner, end="2020-01-01T00:00:00Z"))
    assert over["accrued"] is None
    external = town.done(town.get("/statement", account="external"))
    assert external["accrued"] is None and org
