"""Train the generator: `python examples/factoring/train.py --help`.

It reads its seat from the environment (`seat.py`), listens for notice before it loads anything,
and keeps its arithmetic on one thread: gentle to its neighbours, and the same bits every time.
Exit status: 0 done, 85 saved on notice, 1 the gang broke, 2 wrong settings.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["VECLIB_MAXIMUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.factoring.arguments import amount, whole
from examples.factoring.notice import Notice
from examples.factoring.seat import read_seat

FULL_STEPS = 30_000


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        description="Learn to guess the two three-digit primes of a product (a workload to show).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    many = whole(1, 10**9)
    add = result.add_argument
    add("--steps", type=many, default=FULL_STEPS, help="length of the whole run")
    add("--batch", type=whole(1, 7_722), default=256, help="rows a step, over all ranks")
    add("--rate", type=amount, default=0.04, help="highest learning rate")
    add("--decay", type=amount, default=0.04, help="weight decay of the layers that guess p")
    add("--seed", type=whole(0, 2**31), default=1, help="decides first weights and order of rows")
    add("--out", type=Path, default=Path(), help="folder for weights.npz")
    add("--checkpoint-every", type=many, default=500, metavar="STEPS", help="steps between saves")
    add("--print-every", type=whole(0, 10**9), default=0, metavar="STEPS", help="0: 20 lines a run")
    add("--pace", type=amount, default=0.0, metavar="SECONDS", help="least wall time of a step")
    add("--join-timeout", type=amount, default=60.0, metavar="SECONDS", help="for ranks to meet")
    add("--peer-timeout", type=amount, default=60.0, metavar="SECONDS", help="of a rank's silence")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Listen for notice, read what is asked, and train; the exit status."""
    notice = Notice.listen(os.environ)
    asked = parser().parse_args(arguments)
    try:
        seat = read_seat(os.environ)
    except ValueError as error:
        print(f"wrong environment: {error}", file=sys.stderr)
        return 2
    print(
        f"rank {seat.rank} of {seat.ranks}, attempt {seat.attempt}, pid {os.getpid()},"
        f" CUDA_VISIBLE_DEVICES {seat.devices} (this program computes on the CPU)",
        flush=True,
    )
    # Loads numpy, which takes a while: from here on a notice is heard.
    from examples.factoring.training import Plan, run

    plan = Plan(
        steps=asked.steps,
        batch=asked.batch,
        rate=asked.rate,
        decay=asked.decay,
        seed=asked.seed,
        out=asked.out,
        checkpoint_every=asked.checkpoint_every,
        print_every=asked.print_every or max(1, asked.steps // 20),
        pace_seconds=asked.pace,
        join_seconds=asked.join_timeout,
        silence_seconds=asked.peer_timeout,
    )
    return run(plan, seat, notice)


if __name__ == "__main__":
    sys.exit(main())
