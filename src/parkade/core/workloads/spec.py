"""What someone wants run, as the core sees it: checked, whole, with every unit in its name.

The user's YAML is checked by `wire`; this is the value it becomes. It is written for ever in the
journal, so `env` is public and secrets stay in `env_file`, which only the node reads.
"""

import enum

import msgspec


class Interconnect(enum.StrEnum):
    """Whether a gang stays in one fabric."""

    FABRIC = "fabric"
    ANY = "any"


class CapacityKind(enum.StrEnum):
    """Whose capacity a workload may use."""

    RESERVATION = "reservation"
    ON_DEMAND = "on-demand"
    SPOT = "spot"


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `capacity`; `reservation` names it where the kind is RESERVATION."""

    kind: CapacityKind
    reservation: str | None = None

    def __str__(self) -> str:
        return f"reservation/{self.reservation}" if self.reservation else self.kind.value


class CheckpointTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The signal a program wants on notice (`SIGUSR1`), and how long it needs to save."""

    signal: str
    needs_us: int


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """A workload as submitted. `limit_price_micros` is per GPU-hour and set only for spot."""

    name: str
    command: str
    workdir: str
    env: tuple[tuple[str, str], ...]
    env_file: str | None
    storage: tuple[str, ...]
    nodes: int
    gpus: int
    instance_type: str | None
    interconnect: Interconnect
    capacity: Capacity
    limit_price_micros: int | None
    max_spend_micros: int | None
    checkpoint: CheckpointTerms | None
    priority: int
    retry_failures: int
    max_duration_us: int | None

    @property
    def total_gpus(self) -> int:
        """GPUs of all nodes together."""
        return self.nodes * self.gpus
