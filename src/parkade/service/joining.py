"""Proposes how a Slurm cluster joins a marketplace: files to read, and to run once they are right.

Nothing is changed, on the cluster or in a marketplace. Accounts become orgs of the same name, their
users users with that Unix name. What an account holds for itself becomes an open-ended reservation
of as many whole nodes: the nodes of partitions and standing reservations of Slurm that are its
alone, or else its limit `GrpTRES`. Nodes of one kind under one switch are a fabric. Guests run in
an account of their own, which is no org: in an owner's they would use up its limit. What Slurm's
administrator and root do for that stands in the script as comments.

Example: nodes n1-n4 of 8 H100 under two switches, account `acme` with GrpTRES=gres/gpu=16: a pool
with the fabrics `s1` and `s2`, the org `acme`, `parkade reserve 2 --org acme --name acme`, and the
agent's option `owners=account:acme=acme`.

A reservation of Parkade is nodes of a market, and which ones is the market's choice. Where it has
to be the very nodes that an account has in Slurm, those are *dedicated* to it: a market of their
own, and its reservation is all of them.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import yaml

from parkade.core.units.names import NAME
from parkade.core.units.phrases import counted
from parkade.engines.slurm.admitting import is_person, named
from parkade.engines.slurm.finding import RECENT_DAYS, Found, FoundAccount, FoundNode
from parkade.service.admission import ADMISSION, Admission, admits_by

TERMS = {"pay_as_you_go": "3.00", "reservation_rate": "2.00", "public_floor": "1.00", "fee": "1/10"}
OF_RULES = ":=,"
BEGIN = ("#!/bin/sh", "# After a line that fails nothing more is done.", "set -e")
"""Of a script that is proposed, also for those who run it by `sh`."""
MOST_NAMED = 20
HEAD = "# Proposed from Slurm; nothing is done yet. The prices are examples: write your own.\n"


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """Files by their names; `says`: what was found and what was left out, a line each."""

    files: dict[str, str]
    says: tuple[str, ...]


class _Group(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes of one kind that are a market; `account`: to which they are dedicated."""

    kind: str
    market: str
    nodes: list[FoundNode]
    account: str | None


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has for itself, in whole nodes; `name`: of its reservation to be."""

    account: str
    nodes: int
    market: str
    name: str


def propose(
    found: Found,
    *,
    pool: str,
    site: str,
    dedicated: Sequence[str] = (),
    admission: Admission = ADMISSION,
) -> Proposal:
    """The largest group of nodes of one kind opens the pool; each other one is a file for `pool
    add-nodes`. ValueError where an account is to have them that has none of its own."""
    admits = tuple(admits_by(found, admission))
    accounts = tuple(it for it in found.accounts if it.account != admission.account)
    found = msgspec.structs.replace(found, accounts=accounts)
    orgs, unclear = _orgs(found)
    alone = {name: nodes for name, nodes in _alone(found).items() if name in orgs}
    for account in dedicated:
        if not alone.get(account):
            raise ValueError(
                f"{account[:60]!r} has no nodes of its own: no standing reservation and no"
                " partition with GPU nodes is its alone"
            )
    groups = _groups(found, pool, {name: alone[name] for name in dedicated}, orgs)
    files = {}
    for number, group in enumerate(groups):
        of = "" if group.account is None else f"-{orgs[group.account]}"
        name = f"nodes-{group.kind}{of}.yaml" if number else "pool.yaml"
        body = _supply(group.kind, group.nodes, market=group.market)
        if group.account is not None:
            # All its nodes are sold to the account, so none is left to heal others with.
            body["terms"] |= {"buffer_nodes": 0}
        if number == 0:
            body = {"pool": pool, "site": site, "engine": "slurm", **body}
        files[name] = HEAD + yaml.safe_dump(body, sort_keys=False)
    held = [it for it in _held(found, groups, alone, orgs) if it.account in orgs]
    options = [*_options(held), *([f"account={admission.account}"] if admits else [])]
    files["join.sh"] = "\n".join([*_script(found, pool, files, orgs, held, admits, options), ""])
    says = [_words(group) for group in groups]
    holders = {it.account for it in held}
    says += [f"{len(found.accounts)} accounts, {len(holders)} of them hold nodes for themselves"]
    says += [f"left out: account {name[:60]!r}: {why}" for name, why in unclear]
    left = sorted({name for it in found.accounts for name in it.users if not is_person(name)})
    says += [f"left out: user {name[:60]!r}: no person's Unix name" for name in left]
    says += _choices(found, orgs)
    if admission.outside:
        says.append(f"not in the group {admission.group}: {named(admission.outside)}")
    says += [f"not found: {lack}" for lack in found.lacks]
    says += _kept_out(found, held)
    return Proposal(files=files, says=tuple(says))


def _words(group: _Group) -> str:
    words = f"{len(group.nodes)} nodes of {group.kind}"
    if group.account is None:
        return words
    return f"{words}, dedicated to {group.account}: {', '.join(it.name for it in group.nodes)}"


def _groups(
    found: Found, pool: str, dedicated: Mapping[str, set[str]], orgs: Mapping[str, str]
) -> list[_Group]:
    """Those that no account has to itself first, the largest one before the others."""
    of = {node: account for account, nodes in dedicated.items() for node in sorted(nodes)}
    groups: list[_Group] = []
    for kind, nodes in _kinds(found).items():
        others = [node for node in nodes if node.name not in of]
        if others:
            market = f"{pool}-{kind}" if groups else pool
            groups.append(_Group(kind=kind, market=market, nodes=others, account=None))
    for account in dedicated:
        number = 0
        for kind, nodes in _kinds(found).items():
            own = [node for node in nodes if of.get(node.name) == account]
            if own:
                number += 1
                market = _numbered(f"{pool}-{orgs[account]}", number)
                groups.append(_Group(kind=kind, market=market, nodes=own, account=account))
    return groups


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


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


def _alone(found: Found) -> dict[str, set[str]]:
    """The nodes with GPUs of partitions and standing reservations that are one account's alone."""
    nodes = {node.name for node in found.nodes}
    alone: dict[str, set[str]] = {}
    standing = [(one.accounts, one.nodes) for one in found.reservations]
    standing += [(one.accounts, one.nodes) for one in found.partitions]
    for accounts, places in standing:
        if len(accounts) == 1:
            alone.setdefault(accounts[0], set()).update(nodes & set(places))
    return alone


