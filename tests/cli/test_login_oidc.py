"""`parkade login --oidc`, with a real provider and a person who says yes in a browser."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("authlib")
pytest.importorskip("joserfc")

from parkade.identity.provider import OidcProvider
from parkade.identity.rules import IdentityFile
from tests.api.town import Town
from tests.api.town import town as running
from tests.identity.provider import CLIENT, SECRET, TestedProvider, providing
from tests.waits import PATIENCE_S, until

House = tuple[Town, TestedProvider]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with providing() as there:
        people = [{"claim": "sub", "has": "248", "org": "acme"}]
        whole = {"format": 1, "issuer": there.url, "client_id": CLIENT, "people": people}
        provider = OidcProvider(IdentityFile.model_validate(whole), SECRET)
        there.interval_s = 1
        folder = tmp_path / "data"
        folder.mkdir()
        with running(folder, provider=provider) as made:
            made.done(made.post("/orgs", {"org": "acme"}))
            yield made, there


def begun(town: Town, config: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PARKADE_CONFIG": str(config)}
    for name in ("PARKADE_TOKEN", "PARKADE_SERVER"):
        environment.pop(name, None)
    return subprocess.Popen(
        [sys.executable, "-m", "parkade.cli", "login", town.url, "--oidc"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("is_granted", [True, False])
def test_a_person_logs_in_with_a_code_in_a_browser(
    house: House, tmp_path: Path, is_granted: bool
) -> None:
    town, there = house
    config = tmp_path / "config.toml"
    with begun(town, config) as process:
        until(lambda: there.devices or process.poll() is not None)
        assert there.devices, process.communicate()
        (device,) = there.devices.values()
        there.decide(device["user_code"], is_granted=is_granted)
        said, errors = process.communicate(timeout=PATIENCE_S)
    assert device["user_code"] in said and f"{there.url}/device" in said
    if not is_granted:
        assert process.returncode == 2 and "refused at the provider" in errors
        assert not config.exists()
        return
    assert process.returncode == 0, errors
    assert "ann@acme (member of acme)" in said
    token = config.read_text().partition('token = "')[2].partition('"')[0]
    assert town.done(town.get("/whoami", token))["user"] == "ann@acme"
    assert token not in said + errors
    assert config.stat().st_mode & 0o077 == 0
