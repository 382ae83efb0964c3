import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.sim.observe.values import (
    hosts,
    instant,
    limit_s,
    node_gpus,
    resources,
    span_s,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1795744047", 1795744047),
        ("1970-01-02T00:00:01", 86_401),
        ("1970-01-01T02:00:00+02:00", 0),
        ("Unknown", None),
        ("None", None),
        ("", None),
    ],
)
def test_instants_are_epochs_or_iso(text: str, seconds: int | None) -> None:
    assert instant(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("UNLIMITED", None), ("Partition_Limit", None), ("1-02:03:04", 93_784)],
)
def test_limits_are_minutes_or_spans(text: str, seconds: int | None) -> None:
    assert limit_s(text) == seconds


def test_cpu_times_may_have_thousandths_of_a_second() -> None:
    assert (span_s("01:02.345"), span_s("2-00:00:01"), span_s("00:00:00")) == (62, 172_801, 0)


@pytest.mark.parametrize(
    ("text", "gpus", "model"),
    [
        ("billing=8,cpu=8,gres/gpu:h100=2,gres/gpu=2,mem=500000M,node=1", 2, "h100"),
        ("cpu=8,gres/gpu:a100=4,node=1", 4, "a100"),
        ("cpu=8,gres/gpu:a100=4,gres/gpu:v100=2", 6, "v100"),
        ("cpu=4,mem=8G,node=1", 0, ""),
        ("gres/mps=100,gres/shard=4,cpu=1", 0, ""),
        ("", 0, ""),
    ],
)
def test_gpus_are_counted_once(text: str, gpus: int, model: str) -> None:
    found = resources(text)
    assert (found.gpus, found.model) == (gpus, model)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("gpu:h100:8(S:0-1)", ("h100", 8)),
        ("gpu:8", ("gpu", 8)),
        ("gpu:a100:4,gpu:v100:2", ("a100+v100", 6)),
        ("(null)", ("", 0)),
        ("mps:100", ("", 0)),
    ],
)
def test_the_gpus_of_a_node(text: str, found: tuple[str, int]) -> None:
    assert node_gpus(text) == found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("gpu[01-03,7],login1", ("gpu01", "gpu02", "gpu03", "gpu7", "login1")),
        ("rack1-n[1-2].local", ("rack1-n1.local", "rack1-n2.local")),
        ("None assigned", ()),
    ],
)
def test_lists_of_nodes_are_unfolded(text: str, names: tuple[str, ...]) -> None:
    assert hosts(text) == names


@pytest.mark.parametrize("text", ["n[1-99999999]", "n[1-", "n[]", ",,", "n[" + "1," * 20_000 + "]"])
def test_a_list_that_no_rule_knows_costs_little(text: str) -> None:
    with pytest.raises(ValueError, match=r"node|range"):
        hosts(text)


@settings(max_examples=60)
@given(st.text(alphabet="0123456789-:,=[]()T.+gpu/cnode \x00é", max_size=40))
def test_any_text_is_a_value_or_refused(text: str) -> None:
    for read in (instant, limit_s, span_s, resources, node_gpus, hosts):
        try:
            read(text)
        except ValueError:
            pass


@settings(max_examples=30)
@given(st.lists(st.integers(0, 999), min_size=1, max_size=30, unique=True))
def test_folded_lists_give_back_their_names(numbers: list[int]) -> None:
    folded = f"n[{','.join(f'{number:03}' for number in numbers)}]"
    assert hosts(folded) == tuple(f"n{number:03}" for number in numbers)
