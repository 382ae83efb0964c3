"""Network files and question files: what they say, and how they are wrong."""

import gzip
import io
import sys
from pathlib import Path

import msgspec
import pytest

from parkade.compound.loading import load
from parkade.compound.models.openai import OpenAIModel
from parkade.compound.network import NetworkError
from parkade.compound.network.binding import bind
from parkade.compound.network.digest import network_digest
from parkade.compound.network.notation import parse
from parkade.compound.questions import QuestionError, count_questions, read_questions
from tests.compound.building import run_network
from tests.compound.verify.asking import question, verdict

FULL = """
models:
  small: {url: "http://127.0.0.1:8000/v1", model: qwen, max_tokens: 512, concurrency: 9}
  big:
    url: [https://one.example/v1, https://two.example/v1]
    model: large
    key_env: BIG_KEY
    price: {input: "2.50", output: 10, as_of: 2026-01-15}
  rule: {function: "rules.py:answer", version: 2}
  past: {recorded: past.jsonl, wraps: true}
  later: {batch: requests.jsonl, model: x}
verifiers:
  even: {function: "rules.py:is_even"}
  ends: {make: "rules.py:Ends", letter: "2"}
  judge: {model_verifier: {model: small, votes: 3}}
functions: {normal: "rules.py:normal"}
network: "2E@rule >> V@even >> M@normal"
"""
RULES = """
def answer(call): return str(call.sample)
class Ends:
    name = "ends"
    def __init__(self, letter): self.letter = letter
    def version(self): return "1"
    async def verify(self, question, candidate):
        from parkade.compound.values import Verdict
        return Verdict(is_accepted=candidate.text.endswith(self.letter))
def is_even(question, candidate): return int(candidate.text) % 2 == 0
def normal(question, candidate): return candidate.text
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.py").write_text(RULES)
    (tmp_path / "past.jsonl").write_text('{"prompt": "p", "answers": ["a"]}\n')
    (tmp_path / "net.yaml").write_text(FULL)
    return tmp_path


def test_a_file_with_everything_loads_and_runs(folder: Path) -> None:
    loaded = load(folder / "net.yaml")
    big = loaded.names.models["big"]
    assert isinstance(big, OpenAIModel)
    assert big.price is not None
    assert big.price.input_micros_per_million == 2_500_000
    assert big.price.as_of == "2026-01-15"
    assert loaded.names.models["small"].limits.concurrency == 9
    assert loaded.names.models["rule"].identity == "local/rule@2"
    (folder / "q.jsonl").write_text('{"prompt": "x"}\n')
    questions = read_questions(folder / "q.jsonl")
    _, results = run_network(loaded.network, questions, loaded.names, folder / "out")
    assert results["1"].answer == "0"


def test_a_verifier_object_is_made_with_its_fields(folder: Path) -> None:
    text = FULL.replace("2E@rule >> V@even >> M@normal", "9B(E@rule)@ends(parallel=1)")
    (folder / "net.yaml").write_text(text)
    (folder / "q.jsonl").write_text('{"prompt": "x"}\n')
    loaded = load(folder / "net.yaml")
    questions = read_questions(folder / "q.jsonl")
    _, results = run_network(loaded.network, questions, loaded.names, folder / "out")
    assert results["1"].answer == "2"


def test_a_price_may_be_named_and_has_its_date(tmp_path: Path) -> None:
    text = "network: E@a\nmodels: {a: {url: 'http://x/v1', model: m, price: %s}}"
    (tmp_path / "net.yaml").write_text(text % "gpt-4o-mini")
    price = load(tmp_path / "net.yaml").names.models["a"].price
    assert price is not None
    assert (price.input_micros_per_million, price.output_micros_per_million) == (150_000, 600_000)
    assert price.as_of == "2024-07-18"
    (tmp_path / "net.yaml").write_text(text % "unheard-of")
    with pytest.raises(NetworkError, match="no price of 'unheard-of'"):
        load(tmp_path / "net.yaml")


def test_a_python_file_is_a_network_too(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from parkade.compound.models.local import LocalModel\n"
        "models = {'m': LocalModel('m', lambda call: 'x')}\n"
        "network = '3E@m >> M'\n"
    )
    assert load(tmp_path / "net.py").network == parse("3E@m >> M")


def test_a_python_file_imports_and_names_what_stands_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "beside_the_network.py").write_text("def guess(call): return 'x'\n")
    (tmp_path / "net.py").write_text(
        "from beside_the_network import guess\n"
        "models = {'a': guess, 'b': {'function': 'beside_the_network.py:guess'}}\n"
        "network = 'E@a + E@b'\n"
    )
    assert set(load(tmp_path / "net.py").names.models) == {"a", "b"}


def test_a_verifier_of_ones_own_name_may_be_a_short_name_with_all_its_defaults(
    folder: Path,
) -> None:
    (folder / "net.yaml").write_text("network: E@a >> V@right\nverifiers: {right: number}\n")
    right = load(folder / "net.yaml").names.verifiers["right"]
    assert verdict(right, question(answer=42), "6 × 7 = 42").is_accepted
    assert not verdict(right, question(answer=42), "6 × 7 = 41").is_accepted


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("models: {}", "network"),
        ("network: 5E@a\nmodel: {}", "no section 'model'; did you mean models?"),
        ("networks: 5E@a\nmodels: {}", "no section 'networks'; did you mean network?"),
        ("models: {}", "needs the section network"),
        ("network: [", "not YAML"),
        ("network: E@a\nmodels: {a: 3}", "models.a"),
        ("network: E@a\nmodels: {a: {}}", "one of"),
        ("network: E@a\nmodels: {a: {url: 'ftp://x', model: m}}", "no URL"),
        ("network: E@a\nmodels: {a: {url: 'http://x', model: m, api_key: s}}", "key_env"),
        (
            "network: E@a\nmodels: {a: {url: 'http://x', model: m, headers: {Authorization: s}}}",
            "key_env",
        ),
        ("network: E@a\nmodels: {a: {url: 'http://u:p@x', model: m}}", "key_env"),
        ("network: E@a\nmodels: {a: {url: 'http://x', model: m, oops: 1}}", "oops"),
        (
            "network: E@a\nmodels: {a: {url: 'http://x', model: m, price: {input: x, output: 1}}}",
            "price",
        ),
        ("network: E@a\nmodels: {a: {function: 'rules.py:nothing'}}", "no function"),
        ("network: E@a\nmodels: {a: {function: rules.py}}", "file.py:function"),
        ("network: E@a\nmodels: {a: {recorded: nothing.jsonl}}", "nothing.jsonl"),
        ("network: E@a\nverifiers: {v: {exact: 1}}", "verifiers.v"),
        ("network: E@a\nverifiers: {v: jsn}", "verifiers.v: .*short name"),
        ("network: E@a\nverifiers: {v: command}", "verifiers.v.command"),
        ("network: E@a\nverifiers: {v: {make: 'rules.py:Ends', oops: 1}}", "oops"),
    ],
)
def test_a_wrong_file_says_where(folder: Path, text: str, says: str) -> None:
    (folder / "wrong.yaml").write_text(text)
    with pytest.raises(NetworkError, match=says):
        load(folder / "wrong.yaml")


def test_questions_keep_their_fields_and_their_ids(tmp_path: Path) -> None:
    rows = b'{"task_id": "H/1", "problem": "p", "test": "t"}\n\n{"question": "q", "answer": 3}\n'
    (tmp_path / "q.jsonl").write_bytes(rows)
    with gzip.open(tmp_path / "q.jsonl.gz", "wb") as file:
        file.write(rows)
    for name in ("q.jsonl", "q.jsonl.gz"):
        one, two = read_questions(tmp_path / name)
        assert (one.id, one.prompt, one.fields) == ("H/1", "p", {"test": "t"})
        assert (two.id, two.prompt, two.fields) == ("3", "q", {"answer": 3})
        assert count_questions(tmp_path / name) == 2


@pytest.mark.parametrize("row", ["{", "[]", '{"id": 3}', '{"prompt": 3}'])
def test_a_wrong_question_is_named_by_its_line(tmp_path: Path, row: str) -> None:
    (tmp_path / "q.jsonl").write_text(f'{{"prompt": "x"}}\n{row}\n')
    with pytest.raises(QuestionError, match="line 2"):
        list(read_questions(tmp_path / "q.jsonl"))


@pytest.mark.parametrize("given", ["sk-proj-abc123def", "my key", "1KEY"])
def test_a_key_in_place_of_a_variable_s_name_is_refused_and_not_shown(
    tmp_path: Path, given: str
) -> None:
    text = f"network: E@a\nmodels: {{a: {{url: 'http://x', model: m, key_env: {given}}}}}"
    (tmp_path / "net.yaml").write_text(text)
    with pytest.raises(NetworkError, match=r"models\.a\.key_env: must be the name") as error:
        load(tmp_path / "net.yaml")
    assert given not in str(error.value)


def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    model = "  a: {url: 'http://x', model: m}\n"
    text = f"network: E@a\nmodels:\n{model}{model}"
    (tmp_path / "net.yaml").write_text(text)
    with pytest.raises(NetworkError, match="the key 'a' stands in line 3 and in line 4"):
        load(tmp_path / "net.yaml")


def test_a_wrong_section_is_refused_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    for text in ("models: {m: {url: 'ftp://x', model: y}}\nnetwork: E@m", "network: 3Z@m", "a: 1"):
        path.write_text(text)
        with pytest.raises(NetworkError) as found:
            load(path)
        assert str(found.value).startswith(f"{path}: ")
        assert str(found.value).count(str(path)) == 1


def test_an_id_that_stands_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(
        '{"id": "a", "prompt": "x"}\n\n{"id": "b", "prompt": "x"}\n{"id": "a", "prompt": "y"}\n'
    )
    with pytest.raises(QuestionError, match=r"line 4: the id 'a' stands in line 1"):
        count_questions(tmp_path / "q.jsonl")


def test_an_id_that_stands_twice_in_a_stream_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = io.BytesIO(b'{"id": "a", "prompt": "x"}\n{"id": "a", "prompt": "y"}\n')
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(rows))
    with pytest.raises(QuestionError, match=r"line 2: the id 'a' stands in an earlier line"):
        list(read_questions(Path("-")))


def test_a_file_without_a_question_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text("\n\n")
    with pytest.raises(QuestionError, match="holds no question"):
        count_questions(tmp_path / "q.jsonl")


def test_a_missing_file_of_questions_is_named(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match=r"none\.jsonl: No such file.*JSON lines"):
        count_questions(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('network: "5E@', r"net\.yaml is not YAML: line 1, column 14: found unexpected end"),
        ("a: [", "line 1, column 5: expected the node content"),
        (
            'models: {m: {url: "http://localhost:1/v1", modle: x}}\nnetwork: E@m',
            "models.m: no field 'modle'; there are: .*model",
        ),
        (
            'models: {m: {urll: "http://localhost:1/v1", model: x}}\nnetwork: E@m',
            "models.m: needs one of url, recorded, batch, function; it has model, urll$",
        ),
        (
            'models: {m: {function: "rules.py:gess"}}\nnetwork: E@m',
            r"no function 'rules\.py:gess': rules\.py has no gess$",
        ),
    ],
)
def test_what_is_mistyped_is_named_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "net.yaml").write_text(text)
    (tmp_path / "rules.py").write_text("def guess(call): return ''\n")
    with pytest.raises(NetworkError, match=says):
        load(tmp_path / "net.yaml")


@pytest.mark.parametrize("name", ["no", "yes", "on", "null"])
def test_a_name_that_yaml_takes_for_something_else_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "f.py").write_text("def f(x): return x\n")
    path = tmp_path / "net.yaml"
    path.write_text(f"functions: {{{name}: 'f.py:f'}}\nnetwork: 'E@m'\n")
    with pytest.raises(NetworkError, match="put the name in quotes"):
        load(path)


def test_a_byte_order_mark_before_the_questions_means_nothing(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "a"}\n')
    assert [each.prompt for each in read_questions(path)] == ["a"]


@pytest.mark.parametrize(
    ("functions", "says"),
    [
        ("[normal]", "functions must be a map from names, such as functions: {normal: file.py:"),
        ("0", "functions must be a map from names, .*, not 0"),
        ("{normal: 3}", r"functions\.normal: write file.py:function .*, not 3"),
        ("{normal: [a]}", r"functions\.normal: write file.py:function .*, not a list"),
        ("{normal: {code: x}}", r"functions\.normal: write .*, not a map with code"),
        ("{normal: }", r"functions\.normal: write .*, not nothing"),
        ('{normal: "rules.py:none"}', r"functions\.normal: there is no function 'rules.py:none'"),
    ],
)
def test_what_is_wrong_with_functions_is_told_with_its_place(
    folder: Path, functions: str, says: str
) -> None:
    text = FULL.replace('{normal: "rules.py:normal"}', functions)
    (folder / "net.yaml").write_text(text)
    with pytest.raises(NetworkError, match=f"net.yaml: {says}"):
        load(folder / "net.yaml")


def test_a_function_may_be_a_map_as_in_the_other_sections(folder: Path) -> None:
    text = FULL.replace('{normal: "rules.py:normal"}', '{normal: {function: "rules.py:normal"}}')
    (folder / "net.yaml").write_text(text)
    assert callable(load(folder / "net.yaml").names.functions["normal"])


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def f(:", "cannot load 'bad.py:f': bad.py, line 1: invalid syntax"),
        ("x = 1\nraise KeyError('k')", r"KeyError: 'k' \(bad.py, line 2\)"),
        (
            "import no_such_module",
            r"No module named 'no_such_module' \(bad.py, line 1",
        ),
    ],
)
def test_a_file_that_cannot_be_loaded_is_told_with_its_line(
    folder: Path, code: str, says: str
) -> None:
    (folder / "bad.py").write_text(code)
    (folder / "net.yaml").write_text('models: {m: {function: "bad.py:f"}}\nnetwork: "E@m"\n')
    with pytest.raises(NetworkError, match=says):
        load(folder / "net.yaml")
    (folder / "bad.py").write_text(code)
    with pytest.raises(NetworkError, match=r"cannot read .*bad\.py: "):
        load(folder / "bad.py")


def test_the_sections_of_a_python_file_may_say_what_a_file_would(folder: Path) -> None:
    (folder / "net.py").write_text(
        'network = "2B(E@m)@number"\nmodels = {"m": lambda call: str(call.sample)}\n'
    )
    assert "number" in load(folder / "net.py").names.verifiers
    (folder / "wrong.py").write_text('network = "E@m"\nmodels = ["m"]\n')
    with pytest.raises(NetworkError, match=r"wrong\.py: models must be a dict from names, not a l"):
        load(folder / "wrong.py")


def test_a_model_whose_options_have_the_limit_is_asked_with_that_name(tmp_path: Path) -> None:
    text = """
