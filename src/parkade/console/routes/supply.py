"""What an org supplies: its nodes, and how many guests each has, without who they are."""

from collections.abc import Sequence

from starlette.responses import RedirectResponse, Response

from parkade.api.problems import ProblemError
from parkade.api.routes import pools
from parkade.console.context import Page, PageContext, router
from parkade.core.steps.permissions import Read
from parkade.wire.pools import Node

routes = router()
MOST = 500


@routes.get("/supply")
async def supply(context: Page) -> Response:
    """For a partner, and for an owner: its org may supply nodes."""
    if context.viewer.is_operator:
        return RedirectResponse("/operate", status_code=303)
    context.api.require(Read.SUPPLY, org=context.viewer.org)
    nodes = await supplied(context)
    return context.page(
        "supply.html",
        nodes=sorted(nodes, key=is_usual)[:MOST],
        count=len(nodes),
        gpus=sum(it.gpus for it in nodes),
        held=sum(it.gpus_held for it in nodes),
        in_play=sum(is_usual(it) for it in nodes),
        guests=sum(it.guests for it in nodes),
    )


def is_usual(node: Node) -> bool:
    """False for the sick, cordoned and draining ones, which are shown first."""
    return node.health == "healthy" and not node.cordons and node.drain is None


async def supplied(context: PageContext) -> Sequence[Node]:
    """The nodes that the user's org supplies; none where it supplies none, or may not look."""
    viewer = context.viewer
    if viewer.is_operator or not viewer.may_read(Read.SUPPLY, org=viewer.org):
        return ()
    try:
        return (await pools.list_nodes(context.api)).nodes
    except ProblemError:
        return ()  # The API denies an org that supplies nothing.
