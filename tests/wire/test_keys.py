"""The page of keys names each key once, and what it shows can be submitted."""

from pathlib import Path

import pytest

from parkade.wire.keys import CHECKPOINT, KEYS, page
from parkade.wire.spec import CheckpointTerms, WorkloadSpec
from parkade.wire.yaml import parse

PAGE = Path(__file__).parents[2] / "docs" / "workload.md"
# What a key needs beside it.
BESIDE = {
    "resize": "nodes: {min: 2, max: 16}\n",
    "duration": "fallback: on-demand\ndeadline: +52h\n",
    "fallback": "duration: 48h\ndeadline: +52h\n",
    "deadline": "fallback: on-demand\nduration: 48h\n",
}
BESIDE_SIGNAL = {"needs": "signal: auto", "exit_zero": "signal: auto"}


def test_the_published_page_is_the_one_of_this_version() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m parkade.wire.keys > docs/workload.md"


def test_each_key_has_a_row() -> None:
    assert list(KEYS) == list(WorkloadSpec.model_fields)
    assert set(CHECKPOINT) == set(CheckpointTerms.model_fields)


@pytest.mark.parametrize("name", KEYS)
def test_the_example_of_a_key_can_be_submitted(name: str) -> None:
    lines = {"name": "a", "command": "b", "limit_price": "2.50"}
    if name == "capacity":
        del lines["limit_price"]
    lines[name] = KEYS[name].example
    text = "".join(f"{key}: {value}\n" for key, value in lines.items())
    spec = parse(text + BESIDE.get(name, ""), WorkloadSpec)
    default = WorkloadSpec.model_fields[name].get_default(call_default_factory=True)
    assert getattr(spec, name) != default, "an example shows something else than the default"


@pytest.mark.parametrize("name", CHECKPOINT)
def test_the_example_of_a_checkpoints_key_can_be_submitted(name: str) -> None:
    words = f"{name}: {CHECKPOINT[name].example}"
    words += f", {BESIDE_SIGNAL[name]}" if name in BESIDE_SIGNAL else ""
    text = f"name: a\ncommand: b\nlimit_price: 2.50\ncheckpoint: {{{words}}}\n"
    spec = parse(text, WorkloadSpec)
    assert spec.checkpoint is not None and getattr(spec.checkpoint, name) is not None
