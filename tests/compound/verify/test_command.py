import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import uvloop

from parkade.compound.values import MAX_REASON, Verdict
from parkade.compound.verify import command
from parkade.compound.verify.command import CommandBroken, CommandVerifier
from tests.compound.verify.asking import candidate, question, verdict
from tests.waits import until

KEPT: dict[str, Any] = json.loads(
    (Path(__file__).parent / "kept/command-v1.json").read_text("utf-8")
)


def python(source: str, **settings: Any) -> CommandVerifier:
    return CommandVerifier([sys.executable, "-I", "-S", "-c", source], name="check", **settings)


def test_the_request_is_the_one_of_version_1() -> None:
    asked = question("Factor 15.", answer=[3, 5])
    assert json.loads(command.request(asked, candidate("3 * 5"))) == KEPT["request"]
    assert command.request(asked, candidate("a\nb")).count(b"\n") == 1


@pytest.mark.parametrize("answer", KEPT["answers"], ids=lambda answer: answer["output"][:20])
def test_every_answer_of_version_1_gives_its_verdict(answer: dict[str, Any]) -> None:
    source = f"import sys; print({answer['output']!r}, end=''); sys.exit({answer['exit']})"
    found = verdict(python(source), question(), "")
    assert msgspec.to_builtins(found) == answer["verdict"]


def test_a_command_reads_question_and_candidate() -> None:
    source = (
        "import json, sys\nsaid = json.load(sys.stdin)\n"
        "p, q = map(int, said['candidate']['text'].split('*'))\n"
        "sys.exit(p * q != said['question']['fields']['n'])"
    )
    assert verdict(python(source), question(n=15), "3 * 5").is_accepted
    assert not verdict(python(source), question(n=15), "3 * 4").is_accepted


def test_a_command_that_reads_nothing_is_no_error() -> None:
    assert verdict(python(""), question("x" * 1_000_000), "").is_accepted


@pytest.mark.parametrize(("word", "accepts"), [("true", True), ("false", False)])
def test_a_command_that_ends_before_it_is_asked_gives_its_exit_code(
    word: str, accepts: bool
) -> None:
    asked = question("x" * 100_000)

    async def all_of() -> list[Verdict]:
        check = CommandVerifier([word], at_once=4)
        return await asyncio.gather(*(check.verify(asked, candidate("")) for _ in range(30)))

    for loop in (uvloop.new_event_loop, asyncio.new_event_loop):
        with asyncio.Runner(loop_factory=loop) as runner:
            found = runner.run(all_of())
        assert [one.is_accepted for one in found] == [accepts] * 30


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import sys; sys.exit('no licence')", ""),
        ("import sys; sys.stderr.write('no licence'); sys.exit(2)", "exit code 2: no licence"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9"),
        ("import sys, json; json.load(sys.stdin)['text']", "crashed: .*KeyError: 'text'"),
        ("print('{\"is_accepted\": 7}')", "cannot be read"),
        ("print('{torn')", "cannot be read"),
        ("print('{\"is_accepted\": true}'); exit = 1; raise SystemExit(1)", "says that it accepts"),
    ],
)
def test_a_broken_command_is_an_error_and_no_verdict(source: str, message: str) -> None:
    if message:
        with pytest.raises(CommandBroken, match=f"(?s){message}"):
            verdict(python(source), question(), "")
    else:
        assert not verdict(python(source), question(), "").is_accepted


def test_a_command_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CommandBroken, match="cannot be started"):
        verdict(CommandVerifier(["/nonexistent/check"]), question(), "")


def test_a_command_out_of_time_rejects_and_leaves_no_process(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    source = (
        f"import os, time, pathlib\nchild = os.fork()\n"
        f"if child: pathlib.Path({str(note)!r}).write_text(str(child))\ntime.sleep(1e6)"
    )
    verifier = python(source, wall_us=3_000_000)
    found = verdict(verifier, question(), "")
    assert found == Verdict(is_accepted=False, reason="check took longer than 3 s")
    assert _ends(int(note.read_text()))


def test_a_child_that_a_command_leaves_is_ended_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    source = (
        "import os, time, pathlib\nchild = os.fork()\n"
        "if child == 0:\n    os.closerange(0, 3)\n    time.sleep(1e6)\n"
        f"pathlib.Path({str(note)!r}).write_text(str(child))"
    )
    assert verdict(python(source), question(), "").is_accepted
    assert _ends(int(note.read_text()))


def test_a_flood_of_output_rejects() -> None:
    found = verdict(python("while True: print('x' * 1000)"), question(), "")
    assert not found.is_accepted and "wrote more than" in found.reason


def test_a_cancelled_verification_leaves_no_process(tmp_path: Path) -> None:
    pipe = tmp_path / "started"
    os.mkfifo(pipe)
    source = f"import os, time\nopen({str(pipe)!r}, 'w').write(str(os.getpid()))\ntime.sleep(1e6)"

    async def run() -> int:
        task = asyncio.create_task(python(source).verify(question(), candidate("")))
        pid = int(await asyncio.to_thread(pipe.read_text))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pid

    assert _ends(asyncio.run(run()))


def test_a_command_sees_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARKADE_TEST_SECRET", "swordfish")
    source = (
        "import os, sys; sys.exit('PARKADE_TEST_SECRET' in os.environ or 'X' not in os.environ)"
    )
    assert verdict(python(source, environment={"X": "1"}), question(), "").is_accepted


def test_a_long_reason_is_cut() -> None:
    source = 'import json; print(json.dumps({"reason": "x" * 10_000}))'
    assert len(verdict(python(source), question(), "").reason) == MAX_REASON


def test_the_version_follows_the_command_and_what_is_given() -> None:
    made = [python("1"), python("2"), python("1", version="2"), python("1", wall_us=1)]
    assert len({one.version() for one in made}) == 4
    assert python("1").version() == made[0].version()


def _ends(pid: int) -> bool:
    """Waits until a process that was killed is gone."""
    return until(lambda: not psutil.pid_exists(pid) or _is_zombie(pid))


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_changed_program_is_another_version(tmp_path: Path) -> None:
    """Whether it is the command itself, or a script behind its interpreter."""
    script = tmp_path / "check.py"
    versions = []
    for text in ("print(1)", "print(2)"):
        script.write_text(text)
        versions.append(CommandVerifier([sys.executable, "check.py"], folder=tmp_path).version())
        versions.append(CommandVerifier([str(script)]).version())
    assert len(set(versions)) == 4
    same = CommandVerifier([sys.executable, "check.py"], folder=tmp_path).version()
    assert same == versions[2]


def test_a_word_that_is_no_name_of_a_file_is_a_word() -> None:
    assert CommandVerifier(["echo", "x" * 10_000, "a\0b"]).version()
