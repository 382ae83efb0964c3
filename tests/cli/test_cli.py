import errno
import json
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from parkade.cli import config, screen
from parkade.cli.app import app
from parkade.wire.pools import Terms
from tests import builders
from tests.api.town import Town
from tests.waits import PATIENCE_S

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command line as a person whose configuration is in a folder of its own."""
    monkeypatch.setenv("PARKADE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.delenv("PARKADE_SERVER", raising=False)
    monkeypatch.delenv("PARKADE_TOKEN", raising=False)
    monkeypatch.setattr(screen.console, "_width", 100)

    def invoke(*words: str, stdin: str = "", exit_code: int = 0) -> Result:
        result = CliRunner().invoke(app, list(words), input=stdin)
        assert result.exit_code == exit_code, f"{words}: {result.output}{result.exception!r}"
        return result

    return invoke


def as_user(monkeypatch: pytest.MonkeyPatch, town: Town, token: str) -> None:
    monkeypatch.setenv("PARKADE_SERVER", town.url)
    monkeypatch.setenv("PARKADE_TOKEN", token)


def test_login_keeps_the_token_where_only_its_owner_reads_it(town: Town, run: Run) -> None:
    result = run("login", town.url, stdin=f"{town.operator}\n")
    assert "operator of operator" in result.output and town.operator not in result.output
    file = config.path()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert config.load() == config.Config(town.url, town.operator)
    assert town.operator not in repr(config.load())
    assert "you" in run("status").output
    file.chmod(0o644)
    assert "others can read" in run("org", "list").stderr


def test_logout_forgets_the_token_and_keeps_the_server(
    town: Town, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No token" in run("logout").output
    run("login", town.url, stdin=f"{town.operator}\n")
    assert "holds no token" in run("logout").output
    assert config.load() == config.Config(town.url, None)
    run("status", exit_code=2)
    assert town.operator not in config.path().read_text()
    monkeypatch.setenv("PARKADE_TOKEN", town.operator)
    assert "unset it" in run("logout").stderr


@pytest.mark.parametrize("content", ["server = 1", "token = 'pk_x", "\xff"])
def test_logout_removes_a_file_that_it_cannot_read(run: Run, content: str) -> None:
    config.path().write_text(content, "latin-1")
    run("logout")
    assert not config.path().exists()


def test_a_logout_that_cannot_write_its_file_removes_it_or_says_that_the_token_stays(
    town: Town, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    run("login", town.url, stdin=f"{town.operator}\n")
    monkeypatch.setattr("parkade.cli.config.os.open", is_full)
    run("logout")
    assert not config.path().exists(), "the token goes, the server's address with it"
    monkeypatch.undo()
    monkeypatch.setenv("PARKADE_CONFIG", "/proc/self/cmdline")
    said = run("logout", exit_code=1).stderr
    assert "still in" in said and "token revoke" in said


def test_a_wrong_token_is_not_kept(town: Town, run: Run, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("pk_wrong\n")
    run("login", town.url, "--token-file", str(tmp_path / "token"), exit_code=2)
    assert not config.path().exists()
    run("login", town.url, "--token-file", str(tmp_path / "missing"), exit_code=2)
    run("login", "parkade.example", stdin="x\n", exit_code=2)
    run("login", town.url, stdin="\n", exit_code=2)


def test_no_command_takes_a_token_as_an_argument() -> None:
    import typer

    def names(command: object) -> Iterator[str]:
        yield from (name for each in command.params for name in each.opts)  # type: ignore[attr-defined]
        for inner in getattr(command, "commands", {}).values():
            yield from names(inner)

    assert "--token" not in set(names(typer.main.get_command(app)))


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (["status", "w999999"], 4, "no workload w999999"),
        (["submit", "--gpus", "1", "--", "sleep 1"], 3, "limit_price: spot needs"),
        (["submit", "--limit", "2,50", "--nodes", "0", "--", "x"], 3, "nodes: "),
        (["submit", "--limit", "1", "--checkpoint", "hff", "--", "x"], 3, "hf, lightning"),
        (["hold", "no-such-name"], 4, "there is no workload no-such-name"),
        (["submit"], 2, "nothing to run"),
        (["submit", "--limit", "5", "-f", "/nowhere.yaml"], 3, "cannot be read"),
        (["lend", "acme"], 2, "--floor"),
        (["deposit", "acme", "1,5"], 3, "amount: "),
        (["statement", "--from", "last week"], 2, "--from"),
        (["org", "create", "Not A Name"], 3, "org: "),
        (["price", "sheet", "set", "lab"], 3, "at least one price"),
        (["price", "sheet", "set", "nowhere", "--public-floor", "2"], 4, "nowhere"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_what_goes_wrong_has_words_and_an_exit_code(
    town: Town,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    exit_code: int,
    said: str,
) -> None:
    town.pool()
    as_user(monkeypatch, town, town.operator)
    result = run(*words, exit_code=exit_code)
    assert said in " ".join(result.stderr.split())
    assert "Traceback" not in result.output and town.operator not in result.output


def test_who_may_not_and_who_cannot_pay_are_told_apart(
    town: Town, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.pool()
    _, owner = town.org("0.01")
    as_user(monkeypatch, town, owner)
    run("org", "create", "mine", exit_code=5)
    assert (
        "ask an operator to deposit it: parkade deposit" in run("reserve", "1", exit_code=7).stderr
    )
    monkeypatch.setenv("PARKADE_TOKEN", "pk_wrong")
    run("ps", exit_code=2)
    monkeypatch.delenv("PARKADE_TOKEN")
    assert "parkade login" in run("ps", exit_code=2).stderr


def test_a_server_that_does_not_answer_is_worth_another_try(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setenv("PARKADE_SERVER", "http://127.0.0.1:9")
    monkeypatch.setenv("PARKADE_TOKEN", "pk_x")
    assert "does not answer" in run("ps", exit_code=6).stderr


POOL = builders.pool_body(("n1", "n2", "n3"))


@pytest.mark.system
def test_a_market_is_run_from_the_command_line(
    fresh: Town, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_user(monkeypatch, fresh, fresh.operator)
    (tmp_path / "pool.yaml").write_text(json.dumps(POOL))
    assert "n1 n2 n3" in run("pool", "create", "-f", str(tmp_path / "pool.yaml")).output
    assert "elsewhere" in run("pool", "list").output
    shown = run("pool", "show", "lab").output
    terms = {name.replace("_", " ") for name in Terms.model_fields}
    missing = {term for term in terms if not any(it.startswith(term) for it in shown.splitlines())}
    assert missing == set(), "a term that is not set is shown too"
    run("pool", "show", "nowhere", exit_code=4)
    run("org", "create", "acme")
    assert "balance 1010.00" in run("deposit", "acme", "1010").output
    assert "balance 1000.00" in run("disburse", "acme", "10", "--reason", "paid twice").output
    lacks = run("refund", "acme", "0.01", "--reason", "sorry", exit_code=7).stderr
    assert "the operator's account has 0.00" in lacks
    assert "disbursement 10.00: paid twice" in run("events").output
    ann = ["user", "create", "ann", "--org", "acme", "--role", "owner"]
    assert "owner of acme" in run(*ann).output
    made = run("token", "create", "ann", "--name", "ann-laptop")
    secret = made.stdout.strip()
    assert secret.startswith("pk_") and secret not in run("token", "list").output
    assert "ann" in run("user", "list").output and "1000.00" in run("org", "list").output
    run("price", "sheet", "set", "lab", "--public-floor", "1.25")
    assert "1.25" in run("price", "sheet", "show").output
    for verb in (
        ["fail", "n3", "-r", "Xid 79"],
        ["restore", "n3"],
        ["cordon", "n3", "-r", "fan"],
        ["uncordon", "n3"],
    ):
        assert "n3" in run("node", *verb).output
        is_cordoned = verb[0] == "cordon"
        assert ("n3 cordoned by" in run("node", "list").output) is is_cordoned
    assert "n3" in run("node", "list").output
    run("clock", "confirm")

    as_user(monkeypatch, fresh, secret)
    assert "4.00" in run("reserve", "1", "--name", "acme", "--end", "+2h").output
    assert "from 5.00, keeps 1" in run("lend", "acme", "--floor", "5", "--keep", "1").output
    assert "acme" in run("reservations").output
    assert "nothing" in run("lend", "acme", "--stop").output
    claimed = run("claim", "acme", "1", "--json")
    name = json.loads(claimed.stdout)["claim"]
    assert name in run("claims").output
    assert "given up" in run("unclaim", name).output
    run("end", "acme", exit_code=3)
    assert "would run on" in run("plan", "--limit", "2.50", "--", "sleep 1").output.lower()
    asked = ("--checkpoint", "hf", "--checkpoint-needs", "1s", "--limit", "2.50", "--", "sleep 1")
    assert "would run on" in run("plan", *asked).output.lower()
    head, *lines = run("statement", "--csv").stdout.splitlines()
    assert head.startswith("sequence,at,kind,amount,other,") and ",deposit," in lines[0]
    assert "deposit" in run("statement").output and "lab" in run("prices").output
    short = run("token", "create", "ann", "--name", "short", "--lasts", "1h")
    assert "short" in short.stderr and "good until 20" in short.stderr
    assert "MADE WITH" in run("token", "list").output
    run("token", "revoke", "ann-laptop")
    run("ps", exit_code=2)


def test_a_pool_that_only_observes_lends_and_leaves_drains_of_others(
    fresh: Town, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_user(monkeypatch, fresh, fresh.operator)
    (tmp_path / "pool.yaml").write_text(json.dumps(POOL))
    run("pool", "create", "-f", str(tmp_path / "pool.yaml"))
    run("node", "drain", "n1", "-r", "mine")

    def drained() -> list[str]:
        nodes = json.loads(run("node", "list", "--json").stdout)["nodes"]
        return [it["node"] for it in nodes if it["drain"] is not None]

    run("pool", "lend", "lab", "--observe")
    assert drained() == ["n1", "n2", "n3"]
    run("pool", "lend", "lab")
    assert drained() == ["n1"]
    refused = run("pool", "lend", "nowhere", exit_code=4)
    assert "nowhere" in refused.stderr
    run("pool", "lend", "nowhere", "--observe", exit_code=4)


def test_a_workload_is_led_through_its_life(
    fresh: Town, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh.pool()
    _, owner = fresh.org()
    as_user(monkeypatch, fresh, owner)
    spec = "name: train-7b\ncommand: python train.py\nnodes: 2\ngpus: 2\nlimit_price: 0.50\n"
    (tmp_path / "w.yaml").write_text(spec)
    said = run("submit", "-f", str(tmp_path / "w.yaml"), "--max-spend", "40", "--hold").output
    assert "w1 train-7b: held" in said and "at most 40.00; bounded by max_spend" in said
    told = json.loads(run("status", "w1", "--json").stdout)
    assert told["spec"]["limit_price"] == "0.50" and told["spec"]["workdir"] == str(Path.cwd())
    assert "held" in run("why", "w1").output
    assert "w1" in run("release", "w1").output
    run("hold", "w1")
    assert "12.00 per hour" in run("bid", "w1", "3").output
    assert "train-7b" in run("ps").output
    assert "w1" in run("cancel", "w1", "--now").output
    ids = [each["workload"] for each in json.loads(run("ps", "-a", "--json").stdout)["workloads"]]
    assert ids == ["w1"]
    said = run(
        "submit", "--limit", "1", "--env", "A=b=c", "--json", "--", "python", "a b.py"
    ).stdout
    told = json.loads(said)
    assert told["spec"]["command"] == "python 'a b.py'" and told["spec"]["env"] == {"A": "b=c"}
    assert told["name"] == "a-b"
    lines = run("events", "--json").stdout.splitlines()
    assert {"Submitted", "MoneyMoved"} <= {json.loads(line)["type"] for line in lines}
    assert "submitted, 2 × 2 GPUs" in run("events").output
    run("logs", "w1", exit_code=4)


def test_json_is_the_apis_own(town: Town, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    town.pool()
    as_user(monkeypatch, town, town.operator)
    for words, path in [
        (["pool", "list"], "/pools"),
        (["prices"], "/prices"),
        (["org", "list"], "/orgs"),
        (["user", "list"], "/users"),
        (["token", "list"], "/tokens"),
        (["node", "list"], "/nodes"),
        (["reservations"], "/reservations"),
        (["claims"], "/claims"),
    ]:
        told = json.loads(run(*words, "--json").stdout)
        answer = town.done(town.get(path))
        if path == "/prices":
            for each in told["prices"] + answer["prices"]:
                each.pop("cleared")
        if path == "/tokens":
            for each in told["tokens"] + answer["tokens"]:
                each.pop("last_used")
        assert told == answer, path
    problem = json.loads(run("status", "w0", "--json", exit_code=4).stderr)
    assert problem["code"] == "not_found"


def test_the_program_starts_without_loading_what_it_does_not_need() -> None:
    program = "import parkade.cli.app, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    loaded = set(done.stdout.split())
    heavy = {"httpx", "pydantic", "fastapi", "sqlalchemy", "yaml", "parkade.core", "uvicorn"}
    assert loaded.isdisjoint(heavy)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command by its words, those too that no list of commands shows."""
    inner = getattr(command, "commands", {})
    if not inner:
        yield path, command
    for name, each in inner.items():
        yield from commands(each, (*path, name))


