"""Serves a network of functions and has other programs' clients ask it.

    python tools/clients/check.py PATH/OF/THEIR/python

The network answers only after a verifier has rejected samples, and keeps the form that the client's
own prompt asks for, so that a client that gets a right answer has spoken to the network.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

NETWORK = """
models: {m: {function: "rules.py:answer"}}
verifiers: {check: {function: "rules.py:right"}}
network: "9B(E@m)@check(parallel=1)"
"""
RULES = """
import re

def product(text):
    a, b = re.findall(r"(\\d+) times (\\d+)", text)[-1]
    return int(a) * int(b)

def answer(call):
    text = call.body.decode()
    said = product(text) + 3 - call.sample
    if "[[ ## answer ## ]]" in text:
        return f"[[ ## answer ## ]]\\n{said}\\n\\n[[ ## completed ## ]]"
    return str(said)

def right(question, candidate):
    return str(product(question.prompt)) in candidate.text.split()
"""


def main() -> None:
    ask = Path(__file__).with_name("ask.py")
    with tempfile.TemporaryDirectory(prefix="parkade-clients-") as folder:
        (Path(folder) / "net.yaml").write_text(NETWORK)
        (Path(folder) / "rules.py").write_text(RULES)
        serve = ["compound", "serve", "net.yaml", "--out", "out", "--port", "0", "--model", "net"]
        command = [sys.executable, "-c", "from parkade.cli import main; main()", *serve]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                found = re.search(r"http://\S+", server.stdout.readline())
                assert found is not None, "the server did not start"
                subprocess.run([sys.argv[1], str(ask), found[0]], check=True, timeout=300)
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
