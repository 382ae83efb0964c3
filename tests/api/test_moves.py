"""A move is told with its cause, and for whom only where that may be seen."""

import pytest

from parkade.api.views.moves import move_details, says_move
from parkade.core.workloads.moves import AsCounted, Cheaper, ForWorkload, Healed, MoveCause


@pytest.mark.parametrize(
    ("cause", "org", "says"),
    [
        (ForWorkload(workload="w3", org="rich"), None, "moved so that w3 fits"),
        (ForWorkload(workload="w3", org="rich"), "rich", "moved so that w3 fits"),
        (
            ForWorkload(workload="w3", org="rich"),
            "lab",
            "moved so that a newcomer of another org fits",
        ),
        (Cheaper(), "lab", "moved for a lower floor, as its spec asks"),
        (Healed(), "lab", "moved because a node of it failed or takes no work"),
        (AsCounted(), "lab", "moved because no smaller change seats all winners"),
    ],
)
def test_names_of_other_orgs_are_told_to_operators_only(
    cause: MoveCause, org: str | None, says: str
) -> None:
    assert says_move(cause, org) == says
    assert ("w3" in str(move_details(cause, org))) == ("w3" in says)
