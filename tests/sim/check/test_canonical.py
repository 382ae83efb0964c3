"""States that are merged have the same futures: of pairs that met, all that may follow is equal."""

import random

import pytest
from msgspec.structs import replace

from parkade.sim.check.acts import acts
from parkade.sim.check.canonical import digest_of
from parkade.sim.check.root import root_of
from parkade.sim.check.scenarios import Scenario
from parkade.sim.check.small_worlds import SCENARIOS
from parkade.sim.check.state import State
from parkade.sim.check.stepping import Stepper

Pair = tuple[State, State]


def _merged(scenario: Scenario, stepper: Stepper, depth: int) -> list[Pair]:
    """Pairs of states of one form that were reached on different ways."""
    root = root_of(scenario)
    first = {digest_of(root, scenario): root}
    pairs: list[Pair] = []
    level = [root]
    for _ in range(depth):
        following = []
        for state in level:
            for after in _after(scenario, stepper, state):
                digest = digest_of(after, scenario)
                if digest in first:
                    pairs.append((first[digest], after))
                else:
                    first[digest] = after
                    following.append(after)
        level = following
    return pairs


def _after(scenario: Scenario, stepper: Stepper, state: State) -> list[State]:
    made = [stepper.step(state, act) for act in acts(state, scenario)]
    return [it[0] for it in made if it is not None]


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        ("owners", 3),
        ("shared", 3),
        ("agent", 4),
        ("elastic", 5),
        ("live", 5),
        ("array", 4),
        ("rights", 4),
        ("changes", 5),
        ("windows", 5),
        ("deadlines", 4),
        ("lists", 4),
        ("jobs", 4),
    ],
)
def test_what_is_merged_has_the_same_future(name: str, depth: int) -> None:
    # That twins are one is a bound: where nodes are short, the name decides which owner waits.
    scenario, stepper = replace(SCENARIOS[name](), twins=()), Stepper()
    pairs = _merged(scenario, stepper, depth)
    assert len(pairs) > 300
    for one, other in random.Random(7).sample(pairs, 30):
        here = digest_of(one, scenario)
        futures = [
            {digest_of(it, scenario) for it in _after(scenario, stepper, state)} - {here}
            for state in (one, other)
        ]
        assert futures[0] == futures[1]


def test_what_one_twin_does_is_what_the_other_does() -> None:
    scenario, stepper = SCENARIOS["owners"](), Stepper()
    root = root_of(scenario)
    forms: dict[str, set[int]] = {}
    for after in _after(scenario, stepper, root):
        for claim in after.world.records.claims.values():
            forms.setdefault(claim.org, set()).add(digest_of(after, scenario))
    assert forms.keys() == {"acme", "birch"}
    assert forms["acme"] == forms["birch"]


def test_a_form_is_the_same_whatever_the_nodes_are_called() -> None:
    scenario, stepper = SCENARIOS["owners"](), Stepper()
    root = root_of(scenario)
    broken = {
        node: digest_of(after, scenario)
        for node in root.world.records.nodes
        for after in _after(scenario, stepper, root)
        if after.world.records.nodes[node].health != "healthy"
    }
    assert len(broken) == 2, "of each fabric one node stands for both"
    assert len(set(broken.values())) == 2
