import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.verify import extract


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("no digits", None),
        ("It is 4, no: 5.", "5"),
        ("so 1,234,567.50 in all", "1,234,567.50"),
        ("costs $3.", "$3"),
        ("x = -7", "-7"),
        ("x = −7", "−7"),
        ("between 3-4", "4"),
        ("3/4 of it", "3/4"),
        ("about 1e-3", "1e-3"),
        ("40% of 20", "20"),
        ("is 40%", "40%"),
        (".5", ".5"),
        ("GPT4 says 3", "3"),
        ("v1.2.3", None),
        ("1, 2, 3", "3"),
        ("12,34", "34"),
    ],
)
def test_the_last_number_is_found_as_it_is_written(text: str, found: str | None) -> None:
    assert extract.last_number(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("\\boxed{3}", "3"),
        ("first \\boxed{3} then \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("\\boxed 5 is it", "5"),
        ("\\fbox{x}", "x"),
        ("\\boxed {a{b}c}", "a{b}c"),
        ("\\boxed{never closed", None),
        ("\\boxed{}", None),
        ("\\boxedness{3}", None),
    ],
)
def test_a_box_is_read_with_its_braces_balanced(text: str, found: str | None) -> None:
    assert extract.boxed(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("a\n#### 42", "42"),
        ("#### 1\n#### 2\nbye", "2"),
        ("####", None),
        ("####   \n", None),
    ],
)
def test_the_rest_of_the_line_after_the_marker(text: str, found: str | None) -> None:
    assert extract.after_marker(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("plain", None),
        ("```\na\n```", "a\n"),
        ("```python\na\n```\nand\n```\nb\n```", "a\n"),
        ("```python\na\n```\nbetter:\n```py\nb\n```", "b\n"),
        ("```sh\nls\n```\n```json\n{}\n```", "{}\n"),
        ("```python\ntorn", "torn"),
        ("  ```python\n  a\n  ```", "  a\n"),
        ("inline ```x``` is none", None),
    ],
)
def test_the_last_python_block_is_preferred_to_other_blocks(text: str, found: str | None) -> None:
    assert extract.code_block(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("B", "B"),
        ("(C)", "C"),
        ("The answer is B.", "B"),
        ("The answer is: **D**", "D"),
        ("Answer: (A) because B is wrong", "A"),
        ("Option A is bad. The answer is C", "C"),
        ("I think A is wrong.", None),
        ("A dog and a cat", "A"),
        ("It must be (B), not (C)... no, (B)", "B"),
        ("\\boxed{D}", "D"),
        ("\\boxed{\\text{C}}", "C"),
        ("A. red\nB. blue\nso B", "B"),
        ("Dad's answer is none", None),
        ("the answer is E", None),
        ("correct choice: b", None),
    ],
)
def test_the_chosen_letter(text: str, found: str | None) -> None:
    assert extract.letter(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("3", "3"),
        ('"x"', '"x"'),
        ('Here: {"a": [1, {"b": 2}]} done', '{"a": [1, {"b": 2}]}'),
        ('{"a": 1} or {"a": 2}', '{"a": 2}'),
        ('```json\n{"a": 3}\n```\nas {said}', '{"a": 3}'),
        ("{not json", None),
        ("[" * 5_000, None),
    ],
)
def test_the_last_json_value(text: str, found: str | None) -> None:
    assert extract.json_text(text) == found


@pytest.mark.parametrize(
    ("text", "found"), [("", None), (" \n", None), ("a\n b \n\n", "b"), ("a", "a")]
)
def test_the_last_line_that_is_not_empty(text: str, found: str | None) -> None:
    assert extract.last_line(text) == found


@given(st.text(max_size=300))
def test_any_text_gives_an_answer_that_it_contains_or_none(text: str) -> None:
    ways = (
        extract.whole, extract.last_line, extract.last_number, extract.after_marker, extract.boxed,
        extract.code_block, extract.letter, extract.json_text,
    )  # fmt: skip
    for way in ways:
        found = way(text)
        assert found is None or found in text
