"""The Mars demo asks for what an alert compares, which has data while nothing is wrong."""

import pytest
import yaml

from demo.monitoring import RULES, expressions
from parkade.mars.shipped import shipped_text


def test_no_expression_ends_in_the_comparison_of_an_alert() -> None:
    shipped = [
        rule["expr"]
        for name in RULES
        for group in yaml.safe_load(shipped_text(name))["groups"]
        for rule in group["rules"]
    ]
    assert any(" != 0" in each for each in shipped) and any(" > 0" in each for each in shipped)
    outside = [each.rsplit(" ", 2)[-2] for each in expressions() if len(each.split()) > 2]
    assert not {"<", ">", "<=", ">=", "!="} & set(outside)


@pytest.mark.parametrize("operator", ["<", ">", "<=", ">=", "==", "!="])
def test_every_comparison_is_left_out(operator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {"groups": [{"rules": [{"expr": f"parkade_figure {operator} 0"}]}]}
    monkeypatch.setattr("demo.monitoring.RULES", ("planted.yaml",))
    monkeypatch.setattr("demo.monitoring.BOARDS", ())
    monkeypatch.setattr("demo.monitoring.shipped_text", lambda _: yaml.safe_dump(rules))
    assert expressions() == ["parkade_figure"]
