"""`make demo-compound`: verified best of K on products that the generator never saw.

It loads the generator that comes with it (`weights.npz`, written by `examples/factoring/train.py`),
draws 1,000 candidates of each held-out product, and prints the table. Then the same batch is a
workload on a marketplace of its own (`marketplace`), is preempted in the middle, and the same table
comes out. `--train` trains a generator first. numpy and Parkade are all it needs; connections stay
on this machine.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec

from examples.factoring.archive import Unreadable
from examples.factoring.arguments import whole
from examples.factoring.model import Parameters
from examples.factoring.primes import Products, all_products, split
from examples.factoring.sample import load
from examples.factoring_network.marketplace import play
from examples.factoring_network.table import PAPERS_SHARE, Found, chart, judge, measure, show
from parkade.compound.plots.svg import svg

ROOT = Path(__file__).resolve().parents[2]
KS = (1, 3, 10, 20, 30, 100, 300, 1_000)
#: Trained for 30,000 steps with the seed 1; the README says how to make it again.
SHIPPED = Path(__file__).with_name("weights.npz")


def weights(folder: Path, steps: int | None) -> tuple[Path, Parameters]:
    """The weights that come with it, or those of so many steps, trained if the folder has none.

    A killed training goes on from its last checkpoint.
    """
    if steps is None:
        return SHIPPED, load(SHIPPED)
    path = folder / f"weights-{steps}" / "weights.npz"
    try:
        return path, load(path)
    except FileNotFoundError:
        print(f"training the generator for {steps} steps…", file=sys.stderr, flush=True)
    except Unreadable as error:
        print(f"{error}; training anew", file=sys.stderr, flush=True)
    train = ROOT / "examples" / "factoring" / "train.py"
    environment = os.environ | {"PARKADE_CHECKPOINT_DIR": str(path.parent / "checkpoints")}
    subprocess.run(
        [sys.executable, str(train), "--steps", str(steps), "--out", str(path.parent)],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return path, load(path)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        description="Verified best of K candidates on products that were never trained on.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = result.add_argument
    add("--out", type=Path, default=Path("build/factoring"), help="plot, and what is trained")
    add("--train", type=whole(1, 10**6), metavar="STEPS", help="train a generator first")
    add("--samples", type=whole(1, 10**5), default=1_000, help="candidates a product")
    add("--products", type=whole(1, 1_544), default=1_544, help="of those held out")
    add("--seed", type=whole(0, 2**31), default=1, help="of the draws")
    add("--no-marketplace", action="store_true", help="only the table")
    add("--json", action="store_true", help="print JSON instead of a table")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Load or train, draw, check, print and plot; the exit status."""
    asked = parser().parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    source, named = weights(asked.out, asked.train)
    products = split(all_products()).test.at(slice(asked.products))
    ks = [k for k in KS if k <= asked.samples]
    began = time.process_time()
    found = measure(named, products, ks, samples=asked.samples, seed=asked.seed)
    path = asked.out / "factoring.svg"
    path.write_text(svg(chart(found)), "utf-8")
    if asked.json:
        print(msgspec.json.encode({"version": 1, **found._asdict()}).decode())
        return 0
    print(show(found))
    share, least = 100 * PAPERS_SHARE, found.reaches_papers_share_at
    reached = f"is reached at K = {least}" if least else f"is not reached by K = {asked.samples}"
    print(f"{share:.1f} %, the figure of Networks of Networks (arXiv 2407.16831), {reached}.")
    print(
        f"{len(products.n)} products × {asked.samples} candidates in"
        f" {time.process_time() - began:.1f} CPU-s; plot: {path}."
        " A workload, not a factoring method: the rule needs no learning and is better."
    )
    if not asked.no_marketplace:
        on_the_marketplace(asked, source, products, found)
    return 0


def on_the_marketplace(
    asked: argparse.Namespace, source: Path, products: Products, expected: Found
) -> None:
    """The same batch as a preempted workload; the same table, or an error."""
    print("\nThe same batch on a marketplace, preempted in the middle:", flush=True)
    began = time.monotonic()
    environment = {
        "FACTORING_WEIGHTS": str(source.resolve()),
        "FACTORING_PRODUCTS": str(asked.products),
        "FACTORING_SAMPLES": str(asked.samples),
        "FACTORING_SEED": str(asked.seed),
    }
    with tempfile.TemporaryDirectory(prefix="parkade-demo-") as folder:
        drawn, told = play(Path(folder), products, environment)
    print("\n".join(f"  {line}" for line in told))
    ks = [column.k for column in expected.columns]
    found = judge(load(source), products, ks, drawn)
    print(show(found))
    if found != expected:
        raise SystemExit("the table of the workload is not the table of the run before")
    print(f"The same table, to the last digit, in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    sys.exit(main())
