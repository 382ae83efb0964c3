"""What `draw` says a question costs at most is a bound for every network."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.compound.models.local import LocalModel
from parkade.compound.models.protocol import Price, TokenBounds
from parkade.compound.network import (
    BestOf,
    Cascade,
    Chain,
    Ensemble,
    Filter,
    Fuse,
    Generate,
    Judge,
    Knockout,
    ModelVerifier,
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
from parkade.compound.network.estimate import estimate
from parkade.compound.network.operators import Cluster, Function
from parkade.compound.values import (
    MAX_REASON,
    Call,
    Candidate,
    Completion,
    Question,
    Usage,
    Verdict,
)
from tests.compound.building import Driver, ask, names

TEMPLATES = {"small": 0, "judge": 5_000, "big": 40}
PRICES = {"small": (1, 2), "judge": (50, 70), "big": (10, 30)}


def longest(name: str) -> LocalModel:
    """A model whose every answer is as long as allowed, with a token for each byte that it reads
    and writes, and what its template adds."""
    price = Price(
        input_micros_per_million=PRICES[name][0] * 1_000_000,
        output_micros_per_million=PRICES[name][1] * 1_000_000,
    )

    def complete(call: Call) -> Completion:
        assert call.most_output_tokens is not None
        # Distinct, so that no two candidates are equal.
        text = (call.key * 8)[: call.most_output_tokens]
        usage = Usage(
            input_tokens=len(call.body) + TEMPLATES[name], output_tokens=call.most_output_tokens
        )
        return Completion(
            text=text, usage=usage, cost_micros=price.cost_micros(usage), finish="stop",
            latency_us=1,
        )  # fmt: skip

    bounds = TokenBounds(template_tokens=TEMPLATES[name])
    return LocalModel(name, complete, price=price, max_output_tokens=30, bounds=bounds)


def rejects(question: Question, candidate: Candidate) -> Verdict:
    return Verdict(is_accepted=False, reason="r" * MAX_REASON)


def accepts(question: Question, candidate: Candidate) -> bool:
    return True


models = st.sampled_from(sorted(TEMPLATES))
limits = st.sampled_from([None, 17, 64])
checkers = st.one_of(
    st.just(rejects),
    st.just(accepts),
    st.builds(ModelVerifier, models, max_tokens=limits, votes=st.sampled_from([1, 3])),
)
SCHEMA = {"type": "object", "required": ["a"]}
generates = st.one_of(
    st.builds(Generate, models, n=st.integers(1, 3), max_tokens=limits),
    st.builds(
        Generate,
        models,
        n=st.integers(1, 2),
        max_tokens=limits,
        schema=st.just(SCHEMA),
        repairs=st.integers(0, 3),
    ),
    st.builds(
        Generate, models, max_tokens=limits, prompt=st.just("{prompt} {prompt} {id} {answer}")
    ),
)
votes = st.integers(1, 3)
stages = st.one_of(
    st.builds(Verify, checkers),
    st.just(Filter(accepts)),
    st.just(Vote()),
    st.builds(Cluster, keep=st.sampled_from([None, 1])),
    st.builds(Judge, models, votes=votes, max_tokens=limits),
    st.builds(Rank, models, votes=votes, keep=st.integers(1, 3), max_tokens=limits),
    st.builds(Knockout, models, votes=votes, max_tokens=limits),
    st.builds(Fuse, models, max_tokens=limits),
    st.builds(
        Refine,
        models,
        max_tokens=limits,
        rounds=st.integers(1, 3),
        verify=st.one_of(st.none(), checkers),
        critic=st.one_of(st.none(), models),
        critique=st.sampled_from(["", "{prompt} {candidate} {candidate} {reason}"]),
    ),
    st.builds(Generate, models, prompt=st.just("{prompt} {candidate}"), max_tokens=limits),
)


def larger(sources: st.SearchStrategy[Operator]) -> st.SearchStrategy[Operator]:
    """Sources made of sources; a chain's steps may be such sources too."""
    parts = st.lists(sources, min_size=1, max_size=3).map(tuple)
    unchained = sources.filter(lambda each: not isinstance(each, Chain))
    steps = st.lists(st.one_of(stages, unchained), min_size=1, max_size=2)
    return st.one_of(
        st.builds(Repeat, sources, st.integers(1, 3)),
        st.builds(Ensemble, parts),
        st.builds(Race, parts),
        st.builds(Cascade, parts, checkers),
        st.builds(
            BestOf,
            sources,
            st.integers(1, 3),
            checkers,
            stop=st.sampled_from(["first", "all"]),
        ),
        st.builds(
            lambda way: Route(lambda question: "a", {"a": way, "b": Generate("small")}), sources
        ),
        st.builds(lambda head, more: Chain((head, *more)), unchained, steps),
    )


networks = st.recursive(generates, larger, max_leaves=5)


def known() -> Names:
    return names({name: longest(name) for name in TEMPLATES})


def most_and_spent(network: Operator) -> tuple[Any, Any]:
    question = ask(answer="forty-two")
    told = estimate(bind(network, known()), question).most
    driver = Driver(network, known(), question, width=4)
    driver.run()
    asked = driver.asked
    usages = [
        Usage(
            input_tokens=len(call.body) + TEMPLATES[call.model],
            output_tokens=call.most_output_tokens or 0,
        )
        for call in asked
    ]
    micros = [
        (driver.models[call.model].price or _no_price()).cost_micros(usage)
        for call, usage in zip(asked, usages, strict=True)
    ]
    spent = (
        len(asked),
        sum(usage.input_tokens for usage in usages),
        sum(usage.output_tokens for usage in usages),
        sum(micros),
    )
    return (told.calls, told.input_tokens, told.output_tokens, told.micros), spent


def _no_price() -> Price:
    raise AssertionError("each model of these tests has a price")


@settings(max_examples=150)
@given(networks)
def test_no_run_takes_more_calls_tokens_or_money_than_its_bound(network: Operator) -> None:
    most, spent = most_and_spent(network)
    assert all(used <= bound for used, bound in zip(spent, most, strict=True)), (spent, most)


def test_a_critic_is_bounded_by_its_own_price_limit_and_template() -> None:
    """The reviser is the cheap one, so twice its price would be far from enough."""
    network = Generate("small", max_tokens=64) >> Refine(
        "small", max_tokens=64, rounds=1, critic="judge"
    )
    most, spent = most_and_spent(network)
    assert most[0] == spent[0] == 3
    assert spent[3] <= most[3]
    assert most[1] > TEMPLATES["judge"]


def test_a_repair_reads_all_answers_before_it() -> None:
    network = Generate("small", max_tokens=64, schema=SCHEMA, repairs=3)
    most, spent = most_and_spent(network)
    assert most[0] == spent[0] == 4
    assert spent[1] <= most[1]


def test_a_chain_that_is_repeated_for_each_candidate_judges_each_time() -> None:
    inner = Repeat(Chain((Generate("small", n=2), Judge("judge"))), 2)
    most, spent = most_and_spent(Chain((Generate("small", n=3), inner)))
    assert most[0] == spent[0] == 3 + 3 * 2 * (2 + 1)
    assert spent[3] <= most[3]


def test_a_source_is_a_function_that_gives_one_candidate() -> None:
    network = Chain((Function(lambda question: "x"), Refine("big", critic="judge")))
    most, spent = most_and_spent(network)
    assert spent[3] <= most[3]