def _held(
    found: Found,
    groups: Sequence[_Group],
    alone: Mapping[str, set[str]],
    orgs: Mapping[str, str],
) -> Iterator[_Held]:
    """What is an account's own; where it is not dedicated to it, nodes of the pool's market."""
    per_node = max((node.gpus for node in found.nodes), default=1)
    for account in found.accounts:
        name = orgs.get(account.account, "")
        own = [it for it in groups if it.account == account.account]
        for number, group in enumerate(own, start=1):
            yield _Held(
                account=account.account,
                nodes=len(group.nodes),
                market=group.market,
                name=_numbered(name, number),
            )
        nodes = len(alone.get(account.account, ())) or (account.gpus or 0) // per_node
        if nodes and not own:
            yield _Held(
                account=account.account,
                nodes=min(nodes, len(found.nodes)),
                market=groups[0].market,
                name=name,
            )


def _script(
    found: Found,
    pool: str,
    files: Mapping[str, str],
    orgs: Mapping[str, str],
    held: Sequence[_Held],
    admits: Sequence[str],
    options: Sequence[str],
) -> Iterator[str]:
    yield from BEGIN
    yield "# Read it first. The pool begins without guests: `parkade pool lend` lets them in."
    yield 'cd "$(dirname "$0")"'
    yield "parkade pool create -f pool.yaml"
    for name in files:
        if name.startswith("nodes-"):
            yield f"parkade pool add-nodes {pool} -f {name}"
    yield f"parkade pool lend {pool} --observe"
    for line in _choices(found, orgs):
        yield f"# {line}"
    for account in found.accounts:
        if account.account in orgs:
            yield from _org(account, orgs[account.account], found, orgs)
    yield f"parkade pool agent-token {pool} --out agent.token"
    yield from admits
    words = "".join(f" --engine-option {shlex.quote(option)}" for option in options)
    yield "# Then, beside Slurm's commands, and once it is connected the fence and what is owned:"
    yield (
        f"# parkade agent run --pool {pool} --server URL --token-file agent.token"
        f" --data-folder /shared/parkade/{pool} --engine slurm{words}"
    )
    yield f"# parkade pool fence {pool}"
    for it in held:
        yield (
            f"# parkade reserve {it.nodes} --market {it.market} --org {orgs[it.account]}"
            f" --name {it.name}"
        )
    if held:
        yield "# The first period of each is paid at its sale: `parkade deposit ORG AMOUNT` before."
        yield "# `pool lend` opens the pool's nodes; an owner's idle ones are lent by these:"
    for it in held:
        yield f"# parkade lend {it.name} --floor {TERMS['public_floor']}"
    for line in _kept_out(found, held):
        yield f"# {line}"


