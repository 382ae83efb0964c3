"""Finds real data that is not part of the project; a test skips where it is absent."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def shared_data(name: str) -> Path:
    """The path of a file of the shared data; skips the test where there is none."""
    told = os.environ.get("PARKADE_SHARED_DATA")
    folders = (
        [Path(told)] if told else [ROOT.parent / "shared/data", ROOT.parents[1] / "shared/data"]
    )
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    pytest.skip(f"{name} is not here; set PARKADE_SHARED_DATA to the folder that has it")
