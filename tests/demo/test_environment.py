"""What the demo takes of the settings of a server: where it listens, and nothing else."""

import pytest
from typer.testing import CliRunner

from parkade.cli.app import app
from parkade.demo.run import environment


def test_its_server_has_no_setting_of_another_server() -> None:
    given = {"PATH": "/bin", "PARKADE_SERVER_DATABASE": "postgresql://a@b/c", "PARKADE_SERVER": "x"}
    assert environment(given) == {"PATH": "/bin", "PARKADE_SERVER": "x"}


def test_it_hears_the_port_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARKADE_SERVER_PORT", "many")
    monkeypatch.setenv("PARKADE_SERVER_DATABASE", "not an address")
    answered = CliRunner().invoke(app, ["up", "--demo"])
    assert answered.exit_code == 2 and "port" in answered.output
