"""One step of the writer: deadlines, then commands, each decided on the world as it is, evolved
and committed before it is told to any reader; then, on its own, a clearing.

It keeps no thread and reads no clock, so that the simulator runs the very same steps. Whatever
escapes from here but a refusal means that memory and journal may differ: the process must stop.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from parkade.control.answers import Decided, Idempotency, KeptOutcome, decode_outcome
from parkade.control.recover import Recovered
from parkade.control.rules import Rules
from parkade.control.uncollected import uncollected
from parkade.core.billing.charges import transfers_of
from parkade.core.kernel.evolve import evolve
from parkade.core.running.expiry import has_unstarted
from parkade.core.state.chain import link
from parkade.core.state.codec import decode_event, encode_event
from parkade.core.state.commands import AnyCommand, RunClearing
from parkade.core.state.events import (
    EVENT_VERSION,
    AnyEvent,
    ClockAdvanced,
    ClockJumped,
    EpochOpened,
)
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal
from parkade.ports import Batch, DamagedAnswer, JournalEntry, StatedTransfer, Store, StoredAnswer

_log = structlog.get_logger(__name__)

_encode_outcome = msgspec.json.Encoder().encode

# Passing troubles of the server: the same request may fare better, so they are not remembered.
_NOT_KEPT = frozenset({Reason.INTERNAL, Reason.BUSY, Reason.TOO_MANY})

Committed = tuple[tuple[int, AnyEvent], ...]
Outcome = Decided | Refusal
Look = Callable[[World, int], Any]
Show = Callable[[World, int, Decided, Any], Any]
Check = Callable[[World, Any], Refusal | None]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A command and what belongs to the request that brought it; all of it is one turn.

    `idempotency`: the request's name, where it shall have its effect once only. `token`: the name
    of the token it was sent with, refused where that is good no more. `look` finds what the
    command is about before it is decided, or refuses; `check` refuses by what was found, unless the
    request is a repeated one; `show` makes the answer of the world right after the command, the
    decision, and what `look` found. All must be short and take nothing mutable along.
    """

    command: AnyCommand
    idempotency: Idempotency | None = None
    token: str | None = None
    look: Look | None = None
    check: Check | None = None
    show: Show | None = None


