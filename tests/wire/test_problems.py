import pytest

from parkade.core.units.refusal import Reason
from parkade.wire.problems import CODES, Fault, invalid, problem


@pytest.mark.parametrize("reason", list(Reason))
def test_every_refusal_of_the_core_has_a_status_and_an_exit_code(reason: Reason) -> None:
    code = CODES[reason.value]
    assert 400 <= code.status < 600 and 1 <= code.exit <= 7


def test_faults_that_agree_name_the_code() -> None:
    later = Fault(place="array", message="later", code="not_yet")
    wrong = Fault(place="gpus", message="wrong")
    assert invalid([later, later]).code == "not_yet"
    assert invalid([later, wrong]).code == "invalid"


def test_a_code_from_a_newer_server_is_not_a_bug_of_the_client() -> None:
    assert problem("something_new", "new").status == 500
