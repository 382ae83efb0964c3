"""Checks that are not wanted any more end with their run."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from parkade.compound.network import BestOf, Generate
from parkade.compound.run.running import run_async
from parkade.compound.verify.command import CommandVerifier
from tests.compound.building import answering, ask, names

#: Accepts the second candidate, and never ends for another.
PROGRAM = """
import json, sys, time
asked = json.loads(sys.stdin.readline())
while asked["candidate"]["text"] != "1":
    time.sleep(1)
"""


def test_a_command_that_another_candidate_made_needless_is_ended_before_the_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = CommandVerifier([sys.executable, "-c", PROGRAM], at_once=4)
    network = BestOf(Generate("m"), k=3, verify=command, parallel=3)
    known = names({"m": answering(lambda call: str(call.sample))})
    with asyncio.Runner() as runner:
        summary = runner.run(run_async(network, [ask(1)], names=known, out=tmp_path))
        assert summary.accepted == 1
        # Ended and waited for: not even a zombie is left.
        assert psutil.Process().children() == []
    assert capfd.readouterr().err == ""
