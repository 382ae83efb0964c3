"""Commands of the server itself and about its clock: a writer took over, a clearing is due."""

from parkade.core.state.commands.command import Command


class AboutServer(Command, frozen=True, kw_only=True):
    """All commands about the server and its clock."""


class OpenEpoch(AboutServer, frozen=True, kw_only=True):
    """A writer took over. Both are random: `lineage` is this epoch's, `installation` becomes the
    marketplace's for ever where it has none yet. `accepts_agents`: an operator said that agents of
    a
    journal that was lost shall obey this one; `least` is above every epoch that they obeyed."""

    installation: str
    lineage: str
    accepts_agents: bool = False
    least: int = 0


class RunClearing(AboutServer, frozen=True, kw_only=True):
    """Time for a market's clearing."""

    market: str

    is_apart: bool = False
    """Whether markets that bids link with it are left out, because they failed together."""


class ConfirmClock(AboutServer, frozen=True, kw_only=True):
    """A person says that the clock's jump was right; clearing goes on."""


ServerCommand = OpenEpoch | RunClearing | ConfirmClock
"""Of the server, and about its clock."""
