import pytest

from parkade.sim.replay.example import PARKING
from parkade.sim.replay.parking import sweep
from parkade.sim.replay.scenario import Parking, parse_scenario


def test_prices_of_the_clearings_give_the_arithmetic_of_parking() -> None:
    scenario = parse_scenario(
        PARKING.replace("nodes: 4", "nodes: 1").replace(
            'fills: ["0", "1/2", "9/10", "77/80", "399/400"]', 'fills: ["0", "1/2", "77/80", "1"]'
        )
    )
    assert isinstance(scenario, Parking)
    report = sweep(scenario, lambda *_: None)
    assert report.alone == pytest.approx(16.8)
    for row in report.rows:
        assert row.owner_net == pytest.approx(row.expected_net, abs=1e-6)
        # What is missing are a clearing, a turnaround and a start in each of five parked spans.
        assert row.fill - 0.005 < row.filled <= row.fill
        assert row.price is None or row.price == pytest.approx(7)
    none, half, most, full = report.rows
    assert none.owner_net == pytest.approx(16.8)
    assert half.owner_net == pytest.approx(8.8, abs=0.02)
    assert most.times_cheaper == pytest.approx(12, abs=0.2)
    assert full.owner_net == pytest.approx(0.8, abs=0.05)
