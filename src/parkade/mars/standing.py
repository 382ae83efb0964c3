"""Verdicts that stand: what is wrong now, until it is over.

A verdict stands from when it was told until nothing more was seen of it for `resolve_after`, or
until the driver says that its device needs no repair. A verdict takes the place of the one that it
supersedes. Pure; at most MOST_STANDING verdicts stand, the least bad go first.
"""

from parkade.core.healing.verdict import Level, Verdict

MOST_STANDING = 10_000
RECOVERED = "recovery/none"


class StandingVerdicts:
    """The standing verdicts of a fleet, by node, device and signal."""

    def __init__(self, resolve_after_us: int) -> None:
        self._resolve_after_us = resolve_after_us
        self._standing: dict[tuple[str, str | None, str], tuple[Verdict, int]] = {}
        self._keys: dict[str, tuple[str, str | None, str]] = {}

    def tell(self, verdict: Verdict) -> None:
        """A verdict was told."""
        if verdict.signal == RECOVERED:
            self._forget_wishes(verdict)
            return
        if verdict.level is Level.INFO:
            return
        superseded = self._keys.get(verdict.supersedes or "")
        if superseded is not None:
            self._forget(superseded)
        key = (verdict.node, verdict.device, verdict.signal)
        self._forget(key)
        self._standing[key] = (verdict, verdict.at_us)
        self._keys[verdict.verdict] = key
        if len(self._standing) > MOST_STANDING:
            least = min(
                self._standing,
                key=lambda each: (self._standing[each][0].level.rank, self._standing[each][1]),
            )
            self._forget(least)

    def restore(self, verdict: Verdict, seen_us: int) -> None:
        """A verdict that stood in the program before this one, in place of what stands for it."""
        key = (verdict.node, verdict.device, verdict.signal)
        self._forget(key)
        self._standing[key] = (verdict, seen_us)
        self._keys[verdict.verdict] = key

    def entries(self) -> tuple[tuple[Verdict, int], ...]:
        """What stands, in the order in which it was told, and when each was last seen."""
        return tuple(self._standing.values())

    def see(self, node: str, device: str | None, signal: str, at_us: int) -> None:
        """A symptom of a signal was seen: what stands for it goes on."""
        key = (node, device, signal)
        if key in self._standing:
            verdict, seen_us = self._standing[key]
            self._standing[key] = (verdict, max(seen_us, at_us))

    def expire(self, now_us: int) -> tuple[Verdict, ...]:
        """Takes out and returns what is over."""
        over = [
            key
            for key, (_, seen_us) in self._standing.items()
            if now_us - seen_us >= self._resolve_after_us
        ]
        found = tuple(self._standing[key][0] for key in over)
        for key in over:
            self._forget(key)
        return found

    def stands(self, verdict: str) -> bool:
        """Whether a verdict of this name stands."""
        return verdict in self._keys

    def verdicts(self) -> tuple[Verdict, ...]:
        """What stands, in the order of node, device and signal."""
        found = [verdict for verdict, _ in self._standing.values()]
        return tuple(sorted(found, key=lambda each: (each.node, each.device or "", each.signal)))

    def _forget_wishes(self, verdict: Verdict) -> None:
        """The driver needs no repair any more: what it asked for before does not stand."""
        for key in list(self._standing):
            node, device, signal = key
            if (node, device) == (verdict.node, verdict.device) and signal.startswith("recovery/"):
                self._forget(key)

    def _forget(self, key: tuple[str, str | None, str]) -> None:
        standing = self._standing.pop(key, None)
        if standing is not None:
            self._keys.pop(standing[0].verdict, None)
