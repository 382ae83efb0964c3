"""What networks do, driven by hand: no loop, no clock."""

import pytest

from parkade.compound.models.local import LocalModel
from parkade.compound.network import (
    BestOf,
    Cascade,
    Cluster,
    Ensemble,
    Filter,
    Function,
    Fuse,
    Generate,
    Judge,
    Knockout,
    ModelVerifier,
    NetworkError,
    Operator,
    Race,
    Rank,
    Refine,
    Repeat,
    Route,
    Verify,
    Vote,
)
from parkade.compound.network.binding import Names, bind
from parkade.compound.values import Call, Candidate, Question, Verdict
from tests.compound.building import Driver, answering, answers, ask, names, prompt, texts


def is_even(question: Question, candidate: Candidate) -> bool:
    return int(candidate.text) % 2 == 0


def drive(network: Operator, known: Names, *, width: int = 16) -> Driver:
    return Driver(network, known, ask(), width=width)


def counting() -> LocalModel:
    """Sample i says i."""
    return answering(lambda call: str(call.sample), "counting")


def test_generate_gives_all_samples_with_distinct_keys() -> None:
    driver = drive(Generate("m", n=5), names({"m": counting()}))
    assert sorted(texts(driver.run())) == ["0", "1", "2", "3", "4"]
    assert len({call.key for call in driver.asked}) == 5


def test_equal_generates_in_one_network_share_no_sample() -> None:
    network = Ensemble((Generate("m", n=3), Generate("m", n=2)))
    assert sorted(texts(drive(network, names({"m": counting()})).run())) == list("01234")


def test_repeated_draws_share_no_sample() -> None:
    inner = Ensemble((Generate("m", n=2), Generate("m", n=1)))
    driver = drive(Repeat(inner >> Filter(lambda q, c: True), 4), names({"m": counting()}))
    assert sorted(map(int, texts(driver.run()))) == list(range(12))


def test_raising_k_keeps_the_samples_drawn_before() -> None:
    never = BestOf(Generate("m"), k=3, verify=lambda q, c: False)
    more = BestOf(Generate("m"), k=5, verify=lambda q, c: False)
    first, second = (drive(n, names({"m": counting()})) for n in (never, more))
    first.run(), second.run()
    assert {call.key for call in first.asked} < {call.key for call in second.asked}


def test_best_of_stops_at_the_first_accepted_and_drops_the_rest() -> None:
    network = BestOf(Generate("m"), k=100, verify=lambda q, c: c.text == "3")
    driver = drive(network, names({"m": counting()}), width=8)
    answer = driver.run()
    assert texts(answer) == ["3"]
    assert answer.items[0].verdict == Verdict(is_accepted=True)
    assert len(driver.asked) == 11
    assert len(driver.dropped) == 7


def test_best_of_one_at_a_time_asks_no_more_than_it_needs() -> None:
    network = BestOf(Generate("m"), k=100, verify=lambda q, c: c.text == "3", parallel=1)
    driver = drive(network, names({"m": counting()}))
    driver.run()
    assert len(driver.asked) == 4


@pytest.mark.parametrize(
    ("fallback", "expected"),
    [("first", ["0"]), ("abstain", []), ("vote", ["0"]), ("random", None)],
)
def test_best_of_falls_back_when_none_is_accepted(
    fallback: str, expected: list[str] | None
) -> None:
    network = BestOf(Generate("m"), k=9, verify=lambda q, c: False, fallback=fallback)
    answer = drive(network, names({"m": answers("0", "1", "0")})).run()
    assert texts(answer) == expected or (expected is None and texts(answer)[0] in "01")
    assert all(item.verdict and not item.verdict.is_accepted for item in answer.items)


def test_best_of_all_gives_the_highest_score() -> None:
    network = BestOf(
        Generate("m"),
        k=5,
        verify=lambda q, c: Verdict(is_accepted=c.text != "4", score=float(c.text)),
        stop="all",
    )
    assert texts(drive(network, names({"m": counting()})).run()) == ["3"]


def test_a_million_filtered_samples_are_never_in_flight_together() -> None:
    network = Generate("m", n=20_000) >> Filter(lambda q, c: c.text.endswith("9999")) >> Vote()
    driver = drive(network, names({"m": counting()}), width=4)
    assert texts(driver.run()) == ["9999"]
    assert driver.most_in_flight <= 4


