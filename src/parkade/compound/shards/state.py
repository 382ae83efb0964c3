"""What follows from a log's entries: who holds which shard, and what is left of the budget.

Theory of operation
-------------------
Workers share nothing but a folder. What they agree on is one numbered log (`log`): an entry gets
its number only if its writer has read all entries before it, so each decision is made on the
present state and `apply` never meets a contradiction.

**Leases.** `Taken` gives a shard to a worker until it finishes it, gives it back, or has not shown
life for the term of the lease (`liveness`); then another takes it, with the next *generation*. A
generation has a folder of its own, which begins as a copy of the one before. An earlier worker
that still runs writes where nothing is read any more, and its next entry finds that it lost the
shard.

**Budget.** `allowed` of a shard is what all its generations may have used; a worker asks for more
(`Extended`) before a call's worst case would pass it. So

    Σ allowed + Σ lost  <=  budget        at every entry

and no worker spends what is not in it. A finished shard's `allowed` becomes what it used. Where a
lease was taken from a worker that may still call (it stopped to show life, and nothing says that it
ended), what that worker could use beyond its journal is `lost`: set aside for ever.

**Whole questions.** A worker sets aside what a question may need before it begins it (`share`), so
that what is left pays for whole ones. Where that is refused, it leaves its shard (`GivenBack` with
`is_short`) to those that have begun, and no shard is taken until one of them gave something back,
or it became known that a question needs less. A worker that is alone begins all the same: so one
question at most is begun in vain.

Example, budget 100, two shards: worker a takes shard 0 and sets 25 aside, b takes shard 1 and 20.
a ends with 22 used and gives back 3: 58 are free. b goes silent with 5 in its journal; c takes
shard 1, counts 5 as allowed and 15 as lost, so 58 stay free. Were b an earlier attempt of c's own
workload, which has ended for sure, nothing would be lost and c would go on within the same 20.

**Giving up.** A worker that cannot work says so (`Stopped`). Where the same cause stopped workers
on two machines, or three times, and no worker got further in between, another try is of no use.
"""

import msgspec

from parkade.compound.run.budget import NOTHING, Amounts, Budget
from parkade.compound.run.needs import ENOUGH, largest
from parkade.compound.shards.entries import (
    NONE_SEEN,
    Counted,
    Entry,
    Extended,
    Finished,
    GivenBack,
    Merged,
    Seen,
    Stopped,
    Submitted,
    Taken,
)

