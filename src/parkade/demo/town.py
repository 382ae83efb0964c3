"""The people and things of the demo: a pool of 128 slots, six orgs, and what each of them runs."""

import sys
from pathlib import Path
from typing import Any, NamedTuple

from parkade.wire.people import Role
from parkade.wire.pools import OpenPool
from parkade.wire.spec import WorkloadSpec

PROGRAM = Path(__file__).with_name("program.py")
FABRICS = ("a", "b", "c", "d")
NODES_OF_A_FABRIC = 4
GPUS = 8
PACE_S = 0.5
TERMS = {
    "pay_as_you_go": "12",
    "reservation_rate": "4",
    "public_floor": "8",
    "fee": "2/7",
    "notice": "15s",
    "heal_notice": "10s",
    "kill": "3s",
    "turnaround": "0s",
    "start_grace": "30s",
    "release_grace": "20s",
    "clearing_interval": "2s",
    "clearing_pause": "500ms",
    "billing_period": "300s",
    "backoff": "10s",
    "assemble": "60s",
    "buffer_nodes": 1,
    "retention": "1h",
}
ORGS: dict[str, tuple[str, Role]] = {
    "acme": ("ada", "owner"),
    "helix": ("hugo", "owner"),
    "lab": ("lena", "member"),
    "student": ("sam", "member"),
    "studio": ("stella", "member"),
    "bio": ("bruno", "member"),
}
"""By org, its user and that user's role."""

OWNERS = {"acme": (6, "5", 0), "helix": (3, "6", 1)}
"""By org, the nodes that it reserves, the floor at which it lends them, and how many it keeps."""


class Job(NamedTuple):
    """What one org runs; `limit` None: not spot."""

    org: str
    name: str
    nodes: int
    gpus: int
    seconds: int
    capacity: str = "spot"
    limit: str | None = None


GUESTS = (
    Job("lab", "pretrain-7b", 4, 8, 150, limit="9.40"),
    Job("bio", "fold-proteins", 2, 8, 110, limit="8.80"),
    Job("student", "thesis", 1, 4, 90, limit="8.20"),
    Job("lab", "ablation", 1, 8, 70, limit="9"),
    Job("bio", "screening", 2, 8, 80, limit="8.60"),
    Job("student", "homework", 1, 2, 50, limit="8.05"),
    Job("lab", "evaluate", 1, 8, 60, limit="8.90"),
    Job("bio", "embed-atlas", 3, 8, 120, limit="9.10"),
    Job("student", "seminar", 1, 1, 40, limit="8.10"),
)
RENDER = Job("studio", "render", 2, 8, 120, capacity="on-demand")
OWN = (
    Job("helix", "nightly", 1, 8, 100, capacity="reservation/helix"),
    Job("acme", "fine-tune", 2, 8, 90, capacity="reservation/acme"),
    Job("acme", "release-candidate", 3, 8, 70, capacity="reservation/acme"),
)
HOPEFUL = Job("student", "too-cheap", 2, 8, 60, limit="7.20")


def pool() -> OpenPool:
    """Sixteen nodes of eight slots in four fabrics, run by this machine."""
    kind: dict[str, Any] = {
        "name": "slots-8",
        "gpu_model": "slot",
        "gpus_per_node": GPUS,
        "memory_gib": 16,
        "cpus": GPUS,
    }
    fabrics = {
        fabric: [f"{fabric}{number}" for number in range(1, NODES_OF_A_FABRIC + 1)]
        for fabric in FABRICS
    }
    return OpenPool.model_validate(
        {
            "pool": "parkade",
            "site": "local",
            "instance_type": kind,
            "fabrics": fabrics,
            "terms": TERMS,
        }
    )


def spec(job: Job, workdir: Path) -> WorkloadSpec:
    """The workload as its user writes it."""
    steps = int(job.seconds / PACE_S)
    made: dict[str, Any] = {
        "name": job.name,
        "command": f"{sys.executable} -S {PROGRAM} {steps} {PACE_S}",
        "workdir": str(workdir),
        "nodes": job.nodes,
        "gpus": job.gpus,
        "capacity": job.capacity,
        "checkpoint": {"signal": "SIGTERM", "needs": "8s"},
        "max_duration": f"{job.seconds * 4}s",
    }
    if job.limit is not None:
        made["limit_price"] = job.limit
    return WorkloadSpec.model_validate(made)
