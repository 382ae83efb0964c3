"""The programs around other clients say what they leave out, and measure what is there."""

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.docs.pages import ROOT


def printed(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_clients_that_are_not_installed_are_left_out_and_said_so() -> None:
    if any(map(find_spec, ("dspy", "inspect_ai", "litellm", "langchain_openai"))):
        pytest.skip("they are installed here")
    lines = printed("tools/clients/ask.py", "http://127.0.0.1:9/v1").splitlines()
    names = ("DSPy", "Inspect", "LiteLLM", "LangChain")
    assert [line.split(",")[0] for line in lines] == [f"{name}: left out" for name in names]


@pytest.mark.slow
def test_clients_are_measured_beside_ours_and_absent_ones_left_out() -> None:
    told = printed(
        "benchmarks/compound_peers.py", sys.executable, "--calls", "32", "--connections", "2"
    )
    for client in ("ours", r"openai [\d.]+", r"httpx [\d.]+"):
        assert re.search(rf"^{client} +[\d,]+ +[\d,]+ +[\d,]+ +[\d,]+$", told, re.M), told
    if not find_spec("dspy"):
        assert re.search(r"^dspy +left out: not installed$", told, re.M)
