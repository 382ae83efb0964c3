"""What a reservation lends and earns now: a rank that leaves alone earns nothing after its kill."""

from parkade.core.leasing.lent_now import accrued_now, lent_now
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from tests.core.kernel.test_live import given_parkade, leaving, live


def test_a_rank_that_is_told_to_leave_earns_until_its_kill_and_no_longer() -> None:
    parkade = given_parkade(2, payout_cap=Fraction(numerator=1, denominator=1))
    owned = parkade.reserve("acme", 1)
    parkade.lend(owned, 2)
    name = live(parkade)
    parkade.clear()
    parkade.started(name)
    parkade.tick(60)
    reservations = tuple(parkade.world.records.reservations.values())

    def lent_gpus() -> int:
        return lent_now(parkade.world, reservations, parkade.now_us)[owned].gpus

    def accrued() -> int:
        return accrued_now(parkade.world, reservations, parkade.now_us)[owned]

    assert lent_gpus() == 2
    parkade.claim(owned, 1)
    parkade.clear()
    (number,) = leaving(parkade, name)
    rank = next(it for it in parkade.attempt(name).ranks if it.rank == number)
    assert rank.leaving is not None
    kill_us = rank.leaving.stop.kill_us
    parkade.tick((kill_us - parkade.now_us) / MICROS)
    assert lent_gpus() == 2
    earned = accrued()
    parkade.tick(1800)
    assert leaving(parkade, name) and lent_gpus() == 0
    assert accrued() == earned > 0
