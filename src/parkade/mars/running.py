"""Mars alone: polls sensors, judges, tells, and drains where it may. Observes only by default.

One round: poll every sensor; feed the watch; let windows close; drain for what is allowed; serve
the metrics; send the alerts. A round is a plain method, so a test plays rounds without a clock. The
loop, `run`, looks at logs about each second, so that no verdict waits for a round; it polls all
other sensors once a round, drains (`draining`) and sends alerts (`telling`) aside, so that nothing
that hangs delays a look. What goes wrong in one part is said (metric, log line) and never stops the
others. The end waits for the command and the call that are under way, within their time-outs.

Where a journal is named, a restart judges no line of a log again, what stood goes on standing, and
what was held is asked for again (`keeping`); nodes that were drained lately count in the budgets.
"""

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from parkade.core.healing.guards import BreakerState, GuardLimits, HoldReason
from parkade.core.healing.parents import ParentLimits, Suspicion
from parkade.core.healing.policy import Policy
from parkade.core.healing.symptom import Symptom, signals_of
from parkade.core.healing.topology import NodePlace, ParentKind
from parkade.core.healing.verdict import Level, Verdict
from parkade.core.healing.watch import Decision, FleetWatch, WatchSettings, asks
from parkade.core.units.time import SECOND_US
from parkade.mars.alerting import ROUNDS_AHEAD, TIMEOUT_S, alert_of
from parkade.mars.aside import Aside
from parkade.mars.draining import Draining
from parkade.mars.drains import Drains
from parkade.mars.holding import GuardWords, Held, held_by, some
from parkade.mars.keeping import Keeping
from parkade.mars.log_states import LogStates
from parkade.mars.metrics import Metrics
from parkade.mars.run_file import NodeEntry, RunFile
from parkade.mars.sensing import engine_sensor, node_sensors, sharers
from parkade.mars.standing import StandingVerdicts
from parkade.mars.telling import AlertTelling
from parkade.ports import Sensor
from parkade.sensors.live import ENGINE_REPORTER
from parkade.sensors.polling import READ, Polled, grouped, logs_pause_s
from parkade.sensors.slurm_nodes import drained_in

SHORTEST_S = 0.01
"""Between two looks for windows that close, whatever the clocks say."""
BUSY_S = 0.05
"""Between two looks for the outcome of a drain or a call to Alertmanager that is under way."""
Now = Callable[[], int]