def _kept_out(found: Found, held: Sequence[_Held]) -> Iterator[str]:
    """The accounts whose own `sbatch` starts on no node behind a fence, in words; nothing where
    there are none."""
    holders = {it.account for it in held}
    others = [it for it in found.accounts if it.account not in holders]
    if not others:
        return
    others.sort(key=lambda it: (-it.recent, it.account))
    named = [
        f"{_plain(it.account)} ({counted(it.recent, 'job')} in {RECENT_DAYS} days)"
        if it.recent
        else _plain(it.account)
        for it in others[:MOST_NAMED]
    ]
    more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
    yield "Once `parkade pool fence` stands and the pool lends, plain sbatch of these accounts"
    yield "starts on no node of it and waits for ever (ReqNodeNotAvail): they own nothing in what"
    yield "is proposed."
    yield f"{', '.join(named)}{more}"
    yield "Sell them a reservation with a rule of `owners`, let them use `parkade sbatch`, or leave"
    yield "nodes for them out of pool.yaml."


def _options(held: Sequence[_Held]) -> Iterator[str]:
    """Of two rules for one account the first would count."""
    first = {it.account: it.name for it in reversed(held)}
    owners = ",".join(
        f"account:{name}={first[name]}" for name in dict.fromkeys(it.account for it in held)
    )
    if owners:
        yield f"owners={owners}"


def _org(account: FoundAccount, org: str, found: Found, orgs: Mapping[str, str]) -> Iterator[str]:
    yield f"parkade org create {org}"
    for user, belongs in _belongs(found, orgs).items():
        if belongs == account.account:
            yield (f"parkade user create {safe(user)} --org {org} --unix-name {shlex.quote(user)}")


def _accounts_of(found: Found, orgs: Mapping[str, str]) -> dict[str, list[str]]:
    """The accounts of each person that become orgs; of two users for one name the first counts."""
    users: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for account in found.accounts:
        for user in account.users if account.account in orgs else ():
            if is_person(user) and names.setdefault(safe(user), user) == user:
                users.setdefault(user, []).append(account.account)
    return users


def _belongs(found: Found, orgs: Mapping[str, str]) -> dict[str, str]:
    """A user of several accounts belongs to its default account, where that is none of them to the
    first."""
    return {
        user: default if (default := found.defaults.get(user, "")) in accounts else accounts[0]
        for user, accounts in _accounts_of(found, orgs).items()
    }


def _choices(found: Found, orgs: Mapping[str, str]) -> Iterator[str]:
    """What became of users of several accounts."""
    belongs = _belongs(found, orgs)
    for user, accounts in _accounts_of(found, orgs).items():
        if len(accounts) > 1:
            why = "its DefaultAccount" if found.defaults.get(user) in accounts else "the first"
            all_of = ", ".join(map(_plain, accounts))
            yield f"user {user} of {all_of}: of the org {orgs[belongs[user]]}, for {why}"


def _plain(account: str) -> str:
    """An account's name as words that end no comment."""
    return re.sub(r"[^\w.+@-]", "?", account[:60], flags=re.ASCII)


def safe(name: str) -> str:
    """A name of ours like one of Slurm's."""
    made = re.sub(r"[^a-z0-9._-]+", "-", name.lower())[: NAME.longest].strip("._-") or "x"
    assert NAME.accepts(made), "only what a name admits is left"
    return made
