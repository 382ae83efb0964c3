"""A workload, its attempts and promises, as frozen records that `evolve` replaces."""

from collections.abc import Iterable

import msgspec

from parkade.core.fleet.seat import Seat
from parkade.core.workloads.array import ArrayState
from parkade.core.workloads.choice import Answer
from parkade.core.workloads.deadline import Fallback
from parkade.core.workloads.dependency import Dependency
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.moves import MoveCause
from parkade.core.workloads.spec import Spec


class Rate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a workload pays from `from_us` on, until the next rate."""

    from_us: int

    price_micros: int
    """Per GPU-hour; 0 where a reservation pays. Where each node has its price: their mean, rounded
    up, which is shown and never charged."""

    shares: tuple[tuple[str, int], ...]
    """(account, micro-units per hour) that it earns; all together the price of all GPUs."""

    floor_micros: int | None = None
    """The highest guest floor that its seats drew when all its nodes were last open, per GPU-hour.
    None where no floor bears on it, and in older journals."""

    node_prices: tuple[int, ...] = ()
    """Of an elastic workload, what each of its nodes costs per GPU-hour, never falling. Empty: all
    cost `price_micros`."""

    gpus: int | None = None
    """Of a live attempt: of how many GPUs, whatever it has later. None: of all that the holder
    has."""

    waiting_prices: tuple[int, ...] = ()
    """Of a live attempt, what the nodes of ranks that have not begun cost once these have, never
    falling; beside `node_prices`."""

    waiting_shares: tuple[tuple[str, int], ...] = ()
    """(account, micro-units per hour) that those will earn."""

    def parts(self, gpus: int) -> tuple[tuple[int, int], ...]:
        """(GPUs, price per GPU-hour) of those of so many GPUs in all that cost alike."""
        gpus = gpus if self.gpus is None else self.gpus
        if not self.node_prices:
            return ((gpus, self.price_micros),)
        each, rest = divmod(gpus, len(self.node_prices))
        assert rest == 0, "a node without a price"
        prices = dict.fromkeys(self.node_prices)
        return tuple((each * self.node_prices.count(it), it) for it in prices)

    def per_hour_micros(self, gpus: int) -> int:
        """What so many GPUs, those of all its seats, cost per hour."""
        gpus = gpus if self.gpus is None else self.gpus
        if not self.node_prices:
            return self.price_micros * gpus
        return sum(part * price for part, price in self.parts(gpus))


class Stop(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A notice that was given; never withdrawn, only brought forward."""

    noticed_us: int
    """When the first notice was given."""

    deadline_us: int
    """When what is still there gets TERM."""

    kill_us: int
    """When what is still there gets KILL; nothing is billed after it."""

    cause: Cause
    """Of the latest notice."""


