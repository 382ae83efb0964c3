"""How a program is asked to save, for each way in which a spec may say it."""

from typing import get_args

import msgspec
import pytest

from parkade.core.workloads.saving import (
    PRESETS,
    CheckpointTerms,
    ExitZero,
    SaveRequest,
    exit_zero_means,
    save_request,
)
from parkade.wire.spec import Preset

TERM = ("SIGTERM",)


def terms(**given: str) -> CheckpointTerms:
    return msgspec.convert({"signal": None, "needs_us": None} | given, CheckpointTerms)


@pytest.mark.parametrize(
    ("given", "signals"),
    [
        (None, TERM),
        (terms(signal="auto"), TERM),
        (terms(signal="none"), ()),
        (terms(signal="SIGUSR1"), ("SIGUSR1",)),
        (terms(preset="torch"), ()),
        (terms(preset="hf"), TERM),
        (terms(preset="lightning"), TERM),
        (terms(preset="automodel"), TERM),
        (terms(preset="megatron"), TERM),
        (terms(preset="nemo2"), TERM),
        (terms(preset="jax"), TERM),
        (terms(preset="axolotl"), ()),
        (terms(preset="slurm"), ("SIGUSR2", "SIGUSR1")),
        (terms(preset="ray"), ()),
        (terms(preset="server"), TERM),
        (terms(preset="batch"), ("SIGINT",)),
        (terms(command="./save.sh"), ()),
    ],
)
def test_each_way_of_asking_has_its_signals(
    given: CheckpointTerms | None, signals: tuple[str, ...]
) -> None:
    assert save_request(given).signals == signals


def test_a_command_is_run_as_it_was_written() -> None:
    assert save_request(terms(command="./save.sh x")) == SaveRequest(
        signals=(), command="./save.sh x"
    )


def test_axolotl_finds_its_trigger_file_in_the_checkpoint_folder() -> None:
    command = save_request(terms(preset="axolotl")).command
    assert command is not None
    assert '"$PARKADE_CHECKPOINT_DIR/.axolotl_save_checkpoint"' in command


def test_zero_is_done_for_ray_alone_unless_the_spec_says_otherwise() -> None:
    done = [name for name in PRESETS if exit_zero_means(terms(preset=name)) is ExitZero.DONE]
    assert done == ["ray"]
    assert exit_zero_means(terms(signal="auto", exit_zero="done")) is ExitZero.DONE
    assert exit_zero_means(terms(preset="ray", exit_zero="saved")) is ExitZero.SAVED
    assert exit_zero_means(None) is ExitZero.SAVED


def test_the_wire_has_a_word_for_each_preset() -> None:
    assert get_args(Preset) == tuple(PRESETS)


def test_terms_of_before_there_were_presets_are_read() -> None:
    old = msgspec.json.decode(b'{"signal":"SIGUSR1","needs_us":60000000}', type=CheckpointTerms)
    assert old == CheckpointTerms(signal="SIGUSR1", needs_us=60_000_000)
