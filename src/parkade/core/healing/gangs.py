"""Plays a history of faults against gangs with a buffer beside them: goodput, lent time, waits.

A fabric of nodes is reserved in gangs of one size; beside them stand spares (the buffer) and nodes
sold on demand. A gang with a node down takes a spare; without one it waits for the first node that
comes back. Either way it loses what came after its last checkpoint and the time to restart. The
buffer is resized at given instants: as many spares as it holds beyond what is down, taken from or
given to what is sold on demand. What waits as a spare is lent, less the recall each time one is
taken.

Pure and without chance: the history says which node fails when. Cost grows with the faults, the
resizes times the nodes, and the gangs.

Worked example. Two gangs of 2 on nodes 0 to 3, node 4 is the spare, restart and loss take 10 min
together. Node 1 fails at 1 h: its gang takes node 4 and loses 10 min. Node 3 fails at 2 h: no
spare, its gang waits until node 1 returns at 5 h, and loses 3 h and 10 min. Over 10 h the goodput
is (2 x 10 h - 3 h 20 min) / 20 h = 0.833; the spare was lent for 1 h.
"""

from typing import NamedTuple


class NodeOutage(NamedTuple):
    """A node is down from `start_us` until `end_us`; None: to the end of the history."""

    node: int
    start_us: int
    end_us: int | None


class Setting(NamedTuple):
    """`reserved` nodes in gangs of `gang_size` (a rest smaller than a gang is sold on demand);
    `lost_us` is lost work and restart of a failure, `recall_us` until a lent node is free."""

    nodes: int
    reserved: int
    gang_size: int
    lost_us: int
    recall_us: int


class Played(NamedTuple):
    """`goodput` is productive time of gangs over their time; `waited_us` is gang time without a
    whole shape; `lent_us` and `on_demand_us` are node time that others could use."""

    gangs: int
    goodput: float
    waited_us: int
    lent_us: int
    on_demand_us: int
    failures: int