def test_best_of_k_inside_best_of_k() -> None:
    inner = BestOf(Generate("m"), k=4, verify=is_even, fallback="abstain", parallel=1)
    network = BestOf(inner, k=6, verify=lambda q, c: int(c.text) > 9, parallel=1)
    driver = drive(network, names({"m": counting()}))
    assert texts(driver.run()) == ["12"]


def test_vote_takes_the_largest_group_and_the_earliest_of_equals() -> None:
    network = Generate("m", n=5) >> Vote()
    assert texts(drive(network, names({"m": answers("a", "b", "b", "a", "c")})).run()) == ["a"]


def test_vote_groups_by_a_key() -> None:
    network = Generate("m", n=3) >> Vote(lambda q, c: c.text.lower())
    assert texts(drive(network, names({"m": answers("a", "X", "x")})).run()) == ["X"]


def test_cluster_gives_one_of_each_group_largest_first() -> None:
    network = Generate("m", n=6) >> Cluster(keep=2)
    model = answers("a", "b", "b", "c", "c", "c")
    assert texts(drive(network, names({"m": model})).run()) == ["c", "b"]


def test_filter_verify_and_functions_chain() -> None:
    def double(question: Question, candidates: tuple[Candidate, ...]) -> list[str]:
        return [candidate.text * 2 for candidate in candidates]

    network = Generate("m", n=4) >> Verify(is_even) >> double
    assert sorted(texts(drive(network, names({"m": counting()})).run())) == ["00", "22"]


def test_a_function_may_begin_a_network() -> None:
    network = Function(lambda question: [question.prompt, "b"]) >> Vote()
    assert texts(drive(network, names({})).run()) == ["question 1"]


def test_a_source_behind_another_runs_for_each_candidate() -> None:
    follow = Generate("m", prompt="better than {candidate}")
    network = Generate("m", n=2) >> follow
    model = answering(lambda call: f"[{prompt(call)}#{call.sample}]")
    assert sorted(texts(drive(network, names({"m": model})).run())) == [
        "[better than [question 1#0]#0]",
        "[better than [question 1#1]#0]",
    ]


def judged(call: Call) -> str:
    """Prefers the candidate that says good, wherever it stands."""
    shown = prompt(call).split("Candidate ")[1:]
    place = next((i for i, each in enumerate(shown, start=1) if "good" in each), 1)
    return f"I think.\nBest: {place}"


def test_judge_takes_the_plurality_whatever_the_order() -> None:
    network = Generate("m", n=3) >> Judge("j", votes=3)
    known = names({"m": answers("bad", "good", "worse"), "j": answering(judged, "j")})
    driver = drive(network, known)
    assert texts(driver.run()) == ["good"]
    assert len({call.key for call in driver.asked if call.model == "j"}) == 3


def test_knockout_makes_n_minus_one_comparisons_a_vote() -> None:
    network = Generate("m", n=5) >> Knockout("j", votes=2)
    known = names({"m": answers("a", "b", "good", "d", "e"), "j": answering(judged, "j")})
    driver = drive(network, known)
    assert texts(driver.run()) == ["good"]
    assert sum(call.model == "j" for call in driver.asked) == 4 * 2


def test_rank_keeps_the_best_scores() -> None:
    model = answering(lambda call: f"Score: {90 if 'fine' in prompt(call) else 10}", "j")
    network = Generate("m", n=3) >> Rank("j", keep=1)
    known = names({"m": answers("x", "fine", "y"), "j": model})
    assert texts(drive(network, known).run()) == ["fine"]


def test_fuse_writes_one_answer_of_all() -> None:
    model = answering(lambda call: str(prompt(call).count("Candidate ")), "j")
    network = Generate("m", n=4) >> Fuse("j")
    assert texts(drive(network, names({"m": counting(), "j": model})).run()) == ["4"]


def test_refine_ends_when_it_is_accepted() -> None:
    better = answering(lambda call: prompt(call).split("answer:\n")[1].split("\n")[0] + "+", "r")
    network = Generate("m") >> Refine("r", rounds=9, verify=lambda q, c: c.text == "0++")
    driver = drive(network, names({"m": counting(), "r": better}))
    assert texts(driver.run()) == ["0++"]
    assert len(driver.asked) == 3


