"""What the console keeps between requests. Nothing of it is needed to rebuild the world."""

import secrets

from parkade.api.lot_book import LotBook
from parkade.console.earnings import Earnings
from parkade.console.history import History
from parkade.console.journal_programs import JournalProgram
from parkade.console.recent import Recent
from parkade.console.runs import Runs
from parkade.console.sessions import Sessions
from parkade.console.settings import ConsoleSettings
from parkade.console.throttle import Throttle
from parkade.control.plane import Plane


class ConsoleState:
    """One for each app."""

    def __init__(self, plane: Plane, lots: LotBook, settings: ConsoleSettings) -> None:
        folder = settings.folder
        self.plane = plane
        self.lots = lots
        self.settings = settings
        self.sessions = Sessions(
            None if folder is None else folder / "console-sessions.json",
            session_s=settings.session_s,
        )
        self.login_key = secrets.token_bytes(32)
        """Signs what a browser brings back from a provider."""
        self.throttle = Throttle(most=settings.failed_logins, within_s=settings.failed_within_s)
        self.recent = Recent(plane)
        self.runs = Runs()
        self.what_if = JournalProgram(settings.what_if, flag="--set")
        self.verify = JournalProgram(settings.verify, answer_codes=(0, 1))
        """Checks a clearing's record; 1: it does not hold."""

        self.earnings = Earnings(plane.archive)
        self.history = History(
            plane,
            lots,
            file=None if folder is None else folder / "console-history.jsonl",
            every_s=settings.sample_s,
        )