class MarsRunner:
    """See the module; `sensors` are by node, each in the order in which it is polled. `unread`:
    the sensors that failed when they were polled last, by node and sensor, and why."""

    def __init__(
        self,
        file: RunFile,
        policy: Policy,
        sensors: dict[str, tuple[Sensor, ...]],
        *,
        now: Now,
    ) -> None:
        self.metrics = Metrics(policy=policy.version, acts=file.act)
        self._file = file
        self._logs, self._others = grouped(sensors)
        self._states: dict[tuple[str, str], str] = {}
        self._log_states = LogStates(file.nodes, self.metrics)
        self._now = now
        self._log = structlog.get_logger("parkade.mars")
        settings = WatchSettings(
            policy=policy,
            guards=GuardLimits(),
            parents=ParentLimits(),
            acts=file.act,
            defers=True,
        )
        every = frozenset(entry.node for entry in file.nodes)
        self._watch = FleetWatch(
            tuple(_place(entry) for entry in file.nodes),
            settings,
            own_nodes={ENGINE_REPORTER: every},
        )
        # What is over is told anew only by a new burst, so it stands as long as a burst may.
        resolve_us = round(file.resolve_after.total_seconds() * SECOND_US)
        self._standing = StandingVerdicts(max(resolve_us, policy.windows.burst_gap_us))
        self._observed: dict[str, Held] = {}
        self.unread: dict[tuple[str, str], str] = {}
        self._over: list[Verdict] = []
        self._engine_drained: frozenset[str] = frozenset()
        self._suspected: dict[tuple[ParentKind, str], Suspicion] = {}
        self._words = GuardWords(self._watch, names_fabrics=file.names_fabrics)
        self._draining = self._drains_of(file)
        self._telling = AlertTelling(file.alertmanager, self.metrics) if file.alertmanager else None
        self._keeping = Keeping(
            file,
            policy,
            watch=self._watch,
            standing=self._standing,
            draining=self._draining,
            logs=self._logs,
        )
        self._keeping.resume(now())
        self._log_states.begin(self._logs, now())
        if not file.act:
            asking = filter(asks, self._standing.verdicts())
            self._observed = {each.verdict: held_by(HoldReason.OBSERVE_ONLY) for each in asking}

    def round(self) -> tuple[Decision, ...]:
        """Every sensor once, and all that follows; returns what was decided."""
        decisions = self._see_logs(self._logs.poll(self._now))
        decisions += self._see_others(self._others.poll(self._now))
        self._try_again()
        if self._draining is not None:
            self._draining.finish(self._now)
        self._tell()
        if self._telling is not None:
            self._telling.finish()
        return tuple(decisions)

    def run(self, stopped: threading.Event) -> None:
        """Until stopped: looks at the logs, rounds of the other sensors beside them, and windows
        that are closed as they are due."""
        every_s = self._file.every.total_seconds()
        others = Aside(lambda: self._others.poll(self._now))
        round_s = time.monotonic()
        while not stopped.is_set():
            began_s = time.monotonic()
            is_round = began_s >= round_s
            if is_round:
                round_s = began_s + every_s
                others.start()
                self._try_again()
            looked = self._logs.poll(self._now)
            self._at_once(self._see_logs(looked))
            if is_round:
                self._tell()
            is_behind = self._logs.is_behind
            pause_s = logs_pause_s(every_s, looked.spent_s, is_behind=is_behind)
            look_s = (time.monotonic() if is_behind else began_s) + pause_s
            while not stopped.is_set() and (left_s := look_s - time.monotonic()) > 0:
                stopped.wait(self._until_due_s(left_s))
                self._at_once(self._see([]))
                polled = others.take()
                if polled is not None:
                    self._at_once(self._see_others(polled))

    def close_windows(self) -> tuple[Decision, ...]:
        """What the windows that closed by now found, and all that follows; returns what was
        decided. For a caller that plays rounds, as `round` is."""
        decisions = self._see([])
        if self._draining is not None:
            self._draining.finish(self._now)
        self._at_once(decisions)
        return tuple(decisions)

    def waits_for(self) -> str | None:
        """What `close` would wait for now, in words; None for nothing."""
        command = None if self._draining is None else self._draining.running
        if command is not None:
            left_s = max(0.0, command.ends_s - time.monotonic())
            return f"{command.program} on {command.node}, which is ended in {left_s:.0f} s"
        if self._telling is not None and self._telling.is_under_way:
            return f"Alertmanager, at most {TIMEOUT_S:.0f} s"
        return None

    def close(self) -> None:
        """Waits for the drain and the call that are under way, and lets go of every sensor."""
        if self._draining is not None:
            self._draining.close(self._now())
        if self._telling is not None:
            self._telling.close()
        self._keeping.save(self._now(), is_end=True)
        self._logs.close()
        self._others.close()

    def _see_logs(self, polled: Polled) -> list[Decision]:
        """Judges what the logs gave, and notes how far they were read."""
        decisions = self._see(polled.symptoms)
        self._keeping.note(self._now())
        self._sensed(polled)
        self.metrics.looked.set(self._now() / SECOND_US)
        self._log_states.show(self._logs, self._now())
        return decisions

    def _see_others(self, polled: Polled) -> list[Decision]:
        """Judges what the other sensors gave; a round of them has ended."""
        decisions = self._see(polled.symptoms)
        if self._draining is not None:
            self._draining.returned(self._returned(polled))
            # A second kind of sensor may confirm by now what was held for the want of it.
            self._draining.ask_held(self._now())
        self._sensed(polled)
        self.metrics.polled.set(self._now() / SECOND_US)
        self.metrics.poll_seconds.set(polled.took_s)
        return decisions

    def _returned(self, polled: Polled) -> frozenset[str]:
        """Nodes that the engine called drained at the last look, and does not now."""
        if not any(
            node == ENGINE_REPORTER and it == READ for (node, _), it in polled.states.items()
        ):
            return frozenset()
        before, self._engine_drained = self._engine_drained, drained_in(polled.symptoms)
        return before - self._engine_drained

    def _see(self, symptoms: Sequence[Symptom]) -> list[Decision]:
        """Judges symptoms, closes windows, and does what was decided."""
        decisions = list(self._watch.tick(self._now()))
        for symptom in symptoms:
            decisions += self._take(symptom)
        decisions += self._watch.tick(self._now())
        for decision in decisions:
            self._decided(decision)
        return decisions

    def _at_once(self, decisions: Sequence[Decision]) -> None:
        """What was decided, or came of a drain, waits for no round to be shown and told."""
        has_changed = self._draining is not None and self._draining.go_on(self._now())
        if self._telling is not None:
            self._telling.go_on()
        if decisions or has_changed:
            self._keeping.save(self._now())
            self._show_standing()
            self._alert((), self._now())

    def _tell(self) -> None:
        """What is done once a round, whether or not the sensors have answered."""
        now_us = self._now()
        self._expire(now_us)
        over, self._over = self._over, []
        self._keeping.save(now_us)
        self._show_standing()
        self._show_suspected()
        self.metrics.breaker_open.set(self._watch.fleet.state is BreakerState.OPEN)
        self.metrics.fabrics.now(
            {
                (name,): int(breaker.state is BreakerState.OPEN)
                for name, breaker in self._watch.fabrics.items()
            }
        )
        self._alert(over, now_us)

    def _show_suspected(self) -> None:
        """What is suspected, by name; told once when that begins, and when it is over."""
        found = {(each.kind, each.name): each for each in self._watch.suspicions()}
        self.metrics.suspected.set(len(found))
        self.metrics.parents.now({(kind.value, name): 1 for kind, name in found})
        for key, each in found.items():
            if key not in self._suspected:
                self._log.error("suspected", what=self._words.name(each), nodes=some(each.nodes))
        for key, each in self._suspected.items():
            if key not in found:
                self._log.info("suspected no more", what=self._words.name(each))
        self._suspected = found

    def _until_due_s(self, left_s: float) -> float:
        """Until the next window closes, at most `left_s`."""
        due_us = self._watch.next_due_us()
        if any(each is not None and each.is_under_way for each in (self._draining, self._telling)):
            left_s = min(left_s, BUSY_S)
        if due_us is None:
            return left_s
        return min(left_s, max(SHORTEST_S, (due_us - self._now()) / SECOND_US))

    def _take(self, symptom: Symptom) -> tuple[Decision, ...]:
        signal = signals_of(symptom.fact)[0]
        self._standing.see(symptom.node, symptom.device, signal, symptom.at_us)
        outcome = self._watch.observe(symptom, self._now())
        if outcome.rejected is not None:
            self.metrics.rejected.labels(outcome.rejected.value).inc()
        else:
            self.metrics.symptoms.labels(symptom.node, symptom.evidence.source.value).inc()
        return outcome.decisions

    def _decided(self, decision: Decision) -> None:
        verdict = decision.verdict
        self.metrics.verdicts.labels(verdict.level.value).inc()
        self._standing.tell(verdict)
        if verdict.level is not Level.INFO:
            more = {} if decision.held is None else {"held": decision.held.value}
            tell = self._log.error if verdict.level is Level.FATAL else self._log.warning
            tell(
                f"{verdict.level.value} verdict",
                node=verdict.node,
                device=verdict.device,
                signal=verdict.signal,
                action=verdict.action.value,
                verdict=verdict.verdict,
                **more,
            )
        if decision.held is not None:
            self.metrics.held.labels(decision.held.value).inc()
            self._observed[verdict.verdict] = self._words.held(decision.held, verdict)
            if self._draining is not None and decision.held is HoldReason.PARENT_SUSPECTED:
                self._draining.suspect(verdict)
        elif self._draining is not None and asks(verdict):
            self._draining.ask(verdict)

    def _try_again(self) -> None:
        """Once a round, whether or not the sensors have answered: drains that failed or were held,
        of verdicts that are not over."""
        self._expire(self._now())
        if self._draining is not None:
            self._draining.try_again(self._now())

    def _expire(self, now_us: int) -> None:
        """What is over stands no more, and is told with the next alerts."""
        self._over += self._standing.expire(now_us)

    def _show_standing(self) -> None:
        """The verdicts that stand, what is held of them, and the drains that stand."""
        verdicts = self._standing.verdicts()
        self.metrics.stand(verdicts)
        stands = self._standing.stands
        self._observed = {name: why for name, why in self._observed.items() if stands(name)}
        if self._draining is not None:
            self._draining.forget()
        held = self._held()
        self.metrics.waits.now(
            {
                (each.node, each.device or "", each.signal, held[each.verdict].code): 1
                for each in verdicts
                if each.verdict in held
            }
        )

    def _sensed(self, polled: Polled) -> None:
        """Says once of each sensor that it cannot be read, and once that it is read again."""
        if not polled.states.items() - self._states.items():
            return
        self._states |= polled.states
        self.metrics.sensors(self._states)
        before = self.unread
        self.unread = {key: why for key, why in self._states.items() if why.startswith("failed")}
        for (node, sensor), why in self.unread.items():
            if (node, sensor) not in before:
                words = why.removeprefix("failed: ")
                self._log.warning("sensor cannot be read", node=node, sensor=sensor, why=words)
        for node, sensor in before.keys() - self.unread.keys():
            self._log.info("sensor is read again", node=node, sensor=sensor)

    def _alert(self, over: Sequence[Verdict], now_us: int) -> None:
        """Every verdict that stands, and those that are over; where an Alertmanager is named."""
        if self._telling is None:
            return
        ahead_us = now_us + ROUNDS_AHEAD * round(self._file.every.total_seconds() * SECOND_US)
        words = {name: why.words for name, why in self._held().items()}
        self._telling.tell(
            [
                alert_of(each, ends_us=ahead_us, held=words.get(each.verdict))
                for each in self._standing.verdicts()
            ],
            [alert_of(each, ends_us=now_us, held=None) for each in over],
        )

    def _held(self) -> dict[str, Held]:
        """Why actions wait, by the name of the verdict."""
        return self._observed | ({} if self._draining is None else self._draining.held)

    def _drains_of(self, file: RunFile) -> Draining | None:
        if file.drain is None or file.journal is None:
            return None
        drains = Drains(file.drain, file.journal)
        window_us = self._watch.settings.guards.window_us
        self._watch.acted_before(drains.begun_within(window_us, self._now()))
        stands, words = self._standing.stands, self._words
        return Draining(drains, self._watch, self.metrics, stands=stands, words=words)


def sensors_of(file: RunFile, *, rests: bool = False) -> dict[str, tuple[Sensor, ...]]:
    """The sensors that a file asks for, by node; the engine's stands under its own name. `rests`:
    no log stays open between two looks."""
    shared = sharers((entry.node, entry) for entry in file.nodes)
    found = {
        entry.node: node_sensors(entry.node, entry, sharing=shared, olddir=file.olddir, rests=rests)
        for entry in file.nodes
    }
    if file.engine is not None:
        watched = frozenset(entry.node for entry in file.nodes)
        needed = tuple(entry.node for entry in file.nodes if not entry.has_sensor)
        found[ENGINE_REPORTER] = (engine_sensor(file.engine, watched=watched, needed=needed),)
    return found


def _place(entry: NodeEntry) -> NodePlace:
    return NodePlace(
        node=entry.node,
        fabric=entry.fabric,
        rack=entry.rack,
        switch=entry.switch,
        driver=entry.driver,
    )
