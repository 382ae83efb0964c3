"""The start of a try: runners stand on their own seats, and it is known which winners lack some.

Theory of operation
-------------------
Every try of a clearing starts alike but for one thing: a runner that must sit where it was counted
(`Rules.to_counted`) does not keep seats that are elsewhere. So all seats are taken one by one once,
for the rules that send no winner anywhere. For other rules the start is a copy in which these
runners leave, and it is kept too, because many rules send the same runners.

That gives the start that seating all others anew would give:

- An open node of a runner is free for it, whichever other runners keep their seats. Where it is not
  (`Start.is_disputed`: two tenants on one node), every start is made anew.
- Floors are drawn by who stands, in the order of coming, so in the fabrics that a runner leaves
  they are drawn anew.

Example: a, b and c run in amber, whose floors are 1, 1 and 7. The check finds that b must sit where
it was counted, which is birch. The start of the next round is a copy of the first in which b has
left: a and c draw 1, and b lacks its seats.
"""

from parkade.core.market.layout import Layout
from parkade.core.market.seating.free_room import Winner, own_nodes_free, staying
from parkade.core.market.seating.standing import Problem, Rules, SeatsInMaking, Start


def start_of(problem: Problem, rules: Rules) -> Start:
    """How a try under these rules starts. Grows with seats the first time and where seats are
    disputed, else with the seats of the runners that leave (and a copy)."""
    every = problem.starts.get(frozenset())
    if every is None:
        every = problem.starts[frozenset()] = _keep_seats(problem, Rules())
    if every.is_disputed:
        return _keep_seats(problem, rules)
    leaving = frozenset(it for it in rules.to_counted if _is_elsewhere(every.now, it))
    found = problem.starts.get(leaving)
    if found is None:
        found = problem.starts[leaving] = _without(every, leaving)
    return found


def _is_elsewhere(now: SeatsInMaking, name: str) -> bool:
    """Whether it stands on seats of its own, and not where it was counted."""
    nodes = now.where[name]
    return bool(nodes) and now.fabrics_of(nodes) != now.counted(name)


def _keep_seats(problem: Problem, rules: Rules) -> Start:
    """Runners take their seats: first those that stay, then all in priority order."""
    now, layout = SeatsInMaking(problem, rules), problem.layout
    for winner in problem.winners:
        if winner.stays:
            nodes = [seat.node for seat in winner.demand.seats]
            open_nodes = [it for it in nodes if it in layout.fabric_of and it not in layout.closed]
            now.stand(winner.demand.demand, open_nodes)
    lacking: dict[str, int] = {}
    is_disputed = False
    for winner in problem.winners:
        demand, name = winner.demand, winner.demand.demand
        if winner.stays:
            continue
        kept: list[str] = []
        if demand.seats:
            free = own_nodes_free(demand, now.shapes[name], now.nodes)
            if len(free) < len(demand.seats):
                is_disputed = is_disputed or len(free) < _open_seats(winner, layout)
            kept = staying(demand, layout, free)
        if name in rules.to_counted and now.fabrics_of(kept) != now.counted(name):
            kept = []
        now.stand(name, kept)
        if len(kept) == demand.nodes:
            now.own.add(name)
        else:
            lacking[name] = demand.nodes - len(kept)
    return Start(now, lacking, is_disputed)


def _open_seats(winner: Winner, layout: Layout) -> int:
    """How many of its seats are on open nodes: fewer are free only if another runner has one."""
    nodes = (seat.node for seat in winner.demand.seats)
    return sum(it in layout.fabric_of and it not in layout.closed for it in nodes)


def _without(start: Start, leaving: frozenset[str]) -> Start:
    """The start in which these runners have left their seats."""
    now = start.now.copy(Rules())
    fabrics: set[int] = set()
    lacking = dict(start.lacking)
    for name in sorted(leaving):
        fabrics.update(now.fabrics_of(now.where[name]))
        now.leave(name)
        lacking[name] = now.winners[name].demand.nodes
    now.draw_anew(sorted(fabrics))
    return Start(now, dict(sorted(lacking.items(), key=lambda it: now.place[it[0]])), False)