def test_model_verifier_takes_the_majority() -> None:
    said = ["Verdict: correct", "Verdict: wrong", "It is not correct.", "Verdict: wrong"]
    judge = answering(lambda call: said[call.sample], "j")
    for votes, accepted in ((1, True), (3, False)):
        network = Generate("m") >> Verify(ModelVerifier("j", votes=votes))
        answer = drive(network, names({"m": counting(), "j": judge})).run()
        assert (len(answer.items) == 1) is accepted


def test_cascade_stops_at_the_first_step_that_is_accepted() -> None:
    network = Cascade(
        (Function(lambda q: "1"), Generate("small", n=2), Generate("big")), accept=is_even
    )
    driver = drive(network, names({"small": answers("3", "4"), "big": answers("6")}))
    assert texts(driver.run()) == ["4"]
    assert {call.model for call in driver.asked} == {"small"}


def test_cascade_gives_what_the_last_step_made_if_none_is_accepted() -> None:
    network = Cascade((Generate("small"), Generate("big")), accept=is_even)
    answer = drive(network, names({"small": answers("3"), "big": answers("5")})).run()
    assert texts(answer) == ["5"]


def test_route_takes_the_way_that_is_named() -> None:
    network = Route(lambda q: "hard", {"easy": Generate("small"), "hard": Generate("big")})
    driver = drive(network, names({"small": answers("3"), "big": answers("5")}))
    assert texts(driver.run()) == ["5"]
    assert {call.model for call in driver.asked} == {"big"}


def test_race_takes_the_first_to_finish_and_drops_the_rest() -> None:
    driver = drive(Race.of(Generate("m"), 5), names({"m": counting()}))
    assert texts(driver.run(last_first=True)) == ["4"]
    assert len(driver.dropped) == 4


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (Generate("nobody"), "no model 'nobody'"),
        (Generate("nobody"), "there are: m; a network file gives them under `models`"),
        (Verify("v") >> Vote(), "no verifier 'v'; no verifier is given; a network file gives"),
        (Vote(), "needs candidates"),
        (Ensemble((Generate("m"), Vote())), "needs candidates"),
        (Generate("m", n=0), "at least 1"),
        (BestOf(Generate("m"), k=0, verify=is_even), "at least 1"),
        (Repeat(Generate("m", n=0), 3), "`n` of generate must be at least 1"),
        (Generate("m", temperature=-1.0), "`temperature` of generate must be at least 0"),
        (Generate("m") >> Judge("m", votes=20_000), "`votes` of judge must be at most 10,000"),
        (BestOf(Generate("m"), k=1, verify=is_even, fallback="x"), "one of"),
        (BestOf(Generate("m"), 9, is_even, stop="all", worth=9.0), "needs `stop` first"),
        (Generate("m", prompt="{oops"), "no template"),
        (Generate("m", options={"n": 2}), "options may not hold 'n'"),
        (Generate("m") >> Filter("f"), "no function 'f'"),
    ],
)
def test_a_network_that_cannot_run_is_refused_by_name(network: Operator, says: str) -> None:
    with pytest.raises(NetworkError, match=says):
        bind(network, names({"m": counting()}))


@pytest.mark.parametrize(
    ("stage", "note"),
    [
        (Rank("j", votes=2), "rank: 4 of 8 replies give no score, and count for none"),
        (Knockout("j", votes=4), "knockout: 6 of 12 replies name no candidate, and count for none"),
        (ModelVerifier("j", votes=3), "verify: 2 of 3 replies give no verdict, and count as"),
    ],
)
def test_replies_that_cannot_be_read_are_noted(stage: Operator, note: str) -> None:
    """Every reply to a second vote is in words that say nothing."""
    judge = answering(lambda call: "50 Best: 1 correct" if call.sample % 2 == 0 else "well…", "j")
    if isinstance(stage, ModelVerifier):
        judge = answering(lambda call: "correct" if call.sample == 0 else "well…", "j")
        stage = Verify(stage)
    known = names({"m": answers("1", "2", "3", "4"), "j": judge})
    answer = drive(Generate("m", n=4) >> stage, known).run()
    assert any(each.startswith(note) for each in answer.notes), answer.notes


def test_a_prompt_with_an_unknown_variable_ends_the_question_with_the_reason() -> None:
    answer = drive(Generate("m", prompt="{oops}"), names({"m": counting()})).run()
    assert answer.items == ()
    assert "{oops}" in answer.failures[0].message
