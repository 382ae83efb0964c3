"""What is proposed of a Slurm cluster: files that the server takes as they are. No cluster here."""

import getpass
import itertools
from typing import Any

import msgspec
import pytest
import yaml

from parkade.engines.slurm.doctor import Rank, judge
from parkade.engines.slurm.finding import Found, FoundAccount, FoundNode, FoundReservation, find
from parkade.ports import Transient
from parkade.service.admission import ADMISSION, Admission
from parkade.service.joining import propose
from parkade.wire.pools import AddNodes, OpenPool

NODE = (
    "NodeName={name} Arch=x86_64 CPUTot=64 Gres=gpu:{model}:{gpus}(S:0-1) RealMemory=1024000"
    " Partitions=main,own State=IDLE CfgTRES=cpu=64,mem=1T,gres/gpu={gpus}"
)
ANSWERS = {
    "scontrol show topology --oneliner": "SwitchName=top Level=1 Nodes=n[1-4]\n"
    "SwitchName=S1 Level=0 LinkSpeed=1 Nodes=n[1-2]\nSwitchName=S2 Level=0 Nodes=n[3-4]",
    "scontrol show node --oneliner": "\n".join(
        [*(NODE.format(name=f"n{it}", model="h100", gpus=8) for it in range(1, 5)),
         NODE.format(name="old", model="v100", gpus=4), "NodeName=login CPUTot=8 Gres=(null)"]
    ),
    "sacctmgr -n -P show assoc format=account,user,grptres": "root||\nroot|root|\nacme||\n"
    "acme|ann_lee|\nlab||cpu=9,gres/gpu=17\nlab|bob|\nlab|ann_lee|\nLAB||\nweird=x||\nfree||\n",
    "sacctmgr -n -P show user format=user,defaultaccount,adminlevel": "root|root|"
    "Administrator\nann_lee|lab|None\nbob|lab|None\neve|lab|Operator\n",
    "sacct -a -X -n -P -S now-7days -o account": "free\nacme\nfree",
    "scontrol show reservation --oneliner": "ReservationName=maint Nodes=n4 Accounts=(null)\n"
    "ReservationName=a Nodes=n[1-2] Users=(null) Accounts=acme",
    "scontrol show partition -o": "PartitionName=main AllowAccounts=ALL Nodes=n[1-4]\n"
    "PartitionName=own AllowAccounts=acme Nodes=n[2-3]",
}  # fmt: skip


class Answering:
    """Commands with kept answers; those without one fail."""

    def __init__(self, *lacks: str) -> None:
        self.lacks = lacks

    def run(self, *words: str, **_: Any) -> bytes:
        text = " ".join(words)
        if words[0] in self.lacks or words[2] in self.lacks:
            raise Transient(f"{words[0]}: there is none")
        return ANSWERS[text].encode()


def found_for(monkeypatch: pytest.MonkeyPatch, *, agent: str) -> Found:
    """The cluster as that user finds it."""
    monkeypatch.setattr(getpass, "getuser", lambda: agent)
    return find(Answering())


def test_nodes_accounts_and_what_accounts_hold_become_a_pool_orgs_and_reservations() -> None:
    made = propose(find(Answering()), pool="box", site="here")
    pool = OpenPool.model_validate(yaml.safe_load(made.files["pool.yaml"]))
    assert {name: list(nodes) for name, nodes in pool.fabrics.items()} == {
        "s1": ["n1", "n2"],
        "s2": ["n3", "n4"],
    }
    assert pool.instance_type is not None
    assert (pool.instance_type.gpu_model, pool.instance_type.gpus_per_node) == ("h100", 8)
    AddNodes.model_validate(yaml.safe_load(made.files["nodes-v100-4.yaml"]))
    script = made.files["join.sh"].splitlines()
    assert "parkade user create ann_lee --org lab --unix-name ann_lee" in script
    assert "parkade user create bob --org lab --unix-name bob" in script
    assert sum("user create ann_lee" in line for line in script) == 1
    chosen = "user ann_lee of acme, lab: of the org lab, for its DefaultAccount"
    assert f"# {chosen}" in script and chosen in made.says
    assert "# parkade reserve 3 --market box --org acme --name acme" in script
    assert "# parkade reserve 2 --market box --org lab --name lab" in script
    assert "owners=account:acme=acme,account:lab=lab" in made.files["join.sh"]
    assert not any("root" in line for line in script if not line.startswith("# Where the agent"))
    assert script[:3] == ["#!/bin/sh", "# After a line that fails nothing more is done.", "set -e"]
    assert "# parkade lend acme --floor 1.00" in script
    assert "# free (2 jobs in 7 days), LAB, weird?x" in script, "they own nothing"
    said = "\n".join(made.says)
    assert "waits for ever (ReqNodeNotAvail)" in said and "free (2 jobs in 7 days)" in said
    assert "left out: account 'LAB'" in said and "left out: account 'weird=x'" in said


