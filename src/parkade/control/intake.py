"""Decides what an agent's observations, and its silence, mean for the core: as commands.

Synchronous and without a clock of its own, so that server and simulator call the same rules.
Nothing follows from an observation that is partial, or a straggler. One that is whole says that
the pool is heard. It is passed on where it differs from the last that the core took in, where the
pool's desired state has changed since (what is missing from it may mean something else by then),
and otherwise now and then.

The caller keeps the observations of one pool apart: `take`, then the command's decision, then
`decided`, and only then the next `take`.
"""

from collections.abc import Iterable, Iterator

import msgspec

from parkade.core.fleet.pool import Pool
from parkade.core.state.commands import (
    ReportAttempts,
    ReportFence,
    ReportOwnerJobs,
    ReportReachability,
    ReportTakenNodes,
)
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.observed import ObservedAttempt
from parkade.core.workloads.spec import Spec
from parkade.ports import Capabilities, Observation, OwnerReport, Trouble

# An observation this much older than the last is no straggler, and one that comes so long after the
# last was taken is none either: the agent's clock was set back.
_STRAGGLER_US = 600_000_000
_STRAGGLES_US = 10_000_000


OwnersCommand = ReportOwnerJobs | ReportTakenNodes | ReportFence


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from an observation: `command` is for the core, None where it knows already.

    `owners`: what is new of other jobs in the engine's queue. `is_heard_again`: the pool was
    silent until now, so its reachability should be looked at soon.
    """

    command: ReportAttempts | None
    is_heard_again: bool
    owners: tuple[OwnersCommand, ...] = ()


_NOTHING = Taken(command=None, is_heard_again=False)


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the core last took in of a pool; `desired` is the desired state's sequence then."""

    attempts: tuple[ObservedAttempt, ...]
    owners: OwnerReport | None
    desired: int
    steady_us: int


