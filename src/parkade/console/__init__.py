"""The web console: pages over the API's own reads, served by the same server at `/`.

Pages are made on the server; a small script keeps the open page up to date. What a page shows comes
from the functions that the API answers with, asked for the viewer of the session.
"""

from parkade.console.app import add_console
from parkade.console.settings import ConsoleSettings
from parkade.console.state import ConsoleState

__all__ = ["ConsoleSettings", "ConsoleState", "add_console"]
