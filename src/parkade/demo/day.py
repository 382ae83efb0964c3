"""A day in the parkade, of four minutes, again and again until the demo is ended.

Owners lend what they do not use and guests park there; an owner comes back and its guests leave
within the notice; a node breaks and is healed; a bid waits that is too low. In between, guests come
so that the lot stays well used.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from parkade.client import Client, ParkadeError
from parkade.demo import town
from parkade.demo.town import Job

DEPOSIT = "100000"
DAY_S = 240.0
TICK_S = 2.0
MOST_GUESTS = 9


class Day:
    """The people of the demo. `says` is told what they do."""

    def __init__(
        self, operator: Client, make_client: Callable[[str], Client], folder: Path
    ) -> None:
        self._operator = operator
        self._make_client = make_client
        self._folder = folder
        self._people: dict[str, Client] = {}
        self._guests = itertools.cycle(town.GUESTS)
        self.tokens: dict[str, str] = {}

    def begin(self) -> None:
        """The pool, the orgs with money and users, and the reservations that are lent."""
        self._operator.create_pool(town.pool())
        for org, (user, role) in town.ORGS.items():
            self._operator.create_org(org)
            self._operator.deposit_money(org, DEPOSIT)
            self._operator.create_user(user, org=org, role=role)
            self.tokens[org] = self._operator.create_token(user).secret
            self._people[org] = self._make_client(self.tokens[org])
        for org, (nodes, floor, keep) in town.OWNERS.items():
            self._people[org].create_reservation({"nodes": nodes, "name": org})
            self._people[org].lend_reservation(org, floor=floor, keep=keep)

    def live(self, is_over: Callable[[], bool]) -> Iterator[str]:
        """Plays days until it is over; each step says what is done."""
        while not is_over():
            began = time.monotonic()
            for due_s, act in self._acts():
                while not is_over() and time.monotonic() - began < due_s:
                    self._let_guests_come()
                    time.sleep(TICK_S)
                if is_over():
                    return
                yield self._try(act)

    def end(self) -> None:
        """Everything that lives is cancelled at once."""
        for workload in self._operator.list_workloads(limit=1000).workloads:
            self._operator.cancel(workload.workload, now=True)

    def lives(self) -> bool:
        """Whether anything is left."""
        return bool(self._operator.list_workloads(limit=1).workloads)

    def _acts(self) -> tuple[tuple[float, Callable[[], str]], ...]:
        nightly, tune, release = town.OWN
        return (
            (0, lambda: self._submit(nightly)),
            (4, lambda: self._submit(town.RENDER)),
            (25, lambda: self._submit(tune)),
            (45, lambda: self._submit(town.HOPEFUL)),
            (70, lambda: self._submit(release)),
            (110, self._break),
            (140, self._cordon),
            (160, self._mend),
            (185, lambda: self._submit(tune)),
            (DAY_S, lambda: "a new day begins"),
        )

    def _let_guests_come(self) -> None:
        living = self._operator.list_workloads(limit=200).workloads
        if sum(each.capacity == "spot" for each in living) < MOST_GUESTS:
            job = next(self._guests)
            if not any(each.name == job.name for each in living):
                self._try(lambda: self._submit(job))

    def _submit(self, job: Job) -> str:
        workload = self._people[job.org].submit(town.spec(job, self._folder)).workload
        return f"{job.org} submits {job.name} ({workload}): {job.nodes} × {job.gpus}"

    def _break(self) -> str:
        node = next(
            (
                each.node
                for each in self._operator.list_nodes().nodes
                if each.gpus_held == each.gpus
            ),
            "a1",
        )
        self._operator.fail_node(node, reason="Xid 79: the GPU has fallen off the bus")
        return f"{node} breaks: what ran there is healed elsewhere"

    def _mend(self) -> str:
        for each in self._operator.list_nodes().nodes:
            if each.health != "healthy":
                self._operator.restore_node(each.node)
            if each.cordons:
                self._operator.uncordon_node(each.node)
        return "the broken node is back"

    def _cordon(self) -> str:
        self._operator.cordon_node("d4", reason="a cable is exchanged")
        return "the operator cordons d4"

    def _try(self, act: Callable[[], str]) -> str:
        try:
            return act()
        except ParkadeError as error:
            return f"not now: {error}"