class Cycle:
    """The world, its journal, and the only hands that change either.

    `sequence` is the journal's end that `world` stands at.
    """

    def __init__(
        self, recovered: Recovered, store: Store, rules: Rules, *, check_every: int
    ) -> None:
        self.world = recovered.world
        self.sequence = recovered.sequence
        self.refused_internal = 0
        self._store = store
        self._rules = rules
        self._check_every = check_every
        self._unchecked = 0
        self._committed_sequence = recovered.sequence
        self._digest = recovered.digest
        self._events: list[tuple[int, AnyEvent]] = []
        self._answers: dict[tuple[str, str], StoredAnswer] = {}

    @property
    def digest(self) -> str:
        """The journal's digest at its committed end, between batches."""
        return self._digest

    def open(self, command: AnyCommand, now_us: int) -> Committed:
        """The writer's first events, which begin its epoch."""
        events = self._rules.decide(self.world, command, now_us)
        assert not isinstance(events, Refusal) and any(isinstance(e, EpochOpened) for e in events)
        self._evolve(events)
        return self._commit()

    def doubt_clock(self, *, from_us: int, now_us: int) -> Committed:
        """The clock jumped: no clearing until a person confirms it."""
        self._evolve((ClockJumped(at_us=now_us, from_us=from_us),))
        return self._commit()

    def advance_clock(self, *, now_us: int, by_us: int) -> Committed:
        """The present leaps from `now_us`; told where something waits for time in a silent pool, or
        for a first process."""
        pools = self.world.records.pools.values()
        unheard_us = by_us if has_unstarted(self.world) else 0
        if not unheard_us and all(pool.silent_since_us is None for pool in pools):
            return ()
        self._evolve((ClockAdvanced(at_us=now_us, by_us=by_us, unheard_us=unheard_us),))
        return self._commit()

    def note_unheard(self, *, now_us: int, unheard_us: int) -> Committed:
        """Until `now_us` nothing was recorded for so long, as the server began anew; told where
        something waits for a first process."""
        assert unheard_us >= 0
        if not unheard_us or not has_unstarted(self.world):
            return ()
        self._evolve((ClockAdvanced(at_us=now_us, by_us=0, unheard_us=unheard_us),))
        return self._commit()

    def take_deadlines(self, now_us: int, *, limit: int) -> Committed:
        """What is due by now, in order of its time, each at its own; about `limit` events.

        Call it until nothing comes back before anything else is decided.
        """
        while len(self._events) < limit:
            due_us = self._rules.next_deadline_us(self.world)
            if due_us is None or due_us > now_us:
                break
            before = len(self._events)
            self._evolve(self._rules.take_deadline(self.world))
            after_us = self._rules.next_deadline_us(self.world)
            has_moved = len(self._events) > before or after_us != due_us
            assert has_moved, f"the deadline at {due_us} was taken and is still due"
        return self._commit()

    def take_commands(
        self, now_us: int, asked: Sequence[Asked]
    ) -> tuple[tuple[Outcome, ...], Committed]:
        """Decides each in turn and commits them together; the outcomes in the same order."""
        outcomes = tuple(self._execute(one, now_us) for one in asked)
        return outcomes, self._commit()

    def clear(self, clearing: RunClearing, now_us: int) -> tuple[Committed, bool]:
        """One clearing of a market, and of those that bids link with it unless it is cleared apart;
        false where it failed an assertion and nothing changed."""
        try:
            with uncollected():
                decided = self._rules.decide(self.world, clearing, now_us)
        except Exception:  # noqa: BLE001 - a bug in a pure decision changed nothing
            self.clearing_failed(clearing)
            return (), False
        return self.cleared(clearing, decided), True

    def clearing_failed(self, clearing: RunClearing, failure: str | None = None) -> None:
        """Tells of it; `failure`: a traceback where there is no exception at hand."""
        words = {"market": clearing.market, "is_apart": clearing.is_apart, "done": "tried later"}
        if failure is None:
            _log.exception("clearing_failed", **words)
        else:
            _log.error("clearing_failed", **words, exception=failure)

    def cleared(self, clearing: RunClearing, decided: tuple[AnyEvent, ...] | Refusal) -> Committed:
        """What was decided becomes true."""
        if isinstance(decided, Refusal):
            _log.error("clearing_refused", market=clearing.market, reason=decided.reason)
            return ()
        self._evolve(decided)
        return self._commit()

    def decision(self, clearing: RunClearing, now_us: int) -> Callable[[], Any]:
        """To be decided elsewhere, on the world as it is now."""
        return partial(self._rules.decide, self.world, clearing, now_us)

    def _execute(self, asked: Asked, now_us: int) -> Outcome:
        if asked.token is not None and not self._is_good(asked.token, now_us):
            detail = "the token was revoked, or has expired, meanwhile; log in again"
            return Refusal(reason=Reason.UNAUTHENTICATED, detail=detail)
        found = self._look(asked, now_us)
        if isinstance(found, Refusal):
            return found
        outcome = self._decide_once(asked, found, now_us)
        if asked.show is None or isinstance(outcome, Refusal):
            return outcome
        try:
            return replace(outcome, shown=asked.show(self.world, now_us, outcome, found))
        except Exception as error:  # noqa: BLE001 - what was decided stands; the asker gets it
            return replace(outcome, shown=error)

    def _look(self, asked: Asked, now_us: int) -> Any:
        try:
            return None if asked.look is None else asked.look(self.world, now_us)
        except Exception:  # noqa: BLE001 - a bug in a view changed nothing
            return self._internal(asked.command)

    def _is_good(self, name: str, now_us: int) -> bool:
        token = self.world.records.tokens.get(name)
        if token is None:
            return False
        user = self.world.records.users[token.user]
        return token.is_good(user, self.world.records.orgs[user.org], now_us)

    def _decide_once(self, asked: Asked, found: Any, now_us: int) -> Outcome:
        name = asked.idempotency
        if name is not None and (kept := self._recall(name)) is not None:
            return kept
        if asked.check is not None and (refused := asked.check(self.world, found)) is not None:
            return refused
        before = self.sequence
        outcome = self._decide(asked.command, now_us)
        if name is not None and not (isinstance(outcome, Refusal) and outcome.reason in _NOT_KEPT):
            self._remember(name, outcome, before, now_us)
        return outcome

    def _decide(self, command: AnyCommand, now_us: int) -> Outcome:
        try:
            events = self._rules.decide(self.world, command, now_us)
        except Exception:  # noqa: BLE001 - a bug in a pure decision changed nothing
            return self._internal(command)
        if isinstance(events, Refusal):
            return events
        self._evolve(events)
        return Decided(sequence=self.sequence, events=events)

    def _internal(self, command: AnyCommand) -> Refusal:
        self.refused_internal += 1
        _log.exception("command_failed", command=type(command).__name__, by=command.by)
        detail = "a fault of the server; nothing was changed, the server's log says more"
        return Refusal(reason=Reason.INTERNAL, detail=detail)

    def _evolve(self, events: tuple[AnyEvent, ...]) -> None:
        for event in events:
            evolve(self.world, event)
            self.sequence += 1
            self._events.append((self.sequence, event))
            if self._rules.watch is not None:
                self._rules.watch(self.world, event)
            self._unchecked += 1
            if self._is_check_due():
                self._rules.check(self.world)
                self._unchecked = 0

    def _is_check_due(self) -> bool:
        """A check looks at all of the world, so a large one is checked less often: each event pays
        for one node or workload at most."""
        if not self._check_every or self._unchecked < self._check_every:
            return False
        if self._check_every == 1:
            return True
        records = self.world.records
        return self._unchecked >= len(records.nodes) + len(records.workloads)

    def _recall(self, name: Idempotency) -> Outcome | None:
        found = self._answers.get((name.principal, name.key))
        try:
            found = found or self._store.answer(name.principal, name.key)
        except DamagedAnswer as error:
            _log.error("answer_damaged", why=str(error))
            detail = (
                "the answer kept for this request is damaged, so it is not known whether the"
                " request was carried out: look, and send it anew under another key if it was not"
            )
            return Refusal(reason=Reason.INTERNAL, detail=detail)
        if found is None:
            return None
        if found.request_digest != name.request_digest:
            detail = "this idempotency key was used for another request; use a new key"
            return Refusal(reason=Reason.CONFLICT, detail=detail, field="Idempotency-Key")
        kept = decode_outcome(found.body)
        if kept.refusal is not None:
            return kept.refusal
        return Decided(sequence=kept.sequence, events=self._between(kept.after, kept.sequence))

    def _between(self, after: int, sequence: int) -> tuple[AnyEvent, ...]:
        waiting = dict(self._events)
        if after >= self._committed_sequence:
            return tuple(waiting[number] for number in range(after + 1, sequence + 1))
        if after == sequence:
            return ()
        entries = self._store.entries(after=after, limit=sequence - after)
        return tuple(decode_event(entry.body, entry.version) for entry in entries)

    def _remember(self, name: Idempotency, outcome: Outcome, before: int, now_us: int) -> None:
        refusal = outcome if isinstance(outcome, Refusal) else None
        kept = KeptOutcome(after=before, sequence=self.sequence, refusal=refusal)
        self._answers[(name.principal, name.key)] = StoredAnswer(
            principal=name.principal,
            key=name.key,
            request_digest=name.request_digest,
            body=_encode_outcome(kept),
            sequence=self.sequence,
            at_us=now_us,
        )

    def _commit(self) -> Committed:
        if not self._events and not self._answers:
            return ()
        events = tuple(self._events)
        entries = tuple(self._entry(number, event) for number, event in events)
        self._store.commit(
            Batch(
                after=self._committed_sequence,
                entries=entries,
                transfers=tuple(
                    StatedTransfer(
                        sequence=number, position=position, at_us=event.at_us, transfer=transfer
                    )
                    for number, event in events
                    for position, transfer in enumerate(transfers_of(event))
                ),
                answers=tuple(self._answers.values()),
            )
        )
        self._committed_sequence = self.sequence
        self._events.clear()
        self._answers.clear()
        return events

    def _entry(self, sequence: int, event: AnyEvent) -> JournalEntry:
        """The next link of the chain: called once for each event, in order."""
        kind, body = type(event).__name__, encode_event(event)
        epoch = self.world.records.epoch
        self._digest = link(
            self._digest,
            sequence=sequence,
            epoch=epoch,
            at_us=event.at_us,
            type=kind,
            version=EVENT_VERSION,
            body=body,
        )
        return JournalEntry(
            sequence=sequence,
            epoch=epoch,
            at_us=event.at_us,
            type=kind,
            version=EVENT_VERSION,
            body=body,
            digest=self._digest,
        )
