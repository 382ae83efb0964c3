"""Which reports of an engine's other jobs may an event come from: fences, owners, taken nodes.

Each report names all that there is; a guess names what the world has and the event adds or ends.
"""

from collections.abc import Iterator

from parkade.core.fleet.node import OTHERS
from parkade.core.fleet.pool import Fence, TakenNode
from parkade.core.reservations.owner_job import OwnerJob
from parkade.core.reservations.reservation import Claim
from parkade.core.state import commands, events
from parkade.core.state.world import World


def of_others(world: World, event: events.AnyEvent) -> Iterator[commands.AnyCommand]:
    """Nothing where the event has no such cause."""
    match event:
        case events.FenceSet(pool=pool, fence=fence):
            if fence in (Fence.ASKED, Fence.NONE):
                yield commands.SetFence(by=event.by, pool=pool, is_on=fence is Fence.ASKED)
            yield commands.ReportFence(by=event.by, pool=pool, stands=fence is Fence.STANDS)
        case events.Claimed(claim=claim) if claim.source is not None:
            yield _jobs(world, claim.source, claim, without=None)
        case events.ClaimSeated(claim=name, runs_there=True):
            yield _jobs(world, world.records.claims[name].source or "", None, without=None)
        case events.Unclaimed(claim=name):
            ended = world.records.claims.get(name)
            if ended is not None and ended.source is not None:
                yield _jobs(world, ended.source, None, without=ended.source)
        case events.NodeCordoned(node=node, cordon=cordon) if cordon.holder == OTHERS:
            yield _taken(world, node, cordon.reason)
        case events.NodeUncordoned(node=node, holder=holder) if holder == OTHERS:
            yield _taken(world, node, None)
        case _:
            return


def _jobs(
    world: World, source: str, new: Claim | None, *, without: str | None
) -> commands.ReportOwnerJobs:
    """The jobs of the pool that a source names: those with claims, and what is new."""
    pool = source.partition("/")[0]
    known: dict[str, tuple[str, int]] = {}
    runs_on: dict[str, tuple[str, ...]] = {}
    for claim in (*world.records.claims.values(), *([] if new is None else [new])):
        if claim.source is not None and claim.source.startswith(f"{pool}/"):
            _, nodes = known.get(claim.source, (claim.reservation, 0))
            known[claim.source] = claim.reservation, nodes + claim.nodes
            runs_on[claim.source] = (*runs_on.get(claim.source, ()), *claim.runs_on)
    jobs = tuple(
        OwnerJob(
            job=name.partition("/")[2],
            reservation=reservation,
            nodes=nodes,
            least=1,
            runs_on=runs_on[name],
        )
        for name, (reservation, nodes) in known.items()
        if name != without
    )
    return commands.ReportOwnerJobs(by=None, pool=pool, jobs=jobs)


def _taken(world: World, changed: str, job: str | None) -> commands.ReportTakenNodes:
    """The taken nodes of a node's pool; it is taken by this job, or by none."""
    pool = world.records.nodes[changed].pool
    taken = {
        node.node: cordon.reason
        for node in world.records.nodes.values()
        if node.pool == pool and node.node != changed
        for cordon in node.cordons
        if cordon.holder == OTHERS
    }
    if job is not None:
        taken[changed] = job
    nodes = tuple(TakenNode(node=node, job=name) for node, name in taken.items())
    return commands.ReportTakenNodes(by=None, pool=pool, nodes=nodes)
