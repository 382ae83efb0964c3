"""What the holder of a shard takes of the common budget, and gives back; each step is an entry.

A question begins once what it may need is set aside (`run.needs`), so that a tight budget pays for
whole questions, whichever worker has them. A worker with nothing open that is refused leaves its
shard to the others, who have begun, and who will give back what they did not use. Where there are
no others, it begins all the same, unless a call was refused since something was given back.

A question *beside* others of the worker begins only within an equal share of what is free, so that
one worker does not keep the others waiting. Once some worker has seen what questions take, it says
so, for all, and gives back what it had set aside at their worst case.
"""

from collections.abc import Callable

from parkade.compound.run.budget import NOTHING, Admission, Amounts
from parkade.compound.run.needs import ENOUGH, Needs
from parkade.compound.shards.board import Board
from parkade.compound.shards.entries import NONE_SEEN, Extended, Seen
from parkade.compound.shards.state import State


class Share:
    """One shard's part of the common budget."""

    def __init__(
        self,
        board: Board,
        shard: int,
        worker: str,
        needs: Needs,
        *,
        may_call: Callable[[], bool],
        has_notice: Callable[[], bool],
    ) -> None:
        self._board = board
        self._shard = shard
        self._worker = worker
        self._needs = needs
        #: Whether the shard is certainly still ours.
        self.may_call = may_call
        self._has_notice = has_notice
        #: Of the questions whose needs are known, those that others know of, too.
        self._known_to_all = needs.ended
        #: Whether what is left pays no whole question beside those of others.
        self.is_short = False
        #: Whether it pays none at all.
        self.is_dry = False
        self._hear(board.state)

    def extend(self, need: Amounts) -> Amounts | None:
        """See `Common`."""
        return self._change(lambda state: state.extension(self._shard, need))

    def set_aside(
        self, need: Amounts, unused: Amounts, *, is_first: bool
    ) -> tuple[Admission, Amounts | None]:
        """See `Common`."""
        if self._has_notice():
            return Admission.NEVER, None

        def decide(state: State) -> Amounts | None:
            is_fair = is_first or state.is_fair(need, unused)
            return state.extension(self._shard, need) if is_fair else None

        allowed = self._change(decide)
        state = self._board.state
        if allowed is not None:
            return Admission.NOW, allowed
        if not is_first:
            return Admission.LATER, None
        self.is_short = any(
            each.holder for number, each in enumerate(state.shards) if number != self._shard
        )
        self.is_dry = not self.is_short and state.is_dry()
        return Admission.NEVER if self.is_short or self.is_dry else Admission.NOW, None

    def tell(self, excess: Amounts) -> Amounts | None:
        """See `Common`."""
        is_new = self._needs.are_known and self._needs.ended > self._known_to_all
        if not is_new or self._board.state.seen.ended >= ENOUGH:
            return None
        return self._change(lambda _: NOTHING - excess)

    def unsaid(self) -> Seen:
        """What the others do not know of."""
        count = self._needs.ended - self._known_to_all
        return Seen(ended=count, most=self._needs.most) if count else NONE_SEEN

    def _change(self, by: Callable[[State], Amounts | None]) -> Amounts | None:
        """What the shard is allowed after so much more was set aside."""

        def decide(state: State) -> Extended | None:
            amounts = by(state) if state.is_held(self._shard, self._worker) else None
            if amounts is None:
                return None
            return Extended(shard=self._shard, worker=self._worker, by=amounts, seen=self.unsaid())

        if self._board.change(decide) is None:
            return None
        self._known_to_all = self._needs.ended
        self._hear(self._board.state)
        return self._board.state.shards[self._shard].allowed

    def _hear(self, state: State) -> None:
        """What others saw."""
        others = state.seen.ended - self._known_to_all
        if others > 0:
            self._needs.took(state.seen.most, others)
            self._known_to_all = self._needs.ended
