"""A key that stands in the wrong file says where it belongs."""

from pathlib import Path

import pytest

from tests.api.town import Town
from tests.cli.test_cli import Run, as_user, run

__all__ = ["run"]


@pytest.mark.parametrize("key", ["public_floor", "pay_as_you_go", "reservation_rate"])
def test_a_price_among_terms_leads_to_the_price_sheet(
    run: Run, fresh: Town, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str
) -> None:
    fresh.pool()
    as_user(monkeypatch, fresh, fresh.operator)
    file = tmp_path / "t.yaml"
    file.write_text(f"{key}: 9.5\n")
    said = run("pool", "terms", "lab", "-f", str(file), exit_code=3).stderr
    flag = f"--{key.replace('_', '-')}"
    assert f"is a price, not a term: parkade price sheet set MARKET {flag}" in " ".join(
        said.split()
    )
