"""The trace of a question, as text and as a page."""

from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from parkade.compound.models.local import LocalModel
from parkade.compound.network import Cascade, Function, Operator, Route
from parkade.compound.network.notation import parse
from parkade.compound.run.described import NoSuchRun, RunUnreadable
from parkade.compound.run.ownership import RUN
from parkade.compound.show.page import as_page
from parkade.compound.show.text import as_text
from parkade.compound.show.trace import read_trace
from parkade.compound.values import Call, Candidate, Completion, Question, Usage, Verdict
from tests.compound.building import answering, ask, names, priced, run_network


def says_why(question: Question, candidate: Candidate) -> Verdict:
    is_accepted = candidate.text.endswith("3")
    return Verdict(is_accepted=is_accepted, score=0.25, reason=f"it ends with {candidate.text[-1]}")


def finished(tmp_path: Path, text: str = "12B(E@m(m=50))@v + 2E@j >> M") -> Path:
    models = {
        "m": priced(lambda call: (f"<b>answer</b> {call.sample}", 10, 3)),
        "j": answering(lambda call: "other", "j"),
    }
    known = names(models, verifiers={"v": says_why})
    run_network(parse(text), [ask(1), ask(2)], known, tmp_path)
    return tmp_path


def test_the_trace_holds_every_call_verdict_and_cost_of_its_question(tmp_path: Path) -> None:
    out = finished(tmp_path, "12B(E@m(m=50))@v(parallel=1)")
    trace = read_trace(out, "q1")
    assert [part.label for part in trace.parts] == [
        "best of 12: verified by v, first accepted",
        "generate: 12 × m",
    ]
    assert trace.calls == 4
    assert trace.cost == 4 * 16
    given = [c.verdicts[0].accepted for c in trace.parts[1].candidates]
    assert given == [False, False, False, True]
    assert trace.result is not None
    assert trace.result.answer == "<b>answer</b> 3"


def test_text_marks_the_answer_and_says_why_others_were_rejected(tmp_path: Path) -> None:
    shown = as_text(read_trace(finished(tmp_path, "12B(E@m(m=50))@v(parallel=1)"), "q1"))
    assert "→✓ m#3" in shown
    assert "it ends with 0" in shown
    assert "0.000064 for 4 calls" in shown


def test_what_a_model_verifier_said_stands_with_its_candidate(tmp_path: Path) -> None:
    models = {
        "m": priced(lambda call: (f"it is {call.sample}", 10, 3)),
        "j": answering(lambda call: "Close.\nVerdict: correct", "j"),
    }
    run_network(parse("E@m(m=50) >> 3V@j"), [ask(1)], names(models), tmp_path)
    trace = read_trace(tmp_path, "q1")
    assert "→✓ m#0" in as_text(trace)
    assert "<b>model verifier: j, 3 votes, score 1</b> Close." in as_page(trace)


def test_a_call_about_a_candidate_names_it_and_stands_with_its_like(tmp_path: Path) -> None:
    models = {
        "m": priced(lambda call: (f"it is {call.sample}", 10, 3)),
        "j": answering(lambda call: "Verdict: correct", "j"),
        "x": answering(lambda call: "better", "x"),
    }
    run_network(parse("3E@m(m=50) >> 3V@j >> X@x"), [ask(1)], names(models), tmp_path)
    trace = read_trace(tmp_path, "q1")
    about = {part.label: [each.about for each in part.candidates] for part in trace.parts}
    assert about["generate: 3 × m"] == ["", "", ""]
    assert about["model verifier: j, 3 votes"] == ["m#0"] * 3 + ["m#1"] * 3 + ["m#2"] * 3
    (improved,) = (each for label, each in about.items() if label.startswith("refine"))
    assert improved == ["m#0", "m#1", "m#2"]
    assert "j#0 on m#2" in as_text(trace)
    assert "sample 0 on m#2" in as_page(trace)


def test_equal_texts_show_the_verdict_that_they_share(tmp_path: Path) -> None:
    models = {
        "m": priced(lambda call: ("always this", 10, 3)),
        "j": answering(lambda call: "Verdict: wrong", "j"),
    }
    run_network(parse("3E@m(m=50) >> V@j"), [ask(1)], names(models), tmp_path)
    shown = as_text(read_trace(tmp_path, "q1"))
    assert shown.count("✗ m#") == 3


