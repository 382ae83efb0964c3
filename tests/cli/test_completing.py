"""Values are completed in real shells, from the server, and silently not where it fails."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import typer

from parkade.cli import completing
from parkade.cli.app import app
from tests.api.town import Town
from tests.cli.test_cli import as_user, commands, run
from tests.client.test_names import CALLS
from tests.waits import PATIENCE_S, until

__all__ = ["run"]
PROGRAM = """#!/bin/sh
exec {python} -c "from parkade.cli.app import app; app(prog_name='parkade')" "$@"
"""
BASH = """source <(parkade --show-completion bash)
COMP_WORDS=({words}) COMP_CWORD={place}
_parkade_completion parkade
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a person who has the program, and whose cache is empty."""
    program = tmp_path / "bin" / "parkade"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PARKADE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("HOME", str(tmp_path))
    # As much as a loaded machine needs; a person has a second.
    monkeypatch.setattr(completing, "WITHIN_S", PATIENCE_S)
    return tmp_path


def asked(kind: str) -> list[str]:
    """The values of a source as the program itself finds them."""
    source = completing.SOURCES[kind]
    return [it.value for it in completing._named(source, completing._asked(source))]


def in_bash(*words: str) -> list[str]:
    """What bash offers behind these words, the last of them begun."""
    quoted = " ".join(f"'{it}'" for it in ("parkade", *words))
    script = BASH.format(words=quoted, place=len(words))
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_workloads_are_completed_by_id_and_by_name(
    town: Town, shell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, (_, owner) = town.pool(), town.org()
    as_user(monkeypatch, town, owner)
    one, two = (town.submit(pool, owner, name=it, limit_price="0.10") for it in ("train", "eval"))
    twice = [town.submit(pool, owner, name="same", limit_price="0.10") for _ in range(2)]
    found = asked("workload")
    assert {one, two, "train", "eval", *twice} <= set(found) and "same" not in found


def test_each_kind_of_thing_is_completed_for_those_who_may_see_it(
    town: Town, shell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, (org, owner) = town.pool(), town.org()
    body = {"market": pool, "nodes": 1, "name": town.name("right")}
    right = town.done(town.post("/reservations", body, owner))["reservation"]
    as_user(monkeypatch, town, town.operator)
    (shown,) = town.done(town.get("/pools"))["markets"]
    for kind, value in (
        ("org", org),
        ("user", "operator"),
        ("node", "lab-1"),
        ("pool", pool),
        ("instance_type", shown["instance_type"]["name"]),
        ("reservation", right),
    ):
        assert value in asked(kind), kind
    as_user(monkeypatch, town, owner)
    assert asked("node") == []


def test_labels_are_completed_as_pairs(
    town: Town, shell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, (_, owner) = town.pool(), town.org()
    as_user(monkeypatch, town, owner)
    for labels in ({"team": "vision"}, {"team": "vision", "stage": "eval"}):
        town.submit(pool, owner, labels=labels, limit_price="0.10")
    assert sorted(asked("labels")) == ["stage=eval", "team=vision"]


def test_each_source_is_a_list_of_the_api_and_its_fields_are_there() -> None:
    answers = {call.path: call.answer for call in CALLS.values() if call.method == "GET"}
    for kind, source in completing.SOURCES.items():
        listed = answers[f"/v1{source.path}"].model_fields[source.field].annotation
        (record, _) = get_args(listed)
        for field in (*source.values, *source.says):
            at = record
            for part in field.split("."):
                assert part in at.model_fields, (kind, field)
                at = at.model_fields[part].annotation


def test_each_name_in_the_tables_is_a_parameter_that_there_is() -> None:
    taken = {
        " ".join(words): {each.name for each in command.params}
        for words, command in commands(typer.main.get_command(app))
    }
    for table in (completing.OF_COMMANDS, completing.LISTS):
        for words, names in table.items():
            assert taken[words].issuperset(names), words
    anywhere = set().union(*taken.values())
    others = {kind for of in completing.OF_COMMANDS.values() for kind in of.values() if kind}
    sources = completing.SOURCES.keys()
    assert anywhere.issuperset(completing.SAME) and anywhere.issuperset(completing._fixed())
    assert {*completing.SAME.values(), *others} <= sources <= anywhere | others


def test_an_answer_is_kept_for_a_moment_where_only_its_user_reads_it(
    town: Town, shell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, owner = town.org()
    as_user(monkeypatch, town, owner)
    (org,) = asked("org")
    (file,) = (shell / "cache").rglob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text(file.read_text().replace(org, "kept"))
    assert asked("org") == ["kept"]
    monkeypatch.setattr(completing, "KEPT_S", 0.0)
    assert asked("org") == [org]


@pytest.mark.parametrize("has_token", [True, False])
def test_what_fails_completes_nothing_and_says_nothing(
    shell: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    has_token: bool,
) -> None:
    monkeypatch.setattr(completing, "WITHIN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PARKADE_SERVER", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("PARKADE_TOKEN", "pk_x" if has_token else "")
        assert asked("org") == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.system
def test_bash_offers_fixed_words_and_what_the_server_has(
    town: Town, shell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, (_, owner) = town.pool(), town.org()
    name = town.name("bash")
    town.submit(pool, owner, name=name, limit_price="0.10")
    as_user(monkeypatch, town, owner)
    assert in_bash("submit", "--interconnect", "") == ["fabric", "any"]
    assert in_bash("submit", "--checkpoint", "light") == ["lightning"]
    # On a loaded machine the answer may come too late for the first key.
    until(lambda: in_bash("why", name) == [name])


@pytest.mark.system
def test_what_takes_several_is_completed_behind_a_comma(
    town: Town, shell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, (_, owner) = town.pool(), town.org()
    body = {"market": pool, "nodes": 1, "name": "mine"}
    right = town.done(town.post("/reservations", body, owner))["reservation"]
    mine = f"reservation/{right}"
    town.submit(pool, owner, labels={"team": "vision"}, limit_price="0.10")
    (market,) = town.done(town.get("/pools", owner))["markets"]
    kind = market["instance_type"]["name"]
    as_user(monkeypatch, town, owner)
    assert in_bash("submit", "--capacity", "spot,") == ["spot,on-demand"]
    until(lambda: in_bash("submit", "--capacity", "r") == [mine])
    assert in_bash("submit", "--capacity", f"{mine},s") == [f"{mine},spot"]
    assert in_bash("submit", "--instance-type", "other=2.50,") == [f"other=2.50,{kind}"]
    assert in_bash("submit", "--instance-type", f"{kind},") == []
    until(lambda: in_bash("ps", "--label", "te") == ["team=vision"])
    assert in_bash("bid", "w1", "--instance-type", "other,") == [], "it takes one"
    for other in ("fish", "zsh"):
        if shutil.which(other) is not None:
            assert "spot,on-demand" in _offered(other, "submit --capacity spot,"), other


def _offered(shell: str, words: str) -> str:
    """What another shell is given for these words, the last of them begun."""
    if shell == "fish":
        script = f"parkade --show-completion fish | source; complete -C 'parkade {words}'"
    else:
        line = f'export _TYPER_COMPLETE_ARGS="parkade {words}"; eval $(parkade)'
        script = f"_arguments() {{ print -r -- $1 }}; {line}"
    given = {} if shell == "fish" else {"_PARKADE_COMPLETE": "complete_zsh"}
    done = subprocess.run(
        [shell, "-c", script],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, **given},
    )
    return done.stdout


@pytest.mark.system
@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_offers_them_with_words_beside(
    town: Town, shell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, owner = town.org()
    as_user(monkeypatch, town, owner)
    script = "parkade --show-completion fish | source; complete -C 'parkade submit --moves '"
    done = subprocess.run(
        ["fish", "-c", script], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert done.stdout.split() == ["cheaper", "needed"]


@pytest.mark.system
@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_is_given_what_its_arguments_take(shell: Path) -> None:
    environment = {**os.environ, "_PARKADE_COMPLETE": "complete_zsh"}
    line = 'export _TYPER_COMPLETE_ARGS="parkade submit --moves "; eval $(parkade)'
    script = f"_arguments() {{ print -r -- $1 }}; {line}"
    done = subprocess.run(
        ["zsh", "-c", script], capture_output=True, text=True, timeout=PATIENCE_S, env=environment
    )
    assert "needed" in done.stdout and "cheaper" in done.stdout, done.stderr
