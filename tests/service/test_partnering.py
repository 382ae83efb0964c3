"""What a partner's buffer is proposed as: the marked nodes alone, at its floor and notice."""

import pytest
import yaml
from msgspec.structs import replace

from parkade.engines.slurm.finding import Found, FoundAccount, FoundNode
from parkade.service.admission import Admission
from parkade.service.partnering import Offer, propose_buffer


def node(name: str, model: str = "h100") -> FoundNode:
    return FoundNode(
        name=name, model=model, gpus=8, cpus=64, memory_mb=512_000, partitions=(), switch=""
    )


FOUND = Found(
    nodes=tuple(node(f"n{number}") for number in range(1, 7)),
    accounts=(), partitions=(), reservations=(), lacks=(),
)  # fmt: skip
OFFER = Offer(org="acme", marked=frozenset({"n5", "n6"}), floor="1.20", notice="30s")


def test_only_the_marked_nodes_are_the_pool_and_the_others_are_stood_in_for() -> None:
    made = propose_buffer(FOUND, OFFER, pool="far", site="bay")
    pool = yaml.safe_load(made.files["pool.yaml"])
    assert pool["fabrics"] == {"all": ["n5", "n6"]} and pool["supplier"] == "acme"
    terms = pool["terms"]
    assert (terms["notice"], terms["heal_notice"]) == ("30s", "30s")
    assert (terms["reservation_rate"], terms["payout_cap"]) == ("0", None)
    script = made.files["join.sh"]
    assert "parkade user create acme-partner --org acme --role partner" in script
    assert "'owners=user:*=acme'" in script and "stands_in=n1,n2,n3,n4=acme" in script
    assert "# parkade reserve 2 --market far --org acme --name acme" in script
    assert "# parkade lend acme --floor 1.20" in script


def test_a_cluster_that_is_all_buffer_has_no_node_to_stand_in_for() -> None:
    everything = frozenset(it.name for it in FOUND.nodes)
    offer = Offer(org="acme", marked=everything, floor="1", notice="30s")
    script = propose_buffer(FOUND, offer, pool="far", site="bay").files["join.sh"]
    assert "stands_in" not in script


def test_guests_run_in_an_account_of_their_own_into_which_the_partner_lets_them() -> None:
    """In the partner's they would use up its limits, and its own job would wait for a guest."""
    accounts = (FoundAccount(account="bay", users=("ann", "root"), gpus=16),)
    known = replace(FOUND, accounts=accounts)
    script = propose_buffer(known, OFFER, pool="far", site="bay").files["join.sh"].splitlines()
    assert "# sacctmgr -i add account parkade" in script
    assert "# sacctmgr -i add user ann account=parkade" in script
    assert "# usermod -aG parkade-users ann" in script
    assert not any("user root" in line for line in script)
    (run,) = [line for line in script if "agent run" in line]
    assert run.endswith(" --engine-option account=parkade")

    admission = Admission(account="guests", group="people", outside=("ann",))
    made = propose_buffer(known, OFFER, pool="far", site="bay", admission=admission)
    assert "# sacctmgr -i add user ann account=guests" in made.files["join.sh"]
    assert "--engine-option account=guests" in made.files["join.sh"]
    assert "not in the group people: ann" in made.says


def test_a_partner_without_accounts_gives_guests_none() -> None:
    script = propose_buffer(FOUND, OFFER, pool="far", site="bay").files["join.sh"]
    assert "sacctmgr" not in script and "account=" not in script


@pytest.mark.parametrize(
    ("marked", "why"),
    [
        ({"n5", "n9"}, "n9 is no node"),
        ({"n5", "m1"}, "several kinds"),
        (set(), "no node is marked"),
    ],
)
def test_what_cannot_be_one_pool_is_refused(marked: set[str], why: str) -> None:
    mixed = Found(
        nodes=(*FOUND.nodes, node("m1", "a100")), accounts=(), partitions=(), reservations=(),
        lacks=(),
    )  # fmt: skip
    offer = Offer(org="acme", marked=frozenset(marked), floor="1", notice="30s")
    with pytest.raises(ValueError, match=why):
        propose_buffer(mixed, offer, pool="far", site="bay")
