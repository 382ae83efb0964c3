"""Why a workload is where it is, and what would change it: its own reason, its agent's, and the
market's. What is said of a pool or of another org is for operators."""

from collections.abc import Sequence

from parkade.api.translate.scalars import instant, instant_or_none
from parkade.api.views.choices import market_answers, markets_words
from parkade.api.views.clearings import node_names
from parkade.api.views.reasons import SENTENCES, advice, falls_back_words
from parkade.api.views.workloads import Known, array_members, cheapest_winning_limit, moved_words
from parkade.control.answers import Health
from parkade.core.fleet.market import Market
from parkade.core.fleet.pool import Pool
from parkade.core.running.unbegun import begins_by_us
from parkade.core.state.world import World
from parkade.core.units.money import format_amount
from parkade.core.units.phrases import some_of
from parkade.core.workloads.entries import may_buy
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.ranks import kept_by
from parkade.core.workloads.workload import Workload
from parkade.ports import Trouble
from parkade.wire import workloads as wire

UNSEEN = "its agent is there and does not see the pool"


def why(
    known: Known,
    *,
    standstill: str | None,
    sees_all: bool,
    trouble: str | None = None,
    shortage: str | None = None,
) -> wire.Why:
    """Why it is where it is, and what would change it; `standstill`: why nothing starts now;
    `trouble`: what its agent says; `shortage`: what money it lacks.

    `sees_all`: an operator, who is told for whom it is moved by name.
    """
    workload = known.workload
    moved = moved_words(workload, None if sees_all else workload.org)
    markets = market_answers(workload)
    says = _says_members(known) or _says(workload, known.market)
    if standstill is not None and _lacks_room(workload):
        says, standstill = f"{workload.workload} waits: {standstill}", None
    says = f"{says}{_engine_words(known)}{_starts(known)}{_debt(known)}"
    if not workload.phase.is_ended:
        says += markets_words(markets)
    if shortage is not None:
        says = f"{says}; {shortage}"
    if moved is not None:
        says = f"{says}; it was {moved}"
    if may_buy(workload) and workload.has_lost and workload.phase is Phase.QUEUED:
        says = f"{says}; there is no on-demand that its list could buy now either"
    if known.falls_back_us is not None:
        says = f"{says}; it {falls_back_words(known.falls_back_us)}"
    if not known.is_reachable and not workload.phase.is_ended:
        now = "the agent is silent now" if trouble is None else f"now {trouble}"
        says = f"{says}, as its agent last reported; {now}"
        standstill = None
    elif trouble is not None and known.phase is Phase.STARTING:
        says = f"{says}; {trouble}"
    if standstill is not None and not workload.phase.is_ended:
        says = f"{says}; {standstill}"
    return wire.Why(
        workload=workload.workload,
        phase=known.phase.value,
        why=workload.why,
        says=says,
        price_to_win=cheapest_winning_limit(workload),
        not_before=instant_or_none(workload.not_before_us),
        moved=moved,
        markets=markets,
    )


def _lacks_room(workload: Workload) -> bool:
    """Whether it waits for room, which is no reason where nothing starts at all."""
    is_seated = workload.attempt is not None or workload.promise is not None
    return workload.phase is Phase.QUEUED and workload.why == Why.NO_ROOM and not is_seated


def trouble(known: Known, troubles: Sequence[Trouble], *, sees_all: bool) -> str | None:
    """What keeps its attempt from starting, or its pool from being seen; `troubles`: as the pool's
    agent says. What is said of the pool is for those who see all: it may name a machine's files."""
    attempt = known.workload.attempt
    if attempt is None:
        return None
    own = next((one.says for one in troubles if one.attempt == attempt.attempt), None)
    of_pool = next((it.says for it in troubles if it.attempt is None and not it.is_note), None)
    if own is not None or of_pool is None:
        return own
    if sees_all:
        return of_pool
    return None if known.is_reachable else UNSEEN


def standstill(
    world: World, market: str, health: Health, workload: Workload | None = None
) -> str | None:
    """Why nothing starts in a market, or stops where a workload has its seats: no agent there is
    heard and obeys, or an operator drained all of it. Cost grows with the nodes."""
    held = workload and (workload.attempt or workload.promise)
    own = world.pool_of(held.seats) if held else None
    nodes = [node for node in world.records.nodes.values() if node.market == market]
    names = {node.pool: None for node in nodes}
    if own is None and nodes and all(node.draining_us is not None for node in nodes):
        told = some_of(list(names), most=5)
        return (
            f"nothing starts there now: an operator takes all nodes of {told} out of use (drained)"
        )
    pools = [own] if own is not None else [world.records.pools[name] for name in names]
    states = [(pool, _trouble(pool, health)) for pool in pools]
    if not states or not all(trouble for _, trouble in states):
        return None
    told = "; ".join(f"the agent of {pool.pool} {trouble}" for pool, trouble in states)
    return f"nothing starts there now: {told}"


