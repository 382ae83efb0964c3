"""The factoring network at a small size: what is drawn, what is known, and the loop."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from examples.factoring.archive import digest
from examples.factoring.model import Parameters
from examples.factoring.primes import PRIMES, all_products, split
from examples.factoring.sample import draw, draw_part, load
from examples.factoring.scoring import pair_number
from examples.factoring_network.chances import (
    at_least_one,
    exact_chances,
    likeliest_is_right,
    verified,
)
from examples.factoring_network.demo import SHIPPED
from examples.factoring_network.loop import keep_verified
from tests.examples.programs import ROOT, clean_environment

pytestmark = pytest.mark.system

HEAPS = split(all_products())


def run(
    program: str, *words: object, folder: Path, seconds: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / "factoring_network" / program), *map(str, words)],
        cwd=folder,
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        timeout=seconds,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Parameters:
    """A generator after 150 steps; trained in a process that keeps numpy to one thread."""
    folder = tmp_path_factory.mktemp("trained")
    program = str(ROOT / "examples" / "factoring" / "train.py")
    subprocess.run(
        [sys.executable, program, "--steps", "150", "--out", str(folder)],
        cwd=folder,
        env=clean_environment(),
        check=True,
        capture_output=True,
        timeout=300,
    )
    return load(folder / "weights.npz")


def test_exact_chances_are_what_drawing_finds(trained: Parameters) -> None:
    products = HEAPS.test.at(slice(10))
    chances = exact_chances(trained, products)
    one, other = draw(trained, products, 20_000, 1)
    found = verified(products, one, other).mean(axis=1)
    assert np.abs(found - chances).max() < 0.005
    assert chances.min() > 0
    assert at_least_one(chances, 1) == pytest.approx(chances.mean())


def test_a_square_has_one_order_only(trained: Parameters) -> None:
    everything = all_products()
    squares = everything.at(np.flatnonzero(everything.smaller == everything.larger)[::30])
    one, other = draw(trained, squares, 20_000, 1)
    found = verified(squares, one, other).mean(axis=1)
    assert np.abs(found - exact_chances(trained, squares)).max() < 0.005


def test_the_vote_of_many_candidates_is_right_where_the_likeliest_pair_is() -> None:
    everything, trained, seen = all_products(), load(SHIPPED), set()
    # Held-out products, and squares, whose two orders are one pair.
    squares = np.flatnonzero(everything.smaller == everything.larger)[::20]
    for products in (HEAPS.test.at(slice(80)), everything.at(squares)):
        one, other = draw(trained, products, 20_000, 3)
        pairs, answers = pair_number(one, other), pair_number(products.smaller, products.larger)
        right = likeliest_is_right(trained, products)
        for row, answer, is_right in zip(pairs, answers, right, strict=True):
            values, counts = np.unique(row, return_counts=True)
            first, second = np.sort(counts)[-1:-3:-1]
            if first - second > 5 * np.sqrt(first + second):  # five standard deviations apart
                assert (values[counts.argmax()] == answer) == is_right
                seen.add(bool(is_right))
    assert seen == {True, False}


def test_only_verified_pairs_are_kept_and_no_held_out_product_is_among_them(
    trained: Parameters,
) -> None:
    kept = keep_verified(trained, HEAPS.train.at(slice(1_000, 1_200)), samples=40, seed=1)
    assert 0 < len(kept.n) < 200
    assert (PRIMES[kept.smaller] * PRIMES[kept.larger] == kept.n).all()
    assert (kept.smaller <= kept.larger).all()
    assert not set(kept.n.tolist()) & set(HEAPS.test.n.tolist())


def test_the_verified_row_follows_the_closed_form_and_the_vote_does_not(tmp_path: Path) -> None:
    words = ("--samples", 200, "--products", 300, "--json", "--out", "out")
    done = run("demo.py", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    columns = {column["k"]: column for column in found["columns"]}
    for column in columns.values():
        low, high = column["verified"]["low"], column["verified"]["high"]
        assert low <= column["closed_form"] <= high
        assert column["alike"] >= column["closed_form"] - 1e-12
        assert column["draws"] <= column["k"] + 1e-9
    assert columns[100]["verified"]["value"] > 10 * columns[1]["verified"]["value"]
    assert columns[100]["vote"] < 0.1
    assert 10 < found["reaches_papers_share_at"] < 100


def test_the_demo_prints_the_table_and_writes_the_plot(tmp_path: Path) -> None:
    sizes = ("--train", 8, "--samples", 10, "--products", 30, "--no-marketplace")
    asked = (*sizes, "--out", tmp_path / "out")
    done = run("demo.py", *asked, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "training the generator" in done.stderr
    for row in ("generator, verified", "majority vote", "rule: a prime", "closed form"):
        assert row in done.stdout
    assert "is not reached by K = 10" in done.stdout
    assert (tmp_path / "out" / "factoring.svg").read_text().startswith("<svg")
    again = run("demo.py", *asked, folder=tmp_path)
    assert again.stderr == ""
    assert again.stdout.splitlines()[:9] == done.stdout.splitlines()[:9]


def test_candidates_drawn_part_by_part_are_those_drawn_at_once(trained: Parameters) -> None:
    products = HEAPS.test.at(slice(150))
    one, other = draw(trained, products, 30, 5)
    for part in reversed(range(3)):
        rows = slice(64 * part, 64 * part + 64)
        again = draw_part(trained, products, part, 30, 5)
        assert (again[0] == one[rows]).all()
        assert (again[1] == other[rows]).all()


def accuracy(named: Parameters) -> float:
    return at_least_one(exact_chances(named, HEAPS.test), 1)


def test_the_weights_that_come_with_it_reach_what_the_readme_says() -> None:
    chances = exact_chances(load(SHIPPED), HEAPS.test)
    assert digest(load(SHIPPED)).startswith("24a30edf")
    found = [round(100 * at_least_one(chances, k), 2) for k in (1, 17, 20, 100)]
    assert found == [2.99, 37.74, 42.37, 89.81]
    assert likeliest_is_right(load(SHIPPED), HEAPS.test).sum() == 50


@pytest.mark.slow  # up to three minutes of CPU
@pytest.mark.timeout(1_800)
def test_training_from_nothing_reaches_the_accuracy_of_the_weights_that_come_with_it(
    tmp_path: Path,
) -> None:
    words = ("--train", 30_000, "--samples", 1, "--no-marketplace", "--out", "out")
    done = run("demo.py", *words, folder=tmp_path, seconds=1_500)
    assert done.returncode == 0, done.stderr
    found = accuracy(load(tmp_path / "out" / "weights-30000" / "weights.npz"))
    assert found == pytest.approx(accuracy(load(SHIPPED)), rel=0.1)


@pytest.mark.slow  # make demo-compound shows it too
def test_on_the_marketplace_the_same_table_comes_out(tmp_path: Path) -> None:
    asked = ("--samples", 150, "--products", 150, "--out", tmp_path / "out")
    done = run("demo.py", *asked, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lab's batch: 3 shards on 2 nodes" in done.stdout
    assert "studio bids 9.00 for both nodes" in done.stdout
    assert "The same table, to the last digit" in done.stdout


def test_the_loop_keeps_verified_pairs_and_tells_its_intervals(tmp_path: Path) -> None:
    words = ("--known", 7_000, "--steps", 120, "--samples", 40, "--rounds", 2, "--products", 99)
    done = run("loop.py", *words, "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["version"] == 1
    first, second, third = found["rounds"]
    assert (first["kept"], first["gain_interval"]) == (0, [0, 0])
    assert second["kept"] > 0
    assert 0 < third["kept"] <= 722
    for each in found["rounds"]:
        low, high = each["accuracy_interval"]
        assert low < each["accuracy"] < high


LOOP = ("--known", 7_600, "--steps", 90, "--samples", 20, "--rounds", 1, "--products", 9)


def test_a_loop_that_left_on_notice_goes_on_with_the_bits_it_would_have_had(
    tmp_path: Path,
) -> None:
    whole = run("loop.py", *LOOP, "--json", folder=tmp_path)
    notice = tmp_path / "notice"
    notice.touch()
    parked = ("loop.py", *LOOP, "--json", "--state", "state")
    left = run(*parked, folder=tmp_path, PARKADE_NOTICE_FILE=str(notice))
    assert (left.returncode, left.stdout) == (85, "")
    assert "leaves at round 0, step 1" in left.stderr
    assert json.loads((tmp_path / "state" / ".parkade.json").read_text())["step"] == 1
    went_on = run(*parked, folder=tmp_path)
    assert went_on.returncode == 0, went_on.stderr
    assert went_on.stdout == whole.stdout
    again = run(*parked, folder=tmp_path)
    assert again.stdout == whole.stdout
    other = run(*parked, "--seed", "3", folder=tmp_path)
    assert other.returncode == 2
    assert "choose another --state" in other.stderr


@pytest.mark.slow  # a server, and a preemption
def test_a_preempted_loop_on_spot_prints_what_an_unbroken_one_does(tmp_path: Path) -> None:
    long = (*LOOP, "--rounds", 3, "--steps", 600, "--json")
    parked = run("loop.py", *long, "--marketplace", folder=tmp_path)
    assert parked.returncode == 0, parked.stderr
    assert parked.stdout == run("loop.py", *long, folder=tmp_path).stdout


def test_the_loop_prints_a_line_a_round(tmp_path: Path) -> None:
    words = ("--known", 7_600, "--steps", 8, "--samples", 3, "--rounds", 1, "--products", 9)
    done = run("loop.py", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("round  known   kept")
    assert [line.split()[0] for line in lines[1:]] == ["0", "1"]


README = (ROOT / "examples" / "factoring_network" / "README.md").read_text("utf-8")
SMALL = {
    "demo.py": ("--samples", "10", "--products", "20", "--no-marketplace"),
    "loop.py": (
        "--known",
        "7700",
        "--steps",
        "8",
        "--samples",
        "3",
        "--rounds",
        "1",
        "--products",
        "9",
    ),
}


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    """Smaller than it says: of an option given twice, the last counts."""
    commands = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S)
        for line in block.splitlines()
    ]
    assert len(commands) == 6
    for command in commands:
        _, program, *words = command.split()
        name = Path(program).name
        assert ROOT / program == ROOT / "examples" / "factoring_network" / name
        if "--marketplace" in words:
            continue  # a test of its own
        few = ("--train", "8") if "--train" in words else ()
        done = run(name, *words, *SMALL[name], *few, folder=tmp_path)
        assert done.returncode == 0, done.stderr
