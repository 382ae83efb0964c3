"""`parkade compound` as a user runs it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import openai
import pytest

from parkade.cli import exit_codes
from parkade.cli.compound.progress import print_summary
from parkade.compound.run.budget import Account, Amounts, Budget
from parkade.compound.run.progressing import Counts
from parkade.compound.run.running import Progress, Summary

pytestmark = pytest.mark.system

PARKADE = (sys.executable, "-c", "from parkade.cli import main; main()", "compound")
SERVE = (*PARKADE, *"serve net.yaml --out s --port 0 --key-env NET_KEY --model net".split())  # noqa: SIM905
#: Scripts read them: a code never changes its meaning.
EXIT_CODES = json.loads((Path(__file__).parent / "kept/exit-codes-v1.json").read_text())
NETWORK = """
models:
  m: {function: "rules.py:answer", price: {input: 1, output: 1, as_of: 2026-01-01}, max_tokens: 5}
verifiers: {v: {function: "rules.py:is_right"}}
network: "20B(E@m(m=5))@v(parallel=1)"
"""
RULES = """
def answer(call): return str(call.sample)
def is_right(question, candidate): return candidate.text == str(question.fields["answer"])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.py").write_text(RULES)
    (tmp_path / "net.yaml").write_text(NETWORK)
    rows = [{"id": f"q{n}", "prompt": f"what is {n}", "answer": n} for n in range(10)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def parkade(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PARKADE, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )


def told(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def test_run_answers_and_goes_on_where_it_was(folder: Path) -> None:
    first = told(parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o", "--json"))
    assert (first["v"], first["answered"], first["accepted"], first["calls"]) == (1, 10, 10, 55)
    again = told(parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o", "--json"))
    assert (again["skipped"], again["calls"]) == (10, 0)
    shown = parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o")
    assert "10 done before" in shown.stdout


def test_a_spent_budget_has_an_exit_code_of_its_own(folder: Path) -> None:
    done = parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o", "--max-calls", "20")
    assert done.returncode == 7
    assert "spent; of the questions 4 not begun, 1 begun and not answered: raise it" in done.stdout
    counts = re.search(r"(\d+) answered, (\d+) cut short, (\d+) not begun", done.stdout)
    assert counts is not None
    assert sum(map(int, counts.groups())) == 10
    rest = told(parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o", "--json"))
    assert rest["calls"] == 35


BATCH = """
models: {m: {batch: requests.jsonl, model: x, answers: [answers.jsonl]}}
network: "E@m"
"""


def test_a_run_that_waits_for_a_batch_ends_as_the_kept_codes_say(folder: Path) -> None:
    (folder / "net.yaml").write_text(BATCH)
    done = parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o")
    assert done.returncode == EXIT_CODES["waits_for_a_batch"]
    assert "waiting" in done.stdout
    requests = (folder / "requests.jsonl").read_text().splitlines()
    assert len(requests) == 10
    answers = [
        {"custom_id": json.loads(line)["custom_id"], "error": {"code": "batch_expired"}}
        for line in requests
    ]
    (folder / "answers.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in answers))
    done = parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o")
    assert done.returncode == EXIT_CODES["waits_for_a_batch"]
    assert re.search(r"not done 1 +10 × batch_expired \(.*\): asked again", done.stdout)
    assert (folder / "requests.jsonl").read_text().splitlines() == requests


def test_every_kept_code_ends_the_commands_as_before() -> None:
    assert {
        "done": 0,
        "interrupted": exit_codes.INTERRUPTED,
        "broken": exit_codes.COMPOUND_BROKEN,
        "wrong": exit_codes.COMPOUND_WRONG,
        "not_found": exit_codes.COMPOUND_NOT_FOUND,
        "denied": exit_codes.COMPOUND_DENIED,
        "unfinished": exit_codes.COMPOUND_UNFINISHED,
        "budget": exit_codes.COMPOUND_BUDGET,
        "failed": exit_codes.COMPOUND_FAILED,
        "waits_for_a_batch": exit_codes.COMPOUND_WAITING,
    } == EXIT_CODES


def test_a_budget_that_doubt_filled_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    for doubtful, says in ((10, False), (900, True)):
        print_summary(spent_summary(1_000 - doubtful, doubtful), Path("o"), as_json=False)
        shown = " ".join(capsys.readouterr().out.split())
        assert ("parallel=" in shown) is says


def test_a_small_part_of_the_money_is_not_told_as_most_of_the_budget(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts, budget = Counts(is_budget_spent=True), Budget(micros=1_000)
    spent, doubtful = Amounts(950, 10**9, 10), Amounts(50, 900, 90)
    summary = Progress(counts, Account(budget, spent, doubtful)).summary()
    print_summary(summary, Path("o"), as_json=False)
    assert "without an answer: raise it" not in capsys.readouterr().out


def test_calls_without_a_usage_are_told_of_by_run_and_show(folder: Path) -> None:
    (folder / "net.yaml").write_text(BATCH)
    parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o")
    body = {"choices": [{"message": {"content": "fine"}}]}
    answers = [
        {"custom_id": json.loads(line)["custom_id"], "response": {"body": body}}
        for line in (folder / "requests.jsonl").read_text().splitlines()
    ]
    (folder / "answers.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in answers))
    done = parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o")
    says = "for 10 of 10: the worst case counts"
    assert says in done.stdout
    assert says in parkade(folder, "show", "o").stdout
    again = told(parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "new", "--json"))
    assert again["without_usage"] == 10


def spent_summary(calls: int, doubtful: int) -> Summary:
    progress = Progress(
        Counts(is_budget_spent=True),
        Account(Budget(calls=1_000), Amounts(0, 0, calls), Amounts(0, 0, doubtful)),
    )
    return progress.summary()


def test_the_package_itself_is_the_command_line(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "parkade", "compound", "draw", "net.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "best of 20" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "nothing.yaml", "q.jsonl", "--out", "o"), "cannot read nothing.yaml"),
        (("run", "net.yaml", "nothing.jsonl", "--out", "o"), "cannot read nothing.jsonl: No"),
        (("run", "net.yaml", "q.jsonl", "--out", "o", "--budget", "much"), "--budget"),
        (("run", "net.yaml", "q.jsonl", "--out", "o", "--max-calls=-1"), "0 or more, not -1"),
        (("draw", "q.jsonl"), "not YAML"),
        (("show", "o", "q1"), "no folder of a run"),
        (("serve", "net.yaml", "--out", "o", "--host", "0.0.0.0"), "needs a key"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(
    folder: Path, arguments: tuple[str, ...], says: str
) -> None:
    done = parkade(folder, *arguments)
    assert done.returncode in (1, 3, 4)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_draw_says_of_which_models_a_chat_template_is_not_in_its_bound(folder: Path) -> None:
    told = "the chat template of m adds: template_tokens"
    server = "{url: 'http://127.0.0.1:9/v1', model: x, max_tokens: 5%s}"
    for more, is_told in (("", True), (", template_tokens: 0", False)):
        (folder / "s.yaml").write_text(f"models: {{m: {server % more}}}\nnetwork: E@m\n")
        shown = " ".join(parkade(folder, "draw", "s.yaml").stdout.split())
        assert (told in shown) is is_told
    assert "chat template" not in parkade(folder, "draw", "net.yaml").stdout


def test_draw_show_and_distil(folder: Path) -> None:
    told(parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o", "--json"))
    assert "best of 20" in parkade(folder, "draw", "net.yaml").stdout
    assert "flowchart" in parkade(folder, "draw", "net.yaml", "--as", "mermaid").stdout
    assert told(parkade(folder, "draw", "net.yaml", "--as", "json"))["v"] == 1
    assert told(parkade(folder, "draw", "net.yaml", "--json"))["v"] == 1
    assert "→✓ m#3" in parkade(folder, "show", "o", "q3").stdout
    assert (
        parkade(folder, "show", "o", "q3", "--html", "p.html", "--questions", "q.jsonl").returncode
        == 0
    )
    shown = " ".join(parkade(folder, "show", "o").stdout.split())
    assert "questions 10 answered, 10 of them accepted" in shown
    assert "QUESTION ANSWER CALLS COST q0 ✓ 0 1 0.000" in shown
    overview = told(parkade(folder, "show", "o", "--json"))["overview"]
    assert isinstance(overview, dict)
    assert (overview["done"], overview["spent"]["calls"]) == (10, 55)
    no_question = parkade(folder, "show", "o", "--html", "q.html")
    assert (no_question.returncode, "give its id" in no_question.stderr) == (3, True)
    page = (folder / "p.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "what is 3" in page
    counts = told(parkade(folder, "distil", "o", "q.jsonl", "--to", "t.jsonl", "--json"))
    assert counts["written"] == 10
    rows = [json.loads(line) for line in (folder / "t.jsonl").read_text().splitlines()]
    assert rows[3]["messages"][-1] == {"role": "assistant", "content": "3"}
    wrong = parkade(folder, "distil", "o", "q.jsonl", "--to", "t.jsonl", "--keep", "all")
    assert wrong.returncode == 3


def test_serve_answers_openai_s_client_and_ends_on_a_signal(folder: Path) -> None:
    with subprocess.Popen(
        [
            *PARKADE,
            *[
                "serve",
                "net.yaml",
                "--out",
                "s",
                "--port",
                "0",
                "--key-env",
                "NET_KEY",
                "--model",
                "net",
                "--budget",
                "1",
            ],
        ],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NET_KEY": "sesame"},
    ) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None
            with openai.OpenAI(base_url=found[0], api_key="sesame", max_retries=0) as client:
                assert [model.id for model in client.models.list()] == ["net"]
                with pytest.raises(openai.APIStatusError):
                    client.chat.completions.create(model="net", messages=[])
        finally:
            server.send_signal(signal.SIGTERM)
            _, errors = server.communicate(timeout=60)
            assert server.returncode == 0
    assert errors == ("1 request, 1 with 400; in all 0.00, 0 tokens, 0 calls; 1.00 of 1.00 left\n")
    assert b"sesame" not in (folder / "s" / "journal.jsonl").read_bytes()


def test_a_notice_ends_a_run_with_everything_written(folder: Path) -> None:
    (folder / "rules.py").write_text(
        "import asyncio\n"
        "async def answer(call):\n"
        "    if call.sample == 3:\n"
        "        print('waiting', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "    return str(call.sample)\n"
        "def is_right(question, candidate): return candidate.text == '9'\n"
    )
    command = ["run", "net.yaml", "q.jsonl", "--out", "o", "--budget", "1"]
    with subprocess.Popen(
        [*PARKADE, *command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "waiting\n"
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "goes on where it was" in said
    lines = [json.loads(line) for line in (folder / "o" / "journal.jsonl").read_text().splitlines()]
    assert sum(line["is"] == "call" for line in lines) >= 3
    assert [line for line in lines if line["is"] == "promise"][-1]["calls"] == 0
    assert any(line["is"] == "failed" and "stopped" in line["why"] for line in lines)


def test_a_failed_question_says_why_and_is_asked_again(folder: Path) -> None:
    (folder / "rules.py").write_text(
        RULES.replace(
            "def answer(call):",
            "def answer(call):\n    if '1' in call.body.decode()"
            ".split('what is ')[1][:2]: raise RuntimeError('CUDA oom')\n   ",
        )
    )
    done = parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o")
    assert done.returncode == 8
    assert "9 answered, 1 failed" in done.stdout
    assert "1 × broken: answer raised RuntimeError: CUDA oom (rules.py, line 3) (q1)" in " ".join(
        done.stdout.split()
    )
    lines = [json.loads(line) for line in (folder / "o/failures.jsonl").read_text().splitlines()]
    assert [(line["v"], line["id"]) for line in lines] == [(1, "q1")]
    shown = parkade(folder, "show", "o", "q1").stdout
    assert "failed; the next run asks it again" in shown
    assert "CUDA oom" in shown
    again = parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o", "--json")
    told_again = json.loads(again.stdout)
    assert (again.returncode, told_again["skipped"], told_again["failed"]) == (8, 9, 1)
    assert told_again["reasons"][0]["questions"] == ["q1"]
    (folder / "rules.py").write_text(RULES)
    assert told(parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o", "--json"))
    assert not (folder / "o/failures.jsonl").read_text()
    assert "CUDA" not in parkade(folder, "show", "o", "q1").stdout


@pytest.mark.parametrize(
    ("replaced", "by", "code", "says"),
    [
        (
            "def answer(call): ",
            "def answer(call): raise RuntimeError('CUDA oom')\n#",
            5,
            "CUDA oom",
        ),
        ("def answer(call)", "def answer()", 5, "positional argument"),
    ],
)
def test_a_run_in_which_all_fails_says_why(
    folder: Path, replaced: str, by: str, code: int, says: str
) -> None:
    for name, text in (("rules.py", RULES), ("net.yaml", NETWORK)):
        (folder / name).write_text(text.replace(replaced, by))
    done = parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o")
    assert done.returncode == code, done.stdout
    assert "0 answered, 10 failed" in done.stdout
    assert says in done.stdout


def test_a_name_that_no_question_has_is_found_before_the_run(folder: Path) -> None:
    wrong = "'20B(E@m(prompt=\"{nofield}\"))@v'"
    text = NETWORK.replace('"20B(E@m(m=5))@v(parallel=1)"', wrong)
    (folder / "rules.py").write_text(RULES)
    (folder / "net.yaml").write_text(text)
    done = parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o")
    assert done.returncode == 3, done.stdout
    assert "nofield" in done.stderr and not (folder / "o").exists()


def test_a_verifier_that_fails_is_told_of_in_the_summary_and_in_show(folder: Path) -> None:
    (folder / "rules.py").write_text(RULES.replace('"answer"', '"anwser"'))
    stopped = parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "o")
    assert stopped.returncode == 8
    assert "KeyError: 'anwser'" in stopped.stderr
    few = NETWORK.replace("20B", "5B")
    (folder / "net.yaml").write_text(few)
    done = parkade(folder, "run", "net.yaml", "q.jsonl", "--out", "p", "--limit", "2")
    assert done.returncode == 8
    assert "no verdict  10; first 10 × " in done.stdout
    assert "KeyError: 'anwser'" in parkade(folder, "show", "p", "q1").stdout
