"""Which users are let in to a Slurm pool, as the doctor says it."""

import grp
import os
from pathlib import Path
from typing import Any

import pytest

from parkade.engines.slurm import admitting, doctor_guests
from parkade.engines.slurm.doctor_options import Bad
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import Transient

ASSOCIATIONS = "root|\nroot|root\nlab|\nlab|ann\nlab|zoe\nparkade|\nparkade|ann\n"


class Accounting:
    def __init__(self, answer: str | None) -> None:
        self.answer = answer

    def run(self, *words: str, **_: Any) -> bytes:
        assert words == ("sacctmgr", "-n", "-P", "show", "assoc", "format=account,user")
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
    with pytest.raises(Bad, match="not in the account parkade: bob; sacctmgr -i add user USER"):
        doctor_guests.guests(settings, Accounting(ASSOCIATIONS))


def test_a_user_of_slurm_that_the_group_lacks_is_named(launcher: str) -> None:
    settings = SlurmSettings(account="parkade", launcher=launcher)
    found = doctor_guests.guests(settings, Accounting(f"{ASSOCIATIONS}parkade|bob\n"))
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
    assert found == "1 users are in the account parkade; not in it: zoe"


def test_a_group_is_of_those_named_in_it_and_of_those_whose_own_it_is() -> None:
    assert admitting.outside("root", ["root", "daemon", "no-such-user"]) == ("daemon",)
    assert admitting.members("no-such-group") == ()
