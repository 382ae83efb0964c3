import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.units.names import (
    ENV_KEY,
    GRAMMARS,
    NAME,
    NODE_NAME,
    UNIX_NAME,
    Grammar,
    numbered,
    same_host,
)

LABEL = "a" * 63


@pytest.mark.parametrize(
    ("grammar", "accepted", "refused"),
    [
        (NAME, ["a", "acme", "acme.org", "a_b", "a-2", LABEL], ["", "A", "-a", "a-", LABEL + "a"]),
        (
            NODE_NAME,
            ["n1", "GPU-01.cluster.local", "10.0.0.7", f"{LABEL}.{LABEL}.{LABEL}.{LABEL[:61]}"],
            ["", ".", "a.", "a..b", "a_b", "-a", "a-.b", LABEL + "a", f"{LABEL}.{LABEL}." * 2],
        ),
        (UNIX_NAME, ["ann", "_x", "a" * 32], ["", "Ann", "1a", "a" * 33, "a.b"]),
        (ENV_KEY, ["A", "_a1", "A" * 256], ["", "1A", "A-B", "A" * 257]),
    ],
    ids=["name", "node", "unix", "env"],
)
def test_a_grammar_accepts_its_names_alone(
    grammar: Grammar, accepted: list[str], refused: list[str]
) -> None:
    assert [name for name in accepted if not grammar.accepts(name)] == []
    assert [name for name in refused if grammar.accepts(name)] == []


@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: grammar.words[:20])
@given(text=st.text(st.characters(codec="ascii"), max_size=12))
def test_no_name_leaves_its_folder_or_its_line(grammar: Grammar, text: str) -> None:
    if grammar.accepts(text):
        assert text and not text.startswith(".") and not set(text) & set("/\\:\n\r\0\t")


@given(st.from_regex(NAME.pattern, fullmatch=True), st.integers(1, 10**9))
def test_a_numbered_name_is_a_name(name: str, number: int) -> None:
    assert NAME.accepts(numbered(name, number))


def test_two_spellings_of_a_host_are_one_machine() -> None:
    assert same_host("GPU-01.Cluster.local") == same_host("gpu-01.cluster.LOCAL")