def _trouble(pool: Pool, health: Health) -> str | None:
    if pool.pool in health.refusing_pools:
        return "refuses this server's orders, as after a restore, until an operator has looked"
    if pool.is_reachable:
        return None
    if pool.pool in health.engine_silent_pools:
        return f"is there, and {pool.engine} does not answer it"
    return "was never heard" if pool.first_heard_us is None else "is silent"


def _says_members(known: Known) -> str:
    """Where the members of an array are; empty for all else, and once it has ended."""
    name, members = known.workload.workload, array_members(known)
    if members is None or known.workload.phase is not Phase.QUEUED:
        return ""
    parts = [f"{number} {phase}" for phase, number in members.open.items()]
    parts += [f"{members.waiting} not open yet"] if members.waiting else []
    ended = {it: getattr(members, it) for it in ("succeeded", "failed", "cancelled", "expired")}
    parts += [f"{number} {word}" for word, number in ended.items() if number]
    words = ", ".join(parts)
    return f"{name} has {members.total} members: {words}; ask why of one, like {name}_{_one(known)}"


def _one(known: Known) -> int:
    terms = known.workload.spec.array
    assert terms is not None
    return terms.members[0][0]


def _says(workload: Workload, market: Market | None) -> str:
    name, attempt = workload.workload, workload.attempt
    if workload.phase.is_ended:
        reasons = (SENTENCES.get(workload.why, workload.why), workload.exit_summary)
        return f"{name} {workload.phase}: " + "; ".join(reason for reason in reasons if reason)
    if attempt is not None and attempt.stop is not None:
        deadline = f"{instant(attempt.stop.deadline_us):%H:%M:%S} UTC"
        cause = attempt.stop.cause.replace("_", " ")
        return f"{name} was told to leave by {deadline}: {cause}"
    if attempt is not None:
        return f"{name} is {workload.phase} on {node_names(attempt.seats)}"
    if workload.promise is not None:
        wait = workload.promise.own_wait
        if wait is not None and wait.names:
            leaving = f"{some_of(wait.names, most=5)} has left"
            if workload.promise.owes_minimum:
                # Those may be of other orgs, which are not named.
                leaving = "what leaves for it is gone"
            return f"{name} waits until {leaving}; its idle seats count as held"
        return f"{name} has its seats promised and waits until they are free"
    is_held = workload.phase is Phase.HELD and workload.why != Why.DEPENDENCY
    key = Why.HELD if is_held else workload.why
    sentence = SENTENCES.get(key, key)
    if workload.waits_for:
        sentence += f": {some_of([str(it) for it in workload.waits_for], most=5)}"
    if key == Why.NOT_ADMITTED and workload.not_before_us:
        sentence += f", next after {instant(workload.not_before_us):%H:%M:%S} UTC"
        sentence += f"; it said: {workload.exit_summary}" if workload.exit_summary else ""
    if key == Why.BACK_OFF:
        sentence += f", until {instant(workload.not_before_us):%H:%M:%S} UTC"
        sentence += f"; the last time: {workload.exit_summary}" if workload.exit_summary else ""
    # Of several markets each says what would win.
    price = None if workload.spec.choices else workload.price_to_win_micros
    return f"{name} waits: {sentence}{advice(price, market, workload.spec.gpus)}"


def _engine_words(known: Known) -> str:
    """What is to be said of an engine that cannot change live work, or of which that is not
    known."""
    workload = known.workload
    attempt = workload.attempt
    if not workload.spec.is_live or workload.phase.is_ended:
        return ""
    if attempt is None:
        if known.untold_until_us is None:
            return ""
        return (
            "; the agent there has not said whether its engine changes work that runs, and it waits"
            f" for that (resize: restart does not) until {_clock(known.untold_until_us)}; then it"
            " is started so that it restarts where its nodes change"
        )
    if attempt.can_resize:
        return ""
    return "; its engine changes nothing that runs, so it restarts where its nodes change"


def _starts(known: Known) -> str:
    """What is to be said of ranks that joined and have not begun, or did not in time."""
    attempt = known.workload.attempt
    if attempt is None or attempt.stop is not None:
        return ""
    says, waits = "", [it for it in kept_by(attempt.ranks) if not it.has_begun]
    if waits:
        limit_us = None if known.market is None else known.market.terms.start_limit_us
        by_us = None if limit_us is None else begins_by_us(attempt, limit_us)
        ends = "" if by_us is None else f"; what has not by {_clock(by_us)} leaves again"
        names = some_of((f"{it.rank} on {it.seat.node}" for it in waits), most=6)
        says = f"; it waits for ranks that join and cost nothing yet: {names}{ends}"
    if attempt.grows_from_us > known.now_us:
        from_us = _clock(attempt.grows_from_us)
        says += f"; a rank that joined did not begin in time, so none joins before {from_us}"
    return says


def _clock(at_us: int) -> str:
    return f"{instant(at_us):%H:%M:%S} UTC"


def _debt(known: Known) -> str:
    if known.debt_micros == 0:
        return ""
    cost = f"giving its seats up now costs {format_amount(known.debt_micros)}"
    holder = known.workload.promise or known.workload.attempt
    has_displaced = holder is not None and holder.owes_minimum
    return f"; others were told to leave for it, so {cost}" if has_displaced else f"; {cost}"
