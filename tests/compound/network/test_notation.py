"""The compact notation, YAML and drawings; what is read runs."""

from pathlib import Path

import pytest
import yaml

from parkade.compound.network import (
    BestOf,
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
    Verify,
    Vote,
)
from parkade.compound.network.notation import parse
from parkade.compound.network.yaml import from_plain, to_plain
from tests.compound.building import answering, answers, ask, names, prompt, run_network

CASES: list[tuple[str, Operator]] = [
    ("5E@a", Generate("a", n=5)),
    ("E@a(t=0.7, m=100)", Generate("a", temperature=0.7, max_tokens=100)),
    ("2E@a + 3E@b", Ensemble((Generate("a", n=2), Generate("b", n=3)))),
    ("2E@a >> M", Generate("a", n=2) >> Vote()),
    ("E@a >> V@v", Generate("a") >> Verify("v")),
    ("E@a >> 3V@j", Generate("a") >> Verify(ModelVerifier("j", votes=3))),
    ("E@a >> V@j(t=0)", Generate("a") >> Verify(ModelVerifier("j", temperature=0.0))),
    (
        "E@a >> 5V@j(t=1, m=9)",
        Generate("a") >> Verify(ModelVerifier("j", votes=5, temperature=1.0, max_tokens=9)),
    ),
    ('E@a(prompt="é\\n\\"\\\\ {prompt}")', Generate("a", prompt='é\n"\\ {prompt}')),
    ("E@a >> F@f >> 10C@k", Generate("a") >> Filter("f") >> Cluster("k", keep=10)),
    ("E@a >> 3J@j", Generate("a") >> Judge("j", votes=3)),
    ("E@a >> R@j(keep=2)", Generate("a") >> Rank("j", keep=2)),
    ("E@a >> K@j >> S@j", Generate("a") >> Knockout("j") >> Fuse("j")),
    ("E@a >> 2X@r >> P@f", Generate("a") >> Refine("r", rounds=2) >> Function("f")),
    ("64B(E@a)@v", BestOf(Generate("a"), 64, "v")),
    ("64B(E@a)@v(worth=40)", BestOf(Generate("a"), 64, "v", worth=40)),
    ("8B(2E@a >> M)@v(stop=all)", BestOf(Generate("a", n=2) >> Vote(), 8, "v", stop="all")),
    ("3Q(E@a)", Race.of(Generate("a"), 3)),
    ("2*(E@a >> M)", Repeat(Generate("a") >> Vote(), 2)),
    ('E@a(prompt="say \\"{prompt}\\"")', Generate("a", prompt='say "{prompt}"')),
    ("(E@a >> V@v) + E@b", Ensemble((Generate("a") >> Verify("v"), Generate("b")))),
]


@pytest.mark.parametrize(("text", "network"), CASES)
def test_a_text_is_the_network_it_says(text: str, network: Operator) -> None:
    assert parse(text) == network


@pytest.mark.parametrize(("text", "network"), CASES)
def test_a_network_survives_yaml(text: str, network: Operator) -> None:
    written = yaml.safe_dump(to_plain(network))
    assert from_plain(yaml.safe_load(written)) == network


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5E",
        "E@a >>",
        ">> E@a",
        "E@a ++ E@b",
        "(E@a",
        "E@a)",
        "Z@a",
        "0E@a",
        "E@a(t=)",
        "E@a(oops=1)",
        "E@a(t=0.7,t=0.8)",
        "E@a(t=0.7,temperature=0.7)",
        "3B@v",
        "E@a E@b",
        "(" * 60 + "E@a" + ")" * 60,
        "E@a + " * 5_000,
    ],
)
def test_a_wrong_text_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(NetworkError):
        parse(text)


@pytest.mark.parametrize(
    ("plain", "says"),
    [
        ({"generate": {"n": 3}}, "model is missing"),
        ({"generate": {"model": "a", "m": 3}}, "no field 'm'"),
        ({"generate": {"model": "a", "n": "three"}}, "network.generate.n"),
        ({"generator": {}}, "no operator 'generator'"),
        ({"generate": {"model": "a", "n": 10**12}}, "network.generate.n: must be at most 100,000"),
        ({"judge": {"model": "a", "votes": 10**9}}, "network.judge.votes: must be at most 10,000"),
        ({"generate": {"model": "a", "temperature": -1}}, "temperature: must be at least 0"),
        ([], "network"),
        ({"a": 1, "b": 2}, "one key"),
        ({"ensemble": {"parts": {"generate": "a"}}}, "list of operators"),
        ([{"generate": "a"}, {"verify": {"verify": 3}}], r"network\[1\].verify.verify"),
    ],
)
def test_wrong_yaml_is_refused_with_its_place(plain: object, says: str) -> None:
    with pytest.raises(NetworkError, match=says):
        from_plain(plain)