class RankLeaving(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rank of a live attempt was told to leave, and the others go on."""

    stop: Stop

    price_micros: int
    """What it costs until it has left, per GPU-hour; 0 where its node failed."""

    priced_us: int
    """Since when it costs that: no rate from before has this price, so it left no earlier."""

    shares: tuple[tuple[str, int], ...]
    """(account, micro-units per hour) that it earns until then; together its price."""

    is_due: bool = False
    """Whether its org's own doing takes its seat, so that no cause excuses what it owes."""

    begun_micros: int = 0
    """Of one that was not seen to have begun: what it costs per GPU-hour where it had."""

    begun_shares: tuple[tuple[str, int], ...] = ()
    """(account, micro-units per hour) that it earns then."""


class RankStart(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The start of a rank that joined an attempt."""

    begun_us: int | None
    """When it was seen to have begun; until then it costs nothing. None: it was not yet."""

    silent_us: int = 0
    """How long its agent was not heard between its joining and that."""


class Rank(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rank of an attempt whose ranks come and go. Number and `since` name it: a number is given
    again once its rank has left."""

    rank: int
    seat: Seat

    since: int
    """The count of changes (`Attempt.resizes`) with which it came; 0: it began with the attempt."""

    joined_us: int

    leaving: RankLeaving | None = None
    """None: it stays."""

    owed: Rate | None = None
    """The rate at which `minimum_charge` is owed from `joined_us` on, because others were told to
    leave for it; None: it owes none."""

    start: RankStart | None = None
    """Of one that joined; None: it began with its attempt, and in journals of before the start of
    those that join was waited for."""

    @property
    def has_begun(self) -> bool:
        """Whether it was seen to run, or nothing waits for that."""
        return self.begun_us is not None

    is_due: bool = False
    """Whether all of it leaves for its org's own doing, so that no cause excuses what it owes."""

    @property
    def begun_us(self) -> int | None:
        """Since when it runs and is paid for; None: it has not begun."""
        return self.joined_us if self.start is None else self.start.begun_us

    def used_us(self, at_us: int) -> int:
        """For how long it has run at an instant."""
        return 0 if self.begun_us is None else max(0, at_us - self.begun_us)


class Debt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a winner owes for having made others leave: `minimum_charge`, unless it runs that long.
    It follows the seats, from the promise to the attempt and to another org that takes them over.
    """

    nodes: tuple[str, ...]
    """Those of its nodes that others were told to leave."""

    notice_ends_us: int
    """When the last of their notices ends; a late start counts from the start grace after it."""

    is_paid: bool = False
    """Whether the minimum was charged already, because the bid was lowered or the seats were taken
    over from a promise that had to pay; a late start is still charged."""

    is_due: bool = False
    """Whether its attempt leaves for another bid of its own org, so that no cause excuses it."""

    outbid_micros: tuple[int, ...] = ()
    """For each of `nodes`, what those that were outbid there had bid per hour for its GPUs, less
    the switching credit; 0 of those that are moved. Empty: all 0, and in journals of before this
    was kept."""

    def outbid_on(self, node: str) -> int:
        """What those that were outbid on a node had bid per hour for its GPUs."""
        return dict(zip(self.nodes, self.outbid_micros, strict=False)).get(node, 0)


class OwnWait(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Idle seats of a promise that work of its own org, or that it outbid, keeps from starting."""

    names: tuple[str, ...]
    """Workloads of its org that still leave, by their org's own doing, seats that it is promised,
    and those that leave the nodes of its debt; itself, where it leaves its seats for these by its
    own choice. Empty: they have left."""

    gpus: int
    """GPUs of its seats that are free meanwhile."""

    since_us: int
    """Since when so many."""

    gpu_us: int
    """GPUs x microseconds that it held so before."""

    def held_gpu_us(self, now_us: int) -> int:
        """GPUs x microseconds up to now."""
        if not self.names:
            return self.gpu_us
        return self.gpu_us + self.gpus * max(0, now_us - self.since_us)


class Promise(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Seats that a workload will have once they are free."""

    seats: tuple[Seat, ...]
    """In order of rank, all in one pool."""

    promised_us: int
    """When a clearing promised them."""

    displaces: bool
    """Whether others were given notice for it; giving it up then costs the minimum charge."""

    busy: int
    """How many of the seats others still held when they were promised."""

    rates: tuple[Rate, ...]
    """One rate: what it pays once it runs."""

    debt: Debt | None = None
    """Where it displaces; None there in journals of before debts followed the seats."""

    own_wait: OwnWait | None = None
    """Where it waits, or waited, for such work; None in journals of before this was."""

    follows_protected: bool = False
    """Whether a bid that comes before it waited for room of others that no bid pushes out. Then
    nothing keeps its own seats: else such a bid would wait for ever, while what comes later takes
    each room that becomes free."""

    market: str | None = None
    """Where its seats are, while the attempt beside it leaves another market; None: in the
    workload's."""

    def waited_us(self, now_us: int) -> int:
        """For how long it held its seats idle for its own org, counted on all its GPUs."""
        return 0 if self.own_wait is None else self.own_wait.held_gpu_us(now_us) // self.gpus

    @property
    def owes_minimum(self) -> bool:
        """Whether others had to leave for it and the minimum charge is not paid yet."""
        return self.displaces and not (self.debt is not None and self.debt.is_paid)

    @property
    def gpus(self) -> int:
        """GPUs of all its seats."""
        return sum(seat.gpus for seat in self.seats)


class Admission(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """On what terms a bid got its seats, where its market lets it keep them for a while."""

    min_runtime_us: int
    """So long after its start no other bid takes them."""

    price_micros: int
    """What it pays at most meanwhile, per GPU-hour, but for a floor that rises."""

    node_prices: tuple[int, ...] = ()
    """Of each node of an elastic workload; empty for others."""

    def is_met_by(self, limit_micros: int | None) -> bool:
        """Whether a bid is still as high as what it agreed to pay; a lower one gives its seats
        up, and so does what bids no more."""
        return limit_micros is not None and limit_micros >= max(
            (self.price_micros, *self.node_prices)
        )


class Attempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One run on given seats, fenced by its generation."""

    attempt: str
    """`w1.2`: the workload's id and the generation."""

    generation: int
    """Counts the workload's attempts from 1; orders of an older one are refused."""

    seats: tuple[Seat, ...]
    """In order of rank, all in one pool."""

    ordered_us: int
    """When it was launched; nothing before it is billed."""

    displaced: bool
    """Whether others had to leave for it."""

    started_us: int | None
    """When its agent saw the first process; None before."""

    stop: Stop | None
    """The notice it has; None: it stays."""

    broken_us: int | None
    """When a node of it failed; nothing after it is billed. None: all its nodes are well."""

    rates: tuple[Rate, ...]
    """From the one in force where posting stands, in order of time; at least one."""

    charged_until_us: int
    """Where posting stands: use before it was charged or cut off."""

    charged_numerator: int
    """What is accrued below one micro-unit: micro-units per hour x microseconds, below 3.6e9."""

    posted_us: int
    """When use was last posted; at first, when it was launched."""

    billed_us: int
    """The time posted so far."""

    checkpoint_step: int | None
    """Of the last checkpoint that this attempt reported; None: none yet."""

    checkpoint_us: int | None
    """When that checkpoint was finished."""

    launch_sequence: int | None = None
    """The journal's sequence of its launch; None in journals of version 1."""

    debt: Debt | None = None
    """That of the promise it was launched from."""

    silent_us: int = 0
    """How long its agent was not heard between the order and the first process."""

    is_lost_to_own: bool = False
    """Its notice came because a bid or a right of its own org took its seats or moved it, or by its
    own choice."""

    lease_us: int | None = None
    """How long it runs on without the control plane; None: for ever."""

    charged_micros: int = 0
    """What was charged for it so far; not counted in journals of before this was kept."""

    waited_us: int = 0
    """For how long its promise held its seats idle for its own org, counted on all its GPUs."""

    admission: Admission | None = None
    """None where no term of its market protects its seats, and in journals of before one could."""

    ranks: tuple[Rank, ...] = ()
    """Of a live one whose ranks changed: those of `seats`, in the same order. Empty: its ranks are
    those that it began with, numbered in order of its seats."""

    resizes: int = 0
    """How often its ranks changed, or one of them was told to leave."""

    full_rate: Rate | None = None
    """What all its ranks that stay cost once all have begun; None: they have."""

    unbegun: int = 0
    """How many of its ranks were told to leave because they did not begin in time."""

    can_resize: bool = True
    """Of live work: whether its engine starts and ends single ranks while it runs. Else it restarts
    where its number of nodes changes. True in journals of before this was kept."""

    grows_from_us: int = 0
    """Until then no rank joins it, because one did not begin; 0: all did."""

    @property
    def kept_seats(self) -> tuple[Seat, ...]:
        """Its seats without those of ranks that were told to leave while the others go on."""
        if not self.ranks:
            return self.seats
        return tuple(it.seat for it in self.ranks if it.leaving is None)

    def new_of(self, seats: Iterable[Seat]) -> tuple[Seat, ...]:
        """Those of these seats that are on nodes which it has not, or is leaving."""
        kept = {seat.node for seat in self.kept_seats}
        return tuple(it for it in seats if it.node not in kept)

    def stop_on(self, node: str) -> Stop | None:
        """The notice for what it has on a node; None: that stays."""
        for it in self.ranks:
            if it.seat.node == node and it.leaving is not None:
                own = it.leaving.stop
                is_first = self.stop is None or own.kill_us <= self.stop.kill_us
                return own if is_first else self.stop
        return self.stop

    def keeps_seats_until_us(self, limit_micros: int | None, now_us: int) -> int | None:
        """Until when no other bid takes its seats, while its nodes are open; None where nothing
        keeps them: no term of its market, or that is over, it has not started, has its notice or a
        broken node, or its bid is lower than what it agreed to pay."""
        agreed = self.admission
        if agreed is None or self.started_us is None or not agreed.is_met_by(limit_micros):
            return None
        if self.stop is not None or self.broken_us is not None:
            return None
        until_us = self.started_us + agreed.min_runtime_us
        return until_us if until_us > now_us else None

    @property
    def owes_minimum(self) -> bool:
        """Whether others had to leave for it and the minimum charge is not paid yet."""
        return self.displaced and not (self.debt is not None and self.debt.is_paid)

    @property
    def gpus(self) -> int:
        """GPUs of all its seats: what is charged for."""
        return sum(seat.gpus for seat in self.seats)


class Unstarted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An attempt of an org that held seats and ended before its first process, by the org's own
    doing: the first of a day."""

    workload: str
    at_us: int


class Unadmitted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user of whom a market's engine took no job (`running.unadmitted`)."""

    times: int
    """How often in a row, those within one wait counted once."""

    at_us: int
    """Last."""

    until_us: int
    """Until then no work of the user takes part there."""

    has_started: bool = False
    """Whether work of the user was started there since."""


class Workload(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Everything known of a workload that has not been forgotten."""

    workload: str
    """`w1`."""

    org: str
    """Pays for it."""

    user: str
    """Submitted it."""

    market: str
    """Where its attempt is, or its promise, or where it waits; of several, the first that it
    names."""

    spec: Spec
    phase: Phase

    why: str
    """Why it waits, leaves or ended: a `Why`, `WaitReason` or `Cause`; empty while it runs."""

    price_to_win_micros: int | None
    """The cheapest limit that would win in the last clearing; None: none would, or it has won."""

    submitted_us: int

    generation: int
    """Of its latest attempt; 0 before the first."""

    attempt: Attempt | None
    """None while nothing of it is known to run."""

    promise: Promise | None
    """None: no seats are promised. Beside an attempt, those it goes on to."""

    failures: int
    """Ends that were its own doing, over all attempts."""

    preemptions: int
    """Ends under a notice, over all attempts; never failures."""

    spent_micros: int
    """What was posted for it, over all attempts."""

    not_before_us: int
    """The end of its back-off after repeated early preemption; 0: none."""

    must_end_us: int | None
    """When its seats must be free again: `max_duration` after its first start, or the end of its
    on-demand window. None: no end, or not started."""

    agreed_price_micros: int | None
    """On-demand: the price per GPU-hour at which it was accepted, or its window bought; None for
    other capacity."""

    fabric: str | None
    """On-demand: the fabric with its window in the calendar; None for other capacity."""

    is_budget_noted: bool
    """Whether the event at 80 % of `max_spend` was made."""

    short_us: int | None
    """On a reservation: since when it is short of nodes that it would have were all nodes well, as
    far as that was not credited yet; None: it is not."""

    ended_us: int | None
    """When it ended; it is forgotten a retention later. None: it lives."""

    checkpoint_step: int | None
    """Of the last checkpoint of any attempt; None: none yet."""

    price_set_by: str | None
    """The rival that set its price; None where a floor or an agreed price did."""

    exit_summary: str
    """How the ranks of its last ended attempt exited, in one line; empty before."""

    exit_code: int | None = None
    """Of its last ended attempt, as a shell has it; None before, where it is not known, and where
    that attempt ended before this was kept."""

    pool: str | None = None
    """Of its latest attempt; None before the first."""

    short_gpus: int | None = None
    """Of how many GPUs it is short; None: of all, in journals of before this was said."""

    moved: MoveCause | None = None
    """Why it was moved to the seats that it has or is promised; None where it was not."""

    released_us: int | None = None
    """When it was last released from being held; None: it never was, or in a journal of before
    this was kept."""

    bids_since_us: int | None = None
    """When it lost a clearing for the first time with a bid that could win, after clearings in
    which its limit was below every floor, or it had no money; None: it never was so."""

    waits_for: tuple[Dependency, ...] = ()
    """Those of its spec's that are not met yet; it is held while there is one."""

    first_started_us: int | None = None
    """When the first process of any attempt was seen; None: none was yet, or it was forgotten in a
    snapshot of before this was kept. Of an array: since when each member has started or ended."""

    array: ArrayState | None = None
    """Of an array, which itself never has seats; its counts and costs are those of all members."""

    member_of: str | None = None
    """The array that it is a member of."""

    index: int | None = None
    """Its index there; None where it is no member."""

    has_lost: bool = False
    """Whether it found no seats in the last clearing in which it took part, since it last had some,
    and since its bid last changed."""

    attempts_before: int = 0
    """Of one that was submitted again, or a member that was retried: the number from which its
    attempts are numbered on. 0 as well where it was submitted again before this was kept of it."""

    fallback: Fallback | None = None
    """The on-demand window that is kept for it; None: it has no deadline, or has fallen back."""

    window_from_us: int | None = None
    """Since when its on-demand window is in the calendar, where it fell back, or its list bought
    it; None: since it was submitted, or it has none."""

    window_price_micros: int | None = None
    """Of a list with on-demand, the price per GPU-hour at which it buys its window, agreed with the
    submission; None for others."""

    saved_us: int = 0
    """Of one with a deadline: how much of its running ended attempts have saved."""

    answers: tuple[Answer, ...] = ()
    """Of a bid with several markets: of those that its last clearings asked before it won, or all
    where it waits. Empty for others."""

    @property
    def bids_in(self) -> str:
        """The market of its promise, or else of its attempt or its turn."""
        promise = self.promise
        return self.market if promise is None or promise.market is None else promise.market

    @property
    def on_demand_price_micros(self) -> int | None:
        """What on-demand costs it per GPU-hour: as it is, or as its list would buy it; None where
        it never is."""
        agreed = self.agreed_price_micros
        return self.window_price_micros if agreed is None else agreed

    @property
    def attempts(self) -> int:
        """How many it had since it was opened or submitted again, the present one included."""
        return self.generation - self.attempts_before

    @property
    def ranks(self) -> int:
        """How many ranks it has or is promised; where it has none, those that it needs at least."""
        if not self.spec.is_elastic:
            return self.spec.nodes
        if self.promise is not None:
            return len(self.promise.seats)
        return len(self.attempt.kept_seats) if self.attempt is not None else self.spec.nodes

    @property
    def is_live(self) -> bool:
        """Whether the ranks of its attempt may come and go while it runs."""
        return self.spec.is_live and self.attempt is not None and self.attempt.can_resize

    @property
    def changes_live(self) -> bool:
        """Whether ranks may join and leave its attempt now: it is live, runs, and nothing of it
        but single ranks is to leave."""
        attempt = self.attempt
        if attempt is None or not self.is_live or attempt.started_us is None:
            return False
        return attempt.stop is None and attempt.broken_us is None
