"""Idle seats of promises that wait for work of their own org, or that they outbid, told again from
who sits where.

A promise says in `own_wait` for which workloads it waits. Here these are found from the runs on its
nodes, the causes of their notices and the nodes for which it owes; how long its other seats were
idle meanwhile is counted from the ends of runs, and has to be what the launch says.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from parkade.sim.auditor.books import Books, Record, Run, gpus_by_node, require
from parkade.sim.auditor.choices import market_of
from parkade.sim.auditor.live import held_by_node

OWN_DOING = ("cancelled", "not_started", "budget", "expired")


@dataclass
class Wait:
    """What one promise waits for, and what it held idle so far."""

    names: set[str]
    since_us: int
    gpus: int = 0
    gpu_us: int = 0

    def settle(self, at_us: int) -> None:
        """Counts what was held up to an instant."""
        at_us = max(at_us, self.since_us)
        if self.names:
            self.gpu_us += self.gpus * (at_us - self.since_us)
        self.since_us = at_us


def note_stop(run: Run, cause: str, *, is_own: bool) -> None:
    """Remembers by whose doing a run leaves. A later order keeps what a clearing said."""
    run.leaves_by_own = is_own or run.leaves_by_own or cause in OWN_DOING


def promise(books: Books, won: Record, at_us: int) -> None:
    """A workload is promised seats by a clearing whose notices are known."""
    name, promised = won["demand"]["workload"], won["promise"]
    before = books.own_waits.pop(name, None)
    if not promised["rates"][-1]["price_micros"]:
        return
    carried = 0
    if before is not None:
        before.settle(at_us)
        carried = before.gpu_us
    names = _waits_for(books, name, promised) | _owed_for(books, name, promised)
    known = set((promised.get("own_wait") or {}).get("names", ()))
    require(known == names, f"{name} waits for {sorted(names)} of its org, not {sorted(known)}")
    if names or carried:
        wait = Wait(names=names, since_us=at_us, gpu_us=carried)
        wait.gpus = _idle_gpus(books, name, promised) if names else 0
        books.own_waits[name] = wait


def gone(books: Books, name: str, nodes: AbstractSet[str], at_us: int) -> None:
    """A run, or one rank of a live one, left nodes."""
    for holder, wait in books.own_waits.items():
        promised = books.promises.get(holder)
        if promised is None or not wait.names:
            continue
        promised_on = {seat["node"] for seat in promised["seats"]}
        if holder != name and promised_on.isdisjoint(nodes):
            continue
        wait.settle(at_us)
        wait.names.discard(name)
        wait.gpus = _idle_gpus(books, holder, promised) if wait.names else 0


def waited_us(books: Books, name: str, promised: Record, at_us: int) -> int:
    """For how long a promise held its seats idle, counted on all its GPUs; it is over with that."""
    wait = books.own_waits.pop(name, None)
    if wait is None:
        return 0
    wait.settle(at_us)
    held: int = wait.gpu_us // sum(gpus_by_node(promised["seats"]).values())
    return held


def _waits_for(books: Books, name: str, promised: Record) -> set[str]:
    own = books.live.get(name)
    if own is not None:
        return {name} if _leaves(books.runs[own]) else set()
    nodes, org = gpus_by_node(promised["seats"]), books.workloads[name]["org"]
    return {
        other
        for other, attempt in books.live.items()
        if (run := books.runs[attempt]).org == org
        and _leaves(run)
        and not nodes.keys().isdisjoint(held_by_node(run))
    }


def _owed_for(books: Books, name: str, promised: Record) -> set[str]:
    """What leaves the nodes for which it owes, where it runs nowhere itself."""
    debt = promised.get("debt") or {}
    if name in books.live or not promised["displaces"] or debt.get("is_paid", False):
        return set()
    nodes = set(debt.get("nodes", ()))
    runs = {other: books.runs[attempt] for other, attempt in books.live.items()}
    return {
        other
        for other, run in runs.items()
        if run.kill_us is not None and run.broken_us is None and nodes & held_by_node(run).keys()
    }


def _leaves(run: Run) -> bool:
    return run.kill_us is not None and run.leaves_by_own and run.broken_us is None


def _idle_gpus(books: Books, name: str, promised: Record) -> int:
    """GPUs of its seats on nodes where all of them fit beside what is there."""
    workload = books.workloads[name]
    market, org = market_of(books, promised), workload["org"]
    shares = books.terms[market].get("shared_nodes", False)
    is_spot = workload["spec"]["capacity"]["kind"] == "spot"
    own = books.live.get(name)
    own_nodes = set() if own is None else set(held_by_node(books.runs[own]))
    idle = 0
    for node, gpus in gpus_by_node(promised["seats"]).items():
        there = [
            run
            for attempt in books.live.values()
            if attempt != own and node in held_by_node(run := books.runs[attempt])
        ]
        others = [run for run in there if run.org != org]
        may_share = shares and is_spot and all(_is_spot(books, run) for run in others)
        free = books.node_gpus[market] - sum(held_by_node(run)[node] for run in there)
        if node not in own_nodes and free >= gpus and (not others or may_share):
            idle += gpus
    return idle


def _is_spot(books: Books, run: Run) -> bool:
    kind: str = books.workloads[run.workload]["spec"]["capacity"]["kind"]
    return kind == "spot"