def test_every_command_and_each_of_its_parameters_explains_itself() -> None:
    found = dict(commands(typer.main.get_command(app)))
    assert len(found) >= 100
    for path, command in found.items():
        assert command.help, path
        for each in command.params:
            assert each.hidden or each.help or each.name == "help", (*path, each.name)


def test_help_does_not_offer_old_names_and_they_still_work(run: Run, tmp_path: Path) -> None:
    first_words = {line.strip("│ ").partition(" ")[0] for line in run("--help").stdout.split("\n")}
    assert "admin" in first_words and "journal" not in first_words
    assert "is not there" in run("journal", "check", str(tmp_path), exit_code=2).stderr


def test_faults_of_a_file_name_the_file(
    town: Town, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_user(monkeypatch, town, town.operator)
    file = tmp_path / "job.yaml"
    for text, said in (("nodes: 0\n", "nodes: "), ("a: [\n", "line 2"), ("- a\n", "write keys")):
        file.write_text(text)
        for words in (["submit", "-f", str(file)], ["pool", "create", "-f", str(file)]):
            told = run(*words, exit_code=3).stderr
            assert told.startswith(f"parkade: {file}: invalid\n"), told
            assert said in told or words[0] == "pool"
    assert "parkade: stdin: invalid" in run("submit", "-f", "-", stdin="[", exit_code=3).stderr


def test_a_workload_is_meant_by_its_name_while_that_is_the_only_one(
    fresh: Town, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    as_user(monkeypatch, fresh, owner)
    first = fresh.submit(pool, owner, name="train", limit_price="1000")
    fresh.submit(pool, owner, name="other")
    fresh.wait_for_attempt(pool, first)
    assert first in run("status", "train").output
    assert first in run("why", "train").output
    assert "no attempt 'w1.7'" in run("logs", "train", "--attempt", "7", exit_code=4).stderr
    second = fresh.submit(pool, owner, name="train", limit_price="0.1")
    told = run("cancel", "train", exit_code=3).stderr
    assert f"several workloads are named train: {second}, {first}; name one by its id" in told
    run("cancel", second)
    # One that lives comes before those that ended.
    assert run("bid", "train", "1001").output.startswith(f"{first} train")
    _, other = fresh.org()
    as_user(monkeypatch, fresh, other)
    assert "no workload train" in run("status", "train", exit_code=4).stderr


def test_a_narrow_screen_shows_each_workload_on_one_line(
    fresh: Town, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    as_user(monkeypatch, fresh, owner)
    monkeypatch.setattr(screen.console, "_width", 60)
    names = ["a-name-that-is-rather-long-for-a-table", "b", "c"]
    for name in names:
        fresh.submit(pool, owner, name=name, nodes=8, gpus=2)
    lines = run("ps").output.splitlines()
    assert len(lines) == 1 + len(names)
    assert all(len(line.rstrip()) <= 60 for line in lines)
    assert "a-name-that-is-…" in lines[-1]
