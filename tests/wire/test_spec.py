import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import jsonschema_rs
import pytest
import yaml as plain_yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from parkade.core.units import bounds
from parkade.wire.problems import Fault
from parkade.wire.schema import workload_schema, workload_schema_text
from parkade.wire.spec import WorkloadSpec
from parkade.wire.yaml import Unreadable, load, parse

KEPT = sorted((Path(__file__).parent / "kept").glob("*.yaml"))
SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "workload-v1.json"
GOOD = "name: a\ncommand: b\nlimit_price: 2.50\n"


def faults(text: str) -> dict[str, Fault]:
    with pytest.raises(Unreadable) as caught:
        parse(text, WorkloadSpec)
    return {fault.place: fault for fault in caught.value.problem.errors}


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)
def test_what_could_be_submitted_once_can_be_submitted_again(kept: Path) -> None:
    spec = parse(kept.read_text("utf-8"), WorkloadSpec)
    assert WorkloadSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)
def test_the_schema_agrees_with_the_parser_on_kept_specs(kept: Path) -> None:
    jsonschema_rs.validate(workload_schema(), load(kept.read_text("utf-8")))


def test_the_published_schema_is_the_one_that_is_checked() -> None:
    assert SCHEMA.read_text("utf-8") == workload_schema_text(), (
        "run: python -m parkade.wire.schema > docs/schema/workload-v1.json"
    )


def test_every_value_is_read_as_it_was_written() -> None:
    spec = parse(KEPT[0].read_text("utf-8"), WorkloadSpec)
    assert spec.limit_price == Decimal("2.50")
    assert spec.max_spend == 400
    assert spec.max_duration == timedelta(hours=24)
    assert spec.checkpoint is not None and spec.checkpoint.needs == timedelta(minutes=1)
    assert spec.env == {"EPOCHS": "3", "LEARNING_RATE": "3e-4", "VERSION": "1.10"}


def test_numbers_in_env_are_the_text_that_was_written() -> None:
    text = "env: {SEED: 7, LOW: -3, RATE: 1.10, LARGE: 1e3, OCTAL: 010, DEBUG: true}"
    spec = parse(GOOD + text, WorkloadSpec)
    assert spec.env == {
        "SEED": "7", "LOW": "-3", "RATE": "1.10", "LARGE": "1e3", "OCTAL": "010", "DEBUG": "true"
    }  # fmt: skip
    jsonschema_rs.validate(workload_schema(), load(GOOD + text))
    with pytest.raises(ValidationError, match="valid string"):
        WorkloadSpec.model_validate({"name": "a", "command": "b", "env": {"A": 1.5}})