#: An extension takes at most this part of what is free, shared among the shards in hand.
EXTENSION_PART = 4
#: As often the same cause ends a run: on so many machines, or so many times.
SAME_MACHINES, SAME_TIMES = 2, 3
#: Stops that are kept.
MOST_STOPS = 20
#: The first extension is for so many calls; later ones double what the shard was allowed.
FIRST_CALLS = 8


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one shard."""

    #: How often it was leased.
    generation: int = 0
    #: The worker that has it; "" where it is free.
    holder: str = ""
    workload: str = ""
    attempt: int = 0
    is_done: bool = False
    #: An earlier worker may still call, and its use is not counted yet.
    is_uncounted: bool = False
    allowed: Amounts = NOTHING
    lost: Amounts = NOTHING
    doubtful: Amounts = NOTHING
    overrun: Amounts = NOTHING
    failed: int = 0
    accepted: int | None = None
    #: What was committed when it stopped for want of budget; None otherwise.
    starved_at: Amounts | None = None


class State:
    """The shards and the budget; `apply` is the only code that changes it."""

    def __init__(self, shards: int) -> None:
        self.shards = [Shard() for _ in range(shards)]
        self.network = ""
        self.budget = Budget()
        self.is_merged = False
        #: Sum over the shards of what is allowed and lost.
        self.committed = NOTHING
        #: What questions took, over all workers.
        self.seen = NONE_SEEN
        #: What was committed when a worker could not set aside what a whole question may need.
        self.short_at: Amounts | None = None
        #: What stopped workers since one got further, the latest last.
        self.stops: tuple[Stopped, ...] = ()

    def apply(self, entry: Entry) -> None:
        """One more entry of the log."""
        match entry:
            case Submitted():
                self._submit(entry)
            case Taken():
                self._take(entry)
            case Counted(shard=number, used=used):
                shard = self._held(number, entry.worker)
                rest = _positive(shard.allowed - used)
                self._put(number, allowed=used, lost=shard.lost + rest, is_uncounted=False)
            case Extended(shard=number, by=by):
                shard = self._held(number, entry.worker)
                self._put(number, allowed=shard.allowed + by)
                self._see(entry.seen)
            case GivenBack(shard=number, used=used):
                shard = self._held(number, entry.worker)
                self._put(number, holder="", allowed=shard.allowed if used is None else used)
                starved_at = self.committed if entry.is_budget_spent else None
                self._put(number, starved_at=starved_at)
                self.short_at = self.committed if entry.is_short else self.short_at
                self._see(entry.seen)
                self.is_merged = False
            case Finished(shard=number):
                self._finish(entry)
            case Merged():
                self.is_merged = True
            case Stopped():
                self.stops = (*self.stops, entry)[-MOST_STOPS:]

    def is_held(self, number: int, worker: str) -> bool:
        """Whether the worker has the shard."""
        return self.shards[number].holder == worker

    def left(self) -> int:
        """Shards that are not done."""
        return sum(not shard.is_done for shard in self.shards)

    def may_take(self, number: int) -> bool:
        """Whether a free shard has something to do that the budget may still pay."""
        shard = self.shards[number]
        if shard.is_done or shard.holder or self._is_starved(shard):
            return False
        is_short = self.short_at is not None and self.short_at.is_within(self.committed)
        return not is_short or not any(each.holder for each in self.shards)

    def is_dry(self) -> bool:
        """Whether a call was refused, and nothing has become free since."""
        return any(map(self._is_starved, self.shards))

    def _is_starved(self, shard: Shard) -> bool:
        return shard.starved_at is not None and shard.starved_at.is_within(self.committed)

    def is_starved(self) -> bool:
        """Whether only money is missing: nothing is held, and nothing left may be taken."""
        return self.left() > 0 and not any(
            shard.holder or self.may_take(number) for number, shard in enumerate(self.shards)
        )

    @property
    def is_given_up(self) -> bool:
        """Whether what stopped the last worker stopped others in the same way, so that another
        would not get further."""
        if not self.stops or self.stops[-1].may_pass:
            return False
        alike = [each for each in self.stops if each.why == self.stops[-1].why]
        machines = {each.node for each in alike}
        return len(machines) >= SAME_MACHINES or len(alike) >= SAME_TIMES

    def extension(self, number: int, need: Amounts) -> Amounts | None:
        """How much to set aside for a shard where `need` is missing; None if it is not left.

        More than is needed, so that few entries are written: as much as the shard has, but at most
        a quarter of an equal share of what is free. What a silent worker may lose is bounded by it.
        """
        if not self.budget.holds(self.committed + need):
            return None
        parts = EXTENSION_PART * (sum(bool(shard.holder) for shard in self.shards) or 1)
        has, budget, committed = self.shards[number].allowed, self.budget, self.committed
        return Amounts(
            _more(need.micros, has.micros, budget.micros, committed.micros, parts),
            _more(need.tokens, has.tokens, budget.tokens, committed.tokens, parts),
            _more(need.calls, has.calls, budget.calls, committed.calls, parts),
        )

    def is_fair(self, need: Amounts, unused: Amounts) -> bool:
        """Whether a shard with so much unused may set more aside for a question beside others: no
        more than an equal share of what is free."""
        holders = sum(bool(shard.holder) for shard in self.shards) or 1
        budget, free = self.budget, unused - self.committed
        wanted = unused + need
        return all(
            limit is None or each * holders <= limit + rest
            for limit, each, rest in (
                (budget.micros, wanted.micros, free.micros),
                (budget.tokens, wanted.tokens, free.tokens),
                (budget.calls, wanted.calls, free.calls),
            )
        )

    def _submit(self, entry: Submitted) -> None:
        is_other = self.network not in ("", entry.network)
        self.network, self.budget, self.is_merged = entry.network, entry.budget, False
        self.stops = ()
        self.short_at = None
        self.seen = NONE_SEEN if is_other else self.seen
        for number, shard in enumerate(self.shards):
            is_open_again = is_other or shard.failed > 0
            self._put(
                number,
                is_done=shard.is_done and not is_open_again,
                failed=0,
                starved_at=None,
                # A worker of another network lost its shard, and may still call.
                is_uncounted=shard.is_uncounted or (is_other and bool(shard.holder)),
                holder="" if is_other else shard.holder,
            )

    def _take(self, entry: Taken) -> None:
        shard = self.shards[entry.shard]
        assert not shard.is_done
        self.stops = tuple(each for each in self.stops if each.had_begun)
        self._put(
            entry.shard,
            generation=shard.generation + 1,
            is_uncounted=shard.is_uncounted or bool(shard.holder and not entry.is_sure),
            holder=entry.worker,
            workload=entry.workload,
            attempt=entry.attempt,
            starved_at=None,
        )

    def _finish(self, entry: Finished) -> None:
        self._held(entry.shard, entry.worker)
        self.stops = ()
        self._put(
            entry.shard,
            holder="",
            is_done=True,
            allowed=entry.spent + entry.doubtful,
            doubtful=entry.doubtful,
            overrun=entry.overrun,
            failed=entry.failed,
            accepted=entry.accepted,
        )
        self._see(entry.seen)
        self.is_merged = False

    def _see(self, seen: Seen) -> None:
        """More is known of what a question needs."""
        if not seen.ended:
            return
        ended = self.seen.ended + seen.ended
        if self.seen.ended < ENOUGH <= ended:
            # What was too much for a whole question may pay for one now.
            self.short_at = None
        self.seen = Seen(ended=ended, most=largest(self.seen.most, seen.most))

    def _held(self, number: int, worker: str) -> Shard:
        shard = self.shards[number]
        assert shard.holder == worker, "only its holder says something of a shard"
        return shard

    def _put(self, number: int, **changes: object) -> None:
        old = self.shards[number]
        new = msgspec.structs.replace(old, **changes)
        self.shards[number] = new
        self.committed = self.committed + (new.allowed + new.lost) - (old.allowed + old.lost)


def _positive(amounts: Amounts) -> Amounts:
    return Amounts(max(0, amounts.micros), max(0, amounts.tokens), max(0, amounts.calls))


def _more(need: int, has: int, limit: int | None, committed: int, parts: int) -> int:
    if limit is None:
        return need
    return max(need, min((limit - committed) // parts, max(FIRST_CALLS * need, has)))