class _Nodes:
    """Which gang has which node now."""

    def __init__(self, setting: Setting) -> None:
        self.gangs = setting.reserved // setting.gang_size
        in_gangs = self.gangs * setting.gang_size
        self.gang_of = {node: node // setting.gang_size for node in range(in_gangs)}
        self.spares: set[int] = set()
        self.on_demand = set(range(in_gangs, setting.nodes))
        self.down: set[int] = set()
        self.missing = dict.fromkeys(range(self.gangs), 0)
        self.waiting: list[int] = []

    def resize(self, held: int) -> None:
        """As many spares as are held beyond what is down, from or to what is sold on demand."""
        target = max(0, held - len(self.down))
        while len(self.spares) < target and self.on_demand:
            node = min(self.on_demand)
            self.on_demand.remove(node)
            self.give(node)
        while len(self.spares) > target:
            node = max(self.spares)
            self.spares.remove(node)
            self.on_demand.add(node)

    def give(self, node: int) -> int | None:
        """A node is free: to the gang that waits longest, which is returned, else to the spares."""
        if not self.waiting:
            self.spares.add(node)
            return None
        gang = self.waiting.pop(0)
        self.gang_of[node] = gang
        self.missing[gang] -= 1
        return gang

    def lose(self, node: int) -> tuple[int | None, bool]:
        """A node fails: the gang that is hit, and whether a spare took its place at once."""
        self.down.add(node)
        self.spares.discard(node)
        self.on_demand.discard(node)
        gang = self.gang_of.pop(node, None)
        if gang is None:
            return None, False
        if self.spares:
            spare = min(self.spares)
            self.spares.remove(spare)
            self.gang_of[spare] = gang
            return gang, True
        self.waiting.append(gang)
        self.missing[gang] += 1
        return gang, False


class _Ledger:
    """Adds up time: `busy_until` is when a gang works again, once it is whole."""

    def __init__(self, gangs: int, start_us: int) -> None:
        self.busy_until = dict.fromkeys(range(gangs), start_us)
        self.stopped_us = dict.fromkeys(range(gangs), 0)
        self.waits_since: dict[int, int] = {}
        self.waited_us = 0
        self.lent_us = 0
        self.on_demand_us = 0
        self.failures = 0

    def stop(self, gang: int, at_us: int, lost_us: int) -> None:
        """A failure: the gang is stopped for `lost_us`, beginning anew if it was stopped."""
        begins = max(at_us, self.busy_until[gang])
        until = at_us + lost_us
        self.stopped_us[gang] += max(0, until - begins)
        self.busy_until[gang] = max(until, begins)


def play(
    faults: tuple[NodeOutage, ...],
    sizes: tuple[tuple[int, int], ...],
    setting: Setting,
    *,
    end_us: int,
) -> Played:
    """From the first of `sizes` (instant, held) until the end. Faults that began before count."""
    start_us = sizes[0][0]
    nodes = _Nodes(setting)
    ledger = _Ledger(nodes.gangs, start_us)
    last_us = start_us
    for at_us, kind, value in _agenda(faults, sizes, end_us):
        if at_us > last_us:
            span = at_us - last_us
            ledger.lent_us += span * len(nodes.spares)
            ledger.on_demand_us += span * len(nodes.on_demand)
            last_us = at_us
        if kind == _RESIZE:
            before = set(nodes.waiting)
            nodes.resize(value)
            for gang in before - set(nodes.waiting):
                _resume(ledger, gang, at_us, setting)
        elif kind == _UP and value in nodes.down:
            nodes.down.remove(value)
            served = nodes.give(value)
            if served is not None and not nodes.missing[served]:
                _resume(ledger, served, at_us, setting)
        elif kind == _FAULT and value not in nodes.down:
            _fail(nodes, ledger, value, at_us, setting)
    for gang in list(ledger.waits_since):
        _resume(ledger, gang, end_us, setting._replace(lost_us=0))
    whole = nodes.gangs * (end_us - start_us)
    stopped = sum(ledger.stopped_us.values())
    return Played(
        gangs=nodes.gangs,
        goodput=1 - stopped / whole if whole else 1.0,
        waited_us=ledger.waited_us,
        lent_us=ledger.lent_us,
        on_demand_us=ledger.on_demand_us,
        failures=ledger.failures,
    )


_UP, _RESIZE, _FAULT = 0, 1, 2


def _agenda(
    faults: tuple[NodeOutage, ...], sizes: tuple[tuple[int, int], ...], end_us: int
) -> list[tuple[int, int, int]]:
    """Everything that happens, in order of time; a return comes before a fault of its instant."""
    start_us = sizes[0][0]
    agenda = [(at_us, _RESIZE, held) for at_us, held in sizes]
    for fault in faults:
        if fault.end_us is not None and fault.end_us <= max(start_us, fault.start_us):
            continue  # Over before it could be seen.
        agenda.append((max(fault.start_us, start_us), _FAULT, fault.node))
        if fault.end_us is not None:
            agenda.append((fault.end_us, _UP, fault.node))
    within = [each for each in agenda if each[0] < end_us]
    return [*sorted(within), (end_us, _RESIZE, sizes[-1][1])]


def _fail(nodes: _Nodes, ledger: _Ledger, node: int, at_us: int, setting: Setting) -> None:
    gang, has_spare = nodes.lose(node)
    if gang is None:
        return
    ledger.failures += 1
    if gang in ledger.waits_since:
        return
    if has_spare:
        ledger.stop(gang, at_us, setting.lost_us + setting.recall_us)
    else:
        ledger.waits_since[gang] = at_us


def _resume(ledger: _Ledger, gang: int, at_us: int, setting: Setting) -> None:
    """A gang that waited is whole again."""
    since_us = ledger.waits_since.pop(gang, None)
    if since_us is None:
        return
    ledger.waited_us += at_us - since_us
    ledger.stop(gang, since_us, at_us - since_us + setting.lost_us)
