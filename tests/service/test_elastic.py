"""An elastic workload with server and agent as processes: shrunk, grown, resumed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import builders
from tests.service.served import Served, serving
from tests.waits import until

pytestmark = pytest.mark.system

NODES = ("n1", "n2", "n3")
TERMS = builders.terms_body(
    clearing_interval="300ms", backoff="0s", notice="20s", kill="5s", regrow="1s", start_grace="0s"
)
SAVES = (
    "trap 'd=$PARKADE_CHECKPOINT_DIR; [ $PARKADE_NODE_RANK = 0 ] &&"
    ' echo "{\\"step\\": $PARKADE_NODES, \\"at\\": \\"$(date -u +%FT%TZ)\\"}" > $d/new &&'
    " mv $d/new $d/.parkade.json; exit 85' TERM;"
    " echo $PARKADE_NODES ranks after ${PARKADE_RESUME_STEP:-none}; while :; do sleep 0.05; done"
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server with a pool of three nodes of this machine, a GPU's slot each."""
    with serving(tmp_path) as made:
        made.ask("POST", "/pools", builders.pool_body(NODES, gpus=1, site="local", terms=TERMS))
        for org in ("acme", "rival"):
            made.ask("POST", "/orgs", {"org": org})
            made.ask("POST", f"/orgs/{org}/deposits", {"amount": "1000"})
        yield made
        made.stop()


def submit(served: Served, org: str, command: str, **keys: object) -> str:
    spec = {"name": "w", "command": command, "workdir": "/tmp", "gpus": 1, **keys}
    return str(served.ask("POST", "/workloads", {"org": org, "spec": spec})["workload"])


def test_others_take_some_of_its_nodes_and_it_goes_on_and_has_them_back(
    served: Served, tmp_path: Path
) -> None:
    elastic = submit(served, "acme", SAVES, nodes={"min": 1, "max": 3}, limit_price="2")

    def seen(workload: str) -> Any:
        return served.ask("GET", f"/workloads/{workload}")

    def output(number: int) -> str:
        answer = served.attempt_to("GET", f"/workloads/{elastic}/logs?attempt={elastic}.{number}")
        return answer.text if answer.is_success else ""

    until(lambda: output(1) == "3 ranks after none\n", lambda: (seen(elastic), output(1)))
    go = tmp_path / "go"
    waits = f"until [ -e {go} ]; do sleep 0.1; done"
    rival = submit(served, "rival", waits, nodes=2, limit_price="9")
    until(lambda: seen(rival)["phase"] == "running", lambda: (seen(rival), seen(elastic)))
    until(lambda: output(2) == "1 ranks after 3\n", lambda: (seen(elastic), output(2)))
    assert len(seen(elastic)["attempt"]["seats"]) == 1
    go.touch()
    until(lambda: output(3) == "3 ranks after 1\n", lambda: (seen(elastic), output(3)))
    told = seen(elastic)
    assert told["failures"] == 0 and len(told["attempt"]["seats"]) == 3
    served.ask("POST", f"/workloads/{elastic}/cancel", {"now": True})
    until(lambda: seen(elastic)["ended"] is not None, lambda: seen(elastic))
