"""Every command in the example's README runs, with fewer steps, and exits as the README says."""

import re
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.examples.programs import ROOT, clean_environment, free_port, running

README = (ROOT / "examples" / "factoring" / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

SHORTER = (
    (r"--steps \d+", "--steps 8"),
    (r"sample\.py (\S+)", r"sample.py \1 --products 20"),
    (r"-s USR1 10 ", "-s USR1 1.5 "),
    (r"--pace \S+", "--pace 3600"),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that looks like the root of the repository, with this Python as `python`."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return tmp_path


def shorter(block: str) -> str:
    for pattern, replacement in SHORTER:
        block = re.sub(pattern, replacement, block)
    return block


def statuses(blocks: list[str], root: Path) -> list[int]:
    """Run the blocks at once, each in a shell of its own that stops at its first failure."""
    path = f"{root / 'bin'}:{clean_environment()['PATH']}"
    with ExitStack() as stack:
        shells = [
            stack.enter_context(running("bash", "-ec", block, folder=root, PATH=path))
            for block in blocks
        ]
        found = [shell.finish() for shell in shells]
        assert not any("Traceback" in shell.output for shell in shells)
    return found


def test_the_blocks_of_commands_are_known() -> None:
    assert [block.startswith("# shell") for block in BLOCKS] == [False, False, True, True]


def test_a_run_alone_and_its_table(root: Path) -> None:
    assert statuses([shorter(BLOCKS[0])], root) == [0]
    assert (root / "run" / "weights.npz").exists()


def test_a_run_given_notice_and_run_again(root: Path) -> None:
    interrupted, again = BLOCKS[1].splitlines()
    assert interrupted.endswith("# exits 85")
    assert statuses([shorter(interrupted)], root) == [85]
    assert statuses([shorter(again)], root) == [0]
    assert (root / "weights.npz").exists()


def test_a_gang_in_two_shells(root: Path) -> None:
    port = f"MASTER_PORT={free_port()}"
    shells = [re.sub(r"MASTER_PORT=\d+", port, shorter(block)) for block in BLOCKS[2:]]
    assert statuses(shells, root) == [0, 0]
    assert (root / "gang" / "weights.npz").exists()
