"""The users of a fence: those of guests, one by one where Slurm does not take them all.

Slurm refuses every change of a reservation, of its end too, while one of its users lacks an
association that it enforces, or is unknown to the machine; it does not say which. So where it
refuses, the users that are needed now are tried one after the other. Those that it takes may use
the fence, the others are told and tried again every `AGAIN_US`. Users of guests that are gone fall
away by that; else they stay, which saves changes.

Example. Cat was let in, and her association was deleted since. When the end is to be put off Slurm
says "Invalid account". It takes Users=agent and Users=agent,bob, and refuses Users=agent,bob,cat:
cat is left out, and the end is put off.
"""

from collections.abc import Callable, Iterable, Sequence

from parkade.core.units.phrases import some_of

AGAIN_US = 30_000_000
MOST_TRIED = 64
MOST_NAMED = 5


def is_about_users(says: str) -> bool:
    """Whether a refusal of Slurm may be for one of a reservation's users."""
    return "Invalid account" in says or "Invalid user" in says


class FenceUsers:
    """Remembers who is left out. `ask`: tries `Users=` of the reservation, and gives what Slurm
    says against it, None where it is done."""

    def __init__(self, ask: Callable[[str], str | None], steady: Callable[[], int]) -> None:
        self._ask = ask
        self._steady = steady
        self._left_out: dict[str, tuple[int, str]] = {}
        """By user, since when by the steady clock, and what Slurm said."""

    @property
    def note(self) -> str | None:
        """What the operator is told of those who are left out."""
        if not self._left_out:
            return None
        named = (f"{user} ({says})" for user, (_, says) in sorted(self._left_out.items()))
        return (
            f"Slurm refuses the fence to {some_of(named, MOST_NAMED)}, so guests of theirs"
            " do not start; an association may be missing (`sacctmgr add user`)"
        )

    def admit(self, users: Iterable[str], there: Sequence[str]) -> bool:
        """Lets in who is not there yet, all at once or, where that is refused, one by one; whether
        any was let in."""
        now_us, needed = self._steady(), set(users)
        self._left_out = {it: why for it, why in self._left_out.items() if it in needed}
        missing = {
            it
            for it in needed - set(there)
            if it not in self._left_out or now_us - self._left_out[it][0] >= AGAIN_US
        }
        if not missing:
            return False
        says = self._ask(",".join(sorted({*there, *missing})))
        if says is None:
            self._left_out = {it: w for it, w in self._left_out.items() if it not in missing}
            return True
        if not is_about_users(says):
            return False
        return not missing.isdisjoint(self.sort_out(needed))

    def sort_out(self, users: Iterable[str]) -> tuple[str, ...]:
        """Tries those that are needed one after the other; gives those that may use the fence then,
        none where Slurm refuses it for another cause."""
        taken: list[str] = []
        left_out: dict[str, tuple[int, str]] = {}
        for user in sorted(users)[:MOST_TRIED]:
            says = self._ask(",".join([*taken, user]))
            if says is None:
                taken.append(user)
            elif is_about_users(says):
                left_out[user] = (self._steady(), says)
            else:
                return ()
        self._left_out = left_out
        return tuple(taken)
