import re
from pathlib import Path

import pytest

from parkade.sim.replay.example import PARKING, RESALE
from parkade.sim.replay.scenario import IdleResale, Parking, parse_scenario
from parkade.wire.yaml import Unreadable
from tests.sim.replay.replays import SCENARIO

EXAMPLES = Path(__file__).parents[3] / "examples" / "replay"
FAULTS = [
    ("version: 1", "version: 2", "version"),
    ("kind: idle-resale", "kind: resale", "kind"),
    ("file: trace.csv", "file: ../trace.csv", "trace.file"),
    ("file: trace.csv", "file: trace.csv, hours: 3", "trace.hours"),
    ("floor: 0.50", "floor: free", "owners.floor"),
    ("fee: 1/10", "fee: 11/10", "terms.fee"),
    ("pay_as_you_go: 3, ", "", "terms.pay_as_you_go"),
    ("buffer_nodes: 0", "buffer_nodes: 1", "terms"),
    ("owners: {floor: 0.50}", "owners: {floor: 0.50, keep: 101}", "owners.keep"),
    ("name: small", "name: small\nguests: {saving_from: 2m, saving_to: 1m}", "guests"),
]


@pytest.mark.parametrize(("written", "instead", "place"), FAULTS)
def test_a_fault_is_refused_with_its_place(written: str, instead: str, place: str) -> None:
    assert written in SCENARIO
    with pytest.raises(Unreadable) as refused:
        parse_scenario(SCENARIO.replace(written, instead))
    assert [fault.place for fault in refused.value.problem.errors] == [place]


def test_the_examples_are_scenarios_of_their_kinds() -> None:
    assert isinstance(parse_scenario(RESALE), IdleResale)
    assert isinstance(parse_scenario(PARKING), Parking)


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_scenarios_of_the_examples_can_be_read(file: Path) -> None:
    assert parse_scenario(file.read_text()).version == 1


@pytest.mark.parametrize(
    ("written", "instead", "place"),
    [
        ("fee: 2/7", "fee: 7/7", ""),
        ("nodes: 4", "nodes: 4\nused_hours: 168", ""),
        ('"1/2"', '"3/2"', "fills"),
    ],
)
def test_a_fault_of_a_parking_scenario_is_refused(written: str, instead: str, place: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse_scenario(PARKING.replace(written, instead))
    assert re.search(place, refused.value.problem.errors[0].place)
