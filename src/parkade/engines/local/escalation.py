"""Decides when TERM and KILL are due: instants on the monotonic clock that only come forward.

An order's instants are on the wall clock; they are translated once, when read, so that a jump of
the wall clock afterwards neither shortens nor lengthens what was promised.
"""

from parkade.ports import Stop


class Escalation:
    """The earliest TERM and KILL of all reasons to end. TERM is due once, KILL from then on."""

    def __init__(self) -> None:
        self.term_at_us: int | None = None
        self.kill_us: int | None = None
        self.is_termed = False

    def bring_forward(self, *, term_at_us: int, kill_us: int) -> None:
        """Takes another reason to end, on the monotonic clock; later instants change nothing."""
        kill_us = max(kill_us, term_at_us)
        self.term_at_us = _earlier(self.term_at_us, term_at_us)
        self.kill_us = _earlier(self.kill_us, kill_us)

    def take(self, order: Stop, *, wall_us: int, monotonic_us: int) -> None:
        """Takes an order whose instants are on the wall clock."""
        self.bring_forward(
            term_at_us=monotonic_us + order.deadline_us - wall_us,
            kill_us=monotonic_us + order.kill_us - wall_us,
        )

    def is_term_due(self, now_us: int) -> bool:
        """Whether TERM is due and was not sent."""
        return not self.is_termed and self.term_at_us is not None and now_us >= self.term_at_us

    def is_kill_due(self, now_us: int) -> bool:
        """Whether whatever lives is to be killed."""
        return self.kill_us is not None and now_us >= self.kill_us

    def next_us(self) -> int | None:
        """When something is due next; None where nothing is ordered."""
        return self.kill_us if self.is_termed else self.term_at_us


def merge(old: Stop | None, new: Stop) -> Stop:
    """Both instants at their earlier one; the cause of whichever comes first."""
    if old is None:
        return new
    return Stop(
        noticed_us=min(old.noticed_us, new.noticed_us),
        deadline_us=min(old.deadline_us, new.deadline_us),
        kill_us=min(old.kill_us, new.kill_us),
        cause=new.cause if new.deadline_us < old.deadline_us else old.cause,
    )


def _earlier(old_us: int | None, new_us: int) -> int:
    return new_us if old_us is None else min(old_us, new_us)