# The published examples of Ember's notation, which build graphs, in ours, which run.
EMBER = [
    ('["7:E:gpt-4o:0.7"]', "7E@gpt-4o(t=0.7)", 7),
    ('["7:E:gpt-4o:0.7", "1:M"]', "7E@gpt-4o(t=0.7) >> M", 7),
    (
        '["3:E:gpt-4o:0.7", "1:J:claude-3-5-sonnet:0.0"]',
        "3E@gpt-4o(t=0.7) >> S@claude-3-5-sonnet(t=0)",
        4,
    ),
    (
        '["$sub", "$sub", "1:J:gpt-4o:0.0"], sub = ["2:E:gpt-4o:0.0", "1:V:gpt-4o:0.0"]',
        "2*(2E@gpt-4o(t=0) >> V@gpt-4o(t=0)) >> S@gpt-4o(t=0)",
        9,
    ),
    (
        (
            '[["3:E:gpt-4o:0.7", "1:V:gpt-4o:0.0"], ["3:E:claude-3-5-haiku:1.0", '
            '"1:V:claude-3-5-haiku:0.0"], "1:J:claude-3-5-sonnet:0.0"]'
        ),
        (
            "(3E@gpt-4o(t=0.7) >> V@gpt-4o(t=0))"
            " + (3E@claude-3-5-haiku(t=1) >> V@claude-3-5-haiku(t=0))"
            " >> J@claude-3-5-sonnet(t=0)"
        ),
        13,
    ),
    # The README writes these with its classes; it has no compact form of them.
    (
        "UniformEnsemble(3, gpt-4o, 0.7), JudgeSynthesis(claude-3-5-sonnet, 0.2)",
        "3E@gpt-4o(t=0.7) >> S@claude-3-5-sonnet(t=0.2)",
        4,
    ),
    (
        (
            "UniformEnsemble(5, gpt-4o-mini, 0.7), JudgeSynthesis(claude-3-5-sonnet, 0.2), "
            "Verifier(claude-3-5-haiku, 0)"
        ),
        "5E@gpt-4o-mini(t=0.7) >> S@claude-3-5-sonnet(t=0.2) >> V@claude-3-5-haiku(t=0)",
        7,
    ),
]


@pytest.mark.parametrize(("theirs", "ours", "calls"), EMBER)
def test_ember_s_published_examples_run_in_our_notation(
    tmp_path: Path, theirs: str, ours: str, calls: int
) -> None:
    def say(call):  # type: ignore[no-untyped-def]
        text = prompt(call)
        if "Proposed answer" in text:
            return f"Looks fine.\nVerdict: correct ({call.key[:4]})"
        return "Best: 1" if "Which candidate" in text else f"{call.model} {call.sample}"

    named = ("gpt-4o", "gpt-4o-mini", "claude-3-5-sonnet", "claude-3-5-haiku")
    models = {name: answering(say, name) for name in named}
    summary, results = run_network(parse(ours), [ask()], names(models), tmp_path)
    assert results["q1"].answer
    assert summary.calls == calls


def test_the_notation_of_the_readme_runs(tmp_path: Path) -> None:
    models = {
        "a": answers("1", "2", "3", "4", "5"),
        "b": answering(lambda call: str(10 + call.sample), "b"),
        "j": answering(lambda call: "Best: 2", "j"),
    }
    known = names(models, verifiers={"v": lambda q, c: int(c.text) % 2 == 0})
    network = parse("5E@a(t=0.7) + 5E@b >> V@v >> 1J@j")
    summary, results = run_network(network, [ask()], known, tmp_path)
    assert summary.calls == 11
    assert int(results["q1"].answer or "1") % 2 == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "5E@a(m=ten)",
            r"at character 6 \(m=ten\)\): max_tokens=ten: must be a whole number",
        ),
        ("E@a >> E@a(t=hot)", r"at character 12 .*temperature=hot"),
        ("99999999999999E@a", r"at character 1 .*at most 100,000,000"),
        ("999999999999*(E@a)", r"at character 1 .*at most 100,000,000"),
        ("E@a >> V@v(k=3)", r"at character 12 .*no field 'k'; there are: model"),
        ("9B(E@a)@v(worth=0)", r"at character 11 .*worth=0: must be at least 1"),
        ("9B(E@a)@v(worth=much)", r"at character 11 .*worth=much: must be a number, not a text"),
        ("E@a(t=-3)", r"at character 5 \(t=-3\)\): temperature=-3: must be at least 0"),
        ("E@a(t=nan)", r"at character 5 .*must be at least 0"),
        ("E@a(m=0)", r"at character 5 .*must be at least 1"),
        ("9999999Q(E@a)", r"at most 1,000 replicas"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_its_character(text: str, says: str) -> None:
    with pytest.raises(NetworkError, match=says):
        parse(text)