@pytest.mark.parametrize(
    ("line", "place", "code"),
    [
        ("nodes: {min: 2}", "nodes.max", "invalid"),
        ("nodes: {min: 3, max: 2}", "nodes", "invalid"),
        ("nodes: {min: 0, max: 2}", "nodes.min", "invalid"),
        ("nodes: {min: 1, max: 2, best: 2}", "nodes.best", "invalid"),
        ("nodes: {min: 1, max: 2}\ninterconnect: any", "interconnect", "invalid"),
        ("nodes: {min: 1, max: 2}\nmoves: cheaper", "moves", "invalid"),
        ("nodes: {min: 1, max: 2}\nresize: often", "resize", "invalid"),
        ("gpus: H100:8", "gpus", "not_yet"),
        ("array: 9-0", "array", "invalid"),
        ("array: 0-199%0", "array", "invalid"),
        ("array: 0-10000", "array", "invalid"),
        ("resize: live", "resize", "invalid"),
        ("resize: restart", "resize", "invalid"),
        ("image: --nv", "image", "invalid"),
        ("image: a b", "image", "invalid"),
        ("storage: home", "storage", "invalid"),
        ("storage: [Home]", "storage[0]", "invalid"),
        ("suppliers: [lab]", "suppliers", "not_yet"),
        ("cpus_per_gpu: 12", "cpus_per_gpu", "not_yet"),
        ("memory_per_gpu: 64GiB", "memory_per_gpu", "not_yet"),
        ("instance_type: [a, a]", "instance_type", "invalid"),
        ("instance_type: a=2.50,b", "instance_type", "invalid"),
        ("instance_type: {a: -1, b: 2}", "instance_type.a", "invalid"),
        ("instance_type: {a: 1, b: 2}", "limit_price", "invalid"),
        ("instance_type: [a, b]\nmarket: m", "market", "invalid"),
        ("instance_type: [a, b]\nnodes: {min: 1, max: 2}", "instance_type", "invalid"),
        ("instance_type: [a, b]\ncapacity: on-demand\nmax_duration: 1h", "capacity", "invalid"),
        ("capacity: [on-demand, reservation/acme]", "capacity", "invalid"),
        ("capacity: [spot, reservation/acme]", "capacity", "invalid"),
        ("capacity: [reservation/acme, reservation/acme, spot]", "capacity", "invalid"),
        ("capacity: [reservation/acme, free, spot]", "capacity", "invalid"),
        ("limt: 3", "limt", "invalid"),
        ("nodes: 0", "nodes", "invalid"),
        ("nodes: 1.0", "nodes", "invalid"),
        ("nodes: true", "nodes", "invalid"),
        ("gpus: 0x8", "gpus", "invalid"),
        ("capacity: cheap", "capacity", "invalid"),
        ("capacity: reservation/", "capacity", "invalid"),
        ("max_spend: -1", "max_spend", "invalid"),
        ("max_spend: 0", "max_spend", "invalid"),
        ("max_spend: 0.0000001", "max_spend", "invalid"),
        ("max_spend: 1e3", "max_spend", "invalid"),
        ("max_spend: .inf", "max_spend", "invalid"),
        ("max_duration: 24", "max_duration", "invalid"),
        ("max_duration: 0s", "max_duration", "invalid"),
        ("max_duration: 1:30", "max_duration", "invalid"),
        ("workdir: train", "workdir", "invalid"),
        ("env: {A-B: x}", "env.A-B", "invalid"),
        ("env: {PARKADE_NODES: '4'}", "env", "invalid"),
        ("env: {A: [3]}", "env.A", "invalid"),
        ("env: {A: null}", "env.A", "invalid"),
        ("checkpoint: {signal: SIGKILL, needs: 1m}", "checkpoint.signal", "invalid"),
        ("checkpoint: {needs: 1m}", "checkpoint", "invalid"),
        ("checkpoint: {signal: auto, preset: hf}", "checkpoint", "invalid"),
        ("checkpoint: {signal: auto, needs: 0s}", "checkpoint.needs", "invalid"),
        ("checkpoint: {preset: horovod}", "checkpoint.preset", "invalid"),
        ("checkpoint: {command: ''}", "checkpoint.command", "invalid"),
        ("checkpoint: {signal: auto, exit_zero: failed}", "checkpoint.exit_zero", "invalid"),
        ("checkpoint: horovod", "checkpoint", "invalid"),
        ("checkpoint: 60", "checkpoint", "invalid"),
        ("retry: {failures: -1}", "retry.failures", "invalid"),
        ('interconnect: "all"', "interconnect", "invalid"),
        ("moves: never", "moves", "invalid"),
    ],
)
def test_what_is_wrong_is_refused_by_name(line: str, place: str, code: str) -> None:
    found = faults(GOOD + line)
    assert {name.removesuffix(".[key]"): fault.code for name, fault in found.items()} == {
        place: code
    }


def test_only_spot_is_moved_for_a_lower_floor() -> None:
    found = faults("name: a\ncommand: b\ncapacity: reservation/acme\nmoves: cheaper\n")
    assert found["moves"].message == "only spot draws floors; leave moves out with reservation/acme"


def test_every_error_is_told_at_once_with_its_place() -> None:
    found = faults("comand: x\nnodes: {min: 1}\ngpus: 0\nmax_duration: soon\narray: x\n")
    assert {place: fault.code for place, fault in found.items()} == {
        "name": "invalid",
        "command": "invalid",
        "nodes.max": "invalid",
        "gpus": "invalid",
        "limit_price": "limit_required",
        "max_duration": "invalid",
        "comand": "invalid",
        "array": "invalid",
    }
    assert "did you mean `command`" in found["comand"].message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("workdir: train", "an absolute path"),
        ("env_file: train", "begins with / or ~"),
        ("env: {A-B: x}", "the name of a variable"),
        ("instance_type: H 100", "lower-case letters"),
        ('name: "a b"', "letters, digits"),
    ],
)
def test_nobody_has_to_read_a_pattern(line: str, words: str) -> None:
    text = line if line.startswith("name") else f"name: a\n{line}"
    (fault,) = faults(f"{text}\ncommand: b\nlimit_price: 1").values()
    assert words in fault.message


