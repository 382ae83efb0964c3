"""The program that people run in the demo: it counts steps, saves, and goes on where it was.

It trains nothing. It answers a notice as a trainer does: at SIGTERM it saves and exits with 85.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

SAVED = 85
SAVING_S = 7.0
"""A checkpoint of a large model takes its time; here it is only waited."""
REPORT = ".parkade.json"


def main(steps: int, pace_s: float) -> int:
    """Counts to `steps`, one in `pace_s`, from the last saved one on."""
    folder = Path(os.environ["PARKADE_CHECKPOINT_DIR"])
    is_first = os.environ.get("PARKADE_NODE_RANK", "0") == "0"
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    step = _saved(folder)
    _say(f"rank {os.environ.get('PARKADE_NODE_RANK')} begins at step {step}")
    while step < steps:
        time.sleep(pace_s)
        step += 1
        if step % 10 == 0:
            _say(f"step {step} of {steps}, loss {3 / (1 + step / 40):.3f}")
        if is_first and (step % 20 == 0 or heard):
            _save(folder, step)
        if heard:
            time.sleep(SAVING_S)
            _say(f"told to leave: saved at step {step}")
            return SAVED
    _say("done")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _saved(folder: Path) -> int:
    try:
        return int(json.loads((folder / REPORT).read_text())["step"])
    except (OSError, ValueError, KeyError):
        return 0


def _save(folder: Path, step: int) -> None:
    """One rename, as a checkpoint is reported."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f"{REPORT}.new"
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    beside.write_text(json.dumps({"step": step, "at": at}))
    beside.replace(folder / REPORT)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
