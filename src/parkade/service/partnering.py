"""Proposes how a partner's cluster lends its buffer: files to read, and to run once they are right.

The pool is the nodes that the partner marks, and no other. All of them are one open-ended
reservation of the partner's org, which costs nothing and is lent at the partner's floor: what
guests pay above it is shared as with any owner, on one statement. The pool is a market of its own,
with the shorter notice as its notice, because a guest on a buffer must be gone as fast as one that
makes room for a broken gang. Any job of the partner's cluster that waits for nodes takes
them back, and so does a failed node of its other ones. Guests run in an account of their own, as in
`joining`: in the partner's they would use up its limits.

Example: a cluster of n1-n6, of which n5 and n6 are marked: the pool `far` of two nodes, the org
`acme` with the user `acme-partner`, `owners=user:*=acme` and `stands_in=n1,n2,n3,n4=acme`.
"""

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import yaml

from parkade.engines.slurm.admitting import named
from parkade.engines.slurm.finding import Found, FoundNode
from parkade.service.admission import ADMISSION, Admission, admits_by
from parkade.service.joining import BEGIN, HEAD, TERMS, Proposal, safe


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner says: `marked` nodes, the `floor` it receives per GPU-hour at least, the
    `notice` in which it has them back."""

    org: str
    marked: frozenset[str]
    floor: str
    notice: str


def propose_buffer(
    found: Found, offer: Offer, *, pool: str, site: str, admission: Admission = ADMISSION
) -> Proposal:
    """ValueError where what is marked cannot be one pool."""
    nodes = [node for node in found.nodes if node.name in offer.marked]
    if strange := sorted(offer.marked - {node.name for node in nodes}):
        raise ValueError(f"{strange[0]} is no node with GPUs of this cluster")
    if not nodes:
        raise ValueError("no node is marked")
    kinds = {(node.model, node.gpus, node.cpus, node.memory_mb) for node in nodes}
    if len(kinds) != 1:
        raise ValueError("the marked nodes are of several kinds; lend each kind as a pool")
    rest = [node.name for node in found.nodes if node.name not in offer.marked]
    body = _pool(nodes, offer, pool=pool, site=site)
    admits = tuple(admits_by(found, admission))
    options = [*_options(offer, rest), *([f"account={admission.account}"] if admits else [])]
    script = _script(offer, pool, len(nodes), admits, options)
    outside = f"not in the group {admission.group}: {named(admission.outside or ())}"
    return Proposal(
        files={
            "pool.yaml": HEAD + yaml.safe_dump(body, sort_keys=False),
            "join.sh": "\n".join([*script, ""]),
        },
        says=(
            f"{len(nodes)} nodes are lent: {', '.join(sorted(offer.marked))}",
            f"{len(rest)} nodes stay yours; where one fails, a lent one stands in",
            "any job of your cluster that waits for nodes takes them back",
            *((outside,) if admission.outside else ()),
        ),
    )


def _pool(nodes: Sequence[FoundNode], offer: Offer, *, pool: str, site: str) -> dict[str, Any]:
    first = nodes[0]
    fabrics: dict[str, list[str]] = {}
    for node in nodes:
        fabrics.setdefault(safe(node.switch) if node.switch else "all", []).append(node.name)
    return {
        "pool": pool,
        "site": site,
        "engine": "slurm",
        "supplier": offer.org,
        "market": pool,
        "instance_type": {
            "name": safe(f"{first.model}-{first.gpus}"),
            "gpu_model": first.model,
            "gpus_per_node": first.gpus,
            "memory_gib": max(1, first.memory_mb // 1024),
            "cpus": first.cpus,
        },
        "fabrics": fabrics,
        "terms": {
            **TERMS,
            "reservation_rate": "0",
            "payout_cap": None,
            "buffer_nodes": 0,
            "notice": offer.notice,
            "heal_notice": offer.notice,
        },
    }


def _options(offer: Offer, rest: Sequence[str]) -> Iterator[str]:
    """Of the agent: any job is the partner's, and a lent node stands in for each of `rest`."""
    yield f"owners=user:*={offer.org}"
    if rest:
        yield f"stands_in={','.join(rest)}={offer.org}"


def _script(
    offer: Offer, pool: str, lent: int, admits: Sequence[str], options: Sequence[str]
) -> Iterator[str]:
    org = offer.org
    given = " ".join(f"--engine-option {shlex.quote(option)}" for option in options)
    yield from BEGIN
    yield "# Read it first. An operator of the marketplace runs it; the partner runs the agent."
    yield 'cd "$(dirname "$0")"'
    yield f"parkade org create {org}"
    yield f"parkade user create {org}-partner --org {org} --role partner"
    yield "parkade pool create -f pool.yaml"
    yield f"parkade pool agent-token {pool} --out agent.token"
    yield from admits
    yield "# Then, beside the partner's Slurm:"
    yield (
        f"# parkade agent run --pool {pool} --server URL --token-file agent.token"
        f" --data-folder /shared/parkade/{pool} --engine slurm {given}"
    )
    yield "# And once it is connected:"
    yield f"# parkade pool fence {pool}"
    yield f"# parkade reserve {lent} --market {pool} --org {org} --name {org}"
    yield f"# parkade lend {org} --floor {offer.floor}"
