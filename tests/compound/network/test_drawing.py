"""Pictures and bounds of networks."""

from xml.etree import ElementTree

import pytest

from parkade.compound.models.protocol import TokenBounds
from parkade.compound.network import (
    BestOf,
    Cascade,
    Generate,
    ModelVerifier,
    Operator,
    Refine,
    Route,
    Vote,
)
from parkade.compound.network.binding import bind
from parkade.compound.network.drawing import as_mermaid, as_svg, as_text
from parkade.compound.network.estimate import estimate
from parkade.compound.network.notation import parse
from tests.compound.building import Driver, answering, ask, names, priced

NETWORK = parse("5E@a(t=0.7) + 8B(E@b)@v >> V@v >> 3J@j")


def test_text_shows_what_feeds_what() -> None:
    assert as_text(NETWORK).splitlines() == [
        "together",
        "├─ generate: 5 × a (t=0.7)",
        "└─ best of 8: verified by v, first accepted",
        "   └─ generate: b",
        "→ verify: verified by v",
        "→ judge: j, 3 votes",
    ]


def test_mermaid_and_svg_hold_every_operator_and_svg_is_well_formed() -> None:
    svg = as_svg(NETWORK)
    ElementTree.fromstring(svg)
    for words in ("question", "generate", "best of 8", "verify", "judge", "answer"):
        assert words in svg
        assert words in as_mermaid(NETWORK)


def test_a_refine_names_its_critic_and_its_verifier() -> None:
    network = Generate("m") >> Refine("m", critic="j", verify=ModelVerifier("strict"))
    line = "refine: m, at most 1 round, criticized by j, verified by strict"
    assert as_text(network).splitlines()[-1] == f"→ {line}"


def test_names_in_a_picture_are_escaped() -> None:
    network = Generate('<script>"|') >> Vote()
    ElementTree.fromstring(as_svg(network))
    assert "<script>" not in as_svg(network) + as_mermaid(network)


@pytest.mark.parametrize(
    ("network", "least", "most"),
    [
        (Generate("m", n=5), 5, 5),
        (parse("5E@m + 3E@m >> 3J@m"), 8, 11),
        (BestOf(Generate("m"), 8, lambda q, c: False), 1, 8),
        (BestOf(Generate("m"), 8, lambda q, c: False, stop="all"), 8, 8),
        (BestOf(Generate("m"), 8, ModelVerifier("m", votes=3)), 4, 32),
        (parse("8E@m >> K@m"), 8, 15),
        (parse("4E@m >> 2R@m"), 6, 12),
        (parse("2E@m >> 3E@m"), 8, 8),
        (Generate("m") >> Refine("m", rounds=2, verify=lambda q, c: False), 1, 3),
        (parse("2*(3E@m >> M)"), 6, 6),
        (parse("3Q(E@m)"), 1, 3),
        (parse("8B(E@m)@m >> 3J@m"), 2, 16),
        (parse("3E@m >> 2B(E@m)@m"), 9, 15),
        (parse("4E@m >> V@m >> S@m"), 8, 9),
        (parse("2*(3E@m >> S@m) >> K@m"), 8, 9),
        (Cascade((Generate("m"), Generate("m", n=2)), ModelVerifier("m")), 2, 6),
        (Route(lambda q: "b", {"a": Generate("m"), "b": Generate("m", n=3)}), 1, 3),
    ],
)
@pytest.mark.parametrize("answer", ["wrong", "correct", "distinct"])
def test_calls_lie_within_the_estimate(
    network: Operator, least: int, most: int, answer: str
) -> None:
    """Answers that are all equal and rejected, equal and accepted, or distinct and rejected."""
    texts = {"wrong": "Verdict: wrong", "correct": "Verdict: correct"}
    known = names({"m": answering(lambda call: texts.get(answer, f"{call.key} wrong"), "m")})
    told = estimate(bind(network, known), ask())
    assert (told.least.calls, told.most.calls) == (least, most)
    driver = Driver(network, known, ask(), width=1)
    driver.run()
    assert least <= len(driver.asked) <= most


def test_the_least_of_tokens_and_money_is_no_guess() -> None:
    """A call may read one token and write none; a byte is a token only at most."""
    known = names({"m": priced(lambda call: ("x", 1, 0))})
    told = estimate(bind(parse("3E@m(m=500)"), known), ask())
    assert (told.least.input_tokens, told.least.output_tokens, told.least.micros) == (3, 0, 3)


def test_what_a_template_adds_and_a_judge_reads_is_in_the_estimate() -> None:
    plain, more = (
        estimate(
            bind(
                parse("4E@m(m=900) >> 1J@j(m=5)"),
                names(
                    {
                        "m": answering(lambda call: "x", "m"),
                        "j": answering(lambda call: "1", "j", bounds=bounds),
                    }
                ),
            ),
            ask(),
        )
        for bounds in (TokenBounds(), TokenBounds(template_tokens=700))
    )
    assert plain.most.input_tokens > 4 * 900
    assert more.most.input_tokens == plain.most.input_tokens + 700


def test_money_is_bounded_where_prices_and_max_tokens_are_known() -> None:
    known = names({"m": priced(lambda call: ("x", 1, 1))})
    assert estimate(bind(Generate("m", n=3), known), ask()).most.micros is None
    told = estimate(bind(Generate("m", n=3, max_tokens=10), known), ask())
    assert told.most.output_tokens == 30
    assert told.most.micros == told.most.input_tokens + 2 * 30


def test_a_long_label_is_wrapped_and_not_cut() -> None:
    drawn = as_svg(parse("20B(E@small)@check"))
    assert "…" not in drawn
    assert ">verified by check, first<" in drawn
    assert ">accepted<" in drawn
