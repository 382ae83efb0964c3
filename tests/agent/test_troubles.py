"""Why attempts are not started, as the agent tells it beside its engine."""

from parkade.agent.troubles import Troubles
from parkade.ports import Observation, Transient, Trouble
from tests import builders

SILENT = Trouble(attempt=None, says="Slurm does not answer the agent: it is down", since_us=1)


def seen(*attempts: str, troubles: tuple[Trouble, ...] = ()) -> Observation:
    return Observation(
        pool="here",
        at_us=1,
        is_complete=not troubles,
        attempts=tuple(builders.observed(name) for name in attempts),
        troubles=troubles,
    )


def failing(*attempts: str) -> Troubles:
    made = Troubles()
    for name in attempts:
        assert made.failed(name, Transient("no reservation of that name"))
    return made


def test_what_kept_an_attempt_once_is_not_told_after_its_engine_had_it() -> None:
    troubles = failing("w3.2")
    assert [one.attempt for one in troubles.beside(seen(), ["w3.2"])] == ["w3.2"]
    assert troubles.beside(seen("w3.2"), ["w3.2"]) == ()
    assert troubles.beside(seen(troubles=(SILENT,)), ["w3.2"]) == (SILENT,)
    assert troubles.beside(seen(), ["w3.2"]) == (), "it ran, and its engine answers again"


def test_an_engine_that_does_not_answer_is_the_cause_and_no_earlier_one() -> None:
    troubles = failing("w4.1")
    assert troubles.beside(seen(troubles=(SILENT,)), ["w4.1"]) == (SILENT,)
    other = Trouble(attempt=None, says="no fence: Access denied")
    told = troubles.beside(seen(troubles=(other,)), ["w4.1"])
    assert [one.says for one in told] == [other.says, "no reservation of that name"]


def test_what_is_not_desired_any_more_is_not_told() -> None:
    assert failing("w4.1").beside(seen(), []) == ()
