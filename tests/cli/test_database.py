"""The address of a database, as it is typed."""

from typer.testing import CliRunner

from parkade.cli.app import app


def test_a_password_in_an_address_is_refused_and_never_printed() -> None:
    for address in ("postgresql://p:secret@db/x", "postgresql://db/x?user=p&password=secret"):
        done = CliRunner().invoke(app, ["admin", "verify", "--database", address])
        assert done.exit_code == 2 and "leave the password out" in done.output
        assert "secret" not in done.output
