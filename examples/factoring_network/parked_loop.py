"""The loop as a spot workload on a marketplace of its own, preempted in the middle.

lab submits `loop.py` on one node of two; studio bids more for both as soon as round 0 is finished,
so the loop saves and leaves, and goes on when studio is done. It prints what a loop without a
preemption prints.
"""

import json
import sys
from pathlib import Path

from demo.stage import Stage
from examples.factoring_network.marketplace import PATIENCE_S, POOL, outbid, wait_for
from parkade.client import Client


def play(folder: Path, words: list[str]) -> tuple[str, list[str]]:
    """Run the loop with these words, as JSON, with a preemption; what it printed, what happened."""
    with Stage(folder) as stage:
        stage.operator.create_pool(POOL)
        people = stage.admit("1000")
        state, out = folder / "state", folder / "out.json"
        workload = _submit(people["lab"], folder, [*words, "--state", str(state), "--json"], out)
        finished = "round 0 is finished"
        stage.until(finished, (state / "loop.npz").exists, seconds=PATIENCE_S)
        studio = outbid(people["studio"], folder)
        wait_for(stage, studio, "running")
        wait_for(stage, workload, "succeeded")
        ended = stage.operator.get_workload(workload)
        times = "once" if ended.preemptions == 1 else f"{ended.preemptions} times"
        told = [
            "lab's loop on one node at most 2.00 per GPU-hour",
            f"studio bids 9.00 for both nodes when {finished}",
            f"lab's loop {ended.phase}, preempted {times}; it paid {ended.spent}",
        ]
        return out.read_text("utf-8"), told


def _submit(lab: Client, folder: Path, words: list[str], out: Path) -> str:
    program = Path(__file__).with_name("loop.py")
    command = " ".join(json.dumps(word) for word in (sys.executable, str(program), *words))
    spec = {
        "name": "loop",
        "command": f"{command} > {out}",
        "nodes": 1,
        "limit_price": "2",
        "workdir": str(folder),
        "checkpoint": {"signal": "SIGUSR1", "needs": "6s"},
    }
    return lab.submit(spec).workload