class Intake:
    """What was seen of each pool, when, and by which kind of engine.

    `repeat_us`: an unchanged observation is passed on again after it. `silence_us`: a pool that was
    not heard for it is unreachable, which is not failed. `started_us`: the steady clock at the
    start; silence before it counts for nothing.
    """

    def __init__(self, *, repeat_us: int, silence_us: int, started_us: int) -> None:
        self._repeat_us = repeat_us
        self._silence_us = silence_us
        self._started_us = started_us
        self._seen_us: dict[str, int] = {}
        self._heard_us: dict[str, int] = {}
        self._known: dict[str, _Known] = {}
        self._capabilities: dict[str, Capabilities] = {}
        self._troubles: dict[str, tuple[tuple[Trouble, ...], int]] = {}

    def troubles(self, pool: str, steady_us: int) -> tuple[Trouble, ...]:
        """What its agent said last that keeps it from its work; nothing once that is old."""
        found, at_us = self._troubles.get(pool, ((), 0))
        return found if steady_us - at_us <= self._silence_us else ()

    def engine_silent(self, pools: Iterable[str], steady_us: int) -> tuple[str, ...]:
        """Of these, the pools whose engine does not answer their agent."""
        return tuple(
            pool
            for pool in pools
            if any(one.since_us is not None for one in self.troubles(pool, steady_us))
        )

    def seen_us(self, pool: str) -> int | None:
        """The date of its last whole observation; None where there was none since the start."""
        return self._seen_us.get(pool)

    def take(
        self, observation: Observation, *, desired: int | None, now_us: int, steady_us: int
    ) -> Taken:
        """What follows; `desired` is the pool's desired sequence, None for an unknown pool. One
        dated after `now_us` is taken for one of now, or it would make stragglers of the next."""
        pool = observation.pool
        if desired is not None:
            self._troubles[pool] = (observation.troubles, steady_us)
        if desired is None or not self._is_usable(observation, now_us, steady_us):
            return _NOTHING
        was_silent = self.is_silent(pool, steady_us)
        self.heard(pool, steady_us)
        if observation.capabilities is not None:
            self._capabilities[pool] = observation.capabilities
        command = None
        owners: tuple[OwnersCommand, ...] = ()
        if self._is_new(observation, desired, steady_us):
            command = ReportAttempts(by=None, pool=pool, attempts=observation.attempts)
            owners = _owners(pool, observation.owners)
        return Taken(command=command, is_heard_again=was_silent, owners=owners)

    def decided(
        self, observation: Observation, outcome: object, *, desired: int, steady_us: int
    ) -> None:
        """The core answered the command of `take`; a refused observation is passed on again."""
        if not isinstance(outcome, Refusal):
            self._known[observation.pool] = _Known(
                attempts=observation.attempts,
                owners=observation.owners,
                desired=desired,
                steady_us=steady_us,
            )

    def heard(self, pool: str, steady_us: int) -> None:
        """A whole observation of it came."""
        self._heard_us[pool] = max(steady_us, self._heard_us.get(pool, steady_us))

    def is_silent(self, pool: str, steady_us: int) -> bool:
        """Whether it was not heard for too long."""
        return steady_us - self._heard_us.get(pool, self._started_us) > self._silence_us

    def reachability(self, pools: Iterable[Pool], steady_us: int) -> Iterator[ReportReachability]:
        """A command for each pool that is otherwise than the world has it, and for an agent's first
        word. One that was not heard since the start is not yet said to be reachable. What its
        engine can is said where the world does not know it."""
        for pool in pools:
            is_heard = pool.pool in self._heard_us
            is_reachable = not self.is_silent(pool.pool, steady_us)
            is_first = is_heard and pool.first_heard_us is None
            has_changed = is_reachable is not pool.is_reachable and (is_heard or not is_reachable)
            says = self._capabilities.get(pool.pool)
            resizes_live = None if says is None or not is_reachable else says.resizes_live
            is_other = resizes_live not in (None, pool.resizes_live)
            if is_first or has_changed or is_other:
                yield ReportReachability(
                    by=None,
                    pool=pool.pool,
                    is_reachable=is_reachable,
                    resizes_live=resizes_live,
                )

    def opens_execs(self, pool: str) -> bool:
        """Whether its engine says so; one that was not heard yet is taken to."""
        known = self._capabilities.get(pool)
        return known is None or known.opens_execs

    def unsupported(
        self, spec: Spec, pools: Iterable[str], *, has_unix_name: bool
    ) -> Refusal | None:
        """A refusal that names the first key which no engine of these pools can honour; pools whose
        engine has not reported yet count as able. `has_unix_name`: so has the user."""
        known = [self._capabilities.get(pool) for pool in pools]
        engines = [each for each in known if each is not None]
        if not engines or len(engines) < len(known):
            return None
        for key in keys_used(spec):
            if all(key in each.unsupported_keys for each in engines):
                names = ", ".join(sorted({each.engine for each in engines}))
                lacks = "cannot carry this out; leave it out"
                if key == "image":
                    lacks = (
                        "runs no images: its operator gives the agent the option `container`, as"
                        " `apptainer exec --nv {image}`; until then leave it out"
                    )
                detail = f"{key}: the engine ({names}) {lacks}"
                return Refusal(reason=Reason.UNSUPPORTED, detail=detail, field=f"spec.{key}")
        rigid = sorted({each.engine for each in engines if not each.resizes_live})
        if spec.is_live and rigid:
            detail = (
                f"resize: the engine ({', '.join(rigid)}) changes no attempt that runs; write"
                " resize: restart"
            )
            return Refusal(reason=Reason.UNSUPPORTED, detail=detail, field="spec.resize")
        if not has_unix_name and all(each.needs_unix_names for each in engines):
            detail = (
                "you have no Unix name, and the agent there is root, as which no workload runs: ask"
                " an operator for `parkade user unix-name USER NAME`, or for a server started with"
                " --root-workloads where all is yours"
            )
            return Refusal(reason=Reason.UNSUPPORTED, detail=detail)
        return None

    def _is_usable(self, observation: Observation, now_us: int, steady_us: int) -> bool:
        at_us = min(observation.at_us, now_us)
        seen_us = self._seen_us.get(observation.pool, 0)
        is_straggler = seen_us - _STRAGGLER_US < at_us < seen_us
        heard_us = self._heard_us.get(observation.pool, self._started_us)
        is_straggler = is_straggler and steady_us - heard_us < _STRAGGLES_US
        if not observation.is_complete or is_straggler:
            return False
        self._seen_us[observation.pool] = at_us
        return True

    def _is_new(self, observation: Observation, desired: int, steady_us: int) -> bool:
        known = self._known.get(observation.pool)
        return (
            known is None
            or known.desired != desired
            or steady_us - known.steady_us >= self._repeat_us
            or known.attempts != observation.attempts
            or known.owners != observation.owners
        )


def _owners(pool: str, report: OwnerReport | None) -> tuple[OwnersCommand, ...]:
    """Jobs that are gone give nodes back before taken ones are closed."""
    if report is None:
        return ()
    return (
        ReportFence(by=None, pool=pool, stands=report.fence_stands),
        ReportOwnerJobs(by=None, pool=pool, jobs=report.jobs),
        ReportTakenNodes(by=None, pool=pool, nodes=report.taken),
    )


def keys_used(spec: Spec) -> Iterator[str]:
    """The keys of a spec that ask something of the engine, beyond running a command."""
    uses = {
        "env_file": spec.env_file is not None,
        "image": spec.image is not None,
        "storage": bool(spec.storage),
        "nodes": spec.nodes > 1,
        "checkpoint": spec.checkpoint is not None,
    }
    yield from (key for key, is_used in uses.items() if is_used)
