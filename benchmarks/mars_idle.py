"""What `parkade mars run` costs while nothing happens: share of a core, and memory.

    python benchmarks/mars_idle.py [SECONDS]

This machine alone is watched with every sensor it has, each 15 s. Children are counted.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

SETTLE_S = 10
FILE = "format: 1\nlisten: 127.0.0.1:0\nnodes: [{node: n1, local: true}]\n"
MAIN = "from parkade.cli import main; main()"


def cpu_seconds(program: psutil.Process) -> float:
    """Of the program and of its children that have ended."""
    spent = program.cpu_times()
    return float(spent.user + spent.system + spent.children_user + spent.children_system)


def main() -> None:
    """Prints both figures."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.yaml"
        file.write_text(FILE)
        words = [sys.executable, "-c", MAIN, "mars", "run", "--config", str(file)]
        with Path(os.devnull).open("wb") as nowhere:
            child = subprocess.Popen(words, stdout=nowhere, stderr=nowhere)
        try:
            time.sleep(SETTLE_S)
            program = psutil.Process(child.pid)
            before = cpu_seconds(program)
            time.sleep(seconds)
            share = (cpu_seconds(program) - before) / seconds * 100
            memory = program.memory_info().rss / 1_048_576
        finally:
            child.terminate()
            child.wait()
    print(f"{share:.2f} % of a core, {memory:.0f} MiB")


if __name__ == "__main__":
    main()
