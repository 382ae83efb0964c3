"""Verdicts: how bad it is, what to do, why, and on what evidence.

A verdict's action is what is done to the node or the device. What is done for the work that runs
there follows from the level: *degraded* work is moved with notice, *fatal* work resumes from its
last checkpoint, *info* and *warn* move nothing.
"""

import enum

import msgspec

from parkade.core.healing.symptom import Evidence, Source


class Level(enum.StrEnum):
    """From nothing to do, to gone. Never renamed: it is in files, metrics and exit codes."""

    INFO = "info"
    WARN = "warn"
    DEGRADED = "degraded"
    FATAL = "fatal"

    @property
    def rank(self) -> int:
        """0 for info to 3 for fatal."""
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Level)}


class Action(enum.StrEnum):
    """What is done to the node or device."""

    NONE = "none"
    CHECK_APP = "check_app"
    RESTART_APP = "restart_app"
    UPDATE_SOFTWARE = "update_software"
    CONTACT_SUPPORT = "contact_support"
    INSPECT = "inspect"
    RESET_AT_IDLE = "reset_at_idle"
    DRAIN_AND_RESET = "drain_and_reset"
    RESET_GPU = "reset_gpu"
    RESET_FABRIC = "reset_fabric"
    RESTART_VM = "restart_vm"
    REBOOT = "reboot"
    DIAGNOSE = "diagnose"
    RMA = "rma"


class Scope(enum.StrEnum):
    """What leaves service by a degraded or fatal verdict."""

    DEVICE = "device"
    NODE = "node"


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`supersedes` is an earlier verdict on the same burst that this one raises; `since_us` is the
    first symptom, `at_us` the decision, `count` the symptoms since the burst began.

    `evidence` holds the first and the last line; `policy` names the table and its version.
    """

    verdict: str
    supersedes: str | None
    node: str
    device: str | None
    scope: Scope
    signal: str
    level: Level
    action: Action
    reasons: tuple[str, ...]
    count: int
    jobs: tuple[str, ...]
    since_us: int
    at_us: int
    sources: tuple[Source, ...]
    evidence: tuple[Evidence, ...]
    policy: str


def worst(verdicts: tuple[Verdict, ...]) -> Level | None:
    """The highest level, None without verdicts."""
    return max((verdict.level for verdict in verdicts), key=lambda level: level.rank, default=None)
