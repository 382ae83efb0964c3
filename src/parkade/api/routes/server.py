"""The server itself: how it stands, its clock, and as which user it knows the caller."""

from parkade import __version__
from parkade.api import routing
from parkade.api.context import Authenticated
from parkade.api.translate.scalars import span
from parkade.core.state import commands
from parkade.wire.feed import Caller, Confirmed, Standing

router = routing.router("server")
MILLISECOND_US = 1_000


@router.get("/whoami")
async def whoami(context: Authenticated) -> Caller:
    """The user of the token."""
    viewer = context.viewer
    return Caller(user=viewer.user, org=viewer.org, role=viewer.role.value, server=__version__)


@router.get("/server")
async def server(context: Authenticated) -> Standing:
    """How the server stands: its clock, and what does not work now."""
    health = context.plane.health()
    return Standing(
        server=__version__,
        is_running=health.is_running,
        is_clock_doubted=health.is_clock_doubted,
        clock_behind=span(health.clock_behind_us // MILLISECOND_US * MILLISECOND_US),
        frozen_markets=health.frozen_markets,
        silent_pools=health.silent_pools,
        refusing_pools=health.refusing_pools,
        engine_silent_pools=health.engine_silent_pools,
    )


@router.post("/clock/confirm")
async def confirm_clock(context: Authenticated) -> Confirmed:
    """The clock's jump was right; clearing goes on. Operators only."""
    command = commands.ConfirmClock(by=context.viewer.user)
    return await context.make(command, lambda _, __, decided: Confirmed(sequence=decided.sequence))
