"""What the environment tells a process about its seat: the whole contract, parsed once.

Each variable has a default, so that the program also runs alone and by hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Seat:
    """One rank of one attempt; one process runs on a node, so a rank is its node's rank."""

    rank: int
    ranks: int
    attempt: str
    address: str
    port: int
    checkpoint_folder: Path
    devices: str

    @property
    def is_first(self) -> bool:
        """Rank 0 leads: it sums gradients, keeps the checkpoints and writes the result."""
        return self.rank == 0


def read_seat(environment: Mapping[str, str]) -> Seat:
    """The seat the environment describes; ValueError if it describes none."""
    rank = int(environment.get("PARKADE_NODE_RANK", "0"))
    ranks = int(environment.get("PARKADE_NODES", "1"))
    if not 0 <= rank < ranks:
        raise ValueError(f"PARKADE_NODE_RANK={rank} is not a rank of PARKADE_NODES={ranks}")
    return Seat(
        rank=rank,
        ranks=ranks,
        attempt=environment.get("PARKADE_ATTEMPT", "none"),
        address=environment.get("MASTER_ADDR", "127.0.0.1"),
        port=int(environment.get("MASTER_PORT", "29500")),
        checkpoint_folder=Path(environment.get("PARKADE_CHECKPOINT_DIR", "checkpoints")),
        devices=environment.get("CUDA_VISIBLE_DEVICES", "none given"),
    )
