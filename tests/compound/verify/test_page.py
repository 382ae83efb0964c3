"""What the page on verifying code shows is what happens."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from parkade.compound.verify.sandbox.errors import ACCEPTANCE
from parkade.compound.verify.sandbox.limits import Limits
from parkade.compound.verify.sandbox.pool import Sandbox
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/compound/verify-code-safely.md").read_text("utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PRINTED = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_first_program_prints_what_the_page_shows() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS[0]], capture_output=True, text=True, timeout=110, check=True
    )
    shown = [line.rstrip() for line in PRINTED[0].splitlines()]
    assert [line.rstrip() for line in done.stdout.splitlines()] == shown


@pytest.mark.parametrize("program", PROGRAMS[1:])
def test_the_other_programs_run(program: str, tmp_path: Path) -> None:
    space: dict[str, Any] = {"Sandbox": Sandbox}
    # A function's version follows from its source, which is read from its file.
    file = tmp_path / "page.py"
    file.write_text(program)
    exec(compile(program, str(file), "exec"), space)
    assert len(space) > 1


def test_the_defaults_are_those_of_the_page() -> None:
    limits = Limits()
    shown = (
        f"| `wall_us` | {limits.wall_us // 10**6} s |",
        f"| `cpu_seconds` | {limits.cpu_seconds} s for each process |",
        f"| `memory_bytes` | {limits.memory_bytes >> 20} MiB for each process |",
        f"| `processes` | {limits.processes}, threads included |",
        f"| `open_files` | {limits.open_files} |",
        f"| `file_bytes`, `files` | {limits.file_bytes >> 20} MiB, {limits.files} files |",
        f"| `output_bytes` | {limits.output_bytes >> 20} MiB |",
    )
    assert [row for row in shown if row not in PAGE] == []
    assert ACCEPTANCE in PAGE