def test_spot_without_a_limit_is_refused_and_nothing_dearer_is_taken_instead() -> None:
    assert faults("name: a\ncommand: b")["limit_price"].code == "limit_required"
    assert "limit_price" in faults(GOOD + "capacity: on-demand\nmax_duration: 1h")
    assert "max_duration" in faults("name: a\ncommand: b\ncapacity: on-demand")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [", "line 1, column 5"),
        ("name: a\nname: b", "line 2, column 1"),
        ("- a", "document"),
        ("", "document"),
        ("? [a, b]\n: c", "line 1, column 3"),
        ("!!python/object:os.system x", "line 1, column 1"),
        ("a: " + "[" * 5000, "document"),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(text: str, place: str) -> None:
    assert list(faults(text)) == [place]


@given(st.text(max_size=60))
def test_whatever_the_text_is_the_parser_says_what_is_wrong(text: str) -> None:
    with pytest.raises(Unreadable) as caught:
        parse(text, WorkloadSpec)
    assert caught.value.problem.errors


@given(
    st.fixed_dictionaries(
        {
            "name": st.from_regex(r"[a-z0-9]{1,9}", fullmatch=True),
            "command": st.text(min_size=1, max_size=40).filter(lambda text: "\0" not in text),
            "nodes": st.integers(bounds.NODES.least, bounds.NODES.most),
            "gpus": st.integers(bounds.GPUS_PER_NODE.least, bounds.GPUS_PER_NODE.most),
            "limit_price": st.decimals("0.000001", "1000000", places=6).map(str),
        }
    )
)
def test_json_and_yaml_of_a_spec_read_alike(value: dict[str, object]) -> None:
    by_json = WorkloadSpec.model_validate_json(json.dumps(value))
    assert parse(plain_yaml.safe_dump(value), WorkloadSpec) == by_json
    jsonschema_rs.validate(workload_schema(), value)


@pytest.mark.parametrize("written", ["[reservation/acme, spot]", "reservation/acme,spot"])
def test_a_list_of_capacity_has_the_limit_of_its_spot_entry(written: str) -> None:
    spec = parse(f"name: a\ncommand: b\nlimit_price: 2.50\ncapacity: {written}", WorkloadSpec)
    assert spec.entries == ("reservation/acme", "spot")
    assert set(faults(f"name: a\ncommand: b\ncapacity: {written}")) == {"limit_price"}


LASTS = "max_duration: 2h\n"
LIMIT = "limit_price: 2.50\n"
DUE = "deadline: +52h\nduration: 48h\nfallback: on-demand\n"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (f"capacity: [reservation/acme, on-demand]\n{LASTS}", set()),
        (f"capacity: [spot, on-demand]\n{LASTS}{LIMIT}", set()),
        (f"capacity: [reservation/a, reservation/b, spot, on-demand]\n{LASTS}{LIMIT}", set()),
        (f"capacity: [reservation/acme, on-demand]\n{LASTS}{LIMIT}", {"limit_price"}),
        (f"capacity: [spot, on-demand]\n{LASTS}", {"limit_price"}),
        (f"capacity: [spot, on-demand]\n{LIMIT}", {"max_duration"}),
        (f"capacity: [on-demand, spot]\n{LASTS}{LIMIT}", {"capacity"}),
        (f"capacity: [on-demand, on-demand]\n{LASTS}", {"capacity"}),
        ("capacity: [reservation/a, reservation/b]\n", {"capacity"}),
        (f"capacity: [spot, on-demand]\n{LIMIT}{DUE}", {"deadline", "max_duration"}),
    ],
)
def test_on_demand_stands_last_in_a_list_and_says_how_long(text: str, wrong: set[str]) -> None:
    written = f"name: a\ncommand: b\n{text}"
    if wrong:
        assert set(faults(written)) == wrong
    else:
        assert parse(written, WorkloadSpec).entries[-1] == "on-demand"
