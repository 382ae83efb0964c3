"""Which users are let in to a Slurm pool, as the doctor says it."""

import grp
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from parkade.engines.slurm import admitting, doctor_guests
from parkade.engines.slurm.commands import NotAdmitted
from parkade.engines.slurm.doctor_options import Bad
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import Transient

ASSOCIATIONS = (
    "root|||normal\nroot|root||normal\nlab|||normal\nlab|ann||normal\nlab|zoe||normal\n"
    "parkade|||normal\nparkade|ann||normal\n"
)
NOT_IN = "sbatch: error: Batch job submission failed: Invalid account or account/partition"


class Accounting:
    """Slurm's word on associations, and on a job of each user, which are counted in `tried`."""

    def __init__(
        self, answer: str | None, *, enforces: str = "none", refuses: Mapping[str, str] = {}
    ) -> None:
        self.answer = answer
        self.enforces = enforces
        self.refuses = refuses
        self.tried: list[str] = []

    def run(self, *words: str, **_: Any) -> bytes:
        if words == ("scontrol", "show", "config"):
            return f"AccountingStorageEnforce = {self.enforces}\n".encode()
        if words[0] in ("sudo", "sbatch"):
            user = words[-1]
            self.tried.append(user)
            if user in self.refuses:
                raise NotAdmitted(self.refuses[user])
            return b""
        asked = ("sacctmgr", "-n", "-P", "show", "assoc", "format=account,user,partition,qos")
        assert words == asked
        if self.answer is None:
            raise Transient("sacctmgr: there is no accounting")
        return self.answer.encode()


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of the group `people` with the members ann and bob; zoe is a user of the machine too."""
    (tmp_path / "launcher.conf").write_text("agent=parkade\ngroup=people\n")
    monkeypatch.setattr(os, "geteuid", lambda: 1500)

    def of_name(name: str) -> Any:
        return grp.struct_group((name, "x", 70_000, ["ann", "bob"]))

    monkeypatch.setattr(grp, "getgrnam", of_name)
    monkeypatch.setattr(
        admitting, "_groups_of", lambda user, _: [70_000] if user in ("ann", "bob") else [1]
    )
    return str(tmp_path / "launcher")


def test_a_member_of_the_group_that_the_account_lacks_is_named(launcher: str) -> None:
    settings = SlurmSettings(account="parkade", launcher=launcher)
    found = "not in the account parkade: bob; sacctmgr -i add user USER .* default accounts"
    with pytest.raises(Bad, match=found):
        doctor_guests.guests(settings, Accounting(ASSOCIATIONS))


def test_a_job_of_one_user_of_each_kind_is_tried_and_all_of_a_refused_kind_are_named(
    launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [f"u{number:02}" for number in range(20)]
    monkeypatch.setattr(admitting, "members", lambda _: users)
    rows = "".join(f"parkade|{user}||normal\n" for user in users[:10])
    rows += "".join(f"lab|{user}||normal\n" for user in users[10:15])
    rows += "".join(f"parkade|{user}||low\n" for user in users[15:])
    refuses = {"u10": NOT_IN, "u15": "sbatch: error: Invalid qos specification"}
    slurm = Accounting(rows, enforces="associations,limits,qos", refuses=refuses)
    settings = SlurmSettings(account="parkade", launcher=launcher, qos="normal")
    with pytest.raises(Bad) as caught:
        doctor_guests.guests(settings, slurm)
    says = str(caught.value)
    assert "not in the account parkade: u10, u11, u12, u13, u14; sacctmgr" in says
    assert "until then their jobs wait (sbatch: error: Batch job" in says
    assert "Slurm refuses the jobs of u15, u16, u17, u18, u19: sbatch: error: Invalid qos" in says
    assert slurm.tried == ["u10", "u00", "u15"], "one of each kind"


def test_where_slurm_enforces_associations_and_takes_a_job_it_has_one_that_it_does_not_show(
    launcher: str,
) -> None:
    """As with `PrivateData=accounts`, which hides those of others from the agent."""
    settings = SlurmSettings(account="parkade", launcher=launcher)
    slurm = Accounting(ASSOCIATIONS, enforces="associations")
    assert "2 users are in the account parkade" in doctor_guests.guests(settings, slurm)


def test_so_many_kinds_of_users_are_tried_and_no_more(
    launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [f"u{number:02}" for number in range(20)]
    monkeypatch.setattr(admitting, "members", lambda _: users)
    slurm = Accounting("".join(f"parkade|{user}||q{user}\n" for user in users))
    says = doctor_guests.guests(SlurmSettings(account="parkade", launcher=launcher), slurm)
    assert says.startswith("20 users are in the account parkade")
    assert says.endswith("; 12 more kinds of users were not tried")
    assert len(slurm.tried) == doctor_guests.MOST_TRIED


def test_a_user_of_slurm_that_the_group_lacks_is_named(launcher: str) -> None:
    settings = SlurmSettings(account="parkade", launcher=launcher)
    found = doctor_guests.guests(settings, Accounting(f"{ASSOCIATIONS}parkade|bob||\n"))
    assert found == "2 users are in the account parkade; not in the group people: zoe"


def test_without_an_account_of_their_own_guests_would_use_up_an_owners_limit() -> None:
    rules = SlurmSettings(owners="account:lab=lab")
    with pytest.raises(Bad, match="give the agent account=parkade"):
        doctor_guests.guests(rules, Accounting(ASSOCIATIONS))
    of_users = SlurmSettings(owners="user:ann=lab")
    assert "default accounts" in doctor_guests.guests(of_users, Accounting(ASSOCIATIONS))


@pytest.mark.parametrize("answer", [None, ""])
def test_a_cluster_without_accounts_lacks_none(answer: str | None) -> None:
    settings = SlurmSettings(account="parkade", owners="account:lab=lab")
    assert doctor_guests.guests(settings, Accounting(answer)) == "Slurm tells of no accounts"


def test_a_root_agent_is_told_which_users_the_account_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = doctor_guests.guests(SlurmSettings(account="parkade"), Accounting(ASSOCIATIONS))
    assert found == "1 user is in the account parkade; not in it: zoe"


def test_where_no_user_is_let_in_yet_that_is_bad_only_where_slurm_enforces_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    settings, rows = SlurmSettings(account="parkade"), "root|root||\nlab|root||\n"
    with pytest.raises(Bad, match="no user is in the account parkade, so no guest starts"):
        doctor_guests.guests(settings, Accounting(rows, enforces="associations"))
    assert doctor_guests.guests(settings, Accounting(rows)).startswith("0 users are in")


def test_a_group_is_of_those_named_in_it_and_of_those_whose_own_it_is() -> None:
    assert admitting.outside("root", ["root", "daemon", "no-such-user"]) == ("daemon",)
    assert admitting.members("no-such-group") == ()