models:
  o: {url: "http://x/v1", model: o4-mini, options: {max_completion_tokens: 256, top_p: 0.5}}
network: "E@o + E@o(m=9)"
"""
    (tmp_path / "net.yaml").write_text(text)
    loaded = load(tmp_path / "net.yaml")
    bound = bind(loaded.network, loaded.names)
    calls = [
        node.writer.write({"prompt": "x"}).call(0)
        for node in bound.nodes
        if node.writer is not None
    ]
    bodies = [msgspec.json.decode(each.body) for each in calls]
    assert [body["max_completion_tokens"] for body in bodies] == [256, 9]
    assert [each.most_output_tokens for each in calls] == [256, 9]
    assert all("max_tokens" not in body and body["top_p"] == 0.5 for body in bodies)
    (tmp_path / "net.yaml").write_text(text.replace("0.5", "0.6"))
    other = load(tmp_path / "net.yaml")
    assert network_digest(bind(other.network, other.names)) != network_digest(bound)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("options: {max_tokens: 5}", "write max_tokens at the model itself"),
        ("max_tokens: 5, options: {max_completion_tokens: 5}", "leave one out"),
        ("options: {max_completion_tokens: many}", "must be a whole number"),
        ("options: {stream: true}", "options may not hold 'stream'"),
    ],
)
def test_options_of_a_model_that_cannot_be_are_refused(
    fields: str, says: str, tmp_path: Path
) -> None:
    text = f"network: E@a\nmodels: {{a: {{url: 'http://x/v1', model: m, {fields}}}}}"
    (tmp_path / "net.yaml").write_text(text)

    def loaded_and_bound() -> None:
        loaded = load(tmp_path / "net.yaml")
        bind(loaded.network, loaded.names)

    with pytest.raises(NetworkError, match=says):
        loaded_and_bound()
