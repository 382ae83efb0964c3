"""Proposes how a Slurm cluster joins a marketplace: files to read, and to run once they are right.

Nothing is changed, on the cluster or in a marketplace. Accounts become orgs of the same name, their
users users with that Unix name. What an account holds for itself becomes an open-ended reservation
of as many whole nodes: the nodes of partitions and standing reservations of Slurm that are its
alone, or else its limit `GrpTRES`. Nodes of one kind under one switch are a fabric.

Example: nodes n1-n4 of 8 H100 under two switches, account `acme` with GrpTRES=gres/gpu=16: a pool
with the fabrics `s1` and `s2`, the org `acme`, `parkade reserve 2 --org acme --name acme`, and the
agent's option `owners=account:acme=acme`.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import yaml

from parkade.core.units.names import NAME, SYSTEM_UNIX_NAMES, UNIX_NAME
from parkade.engines.slurm.finding import Found, FoundAccount, FoundNode

TERMS = {"pay_as_you_go": "3.00", "reservation_rate": "2.00", "public_floor": "1.00", "fee": "1/10"}
OF_RULES = ":=,"
HEAD = "# Proposed from Slurm; nothing is done yet. The prices are examples: write your own.\n"


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """Files by their names; `says`: what was found and what was left out, a line each."""

    files: dict[str, str]
    says: tuple[str, ...]


def propose(found: Found, *, pool: str, site: str) -> Proposal:
    """The first kind of node opens the pool; each other kind is a file for `pool add-nodes`."""
    kinds = _kinds(found)
    files = {}
    for number, (kind, nodes) in enumerate(kinds.items()):
        name = f"nodes-{kind}.yaml" if number else "pool.yaml"
        body = _supply(kind, nodes, market=f"{pool}-{kind}" if number else pool)
        if number == 0:
            body = {"pool": pool, "site": site, "engine": "slurm", **body}
        files[name] = HEAD + yaml.safe_dump(body, sort_keys=False)
    orgs, unclear = _orgs(found)
    held = {name: nodes for name, nodes in _held(found) if name in orgs}
    files["join.sh"] = "\n".join([*_script(found, pool, files, orgs, held), ""])
    says = [f"{len(nodes)} nodes of {kind}" for kind, nodes in kinds.items()]
    says += [f"{len(found.accounts)} accounts, {len(held)} of them hold nodes for themselves"]
    says += [f"left out: account {name[:60]!r}: {why}" for name, why in unclear]
    left = sorted({name for it in found.accounts for name in it.users if not _is_person(name)})
    says += [f"left out: user {name[:60]!r}: no person's Unix name" for name in left]
    says += [f"not found: {lack}" for lack in found.lacks]
    return Proposal(files=files, says=tuple(says))


def _kinds(found: Found) -> dict[str, list[FoundNode]]:
    """Those of most nodes first."""
    kinds: dict[tuple[str, int, int, int], list[FoundNode]] = {}
    for node in found.nodes:
        kinds.setdefault((node.model, node.gpus, node.cpus, node.memory_mb), []).append(node)
    named: dict[str, list[FoundNode]] = {}
    for (model, gpus, _, _), nodes in sorted(kinds.items(), key=lambda it: -len(it[1])):
        name = safe(f"{model}-{gpus}")
        named[name if name not in named else f"{name}-{len(named)}"] = nodes
    return named


def _supply(kind: str, nodes: list[FoundNode], *, market: str) -> dict[str, Any]:
    fabrics: dict[str, list[str]] = {}
    for node in nodes:
        fabrics.setdefault(safe(node.switch) if node.switch else "all", []).append(node.name)
    first = nodes[0]
    return {
        "market": market,
        "instance_type": {
            "name": kind,
            "gpu_model": first.model,
            "gpus_per_node": first.gpus,
            "memory_gib": max(1, first.memory_mb // 1024),
            "cpus": first.cpus,
        },
        "fabrics": fabrics,
        "terms": dict(TERMS),
    }


def _orgs(found: Found) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The org of each account, and accounts that become none, with why. Of two accounts for one org
    the one that has its very name is it."""
    orgs: dict[str, str] = {}
    unclear = []
    for account in sorted(found.accounts, key=lambda it: safe(it.account) != it.account):
        org = safe(account.account)
        if set(account.account) & set(OF_RULES):
            unclear.append((account.account, f"a rule cannot name it, with one of {OF_RULES}"))
        elif org in orgs.values():
            unclear.append((account.account, f"another one is the org {org} already"))
        else:
            orgs[account.account] = org
    return orgs, unclear


def _held(found: Found) -> Iterator[tuple[str, int]]:
    """(account, whole nodes) that are an account's own."""
    nodes = {node.name for node in found.nodes}
    alone: dict[str, set[str]] = {}
    standing = [(one.accounts, one.nodes) for one in found.reservations]
    standing += [(one.accounts, one.nodes) for one in found.partitions]
    for accounts, places in standing:
        if len(accounts) == 1:
            alone.setdefault(accounts[0], set()).update(nodes & set(places))
    per_node = max((node.gpus for node in found.nodes), default=1)
    for account in found.accounts:
        held = len(alone.get(account.account, ())) or (account.gpus or 0) // per_node
        if held:
            yield account.account, min(held, len(nodes))


def _script(
    found: Found,
    pool: str,
    files: Mapping[str, str],
    orgs: Mapping[str, str],
    held: Mapping[str, int],
) -> Iterator[str]:
    yield "#!/bin/sh -e"
    yield "# Read it first. The pool begins without guests: `parkade pool lend` lets them in."
    yield 'cd "$(dirname "$0")"'
    yield "parkade pool create -f pool.yaml"
    for name in files:
        if name.startswith("nodes-"):
            yield f"parkade pool add-nodes {pool} -f {name}"
    yield f"parkade pool lend {pool} --observe"
    known: set[str] = set()
    for account in found.accounts:
        if account.account in orgs:
            yield from _org(account, orgs[account.account], known)
    yield f"parkade pool agent-token {pool} --out agent.token"
    owners = ",".join(f"account:{name}={orgs[name]}" for name in held)
    options = f" --engine-option {shlex.quote(f'owners={owners}')}" if owners else ""
    yield "# Then, beside Slurm's commands, and once it is connected the fence and what is owned:"
    yield (
        f"# parkade agent run --pool {pool} --server URL --token-file agent.token"
        f" --data-folder /shared/parkade/{pool} --engine slurm{options}"
    )
    yield f"# parkade pool fence {pool}"
    for name, nodes in held.items():
        org = orgs[name]
        yield f"# parkade reserve {nodes} --market {pool} --org {org} --name {org}"


def _org(account: FoundAccount, org: str, known: set[str]) -> Iterator[str]:
    """A user of several accounts belongs to the first."""
    yield f"parkade org create {org}"
    for user in account.users:
        if _is_person(user) and safe(user) not in known:
            known.add(safe(user))
            yield (f"parkade user create {safe(user)} --org {org} --unix-name {shlex.quote(user)}")


def _is_person(user: str) -> bool:
    return UNIX_NAME.accepts(user) and user not in SYSTEM_UNIX_NAMES


def safe(name: str) -> str:
    """A name of ours like one of Slurm's."""
    made = re.sub(r"[^a-z0-9._-]+", "-", name.lower())[: NAME.longest].strip("._-") or "x"
    assert NAME.accepts(made), "only what a name admits is left"
    return made
