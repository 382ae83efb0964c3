"""One question, many candidates: at small size, with kills and torn files on the way."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.million import generator, problem, solve
from examples.million.filter import digest
from examples.million.progress import OtherRun, Progress, line_of, parse
from parkade.compound.verify.sandbox.pool import Sandbox
from tests.examples.programs import ROOT
from tests.waits import until

pytestmark = pytest.mark.system

RIGHT = (
    "def f(xs):\n    a = 0\n    b = xs[0]\n    for x in xs:\n"
    "        a = max(x, a + x)\n        b = max(b, a)\n    return b\n"
)
RUN = "a test"


def planted(index: int) -> str:
    """The generator's programs, with a right one, written in several ways, among them."""
    if index % 40 == 7:
        return RIGHT.replace("xs[0]", f"{'-' * (index % 3 == 0) or '+'}{index + 1} * 0 + xs[0]")
    return generator.program(1, index)


def solved(folder: Path, count: int = 400) -> solve.Report:
    work = solve.solve(folder, run=RUN, source=planted, count=count, rooms=1)
    return asyncio.run(work)


def test_most_are_dropped_and_a_right_program_is_found(tmp_path: Path) -> None:
    report = solved(tmp_path)
    assert report.dropped_unrun + report.run == report.drawn == 400
    assert report.dropped_share > 0.95
    assert report.solved_at_try is not None and report.solution is not None
    assert "a = max(x, a + x)" in report.solution


def test_a_run_whose_file_was_cut_at_any_place_gives_the_same_report(tmp_path: Path) -> None:
    whole = solved(tmp_path / "whole", 80)
    content = (tmp_path / "whole/progress").read_bytes()
    for share in range(6):
        folder = tmp_path / str(share)
        folder.mkdir()
        (folder / "progress").write_bytes(content[: len(content) * share // 5])
        assert solved(folder, 80) == whole
        assert sorted((folder / "progress").read_bytes().splitlines()) == sorted(
            content.splitlines()
        )


def test_a_whole_file_runs_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = solved(tmp_path, 150)
    size = (tmp_path / "progress").stat().st_size
    assert solved(tmp_path, 150) == first
    assert (tmp_path / "progress").stat().st_size == size


def test_a_run_that_was_killed_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.million.solve", str(tmp_path / "killed")]
    arguments = ["--programs", "500", "--rooms", "1"]
    progress = tmp_path / "killed/progress"
    with subprocess.Popen(
        [*command, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as program:
        until(lambda: progress.exists() and progress.stat().st_size > 1_000)
        os.kill(program.pid, signal.SIGKILL)
    noted = len(progress.read_bytes().splitlines()) - 1
    assert noted > 30
    source = partial(generator.program, 7)
    killed, fresh = (
        asyncio.run(solve.solve(tmp_path / name, run="seed 7", source=source, count=500, rooms=1))
        for name in ("killed", "fresh")
    )
    assert killed == fresh
    lines = progress.read_bytes().splitlines()
    assert len(lines) == len(set(lines)) == killed.run + 1


def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    solved(tmp_path, 20)
    with pytest.raises(OtherRun, match="give another folder"):
        solved(tmp_path, 21)


def test_the_program_prints_and_keeps_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = solve.main([str(tmp_path), "--programs", "200", "--rooms", "1"])
    kept = json.loads((tmp_path / "report.json").read_text("utf-8"))
    printed = capsys.readouterr().out
    assert code == (0 if kept["solved_at_try"] else 1)
    assert "drawn                       200" in printed and kept["drawn"] == 200


@pytest.mark.parametrize("line", generator.HOSTILE_LINES)
def test_a_hostile_program_reaches_the_sandbox_and_fails_there(line: str) -> None:
    text = RIGHT.replace("        a = max", f"        {line}\n        a = max")
    assert digest(text) is not None

    async def run() -> bool:
        async with Sandbox(rooms=1, limits=solve.LIMITS) as sandbox:
            assert await solve.passes_public_tests(sandbox, RIGHT)
            return await solve.passes_public_tests(sandbox, text)

    assert not asyncio.run(run())


SAME = (
    (RIGHT, RIGHT.replace("max(x, a + x)", "max(x + a, x)")),
    (
        (
            "def f(xs):\n    a = 0\n    b = 1\n    for x in xs:\n        a = a + x\n        b = a\n"
            "    return a\n"
        ),
        (
            "def f(xs):\n    a = 0\n    b = 0\n    for x in xs:\n        a = x + a\n        b = x\n"
            "    return a\n"
        ),
    ),
)
OTHER = (
    (RIGHT, RIGHT.replace("a = 0", "a = 1")),
    (RIGHT, RIGHT.replace("a + x", "a - x")),
    (RIGHT.replace("a + x", "a - x"), RIGHT.replace("a + x", "x - a")),
    (RIGHT, RIGHT.replace("return b", "return a")),
    (RIGHT, RIGHT.replace("max(b, a)", "min(b, a)")),
)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_programs_that_must_do_the_same_are_one(one: str, other: str) -> None:
    assert digest(one) == digest(other) is not None


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_programs_that_may_differ_are_two(one: str, other: str) -> None:
    assert digest(one) != digest(other)


@pytest.mark.parametrize(
    "text", ["", "def f(xs", "x = 1", "def f(xs):\n    return 1\n", "def f(xs):\n    a = xs\n"]
)
def test_what_cannot_be_right_is_dropped(text: str) -> None:
    assert digest(text) is None


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_programs_of_one_digest_behave_alike(one: int, other: int) -> None:
    texts = (generator.program(7, one % 300), generator.program(7, other % 300))
    if any(word in text for text in texts for word in ("while", "import", "open")):
        return
    if digest(texts[0]) is None or digest(texts[0]) != digest(texts[1]):
        return
    answers: list[list[object]] = [[], []]
    for text, said in zip(texts, answers, strict=True):
        space: dict[str, object] = {}
        exec(text, space)
        for (given_list,) in problem.inputs(10):
            said.append(eval("f(xs)", space, {"xs": list(given_list)}))
    assert answers[0] == answers[1]


def test_a_program_is_a_matter_of_seed_and_number() -> None:
    first = [generator.program(7, index) for index in range(50)]
    assert first == [generator.program(7, index) for index in range(50)]
    assert first != [generator.program(8, index) for index in range(50)]
    assert len(set(first)) > 25


@given(st.integers(0, 10**9), st.booleans(), st.data())
def test_a_line_is_read_back_and_a_spoiled_one_is_not(
    index: int, is_passed: bool, data: st.DataObject
) -> None:
    line = line_of(index, is_passed)
    assert parse(line) == (index, is_passed)
    at = data.draw(st.integers(0, len(line) - 2))
    spoiled = line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]
    assert parse(spoiled) is None
    assert parse(line[:at]) is None


@pytest.mark.parametrize("kept", range(121))
def test_a_file_cut_at_any_byte_gives_its_whole_lines(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "progress"
    with Progress(path, RUN) as progress:
        for index in range(6):
            progress.note(index, index % 2 == 0)
    content = path.read_bytes()[:kept]
    path.write_bytes(content)
    _head, *rest = content.split(b"\n")
    whole = len(rest) - 1 if rest else 0
    with Progress(path, RUN) as progress:
        assert progress.results == {index: index % 2 == 0 for index in range(whole)}
        progress.note(99, True)
    with Progress(path, RUN) as progress:
        assert progress.results[99] is True and len(progress.results) == whole + 1