def test_the_agent_is_let_into_the_account_and_never_into_the_launchers_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = propose(found_for(monkeypatch, agent="bob"), pool="box", site="here").files["join.sh"]
    assert "# sacctmgr -i add user bob account=parkade" in script
    assert "# usermod -aG parkade-users ann_lee" in script
    assert "parkade-users bob" not in script


@pytest.mark.parametrize(("agent", "is_told"), [("bob", True), ("eve", False), ("root", False)])
def test_an_agent_that_may_make_no_reservation_is_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch, agent: str, is_told: bool
) -> None:
    script = (
        propose(found_for(monkeypatch, agent=agent), pool="box", site="here")
        .files["join.sh"]
        .splitlines()
    )
    command = f"# sacctmgr -i modify user {agent} set AdminLevel=Operator"
    assert (command in script) is is_told
    assert any("AdminLevel" in line for line in script) is is_told
    if is_told:
        added = f"# sacctmgr -i add user {agent} account=parkade"
        assert script.index(added) < script.index(command), "Slurm has to know it"


def test_every_header_of_commands_is_followed_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where all are let in already."""
    found = found_for(monkeypatch, agent="eve")
    own = FoundAccount(account="parkade", users=("ann_lee", "bob", "eve"), gpus=None)
    known = msgspec.structs.replace(found, accounts=(*found.accounts, own))
    admission = Admission(account="parkade", group="parkade-users", outside=())
    for admitted, known_now in ((admission, known), (ADMISSION, found)):
        made = propose(known_now, pool="box", site="here", admission=admitted)
        lines = made.files["join.sh"].splitlines()
        for line, following in itertools.pairwise(lines):
            if line.startswith("#") and line.endswith(":"):
                assert following.startswith(("# sacctmgr", "# usermod", "# parkade")), line
    assert (
        "sacctmgr" not in propose(known, pool="b", site="x", admission=admission).files["join.sh"]
    )


def test_guests_run_in_an_account_of_their_own_into_which_administrators_let_them() -> None:
    """It is no org, and no account that a fence locks out."""
    found = find(Answering())
    script = propose(found, pool="box", site="here").files["join.sh"].splitlines()
    assert "# sacctmgr -i add account parkade" in script
    assert "# sacctmgr -i add user ann_lee account=parkade" in script
    assert "# sacctmgr -i add user bob account=parkade" in script
    assert "# usermod -aG parkade-users bob" in script
    (agent,) = [line for line in script if line.startswith("# parkade agent run")]
    assert "--engine-option account=parkade" in agent
    own = FoundAccount(account="guests", users=("bob",), gpus=None, recent=9)
    known = msgspec.structs.replace(found, accounts=(*found.accounts, own))
    admission = Admission(account="guests", group="people", outside=("ann_lee",))
    made = propose(known, pool="box", site="here", admission=admission)
    script = made.files["join.sh"].splitlines()
    assert "# sacctmgr -i add user ann_lee account=guests" in script
    assert not any("add account" in line or "add user bob" in line for line in script)
    assert [line for line in script if "usermod" in line] == ["# usermod -aG people ann_lee"]
    assert "parkade org create guests" not in script
    assert "guests (9 jobs" not in made.files["join.sh"], "the fence is made for it"
    assert "not in the group people: ann_lee" in made.says


def test_an_accounts_own_nodes_are_dedicated_as_a_market_of_their_own() -> None:
    """A reservation of all nodes of a market is one of these very nodes."""
    made = propose(find(Answering()), pool="box", site="here", dedicated=("acme",))
    pool = OpenPool.model_validate(yaml.safe_load(made.files["pool.yaml"]))
    assert {name: list(nodes) for name, nodes in pool.fabrics.items()} == {"s2": ["n4"]}
    own = AddNodes.model_validate(yaml.safe_load(made.files["nodes-h100-8-acme.yaml"]))
    assert own.market == "box-acme"
    assert own.terms is not None and own.terms.buffer_nodes == 0, "all of them can be reserved"
    assert {name: list(nodes) for name, nodes in own.fabrics.items()} == {
        "s1": ["n1", "n2"],
        "s2": ["n3"],
    }
    assert own.instance_type == pool.instance_type
    script = made.files["join.sh"].splitlines()
    assert "parkade pool add-nodes box -f nodes-h100-8-acme.yaml" in script
    assert "# parkade reserve 3 --market box-acme --org acme --name acme" in script
    assert "# parkade reserve 2 --market box --org lab --name lab" in script
    assert "3 nodes of h100-8, dedicated to acme: n1, n2, n3" in made.says


def test_own_nodes_of_two_kinds_are_two_markets_and_two_reservations() -> None:
    nodes = tuple(
        FoundNode(name=name, gpus=8, model=model, cpus=8, memory_mb=1, partitions=(), switch="")
        for name, model in (("a1", "h100"), ("b1", "v100"), ("b2", "v100"))
    )
    own = FoundReservation(name="r", accounts=("acme",), nodes=("a1", "b1"))
    account = FoundAccount(account="acme", users=(), gpus=None)
    found = Found(nodes=nodes, accounts=(account,), reservations=(own,), partitions=(), lacks=())
    script = propose(found, pool="box", site="here", dedicated=("acme",)).files["join.sh"]
    assert "# parkade reserve 1 --market box-acme --org acme --name acme" in script
    assert "# parkade reserve 1 --market box-acme-2 --org acme --name acme-2" in script
    assert "owners=account:acme=acme" in script


@pytest.mark.parametrize("account", ["lab", "nobody", "weird=x"])
def test_only_an_account_with_nodes_of_its_own_can_have_them_dedicated(account: str) -> None:
    with pytest.raises(ValueError, match="no nodes of its own"):
        propose(find(Answering()), pool="box", site="here", dedicated=(account,))


def test_the_script_lends_nothing_before_its_reader_does() -> None:
    script = propose(find(Answering()), pool="box", site="here").files["join.sh"].splitlines()
    runs = [line for line in script if line and not line.startswith("#")]
    assert runs.index("parkade pool lend box --observe") < len(runs) - 1
    assert not any("fence" in line or "reserve" in line for line in runs)


def test_a_cluster_without_topology_and_accounting_says_so() -> None:
    made = propose(find(Answering("topology", "sacctmgr")), pool="box", site="here")
    assert sum("not found" in line for line in made.says) == 2
    assert "all" in yaml.safe_load(made.files["pool.yaml"])["fabrics"]


def test_names_from_the_cluster_run_nothing_in_the_script() -> None:
    node = FoundNode(
        name="n1", gpus=8, model="h100", cpus=8, memory_mb=1, partitions=(), switch="$(id)"
    )
    account = FoundAccount(account="a;reboot", users=("x$(id)'; rm",), gpus=None)
    found = Found(nodes=(node,), accounts=(account,), reservations=(), partitions=(), lacks=())
    made = propose(found, pool="box", site="here")
    text = made.files["join.sh"]
    assert "$(id" not in text and ";" not in text
    assert yaml.safe_load(made.files["pool.yaml"])["fabrics"] == {"id": ["n1"]}
    assert "parkade org create a-reboot" in text
    assert any("left out: user" in line for line in made.says)


@pytest.mark.parametrize(
    ("ranks", "says"),
    [
        ([("n1", 0)], "not shared by all"),
        ([("n1", 0), ("n1", 0)], "not shared by all"),
        ([("n1", 0), ("n2", 1_500_000)], "clocks differ by 1.5 s"),
        ([("n1", 0), ("n2", -1_500_000)], "clocks differ by 1.5 s"),
    ],
)
def test_a_gang_that_did_not_meet_or_whose_clocks_differ_is_bad(
    ranks: list[tuple[str, int]], says: str
) -> None:
    found = [Rank(node=node, clock_us=10**15 + skew, first_us=10**15) for node, skew in ranks]
    check = judge(found, 2)
    assert not check.is_good and says in check.says


def test_a_gang_that_met_is_good() -> None:
    ranks = [Rank(node=node, clock_us=10**15, first_us=10**15) for node in ("n1", "n2")]
    assert judge(ranks, 2).is_good