class Checked(HTMLParser):
    """Every tag that is opened is closed, and nothing is loaded or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onclick"}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_needs_nothing_and_escapes_what_models_say(tmp_path: Path) -> None:
    page = as_page(read_trace(finished(tmp_path), "q1"))
    parser = Checked()
    parser.feed(page)
    assert parser.open == []
    assert not parser.seen & {"script", "img", "link", "iframe", "b>"}
    assert "&lt;b&gt;answer&lt;/b&gt;" in page
    assert "<b>answer" not in page


def test_a_verdict_that_two_operators_asked_for_is_told_once(tmp_path: Path) -> None:
    trace = read_trace(finished(tmp_path, "9B(E@m(m=50))@v(parallel=1) >> V@v"), "q1")
    accepted = [
        each
        for part in trace.parts
        for each in part.candidates
        if any(v.accepted for v in each.distinct_verdicts)
    ]
    assert [len(each.verdicts) for each in accepted] == [2]
    assert [len(each.distinct_verdicts) for each in accepted] == [1]
    assert "✓✓" not in as_text(trace)


def test_an_unknown_question_and_a_folder_without_a_run_are_said(tmp_path: Path) -> None:
    with pytest.raises(NoSuchRun, match="no folder of a run"):
        read_trace(tmp_path, "q1")
    out = finished(tmp_path)
    with pytest.raises(NoSuchRun, match="nothing of a question 'q9'"):
        read_trace(out, "q9")
    (out / RUN).write_text("{")
    with pytest.raises(RunUnreadable, match="cannot be read"):
        read_trace(out, "q1")


def test_another_network_in_the_same_folder_does_not_mix_with_the_last(tmp_path: Path) -> None:
    finished(tmp_path, "2B(E@m(m=50))@v(parallel=1)")
    finished(tmp_path, "12B(E@m(m=50))@v(parallel=1)")
    known = names({"m": priced(lambda call: (f"<b>answer</b> {call.sample}", 10, 3))})
    known = names(known.models, verifiers={"w": lambda question, candidate: True})
    summary, _ = run_network(parse("5B(E@m(m=50))@w(parallel=1)"), [ask(1)], known, tmp_path)
    assert summary.kept_aside == 4
    trace = read_trace(tmp_path, "q1")
    assert trace.result is not None
    assert trace.result.answer == "<b>answer</b> 0"
    given = [verdict for part in trace.parts for c in part.candidates for verdict in c.verdicts]
    assert [verdict.accepted for verdict in given] == [True]


def test_a_larger_k_keeps_its_samples_and_their_verdicts(tmp_path: Path) -> None:
    finished(tmp_path, "2B(E@m(m=50))@v(parallel=1)")
    finished(tmp_path, "12B(E@m(m=50))@v(parallel=1)")
    trace = read_trace(tmp_path, "q1")
    assert trace.calls == 4
    assert trace.result is not None
    assert trace.result.answer == "<b>answer</b> 3"
    finished(tmp_path, "2B(E@m(m=50))@v(parallel=1)")
    again = read_trace(tmp_path, "q1")
    assert again.result is not None
    assert again.result.answer != "<b>answer</b> 3"


def test_a_vote_tells_its_tally_and_a_tie(tmp_path: Path) -> None:
    shown = as_text(read_trace(finished(tmp_path, "3E@m(m=50) >> M"), "q1"))
    assert "vote: 1 of 3 for the answer, then 1, 1; a tie of 3: the first to come was" in shown
    page = as_page(read_trace(tmp_path, "q1"))
    assert "a tie of 3" in page


def test_a_judge_whose_reply_names_no_candidate_is_told(tmp_path: Path) -> None:
    shown = as_text(read_trace(finished(tmp_path, "3E@m(m=50) >> 2J@j"), "q1"))
    assert "judge: 2 of 2 replies name no candidate, and count for none" in shown


def test_votes_that_are_alike_are_numbered_and_a_ranks_calls_name_their_candidate(
    tmp_path: Path,
) -> None:
    models = {
        "m": priced(lambda call: (f"it is {call.sample}", 10, 3)),
        "j": answering(lambda call: "2", "j"),
    }
    run_network(parse("3E@m(m=50) >> 2R@j(keep=3) >> 3J@j"), [ask(1)], names(models), tmp_path)
    trace = read_trace(tmp_path, "q1")
    for part in trace.parts:
        seen = [each.name for each in part.candidates]
        assert len(set(seen)) == len(seen)
    shown, page = as_text(trace), as_page(trace)
    for vote in (1, 2, 3):
        assert f"j#0 vote {vote}" in shown
        assert f"sample 0, vote {vote}" in page
    for sample in (0, 1, 2):
        assert f"j#1 on m#{sample}" in shown


def test_a_refusal_is_told_in_its_words_and_counts_as_empty(tmp_path: Path) -> None:
    def refuses(call: Call) -> Completion:
        return Completion(
            text="",
            usage=Usage(input_tokens=1, output_tokens=1),
            cost_micros=0,
            finish="stop",
            latency_us=0,
            message=msgspec.Raw(b'{"content":null,"refusal":"I will not."}'),
        )

    known = names({"m": LocalModel("m", refuses)})
    summary, results = run_network(parse("2E@m >> M"), [ask(1)], known, tmp_path)
    assert (summary.empty, results["q1"].refusal) == (2, "I will not.")
    shown = as_text(read_trace(tmp_path, "q1"))
    assert "answer   empty: I will not.\n" in shown
    assert "note     generate: 2 of 2 answers are refusals: I will not.\n" in shown
    assert shown.count("REFUSED") == 2


def hard(question: Question) -> str:
    return "hard" if "2" in question.prompt else "easy"


def test_of_a_route_the_ways_are_told_that_were_not_taken(tmp_path: Path) -> None:
    models = {name: answering(lambda call: f"it is {call.sample}", name) for name in "abj"}
    network = Route(hard, {"easy": parse("2E@a >> 3J@j"), "hard": parse("E@b")})
    run_network(network, [ask(1), ask(2)], names(models), tmp_path)
    easy, difficult = (read_trace(tmp_path, name) for name in ("q1", "q2"))
    assert [part.title for part in easy.parts] == [
        "route: by hard",
        "easy: generate: 2 × a",
        "judge: j, 3 votes",
        "hard: not taken",
    ]
    assert [part.title for part in difficult.parts] == [
        "route: by hard",
        "easy: not taken",
        "hard: generate: b",
    ]
    assert "hard: not taken" in as_page(easy)


def test_of_a_cascade_the_steps_are_told_that_were_not_reached(tmp_path: Path) -> None:
    models = {name: answering(lambda call: str(call.sample), name) for name in "ab"}
    network = Cascade((parse("E@a"), parse("2E@b >> M")), accept=lambda question, candidate: True)
    run_network(network, [ask(1)], names(models), tmp_path)
    shown = [part.title for part in read_trace(tmp_path, "q1").parts][1:]
    assert shown == ["step 1: generate: a", "step 2: not reached"]


def test_ways_without_calls_are_all_shown(tmp_path: Path) -> None:
    ways: dict[str, Operator] = dict.fromkeys(("easy", "hard"), Function(lambda question: "x"))
    run_network(Route(hard, ways), [ask(1)], names({}), tmp_path)
    shown = [part.title for part in read_trace(tmp_path, "q1").parts]
    assert len(shown) == 3
    assert all("not taken" not in title for title in shown)


def test_whom_each_vote_of_a_judge_is_for_is_told_and_what_it_ends_with(tmp_path: Path) -> None:
    why = "I compared both of them at great length, and more than once. "
    models = {
        "m": answering(lambda call: f"it is {call.sample}"),
        "j": answering(lambda call: f"{why}\nBest: 2", "j"),
    }
    run_network(parse("2E@m >> 3J@j"), [ask(1)], names(models), tmp_path)
    shown = as_text(read_trace(tmp_path, "q1"))
    assert "judge: one by one for m#1, m#0, m#1" in shown
    assert "once. Best: 2" in shown


def test_what_a_critic_says_is_shown_whole(tmp_path: Path) -> None:
    critique = "It lacks the unit, and the first of its two sums is wrong by one; see the last line"
    models = {
        "m": answering(lambda call: "it is"),
        "x": answering(lambda call: "better", "x"),
        "c": answering(lambda call: critique, "c"),
    }
    run_network(parse("E@m >> X@x(critic=c)"), [ask(1)], names(models), tmp_path)
    assert critique in as_text(read_trace(tmp_path, "q1"))
