"""How a program is asked to save at a notice, and what its exit 0 then means.

A workload names a preset, a signal or a command (`CheckpointTerms`); this module resolves it into
what an engine does at the notice (`SaveRequest`). The surprising rule: a signal is sent only to a
program that has a handler for it, because an unhandled signal ends the program at once and throws
the notice away. What each preset stands for, and why, is in docs/programs.md and decision record
40.
"""

import enum

import msgspec

from parkade.core.workloads.save_commands import AXOLOTL_SAVE, RAY_DRAIN

EXIT_SAVED = 85
"""The exit code with which a program says: I saved what I had, run me again."""

EXIT_FOR_GOOD = 78
"""The exit code with which a program says: another try would fail as well (`EX_CONFIG` of
sysexits.h)."""


class ExitZero(enum.StrEnum):
    """What exit 0 means after our signal, during a notice."""

    SAVED = "saved"
    DONE = "done"


class SaveRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an engine does at the notice, once for each rank; nothing where both are empty."""

    signals: tuple[str, ...]
    """The first of these that a trainer process has a handler for is sent to it, once."""

    command: str | None
    """A line for the shell, run beside the rank as its user in its environment."""

    ends: bool = False
    """Whether the program goes on after it saved: once the command has ended with 0 beside each
    rank, TERM does not wait for the deadline."""


AUTO, NONE = "auto", "none"
"""Words for a signal: SIGTERM, and no signal at all."""


class Preset(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of a kind of program."""

    request: SaveRequest
    exit_zero: ExitZero


NO_REQUEST = SaveRequest(signals=(), command=None)
TERM_REQUEST = SaveRequest(signals=("SIGTERM",), command=None)


def _preset(request: SaveRequest, exit_zero: ExitZero = ExitZero.SAVED) -> Preset:
    return Preset(request=request, exit_zero=exit_zero)


PRESETS: dict[str, Preset] = {
    "torch": _preset(NO_REQUEST),
    "hf": _preset(TERM_REQUEST),
    "lightning": _preset(TERM_REQUEST),
    "automodel": _preset(TERM_REQUEST),
    "megatron": _preset(TERM_REQUEST),
    "nemo2": _preset(TERM_REQUEST),
    "jax": _preset(TERM_REQUEST),
    "axolotl": _preset(SaveRequest(signals=(), command=AXOLOTL_SAVE, ends=True)),
    "slurm": _preset(SaveRequest(signals=("SIGUSR2", "SIGUSR1"), command=None)),
    "ray": _preset(SaveRequest(signals=(), command=RAY_DRAIN), ExitZero.DONE),
    "server": _preset(TERM_REQUEST),
    "batch": _preset(SaveRequest(signals=("SIGINT",), command=None)),
}


class CheckpointTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a program is asked to save when it must leave: by exactly one of `signal`, `preset` and
    `command`."""

    signal: str | None
    """Sent at the notice: `auto`, `none`, or a name such as `SIGUSR1`."""

    needs_us: int | None
    """How long it needs to save; at most the market's notice. None: not said."""

    preset: str | None = None
    """A key of PRESETS. None in journals of before there were presets."""

    command: str | None = None
    """A line for the shell that asks the program to save. None in older journals."""

    exit_zero: ExitZero | None = None
    """What exit 0 means after our signal; None: what the preset says, else saved."""


def save_request(terms: CheckpointTerms | None) -> SaveRequest:
    """What the engine does at the notice; a workload that says nothing is asked by `auto`."""
    if terms is None:
        return TERM_REQUEST
    assert sum(it is not None for it in (terms.signal, terms.preset, terms.command)) == 1
    if terms.preset is not None:
        return PRESETS[terms.preset].request
    if terms.command is not None:
        return SaveRequest(signals=(), command=terms.command)
    assert terms.signal is not None
    if terms.signal == AUTO:
        return TERM_REQUEST
    signals = () if terms.signal == NONE else (terms.signal,)
    return SaveRequest(signals=signals, command=None)


def exit_zero_means(terms: CheckpointTerms | None) -> ExitZero:
    """What exit 0 means where our signal was sent during a notice."""
    if terms is None:
        return ExitZero.SAVED
    if terms.exit_zero is not None:
        return terms.exit_zero
    return ExitZero.SAVED if terms.preset is None else PRESETS[terms.preset].exit_zero
